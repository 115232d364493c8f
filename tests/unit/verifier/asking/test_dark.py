"""A shop's counter when the issuer, the trust list or both cannot be had; and what it reports when they can again."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from mapae.clock import MovableClock
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.formats import status
from mapae.trust.pack import format
from mapae.trust.pack.build import pairs
from mapae.trust.pack.format import Pack
from mapae.trust.pack.keep import Keeper
from mapae.trust.pack.verify import open_pack
from mapae.verifier.asking import doubt_store
from mapae.verifier.asking.ask import Form, Manner
from mapae.verifier.asking.dark import Basement
from mapae.verifier.asking.doubt import DAY, WINDOW, Doubt, Tagger
from mapae.verifier.asking.store import Outcome, Verdict
from mapae.verifier.checking.check import Format
from mapae.verifier.checking.offline import Known, Light, Tier
from mapae.verifier.checking.steps import STRICT, ByRedirect, Examined, Expected, examine
from mapae.verifier.till.kiosk import Ended
from packed import Nation, small
from unit.verifier.shop import Shop, opened
from unit.verifier.world import AUTHORITY, CLAIMS, FORMATS, LIST, NOW, TODAY, VCT, Card, ask, country

BAR = country().purposes["alcohol_tobacco"]


@dataclass
class Dark:
    """A shop on a pack. `packs` are those the publisher has made; the last is what it serves."""

    shop: Shop
    nation: Nation
    packs: list[Pack]
    folder: Path
    up: bool = True

    @property
    def basement(self) -> Basement:
        assert self.shop.verifier.basement is not None
        return self.shop.verifier.basement

    def answer(self, request: httpx.Request) -> httpx.Response:
        if not self.up:
            raise httpx.ConnectError("dark")
        newest = self.packs[-1]
        for base in self.packs:
            if request.url.path.endswith(base.id.hex()):
                return httpx.Response(204) if base is newest else httpx.Response(
                    200, content=format.delta(base, newest, pairs(base, newest))
                )  # fmt: skip
        return httpx.Response(200, content=newest.encode())

    async def publish(self, **parts: float) -> None:
        """Time passes for all, and the issuer's lists of now are anchored and packed."""
        self.shop.clock.advance(**parts)
        self.nation.clock.set(self.shop.clock.now())
        self.nation.anchor()
        self.packs.append(await self.nation.made(self.packs[-1]))

    def all_dark(self) -> None:
        self.up = self.shop.lists.up = False
        self.shop.trust.clear()

    async def check(
        self, card: Card | None = None, kind: Format = Format.SD_JWT, purpose: str = "alcohol_tobacco",
        party: str = "mart",
    ) -> Verdict:  # fmt: skip
        till = await self.shop.till(party)
        id = await self.shop.verifier.open(till, purpose, Form(kind.value))
        await self.shop.verifier.answer(id, await self.shop.reply(id, card or young(), kind))
        look = await self.shop.verifier.look(till, id)
        assert isinstance(look, Ended)
        return look.verdict


def young(place: int = 7) -> Card:
    signed = TODAY - timedelta(days=2)
    return Card(
        signed=signed, starts=signed, ends=signed + timedelta(days=30), reference=status.StatusRef(LIST, place)
    )  # fmt: skip


async def start(
    db: Db, folder: Path, nation: Nation, packs: list[Pack], seed: str = ""
) -> AsyncIterator[Dark]:  # fmt: skip
    clock = MovableClock(NOW)
    held: list[Dark] = []
    transport = httpx.MockTransport(lambda request: held[0].answer(request))  # noqa: PLW0108
    keeper = Keeper(folder, nation.pinned.encode().decode())
    async with (
        httpx.AsyncClient(transport=transport) as http,
        opened(db, clock, keeper=keeper, packs=http, seed=seed) as shop,
    ):
        held.append(Dark(shop, nation, packs, folder))
        yield held[0]


@pytest.fixture
async def dark(migrated: Callable[[str], Awaitable[Db]], tmp_path: Path) -> AsyncIterator[Dark]:
    db = await migrated("verifier")
    nation = small()
    async for made in start(db, tmp_path / "pack", nation, [await nation.made()]):
        await made.basement.refresh()
        await made.shop.verifier.shop(await made.shop.till())  # the trust list is seen once
        yield made
    await db.close()


