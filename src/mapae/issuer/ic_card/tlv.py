"""Tag, length, value: the one encoding of what a card says and of what its certificates and signatures are made of.

Promises: what `read` takes is written again to the same bytes by `encode`. Trusts: nobody. Keeps: nothing. Refuses:
indefinite, longer than needed and over-long lengths, cut values, bytes that belong to nothing, tags of three bytes, too
many objects. A tag is the number its bytes spell: 0x7C, 0x7F49.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mapae.errors import Code, Refused

LARGEST: Final = 0xFFFF  # of a value: what a file of the card can hold (ISO/IEC 7816-4 7.2.2, 15 bits of offset)
MOST: Final = 64  # objects in a row: more than any list of the profile

Item = tuple[int, bytes]


def encode(tag: int, value: bytes) -> bytes:
    size = len(value)
    name = tag.to_bytes(2 if tag > 0xFF else 1, "big")
    if size < 0x80:
        return name + bytes((size,)) + value
    if size <= 0xFF:
        return name + bytes((0x81, size)) + value
    if size <= LARGEST:
        return name + b"\x82" + size.to_bytes(2, "big") + value
    raise Refused(Code.TOO_LARGE, "a value is too long for a card")


def join(items: Iterable[Item]) -> bytes:
    return b"".join(encode(tag, value) for tag, value in items)


def read(data: bytes) -> list[Item]:
    """Objects up to the last byte."""
    found: list[Item] = []
    at, end = 0, len(data)
    while at < end:
        if len(found) == MOST:
            raise Refused(Code.CHIP_REFUSED, "too many objects in a row")
        tag, size, start = _head(data, at)
        at = start + size
        if at > end:
            raise Refused(Code.CHIP_REFUSED, "a value ends before it should")
        found.append((tag, data[start:at]))
    return found


def only(data: bytes, tag: int) -> bytes:
    """The value of `tag`, when that is all there is."""
    found = read(data)
    if len(found) != 1 or found[0][0] != tag:
        raise Refused(Code.CHIP_REFUSED, f"not one object {tag:02X}")
    return found[0][1]


def exactly(data: bytes, *tags: int) -> list[bytes]:
    """The values of these tags, in this order, and of nothing else."""
    found = read(data)
    if [tag for tag, _ in found] != list(tags):
        raise Refused(Code.CHIP_REFUSED, "not the objects this place has")
    return [value for _, value in found]


def by_tag(data: bytes) -> dict[int, bytes]:
    """Objects in any order, each at most once."""
    found = read(data)
    named = dict(found)
    if len(named) != len(found):
        raise Refused(Code.CHIP_REFUSED, "an object came twice")
    return named


def total(beginning: bytes) -> int:
    """How long the object is, head and value, of which these are the first bytes."""
    _, size, start = _head(beginning, 0)
    return start + size


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """Tag, length of the value, where the value begins."""
    try:
        tag = data[at]
        at += 1
        # X.690 8.1.2.4: the number follows. Below 31 it would have fitted, but Doc 9303-10 has its 5F01 and 5F0E.
        if tag & 0x1F == 0x1F:
            if not 0 < data[at] < 0x80:
                raise Refused(Code.CHIP_REFUSED, "a tag is longer than two bytes, or nought")
            tag = tag << 8 | data[at]
            at += 1
        elif not tag:  # X.690 8.1.5, ISO/IEC 7816-4 5.2.2.1: end of contents, padding
            raise Refused(Code.CHIP_REFUSED, "a tag is nought")
        size = data[at]
        at += 1
        if size < 0x80:
            return tag, size, at
        # X.690 10.1: definite, in the fewest bytes
        if size == 0x81:
            size = data[at]
            if size < 0x80:
                raise Refused(Code.CHIP_REFUSED, "a length is longer than needed")
            return tag, size, at + 1
        if size == 0x82:
            size = data[at] << 8 | data[at + 1]
            if size < 0x100:
                raise Refused(Code.CHIP_REFUSED, "a length is longer than needed")
            return tag, size, at + 2
    except IndexError:
        raise Refused(Code.CHIP_REFUSED, "an object ends before it should") from None
    raise Refused(Code.CHIP_REFUSED, "a length is indefinite or too long")
