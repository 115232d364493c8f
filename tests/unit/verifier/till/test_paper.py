"""A temporary certificate at a checker with a network, without one, and with one that lies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.formats import status
from mapae.formats.paper import Paper, complete, to_be_signed
from mapae.verifier.checking.offline import Tier
from mapae.verifier.till.paper import Checked, PaperDesk
from packed import small
from unit.verifier.asking.test_dark import Dark, start
from unit.verifier.world import AUTHORITY, LIST, NOW, STRANGER, TODAY, VCT, Authority

# Nothing here is about the database.
pytestmark = pytest.mark.parametrize("migrated", ["sqlite"], indirect=True)


def code(place: int = 7, authority: Authority = AUTHORITY, **changed: Any) -> str:
    values: dict[str, Any] = {
        "stands_for": VCT, "number": "T-2026-00000001", "name": "홍지수", "birth_date": date(2001, 3, 9),
        "number_masked": "010309-4******", "issued": int(TODAY.timestamp()),
        "until": int((TODAY + timedelta(days=31)).timestamp()), "status": status.StatusRef(LIST, place), **changed,
    }  # fmt: skip
    paper = Paper(**values)
    return complete(paper, authority.signer.sign(to_be_signed(paper)), authority.leaf).encode()


@pytest.fixture
async def dark(migrated: Callable[[str], Awaitable[Db]], tmp_path: Path) -> AsyncIterator[Dark]:
    nation = small()
    async for one in start(await migrated("verifier"), tmp_path / "pack", nation, [await nation.made()]):
        yield one


async def check(dark: Dark, text: str) -> Checked:
    return await PaperDesk(dark.shop.verifier.questions).check(text)


async def refusal(dark: Dark, text: str) -> tuple[str | None, Code]:
    with pytest.raises(Refused) as refused:
        await check(dark, text)
    return refused.value.step, refused.value.code


async def test_with_a_network_the_issuers_own_list_decides(dark: Dark) -> None:
    found = await check(dark, f"  {code()}\n")
    assert found.paper.name == "홍지수" and found.offline is None
    dark.shop.lists.standing = status.INVALID
    dark.shop.clock.advance(seconds=6)
    assert await refusal(dark, code()) == ("standing", Code.REVOKED)


async def test_without_a_network_the_pack_speaks_for_a_day(dark: Dark) -> None:
    """A name on a screen is for a high risk: the pack counts in full or not at all."""
    await dark.basement.refresh()
    dark.all_dark()
    found = await check(dark, code())
    assert found.offline is not None and found.offline.tier is Tier.FULL
    assert await refusal(dark, code(3)) == ("standing", Code.REVOKED)
    dark.shop.clock.advance(hours=25)
    assert (await refusal(dark, code()))[1] is Code.STALE_PACK


async def test_without_a_network_and_without_a_pack_nothing_counts(dark: Dark) -> None:
    dark.all_dark()
    assert (await refusal(dark, code()))[1] in (Code.UNAVAILABLE, Code.STATUS_UNKNOWN)


async def test_a_list_that_lies_is_not_replaced_by_the_packs(dark: Dark) -> None:
    await dark.basement.refresh()
    dark.shop.lists.changes["signer"] = STRANGER.status_signer
    assert await refusal(dark, code()) == ("standing", Code.STATUS_UNKNOWN)


@pytest.mark.parametrize(
    ("spoiled", "step", "refused"),
    [
        ({"authority": STRANGER}, "issuer", Code.UNTRUSTED_ISSUER),
        ({"stands_for": "urn:another"}, "issuer", Code.UNTRUSTED_ISSUER),
        ({"until": int(NOW.timestamp())}, "dates", Code.EXPIRED),
        ({"issued": int(NOW.timestamp()) + 3600}, "dates", Code.NOT_YET_VALID),
        ({"issued": int(TODAY.timestamp()) - 40 * 86400}, "dates", Code.BAD_CERTIFICATE),
        ({"status": status.StatusRef("https://elsewhere.test/1", 7)}, "standing", Code.STATUS_UNKNOWN),
        ({"status": status.StatusRef(LIST, 10**6)}, "standing", Code.STATUS_UNKNOWN),
    ],
    ids=["stranger", "type", "over", "early", "before-signer", "other-list", "no-place"],
)
async def test_each_step_refuses_what_it_is_for(
    dark: Dark, spoiled: dict[str, Any], step: str, refused: Code
) -> None:  # fmt: skip
    assert await refusal(dark, code(**spoiled)) == (step, refused)
