"""A till asks one customer one question, learns the answer once, and keeps nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import msgspec
import pytest

from mapae.audit import events_about, first_broken_link
from mapae.clock import MovableClock
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.formats import status
from mapae.verifier.asking.ask import Form
from mapae.verifier.asking.questions import asker_of
from mapae.verifier.asking.store import Outcome, Till, Verdict
from mapae.verifier.checking.check import Format
from mapae.verifier.till.kiosk import INVITATION, LIFE, REMEMBER, SEEN, UNSEEN, Ended, Waiting
from unit.verifier.shop import ACCESS, NAMES, Shop, asked_in, opened, request_id, sealed, trust_list
from unit.verifier.world import CLAIMS, FORMATS, NOW, STRANGER, TODAY, Card


async def ended(shop: Shop, till: Till, id: str) -> Ended:
    look = await shop.verifier.look(till, id)
    assert isinstance(look, Ended)
    return look


async def verdict_of(
    shop: Shop, card: Card, format: Format = Format.SD_JWT, purpose: str = "alcohol_tobacco"
) -> Verdict:
    till = await shop.till()
    id = await shop.verifier.open(till, purpose, Form(format.value))
    await shop.verifier.answer(id, await shop.reply(id, card, format))
    return (await ended(shop, till, id)).verdict


# --- a question and its answer ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
async def test_an_adult_is_accepted(shop: Shop, format: Format) -> None:
    assert await verdict_of(shop, Card(), format) == Verdict(Outcome.ACCEPTED, None, None, None, format.value)


@pytest.mark.parametrize("format", FORMATS)
async def test_a_minor_gets_a_no_that_is_no_refusal(shop: Shop, format: Format) -> None:
    verdict = await verdict_of(shop, Card(claims={**CLAIMS, "adult_by_year": False}), format)
    assert verdict == Verdict(Outcome.NO, None, "answer_no", None, format.value)


async def test_the_two_tests_of_adulthood_are_asked_apart(shop: Shop) -> None:
    """Born 2007-12-01: by calendar year an adult to the tobacconist, not yet 19 to the law of contracts."""
    card = Card(claims={**CLAIMS, "adult_by_year": True, "age_over_19": False})
    assert (await verdict_of(shop, card, purpose="alcohol_tobacco")).outcome is Outcome.ACCEPTED
    assert (await verdict_of(shop, card, purpose="adult_contract")).outcome is Outcome.NO


async def test_a_locked_card_is_refused_at_standing_within_five_seconds(shop: Shop) -> None:
    assert (await verdict_of(shop, Card())).outcome is Outcome.ACCEPTED
    shop.lists.standing = status.SUSPENDED
    shop.clock.advance(seconds=3)
    verdict = await verdict_of(shop, Card())
    assert (verdict.outcome, verdict.step, verdict.code) == (Outcome.REFUSED, "standing", "suspended")


async def test_a_card_to_renew_is_accepted_with_a_note(shop: Shop) -> None:
    shop.lists.standing = status.RENEW
    assert (await verdict_of(shop, Card())).note == "renew"


async def test_an_expired_copy_is_refused_at_dates(shop: Shop) -> None:
    verdict = await verdict_of(shop, Card(ends=TODAY + timedelta(hours=3)))
    assert (verdict.step, verdict.code) == ("dates", "expired")


async def test_a_forged_card_is_refused_at_issuer(shop: Shop) -> None:
    verdict = await verdict_of(shop, Card(STRANGER))
    assert (verdict.step, verdict.code) == ("issuer", "untrusted_issuer")


async def test_without_the_status_server_nobody_is_waved_through(shop: Shop) -> None:
    shop.lists.up = False
    verdict = await verdict_of(shop, Card())
    assert (verdict.step, verdict.code) == ("standing", "status_unknown")


async def test_a_customer_can_say_no(shop: Shop) -> None:
    till = await shop.till()
    id = await shop.verifier.open(till, "alcohol_tobacco")
    request = await shop.request(id)
    await shop.verifier.answer(id, {"error": "access_denied", "state": request["state"]})
    assert (await ended(shop, till, id)).verdict == Verdict(Outcome.DECLINED, code="access_denied")


async def test_a_wallet_can_say_no_under_seal_and_its_words_are_not_repeated(shop: Shop) -> None:
    till = await shop.till()
    id = await shop.verifier.open(till, "alcohol_tobacco")
    request = await shop.request(id)
    answer = {"error": "<b>you lose</b>", "state": request["state"]}
    await shop.verifier.answer(id, {"response": sealed(request, answer)})
    assert (await ended(shop, till, id)).verdict == Verdict(Outcome.DECLINED, code="wallet_error")


async def test_the_answer_may_use_either_cipher(shop: Shop) -> None:
    till = await shop.till()
    id = await shop.verifier.open(till, "alcohol_tobacco")
    request = await shop.request(id)
    assert request["client_metadata"]["encrypted_response_enc_values_supported"] == ["A256GCM", "A128GCM"]
    shown = Card().show(Format.SD_JWT, asked_in(request))
    answer = {"vp_token": {"sd_jwt": [shown.presentation]}, "state": request["state"]}
    await shop.verifier.answer(id, {"response": sealed(request, answer, "A128GCM")})
    assert (await ended(shop, till, id)).verdict.outcome is Outcome.ACCEPTED


# --- once -------------------------------------------------------------------------------------------------------------


async def test_a_question_is_answered_once(shop: Shop) -> None:
    till = await shop.till()
    id = await shop.verifier.open(till, "alcohol_tobacco")
    reply = await shop.reply(id)
    await shop.verifier.answer(id, reply)
    with pytest.raises(Refused) as refused:
        await shop.verifier.answer(id, reply)
    assert refused.value.code is Code.SESSION_SPENT


async def test_of_two_answers_at_once_one_counts(shop: Shop) -> None:
    till = await shop.till()
    id = await shop.verifier.open(till, "alcohol_tobacco")
    good = await shop.reply(id)
    bad = await shop.reply(id, Card(claims={**CLAIMS, "adult_by_year": False}))
    results = await asyncio.gather(
        *(shop.verifier.answer(id, reply) for reply in (good, bad, good, bad)), return_exceptions=True
    )
    assert sorted(isinstance(result, Refused) for result in results) == [False, True, True, True]
    assert {r.code for r in results if isinstance(r, Refused)} == {Code.SESSION_SPENT}


async def test_an_answer_to_one_till_is_no_answer_to_another(shop: Shop) -> None:
    first, second = await shop.till(), await shop.till()
    one, two = await shop.verifier.open(first, "alcohol_tobacco"), await shop.verifier.open(second, "alcohol_tobacco")
    reply = await shop.reply(one)
    with pytest.raises(Refused) as refused:
        await shop.verifier.answer(two, reply)
    assert refused.value.step is None
    assert isinstance(await shop.verifier.look(second, two), Waiting)


async def test_rubbish_changes_nothing(shop: Shop) -> None:
    till = await shop.till()
    id = await shop.verifier.open(till, "alcohol_tobacco")
    request = await shop.request(id)
    state = request["state"]
    for fields in (
        {}, {"response": ""}, {"response": "a.b.c.d.e"}, {"response": "x" * 300_000},
        {"vp_token": "{}", "state": state}, {"error": "access_denied"}, {"error": "access_denied", "state": "another"},
        {"response": sealed(request, {"vp_token": {"sd_jwt": ["x"]}})},
        {"response": sealed(request, {"vp_token": {"sd_jwt": ["x"]}, "state": "another"})},
        {"response": sealed(request, [1])},
    ):  # fmt: skip
        with pytest.raises(Refused) as refused:
            await shop.verifier.answer(id, fields)
        assert refused.value.step is None
    assert isinstance(await shop.verifier.look(till, id), Waiting)
    await shop.verifier.answer(id, await shop.reply(id))
    assert (await ended(shop, till, id)).verdict.outcome is Outcome.ACCEPTED


@pytest.mark.parametrize(
    "token",
    [None, [], {}, {"sd_jwt": []}, {"sd_jwt": "x"}, {"sd_jwt": [1]}, {"sd_jwt": ["x", "y"]}, {"other": ["x"]},
     {"sd_jwt": ["x"], "mdoc": ["y"]}],
)  # fmt: skip
async def test_an_answer_that_holds_something_else_is_refused_at_request(shop: Shop, token: object) -> None:
    till = await shop.till()
    id = await shop.verifier.open(till, "alcohol_tobacco")
    request = await shop.request(id)
    await shop.verifier.answer(id, {"response": sealed(request, {"vp_token": token, "state": request["state"]})})
    verdict = (await ended(shop, till, id)).verdict
    assert (verdict.outcome, verdict.step, verdict.code) == (Outcome.REFUSED, "request", "not_what_was_asked")


async def test_the_format_that_was_not_asked_is_refused(shop: Shop) -> None:
    till = await shop.till()
    id = await shop.verifier.open(till, "alcohol_tobacco", Form.MDOC)
    await shop.verifier.answer(id, await shop.reply(id, Card(), Format.SD_JWT))
    assert (await ended(shop, till, id)).verdict.step == "request"


# --- time -------------------------------------------------------------------------------------------------------------


async def test_a_question_ends_when_nobody_answers(shop: Shop) -> None:
    till = await shop.till()
    id = await shop.verifier.open(till, "alcohol_tobacco")
    reply = await shop.reply(id)
    look = await shop.verifier.look(till, id)
    assert isinstance(look, Waiting)
    assert look.seconds_left == LIFE.total_seconds()
    shop.clock.advance(LIFE)
    with pytest.raises(Refused) as refused:
        await shop.verifier.answer(id, reply)
    assert refused.value.code is Code.SESSION_SPENT
    with pytest.raises(Refused):
        await shop.verifier.request_object(id)
    assert (await ended(shop, till, id)).verdict.outcome is Outcome.EXPIRED


async def test_the_page_knows_when_the_customer_is_reading(shop: Shop) -> None:
    till = await shop.till()
    id = await shop.verifier.open(till, "alcohol_tobacco")
    before = await shop.verifier.look(till, id)
    await shop.verifier.request_object(id)
    after = await shop.verifier.look(till, id)
    assert isinstance(before, Waiting) and isinstance(after, Waiting)
    assert (before.fetched, after.fetched) == (False, True)


async def test_the_next_question_ends_the_one_before(shop: Shop) -> None:
    till = await shop.till()
    first = await shop.verifier.open(till, "alcohol_tobacco")
    second = await shop.verifier.open(till, "adult_contract")
    assert (await ended(shop, till, first)).verdict.outcome is Outcome.CANCELLED
    assert isinstance(await shop.verifier.look(till, second), Waiting)


async def test_a_till_that_opens_two_at_once_has_one_open(shop: Shop) -> None:
    till = await shop.till()
    results = await asyncio.gather(
        *(shop.verifier.open(till, "alcohol_tobacco") for _ in range(4)), return_exceptions=True
    )
    rows = await shop.db.all("SELECT id FROM check_session WHERE till = $1 AND state = 'open'", till.id)
    assert len(rows) == 1
    assert all(isinstance(r, str) or (isinstance(r, Refused) and r.code is Code.CONFLICT) for r in results)


async def test_a_cancelled_question_takes_no_answer_and_an_answer_no_cancel(shop: Shop) -> None:
    till = await shop.till()
    id = await shop.verifier.open(till, "alcohol_tobacco")
    reply = await shop.reply(id)
    await shop.verifier.cancel(till, id)
    with pytest.raises(Refused):
        await shop.verifier.answer(id, reply)
    id = await shop.verifier.open(till, "alcohol_tobacco")
    await shop.verifier.answer(id, await shop.reply(id))
    await shop.verifier.cancel(till, id)
    assert (await ended(shop, till, id)).verdict.outcome is Outcome.ACCEPTED


# --- keeping nothing --------------------------------------------------------------------------------------------------


async def everything_kept(shop: Shop) -> str:
    tables = ("check_session", "till", "till_invitation", "audit_event", "outbox_item")
    rows = [row for table in tables for row in await shop.db.all(f"SELECT * FROM {table}")]
    return repr([dict(row) for row in rows])


async def test_of_an_adult_check_nothing_about_the_person_is_kept(shop: Shop) -> None:
    till = await shop.till()
    id = await shop.verifier.open(till, "alcohol_tobacco")
    await shop.verifier.answer(id, await shop.reply(id))
    row = await shop.db.one("SELECT * FROM check_session WHERE id = $1", id)
    assert row is not None
    assert (row["shown"], row["secret"]) == (None, None)
    kept = await everything_kept(shop)
    assert not any(str(value) in kept for name, value in CLAIMS.items() if isinstance(value, str))
    assert await first_broken_link(shop.db) is None


async def test_shown_values_are_sealed_then_seen_then_erased(shop: Shop) -> None:
    till = await shop.till()
    id = await shop.verifier.open(till, "name_birth_date")
    await shop.verifier.answer(id, await shop.reply(id))
    assert CLAIMS["name"] not in await everything_kept(shop)
    assert CLAIMS["birth_date"] not in await everything_kept(shop)
    seen = await ended(shop, till, id)
    assert {name: value for _, name, value in seen.shown} == {"name": "김지수", "birth_date": "2001-03-09"}
    shop.clock.advance(SEEN)
    gone = await ended(shop, till, id)
    assert (gone.shown, gone.erased) == ((), True)
    row = await shop.db.one("SELECT shown FROM check_session WHERE id = $1", id)
    assert row is not None and row["shown"] is None


async def test_looking_again_does_not_buy_time(shop: Shop) -> None:
    till = await shop.till()
    id = await shop.verifier.open(till, "name_birth_date")
    await shop.verifier.answer(id, await shop.reply(id))
    for _ in range(2):
        assert (await ended(shop, till, id)).shown
        shop.clock.advance(SEEN / 2)
    assert not (await ended(shop, till, id)).shown


async def test_values_nobody_looked_at_are_erased_by_the_sweep(shop: Shop) -> None:
    till = await shop.till()
    id = await shop.verifier.open(till, "name_birth_date")
    await shop.verifier.answer(id, await shop.reply(id))
    shop.clock.advance(UNSEEN)
    await shop.verifier.sweep()
    row = await shop.db.one("SELECT shown FROM check_session WHERE id = $1", id)
    assert row is not None and row["shown"] is None


async def test_next_customer_erases_at_once(shop: Shop) -> None:
    till = await shop.till()
    id = await shop.verifier.open(till, "name_birth_date")
    await shop.verifier.answer(id, await shop.reply(id))
    assert (await ended(shop, till, id)).shown
    await shop.verifier.done(till, id)
    assert not (await ended(shop, till, id)).shown


async def test_what_has_ended_and_is_not_forgotten_yet_costs_no_write_a_look(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.verifier.invite("mart")
    shop.clock.advance(INVITATION)
    await shop.verifier.sweep()
    before = await shop.db.one("SELECT count(*) AS n FROM till_invitation")
    assert before is not None and before["n"] == 1  # it is over, and forgotten later
    monkeypatch.setattr(shop.db, "write", None)  # not even begun
    for _ in range(3):
        await shop.verifier.sweep()


async def test_a_clock_ahead_for_a_moment_signs_no_till_off(shop: Shop) -> None:
    """It would have to be enrolled again, by somebody who comes to the shop."""
    till = await shop.till()
    id = await shop.verifier.open(till, "alcohol_tobacco")
    await shop.verifier.answer(id, await shop.reply(id))
    shop.clock.leap(days=400)
    await shop.verifier.sweep()
    shop.clock.leap(days=-400)
    assert (
        len(await shop.db.all("SELECT id FROM till")) == 1
        and len(await shop.db.all("SELECT id FROM check_session")) == 1
    )


async def test_the_chain_says_nothing_by_which_a_browsers_visits_could_be_put_together(shop: Shop) -> None:
    """It is kept for ever, and a site's visitor has one cookie for a day."""
    visitor = asker_of("the cookie of a browser")
    for _ in range(2):
        till = Till(visitor, "mart", shop.clock.now() + timedelta(days=1))
        id = await shop.verifier.open(till, "alcohol_tobacco")
        assert [one.event.actor for one in await events_about(shop.db, id)] == ["visitor"]
    rows = await shop.db.all("SELECT * FROM audit_event")
    assert all(visitor.removeprefix("visit-") not in str(tuple(row)) for row in rows)


