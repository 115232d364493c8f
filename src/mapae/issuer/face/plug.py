"""Which face verifier this installation has: the setting `face_verifier`.

    dlib                the reference, which is not accredited
    none                none: two officers compare every face
    module:attribute    somebody's own: a `FaceVerifier`, or what makes one from the pack's `FaceRules`

Promises: whatever the setting, something answers every question, and what is not there says so. Trusts: the operator
for the module. Keeps: nothing. Refuses: a module or an attribute that is not there, one that cannot verify.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ...errors import Code, Refused
from ...rules import FaceRules
from .process import FaceProcess
from .values import Challenge, FaceOutcome, FaceVerifier, Frame, ModelId, PhotoJudge, PhotoReport, Reason

REFERENCE, NONE = "dlib", "none"
_PLUG: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Faces:
    """Who compares faces, and who judges photos for the record; `close` it with the house."""

    verifier: FaceVerifier
    judge: PhotoJudge

    async def close(self) -> None:
        for one in {id(one): one for one in (self.verifier, self.judge)}.values():
            close = getattr(one, "close", None)
            if close is not None:
                await close()


def faces_of(setting: str, rules: FaceRules) -> Faces:
    """Raises Refused(BAD_CONFIG). Starts nothing yet."""
    if setting == NONE:
        nobody = Nobody(rules.threshold)
        return Faces(nobody, nobody)
    if setting == REFERENCE:
        reference = FaceProcess(rules.threshold)
        return Faces(reference, reference)
    verifier = plugged(setting, rules)
    judge = verifier if callable(getattr(verifier, "judge", None)) else FaceProcess(rules.threshold)
    return Faces(verifier, judge)  # type: ignore[arg-type]  # it has judge: asked above


def plugged(setting: str, rules: FaceRules) -> FaceVerifier:
    """Somebody's own. Raises Refused(BAD_CONFIG)."""
    if not _PLUG.fullmatch(setting):
        raise Refused(Code.BAD_CONFIG, "face_verifier is dlib, none, or your own as module:attribute")
    module, _, attribute = setting.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except ImportError:
        raise Refused(Code.BAD_CONFIG, f"face_verifier: there is no module {module} in this environment") from None
    except AttributeError:
        raise Refused(Code.BAD_CONFIG, f"face_verifier: {module} has no {attribute}") from None
    verifier = found if _verifies(found) and not isinstance(found, type) else found(rules)
    if not _verifies(verifier):
        raise Refused(Code.BAD_CONFIG, f"face_verifier: {setting} has no model, reads and verify (docs/face.md)")
    return verifier  # type: ignore[no-any-return]  # as far as a module of somebody else's can be looked at


def _verifies(what: object) -> bool:
    return all(callable(getattr(what, name, None)) for name in ("model", "reads", "verify"))


class Nobody:
    """Where there is no face verifier: never a pass."""

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold

    async def model(self) -> ModelId:
        raise Refused(Code.FACE_UNAVAILABLE, "this installation has no face verifier: officers compare faces")

    async def reads(self, record: bytes) -> Reason | None:
        return Reason.VERIFIER_UNAVAILABLE

    async def verify(self, record: bytes, burst: Sequence[Frame], challenge: Challenge) -> FaceOutcome:
        model = ModelId(NONE, "", "", accredited=False)
        return FaceOutcome(False, Reason.VERIFIER_UNAVAILABLE, None, self._threshold, None, len(burst), model)

    async def judge(self, photo: bytes) -> PhotoReport:
        raise Refused(Code.FACE_UNAVAILABLE, "this installation judges no photos: an officer looks instead")
