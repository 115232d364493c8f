"""The citizen's own page: what is on the phone, and the one report that locks everything.

Promises: nobody comes in without a fresh identity check meant for this role; an assertion opens one session; a session
lives ten minutes; the report of a lost phone locks every document at once and says since when. Trusts: the registers
role's key for who somebody is. Keeps: hashes of session tokens, the name sealed, both for minutes. Refuses: assertions
for another role, used twice or too old; to release a lock, which takes a visit to the counter.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec

from mapae.audit import Event, events_about, record
from mapae.catalog import Country
from mapae.clock import Clock, Dice
from mapae.db import Db, Tx
from mapae.errors import Code, Refused, step
from mapae.formats.jose import Jws, PublicKey, check_times
from mapae.keys import Vault

from . import portal_store as store
from .desk_values import Calling, Issuing
from .order import Holding

SESSION_LIFE: Final = timedelta(minutes=10)
_SKEW: Final = 60
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
class Citizen:
    """Whoever is signed in, until `until` (epoch seconds)."""

    person: str
    name: str
    until: int


@dataclass(frozen=True, slots=True)
class Overview:
    """What the page says: the cards, and whether and since when they are locked."""

    holdings: tuple[Holding, ...]
    locked_since: int | None


class Portal:
    """Identity check, the report of a lost phone, and the list of documents."""

    def __init__(
        self,
        db: Db,
        clock: Clock,
        dice: Dice,
        vault: Vault,
        country: Country,
        issuer: Issuing,
        *,
        identity_keys: IdentityKeys,
        peers: Calling,
        http: httpx.AsyncClient,
        identity_url: str,
    ) -> None:
        self._db = db
        self._clock = clock
        self._dice = dice
        self._vault = vault
        self.country = country
        self._issuer = issuer
        self._identity_keys = identity_keys
        self._peers = peers
        self._http = http
        self._identity_url = identity_url

    # --- who is it -------------------------------------------------------------------------------------------------

    async def start(self, name: str, resident_number: str, phone: str, language: str, client: str) -> Started:
        """Ask the registers to send a code to this person's phone. `client` is the address of the citizen's browser:
        counted against ours, a few hundred wrong entries would close this page to everybody."""
        message = {
            "name": name,
            "resident_number": resident_number,
            "phone": phone,
            "language": language,
            "client": client,
        }
        answer = await self._peers.call("registers", "/registers/checks", message)
        try:
            return msgspec.convert(answer, Started)
        except msgspec.ValidationError:
            raise Refused(Code.UNAVAILABLE, "the identity check answered something unreadable") from None

    async def enter(self, check_id: str, code: str) -> str:
        """The code from the text message opens a session: its token."""
        confirmed = await self._confirmed(check_id, code)
        return await self.enter_with(confirmed.assertion, confirmed.person_name)

    async def enter_with(self, assertion: str, name: str) -> str:
        """1 the registers' seal  2 for this role  3 in time  4 not used before."""
        now = self._clock.now()
        at = int(now.timestamp())
        person, jti, expires = await self._opened(assertion)
        token = self._dice.token()
        who = self._vault.seal(name.encode(), _who_of(token))

        async def body(tx: Tx) -> None:
            if not await store.take_assertion(tx, jti, expires + _SKEW, at):
                raise Refused(Code.CODE_SPENT, "this identity check was used already", step="unused")
            await store.put_session(tx, _hash(token), person, who, at, at - int(SESSION_LIFE.total_seconds()))
            await record(tx, Event(person, "portal", "entered", "citizen"), now)

        await self._db.write(body)
        return token

    async def _opened(self, assertion: str) -> tuple[str, str, int]:
        jws = Jws.parse(assertion, typ=_TYPE, limit=8192)
        with step("seal"):
            found = self._identity_keys(jws.kid)
            jwk = await found if inspect.isawaitable(found) else found
            if jwk is None:
                raise Refused(Code.BAD_SIGNATURE, "the identity assertion is signed by a key we do not know")
            jws.verify(PublicKey.from_jwk(jwk))
        claims = jws.claims()
        with step("audience"):
            if claims.get("iss") != "registers" or claims.get("aud") != "issuer":
                raise Refused(Code.WRONG_AUDIENCE, "the identity assertion is meant for somebody else")
        with step("time"):
            check_times(claims, self._clock.now(), skew=_SKEW, need=("iat", "exp"))
        person, jti, expires = claims.get("sub"), claims.get("jti"), claims.get("exp")
        if not isinstance(person, str) or not isinstance(jti, str) or not isinstance(expires, int) or not jti:
            raise Refused(Code.MALFORMED, "the identity assertion lacks a claim")
        return person, jti, expires

    async def citizen(self, token: str) -> Citizen:
        """Whoever this session belongs to. Ten minutes, however busy: the page is for one errand."""
        at, life = int(self._clock.now().timestamp()), int(SESSION_LIFE.total_seconds())
        found = await store.session(self._db, _hash(token), at - life) if token else None
        if found is None:
            raise Refused(Code.NOT_SIGNED_IN, "the session is over: check your identity again")
        person, who, created = found
        return Citizen(person, self._vault.open(who, _who_of(token)).decode(), created + life)

    async def leave(self, token: str) -> None:
        await self._db.write(lambda tx: store.end_session(tx, _hash(token)))

    # --- what can be done ------------------------------------------------------------------------------------------

    async def overview(self, citizen: Citizen) -> Overview:
        return Overview(tuple(await self._issuer.holdings(citizen.person)), await self._locked_since(citizen.person))

    async def report_lost(self, citizen: Citizen) -> None:
        """Lock everything now. Always asked of the issuer, whatever we believe: a lock twice is a lock."""
        await self._issuer.lock(citizen.person, "lost", "citizen")

    async def _locked_since(self, person: str) -> int | None:
        """From the issuer's own audit trail: the lock that no release or end has followed."""
        since: int | None = None
        for seen in await events_about(self._db, person):
            if seen.event.object == "documents" and seen.event.action == "locked":
                since = since if since is not None else int(seen.at.timestamp())
            elif seen.event.object == "documents" and seen.event.action in ("released", "ended"):
                since = None
        return since

    # --- the registers' public door ----------------------------------------------------------------------------------

    async def _confirmed(self, check_id: str, code: str) -> _Confirmed:
        """POST to the identity door; its refusals arrive as ours."""
        try:
            url = f"{self._identity_url}/checks/{quote(check_id, safe='')}/code"
            answer = await self._http.post(url, json={"code": code})
        except httpx.HTTPError:
            raise Refused(Code.UNAVAILABLE, "the identity check does not answer; nothing was lost") from None
        try:
            if len(answer.content) > _ANSWER_LIMIT:
                raise ValueError
            if answer.is_success:
                return msgspec.json.decode(answer.content, type=_Confirmed)
            refusal = msgspec.json.decode(answer.content, type=_Refusal)
            code_said = Code(refusal.error)
        except ValueError:  # msgspec's errors are ValueErrors, and so is an unknown code
            raise Refused(Code.UNAVAILABLE, "the identity check answered something unreadable") from None
        raise Refused(code_said, refusal.detail)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _who_of(token: str) -> bytes:
    return b"portal_session who " + _hash(token)
