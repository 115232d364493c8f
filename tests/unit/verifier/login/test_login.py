"""The OpenID Connect bridge over HTTP: OpenID Connect Core 1.0, RFC 6749, 7636, 9207 and 9700, by clause."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from mapae.audit import first_broken_link
from mapae.db import Db
from mapae.formats.jose import sign_jws
from mapae.keys import Signer
from mapae.verifier.asking.questions import LIFE, TYPING
from mapae.verifier.login import store as login_store
from mapae.verifier.login.bridge import CODE_LIFE, LOGIN_LIFE, TOKEN_LIFE
from mapae.verifier.login.client import JWT_BEARER
from mapae.verifier.login.openid import ACR_ATTESTED
from unit.verifier.login.login_world import (
    CALLBACK,
    ISSUER,
    SECRET,
    Club,
    bridge_on,
    card,
    club_on,
    landed,
    press,
    request,
)
from unit.verifier.shop import trust_list
from unit.verifier.world import CLAIMS, Card

pytestmark = pytest.mark.parametrize("migrated", ["sqlite"], indirect=True)  # both engines: test_login_store.py


@pytest.fixture
async def club(migrated: Callable[[str], Awaitable[Db]]) -> AsyncIterator[Club]:
    async with club_on(await migrated("verifier")) as club:
        yield club


async def claims(browser: httpx.AsyncClient, token: str, alg: str = "RS256") -> dict[str, Any]:
    """As a client library reads it: with the published keys (an implementation that is not ours)."""
    keys = KeySet.import_key_set((await browser.get("/login/jwks")).json())
    read = jwt.decode(token, keys, algorithms=[alg])
    assert read.header["alg"] == alg
    return dict(read.claims)


# --- the whole way ----------------------------------------------------------------------------------------------------


async def test_a_person_logs_in_on_the_same_device_and_the_site_learns_a_number(club: Club) -> None:
    """OpenID Connect Core 1.0 3.1: code, token, ID token and userinfo."""
    async with club.browser() as browser:
        answer = await club.log_in(browser)
        assert answer.keys() == {"code", "state", "iss"}
        assert (answer["state"], answer["iss"]) == ("s1", ISSUER)  # RFC 9207 2
        got = await club.tokens(browser, answer["code"])
        assert got.status_code == 200 and got.headers["cache-control"] == "no-store"
        token = got.json()
        assert (token["token_type"], token["scope"], token["expires_in"]) == ("Bearer", "openid", 300)
        said = await claims(browser, token["id_token"])
        now = int(club.clock.now().timestamp())
        assert (said["iss"], said["aud"], said["nonce"], said["iat"]) == (ISSUER, "club", "n1", now)
        assert (said["auth_time"], said["acr"], said["amr"]) == (now, ACR_ATTESTED, ["pop", "mfa"])
        assert len(said["sub"]) == 43 and "n" * 8 not in said["sub"]
        told = await browser.get("/login/userinfo", headers={"Authorization": f"Bearer {token['access_token']}"})
        assert told.json() == {"sub": said["sub"]}
    assert await first_broken_link(club.shop.db) is None


async def test_with_the_phone_the_log_in_waits_for_the_code_it_shows(club: Club) -> None:
    async with club.browser() as browser, club.browser() as phone:
        path, id = await club.ask(browser)
        page = await phone.get(await club.agree(phone, id))
        assert "mapae.test" in page.text and page.status_code == 200
        code = re.search(r'data-code="([^"]+)"', page.text)
        assert code is not None
        assert 'id="type-back"' in (await browser.get(path)).text
        wrong = await press(browser, path, "code", code="000-000")
        assert wrong.status_code == 422 and "2" in wrong.text
        typed = await press(browser, path, "code", code=code[1])
        assert typed.status_code == 303
        assert "code" in landed(await browser.get(typed.headers["location"]))


async def test_a_site_registered_for_names_gets_them_from_userinfo_and_not_in_the_id_token(club: Club) -> None:
    """OpenID Connect Core 1.0 5.4: with an access token, claims of a scope come from the UserInfo endpoint."""
    async with club.browser() as browser:
        answer = await club.log_in(browser, scope="openid profile email offline_access")
        token = (await club.tokens(browser, answer["code"])).json()
        assert token["scope"] == "openid profile"  # RFC 6749 5.1: others than asked
        said = await claims(browser, token["id_token"])
        assert "name" not in said and "birthdate" not in said
        for method in ("GET", "POST"):  # 5.3.1
            told = await browser.request(
                method, "/login/userinfo", headers={"Authorization": f"bearer {token['access_token']}"}
            )
            assert told.json() == {"sub": said["sub"], "name": CLAIMS["name"], "birthdate": CLAIMS["birth_date"]}


async def test_the_page_says_who_learns_what_in_both_languages(club: Club) -> None:
    async with club.browser() as browser:
        for locales, words in (("ko-KR en", "한빛마트 세종점"), ("fr en", "Hanbit Mart Sejong")):
            path, _ = await club.ask(browser, ui_locales=locales, scope="openid profile")
            page = (await browser.get(path)).text
            assert words in page and "club.example" in page and "n" * 32 not in page


async def test_a_browsers_own_way_to_a_wallet_is_offered_where_the_setting_says_so(club: Club) -> None:
    async with club.browser() as browser:
        path, _ = await club.ask(browser)
        page = (await browser.get(path)).text
        token = re.search(r'data-csrf="([^"]+)"', page)
        assert token is not None and 'href="openid4vp://' in page and 'href="/wallet/#request=' in page
        asked = await browser.post(f"{path}/browser-request", json={}, headers={"X-CSRF-Token": token[1]})
        assert len(asked.json()["requests"]) == 3


# --- numbers ----------------------------------------------------------------------------------------------------------


async def sub(club: Club, browser: httpx.AsyncClient, number: str = "n" * 32, **changes: Any) -> str:
    answer = await club.log_in(browser, card(number), **changes)
    basic = (changes.get("client_id", "club"), SECRET)
    uri = changes.get("redirect_uri", CALLBACK)
    token = (await club.tokens(browser, answer["code"], basic=basic, redirect_uri=uri)).json()
    return str((await claims(browser, token["id_token"]))["sub"])


async def test_core_8_1_a_person_is_the_same_at_a_site_and_another_one_elsewhere(club: Club) -> None:
    """Pairwise: stable after a new card and phone (the card's log-in number is), another one in another sector."""
    async with club.browser() as browser:
        first = await sub(club, browser)
        club.clock.advance(timedelta(days=0, minutes=1))
        assert await sub(club, browser) == first
        assert await sub(club, browser, "m" * 32) != first
        await club.add("paper", redirect_uris=["https://paper.example/cb"])
        there = await sub(club, browser, client_id="paper", redirect_uri="https://paper.example/cb")
        assert there != first
        await club.add("club-app", redirect_uris=[CALLBACK])
        assert await sub(club, browser, client_id="club-app") == first, "one sector, one number"


async def test_another_party_cannot_take_a_sector(club: Club) -> None:
    """Two parties with one sector would see the same numbers."""
    with pytest.raises(AssertionError):
        await club.add("thief", relying_party="rental")


async def test_the_number_of_the_card_is_nowhere_once_it_is_used(club: Club) -> None:
    async with club.browser() as browser:
        await club.log_in(browser, scope="openid profile")
    for table in ("check_session", "login_request", "login_grant", "audit_event"):
        rows = await club.shop.db.all(f"SELECT * FROM {table}")
        assert rows and "n" * 32 not in repr([dict(row) for row in rows]) and CLAIMS["name"] not in repr(rows)


# --- what is refused on a page of ours --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "nobody"}, {"client_id": None}, {"redirect_uri": None}, {"redirect_uri": CALLBACK + "/"},
        {"redirect_uri": CALLBACK + "?a=1"}, {"redirect_uri": "https://club.example.evil.example/callback"},
        {"redirect_uri": "https://CLUB.example/callback"}, {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": "//evil.example"}, {"redirect_uri": [CALLBACK, "https://evil.example"]},
    ],
    ids=range(10),
)  # fmt: skip
async def test_rfc9700_2_1_no_browser_is_sent_to_an_address_that_is_not_registered(club: Club, changes: Any) -> None:
    async with club.browser() as browser:
        refused = await club.begin(browser, **changes)
        assert refused.status_code in (400, 403) and "location" not in refused.headers
        assert 'id="why"' in refused.text


