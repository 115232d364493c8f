"""Physical cards and what happened to them, in the issuer's database.

Promises: a card moves only from the state its mover saw (compare and swap), and each move is a numbered step; one open
application and one active card a person, by unique indexes. Trusts: its only callers, the classes of this folder.
Keeps: tables card_life, card_step, card_photo, card_handed_in, card_signer; names and photos only sealed. Refuses:
nothing; it counts, and Duplicate says what an index refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from mapae.db import Db, Row, Tx, Value

from .fees import Channel, Why
from .life import OPEN, State

LISTED: Final = 200
_OPEN: Final = ", ".join(f"'{state.value}'" for state in OPEN)
_MOVING: Final = "'applied', 'paid', 'ordered', 'made', 'posted', 'delivered', 'returned', 'at_office', 'active'"


@dataclass(frozen=True, slots=True)
class Card:
    """One card's whole row. `since`: when it came into its state; `look_at`: when to ask others about it again."""

    id: str
    person: str
    why: Why
    channel: Channel
    office: str
    pickup: str
    """The office that hands it out; empty: registered mail."""
    state: State
    applicant: bytes
    photo: str
    """record, waiting (brought online; an officer has yet to look), judged, overridden (by two officers)."""
    old_number: str
    old_fate: str
    """none, kept (handed in when the new one is handed over), handed_in, lost."""
    amount: int
    currency: str
    free: int
    payment_try: int
    payment_id: str
    payment_url: str
    payment_state: str
    paid_at: int
    refund: str
    """"", due, done."""
    order_try: int
    placed: int
    data_digest: bytes | None
    number: str
    issued: str
    expires: str
    sod: bytes | None
    sod_digest: bytes | None
    chip_key_hash: bytes | None
    sending: int
    tracking: str
    fingerprint: str
    trouble: str
    look_at: int
    since: int
    opened: int

    @property
    def payment_reference(self) -> str:
        return f"{self.id}-{self.payment_try}"

    @property
    def order_id(self) -> str:
        return f"{self.id}-{self.order_try}"

    @property
    def parcel_reference(self) -> str:
        return f"{self.id}-{self.sending}"

    @property
    def photo_waits(self) -> bool:
        return self.photo == "waiting"


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a card's trail. `second`: the other officer, where it took two."""

    at: int
    actor: str
    second: str
    act: str
    state: State
    detail: str


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo on its way into the register. `verdict`: good, unjudged, or the codes of its flaws; `agreed`: the second
    officer who let it pass all the same."""

    id: str
    person: str
    card: str
    brought_by: str
    sealed: bytes
    taken: str
    verdict: str
    agreed: str
    at: int


@dataclass(frozen=True, slots=True)
class HandedIn:
    """An earlier card in an office's safe, waiting for two officers and a shredder."""

    id: str
    office: str
    number: str
    at: int


_COLUMNS: Final = tuple(name for name in Card.__slots__ if name not in ("id", "why", "channel", "state"))
_BYTES: Final = frozenset({"applicant", "data_digest", "sod", "sod_digest", "chip_key_hash"})


def _card(row: Row) -> Card:
    values = {name: _value(name, row[name]) for name in _COLUMNS}
    return Card(
        id=row["card_id"], why=Why(row["why"]), channel=Channel(row["channel"]), state=State(row["state"]), **values
    )


def _value(name: str, value: Any) -> Any:
    return bytes(value) if name in _BYTES and value is not None else value


async def put_card(tx: Tx, card: Card) -> None:
    names = ["card_id", "why", "channel", "state", *_COLUMNS]
    values: list[Value] = [card.id, card.why.value, card.channel.value, card.state.value]
    values += [getattr(card, name) for name in _COLUMNS]
    places = ", ".join(f"${at}" for at in range(1, len(names) + 1))
    await tx.run(f"INSERT INTO card_life ({', '.join(names)}) VALUES ({places})", *values)  # noqa: S608 our own names


