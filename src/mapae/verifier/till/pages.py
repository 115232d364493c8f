"""What a question looks like on a page, a till's or a website's: the values their templates share.

Promises: every outcome and every code has words. Trusts: the verdict. Keeps: nothing. Refuses: nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from mapae.errors import Code
from mapae.rules import Words
from mapae.ui.words import knows
from mapae.verifier.asking.dark import PackState
from mapae.verifier.asking.doubt import Doubtful
from mapae.verifier.asking.store import Outcome, Verdict
from mapae.verifier.checking.offline import Offline, light
from mapae.verifier.till.kiosk import Ended, Waiting

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
        "phase": "answered" if look.answered else "opened" if look.fetched else "waiting",
        "typed_back": look.typed_back,
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
        "offline": grounds(verdict.offline) if verdict.offline is not None else None,
    }


def pack(state: PackState) -> dict[str, Any]:
    """The state of the offline pack, as the start page shows it."""
    return {
        "light": state.light.value, "trust": _age(state.trust), "status": _age(state.status), "late": state.late,
    }  # fmt: skip


def doubts(found: Sequence[Doubtful], called: Callable[[str], Words]) -> list[dict[str, Any]]:
    """The newest are enough for a page; `mapae pack doubtful` has all."""
    return [
        {"at": datetime.fromtimestamp(one.at, UTC), "purpose": msgspec.to_builtins(called(one.purpose)),
         "doubt": one.doubt.value}
        for one in found[:20]
    ]  # fmt: skip


def grounds(offline: Offline) -> dict[str, Any]:
    return {
        "tier": offline.tier.value, "light": light(max(offline.trust, offline.status)).value,
        "trust": _age(offline.trust), "status": _age(offline.status),
    }  # fmt: skip


def _age(seconds: int) -> tuple[str, int]:
    """A unit (`checker.age.<unit>`) and how many of it, never made younger by rounding."""
    if seconds < 2 * 3600:
        return "minutes", max(1, -(-seconds // 60))
    return ("hours", -(-seconds // 3600)) if seconds < 2 * 86_400 else ("days", -(-seconds // 86_400))


def _reason(verdict: Verdict) -> str:
    """Which words say why: `checker.reason.<this>`."""
    match verdict.outcome:
        case Outcome.EXPIRED:
            return "nobody"
        case Outcome.DECLINED:
            return "access_denied" if verdict.code == Code.ACCESS_DENIED else "declined"
        case Outcome.REFUSED if verdict.code == Code.EXPIRED:
            return "document_expired"
        case Outcome.ACCEPTED if verdict.offline is not None:
            return "accepted_offline"
        case _:
            reason = verdict.code or verdict.outcome.value
            return reason if knows(f"checker.reason.{reason}") else "malformed"
