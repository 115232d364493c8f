"""Status epochs: one root over all lists, and steps from one epoch to the next."""

from __future__ import annotations

import hashlib
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hands import refuses
from mapae.errors import Code, Refused
from mapae.formats import cbor
from mapae.formats.status import StatusList
from mapae.trust.epoch import Delta, Epoch, EpochList, Patch, applied, delta, root

PREFIX = "https://issuer.example/status/"


def epoch(lists: dict[str, StatusList], seq: int = 1) -> Epoch:
    made = tuple(EpochList.of(PREFIX + name, lists[name]) for name in sorted(lists))
    return Epoch("issuer:issuer", PREFIX, seq, 1000 * seq, 1000 * seq + 600, made)


def two_lists() -> dict[str, StatusList]:
    return {"a": StatusList.of(2, 64, [(7, 2)]), "b": StatusList.of(2, 400, [(8, 1), (399, 3)])}


def bent(value: Epoch | Delta, **members: object) -> bytes:
    return cbor.dumps({**cbor.loads(value.encode()), **members})


def test_a_leaf_says_what_the_list_says_and_not_how_it_was_compressed():
    list_ = two_lists()["a"]
    record = EpochList.of(PREFIX + "a", list_).record
    digest = hashlib.sha256((PREFIX + "a").encode()).digest()
    assert record == digest + b"\x02" + (64).to_bytes(4, "big") + hashlib.sha256(list_.packed).digest()
    loose = EpochList.read(PREFIX + "a", 2, zlib.compress(list_.packed, 0), limit=100)
    assert loose.record == record and loose.entries == 64 and loose.list() == list_


def test_the_root_is_the_tree_of_rfc_9162():
    """2.1.1, by its own recursion: split at the largest power of two below the size."""

    def expected(records: list[bytes]) -> bytes:
        if not records:
            return hashlib.sha256(b"").digest()
        if len(records) == 1:
            return hashlib.sha256(b"\x00" + records[0]).digest()
        half = 1 << (len(records) - 1).bit_length() - 1
        return hashlib.sha256(b"\x01" + expected(records[:half]) + expected(records[half:])).digest()

    for size in range(20):
        records = [bytes([at]) * 69 for at in range(size)]
        assert root(records) == expected(records)


def test_an_epoch_reads_back_and_any_other_list_gives_another_root():
    whole = epoch(two_lists())
    assert Epoch.parse(whole.encode()) == whole
    assert whole.leaves == 2 and whole.stream == hashlib.sha256(PREFIX.encode()).digest()
    assert whole.find(PREFIX + "b") == whole.lists[1] and whole.find("x") is None
    changed = two_lists()
    changed["b"] = changed["b"].changed([(8, 0)])
    fewer = epoch({"a": two_lists()["a"]})
    renamed = epoch({"a": two_lists()["a"], "c": two_lists()["b"]})
    roots = [one.root for one in (whole, epoch(changed), fewer, renamed, epoch({}))]
    assert len(set(roots)) == 5


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"seq": 0}, Code.MALFORMED),
        ({"seq": 2**63}, Code.MALFORMED),
        ({"seq": True}, Code.MALFORMED),
        ({"iat": -1}, Code.MALFORMED),
        ({"next_update": 1}, Code.MALFORMED),
        ({"publisher": "한국"}, Code.MALFORMED),
        ({"prefix": ""}, Code.MALFORMED),
        ({"more": 1}, Code.MALFORMED),
        ({"lists": [["b", 2, zlib.compress(b"x")], ["a", 2, zlib.compress(b"x")]]}, Code.MALFORMED),
        ({"lists": [["a", 2, zlib.compress(b"x")], ["a", 2, zlib.compress(b"x")]]}, Code.MALFORMED),
        ({"lists": [["", 2, zlib.compress(b"x")]]}, Code.MALFORMED),
        ({"lists": [["a b", 2, zlib.compress(b"x")]]}, Code.MALFORMED),
        ({"lists": [["a", 3, zlib.compress(b"x")]]}, Code.MALFORMED),
        ({"lists": [["a", 2, b"x"]]}, Code.MALFORMED),
        ({"lists": [["a", 2, zlib.compress(b"x") + b"x"]]}, Code.MALFORMED),
        ({"lists": [["a", 2, zlib.compress(b"x")[:-1]]]}, Code.MALFORMED),
        ({"lists": [["a", 2, zlib.compress(bytes(600))], ["b", 2, zlib.compress(bytes(600))]]}, Code.TOO_LARGE),
    ],
)
def test_a_bent_epoch_is_refused(members, code):
    with refuses(code):
        Epoch.parse(bent(epoch(two_lists()), **members), unpacked=1000)


def test_a_second_spelling_and_too_much_are_refused():
    raw = epoch(two_lists()).encode()
    with refuses(Code.MALFORMED):
        Epoch.parse(raw + b"\x00")
    with refuses(Code.MALFORMED):
        Epoch.parse(b"\xb8\x06" + raw[1:])
    with refuses(Code.TOO_LARGE):
        Epoch.parse(raw, limit=len(raw) - 1)
    with refuses(Code.TOO_LARGE):
        epoch({f"{at:05}": StatusList(2, b"") for at in range(16_385)})


