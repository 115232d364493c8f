"""Every SQL statement of the registers role, and of the simulated carrier's own database.

Promises: residents, phone lines, identity checks and knocks go in and out as values; a spent or counted try is one
compare-and-swap. Trusts: `Vault` for sealing and blind indexes, `Db` for transactions. Keeps: the tables of
migrations/registers and migrations/carrier. Refuses: nothing by itself; a number or a phone never stands in a row
unsealed.
"""

from __future__ import annotations

import unicodedata
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import msgspec

from ..db import Db, Row, Tx, Value
from ..entitlements import WARD
from ..formats.jose import b64u
from ..keys import Vault
from .values import ClaimSet, Hit, Person, PhysicalCard, Resident, ResidentNumber


def name_key(name: str) -> str:
    """How names are compared: composed, without spaces, without case."""
    return "".join(unicodedata.normalize("NFC", name).split()).casefold()


# --- the population ---------------------------------------------------------------------------------------------------

MOST_WARDS: Final = 20  # of one guardian; more are no family any page could show

_INSERT_RESIDENT = (
    "INSERT INTO resident (person, number_index, number_sealed, number_masked, name, name_key, name_latin,"
    " former_names, birth_date, sex, nationality, citizen, municipality, address, moved_in, deceased_on, guardian,"
    " card_number, card_issued, card_kind, card_state, photo_taken, photo_seed)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)"
    " ON CONFLICT DO NOTHING"
)
_INSERT_PHONE = "INSERT INTO phone_line (phone_index, person, phone_sealed) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"

NUMBER = "number"  # the field of a record that officers are not shown
_INSERT_DOCUMENT = "INSERT INTO other_document (person, kind, number_index) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"

_INSERT_RECORD = "INSERT INTO document_record (person, kind, sealed) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"


@dataclass(frozen=True, slots=True)
class Match:
    """A person whose name, number and phone belong together."""

    person: str
    name: str