async def test_ended_questions_are_forgotten(shop: Shop) -> None:
    till = await shop.till()
    id = await shop.verifier.open(till, "alcohol_tobacco")
    await shop.verifier.answer(id, await shop.reply(id))
    shop.clock.advance(REMEMBER)
    await shop.verifier.sweep()
    assert await shop.db.all("SELECT id FROM check_session") == []


async def test_a_refused_card_leaves_nothing_shown(shop: Shop) -> None:
    shop.lists.standing = status.SUSPENDED
    till = await shop.till()
    id = await shop.verifier.open(till, "name_birth_date")
    await shop.verifier.answer(id, await shop.reply(id))
    look = await ended(shop, till, id)
    assert (look.verdict.code, look.shown, look.erased) == ("suspended", (), False)


# --- whose till -------------------------------------------------------------------------------------------------------


async def test_a_code_enrols_one_till_of_its_shop(shop: Shop) -> None:
    invitation = await shop.verifier.invite("rental")
    till, token = await shop.verifier.enrol(invitation.code.lower().replace("-", " "))
    assert till.relying_party == "rental"
    assert await shop.verifier.till(token) == till
    assert await shop.verifier.shop(till) == NAMES["rental"]
    with pytest.raises(Refused) as refused:
        await shop.verifier.enrol(invitation.code)
    assert refused.value.code is Code.CODE_SPENT


