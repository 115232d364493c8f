"""A tap from the wallet's wish to its card, at the doors; and everybody who may not have one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import pytest

from issuing import BASE, Phone, live_batches, must_be_whole
from mapae.audit import Event, events_about, record
from mapae.db import Db
from mapae.errors import Refused
from mapae.issuer.evidence import FaceMatched, Need
from mapae.issuer.face.checks import CameTo, Standing
from mapae.rules import ChipRules
from tapped import SOD, Issued, TapHall, TapPhone, Told, sha

Migrated = Callable[[str], Awaitable[Db]]
pytestmark = pytest.mark.parametrize("migrated", ["sqlite"], indirect=True)  # both: test_both_engines.py


@pytest.fixture
async def hall(migrated: Migrated) -> TapHall:
    return TapHall(await migrated("issuer"))


async def tapped(hall: TapHall, phone: TapPhone) -> dict[str, Any]:
    await phone.begin()
    return await (await Told.open(hall)).whole(phone.secret)


async def fetched(phone: TapPhone) -> None:
    """Confirm, redeem, fetch, accept."""
    answer = await phone.confirm()
    assert answer.status_code == 200, answer.text
    code = await phone.offered_code(answer.json()["offer"])
    assert (await phone.redeem(code)).status_code == 200
    card = await phone.fetch()
    assert card.status_code == 200, card.text
    assert (await phone.tell(card.json()["notification_id"])).status_code == 204


async def failed(phone: TapPhone) -> tuple[str, str]:
    said = await phone.state()
    assert said["state"] == "failed", said
    return said["reason"], said["step"]


# --- the whole way ----------------------------------------------------------------------------------------------------


async def test_a_card_is_tapped_and_the_wallet_fetches_its_own(hall: TapHall) -> None:
    """Steps 1 to 8 of the profile, with a phone that waits: the old one ends, the new one holds the card."""
    old = await hall.carded("jisoo", "case-1")
    phone = TapPhone(hall)
    said = await phone.begin()
    assert said["link"].startswith(f"{BASE}/tap#") and said["simulated"] is None and len(said["code"]) == 4
    assert (await phone.state())["state"] == "waiting"

    helper = await Told.open(hall)
    ready = await helper.hello(phone.secret)
    assert ready["code"] == phone.code and ready["for"]["new_phone"] is True and ready["for"]["en"]
    assert (await phone.state())["state"] == "opened"
    assert (await helper.card())["type"] == "authenticate"
    assert (await phone.state())["state"] == "card"
    assert (await helper.say(type="authenticated"))["n"] == 1
    assert (await helper.answer(1, b"ok"))["n"] == 2
    assert (await helper.answer(2, b"M12345678")) == {"type": "done"}
    assert (await phone.state()) == {"state": "confirm", "code": phone.code, "needs": []}

    await fetched(phone)
    assert (await phone.state())["state"] == "done"
    assert hall.phones is not None and hall.phones.moved[0]["device_id"] == "new-phone"
    assert old.standing["state"] == "ended"
    assert (await old.renew()).status_code == 400
    assert await live_batches(hall.db) == 1
    await must_be_whole(hall, hall.db)
    acts = [seen.event.action for seen in await events_about(hall.db, "jisoo") if seen.event.object == "tap"]
    assert acts == ["opened", "joined", "proven", "confirmed"]


async def test_the_phone_that_is_active_gets_its_card_without_any_move(hall: TapHall) -> None:
    phone = TapPhone(hall, state="active")
    assert await tapped(hall, phone) == {"type": "done"}
    await fetched(phone)
    assert hall.phones is not None and hall.phones.moved == []
    assert await live_batches(hall.db) == 1


async def test_a_lost_phone_is_replaced_by_a_tap(hall: TapHall) -> None:
    """Its owner reported it lost and everything is locked: card, PIN and a phone in that name give a new one."""
    old = await hall.carded("jisoo", "case-1")
    await hall.issuer.lock("jisoo", "lost", "citizen")
    old.standing["state"] = "suspended"
    phone = TapPhone(hall)
    await tapped(hall, phone)
    await fetched(phone)
    assert old.standing["state"] == "ended" and await live_batches(hall.db) == 1


async def test_the_face_comes_between_where_the_pack_asks_for_it(migrated: Migrated) -> None:
    """The face check is the session's wallet's alone, and one from before the tap does not count."""
    hall = TapHall(await migrated("issuer"), face=True)
    phone = TapPhone(hall)
    hall.faces.came = CameTo(matched(hall), spent=False)
    hall.clock.advance(seconds=1)
    await tapped(hall, phone)
    assert (await phone.state())["needs"] == ["face"]
    assert (await phone.confirm()).status_code == 409
    subject = await hall.taps.face_of(phone.session, phone.client.kid)
    assert (subject.person, subject.needs) == ("jisoo", (Need.FACE,))
    with pytest.raises(Refused):
        await hall.taps.face_of(phone.session, "another wallet")
    hall.faces.came = CameTo(matched(hall), spent=False)
    assert (await phone.state())["state"] == "confirm"
    assert (await hall.taps.face_of(phone.session, phone.client.kid)).needs == ()
    await fetched(phone)
    offered = await hall.db.all("SELECT facts FROM audit_event WHERE action = 'offered'")
    assert "chip_proven+face_matched" in offered[-1]["facts"]


async def test_a_pack_may_want_the_face_for_a_first_phone_only(migrated: Migrated) -> None:
    hall = TapHall(await migrated("issuer"), rules=ChipRules(face="first_phone"))
    first, later = TapPhone(hall), TapPhone(hall, "minho", device="minhos-new-phone")
    hall.cards.by[sha(b"a document, of Minho")] = Issued(person="minho", number="M22222222")
    await hall.carded("minho", "case-1")
    await tapped(hall, first)
    assert (await first.state())["state"] == "face"
    await later.begin()
    helper = await Told.open(hall)
    await helper.hello(later.secret)
    await helper.card(sod=b"a document, of Minho")
    await helper.say(type="authenticated")
    await helper.answer(1, b"ok")
    await helper.answer(2, b"M22222222")
    assert (await later.state())["state"] == "confirm"
    await fetched(later)


async def test_five_failed_faces_end_it(migrated: Migrated) -> None:
    hall = TapHall(await migrated("issuer"), face=True)
    phone = TapPhone(hall)
    await tapped(hall, phone)
    hall.faces.came = CameTo(None, spent=True)
    assert await failed(phone) == ("face_spent", "face")


async def test_a_new_session_brings_no_new_tries_at_the_camera(migrated: Migrated) -> None:
    """The tries are counted by person and day, whatever sessions there were."""
    hall = TapHall(await migrated("issuer"), face=True)
    phone = TapPhone(hall)
    await tapped(hall, phone)
    first = (await hall.taps.face_of(phone.session, phone.client.kid)).id
    await tapped(hall, phone)
    assert (await hall.taps.face_of(phone.session, phone.client.kid)).id == first


@pytest.mark.parametrize(
    ("standing", "code"),
    [
        (Standing((Need.FACE,), False, 0, None), "face_spent"),
        (Standing((Need.FACE,), False, 5, None, "record_photo_too_old"), "record_photo_too_old"),
        (Standing((Need.FACE,), False, 5, None, "record-no-face"), "face_unavailable"),
    ],
    ids=["spent", "old-photo", "unread"],
)
async def test_whom_no_camera_can_read_is_told_before_a_card_is_touched(
    migrated: Migrated, standing: Standing, code: str
) -> None:
    """At home there are no officers: the counter is the way, and it is said at once."""
    hall = TapHall(await migrated("issuer"), face=True)
    hall.faces.standing = standing
    phone = TapPhone(hall)
    assert (await phone.ask("/issuer/tap/sessions", {"dpop_jkt": phone.dpop_key.kid})).json()["error"] == code


def matched(hall: TapHall) -> FaceMatched:
    return FaceMatched("challenge", hall.clock.now(), True, False, "match", "dlib 1")


# --- whose it is ------------------------------------------------------------------------------------------------------


async def test_the_offer_is_redeemed_by_the_keys_of_the_session_alone(hall: TapHall) -> None:
    """Bound before the card was touched: neither another phone of the same person nor another DPoP key will do."""
    phone = TapPhone(hall)
    await tapped(hall, phone)
    code = await phone.offered_code((await phone.confirm()).json()["offer"])
    other = Phone(hall, "jisoo", "active", "new-phone")
    assert (await other.redeem(code)).status_code == 400
    mixed = Phone(hall, "jisoo", "active", "new-phone")
    mixed.client = phone.client
    assert (await mixed.redeem(code)).status_code == 400
    assert (await phone.redeem(code)).status_code == 200


async def test_a_session_is_shown_to_its_own_wallet_only(hall: TapHall) -> None:
    phone, other = TapPhone(hall), TapPhone(hall, "minho", device="other")
    await phone.begin()
    for path in ("state", "confirm", "cancel"):
        answer = await other.ask(f"/issuer/tap/sessions/{phone.session}/{path}")
        assert (answer.status_code, answer.json()["error"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        (Issued(person="minho"), ("chip_refused", "person")),
        (Issued(state="lost"), ("chip_not_active", "status")),
        (Issued(state="made"), ("chip_not_active", "status")),
        (Issued(state="replaced"), ("chip_not_active", "status")),
        (Issued(expires=__import__("datetime").date(2026, 3, 1)), ("chip_not_active", "status")),
        (Issued(chip_key_hash=sha(b"another chip")), ("chip_refused", "key")),
        (None, ("chip_refused", "register")),
    ],
    ids=["another-person", "lost", "not-handed-over", "replaced", "expired", "another-key", "unknown"],
)
async def test_only_the_persons_own_active_card_counts(
    hall: TapHall, card: Issued | None, expected: tuple[str, str]
) -> None:
    hall.cards.by = {sha(SOD): card} if card is not None else {}
    phone = TapPhone(hall)
    last = await tapped(hall, phone)
    assert (last["type"], last["code"], last["step"]) == ("refused", *expected)
    assert await failed(phone) == expected


async def test_a_card_without_our_signature_is_refused(hall: TapHall) -> None:
    phone = TapPhone(hall)
    await phone.begin()
    helper = await Told.open(hall)
    await helper.hello(phone.secret)
    assert (await helper.card(sod=b"made at home"))["step"] == "sod"
    assert await failed(phone) == ("chip_refused", "sod")


async def test_the_chip_must_name_the_card_we_made(hall: TapHall) -> None:
    """A forged DG1 would not pass the signature; a card number that is not the register's is refused besides."""
    phone = TapPhone(hall)
    await phone.begin()
    assert (await (await Told.open(hall)).whole(phone.secret, "M99999999"))["step"] == "number"
    assert await failed(phone) == ("chip_refused", "number")


