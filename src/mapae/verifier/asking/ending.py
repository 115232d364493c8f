"""Says in good time that an access certificate ends: whoever runs a verifier of his own is reminded by nobody else.

Promises: from `WARN` before its end each party's certificate is named in the log once a day, with what to do. Trusts:
the certificates this process asks with. Keeps: which day it spoke, in memory. Refuses: nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Final

import structlog

from mapae.clock import Clock
from mapae.formats.x509 import life_of
from mapae.verifier.asking.judge import Access

_log = structlog.get_logger("mapae.verifier")

WARN: Final = timedelta(days=30)


def ends(access: Mapping[str, Access]) -> dict[str, datetime]:
    """Until when each party may be asked for."""
    return {party: life_of(one.x5c[0])[1] for party, one in access.items()}


class Ending:
    def __init__(self, access: Mapping[str, Access], clock: Clock) -> None:
        self._access, self._clock = access, clock
        self._said: dict[str, date] = {}

    async def look(self) -> None:
        now = self._clock.now()
        for party, until in ends(self._access).items():
            if until - now > WARN or self._said.get(party) == now.date():
                continue
            self._said[party] = now.date()
            _log.warning(
                "an access certificate ends: ask two governors for `mapae rp renew`, then start with the new one",
                party=party, days=max(0, (until - now).days),
            )  # fmt: skip
