"""C2SP tlog-tiles and tlog-proof: the log as files, and one file that proves an entry."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hands import refuses
from logged import NOW, ORIGIN, cosigned, digest, policy
from mapae.errors import Code, Refused
from mapae.trust.log import note, tiles
from mapae.trust.log.note import Checkpoint
from mapae.trust.log.proof import TlogProof
from mapae.trust.log.tiles import Tile
from mapae.trust.log.tree import Tree, leaf_hash


def grown(size: int) -> Tree:
    return Tree(leaf_hash(b"entry %d" % at) for at in range(size))


# --- paths -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "tile"),
    [
        ("tile/0/x001/x234/067", Tile(0, 1234067)), ("tile/0/000", Tile(0, 0)), ("tile/63/005", Tile(63, 5)),
        ("tile/1/273.p/112", Tile(1, 273, 112)), ("tile/entries/x001/000.p/1", Tile(None, 1000, 1)),
        ("tile/entries/999", Tile(None, 999)),
    ],
)  # fmt: skip
def test_a_path_names_a_tile(path, tile):
    """tlog-tiles, Merkle Tree: 1234067 is encoded as x001/x234/067."""
    assert Tile.parse(path) == tile and tile.path() == path


@pytest.mark.parametrize(
    "path",
    [
        "", "tile/0/0", "tile/0/0001", "tile/00/000", "tile/64/000", "tile/-1/000", "tile/0/x000/001", "tile/0/001/002",
        "tile/0/x001", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p/", "tile/0/000/",
        "/tile/0/000", "tile/entries/000\n", "tile/data/000", "tile/0/x001/x002/x003/x004/x005/x006/x007/008",
        "tile/0/٠٠٠", "tile/0/../000", "tile/0/000.p/1.p/1",
    ],
    ids=range(21),
)  # fmt: skip
def test_any_other_path_is_no_tile(path):
    with refuses(Code.MALFORMED):
        Tile.parse(path)


@given(st.integers(0, 63) | st.none(), st.integers(0, 10**9), st.integers(1, 256))
def test_every_tile_has_one_path(level, index, width):
    tile = Tile(level, index, width)
    assert Tile.parse(tile.path()) == tile


# --- tiles -----------------------------------------------------------------------------------------------------------


def test_a_tree_of_70000_has_the_tiles_the_text_counts():
    """tlog-tiles, Partial Tiles."""
    count: dict[tuple[int | None, int], int] = {}
    for tile in tiles.of_size(70_000):
        key = (tile.level, tile.width)
        count[key] = count.get(key, 0) + 1
        assert tile.within(70_000)
    assert count == {(0, 256): 273, (0, 112): 1, (1, 256): 1, (1, 17): 1, (2, 1): 1}
    assert [tile.path() for tile in tiles.of_size(256)] == ["tile/0/000", "tile/1/000.p/1"]
    assert [*tiles.of_size(0)] == []


def test_the_bundles_from_an_entry_on():
    assert [tile.path() for tile in tiles.bundles(600, 300)] == ["tile/entries/001", "tile/entries/002.p/88"]
    assert [*tiles.bundles(0)] == [] and [tile.width for tile in tiles.bundles(256)] == [256]


def test_tiles_hold_the_hashes_of_their_level():
    tree = grown(600)
    low = tiles.tile_bytes(tree, 0, 2, 88)
    assert tiles.hashes(low, 88) == [leaf_hash(b"entry %d" % at) for at in range(512, 600)]
    high = tiles.hashes(tiles.tile_bytes(tree, 1, 0, 2), 2)
    assert high == [Tree(tiles.hashes(tiles.tile_bytes(tree, 0, at), 256)).root() for at in range(2)]
    for level, index, width in ((0, 2, 89), (0, 3, 1), (1, 0, 3), (2, 0, 1), (40, 0, 1)):
        with refuses(Code.NOT_FOUND):
            tiles.tile_bytes(tree, level, index, width)
    with refuses(Code.MALFORMED):
        tiles.hashes(low, 87)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=8), st.data())
def test_a_bundle_comes_back_and_nothing_else_is_one(entries, data):
    raw = tiles.bundle(entries)
    assert tiles.unbundle(raw, len(entries)) == entries
    for wrong in (raw[:-1], raw + b"\0"):
        with refuses(Code.MALFORMED):
            tiles.unbundle(wrong, len(entries))
    for width in {max(1, len(entries) - 1), len(entries) + 1} - {len(entries)}:
        with refuses(Code.MALFORMED):
            tiles.unbundle(raw, width)
    if max(map(len, entries)) > 1:
        with refuses(Code.MALFORMED) if len(raw) <= len(entries) * 3 else refuses(Code.TOO_LARGE):
            tiles.unbundle(raw, len(entries), largest=1)


def test_a_bundle_holds_what_it_can():
    for entries in ([], [b""] * 257, [bytes(65_536)]):
        with refuses(Code.TOO_LARGE):
            tiles.bundle(entries)
    assert tiles.unbundle(tiles.bundle([bytes(65_535)]), 1) == [bytes(65_535)]


# --- proofs ----------------------------------------------------------------------------------------------------------


def proof(size: int, index: int, extra: bytes | None = None) -> TlogProof:
    tree = grown(size)
    point = Checkpoint(ORIGIN, size, tree.root())
    return TlogProof(index, tuple(tree.inclusion(index, size)), cosigned(point, {1: NOW, 2: NOW + 1}), extra)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 200), st.data())
def test_a_proof_shows_one_entry_at_one_place(size, data):
    index = data.draw(st.integers(0, size - 1))
    made = proof(size, index)
    assert TlogProof.parse(made.encode()) == made
    met = made.verify(b"entry %d" % index, policy())
    assert met.checkpoint.size == size and met.age_from == NOW
    with refuses(Code.BAD_PROOF):
        made.verify(b"entry %d" % (index + 1), policy())
    with refuses(Code.BAD_PROOF):
        TlogProof(size, made.path, made.checkpoint).verify(b"entry %d" % index, policy())


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_changed_bit_of_a_proof_proves_anything(data):
    raw = bytearray(PROOF)
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= 1 << data.draw(st.integers(0, 7))
    try:
        TlogProof.parse(bytes(raw)).verify(b"entry 5", policy())
    except Refused as refused:
        assert refused.code in (Code.MALFORMED, Code.BAD_SIGNATURE, Code.UNWITNESSED, Code.BAD_PROOF)
        return
    raise AssertionError(f"believed with byte {at} changed")


PROOF = proof(11, 5).encode()


def test_the_step_that_failed_is_named():
    made = TlogProof.parse(PROOF)
    for entry, demands, name, code in (
        (b"entry 5", policy(3), "checkpoint", Code.UNWITNESSED), (b"entry 6", policy(), "inclusion", Code.BAD_PROOF),
    ):  # fmt: skip
        with pytest.raises(Refused) as refusal:
            made.verify(entry, demands)
        assert (refusal.value.step, refusal.value.code) == (name, code)


def test_a_proof_is_spelled_as_in_the_text():
    """tlog-proof, Format."""
    made = proof(2, 0, b"extra")
    first, extra, index, sibling, gap, *rest = made.encode().decode().split("\n")
    assert (first, extra, index, gap) == ("c2sp.org/tlog-proof@v1", "extra ZXh0cmE=", "index 0", "")
    assert sibling == note.b64(leaf_hash(b"entry 1")) and rest[0] == ORIGIN
    assert TlogProof.parse(made.encode()).extra == b"extra"
    alone = proof(1, 0)
    assert alone.encode().startswith(b"c2sp.org/tlog-proof@v1\nindex 0\n\n" + ORIGIN.encode())
    alone.verify(b"entry 0", policy())


HEAD, NOTE = PROOF.split(b"\n\n", 1)


@pytest.mark.parametrize(
    "raw",
    [
        b"", PROOF.replace(b"@v1", b"@v2"), PROOF.replace(b"index 5\n", b""), PROOF.replace(b"index 5", b"index 05"),
        PROOF.replace(b"index 5", b"index -5"), PROOF.replace(b"index 5", b"index notanumber"),
        PROOF.replace(b"index 5", b"index  5"), PROOF.replace(b"index 5", b"extra !!\nindex 5"),
        PROOF.replace(b"index 5", b"extra QQ\nindex 5"), PROOF.replace(b"index 5", b"index 5\nextra QUE="),
        PROOF.replace(b"index 5", b"extra QQ==\nextra QQ==\nindex 5"), HEAD + b"\n" + NOTE, HEAD + b"\n!!\n\n" + NOTE,
        HEAD + b"\nQUE=\n\n" + NOTE, HEAD + b"\n" + note.b64(bytes(64)).encode() + b"\n\n" + NOTE,
        HEAD + b"\n \n\n" + NOTE, HEAD + b"\n\xff\n\n" + NOTE, HEAD + b"\n\n", PROOF[:-1],
        PROOF.replace(b"\n", b"\r\n"),
    ],
    ids=range(20),
)  # fmt: skip
def test_what_is_no_proof_is_refused(raw):
    with refuses(Code.MALFORMED):
        TlogProof.parse(raw)


def test_a_proof_is_bounded():
    with refuses(Code.TOO_LARGE):
        TlogProof.parse(HEAD + b"\n" + b"\n".join([note.b64(digest("x")).encode()] * 63) + b"\n\n" + NOTE)
    with refuses(Code.TOO_LARGE):
        TlogProof.parse(bytes(300_000))
