"""Cases for a burst of camera pictures. The wallet only writes: from `expected` it must write `input`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cast import Case, refused, taken

from mapae.issuer.face.values import Frame
from mapae.issuer.face.wire import MAGIC, Burst

ID = "Zm9yIHRoaXMgcGhvbmU"
FRAMES = ((0, b"\xff\xd8one\xff\xd9"), (83, b"\xff\xd8two!\xff\xd9"), (70_000, b""))


def bursts() -> Iterator[Case]:
    def written(challenge: str, frames: Sequence[tuple[int, bytes]]) -> bytes:
        return Burst(challenge, tuple(Frame(at, jpeg) for at, jpeg in frames)).encode()

    for name, frames in (("three frames", FRAMES), ("no frame", ()), ("the same moment twice", (FRAMES[0], FRAMES[0]))):
        expected = {"challenge": ID, "frames": [[at, jpeg.hex()] for at, jpeg in frames]}
        yield taken(name, written(ID, frames).hex(), expected)
    good = written(ID, FRAMES)
    cases = {
        "nothing": b"",
        "another version": b"MFB2" + good[4:],
        "no challenge": MAGIC + b"\0\0\0",
        "a challenge with a line end": MAGIC + b"\2a\n\0\0",
        "the last byte is missing": good[:-1],
        "cut in a length": good[: good.index(b"\xff\xd8one") - 1],
        "a byte too many": good + b"\0",
        "fewer frames than it says": good[: 5 + len(ID)] + b"\0\4" + good[7 + len(ID) :],
    }
    for name, raw in cases.items():
        yield refused(name, raw.hex(), "burst", "malformed")
    yield refused("151 frames", (MAGIC + b"\1a" + (151).to_bytes(2, "big")).hex(), "burst", "too_large")
    frame = bytes(4) + ((256 << 10) + 1).to_bytes(4, "big")
    yield refused("a frame over 256 KiB", (MAGIC + b"\1a\0\1" + frame).hex(), "burst", "too_large")
