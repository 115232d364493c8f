"""The population register: found by name or number, the number sealed and shown to nobody but the issuer."""

from __future__ import annotations

import json
from datetime import date
from io import BytesIO

import pytest
from PIL import Image

from mapae.audit import events_about, first_broken_link
from mapae.config import country_tree
from mapae.entitlements import of_one, wards
from mapae.errors import Code, Refused
from mapae.registers.people import parse_people
from mapae.registers.population import Population
from mapae.registers.values import Resident

from .conftest import TODAY, Office


async def test_a_person_is_found_by_number_and_by_name(office: Office) -> None:
    jisoo = office.named["jisoo"].resident
    by_number = await office.population.search(resident_number=jisoo.number.written.replace("-", ""))
    by_name = await office.population.search(name=" 한 지수", birth_date=jisoo.number.birth_date)
    assert by_number.hits == by_name.hits and len(by_name.hits) == 1 and not by_name.more
    assert by_name.hits[0].person == office.ids["jisoo"]
    assert by_name.hits[0].number_masked.endswith("******")


async def test_two_people_of_one_name_and_birthday_are_two_hits(office: Office) -> None:
    found = await office.population.search(name="김지은", birth_date=date(1991, 3, 3))
    assert {hit.municipality for hit in found.hits} == {"goyang", "suwon"}


async def test_whose_a_name_a_birthday_and_a_phone_are(office: Office) -> None:
    """All three at once, and of a phone that several share the one; the trail is the same for everybody."""
    jisoo = office.named["jisoo"].resident
    born, phone = jisoo.number.birth_date, jisoo.phones[0]
    assert await office.population.named(" 한 지수", born, phone) == office.ids["jisoo"]
    for name, day, number in (("한지숙", born, phone), ("한지수", TODAY, phone), ("한지수", born, "010-0000-0000")):
        assert await office.population.named(name, day, number) is None
    dead = next(one for one in office.named.values() if one.resident.deceased_on and one.resident.phones).resident
    assert await office.population.named(dead.name, dead.number.birth_date, dead.phones[0]) is None


async def test_half_a_search_is_refused(office: Office) -> None:
    jisoo = office.named["jisoo"].resident
    halves = [
        {}, {"name": "한지수"}, {"birth_date": jisoo.number.birth_date}, {"resident_number": "12"},
        {"name": "한지수", "resident_number": jisoo.number.written}, {"name": "  ", "birth_date": TODAY},
    ]  # fmt: skip
    for half in halves:
        with pytest.raises(Refused) as refused:
            await office.population.search(**half)  # type: ignore[arg-type]
        assert refused.value.code is Code.MALFORMED


async def test_nobody_is_found_where_nobody_is(office: Office) -> None:
    assert (await office.population.search(name="없는사람", birth_date=TODAY)).hits == ()
    for ask in (office.population.get, office.population.claims):
        with pytest.raises(Refused) as refused:
            await ask("nobody")
        assert refused.value.code is Code.NOT_FOUND


async def test_more_than_twenty_hits_say_so(office: Office) -> None:
    from mapae.registers.number import make_number

    born = date(1980, 1, 1)
    same = [
        Resident(
            number=make_number(office.country.number, born, "male", True, at), name="홍길동",
            name_latin="Hong Gildong", nationality="KOR", municipality="jeju", address="어딘가",
        )
        for at in range(25)
    ]  # fmt: skip
    await office.population.load(same)
    found = await office.population.search(name="홍길동", birth_date=born)
    assert len(found.hits) == 20 and found.more


async def test_an_officer_sees_the_odd_states(office: Office) -> None:
    async def see(key: str):  # type: ignore[no-untyped-def]
        return await office.population.get(office.ids[key])

    assert (await see("deceased")).deceased_on is not None
    assert (await see("renamed")).former_names == ("민말자",)
    assert (await see("ward")).guardian == office.ids["guardian"]
    assert (await see("foreigner")).citizen is False
    card = (await see("cardlost")).card
    assert card is not None and card.state == "lost"
    assert (await see("nocard")).card is None and (await see("nocard")).photo == b""
    moved = await see("moved")
    assert moved.municipality == "busan_haeundae" and moved.moved_in == date(2026, 11, 15)


async def test_photos_are_drawn_once_and_kept(office: Office) -> None:
    first = (await office.population.get(office.ids["jisoo"])).photo
    assert Image.open(BytesIO(first)).size == (240, 320) and len(first) < 12_000
    row = await office.db.one("SELECT photo FROM resident WHERE person = $1", office.ids["jisoo"])
    assert row is not None and bytes(row["photo"]) == first
    assert (await office.population.claims(office.ids["jisoo"])).portrait == first


async def test_claims_hold_the_number_and_person_does_not(office: Office) -> None:
    number = office.named["jisoo"].resident.number.written
    claims = await office.population.claims(office.ids["jisoo"])
    person = await office.population.get(office.ids["jisoo"])
    assert claims.resident_number == number and number not in repr(claims)
    assert number not in repr(person) and number[-6:] not in repr(person)


