"""The demo country's own log, after a day in its life: everything in it was asked for, and a stranger can follow it."""

from __future__ import annotations

from mapae.trust.checkpoints import log_origin, origin
from mapae.trust.log.entry import Log
from mapae.trust.log.policy import Policy
from mapae.trust.monitor import Findings, audit
from mapae.trust.replica import HttpSource, Replica
from town import BASE, Town


def test_a_stranger_follows_both_logs_and_finds_nothing_that_was_not_asked_for(town: Town) -> None:
    jisoo = town.citizen()
    jisoo.obtain()
    town.clock.advance(minutes=10)
    town.call(town.house.turn)
    jisoo.report_phone_lost()
    town.clock.advance(minutes=10)
    town.call(town.house.turn)

    async def look() -> tuple[Findings, dict[Log, Replica]]:
        source = HttpSource(town.house.foundation.http, f"{BASE}/trust")
        policy = Policy.parse(await source.get("policy", 65536))
        replicas = {log: Replica(policy, log_origin(BASE, log), log, max_age=60) for log in Log}
        for replica in replicas.values():
            await replica.follow(source, int(town.clock.now().timestamp()))
        logs = [replicas[log].entries for log in Log]
        return await audit(logs[0], logs[1], source, origin(BASE)), replicas

    found, replicas = town.call(look)
    assert found.wrong == []
    assert found.entries == sum(replica.size for replica in replicas.values()) > 10
    state = replicas[Log.REGISTRY].state
    assert len(state.parties) >= 3 and len(state.keys) >= 4 and state.schemas
    assert replicas[Log.ANCHORS].state.readers and replicas[Log.ANCHORS].state.anchors
    assert state.head(Log.REGISTRY) == town.call(town.house.ledger.head, Log.REGISTRY)