async def test_rfc9700_4_16_no_page_of_the_log_in_is_shown_in_a_frame(club: Club) -> None:
    async with club.browser() as browser:
        path, _ = await club.ask(browser)
        asking = await browser.get(path)
        assert "form-action 'self' https://club.example;" in asking.headers["content-security-policy"]
        nowhere, end = await club.begin(browser, client_id="nobody"), await browser.get("/login/end")
        for answer in (asking, nowhere, end):
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["x-frame-options"] == "DENY"


# --- what the site hears ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge": "x" * 42}, "invalid_request"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"scope": None}, "invalid_scope"),
        ({"prompt": "none"}, "login_required"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "create"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
        ({"request": "eyJ"}, "request_not_supported"),
        ({"request_uri": "urn:x"}, "request_uri_not_supported"),
        ({"registration": "{}"}, "registration_not_supported"),
        ({"nonce": "n" * 501}, "invalid_request"),
        ({"nonce": ["a", "b"]}, "invalid_request"),
        ({"id_token_hint": "not.a.token"}, "invalid_request"),
    ],
    ids=range(19),
)
async def test_core_3_1_2_6_what_is_wrong_is_said_at_the_sites_address(club: Club, changes: Any, error: str) -> None:
    async with club.browser() as browser:
        said = landed(await club.begin(browser, **changes))
        assert (said["error"], said["state"], said["iss"]) == (error, "s1", ISSUER)
        assert said["error_description"]


