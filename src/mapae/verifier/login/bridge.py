"""The OpenID Connect bridge: any site's ordinary client logs people in with their card.

Promises: a log-in counts in the browser that the site sent here and in no other; each one asks the wallet, so nobody is
kept logged in; a code is good once, for a minute, for its client, its address and its PKCE verifier, and its second use
ends what the first one got. Trusts: `Questions` for the answer, the trust list for what a site may ask. Keeps: of a
person what the site learns, sealed, until the site has fetched it, five minutes at most; never who logs in where: two
sectors get two numbers, made with a key of the bridge alone. Refuses: what `login.read` refuses; another browser's
log-in; a card too old to have a log-in number (it is declined by the wallet itself).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import msgspec

from mapae.catalog import Purpose
from mapae.clock import Clock, Dice
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.formats.jose import b64u
from mapae.keys import Vault
from mapae.oauth import answer_uri, verifies
from mapae.rules import Words
from mapae.verifier.asking.ask import Form, Manner
from mapae.verifier.asking.questions import Questions, asker_of, registered
from mapae.verifier.asking.store import Outcome, Session, Verdict
from mapae.verifier.login import client as login_client
from mapae.verifier.login import openid as login
from mapae.verifier.login import store
from mapae.verifier.login.keys import Keys
from mapae.verifier.login.openid import Asked, Client, Told, Way, Wrong
from mapae.verifier.login.store import Grant, Login

LOGIN_LIFE: Final = timedelta(minutes=15)
QUESTION_LIFE: Final = timedelta(minutes=5)  # reading the page, finding the phone
CODE_LIFE: Final = timedelta(seconds=60)
TOKEN_LIFE: Final = timedelta(minutes=5)  # of access and ID token
PUSHED_LIFE: Final = timedelta(seconds=60)  # RFC 9126 2.2: until the browser comes with it
PUSHED: Final = "urn:ietf:params:oauth:request_uri:"


@dataclass(frozen=True, slots=True)
class Begun:
    """A log-in has been opened for this browser. `locales`: as the site would have the pages speak."""

    id: str
    browser: str
    locales: str


@dataclass(frozen=True, slots=True)
class Misled:
    """The site is told what was wrong, at its own address."""

    way: Way
    answer: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Open:
    """The wallet is being asked."""

    login: Login
    site: Words
    purpose: Purpose
    items: tuple[Words, ...]
    session: Session
    link: str
    seconds_left: int


@dataclass(frozen=True, slots=True)
class Over:
    """The wallet's answer was none that logs anybody in."""

    login: Login
    site: Words
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Done:
    """The browser goes back to the site with this."""

    site: Words
    way: Way
    answer: Mapping[str, str]


