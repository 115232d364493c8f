"""The attended kiosk: a shop's till asks one customer one question and learns the answer, nothing else.

Promises: `questions.py` keeps what it says of a question; a till sees only its own. Trusts: the vault, the clock.
Keeps: of the customer nothing. For a yes-or-no question not even the answer's items; the values of another question are
sealed, shown to the till that asked, and erased `SEEN` after the page first had them (`UNSEEN` after the answer when it
never did, at once when the clerk goes on). Ended questions are forgotten after `REMEMBER`. Refuses: a till that is not
enrolled, another till's question.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import httpx

from mapae.catalog import Country, Purpose
from mapae.clock import Clock, Dice
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.keys import Vault
from mapae.rules import Words
from mapae.ui.words import LANGUAGES, say
from mapae.verifier.asking import store
from mapae.verifier.asking.ask import OWN, PLAIN, Form, Manner
from mapae.verifier.asking.dark import Basement
from mapae.verifier.asking.questions import (
    LIFE,
    REMEMBER,
    UNSEEN,
    Access,
    Questions,
    TrustSource,
    read_manner,
)
from mapae.verifier.asking.store import Outcome, Session, Till, Verdict
from mapae.verifier.checking.typed import ALPHABET, read

__all__ = ["ENROLMENT", "LIFE", "REMEMBER", "SEEN", "UNSEEN", "Access", "Ended", "Verifier", "Waiting"]

SEEN: Final = timedelta(seconds=20)  # of shown values, from the moment the page first had them
INVITATION: Final = timedelta(minutes=10)
ENROLMENT: Final = timedelta(days=30)  # of a till
# 10 characters of 32 are 50 bits, good once and for ten minutes: even a thousand guesses a second find one with a
# chance of one in two thousand million, so guesses are not counted.
_CODE_LENGTH: Final = 10


@dataclass(frozen=True, slots=True)
class Invitation:
    """One-time leave to enrol a till of a shop."""

    code: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """The question is open. `qr` is the text of its code or link."""

    id: str
    purpose: Purpose
    items: tuple[Words, ...]
    qr: str
    seconds_left: int
    seconds: int
    fetched: bool
    answered: bool = False
    typed_back: bool = False  # it may be answered on another device, whose code is then typed here


@dataclass(frozen=True, slots=True)
class Ended:
    """The question has ended. `shown` has the values of a name-and-birth-date check until they are erased."""

    id: str
    purpose: Purpose
    items: tuple[Words, ...]
    verdict: Verdict
    shown: tuple[tuple[Words, str, str], ...]  # label, item name, value
    erased: bool
    seconds: int


class Verifier:
    """The shops this process asks for and their tills; a visitor's browser on a shop's website is a `Till` that was
    never enrolled. One object a process."""

    def __init__(
        self, *, db: Db, vault: Vault, clock: Clock, dice: Dice, http: httpx.AsyncClient, base: str, trust: TrustSource,
        country: Country, access: Mapping[str, Access], own_queries: bool = False, basement: Basement | None = None,
    ) -> None:  # fmt: skip
        self._db, self._vault, self._clock, self._dice = db, vault, clock, dice
        self._country = country
        self.questions = Questions(
            db=db, vault=vault, clock=clock, dice=dice, http=http, base=base, trust=trust, country=country,
            access=access, own_queries=own_queries, basement=basement,
        )  # fmt: skip
        self.basement = basement

    @property
    def shops(self) -> tuple[str, ...]:
        """The relying parties this process asks for."""
        return self.questions.parties

    # --- tills --------------------------------------------------------------------------------------------------------

    async def invite(self, relying_party: str, *, life: timedelta = INVITATION) -> Invitation:
        """A one-time code that enrols one browser as a till of this shop."""
        if relying_party not in self.shops:
            raise Refused(Code.UNKNOWN_RELYING_PARTY, "this process does not ask for that relying party")
        now = self._clock.now()
        code = "".join(ALPHABET[self._dice.below(len(ALPHABET))] for _ in range(_CODE_LENGTH))
        await store.add_invitation(self._db, self._code_index(code), relying_party, now, now + life)
        return Invitation("-".join((code[:4], code[4:8], code[8:])), now + life)

    async def enrol(self, typed: str) -> tuple[Till, str]:
        """Spend a code: the till and the token its browser keeps. Raises Refused(CODE_SPENT) when it is not live."""
        code = read(typed, _CODE_LENGTH)
        if code is None:
            raise Refused(Code.CODE_SPENT, "this is not a live enrolment code")
        now = self._clock.now()
        token = self._dice.token()
        drawn = Till(self._dice.token(12), "", now + ENROLMENT)
        till = await store.enrol(self._db, self._code_index(code), drawn, _digest(token), now)
        if till is None:
            raise Refused(Code.CODE_SPENT, "this is not a live enrolment code")
        return till, token

    async def till(self, token: str | None) -> Till | None:
        """Whose browser this is."""
        if token is None or len(token) > 128:
            return None
        return await store.till_of(self._db, _digest(token), self._clock.now())

    async def end_till(self, till: Till) -> None:
        await store.end_till(self._db, till.id, self._clock.now())

    async def shop(self, till: Till) -> Words:
        """The name of the till's shop, as the trust list and so the customer's wallet has it."""
        return self.questions.party(await self.questions.trust(), till.relying_party).name

    async def purposes(self, till: Till) -> list[Purpose]:
        """What this shop may ask for at a till or on its website, ready purposes first: a log-in is the bridge's."""
        may = await self.questions.purposes(till.relying_party)
        return [purpose for purpose in may.values() if not self._country.logs_in(purpose)]

    def yes_or_no(self, purpose: Purpose) -> bool:
        """Whether a purpose shows the clerk nothing but yes or no."""
        document = self._country.documents[purpose.document]
        return all(document.claim(name).kind == "yes_no" for name in purpose.items)

    def learned(self, purpose: Purpose) -> dict[str, str]:
        """The names of its items, in one line."""
        labels = self._labels(purpose)
        return {language: ", ".join(one.pick(language) for one in labels) for language in LANGUAGES}

    # --- questions ----------------------------------------------------------------------------------------------------

    async def open(self, till: Till, purpose: str, form: Form = Form.EITHER, manner: Manner = PLAIN) -> str:
        """Put a question; its id. The till's earlier question, if it is still open, is cancelled."""
        return await self.questions.put(till.id, till.relying_party, purpose, form, manner)

    async def look(self, till: Till, id: str) -> Waiting | Ended:
        """What the page shows now. Raises Refused(NOT_FOUND) for another till's question."""
        await self.sweep()
        session = await self.questions.of(till.id, id)
        purpose = _own_query() if session.purpose == OWN else await self.questions.about(session)
        now = self._clock.now()
        if session.verdict is not None:
            return await self._ended(session, purpose, session.verdict, now)
        left = max(0, round((session.expires_at - now).total_seconds()))
        life = round((session.expires_at - session.opened_at).total_seconds())
        items, text = self._labels(purpose), self.questions.link(session)
        across = read_manner(session).typed_back
        return Waiting(id, purpose, items, text, left, life, session.fetched, session.answered, across)

    async def cancel(self, till: Till, id: str) -> None:
        """The clerk goes back. An answer that came first stands."""
        await self.questions.cancel(till.id, id)

    async def done(self, till: Till, id: str) -> None:
        """Next customer: what was shown is erased now."""
        await self.questions.erase(till.id, id)

    async def request_object(self, id: str, wallet_nonce: str | None = None) -> str:
        return await self.questions.request_object(id, wallet_nonce)

    async def answer(self, id: str, fields: Mapping[str, str]) -> str | None:
        return await self.questions.answer(id, fields)

    async def sweep(self) -> None:
        await self.questions.sweep()

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _ended(self, session: Session, purpose: Purpose, verdict: Verdict, now: datetime) -> Ended:
        shown: tuple[tuple[Words, str, str], ...] = ()
        if session.shown is not None and purpose.items:  # whoever wrote a query of their own reads the answer elsewhere
            await store.hasten_erasure(self._db, session.id, now + SEEN)
            document = self._country.documents[purpose.document]
            values = self.questions.reveal(session)
            shown = tuple((document.claim(name).label, name, str(value)) for name, value in values.items())
        values_came = bool(purpose.items) and not self.yes_or_no(purpose)
        erased = verdict.outcome is Outcome.ACCEPTED and values_came and not shown
        items = self._labels(purpose)
        return Ended(session.id, purpose, items, verdict, shown, erased, int(SEEN.total_seconds()))

    def _labels(self, purpose: Purpose) -> tuple[Words, ...]:
        if not purpose.items:
            return ()
        document = self._country.documents[purpose.document]
        return tuple(document.claim(name).label for name in purpose.items)

    def _code_index(self, code: str) -> bytes:
        return self._vault.index(code, b"till_invitation.code")


def _own_query() -> Purpose:
    """What a page says of a question outside the pack's purposes: no items, for the query names its own."""
    words = Words(ko=say("ko", "checker.own_query"), en=say("en", "checker.own_query"))
    return Purpose(document="", name=words, why=words, legal_basis=words, items=(), retention=words, id=OWN)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
