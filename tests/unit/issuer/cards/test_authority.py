"""Who signs chips: generations of keys, the hashes that are ours, and what a reader makes of them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from mapae.clock import MovableClock, SeededDice
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.issuer.cards import store
from mapae.issuer.cards.authority import CSCA, SIGNER, Called, ChipAuthority
from mapae.issuer.cards.partners import CardData
from mapae.issuer.cards.sealing import LARGEST_PORTRAIT, portrait
from mapae.issuer.ic_card import infos, passive
from mapae.issuer.ic_card.passive import Anchors
from mapae.issuer.ic_card.personalise import Holder, must_cover, prepare
from mapae.issuer.ic_card.profile import PROFILE_A
from mapae.keys import Signer
from mapae.registers.portraits import portrait as drawn
from unit.issuer.cards.card_world import START

pytestmark = pytest.mark.parametrize("migrated", ["sqlite"], indirect=True)

DATA = CardData(
    number="K2345678A", name="한지수", name_latin="Han Jisoo", birth_date=date(2001, 3, 9), sex="female",
    nationality="KOR", address="경기도 고양시 덕양구 고양시청로 10", issued=date(2026, 3, 2), expires=date(2036, 3, 1),
    portrait=portrait(drawn("jisoo", age=25, sex="female")),
)  # fmt: skip


class World:
    def __init__(self, db: Db) -> None:
        self.clock, self.keys = MovableClock(START), dict[str, Signer]()
        self.db = db
        self.authority = self.anew()

    def anew(self) -> ChipAuthority:
        country = Called("Republic of Korea", "KR", "KOR", "https://mapae.test")
        return ChipAuthority(self.db, self.clock, SeededDice(3), self.key, country)

    def key(self, name: str) -> Signer:
        return self.keys.setdefault(name, Signer.ephemeral())

    async def genuine(self, sod: bytes, groups: dict[int, bytes]) -> passive.Genuine:
        anchors = Anchors(await self.authority.authorities(), await self.authority.lists())
        return passive.check(sod, groups, anchors, self.clock.now())


@pytest.fixture
async def world(issuer_db: Db) -> World:
    return World(issuer_db)


def _blank(**changes: Any) -> Any:
    holder = Holder(
        name_latin=DATA.name_latin, name=DATA.name, address=DATA.address, number=DATA.number, sex="female",
        birth_date=DATA.birth_date, nationality="KOR", expires=DATA.expires, portrait=DATA.portrait, state="KOR",
    )  # fmt: skip
    return prepare(holder, SeededDice(1))


async def test_our_hashes_of_the_registers_facts_are_those_of_a_factorys_chip(world: World) -> None:
    blank = _blank()
    hashes = world.authority.hashes(DATA, blank.dg14)
    assert hashes == blank.hashes
    assert world.authority.chip_key(blank.dg14) == infos.read_dg14(blank.dg14, PROFILE_A).encode()
    for other in (
        replace(DATA, name="한지우"), replace(DATA, name_latin="Han Jiwoo"), replace(DATA, address="서울특별시"),
        replace(DATA, number="K2345678B"), replace(DATA, birth_date=date(2001, 3, 8)), replace(DATA, sex="male"),
        replace(DATA, expires=date(2036, 3, 2)), replace(DATA, portrait=portrait(drawn("x", age=25, sex="female"))),
    ):  # fmt: skip
        assert world.authority.hashes(other, blank.dg14) != blank.hashes


async def test_what_we_sign_is_genuine_to_a_reader_that_trusts_the_country(world: World) -> None:
    blank = _blank()
    sod = await world.authority.sign(blank.hashes)
    must_cover(sod, blank.hashes)
    found = await world.genuine(sod, blank.groups)
    assert found.card == hashlib.sha256(sod).digest()


async def test_a_signers_key_serves_three_months_and_its_cards_stay_good(world: World) -> None:
    blank = _blank()
    first = await world.authority.sign(blank.hashes)
    world.clock.advance(days=60)
    assert (await world.genuine(await world.authority.sign(blank.hashes), blank.groups)).signer == (
        await world.genuine(first, blank.groups)
    ).signer
    world.clock.advance(days=31)
    world.authority = world.anew()
    second = await world.authority.sign(blank.hashes)
    assert {"csca", "chip-signer", "chip-signer-2"} == set(world.keys)
    for years in range(9):
        for sod in (first, second):
            await world.genuine(sod, blank.groups)
        world.clock.advance(days=365)
        assert years < 9


async def test_the_authority_itself_is_renewed_in_time_and_the_old_one_still_counts(world: World) -> None:
    blank = _blank()
    first = await world.authority.sign(blank.hashes)
    world.clock.advance(days=3 * 365 + 10)
    second = await world.authority.sign(blank.hashes)
    assert "csca-2" in world.keys and len(await world.authority.authorities()) == 2
    for sod in (first, second):
        await world.genuine(sod, blank.groups)


@pytest.mark.parametrize("believed", [False, True], ids=["leapt", "believed"])
@pytest.mark.parametrize("asked", ["lists", "sign"])
async def test_a_generation_asked_for_while_the_clock_was_ahead_spoils_no_chip(
    world: World, asked: str, believed: bool
) -> None:
    """Every chip signed afterwards would be not valid yet, for as long as the clock was ahead."""
    blank = _blank()
    before = await world.authority.sign(blank.hashes)
    move = world.clock.advance if believed else world.clock.leap
    move(days=5 * 365)
    await (world.authority.lists() if asked == "lists" else world.authority.sign(blank.hashes))
    move(days=-5 * 365)
    world.authority = world.anew()
    for days in (0, 100):
        world.clock.advance(days=days)
        for sod in (before, await world.authority.sign(blank.hashes)):
            await world.genuine(sod, blank.groups)
    known = {one.name for kind in (CSCA, SIGNER) for one in await store.chip_signers(world.db, kind)}
    assert known == set(world.keys)  # no generation under another one's key


async def test_a_revoked_signer_counts_no_more_and_the_next_one_signs(world: World) -> None:
    blank = _blank()
    before = await world.authority.sign(blank.hashes)
    await world.genuine(before, blank.groups)
    await world.authority.revoke("chip-signer")
    with pytest.raises(Refused) as refused:
        await world.genuine(before, blank.groups)
    assert refused.value.step == "revocation"
    await world.genuine(await world.authority.sign(blank.hashes), blank.groups)
    with pytest.raises(Refused) as refused:
        await world.authority.revoke("chip-signer")
    assert refused.value.code is Code.NOT_FOUND


async def test_the_list_of_revoked_signers_is_never_older_than_a_day(world: World) -> None:
    await world.authority.sign(_blank().hashes)
    for _ in range(5):
        first = await world.authority.lists()
        assert await world.authority.lists() == first
        world.clock.advance(timedelta(hours=25))
        assert await world.authority.lists() != first


async def test_certificate_and_list_are_anybodys_to_have(world: World) -> None:
    await world.authority.authorities()
    der, crl = await world.authority.published("csca")
    assert [der] == await world.authority.authorities() and [crl] == await world.authority.lists()
    with pytest.raises(Refused):
        await world.authority.published("csca-2")


@pytest.mark.parametrize("raw", [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"], ids=["empty", "cut", "png"])
async def test_what_is_no_jpeg_becomes_no_portrait(raw: bytes, migrated: Any) -> None:
    with pytest.raises(Refused) as refused:
        portrait(raw)
    assert refused.value.code is Code.PHOTO_REFUSED


async def test_the_portrait_fits_a_chip_and_is_the_same_every_time(migrated: Any) -> None:
    photo = drawn("somebody", age=40, sex="male")
    assert portrait(photo) == portrait(photo) and len(portrait(photo)) <= LARGEST_PORTRAIT
