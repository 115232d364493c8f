"""The card factory over HTTP.

Promises: what `partners.FactoryPort` says; hashes are 32 bytes each, of the data groups this profile has, and the data
group with the chip's key has the hash the factory names for it. Trusts: nothing the factory says about what it wrote;
the issuer signs only what it checked. Keeps: nothing. Refuses: an answer about another order, or of another shape.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Final

import msgspec

from mapae.errors import Code, Refused
from mapae.issuer.cards.calls import Outside, part
from mapae.issuer.cards.partners import CardData, Production, Stage

GROUPS: Final = frozenset({1, 2, 11, 14})
# What a factory may answer to an order that no repetition mends.
_SAID: Final = (Code.CONFLICT, Code.MALFORMED, Code.TOO_LARGE)
_NAMES: Final = frozenset(map(str, GROUPS))
_LONGEST: Final = 4096  # bytes of data group 14
_YEAR_10000: Final = 253_402_300_800


class Answered(msgspec.Struct):
    """An order as the factory writes it."""

    order: str
    state: Stage
    hashes: dict[str, bytes]
    dg14: bytes
    at: int


class _Cancelled(msgspec.Struct):
    cancelled: bool


class FactoryClient:
    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    async def order(self, order_id: str, data: CardData) -> None:
        message = {"order": order_id, "card": data}
        production(order_id, await self._outside.ask("/orders", Answered, message, _SAID))

    async def state(self, order_id: str) -> Production | None:
        try:
            said = await self._outside.ask(f"/orders/{part(order_id)}", Answered, allowed=(Code.NOT_FOUND,))
        except Refused as refused:
            if refused.code is Code.NOT_FOUND:
                return None
            raise
        return production(order_id, said)

    async def sign(self, order_id: str, sod: bytes) -> None:
        path = f"/orders/{part(order_id)}/sod"
        allowed = (Code.CONFLICT, Code.CHIP_REFUSED)
        production(order_id, await self._outside.ask(path, Answered, {"sod": sod}, allowed))

    async def cancel(self, order_id: str) -> bool:
        said = await self._outside.ask(f"/orders/{part(order_id)}/cancel", _Cancelled, {})
        return said.cancelled


def production(order_id: str, said: Answered) -> Production:
    """The same as a value. Raises Refused(UNAVAILABLE) for what cannot be right."""
    hashes = {int(group): digest for group, digest in said.hashes.items() if group in _NAMES}
    prepared = said.state is not Stage.QUEUED
    sound = (
        said.order == order_id
        and len(hashes) == len(said.hashes)
        and 0 <= said.at < _YEAR_10000
        and len(said.dg14) <= _LONGEST
        and all(len(digest) == 32 for digest in hashes.values())
        and (not prepared or (hashes.keys() == GROUPS and hashes[14] == hashlib.sha256(said.dg14).digest()))
    )
    if not sound:
        raise Refused(Code.UNAVAILABLE, "the card factory answered something unreadable")
    return Production(said.state, hashes, said.dg14, datetime.fromtimestamp(said.at, UTC))
