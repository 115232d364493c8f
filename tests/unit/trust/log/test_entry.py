"""Entries: one spelling each, and no room for anything about a person."""

from __future__ import annotations

import typing
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hands import refuses
from logged import digest
from mapae.errors import Code, Refused
from mapae.trust.log import acts, entry
from mapae.trust.log.entry import KINDS, SHAPES, Anchored, Entry, Kind, Log, PolicySet, Purpose, Reason, Role

KIND_IDS = [kind.name for kind in Kind]
CHOICES = {"standing": 1, "roles": int(max(Role)) * 2 - 1, "purpose": max(Purpose), "reason": max(Reason)}
DIGESTS = {
    "voice", "document", "thumbprint", "owner", "digest", "reader", "certificate", "stream", "root", "statement",
    "party", "schema", "registrar",
}  # fmt: skip
ADDRESSES = {"controller", "governor"}
TIMES = {"valid_from", "valid_until", "since", "next_update", "delay"}
COUNTS = {"threshold": 8, "seq": 64, "leaves": 64}


def fields(kind: Kind) -> dict[str, type]:
    return typing.get_type_hints(SHAPES[kind].payload)


def values(name: str) -> st.SearchStrategy:
    """All that a field of this name may be. A name that is on no list fails, and so does this test."""
    if name in CHOICES:
        return st.integers(0 if name == "standing" else 1, CHOICES[name])
    if name in DIGESTS:
        return st.binary(min_size=32, max_size=32)
    if name in ADDRESSES:
        return st.binary(min_size=20, max_size=20)
    return st.integers(0, 2 ** (64 if name in TIMES else COUNTS[name]) - 1)


@st.composite
def entries(draw, kinds=tuple(Kind)) -> Entry:
    kind = draw(st.sampled_from(kinds))
    width = 20 if kind is Kind.GOVERNOR else 32
    subject = bytes(32) if kind is Kind.POLICY else draw(st.binary(min_size=width, max_size=width))
    said = SHAPES[kind].payload(*(draw(values(name)) for name in fields(kind)))
    number = st.integers(0, 2**64 - 1)
    return Entry(draw(number), draw(number), kind, subject, draw(st.binary(min_size=32, max_size=32)), said)


@given(entries())
def test_an_entry_comes_back_as_it_was_written(made):
    raw = made.encode()
    assert Entry.parse(raw) == made and Entry.parse(raw).encode() == raw
    assert len(raw) % 32 == 0 and len(raw) == 32 * (5 + len(made.payload))


