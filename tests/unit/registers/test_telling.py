"""A person is told on every number in their name, once, in our words."""

from __future__ import annotations

import pytest

from mapae.audit import events_about
from mapae.errors import Code, Refused
from mapae.registers.identity import Carrier
from mapae.registers.telling import KINDS, Notice, Telling, text_of

from .conftest import KEY, Office

LINK = "https://id.example.org/stop/abc"


def notice(office: Office, key: str = "jisoo", **changes: object) -> Notice:
    given = {"id": "n-1", "person": office.ids[key], "kind": "card_used_for_new_phone", "terms": {"link": LINK}}
    return Notice(**{**given, **changes})  # type: ignore[arg-type]


def telling(office: Office) -> Telling:
    carrier = Carrier(office.http, "http://mapae.test/carrier/messages", KEY)
    return Telling(office.db, office.vault, office.clock, carrier)


async def test_every_number_of_the_person_hears_it_once_however_often_it_is_asked(office: Office) -> None:
    told = telling(office)
    phones = office.named["jisoo"].resident.phones
    for _ in range(3):
        assert await told.tell(notice(office), "issuer") == len(phones)
    for phone in phones:
        messages = await office.carrier.inbox(phone)
        assert [LINK in message.body for message in messages] == [True]
    about = [seen.event.action for seen in await events_about(office.db, office.ids["jisoo"])]
    assert about.count("told") == 3


async def test_a_message_that_did_not_go_out_is_asked_for_again(office: Office) -> None:
    told = telling(office)
    await office.carrier.misbehave("fail", 0, 1)
    with pytest.raises(Refused) as refused:
        await told.tell(notice(office), "issuer")
    assert refused.value.code is Code.UNAVAILABLE
    await told.tell(notice(office), "issuer")
    assert len(await office.carrier.inbox(office.named["jisoo"].resident.phones[0])) == 1


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_has_words_in_both_languages_that_fit_a_text_message(kind: str) -> None:
    link = "https://mobile-identity.example.go.kr/stop/" + "x" * 32
    both = text_of(Notice("n", "p", kind, {"link": link}))
    assert both.count(link) == 2 and len(both) <= 1000
    assert text_of(Notice("n", "p", kind, {"link": link}, "en")).count(link) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "win_a_prize"},
        {"terms": {}},
        {"terms": {"link": LINK, "more": "x"}},
        {"terms": {"link": "x" * 201}},
        {"id": ""},
        {"id": "x" * 65},
        {"id": "a\nb"},
    ],
    ids=["kind", "no-term", "surplus", "long", "no-id", "long-id", "odd-id"],
)
async def test_what_has_no_words_is_refused(office: Office, changes: dict[str, object]) -> None:
    with pytest.raises(Refused) as refused:
        await telling(office).tell(notice(office, **changes), "issuer")
    assert refused.value.code is Code.MALFORMED


async def test_nobody_is_told_in_the_name_of_nobody(office: Office) -> None:
    with pytest.raises(Refused) as refused:
        await telling(office).tell(notice(office, person="nobody"), "issuer")
    assert refused.value.code is Code.NOT_FOUND


async def test_only_the_issuer_has_people_told(office: Office) -> None:
    for role, status in (("verifier", 403), ("issuer", 200)):
        office.role[0] = role
        body = {"id": "n-2", "person": office.ids["jisoo"], "kind": "moved_at_counter", "terms": {"link": LINK}}
        assert (await office.http.post("/registers/persons/tell", json=body)).status_code == status