async def card(db: Db | Tx, card_id: str) -> Card | None:
    row = await db.one("SELECT * FROM card_life WHERE card_id = $1", card_id)
    return _card(row) if row is not None else None


async def open_card(db: Db, person: str) -> Card | None:
    row = await db.one(f"SELECT * FROM card_life WHERE person = $1 AND state IN ({_OPEN})", person)  # noqa: S608 enum
    return _card(row) if row is not None else None


async def active_card(db: Db | Tx, person: str) -> Card | None:
    row = await db.one("SELECT * FROM card_life WHERE person = $1 AND state = 'active'", person)
    return _card(row) if row is not None else None


async def by_number(db: Db | Tx, person: str, number: str) -> Card | None:
    row = await db.one("SELECT * FROM card_life WHERE person = $1 AND number = $2", person, number)
    return _card(row) if row is not None else None


async def by_sod(db: Db, digest: bytes) -> Card | None:
    row = await db.one("SELECT * FROM card_life WHERE sod_digest = $1", digest)
    return _card(row) if row is not None else None


async def cards_of_person(db: Db, person: str) -> list[Card]:
    rows = await db.all("SELECT * FROM card_life WHERE person = $1 ORDER BY opened DESC, card_id", person)
    return [_card(row) for row in rows]


async def applied_for(tx: Tx, person: str, channel: Channel, since: int, now: int) -> int:
    """How many applications this person has opened this way since then, whatever became of them."""
    row = await tx.one(
        "SELECT count(*) AS n FROM card_life WHERE person = $1 AND channel = $2 AND opened > $3 AND opened <= $4",
        person, channel.value, since, now,
    )  # fmt: skip
    return int(row["n"]) if row is not None else 0


async def cards_of_office(db: Db, office: str, states: tuple[State, ...]) -> list[Card]:
    """What this office has to do with: applied for here, or handed out here. Longest in its state first."""
    listed = ", ".join(f"'{state.value}'" for state in states)
    rows = await db.all(
        f"SELECT * FROM card_life WHERE (office = $1 OR pickup = $1) AND state IN ({listed})"  # noqa: S608 enum
        " ORDER BY since, card_id LIMIT $2",
        office, LISTED,
    )  # fmt: skip
    return [_card(row) for row in rows]


async def due(db: Db, now: int, farthest: int, limit: int) -> list[Card]:
    """Cards to look after now, the longest waiting first; those put off beyond what anybody puts off last."""
    rows = await db.all(
        f"SELECT * FROM card_life WHERE (look_at <= $1 OR look_at > $2) AND state IN ({_MOVING})"  # noqa: S608 our own
        " ORDER BY look_at, card_id LIMIT $3",
        now, farthest, limit,
    )  # fmt: skip
    return [_card(row) for row in rows]


async def refunds(db: Db, now: int, farthest: int, limit: int) -> list[Card]:
    """Whose refund to ask for now, the same way."""
    rows = await db.all(
        "SELECT * FROM card_life WHERE (look_at <= $1 OR look_at > $2) AND refund = 'due'"
        " ORDER BY look_at, card_id LIMIT $3",
        now, farthest, limit,
    )  # fmt: skip
    return [_card(row) for row in rows]


async def move(tx: Tx, seen: Card, to: State, now: int, **changes: Value) -> bool:
    """Compare and swap: from the state that was seen, to the next, with what is recorded. It is looked at again at
    once."""
    return await _update(tx, seen, {"since": now, "look_at": now, **changes, "state": to.value})


async def note(tx: Tx, seen: Card, **changes: Value) -> bool:
    """The same without a change of state."""
    return await _update(tx, seen, changes)