@pytest.mark.parametrize("state", ["suspended", "ended"])
async def test_a_phone_that_is_locked_or_ended_opens_nothing(hall: TapHall, state: str) -> None:
    phone = TapPhone(hall, state=state)
    answer = await phone.ask("/issuer/tap/sessions", {"dpop_jkt": phone.dpop_key.kid})
    assert answer.json()["error"] == "device_suspended"


async def test_a_person_who_may_not_have_one_is_told_before_any_card_is_touched(hall: TapHall) -> None:
    hall.register.gone["jisoo"] = hall.country.today(hall.clock.now())
    answer = await TapPhone(hall).ask("/issuer/tap/sessions", {"dpop_jkt": "x" * 43})
    assert answer.json()["error"] == "deceased"


def guards(hall: TapHall, *marks: str) -> None:
    """Jisoo is guardian of these in the register."""
    known = hall.register.people["jisoo"]
    records = {f"ward:{mark}": {"name": mark, "birth_date": "2018-01-31"} for mark in marks}
    hall.register.people["jisoo"] = msgspec.structs.replace(known, records=records)


async def test_a_guardian_of_two_is_sent_to_a_counter_before_her_phone_has_moved(hall: TapHall) -> None:
    """Nobody at a chip says for which of them: the card could not be signed, and the old phone would be gone."""
    guards(hall, "onyu")
    asked = {"dpop_jkt": "x" * 43, "document": "guardian_card"}
    phone = TapPhone(hall)
    assert (await phone.ask("/issuer/tap/sessions", asked)).status_code == 201
    guards(hall, "onyu", "onbyeol")
    answer = await phone.ask("/issuer/tap/sessions", asked)
    assert answer.json()["error"] == "not_allowed", answer.text
    listed = await hall.http.get(f"{BASE}/issuer/documents", headers=phone.attestation())
    ways = {one["id"]: one["paths"] for one in listed.json()["documents"]}
    assert ways["guardian_card"] == ["counter"] and "chip" in ways["resident_card"]