class PopulationStore:
    def __init__(self, db: Db, vault: Vault) -> None:
        self._db = db
        self._vault = vault

    def person_id(self, number: ResidentNumber) -> str:
        """An opaque id: a keyed hash nobody without the vault can recompute, so loading twice changes nothing."""
        raw = self._vault.index(number.written, b"resident.person")[:24]
        return urlsafe_b64encode(raw).decode()

    async def add(self, residents: Sequence[Resident]) -> None:
        """Take in residents in one transaction; one whose number is known already stays as it is."""
        known = [(self.person_id(resident.number), resident) for resident in residents]
        known.sort(key=lambda one: one[0])  # neighbours in the index are written together
        rows = [self._resident_row(person, resident) for person, resident in known]
        lines = [line for person, resident in known for line in self._phone_rows(person, resident)]
        papers = [
            (person, kind, self._document_index(kind, number))
            for person, resident in known
            for kind, number in resident.documents
        ]

        records = [row for person, resident in known for row in self._record_rows(person, resident)]

        async def body(tx: Tx) -> None:
            await tx.many(_INSERT_RESIDENT, rows)
            await tx.many(_INSERT_PHONE, lines)
            await tx.many(_INSERT_DOCUMENT, papers)
            await tx.many(_INSERT_RECORD, records)

        await self._db.write(body)

    def _resident_row(self, person: str, resident: Resident) -> tuple[Value, ...]:
        number, card = resident.number, resident.card
        card_row: tuple[Value, ...] = (None, None, None, None)
        if card is not None:
            card_row = (card.number, card.issued.isoformat(), card.kind, card.state)
        return (
            person,
            self._vault.index(number.written, b"resident.number"),
            self._vault.seal(number.written.encode(), b"resident.number " + person.encode()),
            number.masked,
            resident.name,
            name_key(resident.name),
            resident.name_latin,
            msgspec.json.encode(resident.former_names).decode(),
            number.birth_date.isoformat(),
            number.sex,
            resident.nationality,
            int(number.citizen),
            resident.municipality,
            resident.address,
            _text(resident.moved_in),
            _text(resident.deceased_on),
            self.person_id(resident.guardian) if resident.guardian is not None else None,
            *card_row,
            _text(resident.photo_taken),
            resident.photo_seed,
        )

    def _phone_rows(self, person: str, resident: Resident) -> list[tuple[Value, ...]]:
        context = b"phone_line.phone " + person.encode()
        return [
            (self._vault.index(phone, b"phone_line.phone"), person, self._vault.seal(phone.encode(), context))
            for phone in resident.phones
        ]

    def _document_index(self, kind: str, number: str) -> bytes:
        """Letters and digits alone count: people write the hyphens or leave them."""
        written = "".join(letter for letter in number.upper() if letter.isalnum())
        return self._vault.index(f"{kind} {written}", b"other_document.number")

    def _record_rows(self, person: str, resident: Resident) -> list[tuple[Value, ...]]:
        """What its register says of a document, the number with it, sealed as one."""
        numbers = dict(resident.documents)
        rows: list[tuple[Value, ...]] = []
        for kind, said in resident.records.items():
            whole = said | ({NUMBER: numbers[kind]} if kind in numbers else {})
            rows.append((person, kind, self._vault.seal(msgspec.json.encode(whole), _record_of(person, kind))))
        return rows

    async def records(self, person: str, *, numbers: bool) -> dict[str, dict[str, str]]:
        """By kind; and of every living person this one is guardian of, name and birth date, under a mark."""
        found: dict[str, dict[str, str]] = {}
        for row in await self._db.all("SELECT kind, sealed FROM document_record WHERE person = $1", person):
            raw = self._vault.open(bytes(row["sealed"]), _record_of(person, row["kind"]))
            said = msgspec.json.decode(raw, type=dict[str, str])
            found[row["kind"]] = {field: text for field, text in said.items() if numbers or field != NUMBER}
        wards = await self._db.all(
            "SELECT person, name, birth_date FROM resident WHERE guardian = $1 AND deceased_on IS NULL"
            " ORDER BY birth_date, person LIMIT $2",
            person, MOST_WARDS,
        )  # fmt: skip
        for row in wards:
            mark = b64u(self._vault.index(f"{person} {row['person']}", b"resident.ward")[:12])
            found[f"{WARD}:{mark}"] = {"name": row["name"], "birth_date": row["birth_date"]}
        return found

    async def has_document(self, person: str, kind: str, number: str) -> bool:
        row = await self._db.one(
            "SELECT number_index FROM other_document WHERE person = $1 AND kind = $2", person, kind
        )
        return row is not None and bytes(row["number_index"]) == self._document_index(kind, number)

    async def by_number(self, number: ResidentNumber) -> list[Hit]:
        index = self._vault.index(number.written, b"resident.number")
        return [_hit(row) for row in await self._db.all("SELECT * FROM resident WHERE number_index = $1", index)]

    async def by_name(self, name: str, birth_date: date, limit: int) -> list[Hit]:
        rows = await self._db.all(
            "SELECT * FROM resident WHERE name_key = $1 AND birth_date = $2 ORDER BY municipality, person LIMIT $3",
            name_key(name), birth_date.isoformat(), limit,
        )  # fmt: skip
        return [_hit(row) for row in rows]

    async def person(self, person: str) -> Person | None:
        row = await self._db.one("SELECT * FROM resident WHERE person = $1", person)
        if row is None:
            return None
        return msgspec.structs.replace(_person(row), records=await self.records(person, numbers=False))

    async def claims(self, person: str) -> ClaimSet | None:
        row = await self._db.one("SELECT * FROM resident WHERE person = $1", person)
        if row is None:
            return None
        number = self._vault.open(bytes(row["number_sealed"]), b"resident.number " + person.encode()).decode()
        return ClaimSet(
            person=person,
            name=row["name"],
            name_latin=row["name_latin"],
            birth_date=date.fromisoformat(row["birth_date"]),
            sex=row["sex"],
            nationality=row["nationality"],
            citizen=bool(row["citizen"]),
            deceased_on=_day(row["deceased_on"]),
            resident_number=number,
            address=row["address"],
            municipality=row["municipality"],
            portrait=bytes(row["photo"] or b""),
            photo_taken=_day(row["photo_taken"]),
            records=await self.records(person, numbers=True),
        )

    async def phones_of(self, person: str) -> list[str] | None:
        """Every number in the person's name, in a lasting order; None: there is no such person."""
        if await self._db.one("SELECT 1 AS found FROM resident WHERE person = $1", person) is None:
            return None
        rows = await self._db.all("SELECT phone_sealed FROM phone_line WHERE person = $1", person)
        context = b"phone_line.phone " + person.encode()
        return sorted(self._vault.open(bytes(row["phone_sealed"]), context).decode() for row in rows)

    async def undrawn_photo(self, person: str) -> str:
        """The seed of a photo the archive has not delivered yet, or ""."""
        row = await self._db.one("SELECT photo_seed FROM resident WHERE person = $1 AND photo IS NULL", person)
        return row["photo_seed"] if row is not None else ""

    async def keep_photo(self, person: str, jpeg: bytes) -> None:
        await self._db.run("UPDATE resident SET photo = $2 WHERE person = $1 AND photo IS NULL", person, jpeg)

    async def put_photo(self, tx: Tx, person: str, jpeg: bytes, taken: date) -> bool:
        """False when this one or a later one is there already, or nobody of that id."""
        return await tx.run(
            "UPDATE resident SET photo = $2, photo_taken = $3"
            " WHERE person = $1 AND (photo_taken IS NULL OR photo_taken < $3"
            " OR photo_taken = $3 AND (photo IS NULL OR photo <> $2))",
            person, jpeg, taken.isoformat(),
        ) == 1  # fmt: skip

    async def put_card(self, tx: Tx, person: str, card: PhysicalCard) -> bool:
        """False when this one or a later one is there already, or nobody of that id."""
        return await tx.run(
            "UPDATE resident SET card_number = $2, card_issued = $3, card_kind = $4, card_state = $5"
            " WHERE person = $1"
            " AND (card_issued IS NULL OR card_issued < $3 OR card_issued = $3 AND card_number <> $2)",
            person, card.number, card.issued.isoformat(), card.kind, card.state,
        ) == 1  # fmt: skip

    async def mark_card(self, tx: Tx, person: str, number: str, state: str) -> bool:
        """False when this is not the person's card, or it is so already: a returned card is not lost any more."""
        return await tx.run(
            "UPDATE resident SET card_state = $3 WHERE person = $1 AND card_number = $2 AND card_state <> $3"
            " AND card_state <> 'returned'",
            person, number, state,
        ) == 1  # fmt: skip

    async def count(self) -> int:
        row = await self._db.one("SELECT count(*) AS n FROM resident")
        return int(row["n"]) if row is not None else 0

    async def named(self, name: str, birth_date: date, phone: str) -> str | None:
        """The one living person with this name and birthday who has this phone. One look-up, whatever is wrong."""
        found = await self._db.all(
            "SELECT r.person FROM phone_line l JOIN resident r ON r.person = l.person WHERE l.phone_index = $1"
            " AND r.name_key = $2 AND r.birth_date = $3 AND r.deceased_on IS NULL LIMIT 2",
            self._vault.index(phone, b"phone_line.phone"), name_key(name), birth_date.isoformat(),
        )  # fmt: skip
        return str(found[0]["person"]) if len(found) == 1 else None

    async def match(self, name: str, number: ResidentNumber, phone: str) -> Match | None:
        """The living person whose name, number and phone these are. Always the same two look-ups, whatever is wrong."""
        row = await self._db.one(
            "SELECT person, name, name_key, deceased_on FROM resident WHERE number_index = $1",
            self._vault.index(number.written, b"resident.number"),
        )
        line = await self._db.one(
            "SELECT 1 AS found FROM phone_line WHERE phone_index = $1 AND person = $2",
            self._vault.index(phone, b"phone_line.phone"), row["person"] if row is not None else "",
        )  # fmt: skip
        if row is None or line is None or row["name_key"] != name_key(name) or row["deceased_on"] is not None:
            return None
        return Match(row["person"], row["name"])