async def keep_signature(tx: Tx, seen: Card, sod: bytes, digest: bytes, chip_key_hash: bytes) -> bool:
    """False when another process has signed for this order: then its signature is the one that counts."""
    return await tx.run(
        "UPDATE card_life SET sod = $4, sod_digest = $5, chip_key_hash = $6, trouble = ''"
        " WHERE card_id = $1 AND state = $2 AND order_try = $3 AND sod_digest IS NULL",
        seen.id, seen.state.value, seen.order_try, sod, digest, chip_key_hash,
    ) == 1  # fmt: skip


async def _update(tx: Tx, seen: Card, changes: dict[str, Value]) -> bool:
    assert set(changes) <= {*_COLUMNS, "state"}
    sets = ", ".join(f"{name} = ${at}" for at, name in enumerate(changes, 5))
    return (
        await tx.run(
            # The two counters belong to what was seen as well: a second payment or order is another one.
            f"UPDATE card_life SET {sets} WHERE card_id = $1 AND state = $2"  # noqa: S608 our own column names
            " AND payment_try = $3 AND order_try = $4",
            seen.id, seen.state.value, seen.payment_try, seen.order_try, *changes.values(),
        )
        == 1
    )  # fmt: skip


async def look_later(db: Db, card_id: str, at: int) -> None:
    await db.run("UPDATE card_life SET look_at = $2 WHERE card_id = $1", card_id, at)


async def add_step(tx: Tx, card_id: str, step: Step, office: str) -> None:
    row = await tx.one("UPDATE card_life SET steps = steps + 1 WHERE card_id = $1 RETURNING steps", card_id)
    await tx.run(
        "INSERT INTO card_step (card_id, n, at, actor, second, act, state, detail, office)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        card_id, row["steps"] if row is not None else 0, step.at, step.actor, step.second, step.act, step.state.value,
        step.detail, office,
    )  # fmt: skip


async def steps(db: Db, card_id: str) -> list[Step]:
    rows = await db.all("SELECT * FROM card_step WHERE card_id = $1 ORDER BY n", card_id)
    return [
        Step(row["at"], row["actor"], row["second"], row["act"], State(row["state"]), row["detail"]) for row in rows
    ]


async def newest_of(db: Db, person: str, acts: tuple[str, ...]) -> Step | None:
    """The last of these acts on any card of the person."""
    listed = ", ".join(f"${at}" for at in range(2, len(acts) + 2))
    row = await db.one(
        "SELECT s.* FROM card_step s JOIN card_life c ON c.card_id = s.card_id"  # noqa: S608 placeholders
        f" WHERE c.person = $1 AND s.act IN ({listed})"
        " ORDER BY s.at DESC, s.n DESC LIMIT 1",
        person, *acts,
    )  # fmt: skip
    if row is None:
        return None
    return Step(row["at"], row["actor"], row["second"], row["act"], State(row["state"]), row["detail"])


async def counts(db: Db, acts: tuple[str, ...]) -> list[tuple[str, str, int]]:
    """(office, act, how often), for the page that shows how often an office sets a machine's word aside."""
    listed = ", ".join(f"${at}" for at in range(1, len(acts) + 1))
    rows = await db.all(
        f"SELECT office, act, count(*) AS n FROM card_step WHERE act IN ({listed})"  # noqa: S608 placeholders
        " GROUP BY office, act ORDER BY office, act",
        *acts,
    )  # fmt: skip
    return [(row["office"], row["act"], int(row["n"])) for row in rows]


async def steps_since(db: Db, card_id: str, act: str, detail: str, since: int) -> int:
    row = await db.one(
        "SELECT count(*) AS n FROM card_step WHERE card_id = $1 AND act = $2 AND detail = $3 AND at > $4",
        card_id, act, detail, since,
    )  # fmt: skip
    return int(row["n"]) if row is not None else 0


# --- photos and earlier cards -----------------------------------------------------------------------------------------


async def put_photo(tx: Tx, photo: Photo) -> None:
    await tx.run(
        "INSERT INTO card_photo (photo_id, person, card_id, brought_by, sealed, taken, verdict, agreed, at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        photo.id, photo.person, photo.card, photo.brought_by, photo.sealed, photo.taken, photo.verdict, photo.agreed,
        photo.at,
    )  # fmt: skip