async def test_a_tap_for_an_only_ward_is_about_that_one(hall: TapHall) -> None:
    """So that the counter's card about the same child ends it, and one about another does not."""
    guards(hall, "onyu")
    phone = TapPhone(hall, state="active")
    await phone.begin(document="guardian_card")
    await (await Told.open(hall)).whole(phone.secret)
    assert (await phone.confirm()).status_code == 200
    assert [row["about"] for row in await hall.db.all("SELECT about FROM issue_order")] == ["onyu"]


@pytest.mark.parametrize(
    "body", [{}, {"dpop_jkt": "x"}, {"dpop_jkt": "가" * 43}, {"dpop_jkt": "x" * 43, "person": "minho"}], ids=range(4)
)
async def test_an_odd_wish_is_refused(hall: TapHall, body: dict[str, str]) -> None:
    assert (await TapPhone(hall).ask("/issuer/tap/sessions", body)).json()["error"] == "malformed"


# --- how often --------------------------------------------------------------------------------------------------------


async def test_a_card_leads_to_one_issuance_a_day(hall: TapHall) -> None:
    phone = TapPhone(hall, state="active")
    await tapped(hall, phone)
    await fetched(phone)
    hall.clock.advance(hours=23, minutes=59)
    again = TapPhone(hall)
    assert (await tapped(hall, again))["code"] == "chip_used"
    assert await failed(again) == ("chip_used", "use")
    hall.clock.advance(minutes=2)
    assert (await tapped(hall, again)) == {"type": "done"}


