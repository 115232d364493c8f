"""A physical card from the application to the citizen's hand, and every way it can go instead."""

from __future__ import annotations

import hashlib
import io
from datetime import date

import pytest
from PIL import Image

from mapae.audit import events_about
from mapae.errors import Code, Refused
from mapae.issuer.cards import store
from mapae.issuer.cards.applications import Wish
from mapae.issuer.cards.fees import Channel, Why
from mapae.issuer.cards.life import By, State
from mapae.issuer.cards.partners import Fingerprint, Payment, Transit
from mapae.issuer.cards.sealing import LARGEST_PORTRAIT
from mapae.issuer.cards.trail import CITIZEN, Actor
from mapae.issuer.face.values import Flaw
from mapae.issuer.officers import Officer
from unit.issuer.cards.card_world import JISOO, KIM, LEE, PARK, CardWorld, jpeg, somebody

pytestmark = pytest.mark.parametrize("migrated", ["sqlite"], indirect=True)  # the SQL is plain: test_card_races.py


def _code(refused: pytest.ExceptionInfo[Refused]) -> tuple[Code, str | None]:
    return refused.value.code, refused.value.step


async def test_a_chip_is_found_by_what_was_signed_and_counts_only_while_active(world: CardWorld) -> None:
    card = await world.ordered()
    sod = world.factory.newest.sod
    assert sod is not None
    digest = hashlib.sha256(sod).digest()
    found = await world.issued.by_sod(digest)
    assert found is not None and (found.id, found.person, found.state) == (card, JISOO, "made")
    order_id = next(reversed(world.factory.orders))
    assert found.chip_key_hash == hashlib.sha256(b"key " + order_id.encode()).digest()
    assert await world.issued.by_sod(hashlib.sha256(sod + b".").digest()) is None
    world.factory.finish()
    await world.turn(days=15)
    world.mail.bring()
    await world.turn(days=3)
    await world.handing.compare(KIM, card)
    await world.handing.hand_over(KIM, card, same_person=True, old_card=True)
    await world.handing.activate(KIM, card, pin_set=True)
    found = await world.issued.by_sod(digest)
    assert found is not None and found.state == "active" and found.expires == date(2036, 3, 2)
    await world.handing.report_lost(JISOO, CITIZEN)
    found = await world.issued.by_sod(digest)
    assert found is not None and found.state == "lost"
    await world.outbox.run_once()
    held = (await world.register.get(JISOO)).card
    assert held is not None and held.state == "lost"


async def test_nothing_personal_stands_in_the_rows_or_the_audit_trail(world: CardWorld) -> None:
    await world.active(pickup="")
    for table in ("card_life", "card_step", "card_photo", "card_handed_in", "audit_event"):
        text = repr([tuple(row) for row in await world.db.all(f"SELECT * FROM {table}")])
        for secret in ("한지수", "Jisoo", "고양시청로", "2001-03-09", "010309"):
            assert secret not in text, (table, secret)
    (row,) = await world.db.all("SELECT number FROM card_life")
    for table in ("card_step", "audit_event"):  # kept for ever, and read by inspectors
        assert row["number"] not in repr([tuple(row) for row in await world.db.all(f"SELECT * FROM {table}")]), table


# --- applying ---------------------------------------------------------------------------------------------------------


async def test_the_dead_foreigners_and_children_are_refused_whatever_the_form_says(world: CardWorld) -> None:
    for change, code in (
        ({"deceased_on": date(2026, 2, 1)}, Code.DECEASED),
        ({"citizen": False}, Code.NOT_A_CITIZEN),
        ({"birth_date": date(2009, 3, 3)}, Code.TOO_YOUNG),
    ):
        world.register.people[JISOO] = somebody(**change)
        with pytest.raises(Refused) as refused:
            await world.applications.file_at_desk(KIM, JISOO, Wish(Why.REISSUE, "", 10000), same_person=True)
        assert refused.value.code is code


async def test_a_fee_that_changed_since_the_form_was_shown_is_shown_again(world: CardWorld) -> None:
    with pytest.raises(Refused) as refused:
        await world.applications.file_at_desk(KIM, JISOO, Wish(Why.REISSUE, "", 9000), same_person=True)
    assert _code(refused) == (Code.CONFLICT, "fee")
    assert world.provider.payments == {}


