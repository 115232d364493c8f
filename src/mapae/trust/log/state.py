"""What the entries of the two logs amount to: the tables the rules are held against, and the two frontiers.

Promises: `take` is the only way in, and costs the same however long the logs are; what was taken inside `trial` is
forgotten when the block ends in an exception. Trusts: whoever calls `take` to have asked `rules.py` first. Keeps: the
newest terms of each governor, party, key, schema, reader and stream, the votes not yet spent, and which statements
were used. Refuses: an entry that is not the next one of its log.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, assert_never

import msgspec

from mapae.errors import Code, Refused
from mapae.trust.log.entry import (
    Anchored,
    Entry,
    GovernorSet,
    KeyEntered,
    KeyRevoked,
    Log,
    PartyAdmitted,
    PartyRevoked,
    PolicySet,
    ReaderEntered,
    ReaderRevoked,
    SchemaPublished,
    SchemaWithdrawn,
)
from mapae.trust.log.tree import Frontier, Head, leaf_hash


class Revoked(msgspec.Struct, frozen=True):
    """When the log took it, and from when on it holds: earlier only after a compromise."""

    at: int
    since: int
    reason: int


class Governor(msgspec.Struct, frozen=True):
    voice: bytes
    standing: bool


class Party(msgspec.Struct, frozen=True):
    """`index`: of the entry that set these terms, for a proof."""

    controller: bytes
    voice: bytes
    roles: int
    valid_from: int
    valid_until: int
    document: bytes
    index: int
    revoked: Revoked | None = None

    def live(self, at: int) -> bool:
        return self.revoked is None and self.valid_from <= at < self.valid_until


class Key(msgspec.Struct, frozen=True):
    party: bytes
    purpose: int
    valid_from: int
    valid_until: int
    index: int
    revoked: Revoked | None = None


class Schema(msgspec.Struct, frozen=True):
    owner: bytes
    digest: bytes
    index: int
    withdrawn_at: int | None = None


class Reader(msgspec.Struct, frozen=True):
    """A relying party's registration. Its revocation is in the other log, see `Tables.readers_revoked`."""

    registrar: bytes
    certificate: bytes
    valid_from: int
    valid_until: int
    index: int


class ReaderEnd(msgspec.Struct, frozen=True):
    registrar: bytes
    revoked: Revoked


class AnchoredRoot(msgspec.Struct, frozen=True):
    """The newest of a stream."""

    seq: int
    root: bytes
    leaves: int
    next_update: int
    time: int
    index: int


class Vote(msgspec.Struct, frozen=True):
    """One governor's voice for an act that needs more of them."""

    act: bytes
    governor: bytes
    generation: int