async def test_a_clock_ahead_for_a_moment_gives_no_second_card_and_parks_none(hall: TapHall) -> None:
    phone = TapPhone(hall, state="active")
    await tapped(hall, phone)
    await fetched(phone)
    hall.clock.leap(days=400)
    await hall.taps.tidy()
    hall.clock.leap(days=-400)
    again = TapPhone(hall)
    assert (await tapped(hall, again))["code"] == "chip_used"
    hall.clock.advance(days=1)
    hall.clock.leap(days=400)
    await tapped(hall, again)
    await fetched(again)
    hall.clock.leap(days=-400)
    hall.clock.advance(days=1, minutes=1)
    assert (await tapped(hall, TapPhone(hall))) == {"type": "done"}


async def test_two_sessions_that_race_with_one_card_end_with_one(hall: TapHall) -> None:
    """Both proved the chip before either confirmed: the first to confirm wins, the other learns why not."""
    phones = [TapPhone(hall, device="a"), TapPhone(hall, device="b")]
    for phone in phones:
        assert await tapped(hall, phone) == {"type": "done"}
    assert (await phones[1].confirm()).status_code == 200
    lost = await phones[0].confirm()
    assert lost.json()["error"] == "chip_used"
    assert await failed(phones[0]) == ("chip_used", "use")


async def test_a_phone_that_begins_anew_ends_what_it_began(hall: TapHall) -> None:
    phone = TapPhone(hall)
    await phone.begin()
    first, secret = phone.session, phone.secret
    await phone.begin()
    assert (await (await Told.open(hall)).hello(secret))["code"] == "session_spent"
    phone.session, second = first, phone.session
    assert await failed(phone) == ("session_spent", "replaced")
    assert second != first


async def test_a_person_begins_only_so_often(hall: TapHall) -> None:
    phone = TapPhone(hall)
    for _ in range(12):
        await phone.begin()
    answer = await phone.ask("/issuer/tap/sessions", {"dpop_jkt": phone.dpop_key.kid})
    assert answer.json()["error"] == "too_often"
    hall.clock.advance(hours=1, seconds=1)
    await phone.begin()


# --- saying no, and being late ----------------------------------------------------------------------------------------


async def test_the_person_says_no(hall: TapHall) -> None:
    phone = TapPhone(hall)
    await tapped(hall, phone)
    assert (await phone.cancel()).json()["state"] == "failed"
    assert (await phone.confirm()).json()["error"] == "access_denied"
    assert hall.told_people == [] and await hall.stop_links() == []


async def test_no_comes_too_late_for_what_is_offered(hall: TapHall) -> None:
    phone = TapPhone(hall)
    await tapped(hall, phone)
    await phone.confirm()
    assert (await phone.cancel()).json()["state"] == "offered"


