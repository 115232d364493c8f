"""Base45 (RFC 9285): bytes in the 45 characters a QR code stores in five and a half bits each.

Promises: what was decoded has that one spelling. Trusts: nobody. Keeps: nothing. Refuses: foreign characters, groups
that stand for more than they may, an impossible length.
"""

from __future__ import annotations

from typing import Final

from mapae.errors import Code, Refused

ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
_VALUES: Final = {letter: value for value, letter in enumerate(ALPHABET)}


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
    try:
        values = [_VALUES[letter] for letter in text]
    except KeyError:
        raise Refused(Code.MALFORMED, "base45 has a foreign character") from None
    found = bytearray()
    for at in range(0, len(values), 3):
        group = values[at : at + 3]
        number = sum(value * 45**place for place, value in enumerate(group))
        size = len(group) - 1
        if size == 0 or number >= 256**size:  # RFC 9285 4.2: FGW is the last of three characters, U5 of two
            raise Refused(Code.MALFORMED, "base45 has an impossible group or length")
        found += number.to_bytes(size, "big")
    return bytes(found)