def _record_of(person: str, kind: str) -> bytes:
    return f"document_record {person} {kind}".encode()


def _text(day: date | None) -> str | None:
    return day.isoformat() if day is not None else None


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text is not None else None


def _hit(row: Row) -> Hit:
    return Hit(
        person=row["person"],
        name=row["name"],
        birth_date=date.fromisoformat(row["birth_date"]),
        sex=row["sex"],
        municipality=row["municipality"],
        number_masked=row["number_masked"],
        deceased=row["deceased_on"] is not None,
    )


def _person(row: Row) -> Person:
    card = None
    if row["card_number"] is not None:
        issued = date.fromisoformat(row["card_issued"])
        card = PhysicalCard(number=row["card_number"], issued=issued, kind=row["card_kind"], state=row["card_state"])
    return Person(
        person=row["person"],
        name=row["name"],
        name_latin=row["name_latin"],
        former_names=tuple(msgspec.json.decode(row["former_names"], type=list[str])),
        birth_date=date.fromisoformat(row["birth_date"]),
        sex=row["sex"],
        nationality=row["nationality"],
        citizen=bool(row["citizen"]),
        number_masked=row["number_masked"],
        municipality=row["municipality"],
        address=row["address"],
        moved_in=_day(row["moved_in"]),
        deceased_on=_day(row["deceased_on"]),
        guardian=row["guardian"],
        card=card,
        photo_taken=_day(row["photo_taken"]),
        photo=bytes(row["photo"] or b""),
    )


# --- identity checks --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Check:
    """An identity check on its way: a code was sent."""

    id: str
    person: str
    name: str
    phone_hint: str
    audience: str
    code_hash: bytes
    tries_left: int
    state: str
    expires_at: int


