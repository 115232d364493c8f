"""The registration certificates that go along with signed questions (OpenID4VP 1.0 5.11).

Promises: a question goes out with a certificate in date, or with none: it never waits long for one, and never fails for
lack of it. Trusts: the trust role for what it hands out; the wallet checks the seal. Keeps: the last one of each party,
in memory. Refuses: nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote

import httpx

from mapae.bodies import body_within
from mapae.clock import Clock
from mapae.errors import Refused
from mapae.formats.jose import Jws
from mapae.trust.registration import LIMIT, TYPE

FRESH: Final = timedelta(hours=1)
PAUSE: Final = timedelta(minutes=1)  # after nobody answered
PATIENCE: Final = 1.0  # seconds
LAST: Final = timedelta(hours=1)  # before its end it is not sent any more


@dataclass(slots=True)
class _Held:
    token: str | None
    until: datetime | None
    asked: datetime
    pause: timedelta


class Registrations:
    def __init__(self, http: httpx.AsyncClient, trust_url: str, clock: Clock) -> None:
        self._http, self._url, self._clock = http, trust_url, clock
        self._held: dict[str, _Held] = {}

    async def of(self, party: str) -> str | None:
        now, held = self._clock.now(), self._held.get(party)
        # Also where the clock was ahead when it was asked for last.
        if held is None or not timedelta(0) <= now - held.asked < held.pause:
            held = await self._ask(party, now, held)
        if held.token is None or held.until is None or now >= held.until - LAST:
            return None
        return held.token

    async def _ask(self, party: str, now: datetime, before: _Held | None) -> _Held:
        path = f"{self._url}/trust/relying-parties/{quote(party, safe='')}/certificate"
        held = before or _Held(None, None, now, PAUSE)
        held.asked, held.pause = now, PAUSE
        self._held[party] = held
        try:
            async with self._http.stream("GET", path, timeout=PATIENCE) as answer:
                if answer.is_success:
                    token = (await body_within(answer, LIMIT)).decode("ascii")
                    end = Jws.parse(token, typ=TYPE, limit=LIMIT).claims()["exp"]
                    held.token, held.until = token, datetime.fromtimestamp(end, now.tzinfo)
                    held.pause = FRESH
        except (httpx.HTTPError, Refused, ValueError, KeyError, TypeError, OverflowError, OSError):
            pass  # the question goes out with the one of before, or without
        return held
