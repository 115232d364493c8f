"""Whoever runs a verifier of his own is told that an access certificate ends, before it does."""

from __future__ import annotations

import structlog.testing

from mapae.clock import MovableClock
from mapae.verifier.asking.ending import WARN, Ending, ends
from unit.verifier.shop import ACCESS
from unit.verifier.world import NOW


async def test_a_certificate_that_ends_is_named_once_a_day_from_thirty_days_before() -> None:
    until, clock = ends(ACCESS)["mart"], MovableClock(NOW)
    ending = Ending({"mart": ACCESS["mart"]}, clock)
    said = []
    for moment in (until - WARN * 2, until - WARN, until - WARN, until - WARN / 2, until):
        clock.set(moment)
        with structlog.testing.capture_logs() as logs:
            await ending.look()
            await ending.look()
        said.append([(one["log_level"], one["party"], one["days"]) for one in logs])
    assert said == [
        [], [("warning", "mart", 30)], [], [("warning", "mart", 15)], [("warning", "mart", 0)]
    ] and "mapae rp renew" in logs[0]["event"]  # fmt: skip
