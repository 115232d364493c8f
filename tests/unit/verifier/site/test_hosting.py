"""Who applied to be asked for is taken up when the list names it, with a certificate of its own key and no other; and
its registration goes along with its questions without ever holding one up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import httpx
import pytest

from mapae.clock import MovableClock
from mapae.db import Db
from mapae.formats.jose import PublicKey
from mapae.formats.x509 import Profile, Subject, leaf, x509_hash
from mapae.keys import Signer
from mapae.rules import Words
from mapae.trust import registration
from mapae.trust.publish import Purpose, RelyingParty, TrustList
from mapae.verifier.asking.judge import Access
from mapae.verifier.asking.registrations import Registrations
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


class Country:
    """The trust role as the verifier sees it: a list, and certificates by their hash."""

    def __init__(self) -> None:
        self.names: dict[str, bytes] = {}
        self.away, self.asked = False, 0

    async def list(self) -> TrustList:
        parties = [RelyingParty(id=id, name=WORDS, x509_hash=x509_hash(der), purposes=(AGE,))
                   for id, der in self.names.items()]  # fmt: skip
        return TrustList.of(parties, seq=1, now=START, life=timedelta(days=1))

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


class Checker:
    def __init__(self, db: Db, country: Country) -> None:
        self.asks: dict[str, Access] = {}
        self.kept: dict[str, bytes] = {}
        self.hosting = Hosting(
            db=db, clock=MovableClock(START), http=country.http, trust_url="http://trust", trust=country.list,
            signer=lambda party: KEY, keep=self.kept.__setitem__, host=self.asks.__setitem__,
            kept=lambda party, key: (self.kept[party],) if party in self.kept else None,
        )  # fmt: skip


@pytest.fixture
async def db(migrated: Callable[[str], Awaitable[Db]]) -> Db:
    return await migrated("verifier")


async def test_a_party_is_asked_for_from_when_the_list_names_it_and_again_after_a_start(db: Db) -> None:
    country = Country()
    checker = Checker(db, country)
    assert PublicKey.from_jwk(await checker.hosting.key("bakery")).thumbprint == KEY.kid
    await checker.hosting.key("bakery")  # asking twice is asking once
    await checker.hosting.take_up()
    assert checker.asks == {}
    first, second = certificate(KEY, 1), certificate(KEY, 2)
    country.names["bakery"] = first
    await checker.hosting.take_up()
    assert checker.asks["bakery"].x5c == (first,)
    country.names["bakery"] = second  # renewed
    await checker.hosting.take_up()
    assert checker.asks["bakery"].x5c == (second,)
    country.away = True
    started = Checker(db, country)
    started.kept.update(checker.kept)
    await started.hosting.open()
    assert started.asks["bakery"].x5c == (second,)  # also while the trust role is away


async def test_a_certificate_of_another_key_or_one_that_cannot_be_had_takes_nobody_up(db: Db) -> None:
    country = Country()
    checker = Checker(db, country)
    await checker.hosting.key("bakery")
    country.names["bakery"] = certificate(OTHER, 3)
    await checker.hosting.take_up()
    country.names["bakery"], country.away = certificate(KEY, 4), True
    await checker.hosting.take_up()
    assert checker.asks == {} and checker.kept == {}
    country.names["stranger"], country.away = certificate(KEY, 5), False
    await checker.hosting.take_up()
    assert set(checker.asks) == {"bakery"}  # who never applied here is not asked for


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
