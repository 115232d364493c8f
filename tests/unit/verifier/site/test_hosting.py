"""Who applied to be asked for is taken up when the list names it, with a certificate of its own key and no other; and
its registration goes along with its questions without ever holding one up."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from cutting import Cut, Failing
from mapae.audit import events_about, first_broken_link
from mapae.clock import MovableClock, SystemDice
from mapae.db import Db, Tx, connect, migrate
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey
from mapae.formats.x509 import Profile, Subject, leaf, x509_hash
from mapae.keys import Signer
from mapae.rules import Words
from mapae.trust import registration
from mapae.trust.publish import Purpose, RelyingParty, TrustList
from mapae.trust.signers import Reason, RevokedReader
from mapae.verifier.asking import store
from mapae.verifier.asking.judge import Access
from mapae.verifier.asking.registrations import Registrations
from mapae.verifier.login import store as login_store
from mapae.verifier.login.client import registered
from mapae.verifier.login.holdings import clients
from mapae.verifier.site import api_store, hosting_store
from mapae.verifier.site.api import make_key
from mapae.verifier.site.holdings import Holdings, keys, tills
from mapae.verifier.site.hosting import Hosting
from trusting import ACCESS, ACCESS_CA, START

KEY, OTHER, LIST = Signer.ephemeral(), Signer.ephemeral(), Signer.ephemeral()
WORDS = Words(ko="빵집", en="Bakery")
AGE = Purpose(id="age", name=WORDS, why=WORDS, legal_basis=WORDS, items=("adult_by_year",), retention=WORDS)


def certificate(key: Signer, serial: int) -> bytes:
    return leaf(
        Profile.ACCESS, Subject("Bakery"), PublicKey.from_jwk(key.jwk), ca=ACCESS, ca_der=ACCESS_CA.der, serial=serial,
        not_before=START, not_after=START + timedelta(days=365),
    )  # fmt: skip


CASE, LATER = "1f2e3d4c5b6a", "6a5b4c3d2e1f"


class Country:
    """The trust role as the verifier sees it: a list, and certificates by their hash."""

    def __init__(self) -> None:
        self.names: dict[str, bytes] = {}
        self.revoked: list[bytes] = []
        self.reason = Reason.CEASED
        self.away, self.asked = False, 0

    async def list(self) -> TrustList:
        parties = [RelyingParty(id=id, name=WORDS, x509_hash=x509_hash(der), purposes=(AGE,))
                   for id, der in self.names.items()]  # fmt: skip
        back = [RevokedReader(reader=x509_hash(der), x509_hash=x509_hash(der), since=0, reason=self.reason)
                for der in self.revoked]  # fmt: skip
        return TrustList.of(parties, seq=1, now=START, life=timedelta(days=1), revoked_readers=back)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.away:
            raise httpx.ConnectError("nobody there")
        for der in self.names.values():
            if request.url.path == f"/trust/access-certificates/{x509_hash(der)}":
                return httpx.Response(200, content=der)
        if request.url.path == "/trust/relying-parties/bakery/certificate" and "bakery" in self.names:
            party = RelyingParty(id="bakery", name=WORDS, x509_hash=x509_hash(self.names["bakery"]), purposes=(AGE,))
            return httpx.Response(200, content=registration.make(party, "https://id.example", LIST, START))
        return httpx.Response(404)

    @property
    def http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self.answer))


class Ring:
    """Keys in a drawer; `damaged` ones do not open."""

    def __init__(self) -> None:
        self.keys: dict[str, Signer] = {}
        self.certificates: dict[str, bytes] = {}
        self.damaged: set[str] = set()

    def signer(self, name: str) -> Signer:
        if name in self.damaged:
            raise Refused(Code.BAD_CONFIG, "this key does not open")
        return self.keys.setdefault(name, Signer.ephemeral())

    def kept(self, name: str, signer: Signer) -> tuple[bytes, ...] | None:
        return (self.certificates[name],) if name in self.certificates else None

    def keep(self, name: str, der: bytes) -> None:
        self.certificates[name] = der

    def destroy(self, name: str) -> None:
        self.keys.pop(name, None)
        self.certificates.pop(name, None)


class Checker:
    def __init__(self, db: Db, country: Country, ring: Ring | None = None, clock: MovableClock | None = None) -> None:
        self.db, self.clock = db, clock or MovableClock(START)
        self.asks: dict[str, Access] = {}
        self.ring = ring or Ring()
        self.pushes: list[str] = []
        self.looked: list[int] = []
        self.serial: Counter[str] = Counter()
        self.holdings = Holdings(db, self.clock, [tills(self._besides), keys(), clients()])
        self.hosting = Hosting(
            db=db, clock=self.clock, http=country.http, trust_url="http://trust", trust=country.list, keyring=self.ring,
            shops=self.asks, holdings=self.holdings, look_again=lambda: self.looked.append(1),
        )  # fmt: skip

    async def _besides(self, tx: Tx, questions: list[str]) -> None:
        self.pushes += questions

    async def certified(self, party: str = "bakery", case: str = CASE, serial: int = 1) -> bytes:
        """The application's key is made, and two governors agree."""
        await self.hosting.key(party, case)
        return certificate(self.ring.keys[f"hosted-{case}"], serial)

    async def given(self, party: str = "bakery") -> tuple[str, str, str]:
        """A till, a key and a client of this party: their ids; besides a till's code and an open question."""
        now, name = self.clock.now(), f"{party}-{self.serial[party]}"
        self.serial[party] += 1
        for code in (b"a", b"b"):
            await store.add_invitation(self.db, name.encode() + code, party, now, now + timedelta(minutes=10))
        till = store.Till(name, "", now + timedelta(days=30))
        assert await store.enrol(self.db, name.encode() + b"a", till, name.encode(), now)
        session = store.Session(
            f"question-{name}", name, party, "age", "either", "n", "e", b"k", now, now + timedelta(seconds=120), False,
            None, None, None,
        )  # fmt: skip
        await store.open_session(self.db, session)
        key, _ = await make_key(self.db, party, "server", self.clock, SystemDice())
        client = registered(f"site-{name}", party, [f"https://{party}.example/cb"], secret="x" * 32)
        assert await login_store.add_client(self.db, client, now)
        return name, key.id, client.id


