"""What the country's checker does for a party that has no verifier of its own, as the trust role asks it.

Promises: an approved party sees what it has there and ends each of it, and a hosted one is given tills and keys; nobody
else is. Trusts: `onboarding` for whose link it is; the verifier for what there is. Keeps: nothing. Refuses: a party
that is not approved, another party's things, what has ended already.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from mapae.errors import Code, Refused
from mapae.trust.onboarding_store import Stage

if TYPE_CHECKING:
    from mapae.trust.onboarding import Seen

Call = Callable[[str, Mapping[str, Any]], Awaitable[dict[str, Any]]]
"""A peer door of the verifier by its name."""


class Holding(msgspec.Struct, frozen=True):
    """One thing a party has: a till, a key of the HTTP interface, a client that logs people in. Never its secret.
    `used_at`: to the day, None: never; `until`: it ends by itself then."""

    kind: str
    id: str
    label: str
    made_at: int
    used_at: int | None = None
    until: int | None = None

    @property
    def made(self) -> datetime:
        return datetime.fromtimestamp(self.made_at, UTC)

    @property
    def used(self) -> datetime | None:
        return None if self.used_at is None else datetime.fromtimestamp(self.used_at, UTC)

    @property
    def ends(self) -> datetime | None:
        return None if self.until is None else datetime.fromtimestamp(self.until, UTC)


class OnBehalf:
    def __init__(self, call: Call) -> None:
        self._call = call

    # --- for an application -------------------------------------------------------------------------------------------

    async def key(self, party: str, case: str) -> Mapping[str, str]:
        made: Mapping[str, str] = (await self._call("key", {"party": party, "case": case}))["key"]
        return made

    async def let_go(self, case: str) -> None:
        await self._call("drop", {"case": case})

    # --- for a party, by its link -------------------------------------------------------------------------------------

    async def till(self, seen: Seen) -> str:
        """A one-time code."""
        return str((await self._call("till", {"party": _hosted(seen)}))["code"])

    async def api_key(self, seen: Seen, label: str) -> str:
        """A new key, which is shown this once."""
        return str((await self._call("api-key", {"party": _hosted(seen), "label": label or "server"}))["key"])

    async def holdings(self, seen: Seen) -> list[Holding] | None:
        """None: it cannot be said now, or there is no party (yet)."""
        if seen.case.stage is not Stage.APPROVED:
            return None
        try:
            said = await self._call("holdings", {"party": seen.case.party})
        except Refused as refused:
            if refused.code is not Code.UNAVAILABLE:
                raise
            return None
        return msgspec.convert(said["holdings"], list[Holding])

    async def end(self, seen: Seen, kind: str, id: str) -> None:
        """Raises Refused(NOT_FOUND) for what has ended already, or is not this party's."""
        said = await self._call("end", {"party": _approved(seen), "kind": kind, "id": id})
        if not said["ended"]:
            raise Refused(Code.NOT_FOUND, "there is no such thing, or it has ended")


def _approved(seen: Seen) -> str:
    if seen.case.stage is not Stage.APPROVED:
        raise Refused(Code.NOT_ALLOWED, "this is for an approved party")
    return seen.case.party


def _hosted(seen: Seen) -> str:
    if not seen.made.hosted:
        raise Refused(Code.NOT_ALLOWED, "this is for a party that asks through the country's checker")
    return _approved(seen)
