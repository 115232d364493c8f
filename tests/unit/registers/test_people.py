"""People who do not exist: plausible, repeatable, odd in every way the demo promises; and their drawn faces."""

from __future__ import annotations

import tracemalloc
from datetime import date, timedelta
from itertools import islice

import pytest

from mapae.ages import age_on
from mapae.catalog import hindrances, parse_country
from mapae.config import country_tree
from mapae.errors import Code, Refused
from mapae.registers.number import check_digit, parse_number
from mapae.registers.people import People, day_of, parse_people

TODAY = date(2026, 11, 22)


def people_of(pack: str) -> People:
    tree = country_tree(pack)
    return parse_people(tree, parse_country(tree))


KR, MARU = people_of("kr"), people_of("demo")


@pytest.mark.parametrize("people", [KR, MARU], ids=["kr", "demo"])
def test_generated_people_are_plausible(people: People) -> None:
    scheme, seen, phones = people.country.number, set(), set()
    for resident in people.residents(count=3000, seed="s", today=TODAY):
        number = resident.number
        assert parse_number(scheme, number.written) == number
        digits = "".join(letter for letter in number.written if letter.isdigit())
        assert int(digits[-1]) == check_digit(scheme, digits)
        assert 0 <= age_on(number.birth_date, TODAY, "02-28") <= 99
        assert resident.municipality in people.country.municipalities
        assert number.citizen == (resident.nationality == people.rules.nationality)
        if resident.card is not None:
            assert number.citizen and number.birth_date < resident.card.issued <= TODAY
            assert age_on(number.birth_date, resident.card.issued, "02-28") >= people.rules.card_age
        seen.add(number.written)
        phones.add(resident.phones[0])
    assert len(seen) == len(phones) == 3000


def test_the_same_seed_gives_the_same_people_and_another_seed_others() -> None:
    one = list(KR.residents(count=50, seed=1, today=TODAY))
    assert one == list(KR.residents(count=80, seed=1, today=TODAY))[:50]
    assert one != list(KR.residents(count=50, seed=2, today=TODAY))


def test_a_million_people_stream_in_constant_memory() -> None:
    crowd = KR.residents(count=1_000_000, seed=1, today=TODAY)
    list(islice(crowd, 2000))
    tracemalloc.start()
    before = tracemalloc.take_snapshot()
    for _ in islice(crowd, 5000):
        pass
    grown = sum(stat.size_diff for stat in tracemalloc.take_snapshot().compare_to(before, "filename"))
    tracemalloc.stop()
    assert grown < 200_000


def test_about_forty_people_have_names_and_are_odd_in_both_languages() -> None:
    named = KR.named(TODAY)
    assert len(named) >= 40 and named[0].key == "jisoo" and named[0].resident.name == "한지수"
    assert len({one.resident.number.written for one in named}) == len(named)
    assert len({phone for one in named for phone in one.resident.phones}) >= len(named)
    assert all(one.odd.ko and one.odd.en for one in named)
    assert {one.story for one in named} == {"", "locked", "expired", "renewal", "waiting", "held"}
    assert {phone[:5] for one in named for phone in one.resident.phones} == {"010-0"}


def test_the_odd_ones_are_refused_for_the_reason_they_stand_for() -> None:
    card = KR.country.documents["resident_card"]
    expected = {
        "jisoo": (), "turned17today": (), "photoedge": (),
        "under17": (Code.TOO_YOUNG, Code.NO_PHYSICAL_CARD), "turns17tomorrow": (Code.TOO_YOUNG, Code.NO_PHYSICAL_CARD),
        "deceased": (Code.DECEASED,), "foreigner": (Code.NOT_A_CITIZEN, Code.NO_PHYSICAL_CARD),
        "oldphoto": (Code.RECORD_PHOTO_TOO_OLD,), "cardlost": (Code.PHYSICAL_CARD_LOST,),
        "nocard": (Code.NO_PHYSICAL_CARD,), "cardreturned": (Code.NO_PHYSICAL_CARD,),
    }  # fmt: skip
    for today in (TODAY, date(2026, 12, 31), date(2027, 1, 1), date(2028, 3, 1)):
        for one in KR.named(today):
            if one.key in expected:
                found = hindrances(KR.country, card, _Facts(one.resident), today)
                assert found == expected[one.key], (one.key, today)


class _Facts:
    def __init__(self, resident) -> None:  # type: ignore[no-untyped-def]
        self.birth_date, self.citizen = resident.number.birth_date, resident.number.citizen
        self.municipality, self.deceased_on = resident.municipality, resident.deceased_on
        self.card, self.photo_taken = resident.card, resident.photo_taken
        self.records = resident.records


def test_the_two_adult_tests_part_for_those_who_stand_for_it() -> None:
    named = {one.key: one.resident.number.birth_date for one in KR.named(TODAY)}
    assert named["birthday19today"] == date(2007, 11, 22)
    assert named["birthday19tomorrow"] == date(2007, 11, 23)
    assert named["adultbyyear"] == date(2007, 12, 31)


def test_a_ward_names_the_guardian_and_twins_share_a_birthday() -> None:
    named = {one.key: one.resident for one in KR.named(TODAY)}
    assert named["ward"].guardian == named["guardian"].number
    assert named["twin1"].number.birth_date == named["twin2"].number.birth_date
    assert named["twin1"].photo_seed == named["twin2"].photo_seed


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("today", TODAY), ("today-17y", date(2009, 11, 22)), ("today-19y+1d", date(2007, 11, 23)),
        ("dec31-19y", date(2007, 12, 31)), ("jan1-18y", date(2008, 1, 1)), ("2004-02-29", date(2004, 2, 29)),
        ("2004-02-29+1y", date(2005, 2, 28)), ("today-18m", date(2025, 5, 22)), ("today-3y-40d", date(2023, 10, 13)),
    ],
)  # fmt: skip
def test_relative_days_are_read_from_left_to_right(text: str, day: date) -> None:
    assert day_of(text, TODAY) == day


@pytest.mark.parametrize("text", ["", "tomorrow", "today-1w", "today -1d", "today--1d"])
def test_other_days_are_a_mistake_in_the_pack(text: str) -> None:
    with pytest.raises(Refused) as refused:
        day_of(text, TODAY)
    assert refused.value.code is Code.BAD_CONFIG


def test_people_who_do_not_tie_up_do_not_load() -> None:
    for spoil in ({"municipality": "atlantis"}, {"guardian": "nobody"}, {"key": "berin"}, {"shoe_size": 42}):
        tree = country_tree("demo")
        tree["people"]["people"][0].update(spoil)
        with pytest.raises(Refused) as refused:
            parse_people(tree, MARU.country)
        assert refused.value.code is Code.BAD_CONFIG


def test_ages_are_counted_from_the_day_the_country_is_made() -> None:
    later = TODAY + timedelta(days=400)
    assert {one.key: one.resident.number.birth_date for one in KR.named(later)}["turned17today"] == date(2010, 12, 27)
