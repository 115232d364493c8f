"""Two officers in a machine's place: another one, of the same office, with a passkey of their own, for this case."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from datetime import timedelta

import pytest

from mapae.audit import events_about
from mapae.db import Tx
from mapae.errors import Code, Refused
from mapae.issuer import soft_authenticator as soft
from mapae.issuer.evidence import FaceMatched, Need, SecondOfficer, Why
from mapae.issuer.officers import FAILURES, Officer
from unit.issuer.desk_world import ORIGIN, DeskWorld

YES = {"number": True, "photo": True, "undamaged": True}
BOTH = (Need.FACE, Need.OFFICER)


async def refusal(work: Awaitable[object]) -> Code:
    with pytest.raises(Refused) as refused:
        await work
    return refused.value.code


async def answered(world: DeskWorld, case: str, by: Officer, first: Officer | None = None) -> tuple[str, str]:
    """A knock drawn for the first officer and this case, and what somebody's passkey says to it."""
    knock, options = await world.officers.begin_second(first or world.kim, case)
    free = options | {"allowCredentials": []}  # an authenticator that does not look at what is asked for
    return knock, json.dumps(soft.assert_(world.keys[by.id], free, ORIGIN))


async def machine(world: DeskWorld, case: str, reason: str, *, borderline: bool = False) -> None:
    found = await world.desk._open(world.kim, case)
    said = FaceMatched("c", world.clock.now(), reason == "match", borderline, reason, "scripted 1")

    async def body(tx: Tx) -> None:
        await world.desk.face_answered(tx, world.desk.subject(found, BOTH), said)

    await world.db.write(body)


async def test_a_colleagues_passkey_counts_for_this_case_once(desk_world: DeskWorld) -> None:
    officers, kim, lee = desk_world.officers, desk_world.kim, desk_world.lee
    knock, answer = await answered(desk_world, "case-1", lee)
    assert await officers.second(kim, "case-1", knock, answer) == lee
    assert await refusal(officers.second(kim, "case-1", knock, answer)) == Code.BAD_PASSKEY
    assert await desk_world.db.all("SELECT * FROM officer_session") == []
    [stepped_up] = [e.event for e in await events_about(desk_world.db, lee.id) if e.event.action == "stepped_up"]
    assert stepped_up.facts == {"office": lee.office, "case": "case-1", "first": kim.id}


async def test_the_second_look_is_nobodys_own_and_nobody_elses(desk_world: DeskWorld) -> None:
    officers, kim, lee, park = desk_world.officers, desk_world.kim, desk_world.lee, desk_world.park
    for by, code in ((kim, Code.SECOND_OFFICER), (park, Code.WRONG_OFFICE)):
        knock, answer = await answered(desk_world, "case-1", by)
        assert await refusal(officers.second(kim, "case-1", knock, answer)) == code
    knock, answer = await answered(desk_world, "case-1", lee)
    assert await refusal(officers.second(kim, "case-2", knock, answer)) == Code.BAD_PASSKEY  # for another case
    knock, answer = await answered(desk_world, "case-1", lee)
    assert await refusal(officers.second(park, "case-1", knock, answer)) == Code.BAD_PASSKEY  # put to another officer
    knock, options = await officers.begin_sign_in()  # an answer to another question
    signed = json.dumps(soft.assert_(desk_world.keys[lee.id], options, ORIGIN))
    assert await refusal(officers.second(kim, "case-1", knock, signed)) == Code.BAD_PASSKEY
    knock, answer = await answered(desk_world, "case-1", lee)
    desk_world.clock.advance(minutes=5)
    assert await refusal(officers.second(kim, "case-1", knock, answer)) == Code.BAD_PASSKEY


async def test_wrong_answers_lock_the_second_officer_out_as_at_sign_in(desk_world: DeskWorld) -> None:
    officers, kim, lee = desk_world.officers, desk_world.kim, desk_world.lee
    for _ in range(FAILURES):
        knock, answer = await answered(desk_world, "case-1", lee)
        broken = json.loads(answer)
        broken["response"]["signature"] = broken["response"]["signature"][:-8] + "AAAAAAAA"
        assert await refusal(officers.second(kim, "case-1", knock, json.dumps(broken))) == Code.BAD_PASSKEY
    knock, answer = await answered(desk_world, "case-1", lee)
    assert await refusal(officers.second(kim, "case-1", knock, answer)) == Code.TOO_OFTEN


async def test_colleagues_are_asked_for_and_the_first_officer_is_not(desk_world: DeskWorld) -> None:
    _, options = await desk_world.officers.begin_second(desk_world.kim, "case-1")
    ids = {entry["id"] for entry in options["allowCredentials"]}
    [lees] = await desk_world.officers.passkeys(desk_world.lee.id)
    assert ids == {lees.credential_id}
    await desk_world.officers.dismiss(desk_world.lee.id)
    assert await desk_world.officers.colleagues(desk_world.kim) == []


async def test_the_desk_itself_takes_no_second_look_of_the_same_officer_or_another_office(
    desk_world: DeskWorld,
) -> None:
    desk, kim, park = desk_world.desk, desk_world.kim, desk_world.park
    case = await desk_world.case(kim)
    assert await refusal(desk.two_officers(kim, case, kim, Why.EYES)) == Code.SECOND_OFFICER
    assert await refusal(desk.two_officers(kim, case, park, Why.EYES)) == Code.WRONG_OFFICE
    assert (await desk.case(kim, case)).evidence == ()


