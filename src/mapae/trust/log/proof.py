"""C2SP tlog-proof: one file by which anybody with the policy can tell, offline, that an entry is in the log.

Promises: `TlogProof.parse(raw).encode() == raw`; `verify` names the step that failed. Trusts: the policy it is given.
Keeps: nothing. Refuses: a proof over the limit, more hashes than a tree is high, and everything `policy.py` refuses.
The extra data is signed by nobody and read by nothing here.
"""

from __future__ import annotations

from typing import Final, Self

import msgspec

from mapae.errors import Code, Refused, step
from mapae.trust.log.note import LIMIT as NOTE_LIMIT
from mapae.trust.log.note import Note, b64, number, unb64
from mapae.trust.log.policy import Cosigned, Policy
from mapae.trust.log.tree import HASH, leaf_hash, root_of_inclusion

FIRST: Final = "c2sp.org/tlog-proof@v1"
MOST_HASHES: Final = 63
LIMIT: Final = NOTE_LIMIT + 64 * 1024


class TlogProof(msgspec.Struct, frozen=True):
    """`path`: from the leaf's sibling up. `checkpoint`: the note, with its cosignatures."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: Note
    extra: bytes | None = None

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        if len(raw) > LIMIT:
            raise Refused(Code.TOO_LARGE, "a proof is too large")
        head, gap, note = raw.partition(b"\n\n")
        try:
            first, *lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            raise Refused(Code.MALFORMED, "a proof has a foreign character") from None
        if first != FIRST or not gap:
            raise Refused(Code.MALFORMED, "not a tlog-proof of version 1")
        extra = unb64(lines.pop(0)[6:]) if lines and lines[0].startswith("extra ") else None
        if not lines or not lines[0].startswith("index "):
            raise Refused(Code.MALFORMED, "a proof has no index")
        index = number(lines.pop(0)[6:])
        if len(lines) > MOST_HASHES:
            raise Refused(Code.TOO_LARGE, "a proof has more hashes than a tree is high")
        path = tuple(map(unb64, lines))
        if any(len(node) != HASH for node in path):
            raise Refused(Code.MALFORMED, "a proof has something that is no SHA-256 hash")
        return cls(index, path, Note.parse(note), extra)

    def encode(self) -> bytes:
        lines = [FIRST]
        if self.extra is not None:
            lines.append(f"extra {b64(self.extra)}")
        lines += [f"index {self.index}", *map(b64, self.path)]
        return "\n".join(lines).encode() + b"\n\n" + self.checkpoint.encode()

    def verify(self, entry: bytes, policy: Policy) -> Cosigned:
        """tlog-proof, Verifying a tlog proof. 1 checkpoint: signed and cosigned  2 inclusion: the entry is under it."""
        with step("checkpoint"):
            met = policy.met(self.checkpoint)
        with step("inclusion"):
            checkpoint = met.checkpoint
            root = root_of_inclusion(leaf_hash(entry), self.index, checkpoint.size, self.path)
            if root != checkpoint.root:
                raise Refused(Code.BAD_PROOF, "the proof leads to another root")
        return met
