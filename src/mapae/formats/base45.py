"""Base45 (RFC 9285): bytes in the 45 characters a QR code stores in five and a half bits each.

Promises: what was decoded has that one spelling. Trusts: nobody. Keeps: nothing. Refuses: foreign characters, groups
that stand for more than they may, an impossible length.
"""

from __future__ import annotations

from typing import Final

from mapae.errors import Code, Refused

ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_FOREIGN: Final = 255
_TABLE: Final = bytes(ALPHABET.find(chr(byte)) % 256 for byte in range(256))  # -1, not there: 255


def encode(raw: bytes) -> str:
    parts = []
    for at in range(0, len(raw) - 1, 2):
        rest, low = divmod(raw[at] << 8 | raw[at + 1], 45)
        high, middle = divmod(rest, 45)
        parts.append(ALPHABET[low] + ALPHABET[middle] + ALPHABET[high])
    if len(raw) % 2:
        high, low = divmod(raw[-1], 45)
        parts.append(ALPHABET[low] + ALPHABET[high])
    return "".join(parts)


def decode(text: str) -> bytes:
    """Raises Refused(MALFORMED)."""
    values = text.encode("latin-1", "replace").translate(_TABLE)
    if _FOREIGN in values:
        raise Refused(Code.MALFORMED, "base45 has a foreign character")
    count, left = divmod(len(values), 3)
    # All groups in one sum of large integers, each in 24 bits of its own, which none outgrows (44 + 45 * 44 + 2025 * 44
    # has 17): many times as fast as group by group, and a till decodes some thousand of them.
    digits = int.from_bytes(values[: 3 * count], "little")
    each = int.from_bytes(b"\xff\0\0" * count, "little")
    sums = (digits & each) + 45 * (digits >> 8 & each) + 2025 * (digits >> 16 & each)
    groups, rest = sums.to_bytes(3 * count, "little"), values[3 * count :]
    last = rest[0] + 45 * rest[1] if left == 2 else 0
    # RFC 9285 4.2: FGW is the last of three characters, U5 of two
    if left == 1 or last > 255 or groups[2::3].strip(b"\0"):
        raise Refused(Code.MALFORMED, "base45 has an impossible group or length")
    raw = bytearray(2 * count)
    raw[0::2], raw[1::2] = groups[1::3], groups[0::3]
    return bytes(raw) + (bytes((last,)) if left else b"")
