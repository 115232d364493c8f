"""What whoever makes cards may change in the register: the photo on record, the card, and that it is lost or back."""

from __future__ import annotations

from base64 import b64encode
from datetime import date, timedelta

import msgspec
import pytest

from mapae.audit import events_about, first_broken_link
from mapae.errors import Code, Refused
from mapae.registers.population import LARGEST_PHOTO, PopulationClient
from mapae.registers.values import PhysicalCard

from .conftest import TODAY, Office

JPEG = b"\xff\xd8\xff\xe0 a face"
CARD = PhysicalCard(number="K23456789", issued=TODAY, kind="chip", state="valid")


async def _card(office: Office, key: str = "jisoo") -> PhysicalCard | None:
    return (await office.population.get(office.ids[key])).card


async def test_a_new_photo_stands_in_the_record_and_an_older_one_does_not(office: Office) -> None:
    jisoo = office.ids["jisoo"]
    assert await office.population.put_photo(jisoo, JPEG, TODAY, asked_by="issuer")
    assert not await office.population.put_photo(jisoo, JPEG, TODAY)  # the same again changes nothing
    assert not await office.population.put_photo(jisoo, JPEG + b" older", TODAY - timedelta(days=1))
    person, claims = await office.population.get(jisoo), await office.population.claims(jisoo)
    assert (person.photo, person.photo_taken) == (claims.portrait, claims.photo_taken) == (JPEG, TODAY)
    told = [seen.event for seen in await events_about(office.db, jisoo)]
    assert [event.actor for event in told if event.action == "photo_renewed"] == ["issuer"]
    assert await first_broken_link(office.db) is None


@pytest.mark.parametrize("photo", [b"", b"GIF89a", JPEG + bytes(LARGEST_PHOTO)], ids=["empty", "no-jpeg", "large"])
async def test_what_is_no_photo_stays_outside(office: Office, photo: bytes) -> None:
    with pytest.raises(Refused) as refused:
        await office.population.put_photo(office.ids["jisoo"], photo, TODAY)
    assert refused.value.code is Code.MALFORMED


async def test_a_new_card_takes_the_place_of_the_old_and_a_late_repetition_does_not_bring_it_back(
    office: Office,
) -> None:
    jisoo = office.ids["jisoo"]
    assert await office.population.put_card(jisoo, CARD)
    assert not await office.population.put_card(jisoo, CARD)
    earlier = msgspec.structs.replace(CARD, number="K00000000", issued=date(2020, 1, 1))
    assert not await office.population.put_card(jisoo, earlier)
    assert await _card(office) == CARD


async def test_a_lost_card_can_still_be_handed_in_and_a_returned_one_is_not_lost_any_more(office: Office) -> None:
    jisoo = office.ids["jisoo"]
    old = await _card(office)
    assert old is not None
    assert not await office.population.mark_card(jisoo, "another", "lost")
    assert await office.population.mark_card(jisoo, old.number, "lost")
    assert not await office.population.mark_card(jisoo, old.number, "lost")
    assert await office.population.mark_card(jisoo, old.number, "returned")
    assert not await office.population.mark_card(jisoo, old.number, "lost")
    now = await _card(office)
    assert now is not None and now.state == "returned"
    with pytest.raises(Refused):
        await office.population.mark_card(jisoo, old.number, "valid")


async def test_a_repeated_loss_of_the_old_card_leaves_the_new_one_alone(office: Office) -> None:
    jisoo = office.ids["jisoo"]
    old = await _card(office)
    assert old is not None
    await office.population.put_card(jisoo, CARD)
    assert not await office.population.mark_card(jisoo, old.number, "lost")
    assert await _card(office) == CARD


async def test_the_client_changes_what_the_doors_change(office: Office) -> None:
    class Wire:
        async def call(self, role, path, message):  # type: ignore[no-untyped-def]
            answer = await office.http.post(path, json=message)
            if answer.status_code != 200:
                raise Refused(Code(answer.json()["error"]))
            return answer.json()

    client, jisoo = PopulationClient(Wire()), office.ids["jisoo"]  # type: ignore[arg-type]
    old = await _card(office)
    assert old is not None
    assert await client.mark_card(jisoo, old.number, "returned")
    assert await client.put_photo(jisoo, JPEG + bytes(300_000), TODAY)
    assert await client.put_card(jisoo, CARD) and not await client.put_card(jisoo, CARD)
    assert (await _card(office), (await office.population.get(jisoo)).photo[:3]) == (CARD, JPEG[:3])
    for ask in (client.put_photo("nobody", JPEG, TODAY), client.put_card("nobody", CARD)):
        with pytest.raises(Refused) as refused:
            await ask
        assert refused.value.code is Code.NOT_FOUND


@pytest.mark.parametrize("what", ["photo", "card", "card-state"])
async def test_only_the_issuer_may_change_the_record(office: Office, what: str) -> None:
    body = {
        "photo": {"photo": b64encode(JPEG).decode(), "taken": TODAY.isoformat()},
        "card": {"card": msgspec.to_builtins(CARD)},
        "card-state": {"number": CARD.number, "state": "lost"},
    }[what] | {"person": office.ids["jisoo"]}
    for role, status in (("issuer", 200), ("wallet_provider", 403), ("verifier", 403), ("", 403)):
        office.role[0] = role
        answer = await office.http.post(f"/registers/persons/{what}", json=body)
        assert answer.status_code == status, (role, answer.text)