class Tables:
    """Read them freely; only `rules.State` changes them."""

    def __init__(self) -> None:
        self._frontiers: Final = [Frontier(), Frontier()]
        self.times = [0, 0]  # of the newest entry of each log
        self.governors: dict[bytes, Governor] = {}
        self.policy = PolicySet(bytes(32), 0, 0)
        self.settled = False  # genesis is over: there is a policy
        self.generation = 0  # executed changes of governors and policy
        self.governed_at = 0  # when the last of them was entered
        self.parties: dict[bytes, Party] = {}
        self.keys: dict[bytes, Key] = {}
        self.schemas: dict[bytes, Schema] = {}
        self.readers: dict[bytes, Reader] = {}
        self.readers_revoked: dict[bytes, ReaderEnd] = {}
        self.anchors: dict[tuple[bytes, bytes], AnchoredRoot] = {}
        self.votes: dict[bytes, frozenset[bytes]] = {}
        self.statements: dict[bytes, tuple[Log, int]] = {}  # of executed acts, and which entry says so
        self._undo: list[tuple[dict[Any, Any], Any, Any]] | None = None

    @property
    def threshold(self) -> int:
        return self.policy.threshold

    @property
    def delay(self) -> int:
        return self.policy.delay

    @property
    def standing(self) -> int:
        """How many governors stand."""
        return sum(governor.standing for governor in self.governors.values())

    @property
    def time(self) -> int:
        """Of the newest entry in either log."""
        return max(self.times)

    def head(self, log: Log) -> Head:
        return self._frontiers[log].head()

    def size(self, log: Log) -> int:
        return self._frontiers[log].size

    def frontier(self, log: Log) -> Frontier:
        """A copy, from which another engine may go on."""
        return self._frontiers[log].copy()

    def sender(self, voice: bytes, party: bytes | None = None) -> bytes | None:
        """Whose voice this is: the controller of `party` where it speaks for it, or else a standing governor."""
        known = self.parties.get(party) if party is not None else None
        if known is not None and known.voice == voice:
            return known.controller
        for address, governor in self.governors.items():
            if governor.standing and governor.voice == voice:
                return address
        return None

    # --- taking ------------------------------------------------------------------------------------------------------

    def take(self, entry: Entry, raw: bytes | None = None) -> None:
        """The next entry of its log, which the rules allow. `raw` where its bytes are at hand."""
        log = entry.log
        frontier = self._frontiers[log]
        if entry.index != frontier.size:
            raise Refused(Code.FORKED, "an entry is not the next one of its log")
        frontier.add(leaf_hash(entry.encode() if raw is None else raw))
        self.times[log] = entry.time
        self._put(self.statements, entry.statement, (log, entry.index))
        self._take(entry)

    def count(self, vote: Vote) -> None:
        """A vote that is kept; one of another generation counts for nothing."""
        if vote.generation == self.generation:
            self._put(self.votes, vote.act, self.votes.get(vote.act, frozenset()) | {vote.governor})

    def spend(self, act: bytes) -> None:
        """The act was executed: its votes are spent."""
        if act in self.votes:
            self._put(self.votes, act, None)

    def _take(self, entry: Entry) -> None:
        said, subject = entry.payload, entry.subject
        match said:
            case ReaderEntered(reader, certificate, valid_from, valid_until):
                self._put(self.readers, reader, Reader(subject, certificate, valid_from, valid_until, entry.index))
            case Anchored(stream, seq, root, leaves, next_update):
                made = AnchoredRoot(seq, root, leaves, next_update, entry.time, entry.index)
                self._put(self.anchors, (subject, stream), made)
            case KeyEntered(thumbprint, purpose, valid_from, valid_until):
                self._put(self.keys, thumbprint, Key(subject, purpose, valid_from, valid_until, entry.index))
            case KeyRevoked(thumbprint, reason, since):
                ended = Revoked(entry.time, since, reason)
                self._put(self.keys, thumbprint, msgspec.structs.replace(self.keys[thumbprint], revoked=ended))
            case ReaderRevoked(reader, reason, since):
                self._put(self.readers_revoked, reader, ReaderEnd(subject, Revoked(entry.time, since, reason)))
            case PartyAdmitted():
                self._put(self.parties, subject, Party(*said, entry.index))
            case PartyRevoked(reason):
                ended = Revoked(entry.time, entry.time, reason)
                self._put(self.parties, subject, msgspec.structs.replace(self.parties[subject], revoked=ended))
            case SchemaPublished(owner, digest):
                self._put(self.schemas, subject, Schema(owner, digest, entry.index))
            case SchemaWithdrawn():
                gone = msgspec.structs.replace(self.schemas[subject], withdrawn_at=entry.time)
                self._put(self.schemas, subject, gone)
            case GovernorSet(voice, standing):
                self._put(self.governors, subject, Governor(voice, standing == 1))
                self._next_generation(entry.time)
            case PolicySet():
                self.policy = said
                self._next_generation(entry.time)
                self.settled = True
            case _:
                assert_never(said)

    def _next_generation(self, now: int) -> None:
        """Whoever voted did so under other governors, or another threshold."""
        if self.settled:
            self.generation += 1
            self.votes = {}
            self.governed_at = now

    def _put(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        """None: take out."""
        if self._undo is not None:
            self._undo.append((table, key, table.get(key)))
        _set(table, key, value)

    @contextmanager
    def trial(self) -> Iterator[None]:
        """What is taken inside is forgotten if the block raises: an append and the commit that may fail after it."""
        outer, self._undo = self._undo, []
        undo = self._undo
        frontiers, times = [frontier.copy() for frontier in self._frontiers], self.times[:]
        plain = self.policy, self.settled, self.generation, self.governed_at, self.votes
        try:
            yield
        except BaseException:  # also a task that is cancelled: what was not committed must not be believed
            for table, key, value in reversed(undo):
                _set(table, key, value)
            self._frontiers[:], self.times = frontiers, times
            self.policy, self.settled, self.generation, self.governed_at, self.votes = plain
            raise
        else:
            if outer is not None:
                outer.extend(undo)
        finally:
            self._undo = outer

    def __eq__(self, other: object) -> bool:
        """Votes and all; for tests and for comparing engines."""
        return isinstance(other, Tables) and _tables(self) == _tables(other)

    __hash__ = None  # type: ignore[assignment]


def _set(table: dict[Any, Any], key: Any, value: Any) -> None:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value


def _tables(state: Tables) -> dict[str, Any]:
    return {name: value for name, value in vars(state).items() if name != "_undo"}