async def test_two_browsers_with_one_code_race_and_one_is_enrolled(shop: Shop) -> None:
    code = (await shop.verifier.invite("mart")).code
    results = await asyncio.gather(*(shop.verifier.enrol(code) for _ in range(4)), return_exceptions=True)
    assert sum(not isinstance(result, BaseException) for result in results) == 1


async def test_a_code_runs_out(shop: Shop) -> None:
    code = (await shop.verifier.invite("mart")).code
    shop.clock.advance(minutes=10)
    with pytest.raises(Refused):
        await shop.verifier.enrol(code)


@pytest.mark.parametrize("typed", ["", "0", "0000-0000-00", "가나다라마바사아자차", "x" * 5000, "ＡＢＣＤ１２３４５６"])
async def test_a_made_up_code_enrols_nobody(shop: Shop, typed: str) -> None:
    with pytest.raises(Refused) as refused:
        await shop.verifier.enrol(typed)
    assert refused.value.code is Code.CODE_SPENT


async def test_a_till_sees_only_its_own_questions(shop: Shop) -> None:
    mine, other = await shop.till(), await shop.till()
    id = await shop.verifier.open(mine, "name_birth_date")
    for attempt in (shop.verifier.look, shop.verifier.cancel, shop.verifier.done):
        with pytest.raises(Refused) as refused:
            await attempt(other, id)
        assert refused.value.code is Code.NOT_FOUND