async def test_a_first_card_is_free_by_rule_and_asks_no_payment_provider(world: CardWorld) -> None:
    world.register.people[JISOO] = somebody(birth_date=date(2009, 3, 2), card=None)
    wish = Wish(Why.FIRST, KIM.office, 0)
    card = await world.applications.file_at_desk(KIM, JISOO, wish, same_person=True)
    assert await world.state(card) is State.PAID and world.provider.payments == {}
    view = await world.applications.view(card, Actor.officer(KIM))
    assert [(step.act, step.detail) for step in view.steps] == [("apply", "first"), ("waive", "rule-0")]
    assert (view.name, view.card.amount) == ("한지수", 0)


async def test_a_photo_on_record_that_is_too_old_needs_a_new_one(world: CardWorld) -> None:
    world.register.change(JISOO, photo_taken=date(2025, 9, 1))
    asking = await world.applications.asking(JISOO, Channel.DESK, KIM.office)
    assert not asking.record_photo
    with pytest.raises(Refused) as refused:
        await world.apply()
    assert _code(refused) == (Code.RECORD_PHOTO_TOO_OLD, "photo")
    judged = await world.applications.bring_photo(JISOO, jpeg(200), date(2026, 3, 1), KIM.id)
    card = await world.apply(photo=judged.id)
    await world.outbox.run_once()
    person = await world.register.get(JISOO)
    assert (person.photo, person.photo_taken) == (jpeg(200), date(2026, 3, 1))
    assert await store.photo_of(world.db, card) is None  # it is the register's now


async def test_the_register_gets_the_photo_written_anew_without_what_a_camera_writes_beside_it(
    world: CardWorld,
) -> None:
    world.judge.record = jpeg(33)
    judged = await world.applications.bring_photo(JISOO, jpeg(200), date(2026, 3, 1), KIM.id)
    await world.apply(photo=judged.id)
    await world.outbox.run_once()
    assert (await world.register.get(JISOO)).photo == jpeg(33)


@pytest.mark.parametrize("taken", [date(2025, 9, 1), date(2026, 3, 3)], ids=["too-old", "tomorrow"])
async def test_a_photo_from_another_time_is_refused(world: CardWorld, taken: date) -> None:
    with pytest.raises(Refused) as refused:
        await world.applications.bring_photo(JISOO, jpeg(), taken, KIM.id)
    assert refused.value.step == "photo"


async def test_a_photo_found_wanting_takes_a_second_officer_of_the_same_office_and_is_counted(world: CardWorld) -> None:
    world.judge.flaws = (Flaw.BLURRED, Flaw.TILTED)
    judged = await world.applications.bring_photo(JISOO, jpeg(), date(2026, 3, 1), KIM.id)
    assert judged.report is not None and not judged.report.ok
    wish = Wish(Why.REISSUE, "", 10000, photo=judged.id)
    with pytest.raises(Refused) as refused:
        await world.applications.file_at_desk(KIM, JISOO, wish, same_person=True)
    assert refused.value.code is Code.SECOND_OFFICER
    for second in (KIM, PARK):
        with pytest.raises(Refused) as refused:
            await world.applications.agree_to_photo(KIM, second, judged.id, JISOO)
        assert refused.value.code is Code.SECOND_OFFICER
    await world.applications.agree_to_photo(KIM, LEE, judged.id, JISOO)
    card = await world.applications.file_at_desk(KIM, JISOO, wish, same_person=True)
    assert await world.applications.photo_by(JISOO) == ""  # two have looked
    steps = await store.steps(world.db, card)
    assert [(step.act, step.second, step.detail) for step in steps if step.act == "photo_overridden"] == [
        ("photo_overridden", LEE.id, "blurred+tilted")
    ]
    assert await world.handing.overrides() == [(KIM.office, "photo_overridden", 1)]


async def test_where_no_judge_answers_two_officers_look(world: CardWorld) -> None:
    world.judge.away = True
    camera, exif = io.BytesIO(), Image.Exif()
    exif[0x010F] = "whose camera it was"  # Exif 2.32, Make
    Image.effect_noise((900, 1200), 90).save(camera, "JPEG", quality=60, exif=exif)
    judged = await world.applications.bring_photo(JISOO, camera.getvalue(), date(2026, 3, 1), KIM.id)
    assert judged.id and judged.report is None
    wish = Wish(Why.REISSUE, "", 10000, photo=judged.id)
    with pytest.raises(Refused) as refused:
        await world.applications.file_at_desk(KIM, JISOO, wish, same_person=True)
    assert refused.value.code is Code.SECOND_OFFICER
    await world.applications.agree_to_photo(KIM, LEE, judged.id, JISOO)
    await world.applications.file_at_desk(KIM, JISOO, wish, same_person=True)
    await world.turn()
    kept = (await world.register.get(JISOO)).photo  # small enough for every document, and nothing beside the pixels
    assert kept != jpeg() and len(kept) <= LARGEST_PORTRAIT and b"whose camera" not in kept


