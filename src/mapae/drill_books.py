"""What a country has written down: counted before a drill and after, so that nothing can be lost unseen.

Promises: reads only. Trusts: nobody: the log is replayed with its rules and followed from outside by a replica that has
seen it before. Keeps: that replica. Refuses: nothing; what does not hold is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from .audit import first_broken_link
from .drill_lines import Part
from .errors import Refused
from .trust.checkpoints import NAMES, log_origin, origin
from .trust.log.entry import Anchored, Entry, Log
from .trust.monitor import audit
from .trust.papers import KeptPapers
from .trust.replica import HttpSource, Replica

if TYPE_CHECKING:
    from .drill_country import Citizen, World

READING: Final = 120  # seconds a cosignature may be old before an outsider says that the log may hide its end


class Count(msgspec.Struct, frozen=True):
    """How much there is of everything that must not get less."""

    cards: int
    phones: int
    registry: int
    anchors: int
    signed: int  # statements behind the entries, and votes


class Books:
    """Of one country. `replica` is somebody outside who has followed the registry log from the start."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._replica: Replica | None = None

    async def count(self, citizens: Sequence[Citizen]) -> Count:
        world = self._world
        cards = phones = 0
        for citizen in citizens:
            cards += len(await world.issuer.issuer.holdings(citizen.person))
            phones += citizen.wallet.device_id is not None
        heads = {log: (await world.log.ledger.head(log)).size for log in Log}
        signed = {entry.statement for entry in await self._entries(Log.ANCHORS, heads[Log.ANCHORS])}
        signed |= {entry.statement for entry in await self._entries(Log.REGISTRY, heads[Log.REGISTRY])}
        return Count(cards, phones, heads[Log.REGISTRY], heads[Log.ANCHORS], len(signed))

    async def queues(self) -> dict[str, int]:
        """By role and kind of promise, and the epochs that the log has not got."""
        found = {}
        for house in self._world.houses:
            for role, outbox in house.outboxes.items():
                for kind, count in (await outbox.queue()).items():
                    found[f"{role}: {kind}"] = count
        epochs = await self._world.issuer.epochs.behind()
        return found | ({"issuer: epochs to be anchored": epochs} if epochs else {})

    async def broken(self) -> list[str]:
        """Every audit chain that is not whole."""
        found = []
        for house in self._world.houses:
            for name, db in house.foundation.databases.items():
                if "witness" not in name and await first_broken_link(db) is not None:
                    found.append(name)
        return found

    async def wrong(self) -> list[str]:
        """What a monitor finds who replays both logs and looks at every paper."""
        ledger, settings = self._world.log.ledger, self._world.settings
        logs = [await ledger.entries(log, 0, (await ledger.head(log)).size) for log in Log]
        papers = KeptPapers(self._world.log.foundation.databases["trust"])
        return (await audit(logs[0], logs[1], papers, origin(settings.base_url))).wrong

    async def gaps(self) -> list[str]:
        """Numbers that are missing or there twice: of entries, and of every stream's anchors."""
        ledger, found = self._world.log.ledger, []
        streams: dict[bytes, list[int]] = {}
        for log in Log:
            for at, entry in enumerate(await self._entries(log, (await ledger.head(log)).size)):
                if entry.index != at:
                    found.append(f"{NAMES[log]} {at}")
                if isinstance(entry.payload, Anchored):
                    streams.setdefault(entry.subject + entry.payload.stream, []).append(entry.payload.seq)
        found += [f"stream {name.hex()[:8]}" for name, seqs in streams.items() if seqs != list(range(1, len(seqs) + 1))]
        return found

    async def vouched_at(self) -> int:
        """When a quorum of witnesses last stood behind the registry log, as the log itself has it."""
        said = await self._world.log.checkpoints.published(Log.REGISTRY)
        if said is None or said.note is None:
            return 0
        from .trust.log.note import Note

        return (await self._world.log.checkpoints.policy()).met(Note.parse(said.note.encode())).age_from

    async def follow(self) -> str:
        """What somebody outside, who followed the log before, finds now: how many entries are new, or what is wrong."""
        world = self._world
        async with world.http(Part.PEOPLE) as http:
            source = HttpSource(http, f"{world.settings.base_url}/trust")
            if self._replica is None:
                policy = await world.log.checkpoints.policy()
                self._replica = Replica(policy, log_origin(world.settings.base_url, Log.REGISTRY), max_age=READING)
            try:
                new = await self._replica.follow(source, int(world.clock.now().timestamp()))
            except Refused as refused:
                return refused.code.value
        return f"{new} new"

    async def _entries(self, log: Log, size: int) -> list[Entry]:
        return [Entry.parse(raw) for raw in await self._world.log.ledger.entries(log, 0, size)]
