"""The simulated post: registered letters to a person, and a courier to an office.

Promises: a parcel handed in twice under one reference is one parcel; where it is follows from the time alone, so a post
that was killed has lost nothing. How many days it takes is drawn from the reference. Trusts: whoever holds its key.
Keeps: who a parcel is for and where it goes. Refuses: a reference that was used for another parcel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from mapae.clock import Clock, SeededDice
from mapae.db import Db, Tx
from mapae.errors import Code, Refused
from mapae.simulators import store
from mapae.simulators.faults import Service
from mapae.simulators.store import ParcelRow

DAY: Final = 86_400
RETURNED_AFTER: Final = 7  # days at the post office before it goes back
LONGEST: Final = 60  # days a parcel may usually take
State = Literal["accepted", "on_the_way", "delivered", "returned"]
_FATE: Final = {"lose": "lose", "return": "return"}
_STATES: Final[dict[str, State]] = {
    "accepted": "accepted", "underway": "on_the_way", "not_met": "on_the_way", "delivered": "delivered",
    "returned": "returned",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sending:
    """What is handed in; `reference` is the sender's own."""

    reference: str
    to_name: str
    to_address: str
    personal: bool
    days: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the tracking page."""

    what: Literal["accepted", "underway", "delivered", "not_met", "returned"]
    at: int


class SimulatedPost:
    def __init__(self, db: Db, clock: Clock, service: Service) -> None:
        self.service = service
        self._db, self._clock = db, clock

    def now(self) -> int:
        return int(self._clock.now().timestamp())

    async def send(self, sending: Sending) -> ParcelRow:
        """Collect a parcel. Raises Refused(CONFLICT) when its reference was used for another one."""
        for text, most in ((sending.reference, 100), (sending.to_name, 200), (sending.to_address, 400)):
            if not 1 <= len(text) <= most:
                raise Refused(Code.MALFORMED, "a parcel needs a reference, an addressee and an address")
        low, high = sending.days
        if not 0 <= low <= high <= LONGEST:
            raise Refused(Code.MALFORMED, f"a parcel takes from so many to so many days, {LONGEST} at the most")

        async def work(mode: str) -> ParcelRow:
            row = _collected(sending, self.now(), mode)
            return await self._db.write(lambda tx: _keep(tx, row))

        return await self.service.serve(work)

    async def track(self, number: str) -> ParcelRow:
        """Raises Refused(NOT_FOUND)."""

        async def work(mode: str) -> ParcelRow:
            return await self.parcel(number)

        return await self.service.serve(work)

    async def parcel(self, number: str) -> ParcelRow:
        found = await store.parcel(self._db, number) if number.isascii() and number.isdigit() else None
        if found is None:
            raise Refused(Code.NOT_FOUND, "there is no such parcel")
        return found

    async def newest(self) -> list[ParcelRow]:
        return await store.parcels(self._db, 20)


def _collected(sending: Sending, now: int, mode: str) -> ParcelRow:
    dice = SeededDice(f"post {sending.reference}")
    low, high = sending.days
    return ParcelRow(
        dice.digits(13), sending.reference, "mail" if sending.personal else "courier", sending.to_name,
        sending.to_address, _FATE.get(mode, "deliver"), now, now + (low + dice.below(high - low + 1)) * DAY,
    )  # fmt: skip


async def _keep(tx: Tx, row: ParcelRow) -> ParcelRow:
    """The parcel of this reference as it was first handed in."""
    if await store.add_parcel(tx, row):
        return row
    found = await store.parcel_for(tx, row.reference)
    if found is None or (found.way, found.addressee, found.address) != (row.way, row.addressee, row.address):
        raise Refused(Code.CONFLICT, "this reference was used for another parcel")
    return found


def events(parcel: ParcelRow, now: int) -> list[Event]:
    """What has happened until `now`, oldest first. A lost parcel stays on its way."""
    end = parcel.arrives
    found = [Event("accepted", parcel.sent), Event("underway", min(parcel.sent + DAY // 2, end))]
    if parcel.fate == "return":
        found += [Event("not_met", end), Event("returned", end + RETURNED_AFTER * DAY)]
    elif parcel.fate != "lose":
        found.append(Event("delivered", end))
    return [event for event in found if event.at <= now] or found[:1]


def state_of(parcel: ParcelRow, now: int) -> tuple[State, int]:
    """Where it is, and since when."""
    last = events(parcel, now)[-1]
    return _STATES[last.what], last.at
