"""The population register: who lives here, and what of it other roles may see.

Promises: `search` and `get` never give a resident number, only `claims` does; every look at a person is written down
with who looked. Trusts: the peer door to say who asks, the vault to seal. Keeps: residents, their phones, the photos
of the archive. Refuses: half a search, more than twenty hits, an unknown person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from typing import Any, TypeVar

import msgspec

from ..audit import Event, record
from ..catalog import NumberScheme
from ..clock import Clock
from ..db import Db
from ..errors import Code, Refused
from ..keys import Vault
from ..peers import Peers
from .number import parse_number
from .portraits import portrait
from .store import PopulationStore, name_key
from .values import ClaimSet, Hits, Person, Resident

MOST_HITS = 20
BATCH = 5000
LONGEST_NAME = 100

T = TypeVar("T")


class Population:
    """The register itself. Implements `PopulationRegister`; `asked_by` names the role in the audit trail."""

    def __init__(self, db: Db, vault: Vault, clock: Clock, scheme: NumberScheme) -> None:
        self._db = db
        self._store = PopulationStore(db, vault)
        self._clock = clock
        self._scheme = scheme

    @property
    def store(self) -> PopulationStore:
        return self._store

    async def search(
        self, *, name: str = "", birth_date: date | None = None, resident_number: str = "", asked_by: str = "registers"
    ) -> Hits:
        """By number, or by name and birth date. Raises Refused(MALFORMED) when neither is whole."""
        if resident_number and not name and birth_date is None:
            found = await self._store.by_number(parse_number(self._scheme, resident_number))
        elif name_key(name) and len(name) <= LONGEST_NAME and birth_date is not None and not resident_number:
            found = await self._store.by_name(name, birth_date, MOST_HITS + 1)
        else:
            raise Refused(Code.MALFORMED, "search by resident number, or by name and birth date")
        hits = tuple(found[:MOST_HITS])
        await self._note("register", "searched", asked_by, hits=len(hits))
        return Hits(hits=hits, more=len(found) > MOST_HITS)

    async def get(self, person: str, asked_by: str = "registers") -> Person:
        """Raises Refused(NOT_FOUND)."""
        found = await self._store.person(person)
        if found is None:
            raise Refused(Code.NOT_FOUND, "no such person")
        photo = found.photo or await self._archive_photo(person, found)
        await self._note(person, "looked_at", asked_by)
        return msgspec.structs.replace(found, photo=photo)

    async def claims(self, person: str, asked_by: str = "registers") -> ClaimSet:
        """Raises Refused(NOT_FOUND)."""
        found = await self._store.claims(person)
        if found is None:
            raise Refused(Code.NOT_FOUND, "no such person")
        photo = found.portrait or await self._archive_photo(person, found)
        await self._note(person, "handed_over", asked_by)
        return msgspec.structs.replace(found, portrait=photo)

    async def load(self, residents: Iterable[Resident], progress: Callable[[int], None] = lambda done: None) -> int:
        """Take in any number of residents, a batch at a time; how many were read. Loading one twice changes nothing."""
        done = 0
        for batch in _batches(residents, BATCH):
            await self._store.add(batch)
            done += len(batch)
            progress(done)
        return done

    async def count(self) -> int:
        return await self._store.count()

    async def _archive_photo(self, person: str, of: Person | ClaimSet) -> bytes:
        """The photo archive delivers on first demand: a million drawn faces would only fill the disk."""
        seed = await self._store.undrawn_photo(person)
        if not seed or of.photo_taken is None:
            return b""
        jpeg = portrait(seed, age=of.photo_taken.year - of.birth_date.year, sex=of.sex)
        await self._store.keep_photo(person, jpeg)
        return jpeg

    async def _note(self, subject: str, action: str, actor: str, **facts: int) -> None:
        event, now = Event(subject, "resident", action, actor, facts), self._clock.now()
        await self._db.write(lambda tx: record(tx, event, now))


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


class PopulationClient:
    """The register as another role reaches it. Implements `PopulationRegister`."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    async def search(self, *, name: str = "", birth_date: date | None = None, resident_number: str = "") -> Hits:
        """Raises Refused(MALFORMED) or Refused(UNAVAILABLE)."""
        message: dict[str, Any] = {"resident_number": resident_number} if resident_number else {}
        if name:
            message["name"] = name
        if birth_date is not None:
            message["birth_date"] = birth_date.isoformat()
        return await self._ask("search", message, Hits)

    async def get(self, person: str) -> Person:
        """Raises Refused(NOT_FOUND) or Refused(UNAVAILABLE)."""
        return await self._ask("get", {"person": person}, Person)

    async def claims(self, person: str) -> ClaimSet:
        """Raises Refused(NOT_FOUND) or Refused(UNAVAILABLE)."""
        return await self._ask("claims", {"person": person}, ClaimSet)

    async def _ask(self, what: str, message: dict[str, Any], answer: type[T]) -> T:
        raw = await self._peers.call("registers", f"/registers/persons/{what}", message)
        try:
            return msgspec.convert(raw, answer)
        except msgspec.ValidationError:
            raise Refused(Code.UNAVAILABLE, "the register answered something unreadable; try again") from None
