"""The power goes at every write between a lock and its epoch in the log. Lists, epochs and log stay whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from epoch_world import PERIOD, PREFIX, Country
from faults.test_issue_power_cuts import Flaky, PowerCut
from issuing import must_be_whole
from mapae.db import Db
from mapae.issuer import epoch_store as store
from mapae.issuer.status import LIFE
from mapae.outbox import Outbox
from mapae.trust.epoch import Delta, Epoch, applied, root

Step = Callable[[], Coroutine[Any, Any, Any]]
WRITES = 16


@pytest.fixture
async def house(migrated: Callable[[str], Awaitable[Db]]) -> Db:
    return await migrated("issuer")


async def epochs_must_be_whole(country: Country, db: Db) -> None:
    """Numbers without gaps, roots that fit, and a newest epoch from which the lists of today can be made."""
    rows = await db.all("SELECT seq FROM status_epoch ORDER BY seq")
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    for row in rows:
        epoch = await store.epoch(db, row["seq"])
        assert epoch is not None
        cuts = sorted(await store.lists_at(db, epoch.seq), key=lambda cut: cut.list_id)
        assert epoch.root == root([cut.record for cut in cuts]) and epoch.leaves == len(cuts)
        assert Epoch.parse((await country.process().whole(epoch.seq)).body).root == epoch.root
    for row in await db.all("SELECT id, version, cut FROM status_list"):
        cut = await store.current(db, row["id"])
        assert (row["cut"] if cut is not None else -1) == (cut.version if cut is not None else -1) <= row["version"]
    taken = [anchor.seq for anchor in country.log.taken]
    assert taken == list(range(1, len(taken) + 1))
    await must_be_whole(country.hall, db)


class Restarted:
    """A country whose every process is new after each cut of the power."""

    def __init__(self, db: Flaky) -> None:
        self.country = Country(db)
        self.db = db

    def start(self) -> None:
        self.country.hall.opened(self.db)
        self.country.epochs = self.country.process()
        self.country.outbox = Outbox(self.db, self.country.hall.clock, self.country.epochs.promises())

    def steps(self) -> list[Step]:
        """A lock reaches the log; the log is away until an epoch's time is over; the next one follows."""
        country, hall = self.country, self.country.hall

        async def away(is_away: bool) -> None:
            country.log.away = is_away

        async def wait() -> None:
            hall.clock.advance(LIFE + PERIOD)

        def cut() -> Coroutine[Any, Any, Any]:
            return country.epochs.cut_when_due()

        def run() -> Coroutine[Any, Any, Any]:
            return country.outbox.run_once()

        return [
            cut, run, lambda: hall.issuer.lock("jisoo", "lost", "citizen"), lambda: away(True), wait, cut, run,
            lambda: hall.issuer.release("jisoo", "officer-1", hall.evidence()), wait, cut, lambda: away(False), run,
        ]  # fmt: skip


@pytest.mark.parametrize("kept", [False, True], ids=["lost", "kept"])
@pytest.mark.parametrize("nth", range(1, WRITES + 1))
async def test_each_write_on_the_way_to_the_log_fails_once(house: Db, nth: int, kept: bool) -> None:
    """It failed, or it failed but was kept: whoever starts next goes on, and the log gets every epoch once."""
    flaky = Flaky(house)
    story = Restarted(flaky)
    await story.country.hall.carded()
    flaky.fail_at, flaky.kept = flaky.writes + nth, kept
    cuts = 0
    for step in story.steps():
        try:
            await step()
        except PowerCut:
            cuts += 1
            story.start()
            await epochs_must_be_whole(story.country, house)
            await step()
    assert cuts == 1, "the story has fewer writes than this test thinks"
    story.country.hall.clock.advance(PERIOD)
    await story.country.outbox.run_once()
    await epochs_must_be_whole(story.country, house)
    last = await store.newest(house)
    assert last is not None and len(story.country.log.taken) == last.seq >= 3
    first = Epoch.parse((await story.country.epochs.whole(1)).body)
    step_on = Delta.parse((await story.country.epochs.since(last.seq, 1)).body)
    assert applied(first, step_on).root == story.country.log.taken[-1].root


async def test_a_lock_whose_process_dies_before_it_publishes_is_published_by_the_next(house: Db) -> None:
    """Nothing has to be told to anybody: the lock is in the lists' versions."""
    flaky = Flaky(house)
    story = Restarted(flaky)
    await story.country.hall.carded()
    await story.country.epochs.cut()
    flaky.fail_at, flaky.kept = flaky.writes + 1, True
    with pytest.raises(PowerCut):
        await story.country.hall.issuer.lock("jisoo", "lost", "citizen")
    story.start()
    await must_be_whole(story.country.hall, house)
    row = await house.one("SELECT status, list_id FROM ticket")
    assert row is not None and row["status"] == 2
    await story.country.epochs.cut()
    epoch = Epoch.parse((await story.country.epochs.newest()).body)
    assert epoch.find(PREFIX + row["list_id"]) is not None and await story.country.statuses(epoch) == {2}