async def test_another_persons_photo_an_old_draft_and_a_used_one_are_refused(world: CardWorld) -> None:
    world.register.people["p-other"] = somebody("p-other")
    other = await world.applications.bring_photo("p-other", jpeg(), date(2026, 3, 1), KIM.id)
    mine = await world.applications.bring_photo(JISOO, jpeg(), date(2026, 3, 1), KIM.id)
    late = await world.applications.bring_photo(JISOO, jpeg(), date(2026, 3, 1), KIM.id)
    world.clock.advance(minutes=30)
    for photo in (other.id, "nothing"):
        with pytest.raises(Refused) as refused:
            await world.apply(photo=photo)
        assert refused.value.code is Code.NOT_FOUND
    card = await world.apply(photo=mine.id)
    await world.applications.cancel(card, Actor.officer(KIM))
    await world.outbox.run_once()
    world.clock.advance(hours=2)
    for photo in (mine.id, late.id):
        with pytest.raises(Refused) as refused:
            await world.apply(photo=photo)
        assert refused.value.code in (Code.NOT_FOUND, Code.NO_PHYSICAL_CARD)


async def test_a_photo_that_no_application_uses_is_gone_after_an_hour(world: CardWorld) -> None:
    judged = await world.applications.bring_photo(JISOO, jpeg(), date(2026, 3, 1), KIM.id)
    await world.turn(minutes=59)
    assert await store.photo(world.db, judged.id) is not None
    await world.turn(minutes=2)
    assert await store.photo(world.db, judged.id) is None


@pytest.mark.parametrize("raw", [b"", b"<svg/>", b"\xff\xd8\xff" + bytes(512 * 1024)], ids=["empty", "svg", "large"])
async def test_what_is_no_photo_is_not_even_judged(world: CardWorld, raw: bytes) -> None:
    with pytest.raises(Refused) as refused:
        await world.applications.bring_photo(JISOO, raw, date(2026, 3, 1), KIM.id)
    assert refused.value.code is Code.PHOTO_REFUSED


async def test_a_photo_brought_online_enters_the_record_only_after_an_officers_look(world: CardWorld) -> None:
    judged = await world.applications.bring_photo(JISOO, jpeg(1), date(2026, 3, 1), "citizen")
    wish = Wish(Why.REISSUE, KIM.office, 10000, photo=judged.id)
    card = await world.applications.file_online(JISOO, wish)
    world.provider.pay()
    await world.turn()
    await world.turn(days=2)
    assert await world.state(card) is State.PAID  # it waits for an officer
    assert (await world.register.get(JISOO)).photo == jpeg()
    with pytest.raises(Refused) as refused:
        await world.applications.confirm_photo(PARK, card, same_person=True)
    assert refused.value.code is Code.WRONG_OFFICE
    assert await world.applications.photo_by(JISOO) == ""
    await world.applications.confirm_photo(KIM, card, same_person=True)
    assert await world.applications.photo_by(JISOO) == KIM.id  # who may not alone confirm a face against it
    await world.turn(days=1)
    await world.turn()
    assert await world.state(card) is State.ORDERED
    assert (await world.register.get(JISOO)).photo == jpeg(1)


async def test_a_strangers_photo_brought_online_ends_the_application_and_the_fee_goes_back(world: CardWorld) -> None:
    judged = await world.applications.bring_photo(JISOO, jpeg(1), date(2026, 3, 1), "citizen")
    card = await world.applications.file_online(JISOO, Wish(Why.REISSUE, KIM.office, 10000, photo=judged.id))
    world.provider.pay()
    await world.turn()
    await world.applications.confirm_photo(KIM, card, same_person=False)
    await world.turn()
    assert await world.state(card) is State.CANCELLED
    assert world.provider.payments[f"{card}-0"] is Payment.REFUNDED
    assert (await world.register.get(JISOO)).photo == jpeg() and await store.photo_of(world.db, card) is None


async def test_a_photo_found_wanting_cannot_be_sent_in_online(world: CardWorld) -> None:
    world.judge.flaws = (Flaw.EYES_CLOSED,)
    judged = await world.applications.bring_photo(JISOO, jpeg(), date(2026, 3, 1), "citizen")
    with pytest.raises(Refused) as refused:
        await world.applications.file_online(JISOO, Wish(Why.REISSUE, "", 10000, photo=judged.id))
    assert _code(refused) == (Code.PHOTO_REFUSED, "eyes-closed")


