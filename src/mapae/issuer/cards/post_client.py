"""The post over HTTP.

Promises: what `partners.PostPort` says. Trusts: the post for where a parcel is. Keeps: nothing. Refuses: an answer
about another parcel, a tracking number that is none.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

import msgspec

from mapae.errors import Code, Refused
from mapae.issuer.cards.calls import Outside, part
from mapae.issuer.cards.partners import Parcel, Tracked, Transit

_NUMBER: Final = re.compile(r"[A-Za-z0-9-]{1,40}")
_YEAR_10000: Final = 253_402_300_800


class _Parcel(msgspec.Struct):
    number: str
    reference: str
    state: Transit
    at: int


class PostClient:
    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    async def send(self, parcel: Parcel) -> str:
        said = await self._outside.ask("/parcels", _Parcel, parcel, (Code.CONFLICT,))
        if said.reference != parcel.reference or not _NUMBER.fullmatch(said.number):
            raise Refused(Code.UNAVAILABLE, "the post answered something unreadable")
        return said.number

    async def track(self, number: str) -> Tracked | None:
        try:
            said = await self._outside.ask(f"/parcels/{part(number)}", _Parcel, allowed=(Code.NOT_FOUND,))
        except Refused as refused:
            if refused.code is Code.NOT_FOUND:
                return None
            raise
        if said.number != number or not 0 <= said.at < _YEAR_10000:
            raise Refused(Code.UNAVAILABLE, "the post answered something unreadable")
        return Tracked(said.state, datetime.fromtimestamp(said.at, UTC))
