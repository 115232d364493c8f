"""Who looked at me: the officers' acts of the audit chain, as the person may see them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mapae.audit import Event, Recorded
from mapae.issuer.looks import ACTS, NEWEST, REASONS, Look, looks
from unit.issuer.desk_world import country

KR = country()
START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
OFFICE = next(iter(KR.offices))
OFFICERS = {"officer-1": OFFICE, "dismissed": OFFICE}


def told(*events: Event) -> list[Look]:
    recorded = [Recorded(at, START + timedelta(minutes=at), event) for at, event in enumerate(events)]
    return looks(recorded, OFFICERS, KR)


def test_an_officers_look_is_told_with_office_and_reason_and_without_the_officer() -> None:
    [look] = told(Event("p", "record", "looked_at", "officer-1", {"office": OFFICE, "reason": "enquiry"}))
    assert (look.act, look.why, look.office) == ("looked_at", "enquiry", KR.offices[OFFICE].name)
    assert "officer-1" not in repr(look)


def test_what_one_does_oneself_and_the_machinery_are_no_looks() -> None:
    for actor in ("wallet", "citizen", "issuer", "wallet_provider", "helper", "somebody-unknown"):
        assert told(Event("p", "case", "opened", actor)) == []
    assert told(Event("p", "documents", "locked", "citizen", {"reason": "lost"})) == []
    [carrier] = told(Event("p", "documents", "locked", "carrier", {"reason": "lost"}))
    assert (carrier.act, carrier.why, carrier.office) == ("locked", "lost", None)


def test_nothing_an_officer_does_is_left_out_and_no_free_word_comes_out() -> None:
    acts = told(
        Event("p", "record", "peeked", "dismissed", {"reason": "curiosity", "office": "atlantis"}),
        Event("p", "case", "face_compared", "officer-1", {"office": OFFICE}),
        Event("p", "spell", "cast", "officer-1"),
        Event("p", "record", "looked_at", "officer-1", {"reason": "case.issue"}),
    )
    assert [(look.act, look.why) for look in acts] == [
        ("looked_at", "application"), ("other", ""), ("case_worked_on", ""), ("looked_at", ""),
    ]  # fmt: skip
    assert acts[-1].office is None  # no office of that name: nothing is made up
    assert {look.act for look in acts} <= {*ACTS.values(), "other"} and {look.why for look in acts} <= {*REASONS, ""}


def test_the_newest_come_first_and_no_more_than_a_screen_can_hold() -> None:
    acts = told(*[Event("p", "record", "found", "officer-1") for _ in range(NEWEST + 5)])
    assert len(acts) == NEWEST and acts[0].at > acts[1].at > acts[-1].at
    assert told() == []
