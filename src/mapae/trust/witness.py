"""A witness: somebody who was not asked to trust the log, and signs only what is consistent with what he saw.

Promises: `add_checkpoint` (C2SP tlog-witness) cosigns a head only when the one before is a prefix of it; the head and
the cosignature are on disk before the cosignature leaves. A witness never vouches for two histories, whoever
asks, also after a kill in between. Trusts: the public keys of the logs it was set up for, and nobody else. Keeps: every
head it cosigned; of what did not fit, both notes (bounded). Refuses: unknown logs, other signatures, a smaller head, a
second root of one size, a proof that does not lead there.
"""

from __future__ import annotations

import asyncio
import re
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from mapae.clock import Clock
from mapae.db import Db, Tx
from mapae.errors import Code, Refused, step
from mapae.trust import witness_store as store
from mapae.trust.log.note import Checkpoint, Note, NoteSigning, VerifierKey, cosign
from mapae.trust.log.tree import EMPTY, must_be_consistent
from mapae.trust.witness_store import Evidence, Seen

LIMIT: Final = 128 * 1024  # of a request; sixteen post-quantum signatures are about 60 kB
PROOF: Final = 63  # lines at the most
FORK, UNPROVEN = "fork", "unproven"
MOST_EVIDENCE: Final = 1000  # of one log and kind: only the log itself can make a note its key has signed
_OLD = re.compile(rb"old (0|[1-9][0-9]{0,18})\n")


@dataclass(frozen=True, slots=True)
class Asked:
    """An add-checkpoint request: the head, and the proof that it extends the one of size `old`."""

    old: int
    proof: tuple[bytes, ...]
    note: Note

    @classmethod
    def parse(cls, raw: bytes) -> Asked:
        """The one spelling of it. Raises Refused(MALFORMED, TOO_LARGE)."""
        if len(raw) > LIMIT:
            raise Refused(Code.TOO_LARGE, "the request is too large")
        match = _OLD.match(raw)
        head, gap, note = raw.partition(b"\n\n")
        if match is None or not gap:
            raise Refused(Code.MALFORMED, "the request is an old size, a proof, an empty line and a checkpoint")
        lines = (head + b"\n")[match.end() :].split(b"\n")[:-1]
        if len(lines) > PROOF:
            raise Refused(Code.MALFORMED, "the proof has more lines than a tree can be high")
        return cls(int(match[1]), tuple(_hash(line) for line in lines), Note.parse(note))

    def encode(self) -> bytes:
        proof = b"".join(b64encode(node) + b"\n" for node in self.proof)
        return b"old %d\n%s\n%s" % (self.old, proof, self.note.encode())


