"""Numbers for an operator's monitoring, in Prometheus' text format, on this machine only.

Promises: a scrape reads what is there and changes nothing; no name, number or claim of anybody is among the labels.
Trusts: whoever can reach the loopback address. Keeps: nothing. Refuses: any other address to listen on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from .errors import Refused
from .house import House
from .trust.checkpoints import NAMES
from .ui.http import Answer, Caller, door
from .ui.site import application
from .verifier.asking.ending import ends


def metrics_site(house: House) -> Starlette:
    """One door: GET /metrics."""

    async def metrics(request: Request) -> Response:
        return Response(await exposition(house), media_type=CONTENT_TYPE_LATEST)

    return application(
        [door("GET", "/metrics", metrics, caller=Caller.ANYONE, answer=Answer.JSON)], clock=house.clock, rates=False
    )


async def exposition(house: House) -> bytes:
    families = [*await _outboxes(house), *_witnesses(house)]
    if "verifier" in house.roles:
        families.append(_access(house))
    if "trust" in house.roles:
        families += await _log(house)
    registry = CollectorRegistry()
    registry.register(_Collected(families))
    return generate_latest(registry)


class _Collected:
    """What was read just now, as the library wants it handed over."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


async def _outboxes(house: House) -> list[Metric]:
    waiting = GaugeMetricFamily("mapae_outbox_waiting", "Promised work that is not done yet", labels=["role"])
    for name, outbox in house.outboxes.items():
        waiting.add_metric([name], await outbox.waiting())
    return [waiting]


def _witnesses(house: House) -> list[Metric]:
    refusals = CounterMetricFamily(
        "mapae_witness_refusals", "Checkpoints the witnesses of this process did not cosign", labels=["witness", "code"]
    )
    for name, witness in house.witnesses.items():
        for code, count in witness.refusals.items():
            refusals.add_metric([name, code], count)
    return [refusals]


def _access(house: House) -> Metric:
    left = GaugeMetricFamily(
        "mapae_access_certificate_seconds_left", "Until a relying party may be asked for no longer",
        labels=["relying_party"],
    )  # fmt: skip
    for party, until in ends(house.access).items():
        left.add_metric([party], (until - house.clock.now()).total_seconds())
    return left


async def _log(house: House) -> list[Metric]:
    """Size, age, cosignatures; `mapae_ledger_forked` is the one to be woken by."""
    size = GaugeMetricFamily("mapae_ledger_size", "Entries of the log", labels=["log"])
    forked = GaugeMetricFamily("mapae_ledger_forked", "1: the log does not extend what was signed", labels=["log"])
    age = GaugeMetricFamily("mapae_checkpoint_age_seconds", "Since a quorum last vouched for the log", labels=["log"])
    cosigned = GaugeMetricFamily("mapae_checkpoint_cosignatures", "On the published checkpoint", labels=["log"])
    seen = GaugeMetricFamily(
        "mapae_witness_cosigned_timestamp_seconds", "When each witness last cosigned", labels=["log", "witness"]
    )
    trouble = GaugeMetricFamily("mapae_witness_in_trouble", "1: it did not cosign when last asked", labels=["witness"])
    now, checkpoints = house.clock.now().timestamp(), house.checkpoints
    for log, name in NAMES.items():
        forked.add_metric([name], float(log in checkpoints.alarms))
        with contextlib.suppress(Refused):  # an engine that is away has no size; the other numbers still stand
            size.add_metric([name], (await house.ledger.head(log)).size)
        standing = await checkpoints.cosigned(log)
        if standing is not None:
            age.add_metric([name], now - standing.age_from)
            cosigned.add_metric([name], len(standing.times))
            for witness, at in standing.times.items():
                seen.add_metric([name, witness], at)
    for asked in checkpoints.witnesses.values():
        trouble.add_metric([asked.name], float(bool(asked.trouble)))
    return [size, forked, age, cosigned, seen, trouble]
