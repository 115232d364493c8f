"""The population register: who lives here, and what of it other roles may see.

Promises: `search` and `get` never give a resident number, only `claims` does; every look at a person and every change
is written down with who it was. Trusts: the peer door to say who asks, the vault to seal. Keeps: residents, their
phones, the photos of the archive. Refuses: half a search, more than twenty hits, an unknown person, a photo or a card
older than the one on record.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import date
from typing import Any, TypeVar

import msgspec

from ..audit import Event, record
from ..clock import Clock
from ..db import Db, Tx
from ..errors import Code, Refused
from ..keys import Vault
from ..peers import Peers
from ..rules import NumberScheme
from .number import parse_number
from .portraits import portrait
from .store import PopulationStore, name_key
from .values import CardState, Changed, ClaimSet, Compared, Hits, Person, PhysicalCard, Resident, Whose

MOST_HITS = 20
BATCH = 5000
LONGEST_NAME = 100
LARGEST_PHOTO = 512 * 1024
LONGEST_CARD_NUMBER = 20
LONGEST_DOCUMENT_NUMBER = 40
_JPEG = b"\xff\xd8\xff"

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

    async def named(self, name: str, birth_date: date, phone: str, asked_by: str = "registers") -> str | None:
        """Whose name, birthday and phone these are; `phone` in the country's spelling. The trail says that somebody was
        looked for, the same whether or not there is one."""
        if not name_key(name) or len(name) > LONGEST_NAME:
            raise Refused(Code.MALFORMED, "the name is missing or too long")
        found = await self._store.named(name, birth_date, phone)
        await self._note("register", "named", asked_by)
        return found

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

    async def document_matches(self, person: str, kind: str, number: str, asked_by: str = "registers") -> bool:
        """Whether this number is the person's; no number ever comes out."""
        if not number.strip() or len(number) > LONGEST_DOCUMENT_NUMBER:
            raise Refused(Code.MALFORMED, "a document's number is missing or too long")
        matches = await self._store.has_document(person, kind, number)
        await self._note(person, "document_compared", asked_by, matches=int(matches))
        return matches

    async def put_photo(self, person: str, jpeg: bytes, taken: date, asked_by: str = "registers") -> bool:
        """The photo on record from now on; False when a later one is there. Raises Refused(MALFORMED, NOT_FOUND)."""
        if not jpeg.startswith(_JPEG) or len(jpeg) > LARGEST_PHOTO:
            raise Refused(Code.MALFORMED, "a photo on record is a JPEG of at most 512 KiB")
        return await self._put(
            person, "photo_renewed", asked_by, lambda tx: self._store.put_photo(tx, person, jpeg, taken)
        )

    async def put_card(self, person: str, card: PhysicalCard, asked_by: str = "registers") -> bool:
        """The card the person holds from now on; False when a later one is there. Raises Refused(NOT_FOUND)."""
        if not card.number or len(card.number) > LONGEST_CARD_NUMBER:
            raise Refused(Code.MALFORMED, "a card needs its number")
        return await self._put(person, "card_given", asked_by, lambda tx: self._store.put_card(tx, person, card))

    async def mark_card(self, person: str, number: str, state: CardState, asked_by: str = "registers") -> bool:
        """The person's card is lost, or has been handed in; False when that is not the card on record (any more)."""
        if state == "valid":
            raise Refused(Code.MALFORMED, "a card becomes valid by being given")
        action = f"card_{state}"
        return await self._put(
            person, action, asked_by, lambda tx: self._store.mark_card(tx, person, number, state)
        )  # fmt: skip

    async def _put(self, person: str, action: str, actor: str, put: Callable[[Tx], Awaitable[bool]]) -> bool:
        now = self._clock.now()

        async def body(tx: Tx) -> bool:
            changed = await put(tx)
            if changed:
                await record(tx, Event(person, "resident", action, actor), now)
            return changed

        if await self._store.person(person) is None:
            raise Refused(Code.NOT_FOUND, "no such person")
        return await self._db.write(body)

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
    """The register as another role reaches it. Implements `PopulationRegister` and `DocumentNumbers`."""

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

    async def named(self, name: str, birth_date: date, phone: str) -> str | None:
        """Raises Refused(MALFORMED or UNAVAILABLE)."""
        message = {"name": name, "birth_date": birth_date.isoformat(), "phone": phone}
        return (await self._ask("named", message, Whose)).person

    async def get(self, person: str) -> Person:
        """Raises Refused(NOT_FOUND) or Refused(UNAVAILABLE)."""
        return await self._ask("get", {"person": person}, Person)

    async def claims(self, person: str) -> ClaimSet:
        """Raises Refused(NOT_FOUND) or Refused(UNAVAILABLE)."""
        return await self._ask("claims", {"person": person}, ClaimSet)

    async def document_matches(self, person: str, kind: str, number: str) -> bool:
        """Raises Refused(MALFORMED) or Refused(UNAVAILABLE)."""
        return (await self._ask("document", {"person": person, "kind": kind, "number": number}, Compared)).matches

    async def put_photo(self, person: str, jpeg: bytes, taken: date) -> bool:
        """Raises Refused(MALFORMED, NOT_FOUND or UNAVAILABLE)."""
        photo = b64encode(jpeg).decode()
        return (
            await self._ask("photo", {"person": person, "photo": photo, "taken": taken.isoformat()}, Changed)
        ).changed

    async def put_card(self, person: str, card: PhysicalCard) -> bool:
        """Raises Refused(MALFORMED, NOT_FOUND or UNAVAILABLE)."""
        return (await self._ask("card", {"person": person, "card": msgspec.to_builtins(card)}, Changed)).changed

    async def mark_card(self, person: str, number: str, state: CardState) -> bool:
        """Raises Refused(MALFORMED, NOT_FOUND or UNAVAILABLE)."""
        return (await self._ask("card-state", {"person": person, "number": number, "state": state}, Changed)).changed

    async def _ask(self, what: str, message: dict[str, Any], answer: type[T]) -> T:
        raw = await self._peers.call("registers", f"/registers/persons/{what}", message)
        try:
            return msgspec.convert(raw, answer)
        except msgspec.ValidationError:
            raise Refused(Code.UNAVAILABLE, "the register answered something unreadable; try again") from None