async def test_a_till_that_signs_off_is_nobody(shop: Shop) -> None:
    till, token = await shop.verifier.enrol((await shop.verifier.invite("mart")).code)
    id = await shop.verifier.open(till, "alcohol_tobacco")
    await shop.verifier.end_till(till)
    assert await shop.verifier.till(token) is None
    with pytest.raises(Refused):
        await shop.verifier.request_object(id)


# --- what may be asked ------------------------------------------------------------------------------------------------


async def test_a_shop_asks_only_what_it_has_registered(shop: Shop) -> None:
    till = await shop.till()
    shop.trust.append(trust_list(purposes=("alcohol_tobacco",)))
    assert [purpose.id for purpose in await shop.verifier.purposes(till)] == ["alcohol_tobacco"]
    with pytest.raises(Refused) as refused:
        await shop.verifier.open(till, "name_birth_date")
    assert refused.value.code is Code.OVER_ASKING


async def test_a_shop_struck_off_the_trust_list_asks_no_more(shop: Shop) -> None:
    till = await shop.till()
    id = await shop.verifier.open(till, "alcohol_tobacco")
    struck = msgspec.structs.replace(trust_list(), relying_parties=())
    shop.trust.append(struck)
    with pytest.raises(Refused) as refused:
        await shop.verifier.request_object(id)
    assert refused.value.code is Code.UNKNOWN_RELYING_PARTY


