"""Whatever a log shows a witness, in whatever order, also across restarts: all it ever cosigned is one history."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ledgers import START, new_witness, note_key
from mapae.clock import MovableClock
from mapae.errors import Code, Refused
from mapae.keys import NoteKind
from mapae.trust.log.note import Checkpoint, sign_checkpoint
from mapae.trust.log.tree import Tree, leaf_hash
from mapae.trust.witness import Asked, Elsewhere

LOG, PEN = note_key("log.example/registry", NoteKind.LOG), note_key("w.example/w")
MOST = 12
# Histories that part at different places: 0 is the honest one.
TREES = [
    Tree(leaf_hash(bytes([at, turn if at >= parts else 0])) for at in range(MOST))
    for turn, parts in enumerate((99, 0, 3, 7, 7))
]
# Which history, from which size (None: from what the witness cosigned last), up to where, and whether it starts anew.
SHOWN = st.tuples(
    st.integers(0, len(TREES) - 1), st.none() | st.integers(0, MOST), st.integers(0, MOST), st.booleans()
)  # fmt: skip


def consistent(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Two heads, (tree, size), of which the smaller begins the larger."""
    (a, small), (b, large) = sorted([one, other], key=lambda head: head[1])
    return TREES[a].root(small) == TREES[b].root(small) and small <= large


async def shown(steps: list[tuple[int, int | None, int, bool]], folder: Path) -> None:
    clock, cosigned = MovableClock(START), list[tuple[int, int]]()
    witness = await new_witness(folder, "w", [LOG.vkey], clock, key=PEN)
    for tree, from_, size, restart in steps:
        newest = max((held for _, held in cosigned), default=0)
        old = newest if from_ is None else from_
        if restart:
            await witness.close()
            witness = await new_witness(folder, "w", [LOG.vkey], clock, key=PEN)
        proof = tuple(TREES[tree].consistency(old, size)) if old <= size else ()
        note = sign_checkpoint(Checkpoint(LOG.vkey.name, size, TREES[tree].root(size)), LOG)
        try:
            answer = await witness.add_checkpoint(Asked(old, proof, note).encode())
        except Refused as refused:
            assert refused.code in (Code.FORKED, Code.BAD_PROOF, Code.MALFORMED)
            assert old > size or not all(consistent((tree, size), head) for head in cosigned), "the honest log waits"
        else:
            if isinstance(answer, Elsewhere):
                assert answer.size == newest != old
            else:
                assert old == newest <= size
                cosigned.append((tree, size))
        assert all(consistent(one, other) for one in cosigned for other in cosigned), cosigned
    await witness.close()


@given(st.lists(SHOWN, min_size=1, max_size=14))
@settings(max_examples=40)
def test_all_a_witness_ever_cosigned_is_one_history(steps: list[tuple[int, int | None, int, bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(shown(steps, Path(folder)))
