"""The token endpoint and what is pushed ahead of a browser, by clause: RFC 6749, 7523, 7636, 8725, 9126 and 9700.

As in test_login_profiles.py, *suite* is the OpenID Foundation's conformance suite, whose module does the same.
"""

from __future__ import annotations

import hmac
import itertools
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from urllib.parse import quote_plus

import httpx
import msgspec
import pytest

from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.formats.jose import jws_complete, jws_input, sign_jws
from mapae.keys import RsaSigner, Signer
from mapae.keys.rsa import new_secret
from mapae.verifier.login.bridge import PUSHED_LIFE
from mapae.verifier.login.client import JWT_BEARER, registered
from unit.verifier.login.login_world import (
    CALLBACK,
    ISSUER,
    PLAIN,
    SECRET,
    Club,
    club_on,
    csrf,
    landed,
    plain,
    request,
    rsa,
)

pytestmark = pytest.mark.parametrize("migrated", ["sqlite"], indirect=True)  # both engines: test_login_store.py


@pytest.fixture
async def club(migrated: Callable[[str], Awaitable[Db]]) -> AsyncIterator[Club]:
    async with club_on(await migrated("verifier")) as club:
        await club.add("plain", pkce_optional=True)
        yield club


# --- PKCE, or a nonce -------------------------------------------------------------------------------------------------


async def test_rfc9700_2_1_1_without_pkce_a_server_that_is_registered_so_sends_a_nonce(club: Club) -> None:
    async with club.browser() as browser:
        assert (await plain(club, browser))["token_type"] == "Bearer"
        for more in ({**PLAIN, "nonce": None}, {"code_challenge_method": None}, {"code_challenge": None},
                     {"code_challenge_method": "plain"}):  # fmt: skip
            assert landed(await club.begin(browser, client_id="plain", **more))["error"] == "invalid_request", more
        assert landed(await club.begin(browser, **PLAIN))["error"] == "invalid_request", "not registered so"
    with pytest.raises(Refused) as refused:  # public clients MUST use PKCE
        registered("app", "mart", [CALLBACK], pkce_optional=True)
    assert refused.value.code is Code.MALFORMED


async def test_rfc9700_4_8_2_nobody_takes_the_challenge_away(club: Club) -> None:
    """A verifier for a code without a challenge, and none for a code with one."""
    async with club.browser() as browser:
        code = (await club.log_in(browser, client_id="plain", **PLAIN))["code"]
        stripped = await club.tokens(browser, code, basic=("plain", SECRET))
        assert stripped.json()["error"] == "invalid_grant"
        code = (await club.log_in(browser, client_id="plain"))["code"]
        bare = await club.tokens(browser, code, basic=("plain", SECRET), code_verifier=None)
        assert bare.json()["error"] == "invalid_grant"
        assert (await club.tokens(browser, code, basic=("plain", SECRET))).status_code == 200


# --- the token endpoint -----------------------------------------------------------------------------------------------


async def test_rfc6749_5_1_a_token_response_is_kept_by_nobody(club: Club) -> None:
    async with club.browser() as browser:
        got = await club.tokens(browser, (await club.log_in(browser))["code"])
        assert got.headers["cache-control"] == "no-store" and got.headers["pragma"] == "no-cache"
        assert got.headers["content-type"].startswith("application/json")
        assert got.json().keys() == {"access_token", "token_type", "expires_in", "scope", "id_token"}


async def test_rfc6749_2_3_1_id_and_secret_are_form_encoded_before_base64(club: Club) -> None:
    secret = "1+2 %&:=é"
    await club.add("odd", secret=secret)
    async with club.browser() as browser:
        for spelled, status in ((quote_plus(secret), 200), (secret, 401)):
            code = (await club.log_in(browser, client_id="odd"))["code"]
            got = await club.tokens(browser, code, basic=("odd", spelled))
            assert got.status_code == status
        plus = b64encode(b"odd").decode()
        for header in (f"Basic {plus}", "Basic !", "Basic", "Bearer x"):  # no colon, no base64, nothing, another scheme
            got = await browser.post("/login/token", data={"code": "x"}, headers={"Authorization": header})
            assert got.status_code == 401 and got.headers["www-authenticate"].startswith("Basic realm=")  # 5.2