# --- the network comes first ------------------------------------------------------------------------------------------


async def test_while_there_is_a_network_the_pack_says_nothing(dark: Dark) -> None:
    verdict = await dark.check()
    assert verdict == Verdict(Outcome.ACCEPTED, None, None, None, "sd_jwt")
    dark.shop.lists.standing = status.INVALID
    dark.shop.clock.advance(seconds=3)
    assert (await dark.check()).code == Code.REVOKED.value


async def test_a_list_that_lies_is_refused_and_not_replaced_by_the_pack(dark: Dark) -> None:
    dark.shop.lists.changes["uri"] = LIST + "-other"
    assert (await dark.check()).code == Code.STATUS_UNKNOWN.value


# --- and then the pack ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
async def test_with_all_dark_an_adult_is_served_and_the_age_is_shown(dark: Dark, kind: Format) -> None:
    dark.all_dark()
    dark.shop.clock.advance(hours=3)
    verdict = await dark.check(kind=kind)
    assert verdict.outcome is Outcome.ACCEPTED and verdict.offline is not None
    assert verdict.offline.tier is Tier.FULL
    assert 3 * 3600 <= verdict.offline.status < 3 * 3600 + 600 and verdict.offline.trust == verdict.offline.status


@pytest.mark.parametrize("kind", FORMATS)
async def test_a_card_that_was_revoked_before_the_dark_is_refused_in_it(dark: Dark, kind: Format) -> None:
    dark.all_dark()
    assert (await dark.check(young(3), kind)).code == Code.REVOKED.value


@pytest.mark.parametrize(
    ("days", "purpose", "said"),
    [
        (2, "alcohol_tobacco", "marked"), (2, "adult_contract", "marked"), (10, "alcohol_tobacco", "young"),
        (10, "adult_contract", "stale_pack"), (31, "alcohol_tobacco", "stale_pack"),
    ],
)  # fmt: skip
async def test_the_older_the_pack_the_less_it_is_good_for(dark: Dark, days: int, purpose: str, said: str) -> None:
    dark.all_dark()
    dark.shop.clock.advance(days=days)
    verdict = await dark.check(purpose=purpose)
    found = verdict.offline.tier.value if verdict.offline is not None else verdict.code
    assert found == said
    assert (verdict.outcome is Outcome.ACCEPTED) is (verdict.offline is not None)


async def test_only_the_issuer_is_dark(dark: Dark) -> None:
    dark.shop.lists.up = False
    verdict = await dark.check()
    assert verdict.outcome is Outcome.ACCEPTED and verdict.offline is not None


async def test_only_the_trust_list_is_dark(dark: Dark) -> None:
    """Status comes from the issuer, fresh; whom to believe from the pack."""
    dark.shop.trust.clear()
    dark.shop.clock.advance(hours=1)
    verdict = await dark.check()
    assert verdict.outcome is Outcome.ACCEPTED and verdict.offline is not None
    assert verdict.offline.status == 0 and verdict.offline.trust > 3600
    dark.shop.lists.standing = status.SUSPENDED
    dark.shop.clock.advance(seconds=3)
    assert (await dark.check()).code == Code.SUSPENDED.value


async def test_nobody_waits_for_a_network_that_swallows_everything(dark: Dark) -> None:
    """A captive network answers nothing and refuses nothing. The first customer waits a moment, the next do not; when a
    pack comes, the network is asked again at once."""
    dark.shop.lists.swallowed = 0
    known = await dark.basement.trust()
    assert known.relying_parties and not dark.basement.is_ours(known)  # the last one, still in date
    assert await dark.basement.trust() is known and dark.shop.lists.swallowed == 1
    dark.shop.clock.advance(days=40)
    assert dark.basement.is_ours(await dark.basement.trust())
    assert dark.shop.lists.swallowed == 2
    dark.shop.lists.swallowed = None
    await dark.basement.refresh()
    assert not dark.basement.is_ours(await dark.basement.trust())


