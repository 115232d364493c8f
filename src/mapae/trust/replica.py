"""A replica of a log: everything in it, held against checkpoints that witnesses cosigned.

Promises: the state changes only to what a quorum of the policy's witnesses vouches for, and only forward; after any
refusal it is what it was. Trusts: the policy it was made with, and the ones that follow from it by entries of the log.
Nobody who serves it. Keeps: state, tree and newest note, in memory; of histories that contradict each other both notes.
Refuses: a log signed by another key or too few witnesses (BAD_SIGNATURE, UNWITNESSED), cosignatures older than allowed
(UNWITNESSED: the tail may be withheld), a history that is not an extension of ours (FORKED), entries that do not amount
to the checkpoint (BAD_PROOF) or break the rules, a source that is only behind (UNAVAILABLE).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol

import httpx

from mapae.bodies import ACCEPTED, body_within
from mapae.errors import Code, Refused, step
from mapae.formats.jose import decode_json_value
from mapae.trust.log import tiles
from mapae.trust.log.entry import LARGEST, Log
from mapae.trust.log.note import Checkpoint, Note
from mapae.trust.log.policy import NONE, Policy
from mapae.trust.log.rules import State
from mapae.trust.log.tree import Frontier, Tree, leaf_hash

NOTE_LIMIT: Final = 64 * 1024
PAPER_LIMIT: Final = 1024 * 1024
NAMES: Final = {Log.REGISTRY: "registry", Log.ANCHORS: "anchors"}
MOST_EVIDENCE: Final = 100


class Source(Protocol):
    """Where a log is read from. Nothing it says is believed unchecked."""

    async def checkpoint(self, log: Log) -> bytes: ...

    async def entries(self, log: Log, start: int, end: int, size: int) -> list[bytes]:
        """Entries [start, end) of a log that has `size`."""
        ...

    async def document(self, digest: bytes) -> bytes: ...

    async def successions(self) -> list[bytes]:
        """The registry log's heads that brought another policy, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class Evidence:
    """Two notes that cannot both be true of one append-only log."""

    why: str
    ours: str
    theirs: str


class Replica:
    """`max_age`: seconds after which cosignatures no longer show that nothing newer is withheld; None: any."""

    def __init__(self, policy: Policy, origin: str, log: Log = Log.REGISTRY, *, max_age: int | None = None) -> None:
        self.policy, self.origin, self.log, self.max_age = policy, origin, log, max_age
        self.state = State()
        self.tree = Tree()
        self.entries: list[bytes] = []
        self.note: str = ""
        self.age_from = 0  # when the quorum last vouched for what is here
        self.evidence: list[Evidence] = []

    @property
    def size(self) -> int:
        return self.tree.size

    async def follow(self, source: Source, now: int) -> int:
        """Bring the replica up to the source's checkpoint; how many entries were new.

        1 the log and a quorum signed it  2 recent enough  3 not smaller, not another past  4 its entries amount to it
        5 the rules allow them  6 the policy it names.
        """
        before = self.size
        with step("policy"):
            await self._follow_policy(source)  # where the last time ended before it was there
            note = Note.parse(await source.checkpoint(self.log))
            changes = [] if self._is_signed(note) else await source.successions()
        for change in map(Note.parse, changes):  # we were away: the policy we know vouches for the next, and so on
            if Checkpoint.parse(change.text).size > self.size:
                await self._advance(change, source, None)
        await self._advance(note, source, now)
        return self.size - before

    def _is_signed(self, note: Note) -> bool:
        try:
            return self.policy.met(note) is not None
        except Refused:
            return self.log is not Log.REGISTRY  # only that log says who is to be believed

    async def _advance(self, note: Note, source: Source, now: int | None) -> None:
        """To this checkpoint. `now` None: one that was newest once."""
        with step("quorum"):
            cosigned = self.policy.met(note)
            head = cosigned.checkpoint
            if head.origin != self.origin:
                raise Refused(Code.BAD_SIGNATURE, "this is the checkpoint of another log")
        with step("age"):
            unwatched = self.policy.quorum == NONE  # such a log has no age
            age = now - cosigned.age_from if now is not None and not unwatched else 0
            if self.max_age is not None and age > self.max_age:
                raise Refused(Code.UNWITNESSED, "no quorum has vouched for this lately: newer entries may be withheld")
        with step("past"):
            self._must_not_contradict(head, note, cosigned.age_from)
        fresh: list[bytes] = []
        with step("entries"):
            if head.size > self.size:
                fresh = await source.entries(self.log, self.size, head.size, head.size)
                await self._must_amount_to(head, fresh, note, source)
        with step("rules"), self.state.trial():
            for entry in fresh:
                self.state.fold(self.log, entry)
        self.tree.extend(leaf_hash(entry) for entry in fresh)
        self.entries += fresh
        self.note, self.age_from = note.encode().decode(), cosigned.age_from
        with step("policy"):
            await self._follow_policy(source)

    def _must_not_contradict(self, head: Checkpoint, note: Note, age_from: int) -> None:
        if head.size > self.size or not self.note:
            return
        if self.tree.root(head.size) != head.root:
            self._accuse("two roots for one size", note)
        if head.size < self.size:
            if age_from > self.age_from:
                # A cosignature says: the largest so far, at this time. A quorum said a larger one before.
                self._accuse("the log has become shorter", note)
            raise Refused(Code.UNAVAILABLE, "the source is behind what is here")
        if age_from < self.age_from:
            raise Refused(Code.UNAVAILABLE, "the source has older cosignatures than are here")

    async def _must_amount_to(self, head: Checkpoint, fresh: Sequence[bytes], note: Note, source: Source) -> None:
        if len(fresh) != head.size - self.size or any(len(entry) > LARGEST for entry in fresh):
            raise Refused(Code.BAD_PROOF, "the source gives other entries than were asked for")
        if _root_after(self.state.frontier(self.log), fresh) == head.root:
            return
        # Either the source lies about the entries, or the log has another past. Its own past would show it.
        past = await source.entries(self.log, 0, self.size, head.size) if self.size else []
        if past and len(past) == self.size and Tree(leaf_hash(entry) for entry in [*past, *fresh]).root() == head.root:
            self._accuse("the log has another past", note)
        raise Refused(Code.BAD_PROOF, "the entries do not amount to the checkpoint")

    def _accuse(self, why: str, theirs: Note) -> None:
        found = Evidence(why, self.note, theirs.encode().decode())
        if found not in self.evidence and len(self.evidence) < MOST_EVIDENCE:
            self.evidence.append(found)
        raise Refused(Code.FORKED, why)

    async def _follow_policy(self, source: Source) -> None:
        """A policy named by an entry takes the place of ours."""
        digest = self.state.policy.document
        if self.log is not Log.REGISTRY or not self.size or sha256(self.policy.encode()).digest() == digest:
            return
        document = await source.document(digest)
        if sha256(document).digest() != digest:
            raise Refused(Code.BAD_PROOF, "the source gives another policy than the log names")
        self.policy = Policy.parse(document)


