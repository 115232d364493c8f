"""What a question looks like on a page, a till's or a website's: the values their templates share.

Promises: every outcome and every code has words. Trusts: the verdict. Keeps: nothing. Refuses: nothing.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from mapae.errors import Code
from mapae.ui.words import knows
from mapae.verifier.kiosk import Ended, Waiting
from mapae.verifier.store import Outcome, Verdict

_STEPS: Final = ("issuer", "seal", "holder", "dates", "standing", "request")
# Which of the panel's three looks an outcome has. Words and shape say the same as the colour.
_LOOK: Final = {
    Outcome.ACCEPTED: "yes", Outcome.NO: "no", Outcome.REFUSED: "no",
    Outcome.DECLINED: "open", Outcome.EXPIRED: "open", Outcome.CANCELLED: "open",
}  # fmt: skip


def waiting(look: Waiting) -> dict[str, Any]:
    return {
        "id": look.id,
        "purpose": msgspec.to_builtins(look.purpose.name),
        "items": [msgspec.to_builtins(label) for label in look.items],
        "legal_basis": msgspec.to_builtins(look.purpose.legal_basis),
        "qr_text": look.qr,
        "seconds_left": look.seconds_left,
        "seconds": look.seconds,
        "phase": "opened" if look.fetched else "waiting",
    }


def ended(look: Ended) -> dict[str, Any]:
    verdict = look.verdict
    return {
        "id": look.id,
        "purpose": msgspec.to_builtins(look.purpose.name),
        "items": [msgspec.to_builtins(label) for label in look.items],
        "outcome": verdict.outcome.value,
        "look": _LOOK[verdict.outcome],
        "reason": _reason(verdict),
        "step": verdict.step,
        "step_number": _STEPS.index(verdict.step) + 1 if verdict.step in _STEPS else None,
        "code": verdict.code,
        "renew": verdict.note == "renew",
        "format": verdict.format,
        "shown": [(msgspec.to_builtins(label), name, value) for label, name, value in look.shown],
        "erased": look.erased,
        "seconds": look.seconds,
    }


def _reason(verdict: Verdict) -> str:
    """Which words say why: `checker.reason.<this>`."""
    match verdict.outcome:
        case Outcome.EXPIRED:
            return "nobody"
        case Outcome.DECLINED:
            return "access_denied" if verdict.code == Code.ACCESS_DENIED else "declined"
        case Outcome.REFUSED if verdict.code == Code.EXPIRED:
            return "document_expired"
        case _:
            reason = verdict.code or verdict.outcome.value
            return reason if knows(f"checker.reason.{reason}") else "malformed"
