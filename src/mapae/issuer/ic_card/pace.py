"""PACE with generic mapping, both sides (Doc 9303-11 4.4; BSI TR-03110-2 3.2).

Promises: a channel comes out only when both ends have shown that they know the password, and nobody who listened can
try passwords afterwards. Trusts: the Dice. Keeps: nothing once it is over. Refuses: bad points, one's own key sent
back, a wrong token. Which password, how many tries are left and what a wrong one costs is the card's business: it
writes its counter down before it hands in the token.

Each side is a generator, so that no step can be skipped: it yields what it says and is sent what it hears.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Generator
from enum import IntEnum
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from mapae.clock import Dice
from mapae.errors import Code, Refused
from mapae.issuer.ic_card import tlv
from mapae.issuer.ic_card.ec import Curve, Point
from mapae.issuer.ic_card.secure import ChipChannel, Keys, TerminalChannel, authenticate, derive

# id-PACE-ECDH-GM-AES-CBC-CMAC-128 (Doc 9303-11 9.2.3): 0.4.0.127.0.7.2.2.4.2.2
OID: Final = bytes.fromhex("04007f00070202040202")
# Doc 9303-11 4.4.5, table 4: what GENERAL AUTHENTICATE carries in 7C, there and back. The first carries nothing.
OBJECTS: Final = ((0x00, 0x80), (0x81, 0x82), (0x83, 0x84), (0x85, 0x86))
NONCE: Final = 16


class Password(IntEnum):
    """Doc 9303-11 4.4.4.1 and BSI TR-03110-3 B.11.1: the reference in DO 83."""

    MRZ = 1
    CAN = 2
    PIN = 3
    PUK = 4


def password_key(kind: Password, secret: str) -> bytes:
    """K_pi (Doc 9303-11 9.7.3): all a chip needs to know of a password. `secret` of the MRZ is number, birth date and
    expiry with their check digits."""
    raw = secret.encode("latin-1", "replace")
    if kind is Password.MRZ:
        raw = hashlib.sha1(raw, usedforsecurity=False).digest()
    return derive(raw, 3)


Terminal = Generator[bytes, bytes, TerminalChannel]
Chip = Generator[bytes, bytes, tuple[bytes, ChipChannel]]


def terminal(curve: Curve, key: bytes, dice: Dice) -> Terminal:
    """Yields nothing, then the value of 81, 83 and 85; is sent the values of 80, 82, 84 and 86."""
    sealed = yield b""
    if len(sealed) != NONCE:
        raise Refused(Code.CHIP_REFUSED, "the chip's nonce is not one block", step="pace")
    nonce = _aes(key).decryptor().update(sealed)
    mapping = curve.pair(dice)
    theirs = curve.read((yield mapping.public.encode()))
    _must_differ(mapping.public, theirs)
    ephemeral = curve.pair(dice, _mapped(curve, nonce, theirs.times(mapping.secret)))
    theirs = curve.read((yield ephemeral.public.encode()))
    _must_differ(ephemeral.public, theirs)
    keys = Keys.of(ephemeral.agree(theirs))
    said = yield token(keys, theirs)
    if not hmac.compare_digest(said, token(keys, ephemeral.public)):
        raise Refused(Code.CHIP_REFUSED, "the chip's token is wrong", step="pace")
    return TerminalChannel(keys)


def chip(curve: Curve, key: bytes, dice: Dice) -> Chip:
    """Yields the values of 80, 82 and 84; is sent those of 81, 83 and 85; returns that of 86 with the channel."""
    nonce = dice.bytes(NONCE)
    theirs = curve.read((yield _aes(key).encryptor().update(nonce)))
    mapping = curve.pair(dice)
    _must_differ(mapping.public, theirs)
    generator = _mapped(curve, nonce, theirs.times(mapping.secret))
    theirs = curve.read((yield mapping.public.encode()))
    ephemeral = curve.pair(dice, generator)
    _must_differ(ephemeral.public, theirs)
    keys = Keys.of(ephemeral.agree(theirs))
    said = yield ephemeral.public.encode()
    if not hmac.compare_digest(said, token(keys, ephemeral.public)):
        raise Refused(Code.CHIP_PIN_WRONG, "the terminal's token is wrong", step="pace")
    return token(keys, theirs), ChipChannel(keys)


def token(keys: Keys, theirs: Point) -> bytes:
    """Doc 9303-11 4.4.3.4: over the other's ephemeral key."""
    return authenticate(keys.mac, tlv.encode(0x7F49, tlv.encode(0x06, OID) + tlv.encode(0x86, theirs.encode())))


def _mapped(curve: Curve, nonce: bytes, shared: Point) -> Point:
    """Doc 9303-11 4.4.3.3.1: s·G + H, and never infinity."""
    scalar = int.from_bytes(nonce, "big") % curve.n
    return curve.g.times(scalar).plus(shared) if scalar else shared


def _must_differ(ours: Point, theirs: Point) -> None:
    """Doc 9303-11 4.4.1 step 3 d."""
    if ours.encode() == theirs.encode():
        raise Refused(Code.CHIP_REFUSED, "our own key came back", step="pace")


def _aes(key: bytes) -> Cipher[modes.CBC]:
    """Doc 9303-11 4.4.3.3: one block, IV nought."""
    return Cipher(algorithms.AES(key), modes.CBC(bytes(NONCE)))
