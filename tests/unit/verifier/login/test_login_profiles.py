"""What the certification profiles Basic OP, Config OP, Form Post OP and RP-Initiated OP ask of a provider, by clause.

The texts are OpenID Connect Core 1.0 and Discovery 1.0 (errata set 2 and the editors' set 3), RP-Initiated Logout 1.0,
OAuth 2.0 Form Post Response Mode, RFC 6749, 6750, 7636, 8252, 9207 and 9700. Where a test says *suite*, it does what
the module of that name in the OpenID Foundation's conformance suite checks; what is not done is in docs/divergences.md.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest

from mapae.db import Db
from mapae.formats.jose import b64u, sign_jws
from mapae.keys import Signer
from mapae.verifier.login.bridge import TOKEN_LIFE
from mapae.verifier.login.openid import ACR
from unit.verifier.login.login_world import (
    BASE,
    BYE,
    CALLBACK,
    ISSUER,
    PLAIN,
    Club,
    card,
    club_on,
    landed,
    part,
    plain,
    request,
)

pytestmark = pytest.mark.parametrize("migrated", ["sqlite"], indirect=True)  # both engines: test_login_store.py


@pytest.fixture
async def club(migrated: Callable[[str], Awaitable[Db]]) -> AsyncIterator[Club]:
    async with club_on(await migrated("verifier")) as club:
        await club.add("plain", pkce_optional=True, logout_uris=[BYE])
        yield club


# --- OpenID Connect Core 1.0 2 and 3.1 --------------------------------------------------------------------------------


async def test_core_2_and_3_1_3_6_what_is_in_an_id_token_and_what_is_not(club: Club) -> None:
    """Suite: oidcc-server, and the ID token checks that every module makes."""
    async with club.browser() as browser:
        token = await plain(club, browser, scope="openid profile")
        head, said = part(token["id_token"], 0), part(token["id_token"], 1)
        assert head["alg"] == "RS256" and head["kid"] in {
            key["kid"] for key in (await browser.get("/login/jwks")).json()["keys"]
        }  # 10.1
        assert said["iss"] == ISSUER and said["aud"] == "plain" and "azp" not in said  # one audience
        assert said["sub"].isascii() and len(said["sub"]) <= 255
        assert all(isinstance(said[one], int) for one in ("exp", "iat", "auth_time"))
        assert said["nonce"] == "n1" and said["acr"] in ACR
        assert said["at_hash"] == b64u(sha256(token["access_token"].encode()).digest()[:16])
        assert not {"name", "birthdate", "login_id", "s_hash", "c_hash"} & said.keys()  # 5.4: by userinfo


async def test_core_3_1_2_1_and_15_1_no_parameter_that_an_op_must_take_is_an_error(club: Club) -> None:
    """Suite: display-page, display-popup, ui-locales, claims-locales, login-hint, acr-values, unknown-parameter,
    alternate-happy-flow, claims-essential, prompt-login, max-age-1 and -10000, without-nonce."""
    taken: tuple[dict[str, Any], ...] = (
        {"display": "page"}, {"display": "popup"}, {"display": "hologram"}, {"ui_locales": "se"},
        {"claims_locales": "se"}, {"login_hint": "buffy@example"}, {"acr_values": " ".join(ACR)}, {"acr_values": "1 2"},
        {"extra": "foobar"}, {"claims": '{"userinfo": {"name": {"essential": true}}}'}, {"prompt": "login"},
        {"prompt": "consent"}, {"prompt": "select_account"}, {"prompt": "login consent"}, {"max_age": "1"},
        {"max_age": "10000"}, {"max_age": "0"}, {"scope": "phone email openid address"}, {"scope": "profile openid"},
        {"scope": "openid offline_access", "prompt": "consent"}, {"id_token_hint": ""},
    )  # fmt: skip
    async with club.browser() as browser:
        for more in taken:
            asked = list(request(**{"client_id": "plain", **PLAIN, **more}).items())
            begun = await browser.get("/login/authorize", params=dict(reversed(asked)))
            assert begun.headers.get("location", "").startswith("/login/requests/"), more
        begun = await browser.get("/login/authorize", params=request(nonce=None))
        assert begun.headers["location"].startswith("/login/requests/"), "with PKCE, no nonce is needed"


async def test_core_3_1_2_1_each_log_in_is_a_new_one_and_auth_time_says_when(club: Club) -> None:
    """Suite: prompt-login, max-age-1: the second one is later. prompt=none finds nobody logged in, ever."""
    async with club.browser() as browser:
        first = part((await plain(club, browser))["id_token"], 1)["auth_time"]
        for more in ({"prompt": "login"}, {"max_age": "1"}, {"max_age": "10000"}):
            club.clock.advance(timedelta(seconds=2))
            second = part((await plain(club, browser, **more))["id_token"], 1)["auth_time"]
            assert second >= first + 2
            first = second
        said = landed(await club.begin(browser, client_id="plain", prompt="none", state="x" * 128, **PLAIN))
        assert (said["error"], said["state"], said["iss"]) == ("login_required", "x" * 128, ISSUER)
        assert "code" not in said


async def test_rfc6749_3_1_a_parameter_without_a_value_is_not_there(club: Club) -> None:
    """Also at the token endpoint (3.2): some libraries send every field they know."""
    empty = dict.fromkeys(("request", "request_uri", "registration", "prompt", "max_age", "state", "response_mode"), "")
    async with club.browser() as browser:
        answer = await club.log_in(browser, nonce="", **empty)
        assert answer.keys() == {"code", "iss"}, "no state was sent, so none comes back"
        got = await club.tokens(browser, answer["code"], client_secret="", client_assertion="", client_id="")
        assert got.status_code == 200 and "nonce" not in part(got.json()["id_token"], 1)
        said = landed(await club.begin(browser, response_type="", state="s1"))
        assert said["error"] == "invalid_request"
        assert (await club.begin(browser, redirect_uri="")).status_code == 400


async def test_core_3_1_2_6_an_unknown_response_mode_is_400_and_goes_nowhere(club: Club) -> None:
    """The site said how it reads an answer, and we cannot write that way."""
    async with club.browser() as browser:
        for mode in ("fragment", "query.jwt", "web_message", ["query", "form_post"]):
            said = await club.begin(browser, response_mode=mode)
            assert said.status_code == 400 and "location" not in said.headers and "error=" not in said.text


async def test_core_3_1_2_6_and_rfc6749_4_1_2_1_the_state_comes_back_to_the_letter(club: Club) -> None:
    """Suite: a long one; RFC 6749 asks for the exact value, also where it is the state that is too long."""
    async with club.browser() as browser:
        for state in ("x" * 2000, "a&b=c #%+'\"<>é", " "):
            path, id = await club.ask(browser, state=state)
            await browser.get(await club.agree(browser, id))
            assert landed(await browser.get(path))["state"] == state
        said = landed(await club.begin(browser, state="y" * 2001))
        assert (said["error"], said["state"]) == ("invalid_request", "y" * 2001)


async def test_core_6_request_objects_are_refused_by_their_names_and_never_instead_of_the_address(club: Club) -> None:
    """Suite: unsigned-request-object and request-uri are refused as unsupported, and with a wrong address beside it
    (ensure-request-object-with-redirect-uri) there is a page."""
    async with club.browser() as browser:
        inner = sign_jws(Signer.ephemeral(), {}, {"redirect_uri": CALLBACK})
        for name, error in (("request", "request_not_supported"), ("request_uri", "request_uri_not_supported")):
            assert landed(await club.begin(browser, **{name: inner}))["error"] == error
            bad = await club.begin(browser, **{name: inner, "redirect_uri": f"{CALLBACK}x"})
            assert bad.status_code == 400 and "location" not in bad.headers


async def test_rfc6749_3_1_2_an_address_with_a_query_keeps_it(club: Club) -> None:
    uri = "https://club.example/callback?tenant=7"
    await club.add("asks", redirect_uris=[uri])
    async with club.browser() as browser:
        begun = await club.begin(browser, client_id="asks", redirect_uri=uri, prompt="none")
        assert begun.headers["location"].startswith(f"{uri}&error=login_required&")
        for other in (CALLBACK, f"{CALLBACK}?tenant=8", f"{uri}&more=1"):
            assert (await club.begin(browser, client_id="asks", redirect_uri=other)).status_code == 400


async def test_form_post_2_the_answer_is_posted_and_kept_by_nobody(club: Club) -> None:
    async with club.browser() as browser:
        path, id = await club.ask(browser, response_mode="form_post")
        await browser.get(await club.agree(browser, id))
        page = await browser.get(path)
        assert f'action="{CALLBACK}" method="post"' in page.text and "no-store" in page.headers["cache-control"]
        assert 'name="iss"' in page.text and 'name="state" value="s1"' in page.text


# --- UserInfo ---------------------------------------------------------------------------------------------------------


async def test_core_5_3_userinfo_takes_the_token_in_the_header_or_in_a_form(club: Club) -> None:
    """Suite: userinfo-get, userinfo-post-header, userinfo-post-body, scope-profile."""
    async with club.browser() as browser:
        token = await plain(club, browser, scope="openid profile")
        header, body = {"Authorization": f"Bearer {token['access_token']}"}, {"access_token": token["access_token"]}
        answers = [
            await browser.get("/login/userinfo", headers=header),
            await browser.post("/login/userinfo", headers=header),
            await browser.post("/login/userinfo", headers=header, data={"other": "field"}),
            await browser.post("/login/userinfo", data=body),
        ]
        for answer in answers:
            assert answer.status_code == 200 and answer.headers["content-type"].startswith("application/json")
            assert answer.headers["cache-control"] == "no-store"
            assert answer.json()["sub"] == part(token["id_token"], 1)["sub"]  # 5.3.2
            assert answer.json()["name"] and None not in answer.json().values() and "" not in answer.json().values()


async def test_rfc6750_3_1_what_userinfo_refuses_it_says_in_www_authenticate(club: Club) -> None:
    async with club.browser() as browser:
        access = (await plain(club, browser))["access_token"]
        header, body = {"Authorization": f"Bearer {access}"}, {"access_token": access}
        refusals = [
            (await browser.get("/login/userinfo"), 401, None),
            (await browser.get("/login/userinfo", headers={"Authorization": "Bearer "}), 401, None),
            (await browser.get("/login/userinfo", headers={"Authorization": f"Basic {access}"}), 401, None),
            (await browser.get("/login/userinfo", headers={"Authorization": "Bearer guess"}), 401, "invalid_token"),
            (await browser.post("/login/userinfo", data={"access_token": "guess"}), 401, "invalid_token"),
            (await browser.post("/login/userinfo", json=body), 401, None),  # 2.2: a form and nothing else
            (await browser.post("/login/userinfo", headers=header, data=body), 400, "invalid_request"),  # 2: one way
            (await browser.get("/login/userinfo", params=body), 400, "invalid_request"),  # RFC 9700 4.3.2
            (await browser.post("/login/userinfo", content=b"access_token=a&access_token=b", headers={
                "Content-Type": "application/x-www-form-urlencoded"}), 400, "invalid_request"),
        ]  # fmt: skip
        for place, (answer, status, error) in enumerate(refusals):
            challenge = answer.headers["www-authenticate"]
            assert answer.status_code == status and challenge.startswith('Bearer realm="'), place
            assert (f'error="{error}"' in challenge) if error else ("error" not in challenge), place


# --- Discovery, keys, pages without a server --------------------------------------------------------------------------


async def test_discovery_3_every_required_member_is_there_and_none_is_empty(club: Club) -> None:
    """Suite: discovery-endpoint-verification, rp-initiated-logout-discovery-endpoint-verification."""
    async with club.browser() as browser:
        got = await browser.get("/login/.well-known/openid-configuration")
        assert got.status_code == 200 and got.headers["content-type"].startswith("application/json")
        said = got.json()
        required = {
            "issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "response_types_supported",
            "subject_types_supported", "id_token_signing_alg_values_supported", "userinfo_endpoint",
            "end_session_endpoint", "scopes_supported", "claims_supported", "grant_types_supported",
        }  # fmt: skip
        assert required <= said.keys() and said["issuer"] == ISSUER
        for name, value in said.items():
            assert value not in ("", [], None), f"{name}: 4.2, claims with zero elements are left out"
            if name.endswith(("_endpoint", "_uri", "issuer")):
                assert value.startswith(f"{BASE}/"), name
        assert "openid" in said["scopes_supported"] and "RS256" in said["id_token_signing_alg_values_supported"]
        assert "none" not in said["id_token_signing_alg_values_supported"]
        assert "none" not in said["token_endpoint_auth_signing_alg_values_supported"]
        # request_uri is supported unless it is said not to be; the others are not unless they are said to be.
        unsupported = ("claims_parameter_supported", "request_parameter_supported", "request_uri_parameter_supported")
        assert all(said[one] is False for one in unsupported)
        assert said["authorization_response_iss_parameter_supported"] is True  # RFC 9207 3
        assert "offline_access" not in said["scopes_supported"] and "refresh_token" not in said["grant_types_supported"]


async def test_core_10_1_1_keys_are_named_public_and_for_signing(club: Club) -> None:
    async with club.browser() as browser:
        keys = (await browser.get("/login/jwks")).json()["keys"]
        assert len({key["kid"] for key in keys}) == len(keys) == 2
        for key in keys:
            assert key["use"] == "sig" and not {"d", "p", "q", "dp", "dq", "qi", "k"} & key.keys()
        before = part(await club.bridge.keys.sign("ES256", {}), 0)["kid"]
        club.clock.advance(timedelta(days=89, hours=12))
        turned = {key["kid"] for key in (await browser.get("/login/jwks")).json()["keys"]}
        assert before in turned and before == part(await club.bridge.keys.sign("ES256", {}), 0)["kid"]
        club.clock.advance(timedelta(days=1))
        after = part(await club.bridge.keys.sign("ES256", {}), 0)["kid"]
        assert after != before and after in turned, "told ahead"
        assert before in {key["kid"] for key in (await browser.get("/login/jwks")).json()["keys"]}, "kept for a while"


async def test_discovery_3_a_page_without_a_server_reads_what_clients_read_and_nothing_else(club: Club) -> None:
    """CORS at discovery, keys, token and userinfo, with a preflight; not at the endpoints browsers are sent to."""
    async with club.browser() as browser:
        asks = {"Origin": "https://club.example", "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,content-type"}  # fmt: skip
        for path in (".well-known/openid-configuration", "jwks", "token", "userinfo"):
            flown = await browser.options(f"/login/{path}", headers=asks)
            assert flown.status_code == 204 and flown.headers["access-control-allow-origin"] == "*", path
            assert "Authorization" in flown.headers["access-control-allow-headers"]
            assert "access-control-allow-credentials" not in flown.headers
        refused = await browser.get("/login/userinfo", headers=asks)
        assert "WWW-Authenticate" in refused.headers["access-control-expose-headers"]
        for path in ("authorize", "end"):
            there = await browser.get(f"/login/{path}", headers=asks)
            assert "access-control-allow-origin" not in there.headers, path


async def test_rfc8252_7_3_an_apps_loopback_address_has_any_port(club: Club) -> None:
    """By number, for a public client; the token endpoint then wants the very address that was used."""
    home = "http://127.0.0.1/callback"
    await club.add("tool", secret=None, redirect_uris=[home])
    await club.add("server", redirect_uris=[home])
    async with club.browser() as browser:
        uri = "http://127.0.0.1:51004/callback"
        code = (await club.log_in(browser, client_id="tool", redirect_uri=uri))["code"]
        send = {"basic": None, "client_id": "tool"}
        assert (await club.tokens(browser, code, **send, redirect_uri=home)).json()["error"] == "invalid_grant"
        assert (await club.tokens(browser, code, **send, redirect_uri=uri)).status_code == 200
        assert (await club.begin(browser, client_id="server", redirect_uri=uri)).status_code == 400


# --- RP-Initiated Logout 1.0 ------------------------------------------------------------------------------------------


async def test_logout_2_to_4_the_browser_goes_on_only_where_everything_is_right(club: Club) -> None:
    """Suite: rp-initiated-logout and its nine variants, and what the text adds about client_id."""
    async with club.browser() as browser:
        hint = (await plain(club, browser))["id_token"]
        other = (await club.tokens(browser, (await club.log_in(browser))["code"])).json()["id_token"]
        club.clock.advance(timedelta(hours=1))  # 2: also when its time has passed
        full = {"id_token_hint": hint, "post_logout_redirect_uri": BYE, "state": "x" * 128}
        head, body, _ = hint.split(".")
        none = b64u(b'{"alg":"none"}')
        fake = sign_jws(Signer.ephemeral(), {}, {"iss": ISSUER, "aud": "plain", "sub": "x"})
        onward: tuple[tuple[dict[str, str], str | None], ...] = (
            ({}, f"{BYE}?state={'x' * 128}"),
            ({"state": ""}, BYE),
            ({"client_id": "plain"}, f"{BYE}?state={'x' * 128}"),
            ({"ui_locales": "xx", "logout_hint": "somebody"}, f"{BYE}?state={'x' * 128}"),
            ({"post_logout_redirect_uri": f"{BYE}x"}, None),
            ({"post_logout_redirect_uri": f"{BYE}?foo=bar"}, None),
            ({"post_logout_redirect_uri": ""}, None),
            ({"id_token_hint": ""}, None),
            ({"id_token_hint": "", "post_logout_redirect_uri": ""}, None),
            ({"id_token_hint": fake}, None),
            ({"id_token_hint": fake, "client_id": "plain"}, None),  # 4: what fails is not made good by another
            ({"id_token_hint": f"{none}.{body}."}, None),
            ({"id_token_hint": f"{head}.{body}."}, None),
            ({"id_token_hint": other}, None),
            ({"client_id": "club"}, None),  # 2: MUST be the client of the ID token
        )
        for place, (changes, there) in enumerate(onward):
            for method in ("GET", "POST"):
                said = {**full, **changes}
                sent: Any = {"params": said} if method == "GET" else {"data": said}
                answer = await browser.request(method, "/login/end", **sent)
                assert answer.headers.get("location") == there, (place, method)
                assert there is not None or answer.status_code == 200
        assert (await browser.get("/login/end")).status_code == 200, "no parameters: a page that says it is over"
        said = landed(await club.begin(browser, prompt="none"))
        assert said["error"] == "login_required"


async def test_core_3_1_2_2_a_hint_is_ours_and_for_this_client(club: Club) -> None:
    """An ID token that has expired is still a hint; another client's, or another signer's, is none."""
    async with club.browser() as browser:
        hint = (await plain(club, browser))["id_token"]
        club.clock.advance(TOKEN_LIFE * 2)
        answer = await club.log_in(browser, client_id="plain", id_token_hint=hint, **PLAIN)
        assert "code" in answer
        elsewhere = await club.log_in(browser, card("m" * 32), client_id="plain", id_token_hint=hint, **PLAIN)
        assert elsewhere["error"] == "login_required"
        assert landed(await club.begin(browser, id_token_hint=hint))["error"] == "invalid_request"
