"""The fingerprint comparison over HTTP: a question goes out, one word comes back.

Promises: what `partners.FingerprintPort` says; no print passes through here. Trusts: the comparison's result. Keeps:
nothing. Refuses: nothing: no answer is UNAVAILABLE.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from mapae.errors import Refused
from mapae.issuer.cards.calls import Outside
from mapae.issuer.cards.partners import Fingerprint


class _Result(msgspec.Struct):
    result: Literal["matched", "not_matched", "unreadable"]


class FingerprintClient:
    def __init__(self, outside: Outside) -> None:
        self._outside = outside

    async def compare(self, person: str, office: str) -> Fingerprint:
        try:
            said = await self._outside.ask("/comparisons", _Result, {"person": person, "office": office})
        except Refused:
            return Fingerprint.UNAVAILABLE
        return Fingerprint(said.result)
