"""The setting `face_verifier`."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from hands import refuses
from mapae.errors import Code
from mapae.issuer.face.plug import Nobody, faces_of
from mapae.issuer.face.process import FaceProcess
from mapae.issuer.face.values import Challenge, FaceOutcome, ModelId, Reason
from mapae.rules import FaceRules

RULES = FaceRules(threshold=0.42, borderline=0.45)
ONCE = Challenge("c", "n", 1, (1200,), 2900)


class Theirs:
    """What a government would bring: made from the pack's rules, and it tells when it is closed."""

    def __init__(self, rules: FaceRules) -> None:
        self.threshold, self.closed = rules.threshold, False

    async def model(self) -> ModelId:
        return ModelId("accredited", "9", "a" * 64, accredited=True)

    async def reads(self, record: bytes) -> Reason | None:
        return None

    async def verify(self, record: bytes, burst: object, challenge: Challenge) -> FaceOutcome:
        return FaceOutcome(False, Reason.NO_MATCH, 0.9, self.threshold, 1, 0, await self.model())

    async def close(self) -> None:
        self.closed = True


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    made = ModuleType("ministry_faces")
    made.make, made.ready, made.nothing = Theirs, Theirs(RULES), object()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ministry_faces", made)
    return made


async def test_somebody_elses_verifier_takes_the_packs_rules_and_is_closed_with_the_house(module):
    faces = faces_of("ministry_faces:make", RULES)
    assert isinstance(faces.verifier, Theirs) and faces.verifier.threshold == 0.42
    assert isinstance(faces.judge, FaceProcess), "photos are still judged by ours"
    await faces.close()
    assert faces.verifier.closed
    assert faces_of("ministry_faces:ready", RULES).verifier is module.ready


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("mediapipe", "module:attribute"),
        ("no_such_module_here:x", "no module"),
        ("ministry_faces:missing", "has no missing"),
        ("../evil:x", "module:attribute"),
    ],
)
def test_a_setting_that_names_nothing_is_said_so(module, setting, words):
    with refuses(Code.BAD_CONFIG, words):
        faces_of(setting, RULES)


async def test_without_a_verifier_nobody_passes_and_officers_are_named():
    faces = faces_of("none", RULES)
    assert isinstance(faces.verifier, Nobody)
    assert await faces.verifier.reads(b"record") is Reason.VERIFIER_UNAVAILABLE
    outcome = await faces.verifier.verify(b"record", (), ONCE)
    assert (outcome.ok, outcome.reason, outcome.threshold) == (False, Reason.VERIFIER_UNAVAILABLE, 0.42)
    with refuses(Code.FACE_UNAVAILABLE, "officers"):
        await faces.verifier.model()
    with refuses(Code.FACE_UNAVAILABLE, "officer"):
        await faces.judge.judge(b"photo")
    await faces.close()


async def test_the_reference_starts_nothing_until_it_is_asked():
    faces = faces_of("dlib", RULES)
    assert faces.verifier is faces.judge and isinstance(faces.verifier, FaceProcess)
    assert faces.verifier._child is None
    await faces.close()
