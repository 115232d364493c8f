"""A proof that one entry is in a log, made by whoever wants it, from the log's public files alone.

Promises: `prove` gives a C2SP tlog-proof that verifies under the policy it was given, and the entry it is about.
Trusts: that policy; nobody who serves the files. Keeps: the tiles of one proof. Refuses: what the policy refuses, a log
that does not give the entry, and tiles that lead to another root (BAD_PROOF).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from mapae.errors import Code, Refused, step
from mapae.trust.log.entry import LARGEST, Entry, Log
from mapae.trust.log.note import Note
from mapae.trust.log.policy import Cosigned, Policy
from mapae.trust.log.proof import TlogProof
from mapae.trust.log.tiles import HEIGHT, WIDTH, Tile, hashes, unbundle
from mapae.trust.log.tree import Tree, node_hash

Get = Callable[[str], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Proven:
    entry: Entry
    raw: bytes
    proof: TlogProof
    cosigned: Cosigned


async def prove(get: Get, policy: Policy, log: Log, index: int) -> Proven:
    """`get` fetches below the log's address: `checkpoint`, `tile/...`.

    1 quorum: the log and enough witnesses signed the checkpoint  2 entry: it is there and of this log  3 path: its
    hashes lead to the root that was signed.
    """
    note = Note.parse(await get("checkpoint"))
    with step("quorum"):
        size = policy.met(note).checkpoint.size
    with step("entry"):
        if index >= size:
            raise Refused(Code.NOT_FOUND, f"the checkpoint covers {size} entries, so there is no entry {index} yet")
        tiles = Tiles(get, size)
        raw = await tiles.entry(index)
        entry = Entry.parse(raw)
        if entry.index != index or entry.log is not log:
            raise Refused(Code.BAD_PROOF, "the log gives another entry under this number")
    with step("path"):
        proof = TlogProof(index, tuple(await tiles.inclusion(index)), note)
    return Proven(entry, raw, proof, proof.verify(raw, policy))


class Tiles:
    """The tree of a log at one size, as far as somebody asks for it. Its hashes are claims until they meet a root."""

    def __init__(self, get: Get, size: int) -> None:
        self._get, self._size = get, size
        self._rows: dict[str, list[bytes]] = {}

    async def entry(self, index: int) -> bytes:
        tile = self._tile(None, index // WIDTH)
        return unbundle(await self._get(tile.path()), tile.width, largest=LARGEST)[index % WIDTH]

    async def inclusion(self, index: int) -> list[bytes]:
        """RFC 9162 2.1.3.1: from the leaf's sibling upwards."""
        path: list[bytes] = []
        start, end = 0, self._size
        while end - start > 1:
            middle = start + (1 << (end - start - 1).bit_length() - 1)
            beside = (middle, end) if index < middle else (start, middle)
            path.append(await self.over(*beside))
            start, end = (start, middle) if index < middle else (middle, end)
        return path[::-1]

    async def over(self, start: int, end: int) -> bytes:
        """MTH(D[start:end]), for the spans RFC 9162 2.1.1 divides a tree into."""
        count = end - start
        if count & count - 1 == 0:
            return await self._full(count.bit_length() - 1, start // count)
        middle = start + (1 << (count - 1).bit_length() - 1)
        return node_hash(await self.over(start, middle), await self.over(middle, end))

    async def _full(self, height: int, index: int) -> bytes:
        """The root over 2^height leaves: hashed up from the tile row below it."""
        level, above = divmod(height, HEIGHT)
        first = index << above
        row = await self._row(level, first // WIDTH)
        at = first % WIDTH
        return Tree(row[at : at + (1 << above)]).root()

    async def _row(self, level: int, index: int) -> list[bytes]:
        tile = self._tile(level, index)
        path = tile.path()
        if path not in self._rows:
            self._rows[path] = hashes(await self._get(path), tile.width)
        return self._rows[path]

    def _tile(self, level: int | None, index: int) -> Tile:
        """tlog-tiles, Partial Tiles: as wide as a tree of this size makes it."""
        count = self._size >> HEIGHT * (level or 0)
        return Tile(level, index, min(WIDTH, count - index * WIDTH))