@pytest.fixture
async def db(migrated: Callable[[str], Awaitable[Db]]) -> Db:
    return await migrated("verifier")


@pytest.fixture
async def lone(tmp_path: Any) -> AsyncIterator[Db]:
    """On SQLite alone: where the SQL is not what the test is about."""
    db = await connect(f"sqlite:///{tmp_path}/verifier.db")
    await migrate(db, "verifier")
    yield db
    await db.close()


async def test_a_party_is_asked_for_from_when_the_list_names_it_and_again_after_a_start(db: Db) -> None:
    country = Country()
    checker = Checker(db, country)
    made = await checker.hosting.key("bakery", CASE)
    assert await checker.hosting.key("bakery", CASE) == made  # asking twice is asking once
    await checker.hosting.round()
    assert checker.asks == {}
    first, second = await checker.certified(), await checker.certified(serial=2)
    country.names["bakery"] = first
    await checker.hosting.round()
    assert checker.asks["bakery"].x5c == (first,)
    country.names["bakery"] = second  # renewed
    await checker.hosting.round()
    assert checker.asks["bakery"].x5c == (second,)
    country.away = True
    started = Checker(db, country, checker.ring)
    await started.hosting.open()
    assert started.asks["bakery"].x5c == (second,)  # also while the trust role is away


async def test_a_certificate_of_another_key_or_one_that_cannot_be_had_takes_nobody_up(lone: Db) -> None:
    country = Country()
    checker = Checker(lone, country)
    right = await checker.certified()
    country.names["bakery"] = certificate(OTHER, 3)
    await checker.hosting.round()
    await checker.hosting.round()
    assert country.asked == 1, "whoever came to ask with a key of its own is not fetched for every five seconds"
    country.names["bakery"], country.away = right, True
    await checker.hosting.round()
    assert checker.asks == {} and checker.ring.certificates == {}
    country.names["stranger"], country.away = certificate(KEY, 5), False
    await checker.hosting.round()
    assert set(checker.asks) == {"bakery"}  # who never applied here is not asked for


