"""The reference verifier, in its own process, does what every verifier must; and the suite can tell who does not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from clips import engine, photograph
from hands import refuses
from mapae.errors import Code
from mapae.issuer.face import conformance
from mapae.issuer.face.conformance import CHECKS, Cast
from mapae.issuer.face.process import FaceProcess
from mapae.issuer.face.values import Challenge, FaceOutcome, Frame, ModelId, Reason

MODEL = ModelId("yes", "1", "0" * 64, accredited=True)


@pytest.fixture(scope="module")
def cast() -> Cast:
    people = {"p01": [photograph("p01_b"), photograph("p01_a")], "p02": [photograph("p02_a")]}
    return Cast.of(people, engine())


async def test_the_reference_verifier_conforms_and_a_replay_still_passes(cast):
    """The replay is the known limit: who sees this line fail may strike it from docs/face.md."""
    process = FaceProcess(0.5)
    try:
        results = await conformance.conform(process, cast)
        known = await conformance.replay(process, cast)
    finally:
        await process.close()
    assert {result.check: result.wrong for result in results} == dict.fromkeys(CHECKS, "")
    assert known == "a blinking clip filmed off a screen PASSED"


class Yes:
    """Passes everybody."""

    async def model(self) -> ModelId:
        return MODEL

    async def reads(self, record: bytes) -> Reason | None:
        return None

    async def verify(self, record: bytes, burst: Sequence[Frame], challenge: Challenge) -> FaceOutcome:
        return FaceOutcome(True, Reason.MATCH, 0.1, 0.5, challenge.blinks, len(burst), MODEL)


class Raises(Yes):
    async def verify(self, record: bytes, burst: Sequence[Frame], challenge: Challenge) -> FaceOutcome:
        raise ValueError("cannot read this")


async def test_a_verifier_that_passes_everybody_or_raises_does_not_conform(cast):
    wrong = {result.check for result in await conformance.conform(Yes(), cast) if result.wrong}
    assert wrong >= {name for name in CHECKS if name.startswith("fails ")}
    results = await conformance.conform(Raises(), cast)
    assert sum("ValueError" in result.wrong for result in results) >= 9


def test_too_few_photographs_are_said_so():
    with refuses(Code.MALFORMED, "two persons"):
        Cast.of({"p01": [b"", b""]}, engine())
