"""The drill is what `mapae drill dark` runs: every line of it is a promise."""

from __future__ import annotations

from pathlib import Path

import pytest

import postgres
from mapae.catalog import parse_country
from mapae.config import country_tree
from mapae.drill import MOMENTS, PROMISED, Report, dark, promised
from mapae.drill_country import World


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


@pytest.mark.parametrize("country", ["kr", "demo"])
async def test_weeks_without_issuer_status_and_log_lose_nothing(tmp_path: Path, country: str) -> None:
    must_be_as_promised(await drilled(tmp_path, country))


@pytest.mark.postgres
async def test_the_same_on_postgresql(tmp_path: Path, cluster: postgres.Cluster) -> None:
    try:
        must_be_as_promised(await drilled(tmp_path, "kr", cluster.create("drill")))
    finally:
        cluster.drop("drill")