async def test_an_old_chip_that_is_handed_in_counts_no_more_at_once(world: CardWorld) -> None:
    first = await world.active()
    second = await world.apply()
    assert await world.state(first) is State.REPLACED and await world.state(second) is State.APPLIED
    await world.handing.destroy(KIM, LEE, first)
    assert await world.state(first) is State.DESTROYED


# --- cancelling -------------------------------------------------------------------------------------------------------


async def test_a_paid_application_is_cancelled_before_production_and_refunded_once(world: CardWorld) -> None:
    card = await world.apply()
    world.provider.pay()
    await world.turn()
    await world.making.cancel(card, CITIZEN)
    await world.turn()
    await world.turn()
    row = await world.card(card)
    assert (row.state, row.refund, row.payment_state) == (State.CANCELLED, "done", "refunded")
    assert (await world.acts(card)).count("refunded") == 1
    await world.outbox.run_once()
    world.register.people[JISOO] = somebody()
    await world.apply()  # and may be begun anew


async def test_an_order_the_factory_has_not_begun_can_be_taken_back_and_a_signed_one_cannot(world: CardWorld) -> None:
    card = await world.ordered()
    with pytest.raises(Refused) as refused:
        await world.making.cancel(card, Actor.officer(KIM))
    assert refused.value.code is Code.CONFLICT
    assert world.factory.cancelled == set()


async def test_cancelling_while_the_factory_is_silent_changes_nothing(world: CardWorld) -> None:
    card = await world.apply()
    world.provider.pay()
    await world.turn()
    world.factory.silent = True
    await world.turn(days=1)
    assert await world.state(card) is State.ORDERED
    with pytest.raises(Refused) as refused:
        await world.making.cancel(card, CITIZEN)
    assert refused.value.code is Code.UNAVAILABLE and await world.state(card) is State.ORDERED
    world.factory.silent = False
    await world.making.cancel(card, CITIZEN)
    await world.turn()
    assert await world.state(card) is State.CANCELLED
    assert world.provider.payments[f"{card}-0"] is Payment.REFUNDED
    assert f"{card}-1" in world.factory.cancelled  # should the order still arrive, it is refused


async def test_an_application_nobody_pays_lapses_after_a_week(world: CardWorld) -> None:
    card = await world.apply()
    await world.turn(days=7)
    assert await world.state(card) is State.APPLIED
    await world.turn(days=1)
    assert await world.state(card) is State.CANCELLED


async def test_another_offices_card_stays_out_of_reach(world: CardWorld) -> None:
    card = await world.apply()
    for act in (world.making.cancel(card, Actor.officer(PARK)), world.applications.view(card, Actor.officer(PARK))):
        with pytest.raises(Refused) as refused:
            await act
        assert refused.value.code is Code.WRONG_OFFICE
    with pytest.raises(Refused) as refused:
        await world.applications.view(card, CITIZEN, "p-other")
    assert refused.value.code is Code.NOT_FOUND


# --- hand-over --------------------------------------------------------------------------------------------------------


async def test_a_print_that_does_not_match_gives_no_card_not_even_to_two_officers(world: CardWorld) -> None:
    card = await world.waiting()
    world.reader.answer = Fingerprint.NOT_MATCHED
    for _ in range(3):
        await world.handing.compare(KIM, card)
    with pytest.raises(Refused) as refused:
        await world.handing.hand_over(KIM, card, same_person=True, old_card=True, second=LEE)
    assert _code(refused) == (Code.NOT_ALLOWED, "finger")
    with pytest.raises(Refused) as refused:
        await world.handing.compare(KIM, card)
    assert _code(refused) == (Code.NOT_ALLOWED, "finger") and world.reader.asked == 3
    world.clock.advance(days=1, seconds=1)
    world.reader.answer = Fingerprint.MATCHED
    await world.handing.compare(KIM, card)
    await world.handing.hand_over(KIM, card, same_person=True, old_card=True)


@pytest.mark.parametrize("answer", [Fingerprint.UNREADABLE, Fingerprint.UNAVAILABLE])
async def test_without_a_print_a_second_officer_looks_and_is_counted(world: CardWorld, answer: Fingerprint) -> None:
    card = await world.waiting()
    world.reader.answer = answer
    await world.handing.compare(KIM, card)
    with pytest.raises(Refused) as refused:
        await world.handing.hand_over(KIM, card, same_person=True, old_card=True)
    assert refused.value.code is Code.SECOND_OFFICER
    await world.handing.hand_over(KIM, card, same_person=True, old_card=True, second=LEE)
    assert await world.handing.overrides() == [(KIM.office, "handed_over_by_eye", 1)]


