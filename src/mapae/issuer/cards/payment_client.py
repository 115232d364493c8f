"""The payment company over HTTP.

Promises: what `partners.PaymentPort` says: a lost answer is UNKNOWN and nothing is charged again; an answer about
another payment, reference or amount is no answer. Trusts: the company for whether it charged. Keeps: nothing. Refuses:
a payment page that is no web address.
"""

from __future__ import annotations

from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from mapae.errors import Code, Refused
from mapae.issuer.cards.calls import Outside, part
from mapae.issuer.cards.partners import Payment, Started

_STATES: Final = {
    "open": Payment.OPEN, "confirming": Payment.OPEN, "paid": Payment.PAID, "declined": Payment.DECLINED,
    "refunded": Payment.REFUNDED,
}  # fmt: skip


class _Payment(msgspec.Struct):
    id: str
    reference: str
    amount: int
    currency: str
    state: Literal["open", "confirming", "paid", "declined", "refunded"]
    url: str


class PaymentClient:
    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    async def start(self, amount: int, currency: str, reference: str) -> Started:
        message = {"reference": reference, "amount": amount, "currency": currency}
        said = await self._outside.ask("/payments", _Payment, message, (Code.CONFLICT,))
        ours = (said.reference, said.amount, said.currency) == (reference, amount, currency)
        if not ours or not 1 <= len(said.id) <= 128 or not _is_page(said.url):
            raise Refused(Code.UNAVAILABLE, "the payment company answered something unreadable")
        return Started(said.id, said.url)

    async def state(self, id: str) -> Payment:
        return await self._standing(f"/payments/{part(id)}", id, None)

    async def refund(self, id: str) -> Payment:
        found = await self._standing(f"/payments/{part(id)}/refund", id, {})
        return found if found in (Payment.REFUNDED, Payment.DECLINED) else Payment.UNKNOWN

    async def _standing(self, path: str, id: str, message: object) -> Payment:
        try:
            said = await self._outside.ask(path, _Payment, message)
        except Refused:
            return Payment.UNKNOWN
        return _STATES[said.state] if said.id == id else Payment.UNKNOWN


def _is_page(url: str) -> bool:
    """Shown to people as a link."""
    try:
        parts = urlsplit(url) if len(url) <= 2000 and url.isascii() and url.isprintable() else None
    except ValueError:  # half an IPv6 address
        return False
    return parts is not None and parts.scheme in ("https", "http") and bool(parts.hostname)
