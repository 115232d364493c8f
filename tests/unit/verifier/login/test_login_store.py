"""Log-ins, codes and keys on both engines: what two do at once, and what is left after each write failed."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mapae.db import Db
from mapae.formats.jose import sign_jws
from mapae.keys import Signer
from mapae.verifier.login import store as login_store
from mapae.verifier.login.client import JWT_BEARER
from mapae.verifier.login.keys import AFTER, AHEAD, SIGNS, Keys, next_key, published, signing
from mapae.verifier.login.store import Key
from unit.verifier.login.login_world import Club, club_on, landed, open_keys

NUL_ISSUER = sign_jws(Signer.ephemeral(), {"typ": "JWT"}, {"iss": "a\0b", "sub": "a\0b"})


@pytest.fixture
async def club(migrated: Callable[[str], Awaitable[Db]]) -> AsyncIterator[Club]:
    async with club_on(await migrated("verifier")) as club:
        yield club


async def test_of_two_who_change_one_code_at_once_one_wins_and_both_end(club: Club) -> None:
    """RFC 6749 4.1.2: a code must not be used more than once."""
    async with club.browser() as browser:
        code = (await club.log_in(browser))["code"]
        got = await asyncio.gather(*[club.tokens(browser, code) for _ in range(3)])
        won = [one for one in got if one.status_code == 200]
        assert len(won) == 1
        bearer = {"Authorization": f"Bearer {won[0].json()['access_token']}"}
        assert (await browser.get("/login/userinfo", headers=bearer)).status_code == 401


async def test_of_two_tabs_that_finish_one_log_in_one_gets_the_code(club: Club) -> None:
    async with club.browser() as browser:
        path, id = await club.ask(browser)
        await browser.get(await club.agree(browser, id))
        got = await asyncio.gather(*[browser.get(path) for _ in range(3)])
        assert sorted(one.status_code for one in got).count(303) == 1
        assert "code" in landed(next(one for one in got if one.status_code == 303))


async def test_clients_are_read_as_they_were_written_and_end_once(club: Club) -> None:
    added = await club.add("paper", redirect_uris=["https://paper.example/cb"], logout_uris=["https://paper.example/"])
    assert await login_store.client(club.shop.db, "paper") == added
    assert not await login_store.add_client(club.shop.db, added, club.clock.now())
    assert [one.id for one in await login_store.clients(club.shop.db)] == ["club", "paper"]
    assert await login_store.end_client(club.shop.db, "paper", club.clock.now())
    assert [one.ended for one in await login_store.clients(club.shop.db)] == [False, True]


async def test_of_two_who_pull_one_pushed_request_one_gets_it(club: Club) -> None:
    """RFC 9126 7.3. Another client gets it neither, and does not use it up; an ended client's is gone."""
    db, now = club.shop.db, club.clock.now()
    await club.add("paper", redirect_uris=["https://paper.example/cb"])
    asked = {"state": "s", "scope": "openid 가"}
    await login_store.push(db, b"one", "paper", asked, now + timedelta(minutes=1))
    assert await login_store.pull(db, b"one", "club", now) is None
    got = await asyncio.gather(*[login_store.pull(db, b"one", "paper", now) for _ in range(3)])
    assert [one for one in got if one is not None] == [asked]
    await login_store.push(db, b"two", "paper", asked, now + timedelta(minutes=1))
    assert await login_store.pull(db, b"two", "paper", now + timedelta(minutes=1)) is None
    assert await login_store.end_client(db, "paper", now)
    assert await db.all("SELECT * FROM login_pushed") == []


async def test_an_assertion_counts_once_and_is_forgotten_when_it_has_expired(club: Club) -> None:
    db, until = club.shop.db, club.clock.now() + timedelta(minutes=1)
    assert await login_store.first_use(db, b"one", until)
    assert not await login_store.first_use(db, b"one", until)
    await login_store.sweep(db, until, until)
    assert await login_store.first_use(db, b"one", until)


async def test_two_keys_are_published_around_each_change(club: Club) -> None:
    """A site reads the key set once a day; every ID token must be readable by the set it has."""
    keys = club.bridge.keys

    async def kids() -> list[str]:
        return [one["kid"] for one in (await keys.set())["keys"] if one["alg"] == "ES256"]

    first = await kids()
    assert len(first) == 1
    club.clock.advance(SIGNS - AHEAD)
    both = await kids()
    assert both[:1] == first and len(both) == 2
    old = await keys.sign("ES256", {"aud": "club"})
    club.clock.advance(AHEAD)
    new = await keys.sign("ES256", {"aud": "club"})
    assert (await keys.read(old), await keys.read(new)) == ({"aud": "club"}, {"aud": "club"})
    assert old.split(".")[0] != new.split(".")[0]
    club.clock.advance(AFTER)
    assert await kids() == both[1:]
    assert await keys.read(old) is None


