"""The Merkle tree of a log (RFC 9162 2.1, the same as RFC 6962 2.1), with SHA-256.

Promises: roots and proofs are those of the standard; a proof that was taken proves exactly this leaf at this place, or
exactly these two heads. Trusts: nobody. Keeps: a `Frontier` the roots of its complete subtrees (a few hashes), a
`Tree` every node. Refuses: a proof too long, too short or for another place, a smaller tree and another root for the
same size; trees of 2^40 leaves and more, which no engine of ours can hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from mapae.errors import Code, Refused

DEPTH: Final = 40  # of a frontier; TrustLog.vy has as many slots
MOST: Final = 1 << DEPTH
EMPTY: Final = sha256(b"").digest()  # RFC 9162 2.1.1: the root of no leaves
HASH: Final = 32


class Head(NamedTuple):
    """How long a log is, and the root over all of it."""

    size: int
    root: bytes


def leaf_hash(entry: bytes) -> bytes:
    """RFC 9162 2.1.1: leaves and nodes are told apart by their first byte."""
    return sha256(b"\0" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


class Frontier:
    """As much of a tree as it takes to append and to know the root: one hash for each bit of the size."""

    __slots__ = ("_nodes", "size")

    def __init__(self) -> None:
        self.size = 0
        self._nodes: list[bytes] = []  # roots of the complete subtrees, the largest first

    def add(self, leaf: bytes) -> None:
        """Append a leaf by its hash."""
        if self.size >= MOST - 1:
            raise Refused(Code.TOO_LARGE, "the log is full")
        nodes, rest = self._nodes, self.size
        while rest & 1:  # a subtree of this size is there already: together they make the next larger one
            leaf = sha256(b"\1" + nodes.pop() + leaf).digest()
            rest >>= 1
        nodes.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        if not self._nodes:
            return EMPTY
        found = self._nodes[-1]
        for node in self._nodes[-2::-1]:
            found = node_hash(node, found)
        return found

    def head(self) -> Head:
        return Head(self.size, self.root())

    def copy(self) -> Frontier:
        other = Frontier()
        other.size, other._nodes = self.size, self._nodes[:]
        return other

    def encode(self) -> bytes:
        """The size in 8 bytes, then the hashes of its bits, the highest first."""
        return self.size.to_bytes(8, "big") + b"".join(self._nodes)

    @classmethod
    def parse(cls, raw: bytes) -> Frontier:
        size = int.from_bytes(raw[:8], "big")
        if len(raw) < 8 or size >= MOST or len(raw) != 8 + HASH * size.bit_count():
            raise Refused(Code.MALFORMED, "not the frontier of a tree")
        made = cls()
        made.size = size
        made._nodes = [raw[at : at + HASH] for at in range(8, len(raw), HASH)]
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frontier) and self.size == other.size and self._nodes == other._nodes

    __hash__ = None  # type: ignore[assignment]


class Tree:
    """A whole tree, every complete subtree's root kept by level: any root or proof of any earlier size."""

    __slots__ = ("_levels",)

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self._levels: list[list[bytes]] = [[]]
        self.extend(leaves)

    @property
    def size(self) -> int:
        return len(self._levels[0])

    def add(self, leaf: bytes) -> None:
        """Append a leaf by its hash."""
        level = 0
        while True:
            row = self._levels[level]
            row.append(leaf)
            if len(row) & 1:
                return
            leaf = node_hash(row[-2], leaf)
            level += 1
            if level == len(self._levels):
                self._levels.append([])

    def extend(self, leaves: Iterable[bytes]) -> None:
        for leaf in leaves:
            self.add(leaf)

    def node(self, level: int, index: int) -> bytes:
        """The root over the leaves from index * 2^level on, 2^level of them, where all are there."""
        if not (0 <= level < len(self._levels) and 0 <= index < len(self._levels[level])):
            raise Refused(Code.NOT_FOUND, "the tree has no such node")
        return self._levels[level][index]

    def root(self, size: int | None = None) -> bytes:
        return self._over(0, self._within(self.size if size is None else size))

    def head(self) -> Head:
        return Head(self.size, self.root())

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """RFC 9162 2.1.3.1: from the leaf's sibling up to the root's child."""
        if not 0 <= index < self._within(size):
            raise Refused(Code.NOT_FOUND, "the tree has no such leaf")
        path, start, end = [], 0, size
        while end - start > 1:
            split = start + _split(end - start)
            if index < split:
                path.append(self._over(split, end))
                end = split
            else:
                path.append(self._over(start, split))
                start = split
        return path[::-1]

    def consistency(self, old: int, new: int) -> list[bytes]:
        """RFC 9162 2.1.4.1; empty from no leaves at all, and between equal sizes."""
        if not 0 <= old <= self._within(new):
            raise Refused(Code.NOT_FOUND, "the tree was never that size")
        if old in (0, new):
            return []
        path, start, end, whole = [], 0, new, True
        while old != end:
            split = start + _split(end - start)
            if old <= split:
                path.append(self._over(split, end))
                end = split
            else:
                path.append(self._over(start, split))
                start, whole = split, False
        if not whole:  # the old root is known to whoever asks, where it is a node of its own
            path.append(self._over(start, end))
        return path[::-1]

    def _within(self, size: int) -> int:
        if not 0 <= size <= self.size:
            raise Refused(Code.NOT_FOUND, "the tree was never that size")
        return size

    def _over(self, start: int, end: int) -> bytes:
        """RFC 9162 2.1.1: MTH(D[start:end]), where start is aligned as the splits are."""
        count = end - start
        if count == 0:
            return EMPTY
        if count & (count - 1) == 0:
            level = count.bit_length() - 1
            return self._levels[level][start >> level]
        split = start + _split(count)
        return node_hash(self._over(start, split), self._over(split, end))


