"""What others published: values of RFC 6962 trees, signed notes of four makers, requests to a witness."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hands import OUR_VECTORS, refuses
from mapae.errors import Code, Refused
from mapae.trust.log.note import Checkpoint, Note, VerifierKey, number, open_checkpoint, unb64
from mapae.trust.log.policy import Policy
from mapae.trust.log.tree import EMPTY, must_be_consistent, root_of_inclusion

FILES = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (OUR_VECTORS / "published").iterdir()}
MERKLE, NOTES, WITNESS = (FILES[name] for name in ("merkle", "notes", "add_checkpoint"))


def test_every_published_file_is_read_by_a_test():
    assert set(FILES) == {"merkle", "notes", "add_checkpoint"}


def _ids(case: dict[str, Any]) -> str:
    return str(case["name"])


@pytest.mark.parametrize("case", MERKLE["inclusion"], ids=_ids)
def test_inclusion_proofs_prove_what_others_say_they_prove(case):
    path = [bytes.fromhex(node) for node in case["proof"]]

    def proves() -> bool:
        try:
            found = root_of_inclusion(bytes.fromhex(case["leaf"]), case["index"], case["size"], path)
        except Refused as refused:
            assert refused.code is Code.BAD_PROOF
            return False
        return found.hex() == case["root"]

    assert proves() == case["proves"]


@pytest.mark.parametrize("case", MERKLE["consistency"], ids=_ids)
def test_consistency_proofs_show_what_others_say_they_show(case):
    path = [bytes.fromhex(node) for node in case["proof"]]
    old, new = (case["old"], bytes.fromhex(case["old_root"])), (case["new"], bytes.fromhex(case["new_root"]))

    def shows() -> bool:
        try:
            must_be_consistent(*old, *new, path)
        except Refused as refused:
            assert refused.code in (Code.BAD_PROOF, Code.FORKED)
            return False
        return True

    # One case shows nothing with two equal "roots" of twelve bytes, which are no SHA-256 hashes.
    assert shows() == (case["proves"] and len(old[1]) == 32)


@pytest.mark.parametrize("case", NOTES["cases"], ids=_ids)
def test_notes_of_others_verify_and_with_a_changed_text_do_not(case):
    """Ed25519 notes, and a checkpoint that a log signed with ML-DSA-44."""
    key, note = VerifierKey.parse(case["vkey"]), Note.parse(case["note"].encode())
    assert key.signed(note) == 0
    assert key.encode() == case["vkey"] and note.encode() == case["note"].encode()
    at = len(note.text) - 9  # inside the last line: of a checkpoint, its root
    bent = Note(note.text[:at] + (b"A" if note.text[at] != 65 else b"B") + note.text[at + 1 :], note.signatures)
    with refuses(Code.BAD_SIGNATURE):
        key.signed(bent)


def test_a_post_quantum_log_of_others_is_believed_by_policy():
    case = NOTES["cases"][-1]
    policy = Policy.parse(f"log {case['vkey']}\nquorum none\n")
    assert policy.met(Note.parse(case["note"].encode())).checkpoint.size == 1


@pytest.mark.parametrize("case", WITNESS["cases"], ids=range(len(WITNESS["cases"])))
def test_requests_to_a_witness_fail_where_its_answer_says(case):
    """The steps that need no memory: the note, the log's signature, the proof."""
    log = VerifierKey.parse(WITNESS["log"])
    head, _, note = case["body"].partition("\n\n")
    old, *path = head.split("\n")
    seen = {0: EMPTY, 1: SEEN_1, 3: SEEN_3, 5: SEEN_5}

    def answer() -> int:
        try:
            read = Note.parse(note.encode())
            new = Checkpoint.parse(read.text)
            if new.origin != log.name:
                return 404
            open_checkpoint(read, log)
            size = number(old.removeprefix("old "))
            must_be_consistent(size, seen[size], new.size, new.root, [unb64(line) for line in path])
        except Refused as refused:
            return {Code.MALFORMED: 400, Code.BAD_SIGNATURE: 403, Code.BAD_PROOF: 422, Code.FORKED: 422}[refused.code]
        return 200

    # The false signature of the second is spelled with spare bits set (RFC 4648 3.5), which we refuse before verifying.
    expected = {409: 200}.get(case["status"], case["status"]) if case is not WITNESS["cases"][1] else 400
    assert answer() == expected


SEEN_1 = unb64("KgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
SEEN_3 = unb64("RcCI1Nk56ZcSmIEfIn0SleqtV7uvrlXNccFx595Iwl0=")
SEEN_5 = unb64("QrtXrQZCCvpIgsSmOsah7HdICzMLLyDfxToMql9WTjY=")
