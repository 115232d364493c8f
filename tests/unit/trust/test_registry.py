"""Two people behind every change, and a list that says exactly what holds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec
import pytest

from mapae.audit import events_about, first_broken_link
from mapae.catalog import Words
from mapae.clock import MovableClock, SeededDice
from mapae.db import Body, Db, Row, Value, migrate
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey, b64u
from mapae.formats.x509 import Anchors, Profile, Subject, check_chain, root, x509_hash
from mapae.keys import Signer
from mapae.trust.registry import (
    AccessAuthority,
    AccessCa,
    Entry,
    Issuer,
    Purpose,
    Registry,
    RelyingParty,
    TrustList,
    WalletProvider,
)  # fmt: skip

T = TypeVar("T")
START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def words(text: str) -> Words:
    return Words(ko=text, en=text)


def authority(signer: Signer, name: str = "Authority") -> bytes:
    return root(Subject(name), signer, serial=7, not_before=START - timedelta(days=1),
                not_after=START + timedelta(days=3650))  # fmt: skip


CA = authority(Signer.ephemeral())


def purpose(*items: str, id: str = "alcohol_tobacco") -> Purpose:
    return Purpose(id=id, name=words("Alcohol"), why=words("Age"), legal_basis=words("Act 1"), items=items,
                   retention=words("None"))  # fmt: skip


def shop(id: str = "shop", hash: str = b64u(bytes(32)), *purposes: Purpose) -> RelyingParty:
    return RelyingParty(id=id, name=words(id), x509_hash=hash, purposes=purposes or (purpose("adult_by_year"),))


ISSUER = Issuer(id="issuer", name=words("City"), ca=(CA,), vcts=("urn:x",), doctypes=("kr.x",),
                status_prefix="https://a.test/status/")  # fmt: skip
PROVIDER = WalletProvider(id="wallet", name=words("Wallet"), ca=(CA,))
ACCESS = AccessAuthority(id="access", name=words("Access"), ca=(CA,))


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock(START)


@pytest.fixture
async def registry(db: Db, clock: MovableClock) -> Registry:
    await migrate(db, "trust")
    signer = Signer.ephemeral()
    return Registry(
        db=db, signer=Signer.ephemeral(), clock=clock, dice=SeededDice(1), may_be_asked=["adult_by_year", "name"],
        access=AccessCa(signer, authority(signer, "Access")),
    )  # fmt: skip


async def refusal(awaitable: object) -> Code:
    with pytest.raises(Refused) as caught:
        await awaitable  # type: ignore[misc]
    return caught.value.code


async def test_a_change_holds_when_a_second_person_approves(registry: Registry, db: Db) -> None:
    proposal = await registry.propose(shop(), "kim")
    assert await registry.entries() == ()
    assert await refusal(registry.approve(proposal, "kim")) is Code.NOT_ALLOWED
    assert await registry.approve(proposal, "lee") == 1
    assert await registry.entries() == (shop(),)
    assert await refusal(registry.approve(proposal, "park")) is Code.CONFLICT
    assert await refusal(registry.approve("nothing", "park")) is Code.NOT_FOUND
    assert [e.event.action for e in await events_about(db, "shop")] == ["proposed", "approved"]
    assert await first_broken_link(db) is None


async def test_nobody_is_two_people_by_spelling(registry: Registry) -> None:
    for name in ("Kim", "kim ", "", "k" * 65, "김"):
        assert await refusal(registry.propose(shop(), name)) is Code.MALFORMED


async def test_a_rejected_proposal_never_holds(registry: Registry) -> None:
    proposal = await registry.propose(shop(), "kim")
    await registry.reject(proposal, "kim")
    assert await refusal(registry.approve(proposal, "lee")) is Code.CONFLICT
    assert (await registry.entries(), await registry.waiting()) == ((), [])


async def test_a_proposal_made_against_an_older_state_is_refused(registry: Registry) -> None:
    await registry.ensure([shop()], "kim", "lee")
    narrow = await registry.propose(shop("shop", b64u(b"n" * 32)), "kim")
    wide = await registry.propose(shop("shop", b64u(b"w" * 32)), "kim")
    await registry.approve(narrow, "lee")
    assert await refusal(registry.approve(wide, "lee")) is Code.CONFLICT
    assert await registry.entries() == (shop("shop", b64u(b"n" * 32)),)


async def test_two_approvals_at_once_decide_once(registry: Registry) -> None:
    proposal = await registry.propose(shop(), "kim")
    outcomes = await asyncio.gather(
        *(registry.approve(proposal, by) for by in ("lee", "park", "choi")), return_exceptions=True
    )
    assert sorted(type(o).__name__ for o in outcomes) == ["Refused", "Refused", "int"]
    assert len(await registry.history()) == 1


async def test_one_certificate_is_one_relying_party(registry: Registry) -> None:
    await registry.ensure([shop("one")], "kim", "lee")
    other = await registry.propose(shop("two"), "kim")
    assert await refusal(registry.approve(other, "lee")) is Code.CONFLICT


async def test_an_entry_can_be_struck_off_and_history_keeps_it(registry: Registry) -> None:
    assert await refusal(registry.propose_removal("relying_party", "shop", "kim")) is Code.NOT_FOUND
    assert await refusal(registry.propose_removal("king", "shop", "kim")) is Code.MALFORMED
    await registry.ensure([shop()], "kim", "lee")
    await registry.approve(await registry.propose_removal("relying_party", "shop", "kim"), "lee")
    assert await registry.entries() == ()
    assert len(await registry.history()) == 2
    await registry.ensure([shop()], "kim", "lee")
    assert await registry.entries() == (shop(),)


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (shop("shop", b64u(bytes(32)), purpose("resident_number")), Code.OVER_ASKING),
        (shop("shop", "short"), Code.MALFORMED),
        (shop("shop", b64u(bytes(32)), purpose("name"), purpose("name")), Code.MALFORMED),
        (shop("shop", b64u(bytes(32)), purpose()), Code.MALFORMED),
        (shop("Shop One"), Code.MALFORMED),
        (msgspec.structs.replace(shop(), purposes=()), Code.MALFORMED),
        (msgspec.structs.replace(ISSUER, ca=()), Code.BAD_CERTIFICATE),
        (msgspec.structs.replace(ISSUER, ca=(b"no",)), Code.BAD_CERTIFICATE),
        (msgspec.structs.replace(ISSUER, status_prefix="https://a.test/status"), Code.MALFORMED),
        (msgspec.structs.replace(ISSUER, vcts=(), doctypes=()), Code.MALFORMED),
        (msgspec.structs.replace(PROVIDER, ca=(b"no",)), Code.BAD_CERTIFICATE),
    ],
)
async def test_an_unsound_entry_is_not_even_a_proposal(registry: Registry, entry: Entry, code: Code) -> None:
    assert await refusal(registry.propose(entry, "kim")) is code
    assert await registry.waiting() == []


async def test_setting_up_twice_changes_nothing(registry: Registry) -> None:
    entries: list[Entry] = [ISSUER, PROVIDER, ACCESS, shop()]
    assert await registry.ensure(entries, "kim", "lee") == 4
    assert await registry.ensure(entries, "kim", "lee") == 0


async def test_the_signed_list_says_what_holds(registry: Registry, clock: MovableClock) -> None:
    await registry.ensure([ISSUER, PROVIDER, ACCESS, shop()], "kim", "lee")
    published = await registry.published()
    read = TrustList.parse(published.token, registry.key, clock.now())
    assert (read.issuers, read.wallet_providers, read.relying_parties) == ((ISSUER,), (PROVIDER,), (shop(),))
    assert (read.access_ca, read.seq) == ((CA,), 4)
    assert read.relying_party("shop") == read.asker(b64u(bytes(32))) == shop()
    for lookup in (read.relying_party, read.asker):
        with pytest.raises(Refused) as caught:
            lookup("bank")
        assert caught.value.code is Code.UNKNOWN_RELYING_PARTY


async def test_the_list_is_cached_until_a_change_or_an_hour(registry: Registry, clock: MovableClock) -> None:
    first = await registry.published()
    clock.advance(minutes=59)
    assert await registry.published() is first
    await registry.ensure([shop()], "kim", "lee")
    second = await registry.published()
    assert second.list.seq == 1 and second.etag != first.etag
    clock.advance(hours=1)
    assert (await registry.published()).list.iat > second.list.iat


async def test_an_access_certificate_chains_to_the_authority(registry: Registry, db: Db, clock: MovableClock) -> None:
    key = Signer.ephemeral()
    der = await registry.certify("shop", PublicKey.from_jwk(key.jwk), Subject("Shop"), "kim")
    assert registry._access is not None
    checked = check_chain([der], Anchors([registry._access.der]), clock.now(), Profile.ACCESS)
    assert checked.key.jwk == key.jwk
    row = await db.one("SELECT x509_hash, relying_party FROM access_certificate")
    assert row is not None and (row["x509_hash"], row["relying_party"]) == (x509_hash(der), "shop")


async def test_a_registry_without_an_authority_certifies_nobody(registry: Registry) -> None:
    registry._access = None
    key = PublicKey.from_jwk(Signer.ephemeral().jwk)
    assert await refusal(registry.certify("shop", key, Subject("Shop"), "kim")) is Code.UNSUPPORTED


class FailingDb(Db):
    """Fails one write, before it or after it was kept."""

    def __init__(self, real: Db, kept: bool) -> None:
        self._real, self._kept = real, kept

    async def write(self, body: Body[T]) -> T:
        if self._kept:
            await self._real.write(body)
        raise ConnectionError("the database went away")

    async def all(self, sql: str, *args: Value) -> list[Row]:
        return await self._real.all(sql, *args)

    async def one(self, sql: str, *args: Value) -> Row | None:
        return await self._real.one(sql, *args)

    async def close(self) -> None:
        await self._real.close()


async def failing(registry: Registry, kept: bool, deed: Awaitable[object]) -> None:
    real = registry._db
    registry._db = FailingDb(real, kept)
    with pytest.raises(ConnectionError):
        await deed
    registry._db = real


@pytest.mark.parametrize("kept", [False, True])
async def test_a_proposal_that_failed_can_be_made_again(registry: Registry, db: Db, kept: bool) -> None:
    """Kept or not, a second proposal is harmless: only one of the two can be approved."""
    await failing(registry, kept, registry.propose(shop(), "kim"))
    assert len(await registry.waiting()) == kept
    await registry.propose(shop(), "kim")
    outcomes = [await _approval(registry, p.id) for p in await registry.waiting()]
    assert outcomes == ([1, Code.CONFLICT] if kept else [1])
    assert (await registry.entries(), await first_broken_link(db)) == ((shop(),), None)


async def _approval(registry: Registry, id: str) -> int | Code:
    try:
        return await registry.approve(id, "lee")
    except Refused as refused:
        return refused.code


@pytest.mark.parametrize("kept", [False, True])
async def test_an_approval_that_failed_can_be_given_again(registry: Registry, db: Db, kept: bool) -> None:
    """Kept, the second approval says so and changes nothing."""
    proposal = await registry.propose(shop(), "kim")
    await failing(registry, kept, registry.approve(proposal, "lee"))
    assert len((await registry.published()).list.relying_parties) == kept
    assert await _approval(registry, proposal) == (Code.CONFLICT if kept else 1)
    assert (await registry.published()).list.relying_parties == (shop(),)
    assert await first_broken_link(db) is None


@pytest.mark.parametrize("kept", [False, True])
async def test_a_certificate_that_failed_counts_for_nothing(registry: Registry, db: Db, kept: bool) -> None:
    """No entry names its hash, so nobody may ask with it; another is issued."""
    key = PublicKey.from_jwk(Signer.ephemeral().jwk)
    await failing(registry, kept, registry.certify("shop", key, Subject("Shop"), "kim"))
    assert len(await db.all("SELECT x509_hash FROM access_certificate")) == kept
    assert (await registry.published()).list.relying_parties == ()
    assert await registry.certify("shop", key, Subject("Shop"), "kim")


async def test_processes_that_start_together_set_up_one_country(db: Db, clock: MovableClock) -> None:
    """Each founds the same entries; whoever is second finds them there and starts all the same."""
    await migrate(db, "trust")
    signer = Signer.ephemeral()
    processes = [
        Registry(db=db, signer=signer, clock=clock, dice=SeededDice(seed), may_be_asked=("adult_by_year",))
        for seed in range(4)
    ]
    entries = (ISSUER, PROVIDER, ACCESS, shop())
    await asyncio.gather(*(process.ensure(entries, "founder:1", "founder:2") for process in processes))
    assert set(await processes[0].entries()) == set(entries)