async def test_the_number_and_the_phone_stand_in_no_row(office: Office) -> None:
    jisoo = office.named["jisoo"].resident
    number = jisoo.number.written
    for table in ("resident", "phone_line", "audit_event"):
        for row in await office.db.all(f"SELECT * FROM {table}"):
            for value in tuple(row):
                raw = value if isinstance(value, bytes) else str(value).encode()
                for secret in (number, number.replace("-", ""), number[-7:], *jisoo.phones):
                    assert secret.encode() not in bytes(raw)


async def test_a_sealed_number_opens_in_its_own_row_only(office: Office) -> None:
    rows = await office.db.all("SELECT person, number_sealed FROM resident ORDER BY person LIMIT 2")
    one, other = rows
    await office.db.run(
        "UPDATE resident SET number_sealed = $1 WHERE person = $2", bytes(other["number_sealed"]), one["person"]
    )
    with pytest.raises(Refused) as refused:
        await office.population.claims(one["person"])
    assert refused.value.code is Code.BAD_CONFIG


async def test_loading_twice_changes_nothing(office: Office) -> None:
    before = await office.population.count()
    progress: list[int] = []
    read = await office.population.load((one.resident for one in office.named.values()), progress.append)
    assert read == before == progress[-1] == await office.population.count()


async def test_a_crowd_is_loaded_in_batches(office: Office) -> None:
    people = parse_people(country_tree("kr"), office.country)
    before, progress = await office.population.count(), list[int]()
    await office.population.load(people.residents(count=6000, seed=3, today=TODAY), progress.append)
    assert progress == [5000, 6000]
    assert await office.population.count() == before + 6000


async def test_every_look_is_written_down(office: Office) -> None:
    await office.population.get(office.ids["jisoo"], asked_by="issuer")
    await office.population.claims(office.ids["jisoo"], asked_by="issuer")
    events = [recorded.event for recorded in await events_about(office.db, office.ids["jisoo"])]
    assert [(event.action, event.actor) for event in events] == [("looked_at", "issuer"), ("handed_over", "issuer")]
    assert await first_broken_link(office.db) is None


async def test_only_the_issuer_gets_through_the_doors(office: Office) -> None:
    for role, status in (("issuer", 200), ("verifier", 403), ("wallet_provider", 403), ("", 403)):
        office.role[0] = role
        for what in ("get", "claims"):
            answer = await office.http.post(f"/registers/persons/{what}", json={"person": office.ids["jisoo"]})
            assert answer.status_code == status


async def test_the_client_reads_what_the_door_says(office: Office) -> None:
    from mapae.registers.population import PopulationClient

    class Wire:
        async def call(self, role, path, message):  # type: ignore[no-untyped-def]
            assert role == "registers"
            answer = await office.http.post(path, json=message)
            if answer.status_code != 200:
                raise Refused(Code(answer.json()["error"]))
            return answer.json()

    client, real = PopulationClient(Wire()), office.population  # type: ignore[arg-type]
    jisoo = office.named["jisoo"].resident
    assert await client.search(name="한지수", birth_date=jisoo.number.birth_date) == await real.search(
        resident_number=jisoo.number.written
    )
    assert await client.get(office.ids["ward"]) == await real.get(office.ids["ward"])
    assert await client.claims(office.ids["ward"]) == await real.claims(office.ids["ward"])
    with pytest.raises(Refused) as refused:
        await client.get("nobody")
    assert refused.value.code is Code.NOT_FOUND


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"person": 1}', b'{"person": "a", "b": 1}', b'{"person":"\\u0000"}']
)
async def test_other_shapes_are_malformed(office: Office, body: bytes) -> None:
    for what in ("get", "claims", "search"):
        answer = await office.http.post(
            f"/registers/persons/{what}", content=body, headers={"content-type": "application/json"}
        )
        assert answer.status_code == 400 and json.loads(answer.content)["error"] == "malformed"


def test_a_population_is_a_population_register(office: Office) -> None:
    assert isinstance(office.population, Population)


async def test_other_registers_speak_of_a_licence_and_the_officer_sees_no_number(office: Office) -> None:
    jisoo, guardian = (office.ids[key] for key in ("jisoo", "guardian"))
    seen = (await office.population.get(jisoo)).records["driving_licence"]
    handed = (await office.population.claims(jisoo)).records["driving_licence"]
    assert "number" not in seen and handed == {**seen, "number": "11-21-004512-60"}
    assert list(wards((await office.population.claims(guardian)).records).values()) == [
        {"name": "엄이슬", "birth_date": "2000-01-31"}
    ]
    assert (await office.population.get(office.ids["ward"])).records == {}


async def test_each_ward_has_a_mark_of_its_own_that_tells_nobody_who_it_is(office: Office) -> None:
    """A document speaks for one; whoever has two is not given the wrong one."""
    person = office.ids["parent"]
    records = (await office.population.claims(person)).records
    elder, younger = wards(records).items()
    assert (elder[1]["name"], younger[1]["name"]) == ("지온유", "지온별")
    assert of_one(records, younger[0])["ward"]["name"] == "지온별"
    assert "ward" not in of_one(records, "")
    assert elder[0] != younger[0] and not any(mark in str(office.ids) for mark in wards(records))
    assert wards((await office.population.get(person)).records) == wards(records)  # the same mark every time