async def test_a_lock_heard_of_after_the_pack_was_made_still_counts_in_the_dark(dark: Dark) -> None:
    """The pack is of five minutes before; the list this process last had from the issuer is newer."""
    dark.shop.lists.standing = status.SUSPENDED
    assert (await dark.check()).code == Code.SUSPENDED.value
    dark.all_dark()
    dark.shop.clock.advance(hours=5)
    assert (await dark.check()).code == Code.SUSPENDED.value


async def test_the_pack_is_there_again_after_a_restart_in_the_dark(dark: Dark) -> None:
    dark.all_dark()
    async for again in start(dark.shop.db, dark.folder, dark.nation, dark.packs, "again"):
        again.all_dark()
        assert again.basement.state() is not None
        verdict = await again.check()
        assert verdict.outcome is Outcome.ACCEPTED and verdict.offline is not None


async def test_with_no_pack_nothing_changes(migrated: Callable[[str], Awaitable[Db]], tmp_path: Path) -> None:
    db = await migrated("verifier")
    async for none in start(db, tmp_path, small(), []):
        none.up = none.shop.lists.up = False
        assert none.basement.state() is None and await none.basement.refresh() is None
        assert (await none.check()).code == Code.STATUS_UNKNOWN.value
        none.shop.trust.clear()
        with pytest.raises(Refused):
            await none.check()
    await db.close()


async def test_a_question_of_ones_own_has_no_limits_and_so_no_pack(dark: Dark) -> None:
    dark.shop.lists.up = False
    till = await dark.shop.till()
    query = '{"credentials":[{"id":"sd_jwt","format":"dc+sd-jwt","meta":{"vct_values":["urn:mapae:kr:resident-card:1"]},"claims":[{"path":["adult_by_year"]}]}]}'  # noqa: E501
    id = await dark.shop.verifier.open(till, "own_query", manner=Manner(query=query))
    await dark.shop.verifier.answer(id, await dark.shop.reply(id, young()))
    look = await dark.shop.verifier.look(till, id)
    assert isinstance(look, Ended) and look.verdict.code == Code.STATUS_UNKNOWN.value


async def test_a_device_whose_clock_died_does_not_make_a_card_young_again(dark: Dark) -> None:
    """The clock says 2001; what witnesses vouched for, and what was noted at each refresh, says otherwise."""
    dark.all_dark()
    dark.shop.clock.advance(days=3)
    await dark.basement.refresh()
    dark.shop.clock.set(NOW - timedelta(days=9000))
    assert dark.basement.now() == (NOW + timedelta(days=3)).replace(microsecond=0)


async def test_the_light_follows_the_age(dark: Dark) -> None:
    dark.all_dark()
    lights = []
    for hours in (0, 2, 48, 24 * 40):
        dark.shop.clock.set(NOW + timedelta(hours=hours))
        state = dark.basement.state()
        assert state is not None
        lights.append(state.light)
    assert lights == [Light.FRESH, Light.HOURS, Light.DAYS, Light.TOO_OLD]


async def test_the_pages_show_the_light_the_ages_and_what_is_doubtful(dark: Dark) -> None:
    dark.all_dark()
    verdict = await dark.check()
    assert verdict.offline is not None
    dark.up = True
    dark.nation.set("list-1", 7)
    await dark.publish(minutes=5)
    await dark.basement.refresh()
    dark.up = False
    till, token = await dark.shop.verifier.enrol((await dark.shop.verifier.invite("mart")).code)
    async with dark.shop.site() as site:
        site.cookies.set("mapae_till", token)
        page = (await site.get("/checker/")).text
        assert 'data-light="fresh"' in page and 'id="doubtful"' in page
        id = await dark.shop.verifier.open(till, "alcohol_tobacco")
        await dark.shop.verifier.answer(id, await dark.shop.reply(id, young(8)))
        page = (await site.get(f"/checker/checks/{id}")).text
        assert 'data-tier="full"' in page and 'data-outcome="accepted"' in page


# --- doubt ------------------------------------------------------------------------------------------------------------