async def test_a_session_ends_in_time_whoever_looks(hall: TapHall) -> None:
    phone, other = TapPhone(hall), TapPhone(hall, "minho", device="other")
    await tapped(hall, phone)
    await other.begin()
    hall.clock.advance(seconds=601)
    assert await failed(phone) == ("session_spent", "time")
    assert await hall.taps.tidy() == 1  # the other, which nobody looked at
    assert await failed(other) == ("session_spent", "time")


async def test_an_offer_that_ran_out_is_opened_again_for_the_asking(hall: TapHall) -> None:
    """The phone was off. The chip's proof is as good as an officer's look: an hour."""
    phone = TapPhone(hall)
    await tapped(hall, phone)
    first = (await phone.confirm()).json()["offer"]
    assert (await phone.confirm()).json()["offer"] == first
    hall.clock.advance(seconds=hall.country.issuance.offer_seconds + 1)
    second = (await phone.confirm()).json()["offer"]
    assert second != first
    assert (await phone.redeem(await phone.offered_code(second))).status_code == 200


# --- between the steps ------------------------------------------------------------------------------------------------


async def test_a_card_reported_lost_before_the_offer_gets_none(hall: TapHall) -> None:
    phone = TapPhone(hall)
    await tapped(hall, phone)
    hall.cards.mark("lost")
    assert (await phone.confirm()).json()["error"] == "chip_not_active"
    assert await failed(phone) == ("chip_not_active", "status")
    assert hall.phones is not None and hall.phones.moved == []


async def test_a_death_between_the_chip_and_the_confirmation_stops_it(hall: TapHall) -> None:
    phone = TapPhone(hall)
    await tapped(hall, phone)
    hall.register.gone["jisoo"] = hall.country.today(hall.clock.now())
    assert (await phone.confirm()).json()["error"] == "deceased"
    assert await failed(phone) == ("deceased", "")


async def test_a_phone_that_was_locked_meanwhile_gets_nothing(hall: TapHall) -> None:
    phone = TapPhone(hall, state="active")
    await tapped(hall, phone)
    phone.standing["state"] = "suspended"
    assert (await phone.confirm()).json()["error"] == "device_suspended"
    assert hall.told_people == [] and not await hall.db.all("SELECT * FROM tap_use")


async def test_a_card_reported_lost_after_the_offer_signs_nothing(hall: TapHall) -> None:
    """Revoked between the steps: looked at once more before the first signature."""
    phone = TapPhone(hall)
    await tapped(hall, phone)
    code = await phone.offered_code((await phone.confirm()).json()["offer"])
    await phone.redeem(code)
    hall.cards.mark("lost")
    assert (await phone.fetch()).status_code == 400
    assert hall.pen.signed == []


async def test_what_is_issued_already_does_not_hang_on_the_plastic(hall: TapHall) -> None:
    """The mobile card is a card of its own: losing the other one later does not stop its renewal."""
    phone = TapPhone(hall, state="active")
    await tapped(hall, phone)
    await fetched(phone)
    hall.cards.mark("lost")
    assert (await phone.renew()).status_code == 200
    assert (await phone.fetch()).status_code == 200


async def test_a_register_of_cards_that_is_silent_fails_closed(hall: TapHall) -> None:
    phone = TapPhone(hall)
    hall.cards.silent = True
    assert (await tapped(hall, phone))["code"] == "unavailable"
    assert await failed(phone) == ("unavailable", "message")
    hall.cards.silent = False
    assert await tapped(hall, phone) == {"type": "done"}


@pytest.mark.parametrize("who", ["cards", "register", "phones"])
async def test_whoever_is_silent_at_the_confirmation_can_be_asked_again(hall: TapHall, who: str) -> None:
    """Nothing was decided yet: the session waits, and nobody was told anything."""
    phone = TapPhone(hall)
    await tapped(hall, phone)
    getattr(hall, who).silent = True
    assert (await phone.confirm()).status_code == 503
    assert (await phone.state())["state"] == "confirm" and hall.told_people == []
    getattr(hall, who).silent = False
    await fetched(phone)


