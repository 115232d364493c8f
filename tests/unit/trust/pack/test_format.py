"""The file of a pack and of a delta: one spelling, whole or refused, and never more than its limits."""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapae.errors import Code, Refused
from mapae.formats import cbor, cose
from mapae.formats.jose import PublicKey
from mapae.keys import Signer
from mapae.trust.pack import format
from mapae.trust.pack.format import CHANGED, KEPT, STORED, ZLIB, Manifest, Pack

KEY = Signer.ephemeral()
LIST = bytes(4096)
TEXT = b"what the policy says " * 9


def pack(*contents: bytes, number: int = 1, signer: Signer = KEY, **named: bytes) -> Pack:
    every = {format.digest(content): content for content in (*contents, *named.values())}
    return format.make(
        signer, {place: format.fold(content) for place, content in every.items()},
        {place: len(content) for place, content in every.items()},
        {name: format.digest(content) for name, content in named.items()},
        origin="id.example/trust/log/registry", number=number, made=1_800_000_000, late=(b"s" * 32,),
    )  # fmt: skip


SMALL = pack(LIST, b"\x01", policy=TEXT)


def refusal(work: Any, *args: Any) -> Code:
    with pytest.raises(Refused) as caught:
        work(*args)
    return caught.value.code


def test_a_pack_reads_back_byte_for_byte() -> None:
    again = format.read(SMALL.encode())
    assert again.manifest == SMALL.manifest and again.id == SMALL.id and again.encode() == SMALL.encode()
    assert again.named("policy") == TEXT and again.content(format.digest(LIST)) == LIST
    assert again.under("pol") == ["policy"] and again.manifest.late == (b"s" * 32,)


def test_what_is_not_there_is_said_to_be_missing() -> None:
    assert refusal(SMALL.named, "checkpoint") is Code.BAD_PACK
    assert refusal(SMALL.content, bytes(32)) is Code.BAD_PACK


@given(st.data())
def test_a_pack_with_one_flipped_bit_is_refused_or_says_the_same(data: st.DataObject) -> None:
    raw = bytearray(SMALL.encode())
    at = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[at >> 3] ^= 1 << (at & 7)
    try:
        read = format.read(bytes(raw))
    except Refused as refused:
        assert refused.code in (Code.BAD_PACK, Code.TOO_LARGE)
        return
    # A bit of the compression, say: what it unfolds to is what was signed.
    assert read.id == SMALL.id
    assert all(read.content(place) == SMALL.content(place) for place in SMALL.manifest.blobs)


@given(st.integers(0, len(SMALL.encode()) - 1))
def test_a_pack_cut_anywhere_is_refused(size: int) -> None:
    assert refusal(format.read, SMALL.encode()[:size]) is Code.BAD_PACK


def test_nothing_may_follow_a_pack() -> None:
    assert refusal(format.read, SMALL.encode() + b"\x00") is Code.BAD_PACK


def test_parts_of_two_packs_do_not_mix() -> None:
    other = pack(bytes(4095) + b"\x01", b"\x01", policy=TEXT)
    bodies = sorted(other.manifest.blobs)
    mixed = replace(other, bodies={place: SMALL.bodies.get(place, (STORED, b"")) for place in bodies})
    assert refusal(format.read, mixed.encode()) is Code.BAD_PACK
    assert refusal(format.read, replace(SMALL, head=other.head).encode()) is Code.BAD_PACK


def test_somebody_elses_seal_on_the_same_words_is_another_pack() -> None:
    """The key is among the words: a manifest that names one key and is signed by another does not open."""
    payload = SMALL.manifest.encode()
    forged = Signer.ephemeral().sign(cose.to_be_signed(payload))
    head = cbor.dumps([cose.PROTECTED, {}, payload, forged])
    assert refusal(format.read, replace(SMALL, head=head).encode()) is Code.BAD_PACK


def _manifest(**changes: Any) -> bytes:
    said = cbor.loads(SMALL.manifest.encode()) | changes
    return cbor.dumps({name: value for name, value in said.items() if value != "left out"})