def _root_after(frontier: Frontier, fresh: Sequence[bytes]) -> bytes:
    for entry in fresh:
        frontier.add(leaf_hash(entry))
    return frontier.root()


class HttpSource:
    """A log over HTTP, by its tlog-tiles. `url` is the trust role's, up to and with /trust."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http, self._url = http, url.rstrip("/")

    async def checkpoint(self, log: Log) -> bytes:
        return await self.get(f"log/{NAMES[log]}/checkpoint", NOTE_LIMIT)

    async def entries(self, log: Log, start: int, end: int, size: int) -> list[bytes]:
        found: list[bytes] = []
        for tile in tiles.bundles(size, start):
            if tile.start >= end:
                break
            raw = await self.get(f"log/{NAMES[log]}/{tile.path()}", tile.width * (LARGEST + 2))
            bundle = tiles.unbundle(raw, tile.width, largest=LARGEST)
            found += bundle[max(start - tile.start, 0) : end - tile.start]
        return found

    async def document(self, digest: bytes) -> bytes:
        return await self.get(f"documents/{digest.hex()}", PAPER_LIMIT)

    async def successions(self) -> list[bytes]:
        return [note.encode() for note in await self._texts("policy/successions", "successions")]

    async def statement(self, digest: bytes) -> str | None:
        try:
            return (await self.get(f"statements/{digest.hex()}", PAPER_LIMIT)).decode()
        except UnicodeDecodeError:
            raise Refused(Code.MALFORMED, "a statement is not text") from None
        except Refused as refused:
            if refused.code is Code.NOT_FOUND:
                return None
            raise

    async def approvals(self, digest: bytes) -> list[str]:
        return await self._texts(f"statements/{digest.hex()}/approvals", "approvals")

    async def _texts(self, path: str, what: str) -> list[str]:
        found = decode_json_value(await self.get(path, PAPER_LIMIT), limit=PAPER_LIMIT)
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise Refused(Code.MALFORMED, f"{what} are a list of texts")
        return found

    async def get(self, path: str, limit: int) -> bytes:
        """Raises Refused(UNAVAILABLE) when nobody answers, NOT_FOUND for 404."""
        try:
            async with self._http.stream("GET", f"{self._url}/{path}", headers=ACCEPTED) as answer:
                body = await body_within(answer, limit)
        except httpx.HTTPError:
            raise Refused(Code.UNAVAILABLE, "the log does not answer; try again") from None
        if answer.status_code == 404:
            raise Refused(Code.NOT_FOUND, "the log does not have this")
        if answer.status_code != 200:
            raise Refused(Code.UNAVAILABLE, f"the log does not answer ({answer.status_code}); try again")
        return body