async def forget_photos(db: Db, before: int) -> None:
    """Brought, and never used."""
    if await db.one("SELECT 1 AS old FROM card_photo WHERE card_id = '' AND at < $1 LIMIT 1", before) is not None:
        await db.run("DELETE FROM card_photo WHERE card_id = '' AND at < $1", before)


async def photo(db: Db | Tx, photo_id: str) -> Photo | None:
    row = await db.one("SELECT * FROM card_photo WHERE photo_id = $1", photo_id)
    return _photo(row) if row is not None else None


async def photo_of(db: Db | Tx, card_id: str) -> Photo | None:
    row = await db.one("SELECT * FROM card_photo WHERE card_id = $1", card_id)
    return _photo(row) if row is not None else None


async def use_photo(tx: Tx, photo_id: str, card_id: str) -> bool:
    """A photo serves one application."""
    used = await tx.run("UPDATE card_photo SET card_id = $2 WHERE photo_id = $1 AND card_id = ''", photo_id, card_id)
    return used == 1


async def agree_photo(tx: Tx, photo_id: str, second: str) -> bool:
    return await tx.run("UPDATE card_photo SET agreed = $2 WHERE photo_id = $1 AND card_id = ''", photo_id, second) == 1


async def drop_photo(tx: Tx, card_id: str) -> None:
    await tx.run("DELETE FROM card_photo WHERE card_id = $1", card_id)


def _photo(row: Row) -> Photo:
    return Photo(
        row["photo_id"], row["person"], row["card_id"], row["brought_by"], bytes(row["sealed"]), row["taken"],
        row["verdict"], row["agreed"], row["at"],
    )  # fmt: skip


async def take_in(tx: Tx, handed_in: HandedIn) -> None:
    await tx.run(
        "INSERT INTO card_handed_in (card_id, office, number, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        handed_in.id, handed_in.office, handed_in.number, handed_in.at,
    )  # fmt: skip


async def handed_in(db: Db, office: str) -> list[HandedIn]:
    rows = await db.all("SELECT * FROM card_handed_in WHERE office = $1 ORDER BY at, card_id LIMIT $2", office, LISTED)
    return [HandedIn(row["card_id"], row["office"], row["number"], row["at"]) for row in rows]


async def gone(tx: Tx, card_id: str, office: str) -> bool:
    """The earlier card is no more. False when it was not there."""
    return await tx.run("DELETE FROM card_handed_in WHERE card_id = $1 AND office = $2", card_id, office) == 1


# --- who signs chips --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ChipSigner:
    """A generation of the chips' authority, or of its document signer. `name` is its key's; `above` the authority's."""

    name: str
    kind: str
    serial: int
    above: str
    der: bytes
    begun: int
    signs_until: int
    revoked_at: int | None


async def chip_signers(db: Db, kind: str) -> list[ChipSigner]:
    """Oldest first."""
    rows = await db.all("SELECT * FROM card_signer WHERE kind = $1 ORDER BY begun, name", kind)
    return [
        ChipSigner(
            row["name"], row["kind"], int(row["serial"]), row["above"], bytes(row["der"]), row["begun"],
            row["signs_until"], row["revoked_at"],
        )
        for row in rows
    ]  # fmt: skip


async def add_chip_signer(tx: Tx, signer: ChipSigner) -> bool:
    """False when another process was faster."""
    return await tx.run(
        "INSERT INTO card_signer (name, kind, serial, above, der, begun, signs_until)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        signer.name, signer.kind, str(signer.serial), signer.above, signer.der, signer.begun, signer.signs_until,
    ) == 1  # fmt: skip


async def revoke_chip_signer(tx: Tx, name: str, at: int) -> bool:
    return await tx.run("UPDATE card_signer SET revoked_at = $2 WHERE name = $1 AND revoked_at IS NULL", name, at) == 1
