"""The simulated card factory: makes the chip, waits for the signature over what is on it, and finishes the card.

1 `order`  the holder's data come in, the chip's key is made, the hashes of its data groups go back
2 `sign`   the signed security object comes in; it must cover exactly those hashes
3 `made`   after the pack's days of production the chip's memory is a file, and the factory forgets the holder

Promises: an order handed in twice is one chip; each step is kept before the next begins, so that a factory that was
killed goes on where it was. Days come from the pack, drawn from the order's id. Trusts: whoever holds its key. Keeps:
the holder's data until the chip is made; then the chip's memory file, and the letter with its PIN. Refuses: a security
object over other hashes, an id that was used for other data, to take back a chip that is being made.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final, Literal, Protocol

import msgspec

from mapae.clock import Clock, Dice, SeededDice
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.simulators import store
from mapae.simulators.faults import Service
from mapae.simulators.post import DAY
from mapae.simulators.store import OrderRow

State = Literal["waiting_for_signature", "signed", "made", "failed"]
CANCELLED: Final = "cancelled"
PORTRAIT: Final = 64 * 1024  # bytes of a picture that goes onto a chip
_NUMBER: Final = re.compile(r"[A-Z0-9]{9}")


class CardData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the chip and the card will say."""

    name: str
    name_latin: str
    address: str
    number: str
    birth_date: date
    sex: Literal["male", "female"]
    nationality: str
    issued: date
    expires: date
    portrait: bytes
    language: str = "ko"


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """What is printed in the sealed letter, and the CAN on the card."""

    pin: str
    can: str
    puk: str


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A chip before its signature: hashes by data group, its data group 14 with the public key, and what is
    needed to finish it."""

    hashes: dict[int, bytes]
    dg14: bytes
    blank: bytes


class Press(Protocol):
    """What makes chips."""

    def prepare(self, data: CardData) -> Prepared: ...

    def must_cover(self, sod: bytes, hashes: dict[int, bytes]) -> None:
        """Raises Refused(CHIP_REFUSED) unless the security object is over exactly these hashes."""
        ...

    def finish(self, blank: bytes, sod: bytes, letter: Letter, path: Path, *, delivery: bool = True) -> None:
        """Write the chip's memory to `path`, whole or not at all. `delivery`: the PIN only serves to choose another."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """An order as its sender may see it, and since when it is so."""

    id: str
    state: State
    hashes: dict[int, bytes]
    dg14: bytes
    at: int


