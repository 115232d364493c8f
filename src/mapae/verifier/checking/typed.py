"""Short codes that a person reads on one screen and types on another. Pure.

Promises: what is read aloud or typed comes back as it was shown, whatever the case, spaces and hyphens, and whichever
of two look-alikes was typed. Trusts: the caller for chance or a keyed hash. Keeps: nothing. Refuses: nothing; text that
is no such code is None.
"""

from __future__ import annotations

from typing import Final

# No I, L, O, U: read aloud and typed on a tablet.
ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LOOK_ALIKES: Final = str.maketrans("OIL", "011")
BACK: Final = 6  # characters, 30 bits: three guesses find one with a chance of one in 350 million
_EACH: Final = 5  # bits


def spelled(tag: bytes, length: int = BACK) -> str:
    """The first characters of a keyed hash, which nobody can tell without its key."""
    bits = int.from_bytes(tag[:8], "big") >> (64 - length * _EACH)
    return "".join(ALPHABET[(bits >> (place * _EACH)) & 31] for place in reversed(range(length)))


def read(typed: str, length: int) -> str | None:
    """None: that cannot be a code of this length."""
    code = "".join(letter for letter in typed.upper() if letter not in " -").translate(_LOOK_ALIKES)
    return code if len(code) == length and all(letter in ALPHABET for letter in code) else None


def shown(code: str) -> str:
    """As it stands on a screen: in threes."""
    return "-".join(code[at : at + 3] for at in range(0, len(code), 3))
