"""Requests of citizens to a relying party: erase what you keep of me, or explain what you did.

Promises: whoever holds the token a request came with, and nobody else, sees how it stands: received, overdue after the
country's days, answered, refused with a reason, or asked to show the same again. The same request twice is one. Trusts:
the vault, the clock, the till's enrolment for whose requests it may read. Keeps: what the citizen wrote, sealed; no
name, number or address unless the words hold one; all of it for `KEEP` after the answer. Refuses: unknown parties and
purposes, items nobody may be asked for, a second and different request under one token, a till of another shop, and
more than `MOST` open requests of one party, so that a flood fills nothing.

Who asks is not proven here, on purpose: by default a relying party keeps nothing, so there is nobody to match, and a
presentation sent along would tell it more than it had. Where it does keep something and has to know whose it is, it
answers SHOW_AGAIN: the citizen comes, says the request's number, and answers an ordinary check of the same purpose.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from mapae.audit import Event, record
from mapae.catalog import Country, Purpose
from mapae.clock import Clock, Dice
from mapae.db import Db, Tx, moment
from mapae.errors import Code, Refused
from mapae.formats.jose import b64u, unb64u
from mapae.keys import Vault
from mapae.rules import Words
from mapae.verifier.asking.store import Till
from mapae.verifier.privacy import store

KEEP: Final = timedelta(days=365)
OLDEST: Final = timedelta(days=3660)
MOST: Final = 2000  # open requests of one party
LISTED: Final = 100
WORDS: Final = 1000
MOST_ITEMS: Final = 24
SKEW: Final = 300  # seconds a phone's clock may be ahead
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # bidi tricks as well


async def _none(party: str) -> Mapping[str, Purpose]:
    return {}


class Kind(StrEnum):
    ERASURE = "erasure"
    COMPLAINT = "complaint"


class Outcome(StrEnum):
    """How the relying party answered."""

    OPEN = "open"
    NOTHING_KEPT = "nothing_kept"
    ERASED = "erased"
    EXPLAINED = "explained"
    SHOW_AGAIN = "show_again"
    LAW_KEEPS = "law_keeps"
    NOT_YOURS = "not_yours"


STATES: Final = {
    Outcome.OPEN: "received", Outcome.NOTHING_KEPT: "answered", Outcome.ERASED: "answered",
    Outcome.EXPLAINED: "answered", Outcome.SHOW_AGAIN: "show_again", Outcome.LAW_KEEPS: "refused",
    Outcome.NOT_YOURS: "refused",
}  # fmt: skip


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a phone sends. `items` are names, never values; `shown_at` is the moment the phone's own log has."""

    kind: Kind
    purpose: str
    items: tuple[str, ...]
    shown_at: int
    words: str


@dataclass(frozen=True, slots=True)
class Standing:
    """What the citizen sees."""

    number: str
    state: str
    outcome: str
    received_at: int
    due_at: int
    overdue: bool
    reply: str
    answered_at: int | None


@dataclass(frozen=True, slots=True)
class Line:
    """What a till of the relying party sees."""

    id: str
    kind: Kind
    purpose: Words
    items: tuple[Words, ...]
    shown_at: datetime
    received_at: datetime
    due_at: datetime
    words: str
    standing: Standing