class SimulatedFactory:
    def __init__(
        self, *, db: Db, clock: Clock, dice: Dice, service: Service, press: Press, folder: Path,
        production_days: tuple[int, int], pin_digits: int,
    ) -> None:  # fmt: skip
        self.service = service
        self._db, self._clock, self._dice, self._press = db, clock, dice, press
        self._folder, self._days, self._pin_digits = folder, production_days, pin_digits

    # --- what the issuer asks -----------------------------------------------------------------------------------------

    async def order(self, id: str, data: CardData) -> Standing:
        """Step 1. Raises Refused(CONFLICT) when the id or the card's number stands for other data, or was taken
        back."""
        _must_be_orderable(id, data)

        async def work(mode: str) -> Standing:
            digest = hashlib.sha256(msgspec.json.encode(data)).digest()
            if await store.order(self._db, id) is None:
                await self._take(id, digest, data, mode)
            known = await store.order(self._db, id)
            if known is None or known.digest != digest or known.state == CANCELLED:
                raise Refused(Code.CONFLICT, "this order or card number stands for something else")
            return await self._standing(id)

        return await self.service.serve(work)

    async def _take(self, id: str, digest: bytes, data: CardData, mode: str) -> None:
        prepared = self._press.prepare(data)
        hashes = dict(prepared.hashes)
        if mode == "wrong_hashes":
            hashes[1] = hashlib.sha256(b"somebody else").digest()
        draw = self._dice.digits
        letter = Letter(pin=draw(self._pin_digits), can=draw(6), puk=draw(10))
        now = self._now()
        row = OrderRow(
            id, digest, data.number, msgspec.json.encode(hashes).decode(), prepared.dg14, prepared.blank, None,
            msgspec.json.encode(letter).decode(), "waiting_for_signature", now, now, 0,
        )  # fmt: skip
        await self._db.write(lambda tx: store.add_order(tx, row))

    async def state(self, id: str) -> Standing:
        """Raises Refused(NOT_FOUND)."""
        return await self.service.serve(lambda mode: self._standing(id))

    async def sign(self, id: str, sod: bytes) -> Standing:
        """Step 2. The same object twice is once."""

        async def work(mode: str) -> Standing:
            row = await self._row(id)
            if row.sod is None and row.state == "waiting_for_signature":
                self._press.must_cover(sod, _hashes(row))
                now, (low, high) = self._now(), self._days
                made_at = now + (low + SeededDice(f"factory {id}").below(high - low + 1)) * DAY
                await self._db.write(lambda tx: store.sign_order(tx, id, sod, now, made_at))
                if mode == "break_chip":
                    await self._db.write(lambda tx: store.end_order(tx, id, "signed", "failed", now))
                row = await self._row(id)
            if row.sod != sod:
                raise Refused(Code.CONFLICT, "this card was signed for already, or taken back")
            return await self._standing(id)

        return await self.service.serve(work)

    async def cancel(self, id: str) -> bool:
        """False: too late. What was never ordered cannot be ordered afterwards."""
        if not 1 <= len(id) <= 100:
            raise Refused(Code.MALFORMED, "an order has an id")

        async def work(mode: str) -> bool:
            now = self._now()
            none = OrderRow(id, b"", f"cancelled {id}", "{}", b"", None, None, "", CANCELLED, now, now, 0)
            await self._db.write(lambda tx: store.add_order(tx, none))
            await self._db.write(lambda tx: store.end_order(tx, id, "waiting_for_signature", CANCELLED, now))
            row = await store.order(self._db, id)
            return row is not None and row.state == CANCELLED

        return await self.service.serve(work)

    # --- what the clock does ------------------------------------------------------------------------------------------

    async def turn(self) -> int:
        """Make what is due; how many chips."""
        due = await store.due(self._db, self._now())
        for id in due:
            await self._make(await self._row(id))
        return len(due)

    async def _standing(self, id: str) -> Standing:
        row = await self._row(id)
        if row.state == "signed" and row.made_at <= self._now():
            await self._make(row)
            row = await self._row(id)
        if row.state == CANCELLED:
            raise Refused(Code.NOT_FOUND, "this order was taken back")
        return Standing(row.id, row.state, _hashes(row), row.dg14, row.changed)  # type: ignore[arg-type]

    async def _make(self, row: OrderRow) -> None:
        """Step 3. A second time, after a power cut, writes the same chip again: nobody has had it in hand yet."""
        if row.blank is None or row.sod is None:  # another process was faster
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._press.finish(row.blank, row.sod, _letter(row), self.memory_of(row.card_number))
        await self._db.write(lambda tx: store.end_order(tx, row.id, "signed", "made", row.made_at))

    # --- a card of earlier days ---------------------------------------------------------------------------------------

    async def prepare(self, data: CardData) -> Prepared:
        _must_be_orderable(data.number, data)
        return self._press.prepare(data)

    async def in_hand(self, id: str, data: CardData, prepared: Prepared, sod: bytes, pin: str) -> None:
        """A chip whose holder has had it for a while and has set this PIN. For people a demo begins with."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        letter, now = Letter(pin=pin, can=self._dice.digits(6), puk=self._dice.digits(10)), self._now()
        self._press.finish(prepared.blank, sod, letter, self.memory_of(data.number), delivery=False)
        row = OrderRow(
            id, hashlib.sha256(msgspec.json.encode(data)).digest(), data.number,
            msgspec.json.encode(prepared.hashes).decode(), prepared.dg14, None, sod,
            msgspec.json.encode(letter).decode(), "made", now, now, now,
        )  # fmt: skip
        await self._db.write(lambda tx: store.add_order(tx, row))

    # --- what lies in the parcel --------------------------------------------------------------------------------------

    def memory_of(self, card_number: str) -> Path:
        """The file that is the chip's memory."""
        return self._folder / card_number

    async def letter(self, card_number: str) -> Letter:
        """The letter that lies beside the card. Raises Refused(NOT_FOUND) before the card is made."""
        row = await store.order_of_card(self._db, card_number)
        if row is None or (await self._standing(row.id)).state != "made":
            raise Refused(Code.NOT_FOUND, "this card has not left the factory")
        return _letter(row)

    async def newest(self) -> list[OrderRow]:
        await self.turn()
        return [row for row in await store.orders(self._db, 20) if row.state != CANCELLED]

    async def _row(self, id: str) -> OrderRow:
        row = await store.order(self._db, id)
        if row is None:
            raise Refused(Code.NOT_FOUND, "there is no such order")
        return row

    def _now(self) -> int:
        return int(self._clock.now().timestamp())


def _must_be_orderable(id: str, data: CardData) -> None:
    if any(not 1 <= len(text) <= 100 for text in (id, data.name, data.name_latin, data.nationality)):
        raise Refused(Code.MALFORMED, "an order needs an id and the holder's data")
    if not 1 <= len(data.address) <= 400:
        raise Refused(Code.MALFORMED, "an order needs the holder's address")
    if not _NUMBER.fullmatch(data.number):
        raise Refused(Code.MALFORMED, "a card's number is nine capital letters and digits")  # it names a file
    if not data.portrait.startswith(b"\xff\xd8") or len(data.portrait) > PORTRAIT:
        raise Refused(Code.MALFORMED, f"the portrait is not a JPEG of at most {PORTRAIT} bytes")


def _hashes(row: OrderRow) -> dict[int, bytes]:
    return msgspec.json.decode(row.hashes, type=dict[int, bytes])


def _letter(row: OrderRow) -> Letter:
    return msgspec.json.decode(row.letter, type=Letter)
