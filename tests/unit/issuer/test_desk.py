"""The desk's use cases: own office only, evidence first, one open case, one QR."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

import pytest

from mapae.audit import events_about
from mapae.errors import Code, Refused
from mapae.issuer.desk_store import State, Task
from mapae.issuer.desk_values import Reason
from unit.issuer.desk_world import DeskWorld, person

YES = {"number": True, "photo": True, "undamaged": True}


async def refusal(call: Any) -> Code:
    with pytest.raises(Refused) as refused:
        await call
    return refused.value.code


async def test_a_card_is_issued_at_the_counter(desk_world: DeskWorld) -> None:
    """Find, check card and face, file, open the QR, and the case closes when the card is on the phone."""
    desk, kim = desk_world.desk, desk_world.kim
    case_id = await desk_world.checked_case(kim)
    await desk.file(kim, case_id)
    await desk.open_offer(kim, case_id)
    live = await desk.live(kim, case_id)
    assert live.screen is not None
    assert live.screen.left == 180
    desk_world.issuer.happen(case_id, "scanned")
    desk_world.issuer.happen(case_id, "issued")
    assert (await desk.live(kim, case_id)).case.state is State.ISSUED
    [order] = desk_world.issuer.orders
    assert (order.person, order.kind, order.officer) == ("p-jisoo", "resident_card", kim.id)
    view = await desk.case(kim, case_id)
    assert [step.what for step in view.steps] == [
        "opened", "card_checked", "face_compared", "second_officer", "filed", "offered", "issued",
    ]  # fmt: skip
    assert await refusal(desk.open_offer(kim, case_id)) == Code.CASE_CLOSED


async def test_every_look_is_recorded_with_its_reason(desk_world: DeskWorld) -> None:
    desk, kim = desk_world.desk, desk_world.kim
    look = await desk_world.look(kim, "enquiry")
    await desk.person(kim, look)
    await desk.person(kim, look)
    seen = [recorded.event for recorded in await events_about(desk_world.db, "p-jisoo")]
    assert [(event.object, event.action, event.actor) for event in seen] == [
        ("record", "found", kim.id),
        ("record", "looked_at", kim.id),
    ]
    assert all(event.facts["reason"] == "enquiry" for event in seen)
    await desk.find(kim, Reason.ENQUIRY, "없는 사람", date(2001, 3, 9))
    assert [recorded.event.action for recorded in await events_about(desk_world.db, kim.office)] == ["came_back_empty"]


async def test_a_record_is_seen_only_after_the_officers_own_search(desk_world: DeskWorld) -> None:
    look = await desk_world.look(desk_world.kim)
    assert await refusal(desk_world.desk.person(desk_world.lee, look)) == Code.NOT_FOUND
    desk_world.clock.advance(minutes=15)
    assert await refusal(desk_world.desk.person(desk_world.kim, look)) == Code.NOT_FOUND


async def test_an_officer_asks_for_fresh_cards_behind_his_own_search_only(desk_world: DeskWorld) -> None:
    look = await desk_world.look(desk_world.kim, "enquiry")
    assert await refusal(desk_world.desk.ask_renewal(desk_world.lee, look)) == Code.NOT_FOUND
    await desk_world.desk.ask_renewal(desk_world.kim, look)
    assert desk_world.issuer.done == [("p-jisoo", "renew.record_changed")]
    seen = [recorded.event.action for recorded in await events_about(desk_world.db, "p-jisoo")]
    assert seen == ["found", "looked_at"]


async def test_another_offices_case_is_out_of_reach(desk_world: DeskWorld) -> None:
    desk, park = desk_world.desk, desk_world.park
    case_id = await desk_world.checked_case(desk_world.kim)
    for call in (
        desk.case(park, case_id), desk.live(park, case_id), desk.record_card(park, case_id, **YES),
        desk.record_face(park, case_id, same_person=True), desk.file(park, case_id), desk.open_offer(park, case_id),
        desk.withdraw(park, case_id), desk.release(park, case_id), desk.lock(park, case_id),
        desk.end_cards(park, case_id), desk.keep_phone(park, case_id, "phone-1"),
        desk.move_phone(park, case_id, "phone-2", "phone-1", asked=True),
    ):  # fmt: skip
        assert await refusal(call) == Code.WRONG_OFFICE
    assert await desk.cases(park, live=True, mine=False) == []
    [line] = await desk.cases(desk_world.lee, live=True, mine=False)
    assert (line.case.id, line.name) == (case_id, "한지수")
    assert await desk.cases(desk_world.lee, live=True, mine=True) == []


async def test_two_desks_at_once_open_one_case(desk_world: DeskWorld) -> None:
    """Two officers of one office land in the same case; another office is refused."""
    desk, kim, lee, park = desk_world.desk, desk_world.kim, desk_world.lee, desk_world.park
    looks = [await desk_world.look(officer) for officer in (kim, lee)]
    ids = await asyncio.gather(
        *(desk.open_case(o, look, Task.ISSUE, "resident_card") for o, look in zip((kim, lee), looks, strict=True))
    )
    assert ids[0] == ids[1]
    assert await refusal(desk_world.case(park)) == Code.CONFLICT


async def test_two_offices_at_once_open_one_case(desk_world: DeskWorld) -> None:
    desk, kim, park = desk_world.desk, desk_world.kim, desk_world.park
    looks = [(officer, await desk_world.look(officer)) for officer in (kim, park)]
    outcomes = await asyncio.gather(
        *(desk.open_case(officer, look, Task.ISSUE, "resident_card") for officer, look in looks), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Refused", "str"]


@pytest.mark.parametrize("answers", [YES | {"number": False}, YES | {"photo": False}, YES | {"undamaged": False}])
async def test_a_bad_card_stops_the_application(desk_world: DeskWorld, answers: dict[str, bool]) -> None:
    desk, kim = desk_world.desk, desk_world.kim
    case_id = await desk_world.case(kim)
    await desk.record_face(kim, case_id, same_person=True)
    await desk.record_card(kim, case_id, **answers)
    assert await refusal(desk.file(kim, case_id)) == Code.EVIDENCE_MISSING


async def test_the_last_word_on_a_face_counts(desk_world: DeskWorld) -> None:
    desk, kim = desk_world.desk, desk_world.kim
    case_id = await desk_world.checked_case(kim)
    desk_world.clock.advance(seconds=5)
    await desk.record_face(kim, case_id, same_person=False)
    assert await refusal(desk.file(kim, case_id)) == Code.EVIDENCE_MISSING


async def test_yesterdays_evidence_is_none(desk_world: DeskWorld) -> None:
    desk, kim = desk_world.desk, desk_world.kim
    case_id = await desk_world.checked_case(kim)
    desk_world.clock.advance(minutes=61)
    assert await refusal(desk.file(kim, case_id)) == Code.EVIDENCE_MISSING


async def test_no_qr_before_filing_and_no_evidence_after(desk_world: DeskWorld) -> None:
    desk, kim = desk_world.desk, desk_world.kim
    case_id = await desk_world.checked_case(kim)
    assert await refusal(desk.open_offer(kim, case_id)) == Code.EVIDENCE_MISSING
    await desk.file(kim, case_id)
    assert await refusal(desk.record_card(kim, case_id, **YES)) == Code.CONFLICT
    assert await refusal(desk.file(kim, case_id)) == Code.CONFLICT


async def test_eligibility_is_asked_again_before_the_qr(desk_world: DeskWorld) -> None:
    desk, kim = desk_world.desk, desk_world.kim
    case_id = await desk_world.checked_case(kim)
    await desk.file(kim, case_id)
    desk_world.register.people["p-jisoo"] = person(deceased_on=date(2025, 3, 2))
    assert await refusal(desk.open_offer(kim, case_id)) == Code.DECEASED


async def test_without_a_phone_nothing_is_filed(desk_world: DeskWorld) -> None:
    desk_world.phones.active.clear()
    case_id = await desk_world.checked_case(desk_world.kim)
    assert await refusal(desk_world.desk.file(desk_world.kim, case_id)) == Code.NO_PHONE


async def test_a_withdrawn_case_kills_its_qr_and_frees_the_person(desk_world: DeskWorld) -> None:
    desk, kim = desk_world.desk, desk_world.kim
    case_id = await desk_world.checked_case(kim)
    await desk.file(kim, case_id)
    await desk.open_offer(kim, case_id)
    await desk.withdraw(kim, case_id)
    assert desk_world.issuer.events[case_id][-1].what == "cancelled"
    assert (await desk.live(kim, case_id)).screen is None
    assert await desk_world.case(desk_world.park) != case_id


async def test_a_card_issued_a_moment_ago_is_not_withdrawn(desk_world: DeskWorld) -> None:
    desk, kim = desk_world.desk, desk_world.kim
    case_id = await desk_world.checked_case(kim)
    await desk.file(kim, case_id)
    await desk.open_offer(kim, case_id)
    desk_world.issuer.happen(case_id, "issued")
    assert await refusal(desk.withdraw(kim, case_id)) == Code.CASE_CLOSED
    assert (await desk.live(kim, case_id)).case.state is State.ISSUED


async def test_two_phones_make_the_officer_choose(desk_world: DeskWorld) -> None:
    desk, kim = desk_world.desk, desk_world.kim
    desk_world.phones.give("p-jisoo", "phone-1", waiting=("phone-2",))
    case_id = await desk_world.checked_case(kim)
    assert await refusal(desk.file(kim, case_id)) == Code.PHONE_ALREADY_ACTIVE
    assert await refusal(desk.keep_phone(kim, case_id, "phone-2")) == Code.CONFLICT
    await desk.keep_phone(kim, case_id, "phone-1")
    await desk.file(kim, case_id)


async def test_moving_needs_a_face_and_two_confirmations_and_ends_what_was_held(desk_world: DeskWorld) -> None:
    desk, kim = desk_world.desk, desk_world.kim
    desk_world.phones.give("p-jisoo", "phone-1", waiting=("phone-2",))
    desk_world.issuer.hold("p-jisoo")
    case_id = await desk_world.case(kim)
    assert await refusal(desk.move_phone(kim, case_id, "phone-2", "phone-1", asked=False)) == Code.EVIDENCE_MISSING
    assert await refusal(desk.move_phone(kim, case_id, "phone-2", "phone-1", asked=True)) == Code.EVIDENCE_MISSING
    await desk.record_face(kim, case_id, same_person=True)
    assert await refusal(desk.move_phone(kim, case_id, "phone-3", "phone-1", asked=True)) == Code.CONFLICT
    assert await refusal(desk.move_phone(kim, case_id, "phone-2", "phone-0", asked=True)) == Code.CONFLICT
    assert await refusal(desk.move_phone(kim, case_id, "phone-2", "", asked=True)) == Code.CONFLICT
    await desk.move_phone(kim, case_id, "phone-2", "phone-1", asked=True)
    assert desk_world.issuer.done == [("p-jisoo", "end.moved")]
    await desk.record_card(kim, case_id, **YES)
    await desk.file(kim, case_id)


async def test_the_old_phones_owner_is_told_before_it_is_moved_and_not_when_it_stays(desk_world: DeskWorld) -> None:
    """The notice is promised first, so that a power cut leaves nobody untold; a move that is refused takes it back, one
    whose answer was lost does not."""
    told: list[str] = []

    class Heard:
        async def moving(self, id: str, person: str) -> None:
            assert desk_world.phones.active[person]["device_id"] == "phone-1"
            told.append(f"moving {person}")

        async def stayed(self, id: str) -> None:
            told.append("stayed")

    desk, kim = desk_world.desk, desk_world.kim
    desk.telling = Heard()
    desk_world.phones.give("p-jisoo", "phone-1", waiting=("phone-2",))
    case_id = await desk_world.case(kim)
    await desk.record_face(kim, case_id, same_person=True)
    assert await refusal(desk.move_phone(kim, case_id, "phone-2", "phone-0", asked=True)) == Code.CONFLICT
    assert told == ["moving p-jisoo", "stayed"]
    await desk.move_phone(kim, case_id, "phone-2", "phone-1", asked=True)
    assert told == ["moving p-jisoo", "stayed", "moving p-jisoo"]


async def test_a_held_card_is_in_the_way_until_renewal_or_until_it_is_ended(desk_world: DeskWorld) -> None:
    desk, kim = desk_world.desk, desk_world.kim
    desk_world.issuer.hold("p-jisoo", expires=date(2028, 3, 2))
    case_id = await desk_world.checked_case(kim)
    assert await refusal(desk.file(kim, case_id)) == Code.ALREADY_HOLDS
    await desk.end_cards(kim, case_id)
    await desk.file(kim, case_id)
    desk_world.issuer.hold("p-jisoo", expires=date(2025, 4, 2))  # within the 90 days before the end
    await desk.open_offer(kim, case_id)


async def test_a_lock_is_released_at_the_counter_on_a_fresh_face(desk_world: DeskWorld) -> None:
    desk, kim = desk_world.desk, desk_world.kim
    desk_world.issuer.hold("p-jisoo", "suspended")
    desk_world.phones.give("p-jisoo", state="suspended")
    case_id = await desk_world.case(kim, "release")
    assert await refusal(desk.file(kim, case_id)) == Code.CONFLICT
    assert await refusal(desk.release(kim, case_id)) == Code.EVIDENCE_MISSING
    await desk.record_face(kim, case_id, same_person=True)
    await desk.release(kim, case_id)
    assert desk_world.issuer.held["p-jisoo"][0].state == "valid"
    assert (await desk.live(kim, case_id)).case.state is State.RELEASED


async def test_nobody_gets_the_phone_of_the_dead_released(desk_world: DeskWorld) -> None:
    desk, kim = desk_world.desk, desk_world.kim
    desk_world.issuer.hold("p-jisoo", "suspended")
    desk_world.phones.give("p-jisoo", state="suspended")
    case_id = await desk_world.case(kim, "release")
    await desk.record_face(kim, case_id, same_person=True)
    desk_world.register.people["p-jisoo"] = person(deceased_on=date(2025, 2, 1))
    assert await refusal(desk.release(kim, case_id)) == Code.DECEASED
    assert desk_world.issuer.held["p-jisoo"][0].state == "suspended"


async def test_a_locked_phone_gets_no_card(desk_world: DeskWorld) -> None:
    desk, kim = desk_world.desk, desk_world.kim
    case_id = await desk_world.checked_case(kim)
    await desk.lock(kim, case_id)
    desk_world.phones.give("p-jisoo", state="suspended")
    assert await refusal(desk.file(kim, case_id)) == Code.DEVICE_SUSPENDED


async def test_the_applicants_name_lies_sealed(desk_world: DeskWorld) -> None:
    case_id = await desk_world.checked_case(desk_world.kim)
    await desk_world.desk.file(desk_world.kim, case_id)
    await desk_world.desk.open_offer(desk_world.kim, case_id)
    for table in ("desk_case", "desk_offer", "case_evidence", "case_step", "desk_look", "audit_event"):
        for row in await desk_world.db.all(f"SELECT * FROM {table}"):
            whole = b"|".join(v if isinstance(v, bytes) else str(v).encode() for v in dict(row).values())
            assert "한지수".encode() not in whole
            assert b"offer_uri" not in whole


async def test_a_card_that_arrived_unseen_does_not_block_the_next_case(desk_world: DeskWorld) -> None:
    """The officer closed the browser before the card arrived; months later another office renews."""
    desk, kim = desk_world.desk, desk_world.kim
    case_id = await desk_world.checked_case(kim)
    await desk.file(kim, case_id)
    await desk.open_offer(kim, case_id)
    desk_world.issuer.happen(case_id, "issued")
    assert await desk_world.case(desk_world.park) != case_id
    [line] = await desk.cases(kim, live=False, mine=True)
    assert line.case.state is State.ISSUED


async def test_the_list_notices_a_card_that_arrived(desk_world: DeskWorld) -> None:
    desk, kim = desk_world.desk, desk_world.kim
    case_id = await desk_world.checked_case(kim)
    await desk.file(kim, case_id)
    await desk.open_offer(kim, case_id)
    desk_world.issuer.happen(case_id, "issued")
    assert await desk.cases(kim, live=True, mine=False) == []


async def test_an_abandoned_case_gives_way_after_half_a_day(desk_world: DeskWorld) -> None:
    desk, kim, park = desk_world.desk, desk_world.kim, desk_world.park
    case_id = await desk_world.checked_case(kim)
    desk_world.clock.advance(hours=11, minutes=59)
    assert await refusal(desk_world.case(park)) == Code.CONFLICT
    desk_world.clock.advance(minutes=1)
    await desk_world.case(park)
    view = await desk.case(kim, case_id)
    assert view.case.state is State.WITHDRAWN
    assert view.steps[-1].what == "abandoned"
