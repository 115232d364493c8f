"""What the simulated services remember, in SQL.

Promises: each function is one or two statements; a state changes by compare-and-swap and the count says whether it did.
Trusts: its callers. Keeps: tables simulated_fault, simulated_order, simulated_parcel, simulated_payment. Refuses:
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from mapae.db import Db, Row, Tx

Reader = Db | Tx


# --- faults -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fault:
    mode: str
    seconds: int
    remaining: int


async def set_fault(tx: Tx, service: str, fault: Fault) -> None:
    await tx.run(
        "INSERT INTO simulated_fault (service, mode, seconds, remaining) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (service) DO UPDATE SET mode = $2, seconds = $3, remaining = $4",
        service, fault.mode, fault.seconds, fault.remaining,
    )  # fmt: skip


async def use_fault(tx: Tx, service: str) -> Fault | None:
    """The fault this request meets, one fewer of them afterwards."""
    row = await tx.one(
        "UPDATE simulated_fault SET remaining = remaining - 1 WHERE service = $1 AND remaining > 0"
        " RETURNING mode, seconds, remaining", service,
    )  # fmt: skip
    return None if row is None else Fault(row["mode"], row["seconds"], row["remaining"])


async def fault(reader: Reader, service: str) -> Fault | None:
    row = await reader.one(
        "SELECT mode, seconds, remaining FROM simulated_fault WHERE service = $1 AND remaining > 0", service
    )
    return None if row is None else Fault(row["mode"], row["seconds"], row["remaining"])


# --- the card factory -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OrderRow:
    """`blank` holds what only the chip will know; it is gone once the chip is made. `made_at`: 0 until it is signed."""

    id: str
    digest: bytes
    card_number: str
    hashes: str
    dg14: bytes
    blank: bytes | None
    sod: bytes | None
    letter: str
    state: str
    opened: int
    changed: int
    made_at: int


_ORDER = (
    "id", "digest", "card_number", "hashes", "dg14", "blank", "sod", "letter", "state", "opened", "changed", "made_at",
)  # fmt: skip
_ORDERS = f"SELECT {', '.join(_ORDER)} FROM simulated_order"  # noqa: S608 our own words


def _order(row: Row) -> OrderRow:
    values = {name: row[name] for name in _ORDER}
    for name in ("digest", "dg14", "blank", "sod"):
        values[name] = None if values[name] is None else bytes(values[name])
    return OrderRow(**values)


async def order(reader: Reader, id: str) -> OrderRow | None:
    row = await reader.one(f"{_ORDERS} WHERE id = $1", id)
    return None if row is None else _order(row)


async def order_of_card(reader: Reader, card_number: str) -> OrderRow | None:
    row = await reader.one(f"{_ORDERS} WHERE card_number = $1", card_number)
    return None if row is None else _order(row)


async def orders(reader: Reader, most: int) -> list[OrderRow]:
    return [_order(row) for row in await reader.all(f"{_ORDERS} ORDER BY opened DESC, id LIMIT $1", most)]


async def due(reader: Reader, now: int) -> list[str]:
    """Orders whose chip is to be made by now."""
    rows = await reader.all(
        "SELECT id FROM simulated_order WHERE state = 'signed' AND made_at <= $1 ORDER BY made_at, id", now
    )
    return [row["id"] for row in rows]


async def add_order(tx: Tx, row: OrderRow) -> bool:
    places = ", ".join(f"${at}" for at in range(1, len(_ORDER) + 1))
    return await tx.run(
        f"INSERT INTO simulated_order ({', '.join(_ORDER)}) VALUES ({places}) ON CONFLICT DO NOTHING",  # noqa: S608
        *[getattr(row, name) for name in _ORDER],
    ) == 1  # fmt: skip


async def sign_order(tx: Tx, id: str, sod: bytes, now: int, made_at: int) -> bool:
    return await tx.run(
        "UPDATE simulated_order SET sod = $2, changed = $3, made_at = $4, state = 'signed'"
        " WHERE id = $1 AND state = 'waiting_for_signature'",
        id, sod, now, made_at,
    ) == 1  # fmt: skip


async def end_order(tx: Tx, id: str, before: str, state: str, now: int) -> bool:
    """Made, failed or cancelled: what only the chip knows is nowhere else any more."""
    return await tx.run(
        "UPDATE simulated_order SET blank = NULL, state = $3, changed = $4 WHERE id = $1 AND state = $2",
        id, before, state, now,
    ) == 1  # fmt: skip


# --- the post ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ParcelRow:
    """`fate` was settled when it was handed in: deliver, return or lose. `way`: mail or courier."""

    number: str
    reference: str
    way: str
    addressee: str
    address: str
    fate: str
    sent: int
    arrives: int


_PARCEL = ("number", "reference", "way", "addressee", "address", "fate", "sent", "arrives")
_PARCELS = f"SELECT {', '.join(_PARCEL)} FROM simulated_parcel"  # noqa: S608 our own words


async def add_parcel(tx: Tx, row: ParcelRow) -> bool:
    return await tx.run(
        "INSERT INTO simulated_parcel (number, reference, way, addressee, address, fate, sent, arrives)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
        *[getattr(row, name) for name in _PARCEL],
    ) == 1  # fmt: skip


async def parcel(reader: Reader, number: str) -> ParcelRow | None:
    row = await reader.one(f"{_PARCELS} WHERE number = $1", number)
    return None if row is None else ParcelRow(*(row[name] for name in _PARCEL))


async def parcel_for(reader: Reader, reference: str) -> ParcelRow | None:
    row = await reader.one(f"{_PARCELS} WHERE reference = $1", reference)
    return None if row is None else ParcelRow(*(row[name] for name in _PARCEL))


async def parcels(reader: Reader, most: int) -> list[ParcelRow]:
    rows = await reader.all(f"{_PARCELS} ORDER BY sent DESC, number LIMIT $1", most)
    return [ParcelRow(*(row[name] for name in _PARCEL)) for row in rows]


# --- card payments ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """`card`: the last four digits of the card it was tried with."""

    id: str
    reference: str
    amount: int
    currency: str
    back: str
    state: str
    card: str
    opened: int
    changed: int


_PAYMENT = ("id", "reference", "amount", "currency", "back", "state", "card", "opened", "changed")
_PAYMENTS = f"SELECT {', '.join(_PAYMENT)} FROM simulated_payment"  # noqa: S608 our own words


async def add_payment(tx: Tx, row: PaymentRow) -> bool:
    return await tx.run(
        "INSERT INTO simulated_payment (id, reference, amount, currency, back, state, card, opened, changed)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
        *[getattr(row, name) for name in _PAYMENT],
    ) == 1  # fmt: skip


async def payment(reader: Reader, id: str) -> PaymentRow | None:
    row = await reader.one(f"{_PAYMENTS} WHERE id = $1", id)
    return None if row is None else PaymentRow(*(row[name] for name in _PAYMENT))


async def payment_for(reader: Reader, reference: str) -> PaymentRow | None:
    row = await reader.one(f"{_PAYMENTS} WHERE reference = $1", reference)
    return None if row is None else PaymentRow(*(row[name] for name in _PAYMENT))


async def payments(reader: Reader, most: int) -> list[PaymentRow]:
    rows = await reader.all(f"{_PAYMENTS} ORDER BY opened DESC, id LIMIT $1", most)
    return [PaymentRow(*(row[name] for name in _PAYMENT)) for row in rows]


async def set_payment(tx: Tx, id: str, before: tuple[str, ...], state: str, card: str, at: int) -> bool:
    """`before`: the one or two states it may be in; `card` empty leaves it as it is."""
    return await tx.run(
        "UPDATE simulated_payment SET state = $2, card = CASE $3 WHEN '' THEN card ELSE $3 END, changed = $4"
        " WHERE id = $1 AND state IN ($5, $6)",
        id, state, card, at, before[0], before[-1],
    ) == 1  # fmt: skip


async def lead_back(tx: Tx, id: str, back: str) -> None:
    """Where the page leads on to, unless whoever began the payment has said so."""
    await tx.run("UPDATE simulated_payment SET back = $2 WHERE id = $1 AND back = ''", id, back)