async def knock(tx: Tx, subject: bytes, starts_at: int) -> int:
    """Count one knock of `subject` in the window that began at `starts_at`; how many there are now."""
    row = await tx.one(
        "INSERT INTO identity_knock (subject, starts_at, count) VALUES ($1, $2, 1)"
        " ON CONFLICT (subject, starts_at) DO UPDATE SET count = identity_knock.count + 1 RETURNING count",
        subject, starts_at,
    )  # fmt: skip
    return int(row["count"]) if row is not None else 0


async def forget_identity(tx: Tx, checks_before: int, knocks_before: int) -> None:
    await tx.run("DELETE FROM identity_check WHERE expires_at < $1", checks_before)
    await tx.run("DELETE FROM identity_knock WHERE starts_at < $1", knocks_before)


async def open_check(tx: Tx, check: Check) -> None:
    """Begin a check; an unfinished one of the same person for the same audience ends."""
    await tx.serial(f"identity:{check.audience}:{check.person}")
    await tx.run(
        "UPDATE identity_check SET state = 'replaced' WHERE person = $1 AND audience = $2 AND state = 'waiting'",
        check.person, check.audience,
    )  # fmt: skip
    await tx.run(
        "INSERT INTO identity_check (id, person, name, phone_hint, audience, code_hash, tries_left, state, expires_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        check.id, check.person, check.name, check.phone_hint, check.audience, check.code_hash, check.tries_left,
        check.state, check.expires_at,
    )  # fmt: skip


async def take_try(tx: Tx, id: str, now: int) -> Check | None:
    """Spend one try of a waiting check that is in time, or None."""
    row = await tx.one(
        "UPDATE identity_check SET tries_left = tries_left - 1"
        " WHERE id = $1 AND state = 'waiting' AND expires_at > $2 AND tries_left > 0 RETURNING *",
        id, now,
    )  # fmt: skip
    return _check(row) if row is not None else None


async def end_check(tx: Tx, id: str, state: str) -> None:
    await tx.run("UPDATE identity_check SET state = $2 WHERE id = $1 AND state = 'waiting'", id, state)


async def look_at_check(on: Db | Tx, id: str) -> Check | None:
    row = await on.one("SELECT * FROM identity_check WHERE id = $1", id)
    return _check(row) if row is not None else None


def _check(row: Row) -> Check:
    return Check(
        id=row["id"],
        person=row["person"],
        name=row["name"],
        phone_hint=row["phone_hint"],
        audience=row["audience"],
        code_hash=bytes(row["code_hash"]),
        tries_left=row["tries_left"],
        state=row["state"],
        expires_at=row["expires_at"],
    )


# --- the simulated carrier --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Message:
    id: str
    phone: str
    """Digits only, to find it by."""
    written: str
    """As the sender wrote it."""
    body: str
    at: int
    visible_at: int


@dataclass(frozen=True, slots=True)
class Fault:
    mode: str
    seconds: int
    remaining: int


async def set_fault(tx: Tx, fault: Fault) -> None:
    await tx.run(
        "INSERT INTO fault (only_row, mode, seconds, remaining) VALUES (1, $1, $2, $3)"
        " ON CONFLICT (only_row) DO UPDATE SET mode = $1, seconds = $2, remaining = $3",
        fault.mode, fault.seconds, fault.remaining,
    )  # fmt: skip


async def use_fault(tx: Tx) -> Fault | None:
    """The fault this message meets, one fewer of them afterwards."""
    row = await tx.one(
        "UPDATE fault SET remaining = remaining - 1 WHERE only_row = 1 AND remaining > 0"
        " RETURNING mode, seconds, remaining"
    )
    return Fault(row["mode"], row["seconds"], row["remaining"]) if row is not None else None


async def add_message(tx: Tx, message: Message) -> bool:
    """False when a message of this id is there already."""
    added = await tx.run(
        "INSERT INTO message (id, phone, written, body, at, visible_at) VALUES ($1, $2, $3, $4, $5, $6)"
        " ON CONFLICT DO NOTHING",
        message.id, message.phone, message.written, message.body, message.at, message.visible_at,
    )  # fmt: skip
    return added == 1


async def has_message(tx: Tx, id: str) -> bool:
    return await tx.one("SELECT 1 AS found FROM message WHERE id = $1", id) is not None


async def forget_messages(tx: Tx, before: int) -> None:
    await tx.run("DELETE FROM message WHERE at < $1", before)


async def visible_messages(db: Db, now: int, since: int, phone: str | None, limit: int) -> list[Message]:
    """Newest first."""
    rows = await db.all(
        "SELECT * FROM message WHERE visible_at <= $1 AND at >= $2 AND ($3 = '' OR phone = $3)"
        " ORDER BY visible_at DESC, id LIMIT $4",
        now, since, phone or "", limit,
    )  # fmt: skip
    columns = ("id", "phone", "written", "body", "at", "visible_at")
    return [Message(*(row[column] for column in columns)) for row in rows]
