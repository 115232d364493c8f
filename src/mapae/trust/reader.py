"""Reading the trust list from elsewhere: fetched now and then, kept always.

Promises: the list is at most `fresh` old while the registry answers, and the last good one serves while it does not,
until that list itself is over, and from `late` for a while longer; an unchanged list is the same object. Trusts: the
pinned key and nothing the network says. Keeps: the last good list and its ETag. Refuses: a list older than the one we
have.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx
import structlog

from mapae.bodies import ACCEPTED, body_within
from mapae.clock import Clock
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey
from mapae.trust.publish import LIMIT, TrustList

AHEAD: Final = 60  # seconds the registry's clock may be ahead of ours
_log = structlog.get_logger("mapae.trust")


class TrustReader:
    """`await reader()` is today's list. One per process; share it."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        url: str,
        key: PublicKey | Mapping[str, str],
        clock: Clock,
        *,
        fresh: timedelta = timedelta(seconds=5),
        kept: tuple[bytes, int] | None = None,
        keep: Callable[[bytes, int], None] | None = None,
    ) -> None:
        """`kept`: the last good list, signed, and when it came, as an earlier reader handed them to its `keep`."""
        self._http, self._url, self._clock, self._fresh = http, url, clock, fresh
        self._key = key if isinstance(key, PublicKey) else PublicKey.from_jwk(key)
        self._list: TrustList | None = None
        self._etag: str | None = None
        self._asked: datetime | None = None
        self._silent = False  # nobody answered the last time: nothing was said against what we have
        self._one_at_a_time = asyncio.Lock()
        self._keep = keep
        if kept is not None:
            with contextlib.suppress(Refused):  # of another key: as if there were none
                self._list = TrustList.parse(kept[0], self._key, datetime.fromtimestamp(kept[1], UTC))

    async def __call__(self) -> TrustList:
        """Raises Refused(UNAVAILABLE) when there is no list in date to be had."""
        if (held := self._held()) is not None and self._is_fresh():
            return held
        async with self._one_at_a_time:
            if not self._is_fresh():  # else somebody fetched while we waited
                await self._refresh()
        held = self._held()
        if held is None:
            raise Refused(Code.UNAVAILABLE, "the trust list cannot be had now")
        return held

    async def late(self, grace: timedelta) -> TrustList:
        """The same; where the registry is silent and none is in date, the last good one for `grace` after its end."""
        try:
            return await self()
        except Refused:
            now = self._clock.now().timestamp()
            if self._list is None or not self._silent or self._list.exp + grace.total_seconds() <= now:
                raise
            return self._list

    def look_again(self) -> None:
        """Something has changed, and we know it: the next call fetches."""
        self._asked = None

    def _held(self) -> TrustList | None:
        if self._list is None or self._list.exp <= self._clock.now().timestamp():
            return None
        return self._list

    def _is_fresh(self) -> bool:
        return self._asked is not None and abs(self._clock.now() - self._asked) < self._fresh

    async def _refresh(self) -> None:
        try:
            got = await self._fetch()
        except (httpx.HTTPError, Refused) as failed:
            # The copy we hold stays good until its own end; without one the caller is refused.
            _log.warning("trust list not refreshed", kind=type(failed).__name__)
            self._asked = self._clock.now() if self._held() is not None else None
            self._silent = not isinstance(failed, Refused) or failed.code is Code.UNAVAILABLE
            return
        self._silent = False
        if got is not None:
            self._list, self._etag = got
        self._asked = self._clock.now()

    async def _fetch(self) -> tuple[TrustList, str | None] | None:
        asked = {**ACCEPTED, "Accept": "application/jwt"}
        if self._etag is not None and self._held() is not None:
            asked["If-None-Match"] = self._etag
        async with self._http.stream("GET", self._url, headers=asked) as answer:
            if answer.status_code == 304:
                return None
            if answer.status_code != 200:
                raise Refused(Code.UNAVAILABLE, "the registry did not give its list")
            raw = await body_within(answer, LIMIT)
        read = TrustList.parse(raw, self._key, self._clock.now())
        if self._list is not None and _is_older(read, self._list, self._clock.now().timestamp()):
            raise Refused(Code.CONFLICT, "the list is older than the one we have")
        if self._keep is not None and read != self._list:
            self._keep(raw, int(self._clock.now().timestamp()))
        return read, answer.headers.get("etag")


def _is_older(read: TrustList, held: TrustList, now: float) -> bool:
    """Of one state of the log the later one, unless ours is of a time to come: a clock that was ahead made it, and what
    is over by that clock is missing in it."""
    return read.seq < held.seq or (read.seq == held.seq and read.iat < held.iat <= now + AHEAD)
