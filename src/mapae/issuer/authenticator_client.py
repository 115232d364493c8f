"""How the desk reaches the demo country's software authenticator. A simulator; only the demo configures it.

Promises: what comes back is the simulator's answer, unread; the desk verifies it like any other. Trusts: nobody.
Keeps: nothing. Refuses: silence, with UNAVAILABLE.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from mapae.errors import Code, Refused


@dataclass(frozen=True, slots=True)
class DemoAuthenticator:
    """`url` has `/assert` below it, answering `{officer, options, origin}` like a browser would."""

    url: str
    http: httpx.AsyncClient

    async def assert_(self, officer: str, options: Mapping[str, Any], origin: str) -> str:
        message = {"officer": officer, "options": options, "origin": origin}
        try:
            answer = await self.http.post(self.url + "/assert", json=message)
        except httpx.HTTPError:
            raise Refused(Code.UNAVAILABLE, "the software authenticator does not answer") from None
        if not answer.is_success:
            raise Refused(Code.BAD_PASSKEY, "the software authenticator holds no passkey for this officer")
        return answer.text
