"""Strangers knock at every door of the whole house, without and with genuine credentials, on both engines: no answer is
our own mistake, and every refusal has the shape of its door and a code that stays."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mapae.formats.jose import b64u, sign_jws
from mapae.ui.http import Answer, Caller, Door, doors
from strangers import (
    KINDS,
    KNOWN,
    Apart,
    Heard,
    Knock,
    bodies,
    code_of,
    headers,
    knock,
    must_be_civil,
    path_for,
    path_words,
    queries,
    tokens,
    words,
)
from town import BASE, Town

EXAMPLES = {"sqlite": 1.0, "postgresql": 0.25}
OURS = (Caller.OFFICER, Caller.CITIZEN)
ENDS_SESSIONS = {"/desk/sign-out", "/portal/end", "/checker/till/end", "/wallet-provider/devices/me/end"}


class Street:
    """The whole house with one of everything in it, and every way in."""

    def __init__(self, town: Town, engine: str) -> None:
        self.town, self.engine = town, engine
        self.doors = doors(town.house.site.routes)
        self.jisoo = town.citizen()
        self.jisoo.obtain()
        self.phone = Apart(town, self.jisoo)
        self.officer = town.officer(town.office_of(self.jisoo))
        page = self.officer.open_case(self.jisoo)
        self.till = town.till()
        self.till.ask("alcohol_tobacco")
        assert self.till.page is not None
        self.till_csrf = self.till.page.forms[0].fields["csrf"]
        self.citizen = self._portal()
        offer = self._offer()
        statuses = town.get_json("/issuer/status")["status_lists"]
        check = self.till.page.url.rpartition("/")[2]
        self.ids = {
            "case": page.url.rpartition("/")[2],
            "look": self.look(),
            "key": town.first,
            "shop": "guest_house",
            "/issuer/offers/{id}": offer,
            "/issuer/status/{id}": statuses[0].rpartition("/")[2],
            **dict.fromkeys([each.path for each in self.doors if "/checks/{id}" in each.path], check),
            **dict.fromkeys([each.path for each in self.doors if each.path.startswith("/verifier")], check),
        }
        self.officer_csrf = page.forms[-1].fields["csrf"]
        self.peer = town.house.foundation.signer("issuer", "peer")

    def _portal(self) -> Any:
        town, who = self.town, self.jisoo.named.resident
        town.clock.advance(seconds=2)
        browser = town.browser()
        start = town.call(browser.get, "/portal/check")
        asked = {"name": who.name, "resident_number": who.number.written, "phone": self.jisoo.number}
        sent = town.call(lambda: browser.post(start, "/portal/check", **asked))
        code = town.code_sent_to(self.jisoo.number)
        town.call(lambda: browser.post(sent, "/portal/code", code=code))
        self.citizen_csrf = town.call(browser.get, "/portal/lost").form("/portal/lost").fields["csrf"]
        return browser

    def _offer(self) -> str:
        other = self.town.citizen(self.town.demo.people[1].key)
        office = self.town.officer(self.town.office_of(other))
        try:
            return office.offer_for(other).rpartition("%2F")[2]
        except AssertionError:  # that person may not have one: a stranger's id will do
            return "unknown"

    def look(self) -> str:
        page = self.town.officer(self.town.office_of(self.jisoo)).find(self.jisoo)
        return page.url.rpartition("/")[2]

    def path(self, door: Door, stranger: str | None) -> str:
        known = {**self.ids, "id": self.ids.get(door.path, "unknown"), "name": "mapae.css"}
        return path_for(door, {} if stranger is not None else known, "unknown" if stranger is None else stranger)

    def send(self, door: Door, sent: Knock) -> Heard:
        heard = self.town.call(knock, self.town.house.site, sent)
        must_be_civil(door, sent, heard)
        return heard

    def genuine(self, door: Door, method: str, path: str, body: bytes) -> list[tuple[bytes, bytes]]:
        """What somebody who may knock here would bring."""
        match door.caller:
            case Caller.OFFICER:
                return _cookies(self.officer.browser.cookies, self.officer_csrf)
            case Caller.CITIZEN:
                return _cookies(self.citizen.cookies, self.citizen_csrf)
            case Caller.PEER:
                return [(b"authorization", f"Bearer {self._peer_token(door.path, body)}".encode())]
            case Caller.WALLET if door.path.startswith("/wallet-provider"):
                return _encoded(self.phone.device(method, path, body))
            case Caller.WALLET:
                token = self.phone.order.access_token if door.challenge else None
                proof = self.phone.dpop(path, token, htm=method)
                return _encoded({**proof, **self.phone.client()})
            case Caller.ANYONE:
                both = {**self.till.browser.cookies, **self.citizen.cookies}
                return _cookies(both, self.till_csrf)
        raise AssertionError(door.caller)

    def _peer_token(self, path: str, body: bytes) -> str:
        now = int(self.town.clock.now().timestamp())
        role = "registers" if path.startswith("/registers") else "wallet_provider"
        bod = b64u(hashlib.sha256(body).digest())
        claims = {"iss": "issuer", "aud": role, "pth": path, "bod": bod, "iat": now, "exp": now + 60}
        return sign_jws(self.peer, {"typ": "mapae-peer+jwt", "kid": self.peer.kid}, claims)

    def refresh(self) -> None:
        """A token that is alive, and a nonce that is fresh."""
        self.town.call(self.phone.c_nonce)


def _encoded(given: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in given.items()]


def _cookies(cookies: dict[str, str], csrf: str) -> list[tuple[bytes, bytes]]:
    held = "; ".join(f"{name}={value}" for name, value in cookies.items())
    return [(b"cookie", held.encode()), (b"x-csrf-token", csrf.encode())]


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def street(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Street]:
    data, database = tmp_path_factory.mktemp("street") / "var", ""
    seeded = "postgres_template" if request.param == "postgresql" else "template"
    shutil.copytree(request.getfixturevalue(seeded), data)
    if request.param == "postgresql":
        database = request.getfixturevalue("cluster").create("street", "seeded")
    with start_blocking_portal() as portal:
        town = Town.open(portal, data, database=database)
        yield Street(town, request.param)
        town.close()
    if database:
        request.getfixturevalue("cluster").drop("street")


def throw(street: Street, share: float, *given_: Any) -> Callable[[Callable[..., None]], None]:
    """Run the body with as many examples as this engine gets. Each example knocks at every door."""

    def run(body: Callable[..., None]) -> None:
        most = max(5, int(settings.default.max_examples * share * EXAMPLES[street.engine]))  # type: ignore[union-attr]
        settings(
            max_examples=most, deadline=None, suppress_health_check=list(HealthCheck), database=None,
            phases=[Phase.explicit, Phase.generate],  # shrinking costs a street each step
        )(given(*given_)(body))()  # fmt: skip

    return run


def test_no_stranger_gets_a_500_anywhere(street: Street) -> None:
    """Random headers, bodies, paths and queries; nobody we know."""

    @throw(street, 0.6, headers, bodies(), st.none() | path_words, queries, st.none() | st.sampled_from(METHODS))
    def strangers(head: Any, body: Any, param: Any, query: bytes, method: str | None) -> None:
        for door in street.doors:
            own = next(m for m in ("POST", "GET", "PUT", "DELETE") if m in (door.methods or ()))
            chunks = (body[1],) if own == "POST" or method else (b"",)
            sent = Knock(method or own, street.path(door, param), query, [(b"content-type", body[0]), *head], chunks)
            street.send(door, sent)


before_any_table = pytest.mark.parametrize("street", ["sqlite"], indirect=True)
"""What is refused before anybody opens a table is the same on both engines."""

METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "BREW", "get", ""]


def test_nobody_with_genuine_credentials_gets_a_500_either(street: Street) -> None:
    """Officers, citizens, tills, wallets and roles of the platform send nonsense to the doors that let them in."""

    @throw(street, 0.6, bodies() | near_misses(), st.none() | path_words, queries)
    def insiders(body: Any, param: Any, query: bytes) -> None:
        street.refresh()
        for door in street.doors:
            if door.path in ENDS_SESSIONS:
                continue
            method = next(m for m in ("POST", "GET", "PUT", "DELETE") if m in (door.methods or ()))
            path, raw = street.path(door, param), body[1] if method == "POST" else b""
            if b"access_token" in query or "/lock" in path or path.endswith("/portal/lost"):
                query = b""
            given_ = street.genuine(door, method, path, raw)
            street.send(door, Knock(method, path, query, [(b"content-type", body[0]), *given_], (raw,)))


@st.composite
def near_misses(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """The message each door expects, with one value that is not what it should be."""
    shape = draw(st.sampled_from(SHAPES))
    value = {name: draw(st.just(kept) | words | tokens | st.integers() | st.none()) for name, kept in shape.items()}
    if draw(st.booleans()):
        return KINDS[0], msgspec.json.encode(value, enc_hook=str)
    return KINDS[1], "&".join(f"{name}={_plain(each)}" for name, each in value.items()).encode()


def _plain(value: Any) -> str:
    from urllib.parse import quote_plus

    return quote_plus(str(value), errors="replace")


SHAPES: list[dict[str, Any]] = [
    {"name": "한지수", "resident_number": "010309-4000000", "phone": "010-0000-0001", "audience": "issuer"},
    {"code": "123456"},
    {"assertion": "e30.e30.AA", "proof": "e30.e30.AA", "platform": "web"},
    {"client_jwk": {"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43}},
    {"keys": [{"kty": "EC", "crv": "P-256", "x": "A" * 43, "y": "A" * 43}], "nonce": "n"},
    {"grant_type": KNOWN[10], "pre-authorized_code": "x"},
    {"grant_type": "refresh_token", "refresh_token": "x"},
    {"credential_configuration_id": "resident_card_sd_jwt", "proofs": {"jwt": ["e30.e30.AA"]}},
    {"credential_configuration_id": "resident_card_mdoc", "proofs": {"attestation": ["e30.e30.AA"]}},
    {"notification_id": "x", "event": "credential_accepted", "event_description": "x"},
    {"person": "x", "reason": "lost", "actor": "x"},
    {"person": "x", "device_id": "x", "old": "x", "actor": "x"},
    {"jkt": "x"},
    {"since": 0, "limit": 10},
    {"name": "한지수", "birth_date": "2001-03-09", "reason": "application"},
    {"resident_number": "010309-4000000", "reason": "application"},
    {"task": "issue", "kind": "resident_card", "look": "x"},
    {"number": "yes", "photo": "yes", "undamaged": "yes", "same": "yes"},
    {"answer": "{}", "label": "x", "passkey": "x"},
    {"officer": "officer-sejong", "options": {"challenge": "AA", "rpId": "localhost"}, "origin": BASE},
    {"response": "e30.e30.AA.AA.AA", "state": "x"},
    {"error": "access_denied", "state": "x"},
    {"wallet_nonce": "x", "wallet_metadata": "{}"},
    {"purpose": "alcohol_tobacco", "form": "either"},
    {"to": "010-0000-0001", "text": "x", "id": "x"},
    {"mode": "fail", "seconds": 1, "count": 0},
]


@before_any_table
def test_every_door_says_413_one_byte_over_and_far_over(street: Street) -> None:
    """RFC 9110 15.5.14, in the shape of the door; declared, undeclared and in pieces."""
    for door in street.doors:
        method = next(m for m in ("POST", "GET", "PUT", "DELETE") if m in (door.methods or ()))
        path = street.path(door, None)
        for size in (door.limit + 1, door.limit + 3 * 1024 * 1024):
            for given_ in ([], [(b"content-length", str(size).encode())]):
                pieces = [b"x" * min(65536, size - at) for at in range(0, size, 65536)]
                sent = Knock(method, path, b"", [(b"content-type", KINDS[0]), *given_], pieces)
                heard = street.send(door, sent)
                assert heard.status == 413, (door.path, size, heard)
                assert code_of(door, heard) == ("invalid_request" if door.answer is Answer.OAUTH else "too_large")
        lying = [(b"content-length", b"9" * 30), (b"expect", b"100-continue")]
        assert street.send(door, Knock(method, path, b"", lying)).status == 413
        at_the_limit = Knock(method, path, b"", [(b"content-type", KINDS[0])], [b"x" * door.limit])
        assert street.send(door, at_the_limit).status != 413, door.path


@before_any_table
def test_every_door_refuses_other_methods_and_names_its_own(street: Street) -> None:
    """RFC 9110 15.5.6: a 405 lists the methods there are."""
    for door in street.doors:
        own = {method for other in street.doors if other.path == door.path for method in other.methods or ()}
        for method in {"PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "QUERY"} - own:
            heard = street.send(door, Knock(method, street.path(door, None)))
            assert heard.status == 405, (door.path, method)
            assert set(heard.headers["allow"].split(", ")) >= set(door.methods or ()), door.path
            if method != "HEAD":
                assert code_of(door, heard) == ("invalid_request" if door.answer is Answer.OAUTH else "wrong_method")


@before_any_table
def test_a_long_query_is_refused_at_every_door(street: Street) -> None:
    for door in street.doors:
        method = next(m for m in ("POST", "GET", "PUT", "DELETE") if m in (door.methods or ()))
        heard = street.send(door, Knock(method, street.path(door, None), b"a=" + b"x" * 9000))
        assert heard.status == 413, door.path


def test_bytes_no_address_may_hold_are_not_our_mistake(street: Street) -> None:
    """RFC 3986 2 knows no such bytes, but servers pass them on; building a URL of them raised."""
    for door in street.doors:
        for method in ("GET", "POST", "PUT"):
            street.send(door, Knock(method, street.path(door, None), b"lang=en&x=\xff\xfe"))


def test_the_house_is_whole_afterwards(street: Street) -> None:
    """After all that: somebody gets a card and shows it. Not the first citizen: among the knocks were an officer's and
    her own genuine ones, which may lock a card, end a session or sign a till off. That is what they are for."""
    town = street.town
    town.settle()
    town.clock.advance(seconds=2)
    other = town.citizen(town.demo.people[2].key)
    other.obtain()
    assert town.till().check(other, "alcohol_tobacco")["outcome"] == "accepted"
