"""The wallet's side of a face check: ask how it stands, take a challenge, send what the camera saw.

Promises: pictures go out once and are kept nowhere; the verdict is the issuer's alone. Trusts: the camera it is given.
Keeps: nothing. Refuses: answers of another shape; to ask anybody but the issuer of its own country.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from mapae.errors import Code, Refused

from .dpop import ClientHeaders
from .wire import Wire

Frames = Sequence[tuple[int, bytes]]
"""Milliseconds since the challenge appeared, and a JPEG."""

_BYTES: Final = "application/octet-stream"
_LONGEST: Final = 60_000


@dataclass(frozen=True, slots=True)
class FaceAsked:
    """Blink within 1.3 s of each prompt, and be seen for `length_ms`."""

    challenge: str
    blinks: int
    prompts_ms: tuple[int, ...]
    length_ms: int


Camera = Callable[[FaceAsked], Awaitable[Frames]]


@dataclass(frozen=True, slots=True)
class FaceStanding:
    """What still stands between an order and its card. `by_camera`: the face check may be tried."""

    needs: tuple[str, ...]
    by_camera: bool
    tries_left: int


@dataclass(frozen=True, slots=True)
class FaceSaid:
    ok: bool
    reason: str
    tries_left: int


class FaceCheck:
    """`headers` makes the wallet's attestation headers, fresh at each call."""

    def __init__(self, wire: Wire, issuer: str, headers: Callable[[], Awaitable[ClientHeaders | None]]) -> None:
        self._wire, self._issuer, self._headers = wire, issuer, headers

    async def standing(self, subject: str) -> FaceStanding:
        said = await self._ask("standing", subject)
        needs = said.get("needs")
        if not isinstance(needs, list) or not all(isinstance(need, str) for need in needs):
            raise Refused(Code.MALFORMED, "needs is a list of names")
        return FaceStanding(tuple(needs), said.get("route") == "face" and "face" in needs, _count(said, "tries_left"))

    async def challenge(self, subject: str) -> FaceAsked:
        said = await self._ask("challenges", subject)
        id, prompts = said.get("challenge_id"), said.get("prompts_ms")
        if not isinstance(id, str) or not 0 < len(id.encode()) < 256 or not isinstance(prompts, list):
            raise Refused(Code.MALFORMED, "this is no challenge")
        times = tuple(_count({"at": at}, "at") for at in prompts)
        return FaceAsked(id, _count(said, "blinks"), times, _count(said, "length_ms"))

    async def answer(self, asked: FaceAsked, frames: Frames) -> FaceSaid:
        url = f"{self._issuer}/face/challenges/{asked.challenge}/burst"
        reply = await self._wire.post(url, burst(asked.challenge, frames), _BYTES, await self._proof(), limit=65536)
        said = reply.json()
        if not isinstance(said.get("ok"), bool) or not isinstance(said.get("reason"), str):
            raise Refused(Code.MALFORMED, "this is no outcome")
        return FaceSaid(said["ok"], said["reason"], _count(said, "tries_left"))

    async def _ask(self, what: str, subject: str) -> dict[str, Any]:
        reply = await self._wire.post_json(f"{self._issuer}/face/{what}", {"subject": subject}, await self._proof())
        return reply.json()

    async def _proof(self) -> Mapping[str, str]:
        made = await self._headers()
        return {} if made is None else made(None)


def burst(challenge: str, frames: Frames) -> bytes:
    """`MFB1`, the challenge, and each frame with its time and length, big-endian: one raw body without parts."""
    id = challenge.encode("ascii")
    parts = [b"MFB1", bytes([len(id)]), id, len(frames).to_bytes(2, "big")]
    for at_ms, jpeg in frames:
        parts += [at_ms.to_bytes(4, "big"), len(jpeg).to_bytes(4, "big"), jpeg]
    return b"".join(parts)


def _count(said: Mapping[str, Any], name: str) -> int:
    value = said.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _LONGEST:
        raise Refused(Code.MALFORMED, f"{name} is no count")
    return value
