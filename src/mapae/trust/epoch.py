"""Status epochs: all of one publisher's status lists at one moment, under one root.

Promises: the same lists give the same root wherever it is computed, whatever packed them; what a delta makes of an
older epoch has the newer one's root or is refused. Trusts: nobody; the root counts only as far as the reader found it
anchored in the log. Keeps: nothing. Refuses: a list twice or out of order, a list that does not unpack, a second
spelling of anything, a delta for another epoch. What holds and until when is the anchor's word (root, seq,
next_update): `iat` and `next_update` in an epoch say what its publisher meant.

A leaf is SHA-256(uri) || bits (1) || entries (4, big-endian) || SHA-256(packed entries), leaves stand in the order of
their uris, the root is RFC 9162's. It covers what the lists say and not how they were compressed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeVar

import msgspec

from mapae.errors import Code, Refused
from mapae.formats import cbor
from mapae.formats.status import StatusList
from mapae.trust.log.tree import Frontier, leaf_hash

T = TypeVar("T")

MAX_EPOCH: Final = 64 * 1024 * 1024  # bytes on the wire: a nation at 1 % not valid is 2 MB a kind of document
MAX_UNPACKED: Final = 1024 * 1024 * 1024  # all lists together; one is unpacked at a time
MAX_LISTS: Final = 16_384
MAX_SEQ: Final = 2**63 - 1
RECORD: Final = 69

_NAME = re.compile(r"[\x21-\x7e]{1,255}")
_PREFIX = re.compile(r"[\x21-\x7e]{1,500}")
_BITS = (1, 2, 4, 8)
_OTHER_BYTES = re.compile(rb"[^\0]")


def root(records: Iterable[bytes]) -> bytes:
    """RFC 9162 2.1.1 over leaf records that stand in order."""
    tree = Frontier()
    for one in records:
        tree.add(leaf_hash(one))
    return tree.root()


def record(uri: str, list_: StatusList) -> bytes:
    """The leaf of one list."""
    entries = list_.size.to_bytes(4, "big")
    return _sha256(uri.encode()) + bytes((list_.bits,)) + entries + _sha256(list_.packed)


def stream(prefix: str) -> bytes:
    """The name of a publisher's epochs in the anchors log."""
    return _sha256(prefix.encode())


def _sha256(raw: bytes) -> bytes:
    return hashlib.sha256(raw).digest()


@dataclass(frozen=True, slots=True)
class EpochList:
    """One list: its compressed entries, and the leaf that stands for what they say."""

    uri: str
    bits: int
    lst: bytes
    record: bytes

    @classmethod
    def of(cls, uri: str, list_: StatusList) -> EpochList:
        return cls(uri, list_.bits, list_.compressed().raw, record(uri, list_))

    @classmethod
    def read(cls, uri: str, bits: int, lst: bytes, *, limit: int) -> EpochList:
        """From a stranger: `lst` is unpacked to see that it can be, and what it says."""
        return cls(uri, bits, lst, record(uri, StatusList.decode(bits, lst, limit=limit)))

    @property
    def entries(self) -> int:
        return int.from_bytes(self.record[33:37], "big")

    def list(self) -> StatusList:
        return StatusList.decode(self.bits, self.lst)


class _Epoch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    publisher: str
    prefix: str
    seq: int
    iat: int
    next_update: int
    lists: list[tuple[str, int, bytes]]


@dataclass(frozen=True, slots=True)
class Epoch:
    """`publisher` is its id in the trust registry (`issuer:issuer`), `prefix` what its lists' addresses begin with."""

    publisher: str
    prefix: str
    seq: int
    iat: int
    next_update: int
    lists: tuple[EpochList, ...]

    def __post_init__(self) -> None:
        _must_be_head(self.publisher, self.prefix, self.seq, self.iat, self.next_update)
        _must_be_ordered([self._name(one) for one in self.lists])

    def _name(self, one: EpochList) -> str:
        if not one.uri.startswith(self.prefix):
            raise Refused(Code.MALFORMED, "a status list is not under its publisher's prefix")
        return one.uri[len(self.prefix) :]

    @property
    def root(self) -> bytes:
        return root([one.record for one in self.lists])

    @property
    def leaves(self) -> int:
        return len(self.lists)

    @property
    def stream(self) -> bytes:
        return stream(self.prefix)

    def find(self, uri: str) -> EpochList | None:
        return next((one for one in self.lists if one.uri == uri), None)

    def encode(self) -> bytes:
        return cbor.dumps({
            "publisher": self.publisher, "prefix": self.prefix, "seq": self.seq, "iat": self.iat,
            "next_update": self.next_update, "lists": [[self._name(one), one.bits, one.lst] for one in self.lists],
        })  # fmt: skip

    @classmethod
    def parse(cls, raw: bytes, *, limit: int = MAX_EPOCH, unpacked: int = MAX_UNPACKED) -> Epoch:
        said = _read(raw, _Epoch, limit)
        lists = tuple(_unpacked(said.prefix, said.lists, unpacked))
        return cls(said.publisher, said.prefix, said.seq, said.iat, said.next_update, lists)


