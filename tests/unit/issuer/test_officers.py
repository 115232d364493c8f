"""Officers sign in with passkeys; the ceremony is the real one, the authenticator is made of software."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from mapae.audit import events_about
from mapae.clock import MovableClock, SeededDice
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.issuer import soft_authenticator as soft
from mapae.issuer.officers import Officer, Officers, Site
from mapae.keys import Signer

ORIGIN = "http://localhost:8080"
KIM = Officer("officer-kim", "김하늘", "sejong")


class Counter:
    """One officer with one software passkey."""

    def __init__(self, db: Db) -> None:
        self.clock = MovableClock(datetime(2025, 3, 3, 9, tzinfo=UTC))
        self.db = db
        self.officers = Officers(db, self.clock, SeededDice(7), Site("localhost", "mapae desk", ORIGIN))
        self.key = Signer.ephemeral()
        self.count = 0

    async def enrol(self, officer: Officer = KIM, key: Signer | None = None) -> str:
        await self.officers.appoint(officer)
        knock, options = await self.officers.begin_passkey(officer.id)
        made = soft.make(key or self.key, options, ORIGIN)
        return await self.officers.add_passkey(officer.id, knock, json.dumps(made), "desk 1")

    async def answer(self, **change: Any) -> tuple[str, str]:
        knock, options = await self.officers.begin_sign_in()
        self.count += 1
        options = {**options, **change.get("options", {})}
        return knock, json.dumps(
            soft.assert_(change.get("key", self.key), options, change.get("origin", ORIGIN), self.count)
        )


@pytest.fixture
async def counter(issuer_db: Db) -> AsyncIterator[Counter]:
    counter = Counter(issuer_db)
    await counter.enrol()
    yield counter


async def refusal(call: Any) -> Code:
    with pytest.raises(Refused) as refused:
        await call
    return refused.value.code


async def test_an_officer_signs_in_and_is_known(counter: Counter) -> None:
    token, officer = await counter.officers.sign_in(*await counter.answer())
    assert officer == KIM
    assert await counter.officers.signed_in(token) == KIM
    actions = [seen.event.action for seen in await events_about(counter.db, KIM.id)]
    assert actions == ["appointed", "added", "signed_in"]


async def test_a_challenge_serves_once(counter: Counter) -> None:
    knock, answer = await counter.answer()
    await counter.officers.sign_in(knock, answer)
    assert await refusal(counter.officers.sign_in(knock, answer)) == Code.BAD_PASSKEY


async def test_an_answer_to_another_challenge_is_refused(counter: Counter) -> None:
    _, answer = await counter.answer()
    knock, _ = await counter.officers.begin_sign_in()
    assert await refusal(counter.officers.sign_in(knock, answer)) == Code.BAD_PASSKEY


async def test_an_old_sign_in_page_is_refused(counter: Counter) -> None:
    knock, answer = await counter.answer()
    counter.clock.advance(minutes=5)
    assert await refusal(counter.officers.sign_in(knock, answer)) == Code.BAD_PASSKEY


async def test_another_origin_is_refused(counter: Counter) -> None:
    knock, answer = await counter.answer(origin="http://localhost:9999")
    assert await refusal(counter.officers.sign_in(knock, answer)) == Code.BAD_PASSKEY


async def test_an_unknown_passkey_is_refused(counter: Counter) -> None:
    knock, answer = await counter.answer(key=Signer.ephemeral())
    assert await refusal(counter.officers.sign_in(knock, answer)) == Code.BAD_PASSKEY


async def test_a_signature_by_another_key_is_refused(counter: Counter) -> None:
    knock, answer = await counter.answer()
    read = json.loads(answer)
    _, foreign = await counter.answer()
    read["response"]["signature"] = json.loads(foreign)["response"]["signature"]
    assert await refusal(counter.officers.sign_in(knock, json.dumps(read))) == Code.BAD_PASSKEY


async def test_a_counter_that_stands_still_is_a_cloned_key(counter: Counter) -> None:
    await counter.officers.sign_in(*await counter.answer())
    counter.count -= 1
    assert await refusal(counter.officers.sign_in(*await counter.answer())) == Code.BAD_PASSKEY


@pytest.mark.parametrize(
    "answer", ["", "{", "[]", "{}", '{"id": 5}', '{"id": "x"}', '{"id": "\\u0000"}', '{"id": "\\ud800"}', "[" * 100_000]
)
async def test_nonsense_is_refused(counter: Counter, answer: str) -> None:
    knock, _ = await counter.officers.begin_sign_in()
    assert await refusal(counter.officers.sign_in(knock, answer)) == Code.BAD_PASSKEY


async def test_a_known_passkey_with_a_broken_answer_is_refused(counter: Counter) -> None:
    knock, answer = await counter.answer()
    read = json.loads(answer)
    read["response"]["authenticatorData"] = "AAAA"
    assert await refusal(counter.officers.sign_in(knock, json.dumps(read))) == Code.BAD_PASSKEY


async def test_five_failures_close_the_door_for_a_quarter_of_an_hour(counter: Counter) -> None:
    for _ in range(5):
        knock, answer = await counter.answer(origin="http://localhost:9999")
        assert await refusal(counter.officers.sign_in(knock, answer)) == Code.BAD_PASSKEY
    assert await refusal(counter.officers.sign_in(*await counter.answer())) == Code.TOO_OFTEN
    counter.clock.advance(minutes=15)
    _, officer = await counter.officers.sign_in(*await counter.answer())
    assert officer == KIM


async def test_a_session_ends_when_idle(counter: Counter) -> None:
    token, _ = await counter.officers.sign_in(*await counter.answer())
    for _ in range(3):
        counter.clock.advance(minutes=14)
        await counter.officers.signed_in(token)
    counter.clock.advance(minutes=14)
    await counter.officers.signed_in(token, active=False)  # a page that refreshes itself is no sign of life
    counter.clock.advance(minutes=1)
    assert await refusal(counter.officers.signed_in(token)) == Code.NOT_SIGNED_IN


async def test_a_session_ends_after_a_working_day(counter: Counter) -> None:
    token, _ = await counter.officers.sign_in(*await counter.answer())
    for _ in range(59):
        counter.clock.advance(minutes=10)
        await counter.officers.signed_in(token)
    counter.clock.advance(minutes=10)
    assert await refusal(counter.officers.signed_in(token)) == Code.NOT_SIGNED_IN


async def test_a_session_begun_while_the_clock_was_ahead_is_none(counter: Counter) -> None:
    """It would last a year, however idle; and be one again when that year is over."""
    counter.clock.advance(days=365)
    token, _ = await counter.officers.sign_in(*await counter.answer())
    counter.clock.advance(days=-365)
    assert await refusal(counter.officers.signed_in(token)) == Code.NOT_SIGNED_IN
    await counter.officers.sign_in(*await counter.answer())
    counter.clock.advance(days=365)
    assert await refusal(counter.officers.signed_in(token)) == Code.NOT_SIGNED_IN


async def test_failures_while_the_clock_was_ahead_close_no_desk(counter: Counter) -> None:
    """Nor is one of today added to them."""
    counter.clock.advance(days=365)
    for _ in range(5):
        knock, answer = await counter.answer(origin="http://localhost:9999")
        assert await refusal(counter.officers.sign_in(knock, answer)) == Code.BAD_PASSKEY
    counter.clock.advance(days=-365)
    knock, answer = await counter.answer(origin="http://localhost:9999")
    assert await refusal(counter.officers.sign_in(knock, answer)) == Code.BAD_PASSKEY
    _, officer = await counter.officers.sign_in(*await counter.answer())
    assert officer == KIM


async def test_sign_out_and_dismissal_end_the_session(counter: Counter) -> None:
    first, _ = await counter.officers.sign_in(*await counter.answer())
    second, _ = await counter.officers.sign_in(*await counter.answer())
    await counter.officers.sign_out(first)
    assert await refusal(counter.officers.signed_in(first)) == Code.NOT_SIGNED_IN
    assert await counter.officers.signed_in(second) == KIM
    await counter.officers.dismiss(KIM.id)
    assert await refusal(counter.officers.signed_in(second)) == Code.NOT_SIGNED_IN
    assert await refusal(counter.officers.sign_in(*await counter.answer())) == Code.BAD_PASSKEY


async def test_a_second_passkey_can_be_added_and_the_last_one_stays(counter: Counter) -> None:
    [first] = await counter.officers.passkeys(KIM.id)
    spare = Signer.ephemeral()
    second = await counter.enrol(key=spare)
    await counter.officers.end_passkey(KIM.id, first.credential_id)
    assert await refusal(counter.officers.sign_in(*await counter.answer())) == Code.BAD_PASSKEY
    await counter.officers.sign_in(*await counter.answer(key=spare))
    assert await refusal(counter.officers.end_passkey(KIM.id, second)) == Code.CONFLICT


async def test_a_passkey_is_registered_once_and_only_by_whoever_began(counter: Counter) -> None:
    knock, options = await counter.officers.begin_passkey(KIM.id)
    made = json.dumps(soft.make(counter.key, options, ORIGIN))
    assert await refusal(counter.officers.add_passkey(KIM.id, knock, made, "again")) == Code.CONFLICT
    await counter.officers.appoint(Officer("officer-lee", "이도윤", "goyang"))
    knock, options = await counter.officers.begin_passkey("officer-lee")
    made = json.dumps(soft.make(Signer.ephemeral(), options, ORIGIN))
    assert await refusal(counter.officers.add_passkey(KIM.id, knock, made, "not mine")) == Code.BAD_PASSKEY


def test_the_software_passkey_refuses_another_site() -> None:
    with pytest.raises(Refused):
        soft.assert_(Signer.ephemeral(), {"challenge": "AAAA", "rpId": "bank.example"}, ORIGIN)
