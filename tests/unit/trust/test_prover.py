from __future__ import annotations

import random
from pathlib import Path

import pytest

from mapae.errors import Code, Refused
from mapae.keys import KeyStore, NoteKind
from mapae.trust.log import tiles
from mapae.trust.log.entry import Anchored, Entry, Kind, Log
from mapae.trust.log.note import Checkpoint, VerifierKey, cosign, sign_checkpoint
from mapae.trust.log.policy import Policy
from mapae.trust.log.proof import TlogProof
from mapae.trust.log.tree import Tree, leaf_hash
from mapae.trust.prover import Tiles, prove

SIZES = (1, 2, 3, 255, 256, 257, 700, 65_537)


def _entries(count: int) -> list[bytes]:
    said = Anchored(bytes(32), 1, b"\x01" * 32, 1, 2)
    return [Entry(index, 1, Kind.ANCHOR, b"\x02" * 32, b"\x03" * 32, said).encode() for index in range(count)]


class Files:
    """What a log publishes, in memory; `lies` stand in for some of it."""

    def __init__(self, tree: Tree, entries: list[bytes], size: int, note: bytes = b"") -> None:
        self.tree, self.entries, self.size, self.note = tree, entries, size, note
        self.lies: dict[str, bytes] = {}
        self.asked: list[str] = []

    async def __call__(self, path: str) -> bytes:
        self.asked.append(path)
        if path in self.lies:
            return self.lies[path]
        if path == "checkpoint":
            return self.note
        tile = tiles.Tile.parse(path)
        assert tile.within(self.size)
        if tile.level is None:
            return tiles.bundle(self.entries[tile.start : tile.end])
        return tiles.tile_bytes(self.tree, tile.level, tile.index, tile.width)


@pytest.fixture(scope="module")
def whole() -> tuple[Tree, list[bytes]]:
    entries = _entries(max(SIZES))
    return Tree(leaf_hash(entry) for entry in entries), entries


@pytest.mark.parametrize("size", SIZES)
async def test_paths_come_out_of_tiles_as_out_of_the_tree(whole: tuple[Tree, list[bytes]], size: int) -> None:
    tree, entries = whole
    for index in {0, size - 1, size // 2, random.Random(size).randrange(size)}:
        found = Tiles(Files(tree, entries, size), size)
        assert await found.inclusion(index) == tree.inclusion(index, size)
        assert await found.entry(index) == entries[index]
    assert await Tiles(Files(tree, entries, size), size).over(0, size) == tree.root(size)


async def test_a_proof_over_sixty_thousand_entries_takes_a_few_files(whole: tuple[Tree, list[bytes]]) -> None:
    files = Files(*whole, max(SIZES))
    await Tiles(files, max(SIZES)).inclusion(40_000)
    assert len(files.asked) <= 4


@pytest.fixture
def world(tmp_path: Path, whole: tuple[Tree, list[bytes]]) -> tuple[Files, Policy]:
    keys, (tree, entries) = KeyStore(tmp_path, b"p"), whole
    log = keys.note_signer("file:log", "id.example/trust/log/anchors", NoteKind.LOG, VerifierKey.parse)
    pens = [keys.note_signer(f"file:w{n}", f"w{n}", NoteKind.COSIGNER, VerifierKey.parse) for n in range(3)]
    policy = Policy.of([log.vkey], [(pen.vkey.name, pen.vkey, None) for pen in pens], 2)
    note = sign_checkpoint(Checkpoint(log.vkey.name, 700, tree.root(700)), log)
    note = note.with_("".join(cosign(note, pen, 1_772_400_000) for pen in pens[:2]))
    return Files(tree, entries, 700, note.encode()), policy


async def test_a_proof_can_be_taken_away_and_verified_offline(world: tuple[Files, Policy]) -> None:
    files, policy = world
    proven = await prove(files, policy, Log.ANCHORS, 500)
    assert proven.raw == files.entries[500]
    again = TlogProof.parse(proven.proof.encode())
    assert again.verify(proven.raw, policy).checkpoint.size == 700
    with pytest.raises(Refused):
        again.verify(files.entries[501], policy)


@pytest.mark.parametrize(("path", "step"), [("tile/0/001", "inclusion"), ("tile/1/000.p/2", "inclusion")])
async def test_a_tile_with_a_flipped_bit_proves_nothing(world: tuple[Files, Policy], path: str, step: str) -> None:
    files, policy = world
    raw = bytearray(await files(path))
    raw[7] ^= 1
    files.lies[path] = bytes(raw)
    with pytest.raises(Refused) as refused:
        await prove(files, policy, Log.ANCHORS, 500)
    assert (refused.value.code, refused.value.step) == (Code.BAD_PROOF, step)


async def test_another_entry_under_this_number_is_refused(world: tuple[Files, Policy]) -> None:
    files, policy = world
    bundle = files.entries[256:512]
    bundle[500 - 256] = files.entries[3]
    files.lies["tile/entries/001"] = tiles.bundle(bundle)
    with pytest.raises(Refused) as refused:
        await prove(files, policy, Log.ANCHORS, 500)
    assert (refused.value.code, refused.value.step) == (Code.BAD_PROOF, "entry")


async def test_too_few_witnesses_prove_nothing(world: tuple[Files, Policy]) -> None:
    files, policy = world
    files.note = files.note.rsplit("— ".encode(), 1)[0]
    with pytest.raises(Refused) as refused:
        await prove(files, policy, Log.ANCHORS, 500)
    assert (refused.value.code, refused.value.step) == (Code.UNWITNESSED, "quorum")


async def test_an_entry_the_checkpoint_does_not_cover_is_not_there(world: tuple[Files, Policy]) -> None:
    with pytest.raises(Refused) as refused:
        await prove(*world, Log.ANCHORS, 700)
    assert refused.value.code is Code.NOT_FOUND
    with pytest.raises(Refused) as other:
        await prove(*world, Log.REGISTRY, 5)
    assert other.value.code is Code.BAD_PROOF