def _unpacked(prefix: str, lists: Iterable[tuple[str, int, bytes]], limit: int) -> Iterator[EpochList]:
    for name, bits, lst in lists:
        one = EpochList.read(prefix + name, bits, lst, limit=limit)
        limit -= one.entries * bits // 8
        yield one


def _must_be_head(publisher: str, prefix: str, seq: int, iat: int, next_update: int) -> None:
    if not (_NAME.fullmatch(publisher) and _PREFIX.fullmatch(prefix)):
        raise Refused(Code.MALFORMED, "an epoch's publisher or prefix is not a plain name")
    if not (1 <= seq <= MAX_SEQ and 0 <= iat <= next_update <= MAX_SEQ):
        raise Refused(Code.MALFORMED, "an epoch's number or times are out of bounds")


def _must_be_ordered(names: Sequence[str]) -> None:
    if len(names) > MAX_LISTS:
        raise Refused(Code.TOO_LARGE, "there are too many status lists")
    if not all(map(_NAME.fullmatch, names)) or any(a >= b for a, b in pairwise(names)):
        raise Refused(Code.MALFORMED, "the status lists have no order, or one is there twice")


def _read(raw: bytes, type_: type[T], limit: int) -> T:
    value = cbor.loads(raw, limit=limit, depth=6, deterministic=True)
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError:
        raise Refused(Code.MALFORMED, "a member is missing or of the wrong type") from None


