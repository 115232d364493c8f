"""Who somebody in a browser is: the registers' identity check, asked for and read.

Promises: nobody is anybody without a fresh check meant for this role. Trusts: the registers role's key. Keeps: nothing;
`jti` is the caller's to spend. Refuses: assertions for another role, too old or under another key; the registers' own
refusals arrive as ours.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec

from mapae.bodies import ACCEPTED, body_within
from mapae.clock import Clock
from mapae.errors import Code, Refused, step
from mapae.formats.jose import Jws, PublicKey, check_times

from .desk_values import Calling

SKEW: Final = 60
_TYPE: Final = "mapae-identity+jwt"
_ANSWER_LIMIT: Final = 65536

IdentityKeys = Callable[[str | None], Mapping[str, Any] | Awaitable[Mapping[str, Any] | None] | None]
"""The public JWK that signs identity assertions under this kid, or None."""


class Started(msgspec.Struct, frozen=True):
    """An identity check has begun: the text message is on its way."""

    check_id: str
    expires_in: int
    tries: int
    phone_hint: str


class _Confirmed(msgspec.Struct, frozen=True):
    assertion: str
    person_name: str


class _Refusal(msgspec.Struct, frozen=True):
    error: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody who passed the check. `jti` is good once, until `expires` (epoch seconds)."""

    person: str
    name: str
    jti: str
    expires: int


@dataclass(frozen=True, slots=True)
class Typed:
    """What a person typed, and where: `client` is the address of the browser. Counted against ours, a few hundred wrong
    entries would close the page to everybody."""

    name: str
    resident_number: str
    phone: str
    language: str
    client: str


class Identity:
    def __init__(
        self, *, clock: Clock, keys: IdentityKeys, peers: Calling, http: httpx.AsyncClient, url: str
    ) -> None:  # fmt: skip
        self._clock = clock
        self._keys = keys
        self._peers = peers
        self._http = http
        self._url = url

    async def start(self, typed: Typed) -> Started:
        """Ask the registers to send a code to this person's phone."""
        message = {
            "name": typed.name, "resident_number": typed.resident_number, "phone": typed.phone,
            "language": typed.language, "client": typed.client,
        }  # fmt: skip
        answer = await self._peers.call("registers", "/registers/checks", message)
        try:
            return msgspec.convert(answer, Started)
        except msgspec.ValidationError:
            raise Refused(Code.UNAVAILABLE, "the identity check answered something unreadable") from None

    async def confirm(self, check_id: str, code: str) -> Known:
        """Whose check this was, by the code from the text message."""
        confirmed = await self._confirmed(check_id, code)
        return await self.read(confirmed.assertion, confirmed.person_name)

    async def read(self, assertion: str, name: str) -> Known:
        """1 the registers' seal  2 for this role  3 in time."""
        jws = Jws.parse(assertion, typ=_TYPE, limit=8192)
        with step("seal"):
            found = self._keys(jws.kid)
            jwk = await found if inspect.isawaitable(found) else found
            if jwk is None:
                raise Refused(Code.BAD_SIGNATURE, "the identity assertion is signed by a key we do not know")
            jws.verify(PublicKey.from_jwk(jwk))
        claims = jws.claims()
        with step("audience"):
            if claims.get("iss") != "registers" or claims.get("aud") != "issuer":
                raise Refused(Code.WRONG_AUDIENCE, "the identity assertion is meant for somebody else")
        with step("time"):
            check_times(claims, self._clock.now(), skew=SKEW, need=("iat", "exp"))
        person, jti, expires = claims.get("sub"), claims.get("jti"), claims.get("exp")
        if not isinstance(person, str) or not isinstance(jti, str) or not isinstance(expires, int) or not jti:
            raise Refused(Code.MALFORMED, "the identity assertion lacks a claim")
        return Known(person, name, jti, expires)

    async def _confirmed(self, check_id: str, code: str) -> _Confirmed:
        """POST to the registers' public door; its refusals arrive as ours."""
        try:
            url = f"{self._url}/checks/{quote(check_id, safe='')}/code"
            async with self._http.stream("POST", url, json={"code": code}, headers=ACCEPTED) as answer:
                content = await body_within(answer, _ANSWER_LIMIT)
        except httpx.HTTPError:
            raise Refused(Code.UNAVAILABLE, "the identity check does not answer; nothing was lost") from None
        except Refused:
            raise Refused(Code.UNAVAILABLE, "the identity check answered something unreadable") from None
        try:
            if answer.is_success:
                return msgspec.json.decode(content, type=_Confirmed)
            refusal = msgspec.json.decode(content, type=_Refusal)
            code_said = Code(refusal.error)
        except ValueError:  # msgspec's errors are ValueErrors, and so is an unknown code
            raise Refused(Code.UNAVAILABLE, "the identity check answered something unreadable") from None
        raise Refused(code_said, refusal.detail)