class Bridge:
    """One object a process. `vault` holds the key from which every site's numbers are made: losing it makes everybody a
    stranger everywhere, so it is backed up with the other keys and never changed."""

    def __init__(
        self, *, db: Db, vault: Vault, clock: Clock, dice: Dice, questions: Questions, keys: Keys, base: str
    ) -> None:
        self._db, self._vault, self._clock, self._dice = db, vault, clock, dice
        self._questions = questions
        self.keys = keys
        self.base = base.rstrip("/")
        self.issuer = f"{self.base}/login"
        self._country = questions.country
        self._scopes = login.all_scopes(self._country)

    def discovery(self) -> dict[str, Any]:
        return login.discovery(self.issuer, self._country)

    # --- the browser --------------------------------------------------------------------------------------------------

    async def begin(self, parameters: Mapping[str, str], twice: Collection[str], browser: str | None) -> Begun | Misled:
        """A site sends a browser. Raises Refused where there is no address to trust (`login.way_back`)."""
        if {"client_id", "redirect_uri", "response_mode", "request_uri"}.intersection(twice):
            raise Refused(Code.INVALID_REQUEST, "client_id, redirect_uri, response_mode or request_uri appears twice")
        parameters = login.present(parameters)
        client = await store.client(self._db, parameters.get("client_id", "")[:128])
        if parameters.get("request_uri", "").startswith(PUSHED):
            parameters, twice = await self._pulled(client, parameters["request_uri"].removeprefix(PUSHED)), ()
        way = login.way_back(parameters, client)
        assert client is not None  # `way_back` has refused
        asked = await self._read(parameters, twice, client)
        if isinstance(asked, Wrong):
            answer = {"error": asked.error, "error_description": asked.description}
            return Misled(way, way.answer(self.issuer, answer))
        id, browser = self._dice.token(18), browser or self._dice.token()
        check = await self._put(id, browser, client, asked)
        until = self._clock.now() + LOGIN_LIFE
        await store.open_login(self._db, Login(id, client.id, _browser(browser), asked, check, "open", until))
        await store.used(self._db, client.id, self._clock.now())
        return Begun(id, browser, parameters.get("ui_locales", ""))

    async def look(self, id: str, browser: str | None) -> Open | Over | Done:
        """What the browser sees now; a good answer goes on to the site. Raises Refused(NOT_FOUND) for another one's
        log-in, SESSION_SPENT for one that is over."""
        found, client = await self._mine(id, browser)
        site = await self._site(client)
        await self._questions.sweep()
        try:
            session = await self._questions.of(_asker(id, browser or ""), found.check or "")
        except Refused as refused:
            if refused.code is not Code.NOT_FOUND:
                raise
            return Over(found, site, Verdict(Outcome.EXPIRED))  # forgotten while the browser slept
        purpose = self._country.purposes[session.purpose]
        verdict = session.verdict
        if verdict is None:
            left = max(0, round((session.expires_at - self._clock.now()).total_seconds()))
            return Open(
                found, site, purpose, self._items(purpose), session, self._questions.link(session), left
            )  # fmt: skip
        if verdict.outcome is Outcome.ACCEPTED and session.shown is not None:
            return await self._finish(found, client, site, purpose, session)
        if verdict.outcome is Outcome.ACCEPTED:  # the page was not there in time to read it
            verdict = Verdict(Outcome.EXPIRED)
        return Over(found, site, verdict)

    async def again(self, id: str, browser: str | None) -> None:
        """The question is put once more: the one before has ended, or is ended by this."""
        found, client = await self._mine(id, browser)
        check = await self._put(id, browser or "", client, found.asked)
        await store.set_check(self._db, id, found.check, check)

    async def refuse(self, id: str, browser: str | None) -> Done:
        """The person does not want to log in; the site hears so."""
        found, client = await self._mine(id, browser)
        if found.check is not None:
            await self._questions.cancel(_asker(id, browser or ""), found.check)
        if not await store.finish(self._db, id, None, self._clock.now()):
            raise Refused(Code.SESSION_SPENT, "this log-in has ended")
        denied = {"error": "access_denied", "error_description": "the person did not log in"}
        way = found.asked.way
        return Done(await self._site(client), way, way.answer(self.issuer, denied))

    async def back(self, check: str, code: str, browser: str | None) -> str | Login:
        """The wallet leads a browser here: the one that asked goes on with its log-in; another one is shown the code
        to type ("": nothing to type any more). Raises Refused(NOT_FOUND, WRONG_BROWSER)."""
        found = await store.login_of_check(self._db, check, self._clock.now())
        if found is None:
            raise Refused(Code.NOT_FOUND, "there is no such log-in")
        asker = _asker(found.id, browser) if browser and _browser(browser) == found.browser else ""
        typed = await self._questions.come_back(asker, check, code)
        return found if typed is None else typed

    async def type_back(self, id: str, browser: str | None, text: str) -> int:
        """As `Questions.type_back`."""
        found, _ = await self._mine(id, browser)
        return await self._questions.type_back(_asker(id, browser or ""), found.check or "", text)

    async def asker(self, id: str, browser: str | None) -> tuple[str, str]:
        """Whose question it is and its id, for the browser's own way to a wallet (Digital Credentials API)."""
        found, _ = await self._mine(id, browser)
        return _asker(id, browser or ""), found.check or ""

    # --- the site's server --------------------------------------------------------------------------------------------

    async def push(self, authorization: str | None, form: Mapping[str, str]) -> dict[str, Any] | Wrong:
        """RFC 9126 2: the site's server says what it asks, and proves itself; the browser carries a reference."""
        form = login.present(form)
        client = await self._proven(login_client.credentials(authorization, form))
        if "request_uri" in form:
            raise Refused(Code.INVALID_REQUEST, "request_uri is not pushed")
        parameters = {name: value for name, value in form.items() if name in login.KNOWN} | {"client_id": client.id}
        login.way_back(parameters, client)
        asked = await self._read(parameters, (), client)
        if isinstance(asked, Wrong) and asked.error != "login_required":  # that one is for the browser to bring back
            return asked
        reference = self._dice.token(32)
        until = self._clock.now() + PUSHED_LIFE
        await store.push(self._db, login_client.digest(reference), client.id, parameters, until)
        return {"request_uri": f"{PUSHED}{reference}", "expires_in": int(PUSHED_LIFE.total_seconds())}

    async def token(self, authorization: str | None, form: Mapping[str, str]) -> dict[str, Any]:
        """1 the client  2 the grant type  3 the code, of this client  4 used once  5 its address  6 PKCE."""
        form = login.present(form)
        client = await self._proven(login_client.credentials(authorization, form))
        match form.get("grant_type"):
            case "authorization_code":
                pass
            case None:
                raise Refused(Code.INVALID_REQUEST, "grant_type is missing")
            case _:
                raise Refused(Code.UNSUPPORTED_GRANT_TYPE, "only authorization_code is answered")
        now = self._clock.now()
        grant = await store.grant_of_code(self._db, login_client.digest(form.get("code", "")))
        if grant is None or grant.client != client.id:
            raise Refused(Code.INVALID_GRANT, "there is no such code for this client")
        if grant.state != "code":  # RFC 6749 4.1.2, RFC 9700 4.5.3.1
            await store.revoke(self._db, grant.id, now)
            raise Refused(Code.INVALID_GRANT, "the code has been used; what was given out for it has ended")
        if form.get("redirect_uri") != grant.redirect_uri:
            raise Refused(Code.INVALID_GRANT, "redirect_uri is not the one the code was sent to")
        verifier = form.get("code_verifier", "")
        # RFC 9700 4.8.2: a verifier without a challenge is a request whose challenge somebody took away.
        if bool(verifier) != bool(grant.challenge) or (verifier and not verifies(verifier, grant.challenge)):
            raise Refused(Code.INVALID_GRANT, "code_verifier does not fit")
        access = self._dice.token(32)
        if not await store.redeem(self._db, grant.id, login_client.digest(access), now, now + TOKEN_LIFE):
            if now < grant.expires_at:  # the other one of two at the same moment
                await store.revoke(self._db, grant.id, now)
            raise Refused(Code.INVALID_GRANT, "the code has expired, or has just been used")
        return {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": int(TOKEN_LIFE.total_seconds()),
            "scope": grant.scope,
            "id_token": await self.keys.sign(client.alg, self._id_token(client, grant, access)),
        }

    async def userinfo(self, access: str) -> dict[str, Any]:
        """OpenID Connect Core 1.0 5.3.2. Raises Refused(INVALID_TOKEN)."""
        grant = await store.grant_of_token(self._db, login_client.digest(access), self._clock.now())
        if grant is None or grant.claims is None:
            raise Refused(Code.INVALID_TOKEN, "the access token is not known, or has expired")
        told = self._told(grant)
        return {"sub": told.sub, **told.claims}

    async def logout(self, parameters: Mapping[str, str]) -> str | None:
        """RP-Initiated Logout 1.0 3: where the browser goes on to, if the site has registered that. Nobody is logged in
        here, so there is nothing else to do. 4: where anything is wrong, it goes nowhere."""
        parameters = login.present(parameters)
        named: object = parameters.get("client_id")
        if "id_token_hint" in parameters:
            claims = await self.keys.read(parameters["id_token_hint"][:8192])
            if claims is None or named not in (None, claims.get("aud")):  # 2: the same client by both
                return None
            named = claims.get("aud")
        client = await store.client(self._db, named[:128]) if isinstance(named, str) else None
        uri = parameters.get("post_logout_redirect_uri", "")
        if client is None or client.ended or uri not in client.logout_uris:
            return None
        state = parameters.get("state")
        return answer_uri(uri, {"state": state[:2000]}) if state is not None else uri

    async def sweep(self) -> None:
        await store.sweep(self._db, self._clock.now(), self._clock.surely())

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _mine(self, id: str, browser: str | None) -> tuple[Login, Client]:
        found = await store.login(self._db, id, self._clock.now())
        if found is None or not browser or found.browser != _browser(browser):
            raise Refused(Code.NOT_FOUND, "there is no such log-in in this browser")
        client = await store.client(self._db, found.client)
        if found.state != "open" or client is None or client.ended:
            raise Refused(Code.SESSION_SPENT, "this log-in has ended")
        return found, client

    async def _pulled(self, client: Client | None, reference: str) -> dict[str, str]:
        """RFC 9126 4 and 7.3: once, by the client that pushed it, and nothing beside it counts."""
        found = await store.pull(
            self._db, login_client.digest(reference), client.id if client else "", self._clock.now()
        )
        if found is None:
            raise Refused(Code.INVALID_REQUEST, "request_uri is not known to this site's client, used, or too old")
        return found

    async def _read(self, parameters: Mapping[str, str], twice: Collection[str], client: Client) -> Asked | Wrong:
        asked = login.read(parameters, twice, client, await self._offers(client.relying_party), self._scopes)
        if isinstance(asked, Asked) and "id_token_hint" in parameters:
            asked = await self._hinted(asked, client, parameters["id_token_hint"])
        return asked

    async def _offers(self, party: str) -> dict[frozenset[str], Purpose]:
        try:
            entry = self._questions.party(await self._questions.trust(), party)
        except Refused as refused:
            if refused.code is not Code.UNKNOWN_RELYING_PARTY:
                raise
            return {}  # struck off the trust list: the site may ask for nothing
        return login.offers(self._country, registered(entry))

    async def _site(self, client: Client) -> Words:
        return self._questions.party(await self._questions.trust(), client.relying_party).name

    async def _put(self, id: str, browser: str, client: Client, asked: Asked) -> str:
        """One question a log-in, so that two tabs do not end each other's."""
        manner = Manner(same_device=True, typed_back=True, log_in=True)
        return await self._questions.put(
            _asker(id, browser), client.relying_party, asked.purpose, Form.EITHER, manner, QUESTION_LIFE
        )  # fmt: skip

    async def _hinted(self, asked: Asked, client: Client, hint: str) -> Asked | Wrong:
        claims = await self.keys.read(hint[:8192])
        if claims is None or claims.get("aud") != client.id or not isinstance(claims.get("sub"), str):
            return Wrong("invalid_request", "id_token_hint is no ID token of ours for this client")
        return msgspec.structs.replace(asked, hint=claims["sub"])

    async def _finish(
        self, found: Login, client: Client, site: Words, purpose: Purpose, session: Session
    ) -> Done | Over:  # fmt: skip
        values = self._questions.reveal(session)
        number = values.pop(self._country.documents[purpose.document].login_item or "", "")
        if not number:
            return Over(found, site, Verdict(Outcome.REFUSED, "request", Code.NOT_WHAT_WAS_ASKED.value))
        now, asked = self._clock.now(), found.asked
        told = login.told(self._country, purpose, self._sub(client, str(number)), values, int(now.timestamp()))
        code, id = self._dice.token(32), self._dice.token(18)
        answer: dict[str, str] = {"code": code}
        grant: Grant | None = Grant(
            id, client.id, login_client.digest(code), asked.redirect_uri, asked.challenge, asked.nonce,
            " ".join(asked.scope), self._vault.seal(msgspec.json.encode(told), _context(id)), "code", now + CODE_LIFE,
        )  # fmt: skip
        if asked.hint is not None and asked.hint != told.sub:  # OpenID Connect Core 1.0 3.1.2.1: somebody else came
            grant, answer = None, {"error": "login_required", "error_description": "another person logged in"}
        if not await store.finish(self._db, found.id, grant, now):
            raise Refused(Code.SESSION_SPENT, "this log-in has ended")
        await self._questions.erase(session.till, session.id)
        return Done(site, asked.way, asked.way.answer(self.issuer, answer))

    def _sub(self, client: Client, number: str) -> str:
        """OpenID Connect Core 1.0 8.1: nobody without the key can tell it from the number, or from another sector's."""
        return b64u(self._vault.index(f"{client.sector}|{number}", b"login.sub"))

    async def _proven(self, said: login_client.Credentials) -> Client:
        client = await store.client(self._db, said.client_id[:128])
        if client is None or client.ended:
            raise Refused(Code.INVALID_CLIENT, "the client could not be confirmed")
        if client.method != "keys":
            login_client.must_be_secret(client, said)
            return client
        audiences = (self.issuer, f"{self.issuer}/token", f"{self.issuer}/par")  # RFC 9126 2
        checked = login_client.assertion(client, said, audiences, self._clock.now())
        if not await store.first_use(self._db, checked.digest, checked.expires_at):
            raise Refused(Code.INVALID_CLIENT, "the assertion has been used")
        return client

    def _id_token(self, client: Client, grant: Grant, access: str) -> dict[str, Any]:
        """OpenID Connect Core 1.0 2 and 3.1.3.6. What else the site may learn, it asks of userinfo (5.4)."""
        now, told = int(self._clock.now().timestamp()), self._told(grant)
        nonce = {"nonce": grant.nonce} if grant.nonce is not None else {}
        half = hashlib.sha256(access.encode()).digest()[:16]
        return {
            "iss": self.issuer, "sub": told.sub, "aud": client.id, "iat": now,
            "exp": now + int(TOKEN_LIFE.total_seconds()), "auth_time": told.auth_time, "acr": told.acr,
            "amr": list(told.amr), "at_hash": b64u(half), **nonce,
        }  # fmt: skip

    def _told(self, grant: Grant) -> Told:
        if grant.claims is None:
            raise Refused(Code.INVALID_GRANT, "the code has expired")
        return msgspec.json.decode(self._vault.open(grant.claims, _context(grant.id)), type=Told)

    def _items(self, purpose: Purpose) -> tuple[Words, ...]:
        document = self._country.documents[purpose.document]
        return tuple(document.claim(name).label for name in purpose.items if name != document.login_item)


def _asker(id: str, browser: str) -> str:
    return asker_of(f"{browser}|{id}")


def _browser(token: str) -> str:
    return asker_of(f"login|{token}")


def _context(id: str) -> bytes:
    return f"login_grant.claims|{id}".encode()
