"""Each write of the verifier failed, and failed but kept: nothing half answered, and never a name left over."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from cutting import Cut, Over
from mapae.audit import first_broken_link
from mapae.db import Body, Db, T
from mapae.errors import Code, Refused
from mapae.verifier.asking.ask import Manner
from mapae.verifier.asking.questions import RETURN, asker_of
from mapae.verifier.asking.store import Outcome, Till
from mapae.verifier.till.kiosk import Ended, Waiting
from unit.verifier.shop import Shop
from unit.verifier.world import CLAIMS, NOW


class Faulty(Over):
    """A database whose next write fails, before or after it is kept."""

    def __init__(self, real: Db) -> None:
        super().__init__(real)
        self.fail: str | None = None

    async def write(self, body: Body[T]) -> T:
        fail, self.fail = self.fail, None
        if fail == "before":
            raise Cut
        result = await self.real.write(body)
        if fail == "after":
            raise Cut
        return result


@pytest.fixture
def faulty(shop: Shop) -> Faulty:
    """The shop, on a database that will fail when told to."""
    db = Faulty(shop.db)
    shop.verifier._db = shop.verifier.questions._db = db
    return db


async def test_an_answer_whose_verdict_was_not_written_can_be_sent_again(shop: Shop, faulty: Faulty) -> None:
    till = await shop.till()
    id = await shop.verifier.open(till, "alcohol_tobacco")
    reply = await shop.reply(id)
    faulty.fail = "before"
    with pytest.raises(Cut):
        await shop.verifier.answer(id, reply)
    assert isinstance(await shop.verifier.look(till, id), Waiting)
    await shop.verifier.answer(id, reply)
    look = await shop.verifier.look(till, id)
    assert isinstance(look, Ended) and look.verdict.outcome is Outcome.ACCEPTED
    assert await first_broken_link(shop.db) is None


async def test_an_answer_whose_verdict_was_written_but_not_confirmed_stands_once(shop: Shop, faulty: Faulty) -> None:
    till = await shop.till()
    id = await shop.verifier.open(till, "name_birth_date")
    reply = await shop.reply(id)
    faulty.fail = "after"
    with pytest.raises(Cut):
        await shop.verifier.answer(id, reply)
    look = await shop.verifier.look(till, id)
    assert isinstance(look, Ended) and look.verdict.outcome is Outcome.ACCEPTED
    with pytest.raises(Refused) as refused:
        await shop.verifier.answer(id, reply)
    assert refused.value.code is Code.SESSION_SPENT
    row = await shop.db.one("SELECT secret FROM check_session WHERE id = $1", id)
    assert row is not None and row["secret"] is None


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_enrolment_that_failed_leaves_no_second_till(shop: Shop, faulty: Faulty, when: str) -> None:
    """Kept but not confirmed, the code is spent and the browser asks for another: a till nobody holds the token of."""
    code = (await shop.verifier.invite("mart")).code
    faulty.fail = when
    with pytest.raises(Cut):
        await shop.verifier.enrol(code)
    if when == "before":
        await shop.verifier.enrol(code)
    else:
        with pytest.raises(Refused):
            await shop.verifier.enrol(code)
    assert len(await shop.db.all("SELECT id FROM till")) == 1


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_question_that_failed_to_open_can_be_opened_again(shop: Shop, faulty: Faulty, when: str) -> None:
    till = await shop.till()
    faulty.fail = when
    with pytest.raises(Cut):
        await shop.verifier.open(till, "alcohol_tobacco")
    id = await shop.verifier.open(till, "alcohol_tobacco")
    rows = await shop.db.all("SELECT id FROM check_session WHERE state = 'open'")
    assert [row["id"] for row in rows] == [id]


async def test_values_whose_erasing_failed_are_erased_by_the_next_look(shop: Shop, faulty: Faulty) -> None:
    till = await shop.till()
    id = await shop.verifier.open(till, "name_birth_date")
    await shop.verifier.answer(id, await shop.reply(id))
    assert isinstance(await shop.verifier.look(till, id), Ended)
    faulty.fail = "before"
    with pytest.raises(Cut):
        await shop.verifier.done(till, id)
    shop.clock.advance(seconds=20)
    faulty.fail = "before"
    with pytest.raises(Cut):
        await shop.verifier.sweep()
    look = await shop.verifier.look(till, id)
    assert isinstance(look, Ended) and not look.shown
    row = await shop.db.one("SELECT shown FROM check_session WHERE id = $1", id)
    assert row is not None and row["shown"] is None


async def test_values_are_not_handed_out_when_their_erasure_cannot_be_set(shop: Shop, faulty: Faulty) -> None:
    """First write down until when, then show."""
    till = await shop.till()
    id = await shop.verifier.open(till, "name_birth_date")
    await shop.verifier.answer(id, await shop.reply(id))
    faulty.fail = "before"
    with pytest.raises(Cut):
        await shop.verifier.look(till, id)
    look = await shop.verifier.look(till, id)
    assert isinstance(look, Ended)
    assert {value for _, _, value in look.shown} == {CLAIMS["name"], CLAIMS["birth_date"]}


# --- the way back on the same device ----------------------------------------------------------------------------------

VISITOR = Till(asker_of("a visitor"), "mart", NOW + timedelta(days=1))


async def held(shop: Shop) -> tuple[str, dict[str, str]]:
    id = await shop.verifier.open(VISITOR, "name_birth_date", manner=Manner(same_device=True))
    return id, await shop.reply(id)


def code_of(back: str | None) -> str:
    assert back is not None
    return back.rsplit("=", 1)[1]


async def state(shop: Shop, id: str) -> tuple[str, str | None, bool]:
    row = await shop.db.one("SELECT state, outcome, shown FROM check_session WHERE id = $1", id)
    assert row is not None
    return row["state"], row["outcome"], row["shown"] is not None


async def test_an_answer_that_could_not_be_held_can_be_sent_again(shop: Shop, faulty: Faulty) -> None:
    id, reply = await held(shop)
    faulty.fail = "before"
    with pytest.raises(Cut):
        await shop.verifier.answer(id, reply)
    assert await state(shop, id) == ("open", None, False)
    code = code_of(await shop.verifier.answer(id, reply))
    await shop.verifier.questions.come_back(VISITOR.id, id, code)
    assert await state(shop, id) == ("ended", "accepted", True)
    assert await first_broken_link(shop.db) is None


async def test_an_answer_held_but_not_confirmed_is_lost_with_its_code(shop: Shop, faulty: Faulty) -> None:
    """Nobody has the code: the wallet hears that the question was answered, and the verdict never counts."""
    id, reply = await held(shop)
    faulty.fail = "after"
    with pytest.raises(Cut):
        await shop.verifier.answer(id, reply)
    with pytest.raises(Refused) as refused:
        await shop.verifier.answer(id, reply)
    assert refused.value.code is Code.SESSION_SPENT
    shop.clock.advance(RETURN)
    await shop.verifier.sweep()
    assert await state(shop, id) == ("ended", "refused", False)
    assert await first_broken_link(shop.db) is None


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_browser_whose_return_failed_comes_again(shop: Shop, faulty: Faulty, when: str) -> None:
    id, reply = await held(shop)
    code = code_of(await shop.verifier.answer(id, reply))
    faulty.fail = when
    with pytest.raises(Cut):
        await shop.verifier.questions.come_back(VISITOR.id, id, code)
    await shop.verifier.questions.come_back(VISITOR.id, id, code)
    assert await state(shop, id) == ("ended", "accepted", True)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_stranger_whose_turning_away_failed_still_gets_nothing(shop: Shop, faulty: Faulty, when: str) -> None:
    id, reply = await held(shop)
    code = code_of(await shop.verifier.answer(id, reply))
    faulty.fail = when
    with pytest.raises(Cut):  # the first write is the try to come back, which finds another visitor
        await shop.verifier.questions.come_back(asker_of("a stranger"), id, code)
    with pytest.raises(Refused):
        await shop.verifier.questions.come_back(asker_of("a stranger"), id, code)
    assert await state(shop, id) == ("ended", "refused", False)


async def test_of_the_right_and_the_wrong_browser_at_once_one_decides(shop: Shop) -> None:
    for _ in range(4):
        id, reply = await held(shop)
        code = code_of(await shop.verifier.answer(id, reply))
        results = await asyncio.gather(
            *(shop.verifier.questions.come_back(asker_of(who), id, code) for who in ("a stranger", "a visitor")),
            return_exceptions=True,
        )  # fmt: skip
        assert isinstance(results[0], Refused)
        ended, outcome, shown = await state(shop, id)
        assert (ended, shown) == ("ended", outcome == "accepted")
    assert await first_broken_link(shop.db) is None
