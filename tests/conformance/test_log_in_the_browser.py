"""The JavaScript of the log's pages and our own Python agree on trees, notes, policies and statements."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from mapae.errors import Refused
from mapae.keys import KeyStore, NoteKind, Signer
from mapae.trust.log import statement, tiles
from mapae.trust.log.note import Checkpoint, Note, VerifierKey, cosign, sign_checkpoint
from mapae.trust.log.policy import Policy
from mapae.trust.log.tree import Tree, leaf_hash
from mapae.ui.files import STATIC

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.node


def _browser(tasks: list[dict[str, Any]], folder: Path) -> list[Any]:
    done = subprocess.run(
        [str(ROOT / "tools/node"), "node", str(ROOT / "tests/conformance/peers/log.mjs")], text=True, check=False,
        input=json.dumps({"static": str(STATIC), "tiles": str(folder), "tasks": tasks}), capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answers: list[Any] = json.loads(done.stdout)
    return answers


SIZES = (1, 2, 3, 5, 8, 255, 256, 257, 300, 511, 513, 65_536, 65_537, 70_001)


def test_paths_and_roots_come_out_of_the_tiles_as_in_the_tree(tmp_path: Path) -> None:
    """Levels 0 to 2, full and partial tiles; every size's root and the paths of its corners."""
    entries = [index.to_bytes(4, "big") * 8 for index in range(max(SIZES))]
    tree = Tree(leaf_hash(entry) for entry in entries)
    for size in SIZES:
        for tile in (*tiles.of_size(size), *tiles.bundles(size)):
            path = tmp_path / tile.path()
            if path.exists():
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            if tile.level is None:
                path.write_bytes(tiles.bundle(entries[tile.start : tile.end]))
            else:
                path.write_bytes(tiles.tile_bytes(tree, tile.level, tile.index, tile.width))
    chance = random.Random(7)
    asked = [(size, index) for size in SIZES for index in {0, size - 1, size // 2, chance.randrange(size)}]
    olds = [(size, old) for size in SIZES[6:] for old in SIZES if old <= size]
    answers = _browser(
        [{"do": "path", "size": size, "index": index} for size, index in asked]
        + [{"do": "root", "size": size, "old": old} for size, old in olds],
        tmp_path,
    )
    for (size, index), answer in zip(asked, answers[: len(asked)], strict=True):
        assert answer["entry"] == entries[index].hex()
        assert answer["path"] == [node.hex() for node in tree.inclusion(index, size)]
        assert answer["root"] == tree.root(size).hex()
    assert answers[len(asked) :] == [tree.root(old).hex() for _, old in olds]


def test_signatures_hold_or_fail_as_here(tmp_path: Path) -> None:
    """Log and witness keys; a changed text, a foreign signature and a missing one."""
    keys = KeyStore(tmp_path, b"p")
    log = keys.note_signer("file:log", "id.example/log", NoteKind.LOG, VerifierKey.parse)
    witness = keys.note_signer("file:w", "w.example", NoteKind.COSIGNER, VerifierKey.parse)
    other = keys.note_signer("file:o", "w.example", NoteKind.COSIGNER, VerifierKey.parse)
    modern = keys.note_signer("file:m", "m.example", NoteKind.COSIGNER_ML_DSA_44, VerifierKey.parse)
    note = sign_checkpoint(Checkpoint("id.example/log", 7, bytes(32)), log)
    note = note.with_(cosign(note, witness, 1_772_400_000) + cosign(note, modern, 1_772_400_000))
    text = note.encode().decode()
    changed = text.replace("\n7\n", "\n8\n")
    answers = _browser(
        [
            {"do": "note", "note": one, "key": key.vkey.encode()}
            for one in (text, changed)
            for key in (log, witness, other, modern)
        ],
        tmp_path,
    )
    # A browser may know ML-DSA-44 or not; it never takes it for good when it is not.
    assert answers[:3] == ["good", "good", "missing"]
    assert answers[3] in ("good", "cannot")
    assert answers[4:7] == ["bad", "bad", "missing"]
    assert answers[7] in ("bad", "cannot")


def test_a_second_line_of_a_known_key_that_does_not_fit_spoils_the_note(tmp_path: Path) -> None:
    """C2SP signed-note, "Signatures"; in both orders."""
    keys = KeyStore(tmp_path, b"p")
    log = keys.note_signer("file:log", "id.example/log", NoteKind.LOG, VerifierKey.parse)
    good = sign_checkpoint(Checkpoint("id.example/log", 7, bytes(32)), log)
    other = sign_checkpoint(Checkpoint("id.example/log", 8, bytes(32)), log)
    line, wrong = good.signatures[0].encode(), other.signatures[0].encode()
    texts = [f"{good.text.decode()}\n{lines}" for lines in (line + line, line + wrong, wrong + line)]
    answers = _browser([{"do": "note", "note": text, "key": log.vkey.encode()} for text in texts], tmp_path)
    assert answers == ["good", "bad", "bad"]


def test_the_published_note_is_read(tmp_path: Path) -> None:
    """C2SP signed-note, "Example"."""
    key = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
    signed = "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="
    note = f"This is an example message.\n\n— example.com/foo {signed}\n"
    wrong = key.replace("530d903a", "530d903b")
    answers = _browser([{"do": "note", "note": note, "key": one} for one in (key, wrong)], tmp_path)
    assert answers == ["good", "refused: a verifier key's id is not its own"]


def test_a_quorum_is_met_or_not_as_here(tmp_path: Path) -> None:
    """Groups in groups, with every subset of five witnesses."""
    keys = KeyStore(tmp_path, b"p")
    log = keys.note_signer("file:log", "id.example/log", NoteKind.LOG, VerifierKey.parse)
    names = ("a", "b", "c", "d", "e")
    pens = {n: keys.note_signer(f"file:{n}", f"{n}.example", NoteKind.COSIGNER, VerifierKey.parse) for n in names}
    witnesses = "".join(f"witness {name} {pen.vkey.encode()}\n" for name, pen in pens.items())
    rules = "group x 2 a b c\ngroup y any d e\ngroup both all x y\nquorum both\n"
    policy = f"# a comment\nlog {log.vkey.encode()}\n{witnesses}{rules}"
    note = sign_checkpoint(Checkpoint("id.example/log", 7, bytes(32)), log)
    lines = {name: cosign(note, pen, 1_772_400_000) for name, pen in pens.items()}
    cases = [
        note if not chosen else note.with_("".join(lines[name] for name in chosen))
        for bits in range(32)
        for chosen in ([name for place, name in enumerate(names) if bits >> place & 1],)
    ]
    answers = _browser([{"do": "quorum", "policy": policy, "note": one.encode().decode()} for one in cases], tmp_path)
    assert answers == [_met(Policy.parse(policy), one) for one in cases]
    assert sorted(set(answers)) == [False, True]
    strange = [
        policy.replace("quorum both\n", ""),
        policy.replace("2 a b c", "4 a b c"),
        policy.replace("any d e", "any d a"),
        policy.replace("quorum both", "quorum z"),
        policy + "quorum x\n",
        policy.replace(pens["a"].vkey.encode(), log.vkey.encode()),
        policy.replace(log.vkey.encode(), pens["a"].vkey.encode()),
        policy.replace(pens["b"].vkey.encode(), pens["a"].vkey.encode()),
    ]
    refused = _browser(
        [{"do": "quorum", "policy": one, "note": cases[-1].encode().decode()} for one in strange], tmp_path
    )
    assert all(str(answer).startswith("refused: ") for answer in refused), refused


def _met(policy: Policy, note: Note) -> bool:
    try:
        policy.met(note)
    except Refused:
        return False
    return True


def test_a_statement_is_read_and_a_changed_one_is_not_good(tmp_path: Path) -> None:
    signer = Signer.ephemeral()
    args = {"party": "11" * 32, "reason": 4}
    text = statement.make("revoke_party", args, "id.example/trust/log", signer, 1_772_400_000)
    header, _, signature = text.split(".")
    other = statement.make("revoke_party", args | {"reason": 1}, "id.example/trust/log", signer, 1_772_400_000)
    good, bad = _browser(
        [{"do": "statement", "text": one} for one in (text, f"{header}.{other.split('.')[1]}.{signature}")], tmp_path
    )
    assert (good["good"], good["act"]) == (True, "revoke_party")
    assert good["thumbprint"] == statement.read(text).voice.hex()
    assert bad["good"] is False