# --- the same, decided purely -----------------------------------------------------------------------------------------

DAY = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_key_left_lying_for_years_still_signs_and_its_successor_is_shown_first() -> None:
    keys = [Key("login-es256-1", "ES256", DAY)]
    late = DAY + SIGNS * 9
    assert signing(keys, late) == keys[0]
    successor = next_key(keys, "ES256", late)
    assert successor == Key("login-es256-2", "ES256", late + AHEAD)
    assert signing([*keys, successor], late) == keys[0]
    assert published([*keys, successor], late) == [*keys, successor]


def test_the_first_key_signs_at_once() -> None:
    assert next_key([], "RS256", DAY) == Key("login-rs256-1", "RS256", DAY)
    assert next_key([Key("login-rs256-1", "RS256", DAY)], "RS256", DAY + SIGNS - AHEAD - timedelta(seconds=1)) is None


def test_a_clock_that_was_ahead_for_a_moment_changes_no_turn() -> None:
    """A key that it made for a time years from now is neither waited for nor shown."""
    first = Key("login-es256-1", "ES256", DAY)
    odd = next_key([first], "ES256", DAY + timedelta(days=4000))
    assert odd is not None
    after = next_key([first, odd], "ES256", DAY + SIGNS - AHEAD)
    assert after == Key("login-es256-3", "ES256", DAY + SIGNS)
    every = [first, after, odd]
    assert published(every, DAY + SIGNS) == [first, after] and signing(every, DAY + SIGNS) == after
    assert next_key([odd], "ES256", DAY) == Key("login-es256-2", "ES256", DAY)


async def test_a_clock_put_back_behind_the_first_key_loses_nobody_a_log_in(club: Club) -> None:
    keys = club.bridge.keys
    await keys.sign("ES256", {"aud": "club"})
    club.clock.advance(timedelta(seconds=-90))
    token = await keys.sign("ES256", {"aud": "club"})
    assert await keys.read(token) == {"aud": "club"} and len((await keys.set())["keys"]) == 2


@pytest.mark.parametrize(
    "said",
    [
        {"headers": {"Authorization": "Basic " + b64encode(b"a%00b:x").decode()}},
        {"headers": {"Authorization": "Basic " + b64encode(b"a\0b:x").decode()}},
        {"headers": {"Authorization": "Basic " + b64encode("ab\ud83d".encode("utf-8", "surrogatepass")).decode()}},
        {"data": {"client_assertion_type": JWT_BEARER, "client_assertion": NUL_ISSUER}},
    ],
    ids=["coded", "raw", "half a letter", "in an assertion"],
)  # fmt: skip
async def test_letters_that_no_database_takes_are_of_no_client(club: Club, said: dict[str, Any]) -> None:
    """They come in base64 inside a header or a token, where no door looks at letters. PostgreSQL refuses NUL."""
    async with club.browser() as browser:
        for path in ("/login/token", "/login/par"):
            sent = {"data": {"grant_type": "authorization_code"}} | said
            answer = await browser.post(path, **sent)
            assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), answer.text


_OPENED = open_keys()


async def test_reading_a_hint_signs_nothing(club: Club) -> None:
    """What stands in an id_token_hint is a stranger's choice: the private key is not near it."""
    signed: list[bytes] = []

    class Counting:
        def __init__(self, name: str, alg: str) -> None:
            self._one = _OPENED(name, alg)
            self.kid, self.jwk = self._one.kid, self._one.jwk

        def sign(self, message: bytes) -> bytes:
            signed.append(message)
            return self._one.sign(message)

    keys = Keys(club.shop.db, club.clock, Counting)
    for alg in ("RS256", "ES256"):
        token = await keys.sign(alg, {"aud": "club"})
        head, _, seal = token.rpartition(".")
        signed.clear()
        assert await keys.read(token) == {"aud": "club"}
        assert await keys.read(f"{head}.{'B' * len(seal)}") is None and await keys.read(f"{head}.") is None
        assert signed == []
