"""The simulated card payments: one hosted page a payment, as a payment company would have it.

Promises: one payment a reference, however often it is asked for; it is charged once, whoever posts twice or at the same
moment; a refund undoes it once. Trusts: whoever holds its key for starting, asking and refunding; the person with the
link for paying. Keeps: amounts, states, and the last four digits of the card. Refuses: a reference that was used for
another amount.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from mapae.clock import Clock, Dice
from mapae.db import Db, Tx
from mapae.errors import Code, Refused
from mapae.simulators import store
from mapae.simulators.faults import Service
from mapae.simulators.store import PaymentRow

MOST: Final = 100_000_000  # of whole units


class State(StrEnum):
    OPEN = "open"
    CONFIRMING = "confirming"  # the cardholder's bank asks
    PAID = "paid"
    DECLINED = "declined"
    REFUNDED = "refunded"


class Card(StrEnum):
    """What one of the demo's card numbers does; any other number with a right check digit pays. They begin with zeros,
    so they are nobody's (ISO/IEC 7812-1: the first digits name the issuer)."""

    PAYS = "pays"
    ASKS = "asks"
    DECLINES = "declines"
    LOSES = "loses"


def with_check_digit(digits: str) -> str:
    """ISO/IEC 7812-1 annex B: the digit that makes the number pass."""
    return digits + str(-_luhn(digits + "0") % 10)


def _luhn(digits: str) -> int:
    total = 0
    for place, letter in enumerate(reversed(digits)):
        value = int(letter) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10


DEMO: Final = {with_check_digit(f"00000040000000{at}"): card for at, card in enumerate(Card, start=1)}


def digits_of(typed: str) -> str:
    """Raises Refused(MALFORMED) unless it can be a card's number."""
    digits = typed.replace(" ", "").replace("-", "")
    if not digits.isascii() or not digits.isdigit() or not 12 <= len(digits) <= 19 or _luhn(digits):
        raise Refused(Code.MALFORMED, "this is not the number of a card")
    return digits


class SimulatedPayments:
    def __init__(self, db: Db, clock: Clock, dice: Dice, service: Service) -> None:
        self.service = service
        self._db, self._clock, self._dice = db, clock, dice

    async def start(self, reference: str, amount: int, currency: str, back: str = "") -> PaymentRow:
        """The payment of this reference, made if it is the first time. `back`: where its page leads on to."""
        if not 1 <= len(reference) <= 100 or not 1 <= amount <= MOST or not (
            len(currency) == 3 and currency.isascii() and currency.isupper()
        ):  # fmt: skip
            raise Refused(Code.MALFORMED, "a payment needs a reference, a positive amount and a currency")
        if len(back) > 500 or (back and not back.startswith(("https://", "http://", "/"))):
            raise Refused(Code.MALFORMED, "a payment leads back to an address")
        now = int(self._clock.now().timestamp())
        row = PaymentRow(self._dice.token(18), reference, amount, currency, back, State.OPEN, "", now, now)

        async def body(tx: Tx) -> PaymentRow:
            if await store.add_payment(tx, row):
                return row
            found = await store.payment_for(tx, reference)
            if found is None or (found.amount, found.currency) != (amount, currency):
                raise Refused(Code.CONFLICT, "this reference was used for another amount")
            return found

        return await self.service.serve(lambda mode: self._db.write(body))

    async def ask(self, id: str) -> PaymentRow:
        """Raises Refused(NOT_FOUND)."""
        return await self.service.serve(lambda mode: self.payment(id))

    async def payment(self, id: str) -> PaymentRow:
        found = await store.payment(self._db, id)
        if found is None:
            raise Refused(Code.NOT_FOUND, "there is no such payment")
        return found

    async def refund(self, id: str) -> PaymentRow:
        """Give all of it back. Twice is once; what was not paid yet is declined, and cannot be paid any more."""

        async def work(mode: str) -> PaymentRow:
            await self.payment(id)
            await self._to(id, (State.OPEN, State.CONFIRMING), State.DECLINED)
            await self._to(id, (State.PAID,), State.REFUNDED)
            return await self.payment(id)

        return await self.service.serve(work)

    async def pay(self, id: str, typed: str) -> PaymentRow:
        """What the page does with a card number. Raises Refused(MALFORMED, UNAVAILABLE): after the latter nobody on
        this side of the line knows whether it was charged."""
        digits = digits_of(typed)
        card = DEMO.get(digits, Card.PAYS)

        async def work(mode: str) -> PaymentRow:
            await self.payment(id)
            if card is Card.DECLINES or mode == "decline":
                await self._to(id, (State.OPEN,), State.DECLINED, digits[-4:])
            elif card is Card.ASKS:
                await self._to(id, (State.OPEN,), State.CONFIRMING, digits[-4:])
            else:
                await self._to(id, (State.OPEN,), State.PAID, digits[-4:])
            return await self.payment(id)

        row = await self.service.serve(work)
        if card is Card.LOSES:
            raise Refused(Code.UNAVAILABLE, "the simulated payment company lost its answer")
        return row

    async def confirm(self, id: str, yes: bool) -> PaymentRow:
        """What the cardholder says to the bank's question."""

        async def work(mode: str) -> PaymentRow:
            await self._to(id, (State.CONFIRMING,), State.PAID if yes and mode != "decline" else State.DECLINED)
            return await self.payment(id)

        return await self.service.serve(work)

    async def came_from(self, id: str, path: str) -> None:
        """A page of the same house sent the payer here, and gets him back."""
        await self._db.write(lambda tx: store.lead_back(tx, id, path))

    async def newest(self) -> list[PaymentRow]:
        return await store.payments(self._db, 20)

    async def _to(self, id: str, before: tuple[State, ...], state: State, card: str = "") -> None:
        """By compare-and-swap: who comes second finds the payment as the first one left it."""
        at = int(self._clock.now().timestamp())
        await self._db.write(lambda tx: store.set_payment(tx, id, before, state, card, at))