async def test_rfc6749_4_1_2_a_code_used_again_half_a_minute_later_ends_the_token(club: Club) -> None:
    """Suite: codereuse and codereuse-30seconds: 400, invalid_grant, and the access token is worth nothing."""
    async with club.browser() as browser:
        code = (await club.log_in(browser, client_id="plain", **PLAIN))["code"]
        send = {"basic": ("plain", SECRET), "code_verifier": None}
        access = (await club.tokens(browser, code, **send)).json()["access_token"]
        club.clock.advance(timedelta(seconds=30))
        again = await club.tokens(browser, code, **send)
        assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
        gone = await browser.get("/login/userinfo", headers={"Authorization": f"Bearer {access}"})
        assert gone.status_code == 401


async def test_core_9_an_assertion_is_for_us_alone(club: Club) -> None:
    """RFC 7523 3 and OpenID Connect Core 1.0 9: one that another server may use as well is refused."""
    key = Signer.ephemeral()
    await club.add("keys", secret=None, keys=msgspec.json.encode({"keys": [{**key.jwk, "kid": "k"}]}).decode())
    now = int(club.clock.now().timestamp())
    async with club.browser() as browser:
        code = (await club.log_in(browser, client_id="keys"))["code"]
        for jti, aud, status in (
            ("1", [ISSUER, "https://other.example"], 401), ("2", [], 401), ("3", [ISSUER, 7], 401), ("4", None, 401),
            ("5", [ISSUER, f"{ISSUER}/token"], 200),
        ):  # fmt: skip
            said = {"iss": "keys", "sub": "keys", "aud": aud, "jti": jti, "exp": now + 60}
            sent = {"client_assertion": sign_jws(key, {"kid": "k"}, said), "client_assertion_type": JWT_BEARER}
            got = await club.tokens(browser, code, basic=None, **sent)
            assert got.status_code == status, (aud, got.text)


async def test_rfc8725_3_1_an_assertion_is_verified_by_the_algorithm_of_the_registered_key(club: Club) -> None:
    """Discovery 3: RS256 SHOULD be there. No header chooses another algorithm than its key's."""
    one, other, curve = RsaSigner(rsa()), RsaSigner(new_secret()), Signer.ephemeral()
    for id, key in (("rsa", {**one.jwk, "kid": "k", "alg": "RS256"}), ("curve", {**curve.jwk, "kid": "k"})):
        await club.add(id, secret=None, keys=msgspec.json.encode({"keys": [key]}).decode())
    now, jti = int(club.clock.now().timestamp()), itertools.count()

    def signed(id: str, alg: str, sign: Callable[[bytes], bytes]) -> dict[str, Any]:
        said = {"iss": id, "sub": id, "aud": ISSUER, "jti": str(next(jti)), "exp": now + 60}
        head = jws_input({"alg": alg, "kid": "k", "typ": "JWT"}, said)
        return {"client_assertion": jws_complete(head, sign(head)), "client_assertion_type": JWT_BEARER}

    def by_public_key(message: bytes) -> bytes:
        return hmac.digest(one.jwk["n"].encode(), message, "sha256")

    async with club.browser() as browser:
        for id, alg, sign, status in (
            ("rsa", "RS256", one.sign, 200), ("rsa", "RS256", other.sign, 401), ("rsa", "ES256", curve.sign, 401),
            ("rsa", "ES256", one.sign, 401), ("rsa", "HS256", by_public_key, 401), ("rsa", "none", lambda _: b"", 401),
            ("rsa", "RS512", one.sign, 401), ("curve", "RS256", one.sign, 401), ("curve", "ES256", curve.sign, 200),
        ):  # fmt: skip
            code = (await club.log_in(browser, client_id=id))["code"]
            got = await club.tokens(browser, code, basic=None, **signed(id, alg, sign))
            assert got.status_code == status, (id, alg, got.text)