async def test_one_that_waits_costs_nobody_a_list_and_is_given_nothing(lone: Db) -> None:
    """While any application waited, every verifier fetched the trust list anew every five seconds."""
    country = Country()
    checker = Checker(lone, country)
    der = await checker.certified()
    await checker.hosting.round()
    assert checker.looked == []
    with pytest.raises(Refused) as refused:
        await checker.hosting.must_be_listed("bakery")
    assert refused.value.code is Code.UNKNOWN_RELYING_PARTY and len(checker.looked) == 1
    country.names["bakery"] = der
    await checker.hosting.must_be_listed("bakery")  # its link is opened the moment it is registered
    assert set(checker.asks) == {"bakery"}


async def test_one_damaged_key_does_not_keep_all_others_out(lone: Db) -> None:
    country = Country()
    checker = Checker(lone, country)
    country.names["airport"] = await checker.certified("airport", LATER)
    country.names["bakery"] = await checker.certified()
    checker.ring.damaged.add(f"hosted-{LATER}")
    await checker.hosting.round()
    assert set(checker.asks) == {"bakery"}


async def test_a_key_of_before_applications_had_their_own_goes_on_and_ends_with_its_party(lone: Db) -> None:
    country = Country()
    checker = Checker(lone, country)
    key = checker.ring.signer("access-bakery")
    country.names["bakery"] = checker.ring.certificates["access-bakery"] = certificate(key, 7)
    await lone.run("INSERT INTO hosted_key (name, party, made_at) VALUES ('access-bakery', 'bakery', 0)")
    await hosting_store.add(lone, f"hosted-{LATER}", "airport", START)
    checker.ring.damaged.add(f"hosted-{LATER}")
    await checker.hosting.open()
    assert set(checker.asks) == {"bakery"} and await hosting_store.has(lone, "bakery")
    await checker.hosting.round()
    country.revoked = [country.names.pop("bakery")]
    await checker.hosting.round()
    assert checker.ring.keys == {} and checker.asks == {} and not await hosting_store.has(lone, "bakery")


async def test_an_application_that_came_to_nothing_leaves_no_key_and_no_row(lone: Db) -> None:
    checker = Checker(lone, Country())
    await checker.hosting.key("bakery", CASE)
    await checker.hosting.key("bakery", LATER)  # somebody else's, under the same id
    for _ in range(2):  # the message may come twice
        await checker.hosting.drop(CASE)
    assert list(checker.ring.keys) == [f"hosted-{LATER}"]
    assert [one.name for one in await hosting_store.all(lone)] == [f"hosted-{LATER}"]
    with pytest.raises(Refused) as refused:
        await checker.hosting.key("bakery", "../bakery")
    assert refused.value.code is Code.MALFORMED


async def test_what_a_party_has_is_listed_without_secrets_and_ended_by_it_alone_and_once(db: Db) -> None:
    checker = Checker(db, Country())
    till, key, client = await checker.given()
    await checker.given("airport")
    found = await checker.holdings.of("bakery")
    assert [(one.kind, one.id) for one in found] == [("till", till), ("key", key), ("client", client)]
    assert [one.used_at for one in found] == [None] * 3 and found[0].until is not None
    assert not any(word in str(found) for word in ("mapae_", "x" * 32, "digest"))
    for kind, id in (("till", till), ("key", key), ("client", client)):
        assert not await checker.holdings.end("airport", kind, id)  # another party
        assert await checker.holdings.end("bakery", kind, id)
        assert not await checker.holdings.end("bakery", kind, id)  # twice
    assert await checker.holdings.of("bakery") == [] and len(await checker.holdings.of("airport")) == 3
    assert await store.till_of(db, till.encode(), checker.clock.now()) is None
    with pytest.raises(Refused) as refused:
        await checker.holdings.end("bakery", "cashier", till)
    assert refused.value.code is Code.NOT_FOUND


