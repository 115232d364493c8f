"""Metrics say what an operator must know, and nothing of anybody."""

from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families

from mapae.metrics import exposition, metrics_site
from mapae.trust.log.entry import Log
from town import Town


def read(town: Town) -> dict[str, dict[tuple[str, ...], float]]:
    text = town.call(exposition, town.house).decode()
    return {
        family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
        for family in text_string_to_metric_families(text)
    }


def test_size_age_and_cosignatures_of_both_logs(town: Town) -> None:
    town.settle()
    said = read(town)
    assert said["mapae_ledger_size"][("registry",)] >= 4
    assert said["mapae_checkpoint_cosignatures"] == {("registry",): 3.0, ("anchors",): 3.0}
    assert 0 <= said["mapae_checkpoint_age_seconds"][("registry",)] < 60
    assert set(said["mapae_witness_cosigned_timestamp_seconds"]) == {
        (log, f"witness-{at}") for log in ("registry", "anchors") for at in (1, 2, 3)
    }
    assert said["mapae_ledger_forked"] == {("registry",): 0.0, ("anchors",): 0.0}
    town.clock.advance(hours=1)
    assert read(town)["mapae_checkpoint_age_seconds"][("registry",)] >= 3600
    town.settle()
    assert read(town)["mapae_checkpoint_age_seconds"][("registry",)] < 60


def test_an_alarm_is_a_number_one_can_be_woken_by(town: Town) -> None:
    town.house.checkpoints.alarms[Log.REGISTRY] = "the log shrank from 5 to 4 entries"
    assert read(town)["mapae_ledger_forked"] == {("registry",): 1.0, ("anchors",): 0.0}


def test_the_end_of_a_relying_partys_certificate_is_a_number_to_be_warned_by(town: Town) -> None:
    before = read(town)["mapae_access_certificate_seconds_left"]
    assert 0 < before[("reading_club",)] <= 365 * 86400
    town.clock.advance(days=10)
    assert read(town)["mapae_access_certificate_seconds_left"][("reading_club",)] == before[("reading_club",)] - 864000


def test_no_label_holds_anything_about_anybody(town: Town) -> None:
    text = town.call(exposition, town.house).decode()
    for label in re.findall(r'"([^"]*)"', text):
        assert re.fullmatch(r"[a-z_]+|witness-\d", label), label
    assert not any(named.resident.name in text for named in town.demo.people)


def test_there_is_one_door(town: Town) -> None:
    site = metrics_site(town.house)
    paths = {door.path for door in site.router.routes[0].routes}  # type: ignore[attr-defined]
    assert paths == {"/metrics", "/static/{name:path}"}