BLOBS = [[place, size] for place, size in sorted(SMALL.manifest.blobs.items())]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"v": 2}, Code.BAD_PACK),
        ({"v": True}, Code.BAD_PACK),
        ({"more": 1}, Code.BAD_PACK),
        ({"made": "left out"}, Code.BAD_PACK),
        ({"made": -1}, Code.BAD_PACK),
        ({"made": 2**60}, Code.BAD_PACK),
        ({"number": "1"}, Code.BAD_PACK),
        ({"origin": ""}, Code.BAD_PACK),
        ({"key": {1: 2}}, Code.BAD_PACK),
        ({"late": [b"short"]}, Code.BAD_PACK),
        ({"late": [b"z" * 32, b"a" * 32]}, Code.BAD_PACK),
        ({"names": {"policy": bytes(32)}}, Code.BAD_PACK),
        ({"names": {"../policy": BLOBS[0][0]}}, Code.BAD_PACK),
        ({"names": {"policy": [1]}}, Code.BAD_PACK),
        ({"blobs": BLOBS[::-1]}, Code.BAD_PACK),
        ({"blobs": [*BLOBS, BLOBS[0]]}, Code.BAD_PACK),
        ({"blobs": [[BLOBS[0][0], 0], *BLOBS[1:]]}, Code.TOO_LARGE),
        ({"blobs": [[BLOBS[0][0], format.BLOB_LIMIT + 1], *BLOBS[1:]]}, Code.TOO_LARGE),
        ({"blobs": [[bytes((n,)) * 32, format.BLOB_LIMIT] for n in range(65)], "names": {}}, Code.TOO_LARGE),
    ],
    ids=lambda value: str(sorted(value)) if isinstance(value, dict) else None,
)
def test_a_manifest_has_one_spelling(changes: dict[str, Any], code: Code) -> None:
    assert refusal(Manifest.parse, _manifest(**changes)) is code


def test_a_small_part_that_unfolds_to_gigabytes_is_refused_before_it_does() -> None:
    """The manifest, signed by whoever, says how large a part is; not a byte more is unfolded."""
    bomb = zlib.compress(bytes(64 * 1024 * 1024), 9)
    place = format.digest(b"\x01")
    bent = replace(SMALL, bodies=dict(SMALL.bodies) | {place: (ZLIB, bomb)})
    assert refusal(format.read, bent.encode()) is Code.BAD_PACK


def test_a_file_over_the_limit_is_not_looked_at() -> None:
    assert refusal(format.read, bytes(format.LIMIT + 1)) is Code.TOO_LARGE


# --- deltas -----------------------------------------------------------------------------------------------------------

NEWER_LIST = LIST[:100] + b"\x02" + LIST[101:]
NEWER = pack(NEWER_LIST, b"\x01", number=2, policy=TEXT)
PAIRS = {format.digest(NEWER_LIST): format.digest(LIST)}


def test_a_delta_makes_the_new_pack_and_is_small() -> None:
    """The unchanged parts do not travel, a changed list travels as what changed in it."""
    step = format.delta(SMALL, NEWER, PAIRS)
    made = format.apply(SMALL, step)
    assert made.id == NEWER.id and made.content(format.digest(NEWER_LIST)) == NEWER_LIST
    assert format.read(made.encode()).id == NEWER.id
    assert format.is_delta(step) and not format.is_delta(NEWER.encode())
    random = pack(Signer.ephemeral().kid.encode() * 40, number=3, policy=TEXT)
    assert format.apply(NEWER, format.delta(NEWER, random, {})).id == random.id


def test_a_delta_fits_one_base_only() -> None:
    step = format.delta(SMALL, NEWER, PAIRS)
    assert refusal(format.apply, NEWER, step) is Code.BAD_PACK
    assert refusal(format.apply, SMALL, NEWER.encode()) is Code.BAD_PACK
    assert refusal(format.read, step) is Code.BAD_PACK
    for size in range(0, len(step), 7):
        assert refusal(format.apply, SMALL, step[:size]) is Code.BAD_PACK


@given(st.data())
def test_a_delta_with_one_flipped_bit_is_refused_or_makes_the_same(data: st.DataObject) -> None:
    raw = bytearray(format.delta(SMALL, NEWER, PAIRS))
    at = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[at >> 3] ^= 1 << (at & 7)
    try:
        made = format.apply(SMALL, bytes(raw))
    except Refused as refused:
        assert refused.code in (Code.BAD_PACK, Code.TOO_LARGE)
        return
    assert made.id == NEWER.id


@pytest.mark.parametrize(
    "body",
    [
        pytest.param((KEPT, b""), id="kept-unknown"),
        pytest.param((KEPT, b"x"), id="kept-with-bytes"),
        pytest.param((CHANGED, b""), id="changed-empty"),
        pytest.param((CHANGED, bytes(32)), id="changed-unknown"),
        pytest.param((CHANGED, format.digest(LIST) + b"no zlib"), id="changed-no-zlib"),
        pytest.param((9, b""), id="unknown-coding"),
    ],
)
def test_a_delta_can_only_make_what_the_manifest_says(body: tuple[int, bytes]) -> None:
    place = format.digest(NEWER_LIST)
    bent = replace(NEWER, bodies=dict(NEWER.bodies) | {place: body})
    raw = format.DELTA + SMALL.id + bent.encode()[len(format.PACK) :]
    assert refusal(format.apply, SMALL, raw) is Code.BAD_PACK


def test_the_publishers_key_is_told_by_the_manifest() -> None:
    assert SMALL.manifest.key == PublicKey.from_jwk(KEY.jwk)
    assert msgspec.structs.replace(SMALL.manifest, number=2).id != SMALL.id
