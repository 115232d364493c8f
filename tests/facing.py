"""A face verifier that does as it is told, and the wallets' side of a face check: for tests of everything around it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from mapae.errors import Code, Refused
from mapae.holder import FaceAsked
from mapae.holder.face import Frames
from mapae.issuer.face.values import Challenge, FaceOutcome, Frame, ModelId, Reason
from mapae.issuer.face.wire import Burst
from mapae.rules import FaceRules

MODEL = ModelId("scripted", "1", "00" * 32, accredited=False)
NEARLY, FAR = 0.53, 0.8
PICTURE = b"\xff\xd8\xff a picture nobody may keep \xff\xd9"


class Scripted:
    """A `FaceVerifier`. `says` are the verdicts to come, the last one again and again; `held` keeps it waiting."""

    def __init__(self, *says: Reason | float, unread: Reason | None = None) -> None:
        self.says: list[Reason | float] = list(says) or [Reason.MATCH]
        self.unread = unread
        self.gone = False
        self.bug: Exception | None = None
        self.held: asyncio.Event | None = None
        self.began = asyncio.Event()
        self.seen: list[tuple[bytes, tuple[Frame, ...], str]] = []

    async def model(self) -> ModelId:
        if self.gone:
            raise Refused(Code.FACE_UNAVAILABLE, "nobody judges here")
        return MODEL

    async def reads(self, record: bytes) -> Reason | None:
        return Reason.VERIFIER_UNAVAILABLE if self.gone else self.unread

    async def verify(self, record: bytes, burst: Sequence[Frame], challenge: Challenge) -> FaceOutcome:
        self.seen.append((record, tuple(burst), challenge.id))
        self.began.set()
        if self.held is not None:
            await self.held.wait()
        if self.bug is not None:
            raise self.bug
        if self.gone:
            return FaceOutcome(False, Reason.VERIFIER_UNAVAILABLE, None, 0.5, None, len(burst), MODEL)
        said = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        if isinstance(said, float):
            return FaceOutcome(said <= 0.5, Reason.MATCH if said <= 0.5 else Reason.NO_MATCH, said, 0.5, 1, len(burst),
                               MODEL)  # fmt: skip
        distance = {Reason.MATCH: 0.31, Reason.NO_MATCH: FAR}.get(said)
        return FaceOutcome(said is Reason.MATCH, said, distance, 0.5, challenge.blinks, len(burst), MODEL)


STAGE = Scripted()
"""The one a house plugs in by `face_verifier = "facing:scripted"`; tests tell it what to say."""


def scripted(rules: FaceRules) -> Scripted:
    return STAGE


def burst(challenge: str, count: int = 3) -> bytes:
    return Burst(challenge, tuple(Frame(80 * at, PICTURE) for at in range(count))).encode()


async def camera(asked: FaceAsked) -> Frames:
    """A wallet's: whatever is in front of it, it sees the same."""
    return [(at, PICTURE) for at in range(0, asked.length_ms, 400)]