@pytest.mark.parametrize("migrated", ["sqlite"], indirect=True)
async def test_a_shop_that_is_let_go_while_its_question_is_open_is_refused_and_no_fault_of_ours(
    migrated: Callable[[str], Awaitable[Db]],
) -> None:
    """Its key is destroyed before the list is read again: a till that looks meanwhile hears whose end it is."""
    access = dict(ACCESS)
    async with opened(await migrated("verifier"), MovableClock(TODAY), access=access) as shop:
        till = await shop.till()
        id = await shop.verifier.open(till, "alcohol_tobacco")
        del access["mart"]
        with pytest.raises(Refused) as refused:
            await shop.verifier.look(till, id)
    assert refused.value.code is Code.UNKNOWN_RELYING_PARTY


async def test_a_shop_with_another_certificate_than_the_trust_list_says_does_not_ask(shop: Shop) -> None:
    till = await shop.till()
    parties = tuple(msgspec.structs.replace(p, x509_hash="A" * 43) for p in trust_list().relying_parties)
    shop.trust.append(msgspec.structs.replace(trust_list(), relying_parties=parties))
    with pytest.raises(Refused) as refused:
        await shop.verifier.open(till, "alcohol_tobacco")
    assert refused.value.code is Code.UNKNOWN_RELYING_PARTY