async def test_a_hand_over_needs_a_comparison_of_this_visit_and_the_officers_eye(world: CardWorld) -> None:
    card = await world.waiting()
    with pytest.raises(Refused) as refused:
        await world.handing.hand_over(KIM, card, same_person=True, old_card=True)
    assert _code(refused) == (Code.EVIDENCE_MISSING, "finger")
    await world.handing.compare(KIM, card)
    with pytest.raises(Refused) as refused:
        await world.handing.hand_over(KIM, card, same_person=False, old_card=True)
    assert _code(refused) == (Code.EVIDENCE_MISSING, "eye")
    world.clock.advance(minutes=31)
    with pytest.raises(Refused) as refused:
        await world.handing.hand_over(KIM, card, same_person=True, old_card=True)
    assert _code(refused) == (Code.EVIDENCE_MISSING, "finger")


async def test_a_card_of_somebody_who_died_meanwhile_is_not_handed_over(world: CardWorld) -> None:
    card = await world.waiting()
    await world.handing.compare(KIM, card)
    world.register.change(JISOO, deceased_on=date(2026, 3, 20))
    with pytest.raises(Refused) as refused:
        await world.handing.hand_over(KIM, card, same_person=True, old_card=True)
    assert _code(refused) == (Code.DECEASED, "alive")


async def test_an_old_card_kept_until_the_new_one_comes_is_taken_in_and_destroyed_by_two(world: CardWorld) -> None:
    wish = Wish(Why.REISSUE, KIM.office, 10000)
    card = await world.applications.file_online(JISOO, wish)
    world.provider.pay()
    await world.turn()
    await world.turn(days=1)
    world.factory.finish()
    await world.turn(days=15)
    world.mail.bring()
    await world.turn(days=3)
    await world.handing.compare(KIM, card)
    with pytest.raises(Refused) as refused:
        await world.handing.hand_over(KIM, card, same_person=True, old_card=False)
    assert _code(refused) == (Code.EVIDENCE_MISSING, "old_card")
    await world.handing.hand_over(KIM, card, same_person=True, old_card=True)
    await world.handing.activate(KIM, card, pin_set=True)
    await world.outbox.run_once()
    assert [kept.number for kept in await world.handing.safe(KIM)] == ["0123456789"]
    with pytest.raises(Refused) as refused:
        await world.handing.destroy_old(KIM, KIM, card)
    assert refused.value.code is Code.SECOND_OFFICER
    await world.handing.destroy_old(KIM, LEE, card)
    assert await world.handing.safe(KIM) == []
    held = (await world.register.get(JISOO)).card
    assert held is not None and (held.kind, held.state) == ("chip", "valid")


async def test_a_pin_that_was_not_set_leaves_the_card_inactive_and_it_goes_back_into_the_safe(world: CardWorld) -> None:
    card = await world.waiting()
    await world.handing.compare(KIM, card)
    await world.handing.hand_over(KIM, card, same_person=True, old_card=True)
    with pytest.raises(Refused) as refused:
        await world.handing.activate(KIM, card, pin_set=False)
    assert _code(refused) == (Code.EVIDENCE_MISSING, "pin")
    await world.handing.put_back(KIM, card)
    assert await world.state(card) is State.AT_OFFICE
    with pytest.raises(Refused) as refused:  # another visit, another comparison
        await world.handing.hand_over(KIM, card, same_person=True, old_card=True)
    assert _code(refused) == (Code.EVIDENCE_MISSING, "finger")


async def test_a_card_by_mail_is_activated_wherever_its_holder_comes(world: CardWorld) -> None:
    card = await world.posted(pickup="")
    parcel = next(iter(world.mail.parcels.values()))
    assert (parcel.personal, parcel.to_name) == (True, "한지수")
    world.mail.bring()
    await world.turn(days=3)
    assert await world.state(card) is State.DELIVERED
    await world.handing.compare(PARK, card)
    await world.handing.hand_over(PARK, card, same_person=True, old_card=True)
    elsewhere = Officer("officer-x", "정은비", "hongcheon_eup")
    with pytest.raises(Refused) as refused:
        await world.handing.activate(elsewhere, card, pin_set=True)
    assert refused.value.code is Code.WRONG_OFFICE
    await world.handing.activate(PARK, card, pin_set=True)
    assert await world.state(card) is State.ACTIVE