async def test_a_card_revoked_later_makes_what_was_accepted_doubtful(dark: Dark) -> None:
    dark.all_dark()
    await dark.check(young(7))
    await dark.check(young(8))
    await dark.check(young(9), party="rental")
    assert await dark.basement.doubtful() == []
    dark.up = True
    dark.nation.set("list-1", 7)
    dark.nation.set("list-1", 9, status.SUSPENDED)
    await dark.publish(minutes=5)
    await dark.basement.refresh()
    assert [(one.purpose, one.doubt) for one in await dark.basement.doubtful("mart")] == [
        ("alcohol_tobacco", Doubt.REVOKED)
    ]
    assert [one.doubt for one in await dark.basement.doubtful("rental")] == [Doubt.LOCKED]
    assert len(await dark.basement.doubtful()) == 2


async def test_a_signer_revoked_later_makes_what_it_signed_doubtful(dark: Dark) -> None:
    dark.all_dark()
    await dark.check(young(7))
    await dark.check(young(8))
    dark.up = True
    dark.nation.later(minutes=1)
    dark.nation.revoke_key(dark.nation.issuer, hashlib.sha256(AUTHORITY.leaf).digest(), 3, dark.nation.seconds)
    await dark.publish(minutes=10)
    await dark.basement.refresh()
    assert [one.doubt for one in await dark.basement.doubtful()] == [Doubt.SIGNER] * 2


async def test_the_issuer_is_back_before_the_packs_are_and_that_is_enough(dark: Dark) -> None:
    """A list that came with another check says that the card accepted in the dark has been locked."""
    dark.all_dark()
    await dark.check(young(7))
    dark.shop.lists.up, dark.shop.lists.standing = True, status.SUSPENDED
    dark.shop.clock.advance(minutes=10)
    assert (await dark.check(young(9))).outcome is Outcome.ACCEPTED
    assert await dark.basement.refresh() is None
    assert [one.doubt for one in await dark.basement.doubtful()] == [Doubt.LOCKED]


async def test_a_check_under_way_while_a_pack_came_is_looked_at_with_the_next(dark: Dark) -> None:
    """It had begun with the pack before; what it kept was written after the tags were compared."""
    dark.all_dark()
    dark.up = True
    dark.nation.set("list-1", 7)
    await dark.publish(minutes=5)
    late = await dark.basement.to_keep("mart", "alcohol_tobacco", await examined(dark))
    await dark.basement.refresh()
    await dark.shop.db.write(lambda tx: doubt_store.add(tx, late))
    await dark.publish(minutes=5)
    await dark.basement.refresh()
    assert [one.doubt for one in await dark.basement.doubtful()] == [Doubt.REVOKED]


async def examined(dark: Dark) -> list[Examined]:
    """Of the card at place 7, as it stood before."""
    asked, shown = ask(), young()
    expected = Expected(Format.SD_JWT, frozenset({VCT}), ByRedirect(asked.client_id, asked.nonce, "", None))
    trusted = Known(open_pack(dark.packs[0], dark.nation.pinned)).trusted(BAR, NOW)
    return [examine(shown.show(Format.SD_JWT, asked).presentation, expected, trusted, STRICT, NOW)]


async def test_what_was_checked_online_or_answered_no_is_not_kept(dark: Dark) -> None:
    await dark.check()
    dark.all_dark()
    minor = young()
    assert (await dark.check(replace(minor, claims={**CLAIMS, "adult_by_year": False}))).outcome is Outcome.NO
    row = await dark.shop.db.one("SELECT count(*) AS n FROM offline_accepted")
    assert row is not None and row["n"] == 0


