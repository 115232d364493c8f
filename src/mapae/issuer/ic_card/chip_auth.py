"""Chip Authentication in its first version, both sides (Doc 9303-11 6.2; BSI TR-03110-1 3.4).

Promises: after the first answer that `TerminalChannel.unwrap` takes, whoever answers has the secret key that belongs
to the public key of DG14; a copy of the files has not. Trusts: passive authentication, which must have said that this
DG14 is genuine. Keeps: nothing. Refuses: bad points, the chip's own key sent back to it.
"""

from __future__ import annotations

from typing import Final

from mapae.clock import Dice
from mapae.errors import Code, Refused
from mapae.issuer.ic_card.ec import Pair, Point
from mapae.issuer.ic_card.secure import ChipChannel, Keys, TerminalChannel

# id-CA-ECDH-AES-CBC-CMAC-128 (Doc 9303-11 9.2.7): 0.4.0.127.0.7.2.2.3.2.2
OID: Final = bytes.fromhex("04007f00070202030202")
EPHEMERAL: Final = 0x80  # in 7C of GENERAL AUTHENTICATE (Doc 9303-11 6.2.4.2): the terminal's key


class Terminal:
    """One key for one chip, once."""

    __slots__ = ("_pair", "_theirs")

    def __init__(self, theirs: Point, dice: Dice) -> None:
        """`theirs` is the chip's key of DG14."""
        self._theirs = theirs
        self._pair = theirs.curve.pair(dice)

    @property
    def public(self) -> bytes:
        return self._pair.public.encode()

    def channel(self) -> TerminalChannel:
        """To be used from the first command after the chip took `public`; it proves nothing before an answer."""
        return TerminalChannel(Keys.of(self._pair.agree(self._theirs)))


def chip(pair: Pair, theirs: bytes) -> ChipChannel:
    """The chip's part. The answer to the command still goes out under the channel before it."""
    point = pair.public.curve.read(theirs)
    if point.encode() == pair.public.encode():
        raise Refused(Code.CHIP_REFUSED, "our own key came back", step="chip")
    return ChipChannel(Keys.of(pair.agree(point)))
