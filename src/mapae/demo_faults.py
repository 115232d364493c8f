"""Faults on purpose, for whoever builds something that asks: a real wallet whose next answer is wrong in one way.

Promises: whatever is sent is a real message of the protocol, signed with the holder's own key, and wrong in just the
one way that was chosen; `MUST_SEE` is what a right verifier makes of it. Trusts: the demo country, whose cards and
people are made up. Keeps: nothing. Refuses: nothing; it is reachable in the demo country alone (`demo_sandbox`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from .formats.dcql import MDOC
from .formats.jose import Signing, sign_jws, x5c_header
from .formats.sd_jwt import SdJwt
from .holder import Wallet
from .holder.choose import Match
from .holder.pocket import Pocket
from .holder.presentation import Presentation
from .holder.request import Request
from .holder.store import Copy
from .holder.trusted import Trust
from .holder.wire import Wire

OFF: Final = timedelta(minutes=10)
SLOW: Final = 20.0  # seconds


class Fault(StrEnum):
    NONE = "none"
    OUTAGE = "outage"  # the line goes down before the answer leaves
    AHEAD = "ahead"  # the phone's clock
    BEHIND = "behind"
    REPLAY = "replay"  # an answer that was given to an earlier question
    REVOKED_SIGNER = "revoked_signer"  # the card's signer has been revoked in the trust log
    OVER_DISCLOSURE = "over_disclosure"
    WRONG_NONCE = "wrong_nonce"
    WRONG_AUDIENCE = "wrong_audience"
    SLOW = "slow"
    NOBODY = "nobody"


class Seen(NamedTuple):
    """`outcome`, `step` and `code` of a verdict, as the HTTP interface and the checker name them. Empty: whatever it
    would be without the fault."""

    outcome: str = ""
    step: str = ""
    code: str = ""


MUST_SEE: Final[Mapping[Fault, Seen]] = {
    Fault.NONE: Seen(),
    Fault.OUTAGE: Seen("expired"),
    Fault.AHEAD: Seen("refused", "holder", "bad_holder_proof"),
    Fault.BEHIND: Seen("refused", "holder", "bad_holder_proof"),
    Fault.REPLAY: Seen("refused", "holder", "wrong_nonce"),
    Fault.REVOKED_SIGNER: Seen("refused", "issuer", "signer_revoked"),
    Fault.OVER_DISCLOSURE: Seen("refused", "request", "not_what_was_asked"),
    Fault.WRONG_NONCE: Seen("refused", "holder", "wrong_nonce"),
    Fault.WRONG_AUDIENCE: Seen("refused", "holder", "wrong_audience"),
    Fault.SLOW: Seen(),
    Fault.NOBODY: Seen("expired"),
}
SENT: Final = frozenset(Fault) - {Fault.OUTAGE, Fault.NOBODY}
# A fault in the signed parts of an SD-JWT: the request must take that format.
SD_JWT_ONLY: Final = SENT - {Fault.NONE, Fault.SLOW}


class Resealed(NamedTuple):
    """A document signer that the country's authority certified and the trust log revoked."""

    signer: Signing
    x5c: tuple[bytes, ...]


class FaultyWallet(Wallet):
    """A citizen's wallet; `fault` is how its next answer is wrong, `old_copies` that it shows copies that are over."""

    def __init__(self, *args: object, old_copies: bool = False, **more: object) -> None:
        super().__init__(*args, **more)  # type: ignore[arg-type]
        self._presentation = self.faulty = Faulty(self._pocket, self._wire, self._trust)
        self.faulty.old_copies = old_copies


class Faulty(Presentation):
    def __init__(self, pocket: Pocket, wire: Wire, trust: Trust) -> None:
        super().__init__(pocket, wire, trust)
        self.fault = Fault.NONE
        self.resealed: Resealed | None = None
        self.old_copies = False

    def _unused(self, card_id: str) -> Copy:
        card = self._pocket.state.cards.get(card_id)
        if self.old_copies and card is not None and card.copies:
            return card.copies[0]
        return super()._unused(card_id)

    def _present(self, made: Request, match: Match, copy: Copy, transactions: Sequence[str]) -> str:
        if self.fault in (Fault.NONE, Fault.SLOW) or match.format == MDOC:
            return super()._present(made, match, copy, transactions)
        whole = SdJwt.parse(copy.raw)
        if self.fault is Fault.REVOKED_SIGNER and self.resealed is not None:
            whole = _resealed(whole, self.resealed)
        shown = whole if self.fault is Fault.OVER_DISCLOSURE else whole.disclose(match.paths)
        nonce, audience, now = made.nonce, made.audience, self._pocket.now()
        match self.fault:
            case Fault.AHEAD:
                now += OFF
            case Fault.BEHIND:
                now -= OFF
            case Fault.REPLAY:  # what answered somebody's question of a minute ago: its nonce, and its time
                nonce, now = self._pocket.dice.token(), now - timedelta(minutes=1)
            case Fault.WRONG_NONCE:
                nonce = self._pocket.dice.token()
            case Fault.WRONG_AUDIENCE:
                audience = "x509_hash:" + self._pocket.dice.token()
            case _:
                pass
        return shown.bind(
            self._pocket.keys.signer(copy.key), nonce=nonce, audience=audience, now=now, transaction_data=transactions
        )


def _resealed(whole: SdJwt, by: Resealed) -> SdJwt:
    """The same card as if that signer had issued it."""
    header = {**whole.jws.header, "x5c": x5c_header(by.x5c)}
    header.pop("alg", None)
    token = sign_jws(by.signer, header, msgspec.json.decode(whole.jws.payload))
    return SdJwt.parse("~".join((token, *whole.disclosures, "")))