async def test_nothing_that_is_kept_says_who_it_was(dark: Dark) -> None:
    """Time, purpose, the issuer's certificate and a tag; the tag is found again only by who has the day's key."""
    dark.all_dark()
    await dark.check()
    [row] = await dark.shop.db.all("SELECT * FROM offline_accepted")
    kept = {name: row[name] for name in ("relying_party", "purpose", "at", "day", "doubt")}
    at = int(dark.basement.now().timestamp())
    assert kept == {"relying_party": "mart", "purpose": "alcohol_tobacco", "at": at, "day": at // DAY, "doubt": None}
    assert bytes(row["signer"]) == hashlib.sha256(AUTHORITY.leaf).digest()
    [key] = await dark.shop.db.all("SELECT * FROM offline_key")
    assert bytes(row["tag"]) not in {
        Tagger(guess, LIST).tag(7) for guess in (b"", bytes(32), bytes(key["secret"])[:64])
    }


async def test_key_and_rows_are_destroyed_after_the_window(dark: Dark) -> None:
    dark.all_dark()
    await dark.check()
    dark.shop.clock.advance(WINDOW)
    await dark.basement.refresh()
    assert await dark.shop.db.one("SELECT 1 AS there FROM offline_accepted") is not None
    dark.shop.clock.advance(days=1)
    await dark.basement.refresh()
    for table in ("offline_accepted", "offline_key"):
        assert await dark.shop.db.one(f"SELECT 1 AS there FROM {table}") is None


async def test_a_kill_before_the_pack_is_in_its_place_loses_no_doubt(dark: Dark) -> None:
    """The report is written first; done twice it says the same."""
    dark.all_dark()
    await dark.check()
    dark.up = True
    dark.nation.set("list-1", 7)
    await dark.publish(minutes=5)
    kept = (dark.folder / "pack").read_bytes()
    await dark.basement.refresh()
    (dark.folder / "pack").write_bytes(kept)  # as if the power had gone just before
    async for again in start(dark.shop.db, dark.folder, dark.nation, dark.packs, "again"):
        await again.basement.refresh()
        assert [one.doubt for one in await again.basement.doubtful()] == [Doubt.REVOKED]


async def test_two_processes_have_one_key_a_day(dark: Dark) -> None:
    shop = dark.shop
    first = await doubt_store.key_of_today(shop.db, shop.verifier._vault, shop.verifier._dice, NOW)
    assert first == await doubt_store.key_of_today(shop.db, shop.verifier._vault, shop.verifier._dice, NOW)
    other = await doubt_store.key_of_today(shop.db, shop.verifier._vault, shop.verifier._dice, NOW + timedelta(days=1))
    assert other != first


async def test_a_pack_is_asked_for_at_the_start_then_every_so_often_and_soon_after_a_failure(dark: Dark) -> None:
    assert await dark.basement.refresh_when_due(60, 3600) is None  # the fixture has just asked
    dark.shop.clock.advance(seconds=61)
    assert await dark.basement.refresh_when_due(60, 3600) is not None
    dark.up = False
    dark.shop.clock.advance(seconds=61)
    assert await dark.basement.refresh_when_due(60, 3600) is None
    dark.up = True
    dark.shop.clock.advance(seconds=1)
    assert await dark.basement.refresh_when_due(60, 3600) is not None


async def test_a_pack_without_anybodys_lists_is_asked_for_at_every_look(
    migrated: Callable[[str], Awaitable[Db]], tmp_path: Path
) -> None:
    db, nation = await migrated("verifier"), Nation()
    nation.put_list("list-1", 4096)
    async for young in start(db, tmp_path / "pack", nation, [await nation.made()]):
        assert await young.basement.refresh_when_due(60, 3600) is not None
        young.shop.clock.advance(seconds=5)
        assert await young.basement.refresh_when_due(60, 3600) is not None
        await young.publish(seconds=5)
        await young.basement.refresh_when_due(60, 3600)
        assert young.basement.opened is not None and len(young.basement.opened.statuses) == 1
        young.shop.clock.advance(seconds=5)
        assert await young.basement.refresh_when_due(60, 3600) is None
    await db.close()


async def test_a_refused_pack_is_said_aloud_and_the_old_one_stays(dark: Dark) -> None:
    good = dark.packs[-1]
    await dark.publish(minutes=5)
    newer = dark.packs[-1]
    await dark.basement.refresh()
    dark.packs[:] = [good]
    with pytest.raises(Refused):
        await dark.basement.refresh()
    reopened = Keeper(dark.folder, dark.nation.pinned.encode().decode()).reopen()
    assert reopened is not None and reopened.pack.id == newer.id
