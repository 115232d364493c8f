"""A citizen asks a shop to erase; the shop answers; nobody else learns of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from mapae.catalog import parse_country
from mapae.clock import MovableClock, SeededDice
from mapae.config import country_tree
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.formats.jose import b64u
from mapae.keys.vault import Vault
from mapae.verifier.asking.store import Till
from mapae.verifier.privacy.requests import KEEP, MOST, Kind, Outcome, Privacy, Wish

START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
AT = int(START.timestamp())
KR = parse_country(country_tree("kr"))
TOKEN, OTHER = b64u(b"t" * 32), b64u(b"o" * 32)
WISH = Wish(Kind.ERASURE, "hospital_reception", ("name", "birth_date"), AT - 3600, "지워 주세요.\n<b>감사</b>")
HOSPITAL = Till("till-1", "hospital", START + timedelta(days=1))
BANK = Till("till-2", "bank", START + timedelta(days=1))


@pytest.fixture
async def office(migrated: Callable[[str], Awaitable[Db]]) -> tuple[Privacy, MovableClock, Db]:
    db, clock = await migrated("verifier"), MovableClock(START)
    made = Privacy(
        db=db, vault=Vault(b"v" * 32), clock=clock, dice=SeededDice(1), country=KR, parties=("hospital", "bank")
    )
    return made, clock, db


Office = tuple[Privacy, MovableClock, Db]


async def test_a_request_about_a_purpose_the_country_no_longer_has_is_still_read(office: Office) -> None:
    """Requests are kept for a year after their answer; a pack changes, and one old row would close the shop's page."""
    privacy, clock, db = office
    await privacy.take("hospital", TOKEN, WISH)
    fewer = msgspec.structs.replace(KR, purposes={k: v for k, v in KR.purposes.items() if k != WISH.purpose})
    later = Privacy(db=db, vault=Vault(b"v" * 32), clock=clock, dice=SeededDice(1), country=fewer, parties=())
    [line] = await later.of(HOSPITAL)
    assert (line.purpose.en, [label.en for label in line.items]) == (WISH.purpose, list(WISH.items))


async def test_what_was_registered_besides_a_ready_purpose_may_be_erased_after_that_has_ended(office: Office) -> None:
    """A hospital that had registered the address as well keeps it when that is over, or narrower."""
    privacy, _, _ = office
    await privacy.take("hospital", TOKEN, msgspec.structs.replace(WISH, items=(*WISH.items, "address")))
    [line] = await privacy.of(HOSPITAL)
    assert [label.en for label in line.items] == ["Name", "Birth date", "Address"]


async def test_a_request_is_answered_and_only_the_tokens_holder_reads_it(office: Office) -> None:
    privacy, _, db = office
    taken = await privacy.take("hospital", TOKEN, WISH)
    assert (taken.state, taken.overdue, taken.due_at) == ("received", False, AT + 10 * 86400)
    assert await privacy.take("hospital", TOKEN, WISH) == taken  # the same again is the same request
    [line] = await privacy.of(HOSPITAL)
    assert (line.words, line.standing.number) == (WISH.words, taken.number)
    assert [label.en for label in line.items] == ["Name", "Birth date"]
    assert await privacy.of(BANK) == []
    row = await db.one("SELECT * FROM privacy_request")
    assert row is not None and TOKEN not in str(dict(row)) and "지워" not in str(dict(row))
    await privacy.answer(HOSPITAL, line.id, Outcome.LAW_KEEPS, "의료법 시행규칙 제15조")
    said = await privacy.standing("hospital", TOKEN)
    assert (said.state, said.outcome, said.reply) == ("refused", "law_keeps", "의료법 시행규칙 제15조")


async def test_the_shop_may_ask_to_be_shown_again_and_answers_then(office: Office) -> None:
    privacy, clock, _ = office
    await privacy.take("hospital", TOKEN, WISH)
    [line] = await privacy.of(HOSPITAL)
    await privacy.answer(HOSPITAL, line.id, Outcome.SHOW_AGAIN, "")
    clock.advance(days=10)
    said = await privacy.standing("hospital", TOKEN)
    assert (said.state, said.overdue) == ("show_again", True)
    await privacy.answer(HOSPITAL, line.id, Outcome.ERASED, "")
    said = await privacy.standing("hospital", TOKEN)
    assert (said.state, said.overdue) == ("answered", False)
    with pytest.raises(Refused) as refused:
        await privacy.answer(HOSPITAL, line.id, Outcome.NOTHING_KEPT, "")
    assert refused.value.code is Code.CONFLICT