async def test_a_lost_answer_to_the_move_is_asked_for_again(hall: TapHall) -> None:
    await hall.carded("jisoo", "case-1")
    phone = TapPhone(hall)
    await tapped(hall, phone)
    assert hall.phones is not None
    hall.phones.fail_after_move = True
    assert (await phone.confirm()).status_code == 503
    assert (await phone.state())["state"] == "confirm"  # the wallet asks once more
    hall.phones.fail_after_move = False
    await fetched(phone)
    assert len(hall.phones.moved) == 1 and await live_batches(hall.db) == 1


async def test_another_phone_that_moved_in_meanwhile_wins(hall: TapHall) -> None:
    """An officer gave the place to a third phone between the confirmation and the move."""
    phone = TapPhone(hall)
    await tapped(hall, phone)
    assert hall.phones is not None
    session = await hall.taps._again(await _session(hall, phone))
    begun = await hall.taps._begin(session)
    assert begun.state.value == "issuing"
    phone.standing["state"] = "ended"
    assert (await phone.confirm()).status_code >= 400
    assert (await failed(phone))[0] == "not_found"


async def _session(hall: TapHall, phone: TapPhone) -> Any:
    from mapae.issuer.tap import store

    return await store.get(hall.db, phone.session)


async def test_what_a_wallet_confirmed_and_left_is_finished_by_somebody_else(hall: TapHall) -> None:
    phone = TapPhone(hall)
    await tapped(hall, phone)
    await hall.taps._begin(await _session(hall, phone))
    assert await hall.taps.tidy() == 0, "the wallet may still be about to do it"
    hall.clock.advance(seconds=16)
    assert await hall.taps.tidy() == 1
    assert (await phone.state())["state"] == "offered"


async def test_what_stayed_undone_for_an_hour_moves_nobody_and_uses_nothing_up(hall: TapHall) -> None:
    """The wallet provider was away too long: the proof is stale, so the old phone stays what it was, and the card may
    be tapped again at once."""
    old = await hall.carded("jisoo", "case-1")
    phone = TapPhone(hall)
    await tapped(hall, phone)
    await hall.taps._begin(await _session(hall, phone))
    assert hall.phones is not None
    hall.phones.silent = True
    hall.clock.advance(minutes=30)
    with pytest.raises(Refused):
        await hall.taps.tidy()
    hall.phones.silent = False
    hall.clock.advance(minutes=31)
    await hall.taps.tidy()
    assert await failed(phone) == ("evidence_missing", "time")
    assert old.standing["state"] == "active" and hall.phones.moved == []
    await tapped(hall, phone)
    await fetched(phone)


# --- being told, and stopping -----------------------------------------------------------------------------------------


async def test_an_independent_channel_is_told_with_a_link_that_stops_everything(hall: TapHall) -> None:
    await hall.carded("jisoo", "case-1")
    phone = TapPhone(hall)
    await tapped(hall, phone)
    await fetched(phone)
    (link,) = await hall.stop_links()
    assert hall.told_people[0]["kind"] == "card_used_for_new_phone" and hall.told_people[0]["person"] == "jisoo"
    await hall.outbox.run_once()
    assert len(hall.told_people) == 1

    page = await hall.http.get(link, headers={"accept-language": "en"})
    assert page.status_code == 200 and page.headers["referrer-policy"] == "no-referrer"
    token = page.text.partition('name="csrf" value="')[2].partition('"')[0]
    for _ in range(2):  # twice does no harm
        done = await hall.http.post(link, data={"csrf": token})
        assert done.status_code == 200 and 'id="stopped"' in done.text
    assert {one.state for one in await hall.issuer.holdings("jisoo")} == {"ended", "suspended"}
    assert ("/wallet-provider/peer/suspend", "jisoo") in [
        (path, said.get("person")) for path, said in await _after(hall)
    ]


async def _after(hall: TapHall) -> list[tuple[str, dict[str, Any]]]:
    hall.clock.advance(seconds=1)
    await hall.outbox.run_once()
    return hall.provider.asked


async def test_after_a_stop_no_card_is_tapped_until_a_counter_released(hall: TapHall) -> None:
    await hall.carded("jisoo", "case-1")
    phone = TapPhone(hall)
    await tapped(hall, phone)
    await fetched(phone)
    (link,) = await hall.stop_links()
    await hall.notices.stop(link.rpartition("/")[2])
    hall.clock.advance(days=2)
    thief = TapPhone(hall, device="thief")
    answer = await thief.ask("/issuer/tap/sessions", {"dpop_jkt": thief.dpop_key.kid})
    assert answer.json()["error"] == "not_allowed"
    await hall.issuer.release("jisoo", "officer-1", hall.evidence())
    await thief.begin()


