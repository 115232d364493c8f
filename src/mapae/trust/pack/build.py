"""The publisher of offline packs: every epoch a new one, made of what changed and of what is there already.

    publish   1 the newest cosigned checkpoints  2 the registry log up to there  3 the parties' documents
              4 each publisher's newest epoch that is anchored, with its proof  5 seal, and keep it  6 serve it

Promises: a pack is served only once it is kept, so that a kill loses nothing; what is unchanged is neither compressed
nor stored again. A publisher of status lists that does not answer stays at the last epoch we have of it, and the
manifest says that it is late. Trusts: the log for what is anchored; nothing that a publisher sends which is not. Keeps:
packs in the trust role's database (`store.py`), the newest in memory. Refuses: to publish without a cosigned
checkpoint.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, NamedTuple, Protocol

import httpx
import structlog

from mapae.bodies import ACCEPTED, body_within
from mapae.clock import Clock
from mapae.db import Db, Duplicate
from mapae.errors import Code, Refused
from mapae.formats.jose import Signing
from mapae.trust.epoch import MAX_EPOCH, Epoch
from mapae.trust.log.entry import Entry, Log, Role
from mapae.trust.log.note import Checkpoint, Note
from mapae.trust.log.proof import TlogProof
from mapae.trust.log.rules import State
from mapae.trust.log.state import AnchoredRoot
from mapae.trust.log.tiles import WIDTH, bundle
from mapae.trust.pack import format, store
from mapae.trust.pack.format import Pack, digest
from mapae.trust.pack.verify import (
    ANCHORS,
    CHECKPOINT,
    POLICY,
    STATUS,
    EpochHead,
    ListOf,
    entries_name,
    status_name,
    succession_name,
)

NEWS: Final = 30  # seconds before news makes another pack
MOST_DELTAS: Final = 64  # kept ready, of those asked for last: more than there are packs
_log = structlog.get_logger("mapae.pack")


class Succession(NamedTuple):
    """The entry of the registry log that named a policy, the policy's text, and the published head of that entry or a
    later one that meets the policy before as well."""

    entry: int
    policy: bytes
    head: bytes


class Source(Protocol):
    """What a pack is made of, as the trust role has it."""

    async def policy(self) -> bytes: ...

    async def checkpoint(self, log: Log) -> bytes:
        """The newest one that a quorum has cosigned. Raises Refused(UNAVAILABLE, UNWITNESSED) when there is none."""
        ...

    async def entries(self, log: Log, start: int, end: int) -> list[bytes]: ...

    async def inclusion(self, index: int, size: int) -> list[bytes]:
        """The path of an entry of the anchors log in its head of this size."""
        ...

    async def anchors(self) -> Mapping[tuple[bytes, bytes], AnchoredRoot]:
        """The newest of each party and stream."""
        ...

    async def document(self, digest: bytes) -> bytes: ...

    async def statement(self, digest: bytes) -> str:
        """By which a publisher asked for an anchor."""
        ...

    async def successions(self) -> list[Succession]:
        """How the policy of the registry log came to be the one in force. Empty while it is the first."""
        ...

    async def publishers(self) -> list[tuple[str, str]]:
        """Who publishes status lists: id in the registry (`issuer:issuer`) and prefix of the lists' addresses."""
        ...


@dataclass(slots=True)
class _Draft:
    """Blobs and names of the pack in the making; bodies of the last pack are taken over as they are."""

    last: Pack | None
    bodies: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    sizes: dict[bytes, int] = field(default_factory=dict)
    names: dict[str, bytes] = field(default_factory=dict)
    late: list[bytes] = field(default_factory=list)

    def put(self, content: bytes, name: str | None = None) -> None:
        self.put_body(digest(content), len(content), lambda: format.fold(content), name)

    def put_body(self, place: bytes, size: int, made: _Body, name: str | None = None) -> None:
        held = self.last.bodies.get(place) if self.last is not None else None
        self.bodies[place] = held or made()
        self.sizes[place] = size
        if name is not None:
            self.names[name] = place

    def take_over(self, prefix: str) -> bool:
        """All that the last pack has under these names, and what they refer to. Whether there was anything."""
        if self.last is None:
            return False
        names = self.last.under(prefix)
        for name in names:
            self.put(self.last.named(name), name)
            if name.endswith(".epoch"):
                for one in EpochHead.parse(self.last.named(name)).lists:
                    size = self.last.manifest.blobs[one.digest]
                    self.put_body(one.digest, size, lambda: (format.STORED, b""))
        return bool(names)