async def test_the_day_something_was_last_used_is_written_down_once_a_day(db: Db) -> None:
    checker = Checker(db, Country())
    till, unused, client = await checker.given()
    _, secret = await make_key(db, "bakery", "other", checker.clock, SystemDice())
    digest = hashlib.sha256(secret.encode()).digest()
    days = []
    for hours in (0, 1, 25):
        checker.clock.advance(hours=hours)
        now = checker.clock.now()
        assert await store.till_of(db, till.encode(), now) and await api_store.key_of(db, digest, now)
        await login_store.used(db, client, now)
        found = await checker.holdings.of("bakery")
        days.append([one.used_at for one in found if one.id != unused])
        assert [one.used_at for one in found if one.id == unused] == [None]
    at = int(START.timestamp())
    assert days == [[at] * 3] * 2 + [[at + 26 * 3600] * 3]


async def test_all_a_party_had_ends_when_its_registration_is_taken_back_and_nobody_elses(db: Db) -> None:
    country = Country()
    checker = Checker(db, country)
    country.names = {"bakery": await checker.certified(), "airport": await checker.certified("airport", LATER)}
    await checker.hosting.round()
    await checker.given()
    await checker.given("airport")
    country.revoked = [country.names.pop("bakery")]
    await checker.hosting.round()
    await checker.hosting.round()  # again
    assert await checker.holdings.of("bakery") == [] and set(checker.asks) == {"airport"}
    assert checker.pushes == ["question-bakery-0"]
    session = await store.session(db, "question-bakery-0")
    assert session is not None and session.verdict is not None and session.secret is None
    assert await store.enrol(db, b"bakery-0b", store.Till("new", "", START), b"t", checker.clock.now()) is None
    assert list(checker.ring.keys) == [f"hosted-{LATER}"] and list(checker.ring.certificates) == [f"hosted-{LATER}"]
    assert len(await checker.holdings.of("airport")) == 3
    said = [one.event for one in await events_about(db, "bakery") if one.event.object == "holdings"]
    assert [(one.action, one.facts) for one in said] == [("ended", {"till": 1, "key": 1, "client": 1})]
    assert await first_broken_link(db) is None


async def test_a_party_that_is_just_not_named_any_more_is_given_time(lone: Db) -> None:
    """The authority above all of them may have been entered wrongly: that must not cost every shop its tills."""
    country = Country()
    checker = Checker(lone, country)
    country.names["bakery"] = await checker.certified()
    await checker.hosting.round()
    await checker.given()
    der = country.names.pop("bakery")
    for days in (0, 6):
        checker.clock.advance(days=days)
        await checker.hosting.round()
    assert len(await checker.holdings.of("bakery")) == 3
    country.names["bakery"] = der  # named again: the days before count no longer
    await checker.hosting.round()
    del country.names["bakery"]
    for days in (0, 6):
        checker.clock.advance(days=days)
        await checker.hosting.round()
    assert len(await checker.holdings.of("bakery")) == 3
    checker.clock.advance(days=2)
    await checker.hosting.round()
    assert await checker.holdings.of("bakery") == []


async def test_a_clock_ahead_for_a_moment_ends_nothing(lone: Db) -> None:
    """By that clock the list no longer names a party whose certificate is good for months."""
    country = Country()
    checker = Checker(lone, country)
    country.names["bakery"] = name = await checker.certified()
    await checker.hosting.round()
    await checker.given()
    del country.names["bakery"]
    await checker.hosting.round()
    checker.clock.leap(days=400)
    for _ in range(2):
        await checker.hosting.round()
    checker.clock.leap(days=-400)
    country.names["bakery"] = name
    await checker.hosting.round()
    assert len(await checker.holdings.of("bakery")) == 3


async def test_whom_the_list_never_had_keeps_what_was_prepared(lone: Db) -> None:
    checker = Checker(lone, Country())
    await checker.given()
    for _ in range(2):
        await checker.hosting.round()
        checker.clock.advance(days=30)
    assert len(await api_store.keys_of(lone, "bakery")) == 1


async def test_who_comes_back_begins_anew_and_what_was_given_at_the_last_moment_ends_too(lone: Db) -> None:
    country = Country()
    checker = Checker(lone, country)
    country.names["bakery"] = await checker.certified()
    await checker.hosting.round()
    country.revoked = [country.names.pop("bakery")]
    await checker.hosting.round()
    await checker.given()  # the list was five seconds old
    await checker.hosting.round()
    assert await checker.holdings.of("bakery") == []
    country.names["bakery"] = await checker.certified(case=LATER, serial=2)
    await checker.hosting.round()
    await checker.given()
    await checker.hosting.round()
    assert len(await checker.holdings.of("bakery")) == 3 and set(checker.asks) == {"bakery"}


