"""Each write of the desk fails once, and fails once although it was kept. The officer tries again, and nothing is
doubled or lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any

import pytest

from mapae.audit import first_broken_link
from mapae.db import Body, Db, T
from mapae.errors import Code, Refused
from mapae.issuer.desk_store import State, Task
from mapae.issuer.desk_values import Reason
from mapae.issuer.evidence import Why
from unit.issuer.desk_world import DeskWorld

WRITES = 9  # of the story below: search, look, case, look at the case, card, officers, application, QR, issued


class PowerCut(Exception):
    """The answer of a write never arrived."""


class Unsure(Db):
    """A database whose n-th write is lost, or is kept and its answer lost."""

    def __init__(self, db: Db, at: int, kept: bool) -> None:
        self.engine = db.engine
        self._db, self._at, self._kept, self.writes = db, at, kept, 0

    async def write(self, body: Body[T]) -> T:
        self.writes += 1
        if self.writes != self._at:
            return await self._db.write(body)
        if self._kept:
            await self._db.write(body)
        raise PowerCut

    async def all(self, sql: str, *args: Any) -> Any:
        return await self._db.all(sql, *args)

    async def one(self, sql: str, *args: Any) -> Any:
        return await self._db.one(sql, *args)

    async def close(self) -> None:
        await self._db.close()


async def insist(deed: Callable[[], Awaitable[Any]], done: Callable[[], Awaitable[bool]] | None = None) -> Any:
    """Once more after a power cut. A deed that was kept may say so by CONFLICT; then the page shows it as done."""
    try:
        return await deed()
    except PowerCut:
        try:
            return await deed()
        except Refused as refused:
            assert refused.code is Code.CONFLICT
            assert done is not None
            assert await done()
            return None


@pytest.mark.parametrize("kept", [False, True], ids=["lost", "kept"])
@pytest.mark.parametrize("at", range(1, WRITES + 1))
async def test_a_lost_answer_at_any_write_is_mended_by_trying_again(desk_world: DeskWorld, at: int, kept: bool) -> None:
    desk, kim, issuer = desk_world.desk, desk_world.kim, desk_world.issuer
    unsure = Unsure(desk_world.db, at, kept)
    desk._db = unsure

    async def filed() -> bool:
        return (await desk.live(kim, case_id)).case.state is State.FILED

    found = await insist(lambda: desk.find(kim, Reason.APPLICATION, "한지수", date(2001, 3, 9)))
    look = found.people[0].look
    await insist(lambda: desk.person(kim, look))
    case_id = await insist(lambda: desk.open_case(kim, look, Task.ISSUE, "resident_card"))
    await insist(lambda: desk.case(kim, case_id))
    await insist(lambda: desk.record_card(kim, case_id, number=True, photo=True, undamaged=True))
    await insist(lambda: desk.two_officers(kim, case_id, desk_world.lee, Why.EYES))
    await insist(lambda: desk.file(kim, case_id), filed)
    await insist(lambda: desk.open_offer(kim, case_id))
    assert (await desk.live(kim, case_id)).screen is not None
    issuer.happen(case_id, "issued")
    view = await insist(lambda: desk.case(kim, case_id))
    assert unsure.writes >= WRITES
    assert view.case.state is State.ISSUED
    done = [step.what for step in view.steps]
    assert [done.count(what) for what in ("opened", "filed", "issued")] == [1, 1, 1]
    assert desk_world.issuer.needs[case_id] == ()
    [counted] = await desk.counts()  # a case counts once, however often the officers said it
    assert counted.cases == {"second_officer.eyes": 1}
    assert len(await desk_world.db.all("SELECT case_id FROM desk_case")) == 1
    assert await first_broken_link(desk_world.db) is None