class _Body(Protocol):
    def __call__(self) -> tuple[int, bytes]: ...


class Packs:
    """One a trust role. `base` rewrites nothing: publishers are asked where their lists say they are."""

    def __init__(self, *, db: Db, signer: Signing, clock: Clock, http: httpx.AsyncClient, source: Source) -> None:
        self._db, self._signer, self._clock, self._http, self._source = db, signer, clock, http, source
        self._state = State()
        self._newest: Pack | None = None
        self._raw = b""
        self._deltas: OrderedDict[bytes, bytes] = OrderedDict()
        self._making = asyncio.Lock()

    # --- publishing ---------------------------------------------------------------------------------------------------

    async def publish(self) -> Pack:
        """A new pack, kept and served. Raises Refused(UNAVAILABLE, UNWITNESSED) when no checkpoint can be had."""
        pack = await self.make(await self._last())
        try:
            await store.add(self._db, pack)
        except Duplicate:  # another process of this role was quicker
            self._newest = None
            return await self._last() or pack
        self._serve(pack)
        return pack

    async def publish_when_due(self, epoch: int) -> Pack | None:
        """Every `epoch` seconds; and within half a minute of news in the log, or of lists that were late. The first
        lists of a country wait for nothing: until then every card is of unknown standing at every checker."""
        last = await self._last()
        if last is not None:
            age = self._clock.now().timestamp() - last.manifest.made
            quiet = min(NEWS, epoch) if last.under(STATUS) else 0
            if 0 <= age < epoch and (age < quiet or not await self._news(last)):
                return None
        return await self.publish()

    async def _news(self, last: Pack) -> bool:
        for log, name in ((Log.REGISTRY, CHECKPOINT), (Log.ANCHORS, ANCHORS)):
            now, then = await self._source.checkpoint(log), last.named(name)
            if _size(now) != _size(then):
                return True
        return bool(last.manifest.late)

    async def make(self, last: Pack | None) -> Pack:
        """Steps 1 to 5, without keeping it: what is unchanged since `last` is taken over."""
        draft = _Draft(last)
        draft.put(await self._source.policy(), POLICY)
        for entry, policy, head in await self._source.successions():
            draft.put(policy, f"{succession_name(entry)}.policy")
            draft.put(head, f"{succession_name(entry)}.head")
        registry = await self._source.checkpoint(Log.REGISTRY)
        draft.put(registry, CHECKPOINT)
        checkpoint = Checkpoint.parse(Note.parse(registry).text)
        await self._put_entries(draft, checkpoint.size)
        for party in self._state.parties.values():
            if party.revoked is None:
                draft.put(await self._source.document(party.document))
        await self._put_statuses(draft)
        number = (last.manifest.number if last is not None else 0) + 1
        return format.make(
            self._signer, draft.bodies, draft.sizes, draft.names, origin=checkpoint.origin, number=number,
            made=int(self._clock.now().timestamp()), late=tuple(draft.late),
        )  # fmt: skip

    async def _put_entries(self, draft: _Draft, size: int) -> None:
        """And fold them: the state is that of the checkpoint, whatever the log has taken since."""
        whole = _size(draft.last.named(CHECKPOINT)) // WIDTH if draft.last else 0
        if self._state.size(Log.REGISTRY) > size:
            raise Refused(Code.FORKED, "the registry log is shorter than it was")
        for at, start in enumerate(range(0, size, WIDTH)):
            end, name = min(start + WIDTH, size), entries_name(at)
            known = self._state.size(Log.REGISTRY)
            if at < whole and draft.last is not None and known >= end:  # a full bundle never changes
                draft.put(draft.last.named(name), name)
                continue
            entries = await self._source.entries(Log.REGISTRY, start, end)
            draft.put(bundle(entries), name)
            for raw in entries[max(0, known - start) :]:
                self._state.fold(Log.REGISTRY, raw)

    async def _put_statuses(self, draft: _Draft) -> None:
        raw = await self._source.checkpoint(Log.ANCHORS)
        draft.put(raw, ANCHORS)
        note = Note.parse(raw)
        size, anchors = Checkpoint.parse(note.text).size, await self._source.anchors()
        for publisher, prefix in await self._source.publishers():
            party, stream = sha256(publisher.encode()).digest(), sha256(prefix.encode()).digest()
            admitted = self._state.parties.get(party)
            anchored = anchors.get((party, stream))
            if admitted is None or admitted.revoked or not admitted.roles & Role.STATUS or anchored is None:
                continue
            name = status_name(stream)
            epoch = None
            if anchored.index < size:
                epoch = await self._epoch(publisher, prefix, anchored.seq, anchored.root)
            if epoch is None:
                draft.late.append(stream)
                draft.take_over(f"{name}.")
                continue
            self._put_epoch(draft, name, epoch)
            [entry] = await self._source.entries(Log.ANCHORS, anchored.index, anchored.index + 1)
            draft.put(entry, f"{name}.anchor")
            signed = await self._source.statement(Entry.parse(entry).statement)
            draft.put(signed.encode(), f"{name}.statement")
            path = await self._source.inclusion(anchored.index, size)
            draft.put(TlogProof(anchored.index, tuple(path), note).encode(), f"{name}.proof")

    def _put_epoch(self, draft: _Draft, name: str, epoch: Epoch) -> None:
        lists = []
        for one in epoch.lists:
            place = one.record[37:]
            draft.put_body(place, one.entries * one.bits // 8, lambda lst=one.lst: (format.ZLIB, lst))
            lists.append(ListOf(one.uri.removeprefix(epoch.prefix), one.bits, place))
        head = EpochHead(epoch.publisher, epoch.prefix, epoch.seq, epoch.iat, epoch.next_update, tuple(lists))
        draft.put(head.encode(), f"{name}.epoch")

    async def _epoch(self, publisher: str, prefix: str, seq: int, root: bytes) -> Epoch | None:
        """The anchored epoch from its publisher; None when it cannot be had, or is another."""
        url = f"{prefix.removesuffix('/')}-epoch/{seq}"
        try:
            async with self._http.stream("GET", url, headers=ACCEPTED, follow_redirects=False) as answer:
                if answer.status_code != 200:
                    raise Refused(Code.UNAVAILABLE, "the publisher has no such epoch")
                raw = await body_within(answer, MAX_EPOCH)
            epoch = Epoch.parse(raw)
        except (httpx.HTTPError, Refused) as failed:
            _log.warning("a publisher of status lists is late", publisher=publisher, kind=type(failed).__name__)
            return None
        if (epoch.publisher, epoch.prefix, epoch.seq, epoch.root) != (publisher, prefix, seq, root):
            _log.error("a publisher gives another epoch than it anchored", publisher=publisher, seq=seq)
            return None
        return epoch

    # --- serving ------------------------------------------------------------------------------------------------------

    async def newest(self) -> tuple[Pack, bytes]:
        """Raises Refused(UNAVAILABLE) before the first one is made."""
        pack = await self._last()
        if pack is None:
            raise Refused(Code.UNAVAILABLE, "no offline pack has been made yet")
        return pack, self._raw

    async def since(self, id: bytes) -> bytes | None:
        """The delta from that pack to the newest, or the newest whole where that pack is not kept. None: it is it."""
        pack, raw = await self.newest()
        if id == pack.id:
            return None
        if id in self._deltas:
            return self._deltas[id]
        async with self._making:  # the same one is made once, however many ask for it
            if self._newest is pack and id in self._deltas:
                return self._deltas[id]
            base = await store.by_id(self._db, id)
            if base is None:
                return raw
            made = await asyncio.to_thread(lambda: format.delta(base, pack, pairs(base, pack)))
            if self._newest is pack:
                self._deltas[id] = made
                if len(self._deltas) > MOST_DELTAS:
                    self._deltas.popitem(last=False)
            return made

    async def _last(self) -> Pack | None:
        """The newest one kept, whichever process made it."""
        number = await store.newest_number(self._db)
        if self._newest is None or self._newest.manifest.number != number:
            found = await store.newest(self._db)
            if found is not None:
                self._serve(found)
        return self._newest

    def _serve(self, pack: Pack) -> None:
        self._newest, self._raw = pack, pack.encode()
        self._deltas.clear()


def _size(note: bytes) -> int:
    return Checkpoint.parse(Note.parse(note).text).size


def pairs(base: Pack, new: Pack) -> dict[bytes, bytes]:
    """Which list of `base` each list of `new` was."""
    before = _lists_of(base)
    return {place: before[uri] for uri, place in _lists_of(new).items() if uri in before}


def _lists_of(pack: Pack) -> dict[str, bytes]:
    heads = [EpochHead.parse(pack.named(name)) for name in pack.under(STATUS) if name.endswith(".epoch")]
    return {head.prefix + one.name: one.digest for head in heads for one in head.lists}