async def test_a_new_card_at_the_counter_lifts_a_stop_as_well(hall: TapHall) -> None:
    phone = TapPhone(hall)
    await tapped(hall, phone)
    await phone.confirm()
    (link,) = await hall.stop_links()
    await hall.notices.stop(link.rpartition("/")[2])
    hall.clock.advance(days=1)
    for action, case in (("offered", "before"), ("issued", "another"), ("offered", "c-2"), ("issued", "c-2")):
        refused = await TapPhone(hall, device="newer").ask("/issuer/tap/sessions", {"dpop_jkt": phone.dpop_key.kid})
        assert refused.json()["error"] == "not_allowed"
        event = Event("jisoo", "case", action, "officer-1", {"case": case})
        await hall.db.write(lambda tx, event=event: record(tx, event, hall.clock.now()))
    await TapPhone(hall, device="newer").begin()


async def test_a_stop_ends_what_is_under_way(hall: TapHall) -> None:
    """Between the confirmation and the card: nothing comes of it any more."""
    phone = TapPhone(hall)
    await tapped(hall, phone)
    code = await phone.offered_code((await phone.confirm()).json()["offer"])
    (link,) = await hall.stop_links()
    await hall.notices.stop(link.rpartition("/")[2])
    assert (await phone.redeem(code)).status_code == 400
    assert hall.pen.signed == []


async def test_a_stop_in_the_middle_of_the_issuing_leaves_no_offer(hall: TapHall) -> None:
    phone = TapPhone(hall)
    await tapped(hall, phone)
    await hall.taps._begin(await _session(hall, phone))
    (link,) = await hall.stop_links()
    await hall.notices.stop(link.rpartition("/")[2])
    assert (await phone.confirm()).status_code == 403
    assert await failed(phone) == ("not_allowed", "stopped")


@pytest.mark.parametrize("told", [True, False], ids=["the provider knows", "the provider hears later"])
async def test_a_stop_while_the_phone_moves_leaves_no_phone_that_works(
    hall: TapHall, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The move is on its way to the wallet provider when the owner says stop: whichever arrives first."""
    old = await hall.carded("jisoo", "case-1")
    phone = TapPhone(hall)
    await tapped(hall, phone)
    ask = hall.phones.call

    async def heard() -> None:
        for path, message in await _after(hall):
            if path.endswith("/suspend"):
                hall.phones.suspend(message)

    async def call(role: str, path: str, message: Mapping[str, Any]) -> dict[str, Any]:
        if path.endswith("/move"):
            (link,) = await hall.stop_links()
            await hall.notices.stop(link.rpartition("/")[2])
            if told:
                await heard()
        return await ask(role, path, message)

    monkeypatch.setattr(hall.phones, "call", call)
    assert (await phone.confirm()).status_code == 403
    await heard()
    assert await failed(phone) == ("not_allowed", "stopped")
    states = (old.standing["state"], phone.standing["state"])
    assert states == (("suspended", "ended") if told else ("ended", "suspended"))
    assert [one.state for one in await hall.issuer.holdings("jisoo")] == ["suspended" if told else "ended"]


async def test_a_stop_link_is_good_for_a_week_and_only_as_a_whole(hall: TapHall) -> None:
    phone = TapPhone(hall)
    await tapped(hall, phone)
    await phone.confirm()
    (link,) = await hall.stop_links()
    for wrong in (link[:-1], link + "x", "/stop/x"):
        assert (await hall.http.get(wrong)).status_code == 404
    stored = [bytes(row["secret_hash"]) for row in await hall.db.all("SELECT secret_hash FROM stop_link")]
    assert stored == [sha(link.rpartition("/")[2].encode())]
    payloads = [row["payload"] for row in await hall.db.all("SELECT payload FROM outbox_item")]
    assert not any(link.rpartition("/")[2] in payload for payload in payloads)
    hall.clock.advance(days=7, seconds=1)
    assert (await hall.http.get(link)).status_code == 404