async def test_without_a_trust_list_the_answer_waits(shop: Shop) -> None:
    till = await shop.till()
    id = await shop.verifier.open(till, "alcohol_tobacco")
    reply = await shop.reply(id)
    kept = list(shop.trust)
    shop.trust.clear()
    with pytest.raises(Refused) as refused:
        await shop.verifier.answer(id, reply)
    assert refused.value.code is Code.UNAVAILABLE
    shop.trust.extend(kept)
    await shop.verifier.answer(id, reply)
    assert (await ended(shop, till, id)).verdict.outcome is Outcome.ACCEPTED


async def test_an_issuer_struck_off_the_list_is_not_believed_any_more(shop: Shop) -> None:
    assert (await verdict_of(shop, Card())).outcome is Outcome.ACCEPTED
    shop.trust.append(msgspec.structs.replace(trust_list(), issuers=()))
    assert (await verdict_of(shop, Card())).code == "untrusted_issuer"


# --- the request ------------------------------------------------------------------------------------------------------


async def test_each_question_has_its_own_nonce_state_and_key(shop: Shop) -> None:
    till = await shop.till()
    requests = [await shop.request(await shop.verifier.open(till, "alcohol_tobacco")) for _ in range(3)]
    for name in ("nonce", "state", "response_uri"):
        assert len({request[name] for request in requests}) == 3
    keys = [request["client_metadata"]["jwks"]["keys"][0] for request in requests]
    assert len({key["x"] for key in keys}) == len({key["kid"] for key in keys}) == 3
    assert not any("d" in key for key in keys)


async def test_the_qr_leads_to_the_request(shop: Shop) -> None:
    till = await shop.till()
    id = await shop.verifier.open(till, "alcohol_tobacco")
    look = await shop.verifier.look(till, id)
    assert isinstance(look, Waiting)
    assert request_id(look.qr) == id
    assert look.qr.startswith("openid4vp://?client_id=x509_hash%3A")
    assert len(look.qr) < 220  # version 10 at level M: quick to read off a tablet


async def test_a_request_fetched_twice_is_the_same_request(shop: Shop) -> None:
    till = await shop.till()
    id = await shop.verifier.open(till, "alcohol_tobacco")
    assert await shop.request(id) == await shop.request(id)


async def test_a_restart_loses_no_question(db: Db) -> None:
    """All state is in the database: another process with the same vault takes the answer."""
    from mapae.db import migrate

    await migrate(db, "verifier")
    clock = MovableClock(NOW)
    async with opened(db, clock) as before:
        till = await before.till()
        id = await before.verifier.open(till, "alcohol_tobacco")
        reply = await before.reply(id)
    async with opened(db, clock) as after:
        await after.verifier.answer(id, reply)
        assert (await ended(after, till, id)).verdict.outcome is Outcome.ACCEPTED