# --- pushed requests: RFC 9126 ----------------------------------------------------------------------------------------


async def pushed(browser: httpx.AsyncClient, **changes: Any) -> httpx.Response:
    basic = b64encode(f"club:{changes.pop('secret', SECRET)}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}"}
    return await browser.post("/login/par", data=request(**{"client_id": None, **changes}), headers=headers)


async def test_rfc9126_a_pushed_request_is_the_whole_request(club: Club) -> None:
    """2.2, 4: what the browser says beside it does not count, so nobody on the way changes what is asked."""
    async with club.browser() as browser:
        made = await pushed(browser, state="pushed", scope="openid profile", ui_locales="ko")
        assert (made.status_code, made.json()["expires_in"], made.headers["cache-control"]) == (201, 60, "no-store")
        there = {"client_id": "club", "request_uri": made.json()["request_uri"]}
        assert there["request_uri"].startswith("urn:ietf:params:oauth:request_uri:")
        changed = {
            **there,
            "state": "mine",
            "redirect_uri": "https://evil.example",
            "scope": "openid",
            "prompt": "none",
        }
        begun = await browser.get("/login/authorize", params=changed)
        path, _, spoken = begun.headers["location"].partition("?")
        assert spoken == "lang=ko"
        said = landed(await browser.post(f"{path}/refuse", data={"csrf": csrf((await browser.get(path)).text)}))
        assert (said["error"], said["state"]) == ("access_denied", "pushed")
        again = await browser.get("/login/authorize", params=there)
        assert again.status_code == 400 and "location" not in again.headers, "7.3: once"


async def test_rfc9126_4_a_reference_is_for_its_client_and_for_a_minute(club: Club) -> None:
    async with club.browser() as browser:
        uri = (await pushed(browser)).json()["request_uri"]
        for wrong in ({"client_id": "plain"}, {"client_id": "nobody"}, {"client_id": None}, {"request_uri": f"{uri}x"}):
            asked = {"client_id": "club", "request_uri": uri, **wrong}
            answer = await browser.get("/login/authorize", params={k: v for k, v in asked.items() if v is not None})
            assert answer.status_code in (400, 403) and "location" not in answer.headers, wrong
        begun = await browser.get("/login/authorize", params={"client_id": "club", "request_uri": uri})
        assert begun.status_code == 303, "and nobody else has used it up"
        late = (await pushed(browser)).json()["request_uri"]
        club.clock.advance(PUSHED_LIFE)
        asked = {"client_id": "club", "request_uri": late}
        assert (await browser.get("/login/authorize", params=asked)).status_code == 400
        await club.bridge.sweep()
        assert await club.shop.db.one("SELECT 1 AS one FROM login_pushed") is None


async def test_rfc9126_2_3_what_is_wrong_is_said_to_the_server_before_anybody_is_sent(club: Club) -> None:
    async with club.browser() as browser:
        for changes, status, error in (
            ({"secret": "wrong"}, 401, "invalid_client"),
            ({"request_uri": "urn:x"}, 400, "invalid_request"),  # 2.1
            ({"redirect_uri": "https://evil.example/"}, 400, "invalid_request"),
            ({"response_mode": "fragment"}, 400, "invalid_request"),
            ({"response_type": "token"}, 400, "unsupported_response_type"),
            ({"scope": "profile"}, 400, "invalid_scope"),
            ({"code_challenge": None}, 400, "invalid_request"),
            ({"request": "eyJ"}, 400, "request_not_supported"),
            ({"id_token_hint": "no.token.this"}, 400, "invalid_request"),
        ):
            said = await pushed(browser, **changes)
            assert (said.status_code, said.json()["error"]) == (status, error), changes
        assert await club.shop.db.one("SELECT 1 AS one FROM login_pushed") is None
        uri = (await pushed(browser, prompt="none")).json()["request_uri"]  # for the browser to bring back
        back = await browser.get("/login/authorize", params={"client_id": "club", "request_uri": uri})
        assert landed(back)["error"] == "login_required"
