"""The citizen's own page: what is on the phone, and the one report that locks everything.

Promises: nobody comes in without a fresh identity check meant for this role; an assertion opens one session; a session
lives ten minutes; the report of a lost phone locks every document at once and says since when. Trusts: the registers
role's key for who somebody is, the population register for whom a guardian acts for. Keeps: hashes of session tokens,
the name sealed, both for minutes. Refuses: assertions for another role, used twice or too old; to release a lock,
which takes a visit to the counter.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from mapae.audit import Event, events_about, record
from mapae.catalog import Country
from mapae.clock import Clock, Dice
from mapae.db import Db, Tx
from mapae.errors import Code, Refused
from mapae.keys import Vault
from mapae.registers.values import Person, PopulationRegister

from . import portal_store as store
from .desk_values import Issuing
from .identity import SKEW, Identity, Known
from .order import Holding

SESSION_LIFE: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Citizen:
    """Whoever is signed in, until `until` (epoch seconds)."""

    person: str
    name: str
    until: int


@dataclass(frozen=True, slots=True)
class Overview:
    """What the page says: the cards, and whether and since when they are locked."""

    holdings: tuple[Holding, ...]
    locked_since: int | None
    person: Person | None
    """Looked up only to name the wards of a guardian's documents; none while the register cannot be reached."""


class Portal:
    """Identity check, the report of a lost phone, and the list of documents."""

    def __init__(
        self,
        db: Db,
        clock: Clock,
        dice: Dice,
        vault: Vault,
        country: Country,
        issuer: Issuing,
        identity: Identity,
        register: PopulationRegister,
    ) -> None:
        self._db = db
        self._clock = clock
        self._dice = dice
        self._vault = vault
        self.country = country
        self._issuer = issuer
        self.identity = identity
        self._register = register

    # --- who is it -------------------------------------------------------------------------------------------------

    async def enter(self, check_id: str, code: str) -> str:
        """The code from the text message opens a session: its token."""
        return await self._open(await self.identity.confirm(check_id, code))

    async def enter_with(self, assertion: str, name: str) -> str:
        return await self._open(await self.identity.read(assertion, name))

    async def _open(self, known: Known) -> str:
        now = self._clock.now()
        at = int(now.timestamp())
        token = self._dice.token()
        who = self._vault.seal(known.name.encode(), _who_of(token))

        async def body(tx: Tx) -> None:
            over = int(self._clock.surely().timestamp())
            if not await store.take_assertion(tx, known.jti, known.expires + SKEW, over):
                raise Refused(Code.CODE_SPENT, "this identity check was used already", step="unused")
            await store.put_session(tx, _hash(token), known.person, who, at, at - int(SESSION_LIFE.total_seconds()))
            await record(tx, Event(known.person, "portal", "entered", "citizen"), now)

        await self._db.write(body)
        return token

    async def citizen(self, token: str) -> Citizen:
        """Whoever this session belongs to. Ten minutes, however busy: the page is for one errand."""
        at, life = int(self._clock.now().timestamp()), int(SESSION_LIFE.total_seconds())
        found = await store.session(self._db, _hash(token), at, at - life) if token else None
        if found is None:
            raise Refused(Code.NOT_SIGNED_IN, "the session is over: check your identity again")
        person, who, created = found
        return Citizen(person, self._vault.open(who, _who_of(token)).decode(), created + life)

    async def leave(self, token: str) -> None:
        await self._db.write(lambda tx: store.end_session(tx, _hash(token)))

    # --- what can be done ------------------------------------------------------------------------------------------

    async def overview(self, citizen: Citizen) -> Overview:
        holdings = tuple(await self._issuer.holdings(citizen.person))
        person = None
        if any(one.about for one in holdings):
            with suppress(Refused):  # a lost phone can be reported all the same
                person = await self._register.get(citizen.person)
        return Overview(holdings, await self._locked_since(citizen.person), person)

    async def report_lost(self, citizen: Citizen) -> None:
        """Lock everything now. Always asked of the issuer, whatever we believe: a lock twice is a lock."""
        await self._issuer.lock(citizen.person, "lost", "citizen")

    async def _locked_since(self, person: str) -> int | None:
        """From the issuer's own audit trail: the lock that no release or end has followed."""
        since: int | None = None
        for seen in await events_about(self._db, person):
            if seen.event.object == "documents" and seen.event.action == "locked":
                since = since if since is not None else int(seen.at.timestamp())
            elif seen.event.object == "documents" and seen.event.action in ("released", "ended"):
                since = None
        return since


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _who_of(token: str) -> bytes:
    return b"portal_session who " + _hash(token)