async def test_over_asking_is_refused_with_what_the_site_may_ask(club: Club) -> None:
    club.shop.trust[:] = [trust_list(purposes=("log_in",))]
    async with club.browser() as browser:
        said = landed(await club.begin(browser, scope="openid profile"))
        assert said["error"] == "invalid_scope" and said["error_description"].endswith("it may ask for: openid")
        club.shop.trust[:] = [trust_list(purposes=("alcohol_tobacco",))]
        assert landed(await club.begin(browser))["error"] == "invalid_scope"


async def test_form_post_carries_the_answer_in_a_form_that_works_without_script(club: Club) -> None:
    """OAuth 2.0 Form Post Response Mode 2."""
    async with club.browser() as browser:
        wrong = await club.begin(browser, response_mode="form_post", prompt="none")
        assert wrong.status_code == 200 and 'name="error" value="login_required"' in wrong.text
        path, id = await club.ask(browser, response_mode="form_post", state='"><script>')
        await browser.get(await club.agree(browser, id))
        page = await browser.get(path)
        assert f'action="{CALLBACK}" method="post"' in page.text and 'name="code"' in page.text
        assert "<script>" not in page.text.replace("<script src", "")
        assert "form-action 'self' https://club.example;" in page.headers["content-security-policy"]


async def test_core_3_1_2_1_the_endpoint_answers_post_too(club: Club) -> None:
    async with club.browser() as browser:
        begun = await browser.post("/login/authorize", data=request())
        assert begun.status_code == 303 and begun.headers["location"].startswith("/login/requests/")


# --- saying no --------------------------------------------------------------------------------------------------------


async def test_whoever_does_not_want_to_goes_back_with_access_denied(club: Club) -> None:
    async with club.browser() as browser:
        path, id = await club.ask(browser)
        said = landed(await press(browser, path, "refuse"))
        assert (said["error"], said["state"]) == ("access_denied", "s1")
        assert (await browser.get(path)).status_code == 410, "back button: it has ended"
        assert (await browser.get(f"/verifier/requests/{id}")).status_code == 400


async def test_a_card_without_a_log_in_number_is_told_to_be_renewed(club: Club) -> None:
    """Cards from before log-in numbers keep working everywhere else."""
    async with club.browser() as browser:
        path, id = await club.ask(browser)
        state = (await club.shop.request(id))["state"]
        await browser.post(f"/verifier/responses/{id}", data={"error": "access_denied", "state": state})
        page = await browser.get(path)
        assert 'id="renew"' in page.text and 'data-code="access_denied"' in page.text
        again = await press(browser, path, "again")
        path = again.headers["location"]
        link = re.search(r'data-request="openid4vp:[^"]+%2Frequests%2F([^"&]+)', (await browser.get(path)).text)
        assert link is not None and link[1] != id
        await browser.get(await club.agree(browser, link[1]))
        assert "code" in landed(await browser.get(path))


async def test_a_card_that_fails_a_step_logs_nobody_in(club: Club) -> None:
    async with club.browser() as browser:
        path, id = await club.ask(browser)
        await club.agree(browser, id, Card(claims={**CLAIMS, "login_id": "n" * 32}, reference=None))
        page = await browser.get(path)
        assert 'data-outcome="refused"' in page.text and 'data-code="status_unknown"' in page.text