@pytest.mark.parametrize(("reason", "left"), [(Reason.COMPROMISED, 0), (Reason.SUPERSEDED, 3)])
async def test_what_was_given_before_a_registration_was_taken_back_ends_also_if_it_was_made_anew_unseen(
    lone: Db, reason: Reason, left: int
) -> None:
    """The verifier was down over a weekend: a stolen API key does not pass to the new registration of the same id. A
    renewal takes nothing."""
    country = Country()
    checker = Checker(lone, country)
    country.names["bakery"] = await checker.certified()
    await checker.hosting.round()
    await checker.given()
    country.revoked, country.reason = [country.names["bakery"]], reason
    country.names["bakery"] = await checker.certified(case=LATER, serial=2)
    for _ in range(2):
        await checker.hosting.round()
        assert len(await checker.holdings.of("bakery")) == left
    assert set(checker.asks) == {"bakery"}


@pytest.mark.parametrize("kept", [False, True], ids=["lost", "kept"])
async def test_a_kill_at_any_write_of_an_end_leaves_all_or_nothing_and_the_next_round_ends_it(
    tmp_path: Any, kept: bool
) -> None:
    for place in range(1, 9):
        db = await connect(f"sqlite:///{tmp_path}/{place}-{kept}.db")
        await migrate(db, "verifier")
        country, clock = Country(), MovableClock(START)
        checker = Checker(db, country, clock=clock)
        country.names["bakery"] = await checker.certified()
        await checker.hosting.round()
        await checker.given()
        country.revoked = [country.names.pop("bakery")]
        failing = Failing(db)
        failing.left, failing.kept = place, kept
        dying = Checker(failing, country, checker.ring, clock)
        died = False
        try:
            await dying.hosting.open()
            await dying.hosting.round()
        except Cut:
            died = True
        assert len(await checker.holdings.of("bakery")) in (0, 3)
        started = Checker(db, country, checker.ring, clock)
        await started.hosting.open()
        await started.hosting.round()
        assert await started.holdings.of("bakery") == [] and started.asks == {}, place
        assert await first_broken_link(db) is None
        await db.close()
        if not died:
            return
    raise AssertionError("an end takes more writes than were cut")


async def test_a_party_has_no_more_than_enough(lone: Db) -> None:
    checker = Checker(lone, Country())
    for _ in range(20):
        await make_key(lone, "bakery", "server", checker.clock, SystemDice())
    with pytest.raises(Refused) as refused:
        await checker.holdings.must_have_room("bakery", "key")
    assert (refused.value.code, refused.value.step) == (Code.TOO_OFTEN, "key")
    await checker.holdings.must_have_room("airport", "key")
    [first, *_] = await checker.holdings.of("bakery")
    await checker.holdings.end("bakery", "key", first.id)
    await checker.holdings.must_have_room("bakery", "key")


async def test_a_registration_goes_along_and_its_lack_holds_no_question_up() -> None:
    country, clock = Country(), MovableClock(START)
    carried = Registrations(country.http, "http://trust", clock)
    assert await carried.of("bakery") is None
    country.names["bakery"] = certificate(KEY, 1)
    assert await carried.of("bakery") is None and country.asked == 1  # not asked for with each question
    clock.advance(minutes=2)
    token = await carried.of("bakery")
    assert token is not None and registration.parse(token, PublicKey.from_jwk(LIST.jwk), clock.now()).sub == "bakery"
    country.away = True
    clock.advance(days=29)
    assert await carried.of("bakery") == token  # the one of before, while it is good
    clock.advance(days=1)
    assert await carried.of("bakery") is None


async def test_a_registration_is_asked_for_again_when_the_clock_was_ahead() -> None:
    country, clock = Country(), MovableClock(START + timedelta(days=365))
    carried = Registrations(country.http, "http://trust", clock)
    assert await carried.of("bakery") is None
    country.names["bakery"] = certificate(KEY, 1)
    clock.advance(days=-365)
    assert await carried.of("bakery") is not None