def _split(count: int) -> int:
    """RFC 9162 2.1.1: the largest power of two smaller than `count`."""
    return 1 << ((count - 1).bit_length() - 1)


def root_of_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """RFC 9162 2.1.3.2: the root this path leads to. The caller compares it with the root it trusts."""
    if not 0 <= index < size <= MOST or len(leaf) != HASH:
        raise Refused(Code.BAD_PROOF, "the entry lies outside the tree")
    node, at, last = leaf, index, size - 1
    for sibling in path:
        if len(sibling) != HASH or last == 0:
            raise Refused(Code.BAD_PROOF, "the proof is longer than the tree is high")
        if at & 1 or at == last:
            node = node_hash(sibling, node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        at, last = at >> 1, last >> 1
    if last:
        raise Refused(Code.BAD_PROOF, "the proof is shorter than the tree is high")
    return node


def must_be_consistent(old: int, old_root: bytes, new: int, new_root: bytes, path: Sequence[bytes]) -> None:
    """RFC 9162 2.1.4.2: the tree of `new` leaves begins with that of `old`.

    FORKED where the two heads alone say so; BAD_PROOF where the path does not show it, which whoever asked may mend by
    asking again.
    """
    if not (0 <= old <= MOST and 0 <= new <= MOST) or {len(old_root), len(new_root)} != {HASH}:
        raise Refused(Code.BAD_PROOF, "not the head of a tree")
    if old > new:
        raise Refused(Code.FORKED, "the log has become shorter")
    if old == new and old_root != new_root:
        raise Refused(Code.FORKED, "two roots for one size")
    if old == 0 and old_root != EMPTY:
        raise Refused(Code.BAD_PROOF, "an empty tree has one root")
    if old in (0, new):
        if path:
            raise Refused(Code.BAD_PROOF, "nothing is to be proven here")
        return
    if _both_roots(old, old_root, new, path) != (old_root, new_root):
        raise Refused(Code.BAD_PROOF, "the proof does not lead from the one root to the other")


def _both_roots(old: int, old_root: bytes, new: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Steps 1 to 6 of RFC 9162 2.1.4.2, for 0 < old < new."""
    if not path or any(len(node) != HASH for node in path):
        raise Refused(Code.BAD_PROOF, "the proof is empty, or holds something that is no hash")
    if old & (old - 1) == 0:
        path = [old_root, *path]
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    first = second = path[0]
    for node in path[1:]:
        if last == 0:
            raise Refused(Code.BAD_PROOF, "the proof is longer than the tree is high")
        if at & 1 or at == last:
            first, second = node_hash(node, first), node_hash(node, second)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            second = node_hash(second, node)
        at, last = at >> 1, last >> 1
    if last:
        raise Refused(Code.BAD_PROOF, "the proof is shorter than the tree is high")
    return first, second