# --- deltas -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Patch:
    """New values for single bytes of packed entries, in order: a position may be given its old value again."""

    bytes_: tuple[tuple[int, int], ...]

    @classmethod
    def between(cls, old: StatusList, new: StatusList) -> Patch:
        """For lists of one length."""
        differ = int.from_bytes(old.packed, "big") ^ int.from_bytes(new.packed, "big")
        places = (at.start() for at in _OTHER_BYTES.finditer(differ.to_bytes(len(new.packed), "big")))
        return cls(tuple((at, new.packed[at]) for at in places))

    @classmethod
    def at(cls, indexes: Iterable[int], new: StatusList) -> Patch:
        """For these entries, whether they differ or not."""
        return cls(tuple((at, new.packed[at]) for at in sorted({index * new.bits // 8 for index in indexes})))

    def encode(self) -> bytes:
        """For each byte how many lie between (LEB128), then its value."""
        out, next_ = bytearray(), 0
        for at, value in self.bytes_:
            gap, next_ = at - next_, at + 1
            while gap >= 0x80:
                out.append(gap & 0x7F | 0x80)
                gap >>= 7
            out += bytes((gap, value))
        return bytes(out)

    @classmethod
    def parse(cls, raw: bytes) -> Patch:
        found, next_, at = [], 0, 0
        while at < len(raw):
            gap, shift = 0, 0
            while at < len(raw) and raw[at] & 0x80:
                gap |= (raw[at] & 0x7F) << shift
                at, shift = at + 1, shift + 7
            if at + 1 >= len(raw) or shift > 28 or (shift and not raw[at]):  # cut, too far, or longer than it need be
                raise Refused(Code.MALFORMED, "a patch is cut or has a second spelling")
            next_ += gap | raw[at] << shift
            found.append((next_, raw[at + 1]))
            next_, at = next_ + 1, at + 2
        return cls(tuple(found))

    def on(self, old: StatusList) -> StatusList:
        if self.bytes_ and self.bytes_[-1][0] >= len(old.packed):
            raise Refused(Code.MALFORMED, "a patch reaches past the end of its list")
        packed = bytearray(old.packed)
        for at, value in self.bytes_:
            packed[at] = value
        return StatusList(old.bits, bytes(packed))


class _Delta(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    prefix: str
    since: int
    seq: int
    iat: int
    next_update: int
    root: bytes
    patched: list[tuple[str, bytes]]
    whole: list[tuple[str, int, bytes]]
    gone: list[str]


@dataclass(frozen=True, slots=True)
class Delta:
    """What makes epoch `seq` out of epoch `since`: lists with new bytes, lists whole, lists that are no more."""

    prefix: str
    since: int
    seq: int
    iat: int
    next_update: int
    root: bytes
    patched: tuple[tuple[str, Patch], ...]
    whole: tuple[EpochList, ...]
    gone: tuple[str, ...]

    def __post_init__(self) -> None:
        _must_be_head("-", self.prefix, self.seq, self.iat, self.next_update)
        if not 1 <= self.since < self.seq or len(self.root) != 32:
            raise Refused(Code.MALFORMED, "a delta does not lead from an epoch to a later one")
        patched, whole = [uri for uri, _ in self.patched], [one.uri for one in self.whole]
        for uris in (patched, whole, self.gone):
            _must_be_ordered([self._name(uri) for uri in uris])
        if len({*patched, *whole, *self.gone}) < len(patched) + len(whole) + len(self.gone):
            raise Refused(Code.MALFORMED, "a delta names a list twice")

    def _name(self, uri: str) -> str:
        if not uri.startswith(self.prefix):
            raise Refused(Code.MALFORMED, "a status list is not under its publisher's prefix")
        return uri[len(self.prefix) :]

    def encode(self) -> bytes:
        return cbor.dumps({
            "prefix": self.prefix, "since": self.since, "seq": self.seq, "iat": self.iat,
            "next_update": self.next_update, "root": self.root,
            "patched": [[self._name(uri), patch.encode()] for uri, patch in self.patched],
            "whole": [[self._name(one.uri), one.bits, one.lst] for one in self.whole],
            "gone": [self._name(uri) for uri in self.gone],
        })  # fmt: skip

    @classmethod
    def parse(cls, raw: bytes, *, limit: int = MAX_EPOCH, unpacked: int = MAX_UNPACKED) -> Delta:
        said = _read(raw, _Delta, limit)
        patched = tuple((said.prefix + name, Patch.parse(patch)) for name, patch in said.patched)
        whole = tuple(_unpacked(said.prefix, said.whole, unpacked))
        gone = tuple(said.prefix + name for name in said.gone)
        return cls(said.prefix, said.since, said.seq, said.iat, said.next_update, said.root, patched, whole, gone)


def delta(old: Epoch, new: Epoch) -> Delta:
    """A list that kept its shape is patched, unless the patch would be longer than the list."""
    if old.prefix != new.prefix:
        raise Refused(Code.CONFLICT, "these are epochs of two publishers")
    before = {one.uri: one for one in old.lists}
    patched, whole = [], []
    for one in new.lists:
        known = before.pop(one.uri, None)
        if known is not None and known.record == one.record:
            continue
        patch = None
        if known is not None and known.record[:37] == one.record[:37]:
            patch = Patch.between(known.list(), one.list())
        if patch is not None and len(patch.encode()) < len(one.lst):
            patched.append((one.uri, patch))
        else:
            whole.append(one)
    return Delta(
        new.prefix, old.seq, new.seq, new.iat, new.next_update, new.root, tuple(patched), tuple(whole), tuple(before)
    )


def applied(old: Epoch, step: Delta) -> Epoch:
    """Epoch `step.seq`, made from the one it starts from. Raises Refused(CONFLICT, MALFORMED, BAD_DIGEST)."""
    if (old.prefix, old.seq) != (step.prefix, step.since):
        raise Refused(Code.CONFLICT, "this delta starts from another epoch")
    lists = {one.uri: one for one in old.lists}
    for uri, patch in step.patched:
        if uri not in lists:
            raise Refused(Code.MALFORMED, "a delta patches a list that is not there")
        lists[uri] = EpochList.of(uri, patch.on(lists[uri].list()))
    for uri in step.gone:
        if lists.pop(uri, None) is None:
            raise Refused(Code.MALFORMED, "a delta takes away a list that is not there")
    lists |= {one.uri: one for one in step.whole}
    new = Epoch(
        old.publisher, old.prefix, step.seq, step.iat, step.next_update, tuple(lists[uri] for uri in sorted(lists))
    )
    if new.root != step.root:
        raise Refused(Code.BAD_DIGEST, "a delta leads to something other than it says")
    return new
