"""The list and its key for programs, the page for people."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from mapae.catalog import parse_country
from mapae.clock import MovableClock
from mapae.config import country_tree
from mapae.db import connect, migrate
from mapae.formats.jose import b64u
from mapae.formats.x509 import Subject, root
from mapae.keys import Signer
from mapae.rules import Words
from mapae.trust.application import asked_of
from mapae.trust.publish import AccessAuthority, Issuer, Purpose, RelyingParty, TrustList, WalletProvider
from mapae.trust.reader import TrustReader
from mapae.trust.registry import Registry
from mapae.trust.web import labels_of, routes
from mapae.ui.site import application
from trusting import ACCESS_CA, ONE, OTHER, START, founded
from trusting import registry as registry_on

BOTH = Words(ko="가게", en="Shop")
KR = parse_country(country_tree("kr"))
CA = root(Subject("CA"), Signer.ephemeral(), serial=1, not_before=START - timedelta(days=1),
          not_after=START + timedelta(days=99))  # fmt: skip
CARD = "urn:mapae:kr:resident-card:1"
ADULT = Purpose(id="alcohol", name=BOTH, why=BOTH, legal_basis=BOTH, items=("adult_by_year",), retention=BOTH)
SHOP = RelyingParty(id="shop", name=BOTH, x509_hash=b64u(b"s" * 32), purposes=(ADULT,))
ENTRIES = (
    Issuer(id="issuer", name=BOTH, ca=(CA,), vcts=(CARD, "urn:x"), doctypes=(), status_prefix="https://a.test/status/"),
    WalletProvider(id="wallet", name=BOTH, ca=(CA,)),
    AccessAuthority(id="access", name=BOTH, ca=(ACCESS_CA.der,), voice=ACCESS_CA.voice.kid),
    SHOP,
)


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    db, clock = await connect(f"sqlite:///{tmp_path}/trust.db"), MovableClock(START)
    await migrate(db, "trust")
    made = registry_on(db, clock, await founded(db, clock))
    await made.ensure(ENTRIES, ONE, OTHER)
    yield made
    await db.close()


@pytest.fixture
async def web(registry: Registry) -> AsyncIterator[httpx.AsyncClient]:
    app = application(routes(registry, KR))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://mapae.test") as made:
        yield made


async def test_the_list_is_conditional_and_readable_from_any_origin(web: httpx.AsyncClient, registry: Registry) -> None:
    answer = await web.get("/trust/list")
    assert answer.headers["content-type"] == "application/jwt"
    assert answer.headers["access-control-allow-origin"] == "*"
    key = (await web.get("/trust/key")).json()
    assert TrustList.parse(answer.text, key, START).relying_parties == (SHOP,)
    again = await web.get("/trust/list", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    await registry.approve(await registry.propose_removal("relying_party", "shop", ONE), OTHER)
    changed = await web.get("/trust/list", headers={"If-None-Match": answer.headers["etag"]})
    assert changed.status_code == 200


async def test_a_reader_reads_the_very_registry(web: httpx.AsyncClient, registry: Registry) -> None:
    reader = TrustReader(web, "http://mapae.test/trust/list", registry.key, MovableClock(START))
    assert (await reader()).relying_parties == (SHOP,)


@pytest.mark.parametrize(("lang", "item"), [("ko", "성인 여부"), ("en", "Adult")])
async def test_the_page_says_who_may_ask_what(web: httpx.AsyncClient, lang: str, item: str) -> None:
    text = (await web.get(f"/trust/?lang={lang}")).text
    assert item in text and ONE.id in text and f'<html lang="{lang}">' in text


@pytest.mark.parametrize(("lang", "name"), [("ko", "모바일 주민등록증, urn:x"), ("en", "Mobile Resident Card, urn:x")])
async def test_the_page_names_documents_as_people_do(web: httpx.AsyncClient, lang: str, name: str) -> None:
    assert name in (await web.get(f"/trust/?lang={lang}")).text


@pytest.mark.parametrize("id", sorted(KR.purposes))
def test_an_item_is_called_what_the_document_of_the_purpose_calls_it(id: str) -> None:
    """The guardian's certificate has a name and a birth date too, and they are the guardian's."""
    ready = KR.purposes[id]
    purpose = Purpose(id=id, name=BOTH, why=BOTH, legal_basis=BOTH, items=ready.items, retention=BOTH)
    document = KR.documents[ready.document]
    assert labels_of(purpose, KR) == [document.claim(item).label for item in ready.items]


def test_an_item_of_a_purpose_of_ones_own_is_called_by_the_first_document_that_has_it() -> None:
    own = Purpose(id="own", name=BOTH, why=BOTH, legal_basis=BOTH, items=("name", "address"), retention=BOTH)
    assert [label.en for label in labels_of(own, KR)] == ["Name", "Address"]
    unknown = Purpose(id="own", name=BOTH, why=BOTH, legal_basis=BOTH, items=("shoe_size",), retention=BOTH)
    assert labels_of(unknown, KR) == [Words(ko="shoe_size", en="shoe_size")]


def test_an_item_of_a_purpose_of_ones_own_is_called_by_the_document_it_is_registered_for() -> None:
    """Of the guardian's certificate a name is the guardian's, although the resident's card has one as well."""
    document = KR.documents["guardian_card"]
    own = Purpose(id="own", name=BOTH, why=BOTH, legal_basis=BOTH, items=("name",), retention=BOTH,
                  document=asked_of(document))  # fmt: skip
    assert labels_of(own, KR) == [document.claim("name").label] != [KR.documents["resident_card"].claim("name").label]


async def test_nobody_writes_here(web: httpx.AsyncClient) -> None:
    for path in ("/trust/list", "/trust/key", "/trust/"):
        assert (await web.post(path)).status_code == 405
