"""The numbered steps by which a checker believes an offline pack: none of them the publisher's word.

1 `whole`       every part is what the manifest says, and the key the manifest names has signed it (`format.read`)
2 `policy`      the pack is of the log of the policy that this checker has pinned; where the log has changed that policy
                since, each change is vouched for under the one before (log/succession.py)
3 `checkpoint`  the heads of both logs are signed by them and cosigned by a quorum of the policy's witnesses
4 `replica`     the entries, folded by the rules of the log, amount to that very head
5 `publisher`   the key of step 1 is one that a live party has entered in the log for signing lists
6 `documents`   each party's document is the one whose digest the log has; they make up the trust list
7 `status`      each publisher's lists have the root that the publisher, an issuer with that prefix, anchored; and the
                anchor is proven to be in the anchors log, under a head that a quorum cosigned, and is what the
                publisher itself signed for: whoever runs the log could have put it there
8 `time`        nothing says of itself that it is later than what the witnesses vouch for

Promises: an `Opened` pack passed all of them; a refusal names its step. How old it may be is another question:
`verifier/checking/offline.py`. Pure. Trusts: the pinned policy, and of its witnesses a quorum. Keeps: nothing. Refuses:
BAD_PACK, TOO_LARGE, UNWITNESSED, FORKED, BAD_PROOF and what the log's own rules refuse.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import islice, pairwise
from typing import Any, Final

import msgspec

from mapae.errors import Code, Refused, step
from mapae.formats import cbor
from mapae.formats.status import StatusList
from mapae.trust.epoch import root
from mapae.trust.log import statement
from mapae.trust.log.acts import Anchor
from mapae.trust.log.entry import LARGEST, Anchored, Entry, Kind, Log, PartyAdmitted, Purpose, Role
from mapae.trust.log.note import Checkpoint, Note
from mapae.trust.log.policy import Cosigned, Policy
from mapae.trust.log.proof import TlogProof
from mapae.trust.log.rules import State
from mapae.trust.log.succession import Step, in_force, named
from mapae.trust.log.tiles import WIDTH, unbundle
from mapae.trust.log.tree import Frontier, Head, leaf_hash
from mapae.trust.pack import format
from mapae.trust.pack.format import Pack
from mapae.trust.publish import TrustList

STEPS: Final = ("whole", "policy", "checkpoint", "replica", "publisher", "documents", "status", "time")
POLICY: Final = "policy"
CHECKPOINT: Final = "registry.checkpoint"
ANCHORS: Final = "anchors.checkpoint"
ENTRIES: Final = "registry.entries."
STATUS: Final = "status."
SUCCESSION: Final = "succession."
AHEAD: Final = 3600  # seconds a single clock may be ahead of the quorum's, and still be believed to be a clock
MOST_LISTS: Final = 16_384
MOST: Final = 2**63
# Of the trust list; how old a pack may be is not told by this (verifier/checking/offline.py).
LIFE: Final = timedelta(days=30)


Voices = Mapping[bytes, list[tuple[int, bytes]]]
"""Of each party: since when it has which voice."""


class ListOf(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One list of an epoch: its name below the prefix, bits an entry, digest of its packed entries."""

    name: str
    bits: int
    digest: bytes


class EpochHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An epoch (trust/epoch.py) whose lists are parts of their own."""

    publisher: str
    prefix: str
    seq: int
    iat: int
    next_update: int
    lists: tuple[ListOf, ...]

    def encode(self) -> bytes:
        return cbor.dumps(msgspec.to_builtins(self, builtin_types=(bytes,)))

    @classmethod
    def parse(cls, raw: bytes) -> EpochHead:
        value = cbor.loads(raw, limit=format.HEAD_LIMIT)
        try:
            read = msgspec.convert(value, cls)
        except msgspec.ValidationError:
            raise _bad("the head of an epoch is not one") from None
        if read.encode() != raw or len(read.lists) > MOST_LISTS or not 0 < read.seq < MOST or not 0 <= read.iat < MOST:
            raise _bad("the head of an epoch is not in its one spelling, or out of bounds")
        return read

    @property
    def stream(self) -> bytes:
        return sha256(self.prefix.encode()).digest()


@dataclass(frozen=True, slots=True)
class Status:
    """One publisher's lists. `as_of`: the latest moment at which they were known to stand so, whoever says so
    latest."""

    party: bytes
    publisher: str
    prefix: str
    seq: int
    as_of: int
    dated: int  # the latest moment it names itself
    next_update: int
    late: bool
    lists: Mapping[str, ListOf]  # by address


@dataclass(frozen=True, slots=True)
class Opened:
    """A pack that passed all steps. `as_of` is the newest moment for which a quorum of witnesses vouches for the
    registry, `newest` the newest cosignature that may be believed to tell the time."""

    pack: Pack
    policy: Policy
    registry: Cosigned
    anchors: Cosigned
    state: State
    trust_list: TrustList
    statuses: tuple[Status, ...]
    newest: int

    @property
    def as_of(self) -> int:
        return self.registry.age_from

    @property
    def head(self) -> Head:
        return self.state.head(Log.REGISTRY)

    def publisher(self, uri: str) -> Status | None:
        """Whose list this would be."""
        return next((one for one in self.statuses if uri.startswith(one.prefix)), None)

    def list(self, uri: str) -> StatusList | None:
        publisher = self.publisher(uri)
        found = publisher.lists.get(uri) if publisher is not None else None
        return StatusList(found.bits, self.pack.content(found.digest)) if found is not None else None


def open_pack(raw: bytes | Pack, policy: Policy) -> Opened:
    """All steps. Raises Refused with `step`."""
    with step("whole"):
        pack = raw if isinstance(raw, Pack) else format.read(raw)
    with step("policy"):
        if not policy.log(pack.manifest.origin):
            raise _bad("the pack is of another log than the policy this checker has pinned")
        policy = _in_force(policy, pack)
    with step("checkpoint"):
        registry = _cosigned(policy, pack.named(CHECKPOINT), pack.manifest.origin)
        anchors = _cosigned(policy, pack.named(ANCHORS), anchors_origin(pack.manifest.origin))
    with step("replica"):
        state, voices = _folded(pack, registry.checkpoint.size)
        if state.head(Log.REGISTRY) != Head(registry.checkpoint.size, registry.checkpoint.root):
            raise Refused(Code.FORKED, "the entries do not amount to the head that was cosigned")
        at = max(registry.age_from, state.time)
    with step("publisher"):
        _must_publish(state, pack, at)
    with step("documents"):
        trust_list = _trust_list(pack, state, at)
    with step("status"):
        found = [_status(pack, name, policy, state, voices) for name in _epochs(pack)]
        statuses = tuple(status for status, _ in found)
        _must_differ(statuses)
    with step("time"):
        newest = _newest([registry, anchors, *(anchored for _, anchored in found)])
        _must_be_past(state, statuses, newest)
    return Opened(pack, policy, registry, anchors, state, trust_list, statuses, newest)


# --- the steps --------------------------------------------------------------------------------------------------------


def _cosigned(policy: Policy, text: bytes, origin: str) -> Cosigned:
    cosigned = policy.met(Note.parse(text))
    if cosigned.checkpoint.origin != origin:
        raise _bad("a checkpoint is of another log")
    return cosigned


def entries_of(pack: Pack, size: int) -> Iterator[bytes]:
    """The first `size` entries of the registry log."""
    for at, start in enumerate(range(0, size, WIDTH)):
        yield from unbundle(pack.named(entries_name(at)), min(WIDTH, size - start), largest=LARGEST)


def _folded(pack: Pack, size: int) -> tuple[State, Voices]:
    """And each party's voices, by the times of the entries that named them."""
    if len(pack.under(ENTRIES)) != -(-size // WIDTH):
        raise _bad("the pack has more or fewer entries than the checkpoint")
    state, voices = State(), dict[bytes, list[tuple[int, bytes]]]()
    for raw in entries_of(pack, size):
        entry = state.fold(Log.REGISTRY, raw)
        if isinstance(entry.payload, PartyAdmitted):
            voices.setdefault(entry.subject, []).append((entry.time, entry.payload.voice))
    return state, voices


def _in_force(pinned: Policy, pack: Pack) -> Policy:
    """The newest policy of the log, where the pinned one is among those before it."""
    names = [name.removesuffix(".head") for name in pack.under(SUCCESSION) if name.endswith(".head")]
    if not names:
        return pinned
    size = Checkpoint.parse(Note.parse(pack.named(CHECKPOINT)).text).size
    steps = [Step(Policy.parse(pack.named(f"{name}.policy")), Note.parse(pack.named(f"{name}.head"))) for name in names]
    policies = [Entry.parse(raw) for raw in entries_of(pack, size) if raw[95:96] == bytes([Kind.POLICY])]
    found = [one for entry in policies if (one := named(entry)) is not None]
    return in_force(pinned, pack.manifest.origin, steps, found, lambda at: root_at(pack, size, at))


def root_at(pack: Pack, size: int, at: int) -> bytes:
    """The root over the first `at` of the `size` entries of the registry log."""
    frontier = Frontier()
    for raw in islice(entries_of(pack, size), at):
        frontier.add(leaf_hash(raw))
    return frontier.root()


def succession_name(entry: int) -> str:
    return f"{SUCCESSION}{entry:08d}"


def entries_name(at: int) -> str:
    return f"{ENTRIES}{at:08d}"


def _must_publish(state: State, pack: Pack, at: int) -> None:
    key = state.keys.get(pack.manifest.key.thumbprint_raw)
    party = state.parties.get(key.party) if key is not None else None
    if key is None or party is None or key.purpose != Purpose.LIST_SIGNER:
        raise _bad("nobody has entered the publisher's key in the log")
    if key.revoked is not None or not key.valid_from <= at < key.valid_until or not party.live(at):
        raise Refused(Code.SIGNER_REVOKED, "the publisher's key is not live in the log")


def _trust_list(pack: Pack, state: State, at: int) -> TrustList:
    """Of relying parties it has only those revoked: nobody needs the others without a network but themselves."""
    documents = {
        party.document: pack.content(party.document) for party in state.parties.values() if party.revoked is None
    }
    return TrustList.of_replica(state, documents, now=datetime.fromtimestamp(at, UTC), life=LIFE)


def _epochs(pack: Pack) -> Iterator[str]:
    """The names before `.epoch`."""
    for name in pack.under(STATUS):
        if name.endswith(".epoch"):
            yield name.removesuffix(".epoch")


def anchors_origin(registry: str) -> str:
    """The other log of the same pair."""
    return registry.rpartition("/")[0] + "/anchors"


def status_name(stream: bytes) -> str:
    return f"{STATUS}{stream.hex()}"


def _status(pack: Pack, name: str, policy: Policy, state: State, voices: Voices) -> tuple[Status, Cosigned]:
    epoch = EpochHead.parse(pack.named(f"{name}.epoch"))
    entry = Entry.parse(pack.named(f"{name}.anchor"))
    said: Any = entry.payload
    if entry.kind is not Kind.ANCHOR or name != status_name(epoch.stream) or said.stream != epoch.stream:
        raise _bad("an anchor is of another stream")
    lists = _lists(pack, epoch)
    if (said.seq, said.root, said.leaves) != (epoch.seq, root(_records(pack, epoch)), len(lists)):
        raise Refused(Code.BAD_PROOF, "the status lists are not those that were anchored")
    party = sha256(epoch.publisher.encode()).digest()
    admitted = state.parties.get(party)
    if entry.subject != party or admitted is None or admitted.revoked or not admitted.roles & Role.STATUS:
        raise _bad("the status lists are of nobody who may publish any")
    proof = TlogProof.parse(pack.named(f"{name}.proof"))
    if proof.index != entry.index:
        raise Refused(Code.BAD_PROOF, "the anchor is proven for another place than its own")
    try:
        anchored = proof.verify(entry.encode(), policy)
    except Refused as refused:  # its steps are a part of this one
        raise Refused(refused.code, refused.detail) from None
    if anchored.checkpoint.origin != anchors_origin(pack.manifest.origin):
        raise _bad("the anchor is in another log")
    _must_have_asked(pack, name, entry, said, voices[party])
    as_of = min(epoch.iat, entry.time, anchored.age_from)
    late = epoch.stream in pack.manifest.late
    dated = max(epoch.iat, entry.time)
    made = Status(party, epoch.publisher, epoch.prefix, epoch.seq, as_of, dated, said.next_update, late, lists)
    return made, anchored


def _must_have_asked(pack: Pack, name: str, entry: Entry, said: Anchored, voices: list[tuple[int, bytes]]) -> None:
    """The statement the entry names asks for just this anchor, in a voice the party had at that moment: the last one
    before, or one of that very second."""
    before = [voice for time, voice in voices if time < entry.time][-1:]
    then = {*before, *(voice for time, voice in voices if time == entry.time)}
    try:
        signed = pack.named(f"{name}.statement").decode("ascii", "replace")
        act = Anchor(entry.subject, *said, entry.statement)
        voice = statement.must_say(signed, act, pack.manifest.origin.rpartition("/")[0]).voice
    except Refused as refused:
        if refused.code is Code.BAD_PACK:
            raise
        raise Refused(Code.BAD_SIGNATURE, "the anchor is not what its publisher asked for") from None
    if voice not in then:
        raise Refused(Code.BAD_SIGNATURE, "the anchor was asked for in somebody else's voice")


def _lists(pack: Pack, epoch: EpochHead) -> dict[str, ListOf]:
    names = [one.name for one in epoch.lists]
    if any(a >= b for a, b in pairwise(names)):
        raise _bad("the status lists have no order, or one is there twice")
    if not all(one.digest in pack.manifest.blobs for one in epoch.lists):
        raise _bad("a status list is missing")
    return {epoch.prefix + one.name: one for one in epoch.lists}


def _records(pack: Pack, epoch: EpochHead) -> list[bytes]:
    """The leaves of trust/epoch.py: what a part's digest covers is what the leaf names."""
    made = []
    for one in epoch.lists:
        if one.bits not in (1, 2, 4, 8):
            raise _bad("a status has 1, 2, 4 or 8 bits")
        entries = pack.manifest.blobs[one.digest] * 8 // one.bits
        uri = sha256((epoch.prefix + one.name).encode()).digest()
        made.append(uri + bytes((one.bits,)) + entries.to_bytes(4, "big") + one.digest)
    return made


def _must_differ(statuses: tuple[Status, ...]) -> None:
    prefixes = sorted(one.prefix for one in statuses)
    if any(b.startswith(a) for a, b in pairwise(prefixes)):
        raise _bad("two publishers have one prefix")


def _newest(cosigned: list[Cosigned]) -> int:
    """The newest cosignature. One far ahead of the quorum's time tells no time: a single witness must not be able to
    make every card of a country expire."""
    return max(
        max([time for time in one.times.values() if time <= one.age_from + AHEAD], default=one.age_from)
        for one in cosigned
    )


def _must_be_past(state: State, statuses: tuple[Status, ...], newest: int) -> None:
    if state.time > newest + AHEAD:
        raise _bad("the registry log has an entry from the future")
    if any(one.dated > newest + AHEAD for one in statuses):
        raise _bad("the status lists are from the future")


def _bad(why: str) -> Refused:
    return Refused(Code.BAD_PACK, why)
