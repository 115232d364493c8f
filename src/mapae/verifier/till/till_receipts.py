"""Receipts for checks that a till made with no network and reports when there is one again.

The page stood on a pack of some hours ago; it says which, by the heads that pack had. The receipt is the one of
`receipt.py`, signed by the shop, and its protected header says on which day the server heard of the check
(`reported`): whoever reads it later knows that nobody but the till vouches for its day.

Promises: what is signed names heads that our own log had; a check is dated to the day. Pure. Trusts: the till for what
it asked and how it ended. Keeps: nothing; the till has its receipts. Refuses: a purpose the shop has not registered, a
day that is no day of this pack's life, heads that the log never had.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from mapae.errors import Code, Refused
from mapae.formats.jose import sign_jws, x5c_header
from mapae.trust.entries import RelyingParty
from mapae.trust.pack.verify import Opened
from mapae.verifier.asking.questions import Access
from mapae.verifier.checking.receipt import TYPE, Outcome, Receipt, Registry, StatusEpoch, Tier, rule_digest, verify

MOST: Final = 50  # reported at once
OLDEST: Final = timedelta(days=31)
_AHEAD: Final = timedelta(minutes=5)
_NAME: Final = re.compile("[a-z_]{0,32}")


class Reported(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One check as the page tells it. Nothing here came from the customer's phone."""

    id: str
    purpose: str
    outcome: Outcome
    step: str
    code: str
    tier: Tier | None
    at: int
    registry: Registry
    status: tuple[StatusEpoch, ...]


def signed(
    reported: Reported, party: RelyingParty, access: Access, opened: Opened, now: datetime
) -> str:  # fmt: skip
    """Raises Refused(OVER_ASKING, MALFORMED) and what `receipt.verify` refuses."""
    purpose = next((one for one in party.purposes if one.id == reported.purpose), None)
    if purpose is None:
        raise Refused(Code.OVER_ASKING, "this relying party has not registered this purpose")
    if not (now - OLDEST).timestamp() <= reported.at <= (now + _AHEAD).timestamp():
        raise Refused(Code.MALFORMED, "the check is dated where no check of this till can be")
    made = Receipt(
        v=1, at=f"{datetime.fromtimestamp(reported.at, UTC):%Y-%m-%d}", asked_by=party.id, purpose=purpose.id,
        items=purpose.items, rule=rule_digest(purpose), outcome=reported.outcome, step=_word(reported.step),
        code=_word(reported.code), tier=reported.tier, registry=reported.registry, status=reported.status,
    )  # fmt: skip
    verify(made.encode(), opened)
    header = {"typ": TYPE, "x5c": x5c_header([access.x5c[0]]), "reported": f"{now.astimezone(UTC):%Y-%m-%d}"}
    return sign_jws(access.signer, header, made.encode())


def _word(text: str) -> str | None:
    if not _NAME.fullmatch(text):
        raise Refused(Code.MALFORMED, "not the name of a step or a code")
    return text or None