def _hash(line: bytes) -> bytes:
    try:
        node = b64decode(line, validate=True)
    except Error:
        node = b""
    if len(node) != 32 or b64encode(node) != line:
        raise Refused(Code.MALFORMED, "a line of the proof is not a hash in base64")
    return node


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What we cosigned last has another size than the request says: ask again from there."""

    size: int


class Witness:
    """`logs`: keys of the logs it watches. `pen`: gives its key, the first time it has to sign."""

    def __init__(
        self, *, name: str, db: Db, clock: Clock, logs: Iterable[VerifierKey], pen: Callable[[], NoteSigning]
    ) -> None:
        self.name = name
        self._db, self._clock = db, clock
        self._pen = pen
        self._held: NoteSigning | None = None
        self.logs: dict[str, tuple[VerifierKey, ...]] = {}
        for key in logs:
            self.logs[key.name] = (*self.logs.get(key.name, ()), key)
        self.refusals: dict[str, int] = {}  # by code, since the start

    async def vkey(self) -> VerifierKey:
        return (await self._pen_in_hand()).vkey

    async def add_checkpoint(self, raw: bytes) -> str | Elsewhere:
        """Our signature lines for this head.

        1 read  2 known log (NOT_FOUND)  3 its signature (BAD_SIGNATURE)  4 old not above new (MALFORMED)  5 from what
        we saw (Elsewhere)  6 consistent (FORKED, BAD_PROOF; both notes are kept)  7 on disk  8 cosigned.
        """
        try:
            return await self._add_checkpoint(raw)
        except Refused as refused:
            self.refusals[refused.code] = self.refusals.get(refused.code, 0) + 1
            raise

    async def _add_checkpoint(self, raw: bytes) -> str | Elsewhere:
        with step("read"):
            asked = Asked.parse(raw)
            head = Checkpoint.parse(asked.note.text)
        with step("log"):
            keys = self.logs.get(head.origin)
            if keys is None:
                raise Refused(Code.NOT_FOUND, "this witness does not watch that log")
        with step("signature"):
            own = _must_be_signed(asked.note, keys)
        with step("size"):
            if asked.old > head.size:
                raise Refused(Code.MALFORMED, "the old size is larger than the new one")
        pen, now = await self._pen_in_hand(), int(self._clock.surely().timestamp())

        async def body(tx: Tx) -> str | Elsewhere | Refused:
            await tx.serial(f"witness {self.name}")  # what we compare with must still hold when it is replaced
            seen = await store.latest(tx, head.origin)
            if asked.old != (seen.size if seen is not None else 0):
                await self._compare_with_the_past(tx, head, own, now)
                return Elsewhere(seen.size if seen is not None else 0)
            try:
                _must_extend(seen, head, asked.proof)
            except Refused as refused:
                if seen is not None:
                    kind = FORK if refused.code is Code.FORKED else UNPROVEN
                    await _accuse(tx, Evidence(head.origin, kind, seen.note, own.encode().decode(), now))
                return refused
            # A cosignature says "the largest so far, at this time": our times never go back, whatever the clock does.
            at = max(now, seen.at if seen is not None else 0)
            line = cosign(own, pen, at)
            note = own.with_(line).encode().decode()
            await store.keep(tx, Seen(head.origin, head.size, head.root, note, at))
            return line

        answer = await self._db.write(body)  # returned means durable
        if isinstance(answer, Refused):
            answer.step = "consistent"
            raise answer
        return answer

    async def checkpoint(self, origin_hash: str) -> str | None:
        """The newest note of a log, with the log's signature and ours; by the hexadecimal SHA-256 of its origin."""
        for origin in self.logs:
            if sha256(origin.encode()).hexdigest() == origin_hash:
                seen = await store.latest(self._db, origin)
                return None if seen is None else seen.note
        return None

    async def seen(self) -> list[Seen]:
        """The newest of every log."""
        return await store.every_latest(self._db, list(self.logs))

    async def evidence(self) -> list[Evidence]:
        """What still stands: anybody can hand in a head of the log with a wrong proof before the log does it well."""
        return [one for one in await store.evidence(self._db) if one.kind == FORK or not await self._was_proven(one)]

    async def close(self) -> None:
        await self._db.close()

    async def _was_proven(self, evidence: Evidence) -> bool:
        head = Checkpoint.parse(Note.parse(evidence.theirs.encode()).text)
        seen = await store.seen_at(self._db, head.origin, head.size)
        return seen is not None and seen.root == head.root

    async def _pen_in_hand(self) -> NoteSigning:
        if self._held is None:
            # Opening a key store takes a tenth of a second of scrypt, which others need not wait for.
            self._held = await asyncio.to_thread(self._pen)
        return self._held

    async def _compare_with_the_past(self, tx: Tx, head: Checkpoint, own: Note, now: int) -> None:
        """Also a head that is not asked from where we are may contradict what we saw at its size."""
        before = await store.seen_at(tx, head.origin, head.size)
        if before is not None and before.root != head.root:
            await _accuse(tx, Evidence(head.origin, FORK, before.note, own.encode().decode(), now))


def _must_be_signed(note: Note, keys: tuple[VerifierKey, ...]) -> Note:
    """The note with the log's own signatures and no others. C2SP tlog-witness: of a known key, one that does not fit is
    refused and not passed over."""
    if not [key for key in keys if key.signed(note) is not None]:
        raise Refused(Code.BAD_SIGNATURE, "the log has not signed this")
    return note.only(keys)


def _must_extend(seen: Seen | None, head: Checkpoint, proof: tuple[bytes, ...]) -> None:
    if head.size == 0 and head.root != EMPTY:
        raise Refused(Code.FORKED, "an empty log has one root")
    if seen is None:
        if proof:
            raise Refused(Code.BAD_PROOF, "from nothing there is nothing to prove")
        return
    must_be_consistent(seen.size, seen.root, head.size, head.root, proof)


async def _accuse(tx: Tx, evidence: Evidence) -> None:
    """Once a body: signature lines can be put in another order."""
    body = evidence.theirs.partition("\n\n")[0]
    digest = sha256(f"{evidence.kind}\n{body}".encode()).digest()
    await store.accuse(tx, digest, evidence, MOST_EVIDENCE)