class Privacy:
    def __init__(
        self, *, db: Db, vault: Vault, clock: Clock, dice: Dice, country: Country, parties: Collection[str],
        own: Callable[[str], Awaitable[Mapping[str, Purpose]]] = _none,
    ) -> None:  # fmt: skip
        """`own`: what a party may ask for today, its own purposes among it."""
        self._db, self._vault, self._clock, self._dice = db, vault, clock, dice
        self._country, self._parties, self._own = country, parties, own  # they may grow

    async def take(self, party: str, token: str, wish: Wish) -> Standing:
        """Raises Refused(NOT_FOUND, MALFORMED, CONFLICT, TOO_OFTEN)."""
        if party not in self._parties:
            raise Refused(Code.NOT_FOUND, "this relying party takes no requests here")
        now, id = self._clock.now(), _id(token)
        purpose = (await self._purposes(party)).get(wish.purpose)
        # What was asked for a purpose of the party's own may have to be erased after that has ended.
        must_be_sound(wish, purpose, now, self._once(purpose), ended=wish.purpose.startswith(f"own_{party}_"))
        at, context = int(now.timestamp()), b"privacy_request.words " + id.encode()
        row = store.Row(
            id=id, party=party, number=self._dice.digits(8), kind=wish.kind, purpose=wish.purpose, items=wish.items,
            shown_at=wish.shown_at, words=self._vault.seal(wish.words.encode(), context), received_at=at,
            due_at=int((now + timedelta(days=self._country.privacy.answer_days)).timestamp()), outcome=Outcome.OPEN,
        )  # fmt: skip

        async def body(tx: Tx) -> store.Row:
            await tx.serial(f"privacy:{party}")
            before = await store.row(tx, id)
            if before is not None:
                return before
            if await store.count_open(tx, party) >= MOST:
                raise Refused(Code.TOO_OFTEN, "this relying party has more requests than it answers; try again later")
            await store.add(tx, row)
            await record(tx, Event(party, "privacy_request", "received", "citizen", {"kind": wish.kind.value}), now)
            return row

        kept = await self._db.write(body)
        if kept is not row and (kept.party, self._wish(kept)) != (party, wish):
            raise Refused(Code.CONFLICT, "another request came with this token")
        return self._standing(kept, now)

    async def standing(self, party: str, token: str) -> Standing:
        """Raises Refused(NOT_FOUND) for any token but the one it came with."""
        kept = await store.row(self._db, _id(token))
        if kept is None or kept.party != party:
            raise Refused(Code.NOT_FOUND, "there is no such request")
        return self._standing(kept, self._clock.now())

    async def of(self, till: Till) -> list[Line]:
        """The requests to the till's shop: open ones first, the oldest of them before the others."""
        now, purposes = self._clock.now(), await self._purposes(till.relying_party)
        rows = await store.of_party(self._db, till.relying_party, LISTED)
        return [self._line(row, purposes, now) for row in rows]

    async def answer(self, till: Till, id: str, outcome: Outcome, words: str) -> None:
        """For good, but for SHOW_AGAIN, after which another answer comes. Raises Refused(NOT_FOUND, CONFLICT)."""
        words = _plain(words)
        if outcome is Outcome.OPEN or (not words and outcome in (Outcome.EXPLAINED, Outcome.LAW_KEEPS)):
            raise Refused(Code.MALFORMED, "an answer needs its words", step="words")
        now = self._clock.now()
        sealed = self._vault.seal(words.encode(), b"privacy_request.reply " + id.encode())

        async def body(tx: Tx) -> None:
            kept = await store.row(tx, id)
            if kept is None or kept.party != till.relying_party:
                raise Refused(Code.NOT_FOUND, "there is no such request")
            if not await store.answer(tx, id, outcome, sealed, int(now.timestamp())):
                raise Refused(Code.CONFLICT, "it has been answered")
            facts = {"outcome": outcome.value}
            await record(tx, Event(till.relying_party, "privacy_request", "answered", till.id, facts), now)

        await self._db.write(body)

    async def sweep(self) -> int:
        """Forget what was answered long ago, and what nobody ever answered for twice as long."""
        now = self._clock.surely()
        return await self._db.write(
            lambda tx: store.forget(tx, int((now - KEEP).timestamp()), int((now - 2 * KEEP).timestamp()))
        )

    def _wish(self, row: store.Row) -> Wish:
        words = self._vault.open(row.words, b"privacy_request.words " + row.id.encode()).decode()
        return Wish(Kind(row.kind), row.purpose, row.items, row.shown_at, words)

    def _standing(self, row: store.Row, now: datetime) -> Standing:
        outcome, reply = Outcome(row.outcome), ""
        if row.reply is not None:
            reply = self._vault.open(row.reply, b"privacy_request.reply " + row.id.encode()).decode()
        overdue = outcome in (Outcome.OPEN, Outcome.SHOW_AGAIN) and row.due_at <= now.timestamp()
        return Standing(
            row.number, STATES[outcome], outcome.value, row.received_at, row.due_at, overdue, reply, row.answered_at
        )

    async def _purposes(self, party: str) -> Mapping[str, Purpose]:
        """The pack's as well where nobody can say what is registered: requests are taken, and read, all the same."""
        try:
            return {**self._country.purposes, **await self._own(party)}
        except Refused:
            return self._country.purposes

    def _once(self, purpose: Purpose | None) -> Collection[str]:
        """What a party may have registered besides, and asked, before its registration ended or changed."""
        document = self._country.documents.get(purpose.document) if purpose is not None else None
        return document.may_be_asked if document is not None else ()

    def _line(self, row: store.Row, purposes: Mapping[str, Purpose], now: datetime) -> Line:
        """A purpose may have left the pack since, or ended, or an item the purpose: then it has its bare name."""
        wish, purpose = self._wish(row), purposes.get(row.purpose)
        claims = self._country.documents[purpose.document].claims if purpose is not None else ()
        labels = {claim.name: claim.label for claim in claims}
        return Line(
            row.id, wish.kind, purpose.name if purpose is not None else Words(ko=row.purpose, en=row.purpose),
            tuple([labels.get(item, Words(ko=item, en=item)) for item in row.items]), moment(row.shown_at),
            moment(row.received_at), moment(row.due_at), wish.words, self._standing(row, now),
        )  # fmt: skip


def must_be_sound(
    wish: Wish, purpose: Purpose | None, now: datetime, more: Collection[str] = (), *, ended: bool = False
) -> None:
    """`more`: items of its document that the purpose may have had. `ended`: without a purpose, the shape of the names
    is all there is to look at."""
    if purpose is not None:
        known = set(wish.items) <= {*purpose.items, *more}
    else:
        known = ended and len(wish.items) <= MOST_ITEMS and all(map(_NAME.fullmatch, (wish.purpose, *wish.items)))
    if not known or len(set(wish.items)) != len(wish.items):
        raise Refused(Code.MALFORMED, "there is no such purpose, or the purpose has no such item")
    at = now.timestamp()
    if not at - OLDEST.total_seconds() < wish.shown_at <= at + SKEW:
        raise Refused(Code.MALFORMED, "the moment is in the future, or too long ago")
    if not wish.words or _plain(wish.words) != wish.words:
        raise Refused(Code.MALFORMED, "the words are missing, or not plain text")


def _plain(words: str) -> str:
    """Text of several lines, as a person writes it. Nothing in it is ever markup: pages escape it."""
    text = words.replace("\r\n", "\n").strip()
    if len(text) > WORDS or _CONTROL.search(text) or not _encodes(text):
        raise Refused(Code.MALFORMED, f"at most {WORDS} characters of plain text", step="words")
    return text


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _id(token: str) -> str:
    """Of the token only this is kept. 128 bits at the least, so that nobody guesses one."""
    if not 16 <= len(unb64u(token)) <= 64:
        raise Refused(Code.MALFORMED, "the token is too short or too long")
    return b64u(hashlib.sha256(b"mapae privacy request " + token.encode()).digest())
