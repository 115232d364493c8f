"""A witness: cosigns what extends what it saw, refuses the rest as C2SP tlog-witness says, and keeps the evidence."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from hands import OUR_VECTORS
from ledgers import AT, START, digest, new_witness, note_key
from mapae.clock import MovableClock
from mapae.errors import Code, Refused
from mapae.keys import NoteKind
from mapae.trust import witness_web
from mapae.trust.log.note import Checkpoint, Note, VerifierKey, cosigned_at, sign_checkpoint
from mapae.trust.log.tree import EMPTY, Tree, leaf_hash
from mapae.trust.witness import Asked, Elsewhere, Witness
from mapae.ui.site import application

LOG = note_key("log.example/registry", NoteKind.LOG)
OTHER = note_key("other.example/registry", NoteKind.LOG)


def grown(size: int, *, from_: int = 10**9, turn: str = "another") -> Tree:
    """A log of this size whose entries are others from `from_` on."""
    return Tree(leaf_hash(f"{at if at < from_ else (turn, at)}".encode()) for at in range(size))


def note(tree: Tree, size: int | None = None, key=LOG) -> Note:  # type: ignore[no-untyped-def]
    size = tree.size if size is None else size
    return sign_checkpoint(Checkpoint(key.vkey.name, size, tree.root(size)), key)


def asked(tree: Tree, old: int, size: int | None = None) -> bytes:
    size = tree.size if size is None else size
    return Asked(old, tuple(tree.consistency(old, size)), note(tree, size)).encode()


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock(START)


@pytest.fixture
async def witness(database_url: str, tmp_path: Path, clock: MovableClock) -> AsyncIterator[Witness]:
    made = await new_witness(tmp_path, "w", [LOG.vkey], clock, url=database_url.replace("{role}", "witness"))
    yield made
    await made.close()


async def refusal(witness: Witness, raw: bytes) -> tuple[Code, str | None]:
    with pytest.raises(Refused) as refused:
        await witness.add_checkpoint(raw)
    return refused.value.code, refused.value.step


async def test_it_cosigns_a_log_that_grows(witness: Witness, clock: MovableClock) -> None:
    tree, key = grown(300), await witness.vkey()
    for old, size in ((0, 1), (1, 5), (5, 256), (256, 300)):
        line = await witness.add_checkpoint(asked(tree, old, size))
        assert isinstance(line, str)
        assert cosigned_at(note(tree, size).with_(line), key) == int(clock.now().timestamp())
        clock.advance(seconds=7)
    (seen,) = await witness.seen()
    assert (seen.size, seen.root) == (300, tree.root())
    kept = Note.parse(seen.note.encode())
    assert cosigned_at(kept, key) == seen.at and LOG.vkey.signed(kept) == 0
    assert await witness.evidence() == []


async def test_the_same_head_again_gets_a_newer_time(witness: Witness, clock: MovableClock) -> None:
    tree, key = grown(4), await witness.vkey()
    await witness.add_checkpoint(asked(tree, 0))
    clock.advance(seconds=60)
    line = await witness.add_checkpoint(asked(tree, 4))
    assert isinstance(line, str) and cosigned_at(note(tree).with_(line), key) == AT + 60
    clock.advance(hours=-1)  # its clock is put back: what it said before must not look younger
    line = await witness.add_checkpoint(asked(tree, 4))
    assert isinstance(line, str) and cosigned_at(note(tree).with_(line), key) == AT + 60


async def test_its_key_may_be_a_post_quantum_one(tmp_path: Path, clock: MovableClock) -> None:
    key, tree = note_key("w.example/w", NoteKind.COSIGNER_ML_DSA_44), grown(7)
    witness = await new_witness(tmp_path, "w", [LOG.vkey], clock, key=key)
    line = await witness.add_checkpoint(asked(tree, 0))
    assert isinstance(line, str) and cosigned_at(note(tree).with_(line), key.vkey) == AT
    assert await refusal(witness, asked(grown(7, from_=3), 7)) == (Code.FORKED, "consistent")
    await witness.close()


async def test_it_says_from_where_to_ask(witness: Witness) -> None:
    tree = grown(9)
    assert await witness.add_checkpoint(asked(tree, 4)) == Elsewhere(0)
    await witness.add_checkpoint(asked(tree, 0, 4))
    assert await witness.add_checkpoint(asked(tree, 0)) == Elsewhere(4)
    assert await witness.add_checkpoint(asked(tree, 2, 3)) == Elsewhere(4)


async def test_two_roots_for_one_size_are_refused_and_both_notes_kept(witness: Witness) -> None:
    honest, forked = grown(8), grown(8, from_=5)
    await witness.add_checkpoint(asked(honest, 0))
    assert await refusal(witness, asked(forked, 8)) == (Code.FORKED, "consistent")
    (kept,) = await witness.evidence()
    assert kept.kind == "fork"
    for text, tree in ((kept.ours, honest), (kept.theirs, forked)):
        read = Note.parse(text.encode())
        assert LOG.vkey.signed(read) == 0, "the log's own signature is on it"
        assert Checkpoint.parse(read.text).root == tree.root()
    await refusal(witness, asked(forked, 8))
    assert len(await witness.evidence()) == 1, "the same again is no more evidence"


async def test_a_longer_history_with_another_past_is_refused(witness: Witness) -> None:
    honest, forked = grown(8), grown(20, from_=5)
    await witness.add_checkpoint(asked(honest, 0))
    assert await refusal(witness, asked(forked, 8)) == (Code.BAD_PROOF, "consistent")
    (kept,) = await witness.evidence()
    assert kept.kind == "unproven" and Checkpoint.parse(Note.parse(kept.theirs.encode()).text).size == 20
    line = await witness.add_checkpoint(asked(grown(20), 8))
    assert isinstance(line, str), "and the honest one goes on"


async def test_a_stranger_cannot_accuse_a_log_with_its_own_head(witness: Witness) -> None:
    """Published heads are signed and public: with a wrong proof one is refused, and not held against the log."""
    tree = grown(20)
    await witness.add_checkpoint(asked(tree, 0, 8))
    assert await refusal(witness, Asked(8, (bytes(32),), note(tree, 12)).encode()) == (Code.BAD_PROOF, "consistent")
    assert [one.kind for one in await witness.evidence()] == ["unproven"]
    await witness.add_checkpoint(asked(tree, 8, 12))
    assert await witness.evidence() == []


async def test_a_shorter_history_with_another_past_is_evidence_too(witness: Witness) -> None:
    """A log that was rewound and rewritten says so itself, when it asks from the size it has."""
    honest, forked = grown(8), grown(6, from_=3)
    await witness.add_checkpoint(asked(honest, 0, 6))
    await witness.add_checkpoint(asked(honest, 6))
    assert await witness.add_checkpoint(asked(forked, 6)) == Elsewhere(8)
    assert [one.kind for one in await witness.evidence()] == ["fork"]


async def test_unknown_logs_and_foreign_signatures_are_refused(witness: Witness) -> None:
    tree = grown(3)
    assert await refusal(witness, Asked(0, (), note(tree, key=OTHER)).encode()) == (Code.NOT_FOUND, "log")
    imposter = note_key(LOG.vkey.name, NoteKind.LOG)
    assert await refusal(witness, Asked(0, (), note(tree, key=imposter)).encode()) == (Code.BAD_SIGNATURE, "signature")
    good, other = note(tree), note(grown(3, from_=1))
    bent = Note(good.text, other.signatures)
    assert await refusal(witness, Asked(0, (), bent).encode()) == (Code.BAD_SIGNATURE, "signature")


async def test_what_cannot_be_a_request_is_refused(witness: Witness) -> None:
    tree = grown(5)
    good = asked(tree, 0)
    for raw in (b"", b"old 0\n", good[4:], b"old 00\n" + good[6:], b"old x\n" + good[6:], b"Old 0\n" + good[6:],
                b"old 1\nAAAA\n" + good[6:], b"old 0\r\n" + good[6:], b"x" * 200_000):  # fmt: skip
        code, step = await refusal(witness, raw)
        assert code in (Code.MALFORMED, Code.TOO_LARGE) and step == "read"
    lines = b"".join(b"A" * 43 + b"=\n" for _ in range(64))
    assert await refusal(witness, b"old 1\n" + lines + good[6:]) == (Code.MALFORMED, "read")
    assert await refusal(witness, b"old 6\n" + good[6:]) == (Code.MALFORMED, "size")
    assert await refusal(witness, Asked(0, (bytes(32),), note(tree)).encode()) == (Code.BAD_PROOF, "consistent")
    empty = sign_checkpoint(Checkpoint(LOG.vkey.name, 0, digest("not empty")), LOG)
    assert await refusal(witness, Asked(0, (), empty).encode()) == (Code.FORKED, "consistent")
    assert isinstance(await witness.add_checkpoint(asked(Tree(), 0)), str) and Tree().root() == EMPTY


async def test_of_two_who_ask_at_once_neither_rolls_the_other_back(witness: Witness) -> None:
    """C2SP tlog-witness, the race in add-checkpoint."""
    tree = grown(50)
    await witness.add_checkpoint(asked(tree, 0, 10))
    answers = await asyncio.gather(*[witness.add_checkpoint(asked(tree, 10, size)) for size in range(20, 50, 3)])
    assert sum(isinstance(answer, str) for answer in answers) == 1
    (seen,) = await witness.seen()
    assert {answer.size for answer in answers if isinstance(answer, Elsewhere)} == {seen.size}


async def test_it_remembers_after_a_restart(tmp_path: Path, clock: MovableClock) -> None:
    key, tree = note_key("w.example/w"), grown(8)
    first = await new_witness(tmp_path, "w", [LOG.vkey], clock, key=key)
    await first.add_checkpoint(asked(tree, 0))
    await first.close()
    again = await new_witness(tmp_path, "w", [LOG.vkey], clock, key=key)
    assert await refusal(again, asked(grown(8, from_=2), 8)) == (Code.FORKED, "consistent")
    assert await again.add_checkpoint(asked(tree, 0)) == Elsewhere(8)
    await again.close()


async def test_its_doors_answer_as_the_protocol_says(tmp_path: Path, clock: MovableClock) -> None:
    witness, tree = await new_witness(tmp_path, "w", [LOG.vkey], clock), grown(8)
    site = application(witness_web.routes({"w": witness}), clock=clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(site), base_url="https://w.example") as http:

        async def add(raw: bytes) -> httpx.Response:
            return await http.post("/witness/w/add-checkpoint", content=raw)

        origin = sha256(LOG.vkey.name.encode()).hexdigest()
        assert (await http.get(f"/witness/w/{origin}/checkpoint")).status_code == 404
        done = await add(asked(tree, 0))
        assert done.status_code == 200 and done.text.startswith("— w.example/w ") and done.text.endswith("\n")
        elsewhere = await add(asked(tree, 0))
        assert (elsewhere.status_code, elsewhere.text) == (409, "8\n")
        assert elsewhere.headers["content-type"] == "text/x.tlog.size"
        assert (await add(asked(grown(8, from_=1), 8))).status_code == 422
        assert (await add(b"old 9\n" + asked(tree, 0)[6:])).status_code == 400
        assert (await add(Asked(0, (), note(tree, key=OTHER)).encode())).status_code == 404
        assert (
            await add(Asked(0, (), Note(note(tree).text, note(tree, key=OTHER).signatures)).encode())
        ).status_code == 403
        assert (await add(b"x" * 200_000)).status_code == 413
        kept = await http.get(f"/witness/w/{origin}/checkpoint")
        assert cosigned_at(Note.parse(kept.content), await witness.vkey()) == AT
        facts = (await http.get("/witness/w/")).json()
        assert facts["logs"][0]["size"] == 8 and len(facts["evidence"]) == 1 and facts["refusals"]["forked"] == 1
        for language in ("en", "ko"):
            page = await http.get("/witness/w/", headers={"accept": "text/html", "accept-language": language})
            assert page.status_code == 200 and facts["evidence"][0]["theirs"].splitlines()[2] in page.text
        assert (await http.get("/witness/x/")).status_code == 404
    await witness.close()


async def test_it_answers_as_another_witness_does(tmp_path: Path, clock: MovableClock) -> None:
    """The requests of litewitness's own test, in their order, and what it answers."""
    published = json.loads((OUR_VECTORS / "published" / "add_checkpoint.json").read_text(encoding="utf-8"))
    witness = await new_witness(tmp_path, "w", [VerifierKey.parse(published["log"])], clock)
    site = application(witness_web.routes({"w": witness}), clock=clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(site), base_url="https://w.example") as http:
        for at, case in enumerate(published["cases"]):
            answer = await http.post("/witness/w/add-checkpoint", content=case["body"].encode())
            # A signature with its last bit bent is base64 in another spelling to us, before it is a signature.
            wanted = 400 if case["status"] == 403 else case["status"]
            assert answer.status_code == wanted, (at, answer.text)
            if case["status"] == 409:
                assert answer.text == f"{case['size']}\n"
    await witness.close()
