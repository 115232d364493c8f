"""Which evidence suffices for what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mapae.errors import Code, Refused
from mapae.issuer.evidence import Need, OfficerCompared, PhysicalCardSeen, Purpose, missing, must_suffice

NOW = datetime(2025, 3, 3, 10, tzinfo=UTC)
CARD = PhysicalCardSeen("officer-kim", NOW, True, True, True)
FACE = OfficerCompared("officer-kim", "김하늘", NOW, True)


def test_a_card_is_issued_on_plastic_and_face() -> None:
    assert missing(Purpose.ISSUE, [], NOW) == (Need.PHYSICAL_CARD, Need.FACE)
    assert missing(Purpose.ISSUE, [FACE], NOW) == (Need.PHYSICAL_CARD,)
    assert missing(Purpose.ISSUE, [FACE, CARD], NOW) == ()


@pytest.mark.parametrize("purpose", [Purpose.RELEASE, Purpose.MOVE])
def test_a_release_and_a_move_need_the_face_and_no_plastic(purpose: Purpose) -> None:
    assert missing(purpose, [CARD], NOW) == (Need.FACE,)
    assert missing(purpose, [FACE], NOW) == ()


def test_a_no_is_never_a_yes_and_the_newest_counts() -> None:
    no = OfficerCompared("officer-lee", "이도윤", NOW + timedelta(seconds=1), False)
    assert missing(Purpose.RELEASE, [FACE, no], NOW + timedelta(seconds=1)) == (Need.FACE,)
    assert missing(Purpose.RELEASE, [no, FACE], NOW + timedelta(seconds=1)) == (Need.FACE,)


def test_evidence_lasts_an_hour_and_does_not_come_from_tomorrow() -> None:
    assert missing(Purpose.RELEASE, [FACE], NOW + timedelta(hours=1)) == ()
    assert missing(Purpose.RELEASE, [FACE], NOW + timedelta(hours=1, seconds=1)) == (Need.FACE,)
    assert missing(Purpose.RELEASE, [FACE], NOW - timedelta(seconds=1)) == (Need.FACE,)


def test_the_refusal_names_what_is_missing() -> None:
    with pytest.raises(Refused) as refused:
        must_suffice(Purpose.ISSUE, [CARD], NOW)
    assert (refused.value.code, refused.value.detail) == (Code.EVIDENCE_MISSING, "not yet recorded: face")


def test_facts_carry_no_name() -> None:
    assert "김하늘" not in str(FACE.as_facts())
    assert FACE.as_facts()["officer"] == "officer-kim"
    assert CARD.as_facts()["evidence"] == "physical_card_seen"
