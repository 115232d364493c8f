"""The drill is what `mapae drill dark` runs: every line of it is a promise."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import postgres
from mapae.catalog import parse_country
from mapae.config import country_tree
from mapae.drill import MOMENTS, PROMISED, Report, dark, promised
from mapae.drill_country import World

ROOT = Path(__file__).resolve().parents[2]


async def drilled(folder: Path, country: str, database: str = "") -> Report:
    world = await World.make(str(folder / "var"), country, database)
    try:
        return await dark(world)
    finally:
        await world.close()


def must_be_as_promised(report: Report) -> None:
    bad = [f"{one.when} {one.who}: {one.what}" for one in report.findings if not one.good]
    assert not bad, "\n".join(bad)
    days = parse_country(country_tree(report.country)).issuance.copy_days
    assert report.verdicts == {kind: {at: promised(kind, at, days) for at in MOMENTS} for kind in PROMISED}
    assert report.queues, "weeks in the dark and nothing waited"
    assert {one.when for one in report.findings} == {"before", "dark", *MOMENTS, "restored", "counted"}


async def test_weeks_without_issuer_status_and_log_lose_nothing(tmp_path: Path) -> None:
    """And docs/operate.md shows what the drill says, but for the numbers."""
    report = await drilled(tmp_path, "kr")
    must_be_as_promised(report)
    shown = re.findall(r"^ok  .*$", (ROOT / "docs" / "operate.md").read_text(encoding="utf-8"), re.MULTILINE)
    told = [f"ok  {one.when:9} {one.who:16} {one.what}" for one in report.findings]
    assert [re.sub(r"\d+", "#", line) for line in told] == [re.sub(r"\d+", "#", line) for line in shown]


async def test_another_country_is_drilled_as_well(tmp_path: Path) -> None:
    """Its copies live two weeks: then a phone in the dark has nothing to show."""
    report = await drilled(tmp_path, "demo")
    must_be_as_promised(report)
    assert report.verdicts["yes or no"]["+20 d"] == "no answer"


@pytest.mark.postgres
async def test_the_same_on_postgresql(tmp_path: Path, cluster: postgres.Cluster) -> None:
    try:
        must_be_as_promised(await drilled(tmp_path, "kr", cluster.create("drill")))
    finally:
        cluster.drop("drill")
