"""Which evidence suffices for what."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapae.errors import Code, Refused
from mapae.issuer.evidence import (
    ChipProven,
    Evidence,
    FaceMatched,
    Need,
    OfficerCompared,
    PhysicalCardSeen,
    Purpose,
    SecondDocumentSeen,
    SecondOfficer,
    Why,
    missing,
    must_suffice,
    must_suffice_to_offer,
    to_file,
)
from mapae.rules import FaceRules

NOW = datetime(2025, 3, 3, 10, tzinfo=UTC)
CARD = PhysicalCardSeen("officer-kim", NOW, True, True, True)
SAME = OfficerCompared("officer-kim", "김하늘", NOW, True)
OWN = replace(SAME, own_photo=True)
MATCH = FaceMatched("c-1", NOW, True, False, "match", "reference 1")
NEARLY = replace(MATCH, ok=False, borderline=True, reason="no-match")
NO = replace(NEARLY, borderline=False)
LICENCE = SecondDocumentSeen("officer-kim", "driving_licence", True, NOW)
LEE = SecondOfficer("officer-lee", "이도윤", NOW, Why.EYES)
RULES = FaceRules(threshold=0.5, borderline=0.55, second_documents=("driving_licence",))
ALL = (Need.FACE, Need.OFFICER)


def test_without_face_rules_a_card_is_issued_on_plastic_and_an_officers_look() -> None:
    assert missing(Purpose.ISSUE, [], NOW) == (Need.PHYSICAL_CARD, Need.OFFICER)
    assert missing(Purpose.ISSUE, [SAME], NOW) == (Need.PHYSICAL_CARD,)
    assert missing(Purpose.ISSUE, [SAME, CARD], NOW) == ()


SUFFICIENT = {
    "the machine, then the officer": [CARD, MATCH, SAME],
    "nearly, another document, then the officer": [CARD, NEARLY, LICENCE, SAME],
    "nearly, then the officer, then the document": [CARD, NEARLY, SAME, LICENCE],
    "two officers": [CARD, SAME, LEE],
    "two officers, the second one first": [CARD, LEE, SAME],
    "two officers after the machine said no": [CARD, NO, SAME, LEE],
    "yes in the second try": [CARD, NO, MATCH, SAME],
    "a colleague after the officer whose photo it is": [CARD, MATCH, OWN, replace(SAME, officer="officer-lee")],
    "two officers, though the photo is one's own": [CARD, MATCH, OWN, LEE],
    "an officer before the machine, and again after it": [CARD, SAME, MATCH, replace(SAME)],
}


@pytest.mark.parametrize("name", SUFFICIENT)
def test_with_face_rules_it_takes_two(name: str) -> None:
    assert missing(Purpose.ISSUE, SUFFICIENT[name], NOW, RULES) == ()
    assert missing(Purpose.ISSUE_WITHOUT_CARD, SUFFICIENT[name][1:], NOW, RULES) == ()


LACKING: dict[str, tuple[list[Evidence], tuple[Need, ...]]] = {
    "one officer alone": ([CARD, SAME], ALL),
    "the machine alone": ([CARD, MATCH], (Need.OFFICER,)),
    "an officer who confirmed before the machine": ([CARD, SAME, MATCH], (Need.OFFICER,)),
    "the machine said no and the officer yes": ([CARD, NO, SAME], ALL),
    "nearly, and the officer": ([CARD, NEARLY, SAME], (Need.SECOND_DOCUMENT,)),
    "nearly, and another person's document": (
        [CARD, NEARLY, replace(LICENCE, number_matches=False), SAME], (Need.SECOND_DOCUMENT,)
    ),
    "the officer who alone put the photo on record": ([CARD, MATCH, OWN], (Need.SECOND_OFFICER,)),
    "the same officer, nearly and a document": ([CARD, NEARLY, LICENCE, OWN], (Need.SECOND_OFFICER,)),
    "a document from before": ([CARD, LICENCE, NEARLY, SAME], (Need.SECOND_DOCUMENT,)),
    "the first officer's own second look": ([CARD, SAME, replace(LEE, officer="officer-kim")], (Need.OFFICER,)),
    "the second officer alone": ([CARD, LEE], (Need.OFFICER,)),
    "two officers before the machine said no": ([CARD, SAME, LEE, NO], ALL),
    "an officer's no after everything": ([CARD, MATCH, SAME, replace(SAME, same_person=False)], (Need.OFFICER,)),
    "a no of the machine after its yes": ([CARD, MATCH, NO, SAME], ALL),
    "no card in hand": ([MATCH, SAME], (Need.PHYSICAL_CARD,)),
}  # fmt: skip


@pytest.mark.parametrize("name", LACKING)
def test_what_does_not_suffice_is_named(name: str) -> None:
    evidence, needs = LACKING[name]
    assert missing(Purpose.ISSUE, evidence, NOW, RULES) == needs


def test_where_no_second_document_is_named_nearly_is_no() -> None:
    rules = FaceRules(threshold=0.5, borderline=0.55)
    assert missing(Purpose.ISSUE, [CARD, NEARLY, LICENCE, SAME], NOW, rules) == ALL


def test_only_the_card_in_hand_and_an_officers_no_stand_before_the_qr() -> None:
    assert to_file(Purpose.ISSUE, [], NOW, RULES) == (Need.PHYSICAL_CARD,)
    assert must_suffice_to_offer(Purpose.ISSUE, [CARD], NOW, RULES) == ALL
    assert must_suffice_to_offer(Purpose.ISSUE, [CARD, SAME, LEE], NOW, RULES) == ()
    with pytest.raises(Refused):
        must_suffice_to_offer(Purpose.ISSUE, [CARD, replace(SAME, same_person=False)], NOW, RULES)
    with pytest.raises(Refused):
        must_suffice_to_offer(Purpose.ISSUE, [CARD], NOW, None)


def test_at_home_the_chip_and_the_face_suffice_and_nearly_does_not() -> None:
    chip = ChipProven("aa", "s-1", NOW)
    assert missing(Purpose.ISSUE, [chip], NOW, RULES) == (Need.FACE,)
    assert missing(Purpose.ISSUE, [chip, MATCH], NOW, RULES) == ()
    assert missing(Purpose.ISSUE, [chip, NEARLY, LICENCE], NOW, RULES) == (Need.FACE,)
    assert missing(Purpose.ISSUE, [MATCH, chip], NOW, RULES) == (Need.FACE,)
    assert missing(Purpose.ISSUE, [replace(chip, face=False)], NOW, RULES) == ()


@pytest.mark.parametrize("purpose", [Purpose.RELEASE, Purpose.MOVE])
def test_a_release_and_a_move_need_an_officers_look_and_no_plastic(purpose: Purpose) -> None:
    assert missing(purpose, [CARD], NOW) == (Need.OFFICER,)
    assert missing(purpose, [SAME], NOW) == ()


def test_a_no_is_never_a_yes_and_the_newest_counts() -> None:
    no = OfficerCompared("officer-lee", "이도윤", NOW + timedelta(seconds=1), False)
    assert missing(Purpose.RELEASE, [SAME, no], NOW + timedelta(seconds=1)) == (Need.OFFICER,)
    assert missing(Purpose.RELEASE, [no, SAME], NOW + timedelta(seconds=1)) == (Need.OFFICER,)


@pytest.mark.parametrize("old", [CARD, MATCH, SAME], ids=["card", "machine", "officer"])
def test_evidence_lasts_an_hour_and_does_not_come_from_tomorrow(old: Evidence) -> None:
    whole = [CARD, MATCH, SAME]
    hour = timedelta(hours=1)
    fresh = [one if one is old else replace(one, at=NOW + hour) for one in whole]
    fresh = fresh if old is not SAME else [replace(CARD, at=NOW + hour), MATCH, SAME]
    assert missing(Purpose.ISSUE, fresh, NOW + hour, RULES) == ()
    assert missing(Purpose.ISSUE, fresh, NOW + hour + timedelta(seconds=1), RULES) != ()
    assert missing(Purpose.ISSUE, whole, NOW - timedelta(seconds=1), RULES) == (Need.PHYSICAL_CARD, *ALL)


def test_the_refusal_names_what_is_missing() -> None:
    with pytest.raises(Refused) as refused:
        must_suffice(Purpose.ISSUE, [CARD], NOW)
    assert (refused.value.code, refused.value.detail) == (Code.EVIDENCE_MISSING, "not yet recorded: officer")


def test_facts_carry_no_name_and_no_distance() -> None:
    assert "김하늘" not in str(SAME.as_facts())
    assert SAME.as_facts()["officer"] == "officer-kim"
    assert "이도윤" not in str(LEE.as_facts())
    assert LEE.as_facts()["why"] == "eyes"
    assert CARD.as_facts()["evidence"] == "physical_card_seen"
    assert "distance" not in MATCH.as_facts()


OFFICERS = ("officer-kim", "officer-lee", "officer-choi")
_said = st.one_of(
    st.builds(PhysicalCardSeen, st.sampled_from(OFFICERS), st.just(NOW), *[st.sampled_from([True, True, False])] * 3),
    st.builds(OfficerCompared, st.sampled_from(OFFICERS), st.just("이름"), st.just(NOW), st.booleans()),
    st.sampled_from([MATCH, NEARLY, NO]),
    st.builds(SecondDocumentSeen, st.sampled_from(OFFICERS), st.just("driving_licence"), st.booleans(), st.just(NOW)),
    st.builds(SecondOfficer, st.sampled_from(OFFICERS), st.just("이름"), st.just(NOW), st.sampled_from(Why)),
)


@given(st.lists(_said, max_size=5), st.sampled_from(sorted(SUFFICIENT)), st.lists(_said, max_size=2))
def test_nobodys_eye_alone_and_no_machine_alone_whatever_was_said(
    before: list[Evidence], name: str, after: list[Evidence]
) -> None:  # fmt: skip
    """A file that suffices does not without its officers, without what confirms them, or with a last "no"."""
    said = [*before, *(replace(one) for one in SUFFICIENT[name]), *after]
    if missing(Purpose.ISSUE, said, NOW, RULES):
        return

    def without(*kinds: type) -> tuple[Need, ...]:
        return missing(Purpose.ISSUE, [one for one in said if not isinstance(one, kinds)], NOW, RULES)

    assert without(PhysicalCardSeen) == (Need.PHYSICAL_CARD,)
    assert Need.OFFICER in without(OfficerCompared)
    assert without(FaceMatched, SecondOfficer) == ALL
    for one in OFFICERS:  # nobody is both officers
        alone = [v for v in said if isinstance(v, PhysicalCardSeen) or getattr(v, "officer", one) == one]
        if not any(isinstance(v, FaceMatched) for v in said):
            assert missing(Purpose.ISSUE, alone, NOW, RULES)
    no = OfficerCompared("officer-kim", "이름", NOW, False)
    assert Need.OFFICER in missing(Purpose.ISSUE, [*said, no], NOW, RULES)
    assert missing(Purpose.ISSUE, [*said, NO], NOW, RULES) == ALL
    assert missing(Purpose.ISSUE, said, NOW + timedelta(hours=1, seconds=1), RULES) != ()
