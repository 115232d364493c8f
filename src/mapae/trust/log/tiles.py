"""C2SP tlog-tiles: a log as files that never change, which any web server or cache can hand out.

Promises: a path is read in the one spelling we write; a tile or a bundle is exactly as wide as its path says. Trusts:
nobody: the hashes of a tile are worth what the checkpoint over them is. Keeps: nothing. Refuses: paths of tiles that
there cannot be, entries longer than a bundle can hold, bundles that are cut or go on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, Self

import msgspec

from mapae.errors import Code, Refused
from mapae.trust.log.tree import HASH, MOST, Tree

WIDTH: Final = 256
HEIGHT: Final = 8  # levels of the tree in one tile
LARGEST_ENTRY: Final = 65_535
_PATH: Final = re.compile(r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


class Tile(msgspec.Struct, frozen=True):
    """A tile of hashes, or of entries where `level` is None."""

    level: int | None
    index: int
    width: int = WIDTH

    @classmethod
    def parse(cls, path: str) -> Self:
        """`tile/<L>/<N>[.p/<W>]` and `tile/entries/<N>[.p/<W>]`, after the log's prefix."""
        found = _PATH.fullmatch(path)
        if found is None:
            raise Refused(Code.MALFORMED, "not the path of a tile")
        level, parts, width = found.groups()
        index = int(parts.replace("/", "").replace("x", ""))
        made = cls(None if level == "entries" else int(level), index, int(width) if width else WIDTH)
        # No element more than it takes (x000/001), no level above 63, no width of 256 in a suffix.
        if made.path() != path or (made.level or 0) > 63:
            raise Refused(Code.MALFORMED, "not the path of a tile")
        return made

    def path(self) -> str:
        digits = str(self.index)
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        parts = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        name = "/".join([*(f"x{part}" for part in parts[:-1]), parts[-1]])
        level = "entries" if self.level is None else self.level
        return f"tile/{level}/{name}" + (f".p/{self.width}" if self.width < WIDTH else "")

    @property
    def start(self) -> int:
        """The first leaf under it."""
        return self.index << HEIGHT * ((self.level or 0) + 1)

    @property
    def end(self) -> int:
        """The first leaf after it, as wide as it is."""
        return self.start + (self.width << HEIGHT * (self.level or 0))

    def within(self, size: int) -> bool:
        """A tree of this size has it."""
        return (self.level or 0) <= HEIGHT and self.index < MOST and self.end <= size


def of_size(size: int) -> Iterator[Tile]:
    """Every tile of a tree of this size, the partial ones on the right included (tlog-tiles, Partial Tiles)."""
    level = 0
    while (count := size >> (HEIGHT * level)) > 0:
        for index in range(count // WIDTH):
            yield Tile(level, index)
        if count % WIDTH:
            yield Tile(level, count // WIDTH, count % WIDTH)
        level += 1


def bundles(size: int, start: int = 0) -> Iterator[Tile]:
    """The bundles with the entries from `start` on."""
    for index in range(start // WIDTH, -(-size // WIDTH)):
        yield Tile(None, index, min(WIDTH, size - index * WIDTH))


def tile_bytes(tree: Tree, level: int, index: int, width: int = WIDTH) -> bytes:
    """tlog-tiles, Merkle Tree: hash i is MTH(D[(n * 256 + i) * 256^l : (n * 256 + i + 1) * 256^l])."""
    if not Tile(level, index, width).within(tree.size):
        raise Refused(Code.NOT_FOUND, "the log has no such tile")
    return b"".join(tree.node(HEIGHT * level, index * WIDTH + at) for at in range(width))


def hashes(raw: bytes, width: int) -> list[bytes]:
    """Of a tile that was fetched."""
    if len(raw) != width * HASH:
        raise Refused(Code.MALFORMED, "a tile is not as wide as its path says")
    return [raw[at : at + HASH] for at in range(0, len(raw), HASH)]


def bundle(entries: Sequence[bytes]) -> bytes:
    """tlog-tiles, Log entries: each after its length in two bytes."""
    if not 1 <= len(entries) <= WIDTH or any(len(entry) > LARGEST_ENTRY for entry in entries):
        raise Refused(Code.TOO_LARGE, "a bundle holds 1 to 256 entries of at most 65535 bytes")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def unbundle(raw: bytes, width: int = WIDTH, *, largest: int = LARGEST_ENTRY) -> list[bytes]:
    """The entries, as many as the path says, none longer than `largest`."""
    if len(raw) > width * (2 + largest):
        raise Refused(Code.TOO_LARGE, "a bundle is too large")
    found, at = [], 0
    for _ in range(width):
        length = int.from_bytes(raw[at : at + 2], "big")
        entry = raw[at + 2 : at + 2 + length]
        if at + 2 > len(raw) or len(entry) != length or length > largest:
            raise Refused(Code.MALFORMED, "a bundle is cut, or holds an entry that is too long")
        found.append(entry)
        at += 2 + length
    if at != len(raw):
        raise Refused(Code.MALFORMED, "a bundle goes on after its last entry")
    return found
