"""Base45 (RFC 9285): bytes in the 45 characters a QR code stores in five and a half bits each.

Promises: what was decoded has that one spelling. Trusts: nobody. Keeps: nothing. Refuses: foreign characters, groups
that stand for more than they may, an impossible length.
"""

from __future__ import annotations

from struct import pack
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
    # Whole strides at once: a loop over groups takes six times as long, and a till decodes some thousand of them.
    values = text.encode("latin-1", "replace").translate(_TABLE)
    if _FOREIGN in values:
        raise Refused(Code.MALFORMED, "base45 has a foreign character")
    whole, rest = len(values) // 3 * 3, values[len(values) // 3 * 3 :]
    low, middle, high = values[0:whole:3], values[1:whole:3], values[2:whole:3]
    numbers = [a + 45 * b + 2025 * c for a, b, c in zip(low, middle, high, strict=True)]
    last = rest[0] + 45 * rest[1] if len(rest) == 2 else 0
    # RFC 9285 4.2: FGW is the last of three characters, U5 of two
    if len(rest) == 1 or last > 255 or max(numbers, default=0) > 65_535:
        raise Refused(Code.MALFORMED, "base45 has an impossible group or length")
    return pack(f">{len(numbers)}H", *numbers) + (bytes((last,)) if rest else b"")