@pytest.mark.parametrize(
    ("reason", "borderline", "chosen", "recorded"),
    [
        ("no-match", False, Why.EYES, Why.OVERRIDE), ("no-match", True, Why.OTHER, Why.BORDERLINE),
        ("not-live", False, Why.EYES, Why.EYES), ("verifier-slow", False, Why.UNAVAILABLE, Why.UNAVAILABLE),
        ("match", False, Why.DECLINED, Why.DECLINED),
    ],
)  # fmt: skip
async def test_the_system_knows_by_itself_what_was_overridden(
    desk_world: DeskWorld, reason: str, borderline: bool, chosen: Why, recorded: Why
) -> None:
    desk, kim, lee = desk_world.desk, desk_world.kim, desk_world.lee
    case = await desk_world.case(kim)
    await machine(desk_world, case, reason, borderline=borderline)
    await desk.two_officers(kim, case, lee, chosen)
    second = (await desk.case(kim, case)).last_of(SecondOfficer)
    assert isinstance(second, SecondOfficer)
    assert (second.officer, second.why) == (lee.id, recorded)
    [counted] = await desk.counts()
    assert counted.office == kim.office
    assert counted.cases[f"second_officer.{recorded.value}"] == 1


async def test_an_officer_who_confirmed_before_the_machine_confirms_again(desk_world: DeskWorld) -> None:
    desk, kim = desk_world.desk, desk_world.kim
    case = await desk_world.case(kim)
    await desk.record_card(kim, case, **YES)
    await desk.record_face(kim, case, same_person=True)
    await desk.file(kim, case)
    await desk.open_offer(kim, case)
    assert desk_world.issuer.needs[case] == BOTH
    await machine(desk_world, case, "match")
    assert desk_world.issuer.needs[case] == (Need.OFFICER,)
    await desk.record_face(kim, case, same_person=True)
    assert desk_world.issuer.needs[case] == ()


async def test_what_is_known_at_the_filing_goes_into_the_order_and_what_follows_settles_it(
    desk_world: DeskWorld,
) -> None:
    desk, kim, lee = desk_world.desk, desk_world.kim, desk_world.lee
    case = await desk_world.case(kim)
    await desk.record_card(kim, case, **YES)
    await desk.file(kim, case)
    await desk.open_offer(kim, case)
    assert desk_world.issuer.needs[case] == BOTH
    await desk.two_officers(kim, case, lee, Why.DECLINED)
    assert desk_world.issuer.needs[case] == ()
    await desk.record_face(kim, case, same_person=False)
    assert desk_world.issuer.needs[case] == (Need.OFFICER,)


async def test_a_machines_word_on_a_case_that_is_over_is_not_evidence(desk_world: DeskWorld) -> None:
    desk, kim = desk_world.desk, desk_world.kim
    case = await desk_world.case(kim)
    found = await desk._open(kim, case)
    await desk.withdraw(kim, case)
    said = FaceMatched("c", desk_world.clock.now(), True, False, "match", "scripted 1")
    await desk_world.db.write(lambda tx: desk.face_answered(tx, desk.subject(found, BOTH), said))
    assert await desk_world.db.all("SELECT * FROM case_evidence") == []


async def test_the_card_is_looked_at_again_only_when_an_hour_is_over(desk_world: DeskWorld) -> None:
    desk, kim = desk_world.desk, desk_world.kim
    case = await desk_world.case(kim)
    await desk.record_card(kim, case, **YES)
    await desk.file(kim, case)
    assert await refusal(desk.record_card(kim, case, **YES)) == Code.CONFLICT
    desk_world.clock.set(desk_world.clock.now() + timedelta(minutes=61))
    assert await refusal(desk.open_offer(kim, case)) == Code.EVIDENCE_MISSING
    await desk.record_card(kim, case, **YES)
    await desk.open_offer(kim, case)


async def test_no_second_document_is_compared_unless_the_machine_said_nearly(desk_world: DeskWorld) -> None:
    desk, kim = desk_world.desk, desk_world.kim
    case = await desk_world.case(kim)
    assert await refusal(desk.record_document(kim, case, "driving_licence", "1")) == Code.CONFLICT
    await machine(desk_world, case, "no-match", borderline=True)
    assert await refusal(desk.record_document(kim, case, "library_card", "1")) == Code.MALFORMED
    assert await refusal(desk.record_document(kim, case, "driving_licence", "1")) == Code.UNAVAILABLE  # none here


async def test_numbers_typed_at_once_are_no_more_guesses_than_three(desk_world: DeskWorld) -> None:
    """An officer, or whoever sits at the desk, must not find a number by asking faster than it is counted."""
    desk, kim = desk_world.desk, desk_world.kim

    class Licences:
        async def document_matches(self, person: str, kind: str, number: str) -> bool:
            await asyncio.sleep(0)
            return False

    desk._documents = Licences()
    case = await desk_world.case(kim)
    await machine(desk_world, case, "no-match", borderline=True)
    said = await asyncio.gather(
        *(desk.record_document(kim, case, "driving_licence", str(number)) for number in range(7)),
        return_exceptions=True,
    )
    codes = [one.code for one in said if isinstance(one, Refused)]
    assert codes == [Code.SECOND_OFFICER] * 4


async def test_who_alone_put_the_photo_on_record_does_not_alone_confirm_what_a_machine_says_of_it(
    desk_world: DeskWorld,
) -> None:
    """Else one officer would decide twice: once which face is on record, and once that this is the face."""
    desk, kim = desk_world.desk, desk_world.kim

    class Photos:
        async def photo_by(self, person: str) -> str:
            return kim.id

    desk.photos = Photos()
    case = await desk_world.case(kim)
    await desk.record_card(kim, case, **YES)
    await machine(desk_world, case, "match")
    await desk.record_face(kim, case, same_person=True)
    assert (await desk.case(kim, case)).missing == (Need.SECOND_OFFICER,)
    await desk.record_face(desk_world.lee, case, same_person=True)
    assert (await desk.case(kim, case)).missing == ()