@settings(max_examples=300, deadline=None)
@given(entries(), st.data())
def test_what_is_read_from_any_bytes_is_written_as_the_same_bytes(made, data):
    """So an entry holds what its fields hold and not a bit more."""
    raw = bytearray(made.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = Entry.parse(bytes(raw))
    except Refused as refused:
        assert refused.code is Code.MALFORMED
        return
    assert read.encode() == raw


@pytest.mark.parametrize("kind", list(Kind), ids=KIND_IDS)
def test_no_personal_data_can_enter(kind):
    """Every field of every kind is a digest, an address, a time, a closed choice or a counter of known width; none is
    text; each kind has one length, all of it these fields and zeros."""
    known = DIGESTS | ADDRESSES | TIMES | set(CHOICES) | set(COUNTS)
    spelled = fields(kind)
    assert set(spelled) <= known and set(spelled.values()) <= {int, bytes}
    bits = 64 + 64 + 8 + (160 if kind is Kind.GOVERNOR else 256) + 256
    for name in spelled:
        wide = 256 if name in DIGESTS else 160 if name in ADDRESSES else 64 if name in TIMES else 8
        bits += COUNTS.get(name, wide)
    assert _free_bits(kind) == bits


def _free_bits(kind: Kind) -> int:
    """How many bits of an entry may be other than zero, tried one by one through the codec itself."""
    size = SHAPES[kind].words.size
    free = 0
    for at in range(size * 8):
        raw = (1 << (size * 8 - 1 - at)).to_bytes(size, "big")
        fields = SHAPES[kind].words.unpack(raw)
        free += SHAPES[kind].words.pack(*fields) == raw
    return free


@pytest.mark.parametrize("act", list(acts.ACTS.values()), ids=list(acts.ACTS))
def test_an_act_has_no_field_for_text_either(act):
    hints = {name: hint for name, hint in typing.get_type_hints(act).items() if name in act.__struct_fields__}
    assert set(hints) == set(act.WIDTHS) and set(hints.values()) <= {int, bytes}
    assert set(act.WIDTHS) <= DIGESTS | ADDRESSES | TIMES | set(CHOICES) | set(COUNTS)
    assert set(act.WIDTHS.values()) <= {1, 8, 20, 32}
    for name, width in act.WIDTHS.items():
        sound = {key: bytes(wide) if wide >= 20 else 1 for key, wide in act.WIDTHS.items()}
        wrong = [b"\0" * (width + 1), b"\0" * (width - 1), "0" * width, 1] if width >= 20 else [1 << 8 * width, -1, b""]
        for value in wrong:
            with refuses(Code.MALFORMED, name):
                act(**(sound | {name: value}))


def test_every_kind_has_a_shape_and_belongs_to_one_log():
    assert set(SHAPES) == set(Kind) == set(KINDS.values())
    anchors = {kind for kind in Kind if kind.log is Log.ANCHORS}
    assert anchors == {Kind.READER, Kind.ANCHOR}
    assert "REVOKED" not in " ".join(kind.name for kind in anchors)  # nothing revoked can be left out of the registry


POLICY = Entry(3, 5, Kind.POLICY, bytes(32), digest("s"), PolicySet(digest("p"), 2, 0)).encode()


@pytest.mark.parametrize("raw", [b"", bytes(95), bytes(160), POLICY[:-1], POLICY + b"\0", POLICY[:-32]], ids=range(6))
def test_an_entry_of_another_length_or_kind_is_refused(raw):
    with refuses(Code.MALFORMED):
        Entry.parse(raw)


def test_an_entry_is_refused_by_its_size_before_anything_else():
    with refuses(Code.TOO_LARGE):
        Entry.parse(bytes(entry.LARGEST + 1))


@pytest.mark.parametrize(
    "at", [0, 32, 64, 94, 96, 192], ids=["index", "time", "kind", "kind low", "subject of a policy", "threshold"]
)
def test_bits_where_zeros_belong_are_refused(at):
    raw = bytearray(POLICY)
    raw[at] = 1
    with refuses(Code.MALFORMED):
        Entry.parse(bytes(raw))


@pytest.mark.parametrize(
    ("kind", "place", "value"),
    [
        (Kind.GOVERNOR, 1, 2), (Kind.PARTY, 2, 0), (Kind.PARTY, 2, 32), (Kind.PARTY_REVOKED, 0, 0),
        (Kind.PARTY_REVOKED, 0, 5), (Kind.KEY, 1, 0), (Kind.KEY, 1, 6), (Kind.KEY_REVOKED, 1, 0),
        (Kind.KEY_REVOKED, 1, 5), (Kind.READER_REVOKED, 1, 0), (Kind.READER_REVOKED, 1, 5),
    ],
)  # fmt: skip
def test_a_choice_that_is_not_on_its_list_is_refused(kind, place, value):
    sound = [bytes(20 if name in ADDRESSES else 32) if hint is bytes else 1 for name, hint in fields(kind).items()]
    subject = bytes(20) if kind is Kind.GOVERNOR else bytes(32)
    Entry.parse(Entry(0, 0, kind, subject, bytes(32), SHAPES[kind].payload(*sound)).encode())
    sound[place] = value
    with refuses(Code.MALFORMED, "list"):
        Entry.parse(Entry(0, 0, kind, subject, bytes(32), SHAPES[kind].payload(*sound)).encode())


@pytest.mark.parametrize(
    "change", [{"index": -1}, {"subject": bytes(31)}, {"statement": bytes(33)}, {"payload": (bytes(32), 0, b"", 1, 0)}],
    ids=["number", "short", "long", "inside"],
)  # fmt: skip
def test_a_field_that_does_not_fit_is_not_written(change):
    made = Entry(0, 0, Kind.ANCHOR, bytes(32), bytes(32), Anchored(bytes(32), 0, bytes(32), 1, 0))
    with refuses(Code.MALFORMED, "fit"):
        msgspec.structs.replace(made, **change).encode()


def test_acts_go_to_json_and_back_in_one_spelling():
    act = acts.PutKey(digest("p"), digest("k"), 2, 0, 9, digest("s"))
    value = acts.encode(act)
    assert acts.parse(value) == act and value["args"]["party"] == digest("p").hex()
    for bent in (
        {**value, "act": "put_keys"}, {**value, "more": 1}, {**value, "args": {**value["args"], "more": 1}},
        {**value, "args": {**value["args"], "party": digest("p").hex().upper()}},
        {**value, "args": {**value["args"], "party": "xx"}}, {**value, "args": {**value["args"], "party": 7}},
        {**value, "args": {**value["args"], "party": " " + digest("p").hex()}}, {**value, "act": ["put_key"]},
        {**value, "args": {**value["args"], "purpose": True}}, {**value, "args": {**value["args"], "purpose": "2"}},
        {**value, "statement": 3}, {**value, "args": []}, [], None,
    ):  # fmt: skip
        with refuses(Code.MALFORMED):
            acts.parse(bent)


def test_an_act_has_another_id_under_other_governors_and_with_any_other_word():
    act = acts.PutPolicy(digest("p"), 2, 0, digest("s"))
    others = [acts.PutPolicy(digest("p"), 2, 1, digest("s")), acts.PutPolicy(digest("p"), 2, 0, digest("t"))]
    ids = {acts.act_id(act, 0), acts.act_id(act, 1), *(acts.act_id(other, 0) for other in others)}
    assert len(ids) == 4
    made = entry.words(0, 2, digest("p"), 2, 0, digest("s"))
    assert acts.act_id(act, 0) == sha256(made).digest() and len(made) == 32 * 6
