"""A burst of camera pictures as one raw body: what the phone writes and the issuer reads.

    "MFB1"  u8 length, challenge id  u16 frames  then for each frame: u32 ms, u32 length, JPEG      (big-endian)

Promises: one spelling; what is read is written again the same; nothing is decoded here. One body without parts, for a
form's parts would be spooled to disk. Trusts: nobody. Keeps: nothing. Refuses: another magic, more than 150 frames, a
frame over 256 KiB, 8 MiB in all, a byte too few or too many, an id that is not base64url.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ...errors import Code, Refused
from .values import Frame

MEDIA_TYPE: Final = "application/octet-stream"
MAGIC: Final = b"MFB1"
MOST_FRAMES: Final = 150
MOST_BYTES: Final = 8 << 20
MOST_FRAME_BYTES: Final = 256 << 10
_ID: Final = re.compile(rb"[A-Za-z0-9_-]{1,255}")
_FRAME: Final = struct.Struct(">II")


@dataclass(frozen=True, slots=True)
class Burst:
    """The frames, and the challenge they say they answer."""

    challenge: str
    frames: tuple[Frame, ...]

    @classmethod
    def parse(cls, raw: bytes) -> Burst:
        """Raises Refused(MALFORMED, TOO_LARGE). Whether the times make sense is the verifier's to say."""
        if len(raw) > MOST_BYTES:
            raise Refused(Code.TOO_LARGE, "the burst is too large")
        if not raw.startswith(MAGIC):
            raise Refused(Code.MALFORMED, "this is not a burst of pictures")
        reader = _Reader(raw, len(MAGIC))
        id = reader.take(reader.take(1)[0])
        if not _ID.fullmatch(id):
            raise Refused(Code.MALFORMED, "the burst names no challenge")
        count = int.from_bytes(reader.take(2), "big")
        if count > MOST_FRAMES:
            raise Refused(Code.TOO_LARGE, "the burst has too many frames")
        frames = []
        for _ in range(count):
            at_ms, length = _FRAME.unpack(reader.take(_FRAME.size))
            if length > MOST_FRAME_BYTES:
                raise Refused(Code.TOO_LARGE, "a frame of the burst is too large")
            frames.append(Frame(at_ms, reader.take(length)))
        if reader.left:
            raise Refused(Code.MALFORMED, "something follows the burst")
        return cls(id.decode("ascii"), tuple(frames))

    def encode(self) -> bytes:
        id = self.challenge.encode("ascii")
        return b"".join((MAGIC, bytes([len(id)]), id, len(self.frames).to_bytes(2, "big"), *_frames(self.frames)))


def _frames(frames: Sequence[Frame]) -> list[bytes]:
    return [_FRAME.pack(frame.at_ms, len(frame.jpeg)) + frame.jpeg for frame in frames]


class _Reader:
    def __init__(self, raw: bytes, at: int) -> None:
        self._raw, self._at = raw, at

    @property
    def left(self) -> int:
        return len(self._raw) - self._at

    def take(self, length: int) -> bytes:
        if length > self.left:
            raise Refused(Code.MALFORMED, "the burst is cut")
        taken = self._raw[self._at : self._at + length]
        self._at += length
        return taken