# --- whose browser ----------------------------------------------------------------------------------------------------


async def test_session_fixation_a_log_in_that_an_attacker_began_is_not_the_victims(club: Club) -> None:
    """RFC 9700 4.7 and OpenID4VP 1.0 14.2: the victim's browser neither takes part nor lets the attacker in."""
    async with club.browser() as attacker, club.browser() as victim:
        path, id = await club.ask(attacker)
        assert (await victim.get(path)).status_code == 404, "login CSRF: the link alone opens nothing"
        back = await club.agree(victim, id)
        page = await victim.get(back)
        assert 'id="to-type"' in page.text, "the victim is warned, and shown what the attacker would need"
        assert 'id="type-back"' in (await attacker.get(path)).text
    async with club.browser() as attacker, club.browser() as victim:
        path, id = await club.ask(attacker)
        await club.agree(victim, id)
        club.clock.advance(TYPING)
        assert 'data-code="wrong_browser"' in (await attacker.get(path)).text
        row = await club.shop.db.one("SELECT shown FROM check_session WHERE id = $1", id)
        assert row is not None and row["shown"] is None


async def test_a_planted_cookie_takes_nobody_into_another_log_in(club: Club) -> None:
    async with club.browser() as attacker, club.browser() as victim:
        path, _ = await club.ask(attacker)
        await club.ask(victim)
        for action in ("code", "again", "refuse"):
            done = await victim.post(f"{path}/{action}", data={"code": "000000"})
            assert done.status_code == 403, "no form of this page was ever here"
        assert (await victim.get(f"{path}/phase")).status_code == 404


async def test_two_tabs_log_in_at_two_sites_at_once(club: Club) -> None:
    await club.add("paper", redirect_uris=["https://paper.example/cb"])
    async with club.browser() as browser:
        first, one = await club.ask(browser, state="one")
        second, two = await club.ask(browser, state="two", client_id="paper", redirect_uri="https://paper.example/cb")
        await browser.get(await club.agree(browser, one))
        await browser.get(await club.agree(browser, two))
        assert landed(await browser.get(second), "https://paper.example/cb")["state"] == "two"
        assert landed(await browser.get(first))["state"] == "one"


async def test_a_finished_log_in_gives_no_second_code(club: Club) -> None:
    """The back button, a second tab, a replay: the page is spent."""
    async with club.browser() as browser:
        path, id = await club.ask(browser)
        back = await club.agree(browser, id)
        await browser.get(back)
        landed(await browser.get(path))
        assert (await browser.get(path)).status_code == 410
        assert (await browser.get(back)).status_code in (303, 410)
        assert (await browser.get(path)).status_code == 410


async def test_a_log_in_nobody_finished_is_over(club: Club) -> None:
    async with club.browser() as browser:
        path, _ = await club.ask(browser)
        club.clock.advance(LIFE * 3)
        assert 'data-outcome="expired"' in (await browser.get(path)).text
        club.clock.advance(LOGIN_LIFE)
        assert (await browser.get(path)).status_code == 404
        await club.bridge.sweep()
        assert await club.shop.db.one("SELECT 1 AS one FROM login_request") is None


# --- the token endpoint -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": None}, 400, "invalid_request"),
        ({"code": "guess"}, 400, "invalid_grant"),
        ({"code": None}, 400, "invalid_grant"),
        ({"redirect_uri": "https://club.example/other"}, 400, "invalid_grant"),
        ({"redirect_uri": None}, 400, "invalid_grant"),
        ({"code_verifier": "w" * 43}, 400, "invalid_grant"),
        ({"code_verifier": None}, 400, "invalid_grant"),
        ({"basic": ("club", "wrong")}, 401, "invalid_client"),
        ({"basic": ("nobody", SECRET)}, 401, "invalid_client"),
        ({"basic": None}, 401, "invalid_client"),
        ({"basic": None, "client_id": "club"}, 401, "invalid_client"),
        ({"client_secret": SECRET}, 400, "invalid_request"),
        ({"client_id": "paper"}, 400, "invalid_request"),
        ({"basic": ("paper", SECRET)}, 400, "invalid_grant"),
    ],
    ids=range(15),
)
async def test_rfc6749_5_2_what_the_token_endpoint_refuses(club: Club, changes: Any, status: int, error: str) -> None:
    """RFC 7636 4.6 and RFC 9700 4.5: injected into another client, address or session, a code is worth nothing."""
    await club.add("paper", redirect_uris=["https://paper.example/cb"])
    async with club.browser() as browser:
        code = (await club.log_in(browser))["code"]
        refused = await club.tokens(browser, **{"code": code, **changes})
        assert (refused.status_code, refused.json()["error"]) == (status, error)
        if status == 401 and changes.get("basic"):
            assert refused.headers["www-authenticate"].startswith("Basic")
        assert (await club.tokens(browser, code)).status_code == 200, "and the right one is still good"