def test_a_delta_patches_what_changed_brings_what_is_new_and_takes_what_is_gone():
    before = {name: StatusList.of(2, 4096, [(at, 1) for at in range(0, 4096, 37)]) for name in "abcd"}
    after = {**before, "b": before["b"].changed([(5, 2), (4095, 3)]), "e": StatusList.of(2, 8, [(0, 1)])}
    after["c"] = StatusList.of(2, 8192, [(1, 1)])
    del after["d"]
    old, new = epoch(before, 3), epoch(after, 9)
    step = delta(old, new)
    assert [uri[-1] for uri, _ in step.patched] == ["b"] and len(step.patched[0][1].encode()) == 5
    assert [one.uri[-1] for one in step.whole] == ["c", "e"] and step.gone == (PREFIX + "d",)
    assert Delta.parse(step.encode()) == step
    made = applied(old, Delta.parse(step.encode()))
    assert made == new and made.root == new.root


def test_where_all_changed_the_list_comes_whole():
    old = epoch({"a": StatusList(2, bytes(1000))}, 1)
    new = epoch({"a": StatusList(2, bytes(range(250)) * 4)}, 2)
    assert delta(old, new).patched == () and applied(old, delta(old, new)).root == new.root


def test_a_delta_leads_nowhere_else():
    old, new = epoch(two_lists(), 1), epoch({**two_lists(), "c": StatusList.of(2, 64, [])}, 2)
    step = delta(old, new)
    with refuses(Code.CONFLICT):
        applied(new, step)
    with refuses(Code.CONFLICT):
        delta(old, Epoch("issuer:issuer", "https://other.example/", 2, 1, 1, ()))
    for members in ({"root": bytes(32)}, {"whole": []}, {"gone": ["b"]}, {"patched": [["a", b"\x00\x01"]]}):
        with refuses(Code.BAD_DIGEST):
            applied(old, Delta.parse(bent(step, **members)))
    for members in ({"gone": ["x"]}, {"patched": [["x", b"\x00\x01"]]}, {"patched": [["a", b"\x10\x01"]]}):
        with refuses(Code.MALFORMED):
            applied(old, Delta.parse(bent(step, **members)))


@pytest.mark.parametrize(
    "members",
    [
        {"since": 2},
        {"since": 0},
        {"root": bytes(31)},
        {"gone": ["b", "a"]},
        {"gone": ["c"]},
        {"patched": [["b", b""], ["a", b""]]},
        {"patched": [["c", b""]]},
        {"patched": [["a", b"\x00"]]},
        {"patched": [["a", b"\x80\x01"]]},
        {"patched": [["a", b"\x80\x00\x01"]]},
        {"patched": [["a", b"\x80\x80\x80\x80\x80\x01\x01"]]},
        {"prefix": " "},
        {"more": 1},
    ],
)
def test_a_bent_delta_is_refused(members):
    old, new = epoch(two_lists(), 1), epoch({**two_lists(), "c": StatusList.of(2, 64, [])}, 2)
    with refuses(Code.MALFORMED):
        Delta.parse(bent(delta(old, new), **members))


@given(st.lists(st.tuples(st.integers(0, 2**34), st.integers(0, 255)), unique_by=lambda one: one[0]))
def test_a_patch_reads_back(places):
    patch = Patch(tuple(sorted(places)))
    assert Patch.parse(patch.encode()) == patch


@given(st.binary(max_size=40))
def test_bytes_are_one_patch_or_none(raw):
    try:
        patch = Patch.parse(raw)
    except Refused:
        return
    assert patch.encode() == raw


def test_walking_any_steps_ends_where_the_whole_does():
    """Random histories: from any earlier epoch, by any deltas, to the same lists."""
    draw = random.Random(4)
    lists = {name: StatusList.of(2, 1 << 10, []) for name in "abc"}
    history = [epoch(lists, 1)]
    for seq in range(2, 12):
        for name in draw.sample(sorted(lists), 2):
            changes = [(draw.randrange(1 << 10), draw.randrange(4)) for _ in range(draw.randrange(30))]
            lists[name] = lists[name].changed(changes)
        if seq == 6:
            lists["d"] = StatusList.of(2, 1 << 11, [(3, 1)])
        history.append(epoch(lists, seq))
    for start in range(len(history) - 1):
        at, held = start, history[start]
        while at < len(history) - 1:
            further = draw.randrange(at + 1, len(history))
            held = applied(held, Delta.parse(delta(history[at], history[further]).encode()))
            at = further
        assert held == history[-1]


def test_a_patch_by_entries_is_the_same_as_one_by_comparison():
    old = StatusList.of(2, 64, [(1, 1)])
    new = old.changed([(1, 0), (2, 3), (63, 2)])
    assert Patch.at([63, 1, 2], new) == Patch.between(old, new)
    assert Patch.at([1, 2, 63, 40], new).on(old) == new
