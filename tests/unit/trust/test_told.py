from __future__ import annotations

import re

import pytest

from mapae.trust.log.entry import (
    Anchored,
    Entry,
    GovernorSet,
    KeyEntered,
    KeyRevoked,
    Kind,
    PartyAdmitted,
    PartyRevoked,
    Payload,
    PolicySet,
    Purpose,
    ReaderEntered,
    ReaderRevoked,
    Reason,
    Role,
    SchemaPublished,
    SchemaWithdrawn,
)
from mapae.trust.told import Teller
from mapae.ui.words import LANGUAGES, Language, knows

PARTY, READER, GOVERNOR, STREAM = b"\x11" * 32, b"\x22" * 32, b"\x33" * 20, b"\x44" * 32
AT, LATER = 1_772_400_000, 1_782_400_000
SAID: dict[Kind, Payload] = {
    Kind.GOVERNOR: GovernorSet(bytes(32), 1),
    Kind.POLICY: PolicySet(b"\x55" * 32, 2, 86_401),
    Kind.PARTY: PartyAdmitted(bytes(20), bytes(32), sum(Role), AT, LATER, bytes(32)),
    Kind.PARTY_REVOKED: PartyRevoked(3),
    Kind.KEY: KeyEntered(bytes(32), 2, AT, LATER),
    Kind.KEY_REVOKED: KeyRevoked(bytes(32), 3, AT),
    Kind.SCHEMA: SchemaPublished(PARTY, b"\x66" * 32),
    Kind.SCHEMA_WITHDRAWN: SchemaWithdrawn(),
    Kind.READER_REVOKED: ReaderRevoked(READER, 4, AT),
    Kind.READER: ReaderEntered(READER, bytes(32), AT, LATER),
    Kind.ANCHOR: Anchored(STREAM, 7, bytes(32), 1_200, LATER),
}


def _entry(kind: Kind) -> Entry:
    return Entry(9, AT, kind, GOVERNOR if kind is Kind.GOVERNOR else PARTY, b"\x77" * 32, SAID[kind])


def _teller(language: Language) -> Teller:
    return Teller(
        language, parties={PARTY: "Ministry"}, readers={READER: "Mart"}, governors={GOVERNOR: 3},
        streams=frozenset({STREAM}),
    )  # fmt: skip


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", list(Kind), ids=lambda kind: kind.name)
def test_every_kind_of_entry_is_a_sentence_and_a_list(kind: Kind, language: Language) -> None:
    """No gap is left open, and every field has a word in front of it."""
    teller, entry = _teller(language), _entry(kind)
    sentence = teller.sentence(entry)
    assert sentence.endswith(".")
    assert not re.search(r"[{}]|None", sentence)
    assert bool(re.search("[가-힣]", sentence)) is (language == "ko")
    facts = teller.facts(entry)
    assert len(facts) == 5 + len(SAID[kind])
    assert all(knows(fact.label) and fact.value for fact in facts)


def test_sentences_say_who_did_what_and_when() -> None:
    said = {kind: _teller("en").sentence(_entry(kind)) for kind in Kind}
    assert said[Kind.GOVERNOR] == "From now on governor 3 has a vote."
    assert "needs 2 governors, and a new party waits 2 days" in said[Kind.POLICY]
    assert (
        said[Kind.KEY_REVOKED] == "A key of Ministry counts no longer, from 1 March 2026 21:20: fell into wrong hands."
    )
    assert said[Kind.READER_REVOKED].startswith("The relying party Mart may no longer ask")
    assert said[Kind.ANCHOR].startswith("Ministry fixed the state of its 1,200 status lists, number 7.")
    assert "issuer, wallet provider, registrar" in said[Kind.PARTY]


def test_who_has_no_name_is_told_by_digest() -> None:
    assert Teller("en").sentence(_entry(Kind.PARTY_REVOKED)) == "11111111… was struck off: fell into wrong hands."


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_choice_has_a_word(language: Language) -> None:
    assert all(knows(f"log.purpose.{one.name.lower()}") for one in Purpose)
    assert all(knows(f"log.reason.{one.name.lower()}") for one in Reason)
    assert all(knows(f"log.kind.{one.name.lower()}") for one in Kind)
    assert len(Teller(language).roles(sum(Role)).split(", ")) == len(Role)


def test_ages_are_told_in_the_largest_unit_that_fits() -> None:
    ages = {3: "just now", 59: "59 seconds ago", 61: "1 minute ago", 7_300: "2 hours ago", 200_000: "2 days ago"}
    assert {seconds: Teller("en").ago(seconds) for seconds in ages} == ages


def test_a_time_beyond_the_calendar_is_without_end() -> None:
    assert Teller("en").at(2**64 - 1) == "without end"