async def test_rfc6749_4_1_2_a_code_that_comes_twice_ends_what_it_was_changed_for(club: Club) -> None:
    async with club.browser() as browser:
        code = (await club.log_in(browser))["code"]
        access = (await club.tokens(browser, code)).json()["access_token"]
        again = await club.tokens(browser, code)
        assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
        gone = await browser.get("/login/userinfo", headers={"Authorization": f"Bearer {access}"})
        assert gone.status_code == 401 and 'error="invalid_token"' in gone.headers["www-authenticate"]


async def test_codes_and_tokens_live_for_minutes(club: Club) -> None:
    async with club.browser() as browser:
        code = (await club.log_in(browser))["code"]
        club.clock.advance(CODE_LIFE)
        assert (await club.tokens(browser, code)).json()["error"] == "invalid_grant"
        code = (await club.log_in(browser))["code"]
        access = (await club.tokens(browser, code)).json()["access_token"]
        club.clock.advance(TOKEN_LIFE)
        assert (await browser.get("/login/userinfo", headers={"Authorization": f"Bearer {access}"})).status_code == 401
        await club.bridge.sweep()
        row = await club.shop.db.one("SELECT COUNT(*) AS n FROM login_grant WHERE claims IS NOT NULL")
        assert row is not None and row["n"] == 0
        assert (await browser.get("/login/userinfo")).headers["www-authenticate"] == 'Bearer realm="login"'


async def test_what_was_shown_is_erased_by_whichever_clock_says_so_first(club: Club) -> None:
    """That a code was spent is forgotten by the slower one."""
    async with club.browser() as browser:
        await club.log_in(browser)
    club.clock.leap(hours=1)
    await club.bridge.sweep()
    rows = await club.shop.db.all("SELECT claims FROM login_grant")
    assert [row["claims"] for row in rows] == [None]


async def test_a_process_that_is_killed_between_code_and_token_loses_nothing(club: Club) -> None:
    async with club.browser() as browser:
        code = (await club.log_in(browser))["code"]
        club.bridge = bridge_on(club.shop, club.shop.db, seed="anew")
    async with club.browser() as browser:
        assert (await club.tokens(browser, code)).status_code == 200


async def test_core_9_a_client_proves_itself_as_it_likes_and_is_registered(club: Club) -> None:
    """client_secret_basic, client_secret_post, private_key_jwt, none: libraries choose differently."""
    key = Signer.ephemeral()
    keys = {"keys": [{**key.jwk, "kid": "k1", "alg": "ES256", "use": "sig"}]}
    await club.add("keys", secret=None, keys=msgspec.json.encode(keys).decode())
    await club.add("page", secret=None)
    now = int(club.clock.now().timestamp())

    def assertion(**changes: Any) -> dict[str, Any]:
        said = {"iss": "keys", "sub": "keys", "aud": ISSUER, "jti": "j1", "iat": now, "exp": now + 60, **changes}
        signed = sign_jws(changes.pop("signer", key), {"kid": "k1"}, {k: v for k, v in said.items() if k != "signer"})
        return {"basic": None, "client_assertion": signed, "client_assertion_type": JWT_BEARER, "client_id": "keys"}

    async with club.browser() as browser:
        code = (await club.log_in(browser))["code"]
        posted = await club.tokens(browser, code, basic=None, client_id="club", client_secret=SECRET)
        assert posted.status_code == 200
        code = (await club.log_in(browser, client_id="page"))["code"]
        assert (await club.tokens(browser, code, basic=("page", "x"))).json()["error"] == "invalid_client"
        assert (await club.tokens(browser, code, basic=None, client_id="page")).status_code == 200
        code = (await club.log_in(browser, client_id="keys"))["code"]
        for wrong in (
            assertion(aud="https://evil.example"), assertion(exp=now - 120), assertion(exp=now + 86400),
            assertion(iss="club"), assertion(jti=None), assertion(signer=Signer.ephemeral()),
            {"basic": None, "client_id": "keys"}, {"basic": ("keys", SECRET)},
            {**assertion(), "client_assertion_type": "x"},
        ):  # fmt: skip
            assert (await club.tokens(browser, code, **wrong)).json()["error"] in ("invalid_client", "invalid_request")
        assert (await club.tokens(browser, "guess", **assertion())).json()["error"] == "invalid_grant"
        assert (await club.tokens(browser, code, **assertion())).json()["error"] == "invalid_client", "RFC 7523 3: once"
        assert (await club.tokens(browser, code, **assertion(jti="j2", aud=[f"{ISSUER}/token"]))).status_code == 200