async def test_a_till_of_another_shop_can_neither_read_nor_answer(office: Office) -> None:
    privacy, _, _ = office
    await privacy.take("hospital", TOKEN, WISH)
    [line] = await privacy.of(HOSPITAL)
    with pytest.raises(Refused) as refused:
        await privacy.answer(BANK, line.id, Outcome.ERASED, "")
    assert refused.value.code is Code.NOT_FOUND
    for party, token in (("bank", TOKEN), ("hospital", OTHER), ("nobody", TOKEN)):
        with pytest.raises(Refused) as refused:
            await privacy.standing(party, token)
        assert (refused.value.code, refused.value.detail) == (Code.NOT_FOUND, "there is no such request")


def _bent(**changes: Any) -> Wish:
    return msgspec.structs.replace(WISH, **changes)


BENT: dict[str, tuple[str, str, Wish, Code]] = {
    "another party": ("nobody", OTHER, WISH, Code.NOT_FOUND),
    "a short token": ("hospital", b64u(b"short"), WISH, Code.MALFORMED),
    "a token that is none": ("hospital", "%%%%", WISH, Code.MALFORMED),
    "one token, another request": ("hospital", TOKEN, _bent(words="other"), Code.CONFLICT),
    "one token, another party": ("bank", TOKEN, WISH, Code.CONFLICT),
    "an unknown purpose": ("hospital", OTHER, _bent(purpose="curiosity"), Code.MALFORMED),
    "an item nobody is asked for": ("hospital", OTHER, _bent(items=("shoe_size",)), Code.MALFORMED),
    "an item twice": ("hospital", OTHER, _bent(items=("name", "name")), Code.MALFORMED),
    "tomorrow": ("hospital", OTHER, _bent(shown_at=AT + 86400), Code.MALFORMED),
    "before there were phones": ("hospital", OTHER, _bent(shown_at=0), Code.MALFORMED),
    "no words": ("hospital", OTHER, _bent(words=""), Code.MALFORMED),
    "too many words": ("hospital", OTHER, _bent(words="a" * 1001), Code.MALFORMED),
    "control characters": ("hospital", OTHER, _bent(words="a\x1b[2J"), Code.MALFORMED),
    "text that turns around": ("hospital", OTHER, _bent(words="a\u202eb"), Code.MALFORMED),
    "half a character": ("hospital", OTHER, _bent(words="\ud800"), Code.MALFORMED),
}


async def test_a_bent_request_is_refused(office: Office) -> None:
    privacy, _, _ = office
    await privacy.take("hospital", TOKEN, WISH)
    for what, (party, token, wish, code) in BENT.items():
        with pytest.raises(Refused) as refused:
            await privacy.take(party, token, wish)
        assert refused.value.code is code, what
    assert len(await privacy.of(HOSPITAL)) == 1


async def test_a_flood_fills_nothing_and_old_ones_are_forgotten(office: Office) -> None:
    privacy, clock, db = office
    await privacy.take("hospital", TOKEN, WISH)
    await db.write(lambda tx: tx.run(
        "UPDATE privacy_request SET outcome = 'erased', answered_at = $1, reply = words", AT))  # fmt: skip
    sealed = Vault(b"v" * 32).seal(b"x", b"y")
    rows = [(f"id{n}", "hospital", "1", "erasure", "hospital_reception", "[]", AT, sealed, AT, AT, "open")
            for n in range(MOST)]  # fmt: skip
    await db.write(lambda tx: tx.many(
        "INSERT INTO privacy_request (id, party, number, kind, purpose, items, shown_at, words, received_at, due_at,"
        " outcome) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)", rows))  # fmt: skip
    with pytest.raises(Refused) as refused:
        await privacy.take("hospital", OTHER, WISH)
    assert refused.value.code is Code.TOO_OFTEN
    assert (await privacy.take("bank", OTHER, WISH)).state == "received"  # another shop's flood is its own
    clock.advance(seconds=KEEP.total_seconds() + 1)
    await privacy.sweep()
    with pytest.raises(Refused):
        await privacy.standing("hospital", TOKEN)
    clock.advance(seconds=KEEP.total_seconds())
    assert await privacy.sweep() == MOST + 1