# --- post, waiting, ends ----------------------------------------------------------------------------------------------


async def test_a_returned_letter_is_kept_at_the_office_or_sent_once_more(world: CardWorld) -> None:
    card = await world.posted(pickup="")
    world.mail.bring(Transit.RETURNED)
    await world.turn(days=9)
    assert await world.state(card) is State.RETURNED
    await world.handing.forward(KIM, card, "")
    await world.turn()
    assert await world.state(card) is State.POSTED and len(world.mail.parcels) == 2
    world.mail.bring(Transit.RETURNED)
    await world.turn(days=9)
    await world.handing.keep(KIM, card)
    assert await world.state(card) is State.AT_OFFICE


async def test_a_waiting_card_goes_to_another_office_on_request(world: CardWorld) -> None:
    card = await world.waiting()
    await world.handing.forward(KIM, card, PARK.office)
    await world.turn()
    world.mail.bring()
    await world.turn(days=3)
    assert await world.state(card) is State.AT_OFFICE
    await world.handing.compare(PARK, card)
    await world.handing.hand_over(PARK, card, same_person=True, old_card=True)


async def test_a_card_nobody_fetches_is_given_up_after_ninety_days_and_destroyed(world: CardWorld) -> None:
    card = await world.waiting()
    await world.turn(days=89)
    assert await world.state(card) is State.AT_OFFICE
    await world.turn(days=2)
    assert await world.state(card) is State.UNCOLLECTED
    with pytest.raises(Refused) as refused:
        await world.handing.destroy(KIM, KIM, card)
    assert refused.value.code is Code.SECOND_OFFICER
    await world.handing.destroy(KIM, LEE, card)
    assert await world.state(card) is State.DESTROYED


async def test_a_letter_that_never_arrives_is_said_to_be_late_and_can_be_given_up(world: CardWorld) -> None:
    card = await world.posted(pickup="")
    await world.turn(days=17)
    assert (await world.card(card)).trouble == ""
    await world.turn(days=3)
    assert (await world.card(card)).trouble == "late"
    await world.handing.lost_here(KIM, card)
    await world.outbox.run_once()
    assert await world.state(card) is State.LOST
    world.register.people[JISOO] = somebody()
    await world.apply()


async def test_a_new_card_replaces_the_active_one_when_it_is_active_itself(world: CardWorld) -> None:
    first = await world.active()
    online = await world.applications.file_online(JISOO, Wish(Why.REISSUE, KIM.office, 10000))
    assert await world.state(first) is State.ACTIVE  # it serves until the new one does
    world.provider.pay()
    await world.turn()
    await world.turn(days=1)
    world.factory.finish()
    await world.turn(days=15)
    world.mail.bring()
    await world.turn(days=3)
    await world.handing.compare(KIM, online)
    await world.handing.hand_over(KIM, online, same_person=True, old_card=True)
    assert await world.state(first) is State.ACTIVE
    await world.handing.activate(KIM, online, pin_set=True)
    assert (await world.state(first), await world.state(online)) == (State.REPLACED, State.ACTIVE)
    plastic = ["0123456789"]  # of the first application; a chip of ours is in the list of cards to destroy instead
    assert [kept.number for kept in await world.handing.safe(KIM)] == plastic


async def test_a_card_expires_on_the_day_after_its_last(world: CardWorld) -> None:
    card = await world.active()
    last = date.fromisoformat((await world.card(card)).expires)
    await world.turn(days=(last - date(2026, 3, 21)).days)
    assert await world.state(card) is State.ACTIVE
    await world.turn(days=1)
    assert await world.state(card) is State.EXPIRED


async def test_a_lost_card_of_plain_plastic_is_told_to_the_register_too(world: CardWorld) -> None:
    assert await world.handing.report_lost(JISOO, CITIZEN) == 0
    await world.outbox.run_once()
    held = (await world.register.get(JISOO)).card
    assert held is not None and held.state == "lost"
    told = [seen.event.action for seen in await events_about(world.db, JISOO)]
    assert told == ["reported_lost"]


async def test_a_lost_card_that_was_found_is_destroyed_never_revived(world: CardWorld) -> None:
    card = await world.active()
    await world.handing.report_lost(JISOO, Actor(By.OFFICER, KIM.id, KIM.office))
    await world.handing.destroy(KIM, LEE, card)
    assert await world.state(card) is State.DESTROYED