async def test_an_ended_client_logs_nobody_in(club: Club) -> None:
    async with club.browser() as browser:
        code = (await club.log_in(browser))["code"]
        path, _ = await club.ask(browser)
        assert await login_store.end_client(club.shop.db, "club", club.clock.now())
        assert not await login_store.end_client(club.shop.db, "club", club.clock.now())
        assert (await club.tokens(browser, code)).json()["error"] == "invalid_client"
        assert (await browser.get(path)).status_code in (404, 410)
        assert (await club.begin(browser)).status_code == 403


# --- keys, metadata, the end ------------------------------------------------------------------------------------------


async def test_core_15_1_an_id_token_is_signed_with_rs256_unless_the_client_says_es256(club: Club) -> None:
    await club.add("modern", alg="ES256")
    async with club.browser() as browser:
        code = (await club.log_in(browser, client_id="modern"))["code"]
        token = (await club.tokens(browser, code, basic=("modern", SECRET))).json()["id_token"]
        assert (await claims(browser, token, "ES256"))["aud"] == "modern"


async def test_discovery_3_says_what_is_there(club: Club) -> None:
    async with club.browser() as browser:
        said = (await browser.get("/login/.well-known/openid-configuration")).json()
        assert said == (await browser.get("/.well-known/oauth-authorization-server/login")).json()  # RFC 8414 3.1
        assert said["issuer"] == ISSUER and said["subject_types_supported"] == ["pairwise"]
        assert said["scopes_supported"] == ["openid", "profile"]
        assert {"name", "birthdate"} <= set(said["claims_supported"]) and "login_id" not in said["claims_supported"]
        for name in ("jwks_uri", "userinfo_endpoint"):
            there = await browser.get(said[name])
            assert there.status_code in (200, 401) and there.headers["access-control-allow-origin"] == "*"


async def test_a_hint_lets_nobody_else_in(club: Club) -> None:
    """OpenID Connect Core 1.0 3.1.2.1, id_token_hint: another person's log-in is an error."""
    async with club.browser() as browser:
        token = (await club.tokens(browser, (await club.log_in(browser))["code"])).json()["id_token"]
        assert "code" in await club.log_in(browser, id_token_hint=token)
        said = await club.log_in(browser, card("m" * 32), id_token_hint=token)
        assert said["error"] == "login_required"
        head, body, seal = token.split(".")
        forged = landed(await club.begin(browser, id_token_hint=f"{head}.{body}.{seal[:-8]}AAAAAAAA"))
        assert forged["error"] == "invalid_request"


async def test_logout_leads_only_where_the_site_registered(club: Club) -> None:
    """RP-Initiated Logout 1.0 3."""
    await club.add("out", logout_uris=["https://club.example/bye"])
    async with club.browser() as browser:
        code = (await club.log_in(browser, client_id="out"))["code"]
        hint = (await club.tokens(browser, code, basic=("out", SECRET))).json()["id_token"]
        asked = {"post_logout_redirect_uri": "https://club.example/bye", "state": "x"}
        for more in ({"client_id": "out"}, {"id_token_hint": hint}):
            gone = await browser.get("/login/end", params={**asked, **more})
            assert gone.headers["location"] == "https://club.example/bye?state=x"
        for more in (
            {},
            {"client_id": "club"},
            {"client_id": "out", "post_logout_redirect_uri": "https://evil.example"},
        ):
            assert (await browser.get("/login/end", params={**asked, **more})).status_code == 200
