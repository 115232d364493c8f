"""Messages of two devices over Bluetooth Low Energy: names and pieces (ISO/IEC 18013-5 8.3.3.1.1).

    for piece in pieces(message, mtu): write it
    joiner = Joiner(); for piece in arriving: if (message := joiner.add(piece)) is not None: there it is

Promises: a piece fits one write or notification at the agreed size; a message that was taken apart is put together
again. Pure. Trusts: nobody. Keeps: what has come of one message, up to `proximity.MAX_MESSAGE`. Refuses: a piece that
is neither the last nor followed by others, one without content that promises more, a message that grows too large.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

from mapae.errors import Code, Refused
from mapae.formats import cbor
from mapae.formats.proximity import MAX_MESSAGE

START, END = b"\x01", b"\x02"  # of the State characteristic: Table 13
_LAST, _MORE = 0, 1  # before each piece: 8.3.3.1.1.6
_HEADER: Final = 3  # bytes of a write or notification that are the protocol's own (Bluetooth Core 3.F 3.4.5.3)
_LONGEST: Final = 512  # bytes of an attribute's value (Bluetooth Core 3.F 3.2.9)
_SMALLEST: Final = 23  # the size before anything was agreed on


class Mode(Struct, frozen=True):
    """The characteristics of whoever is the GATT server."""

    state: str
    to_server: str
    to_client: str
    ident: str | None


def _uuid(number: int) -> str:
    return f"{number:08x}-a123-48ce-896b-4c76973373e6"


DEVICE_SERVES: Final = Mode(_uuid(1), _uuid(2), _uuid(3), None)  # mdoc peripheral server mode, Table 11
READER_SERVES: Final = Mode(_uuid(5), _uuid(6), _uuid(7), _uuid(8))  # mdoc central client mode, Table 12


def ident(device_key: bytes) -> bytes:
    """8.3.3.1.1.3: by this the device knows that it is connected to the reader that saw its code. `device_key` is the
    COSE_Key of the engagement, as it came."""
    return HKDF(SHA256(), 16, salt=None, info=b"BLEIdent").derive(cbor.embed(device_key))


def pieces(message: bytes, mtu: int) -> Iterator[bytes]:
    """`mtu` is the one agreed on (ATT_MTU)."""
    size = min(max(mtu, _SMALLEST) - _HEADER, _LONGEST) - 1
    for at in range(0, len(message), size):
        more = at + size < len(message)
        yield bytes((_MORE if more else _LAST,)) + message[at : at + size]


class Joiner:
    def __init__(self) -> None:
        self._parts = bytearray()

    def add(self, piece: bytes) -> bytes | None:
        """The message, with its last piece. Raises Refused(MALFORMED, TOO_LARGE)."""
        if not piece or piece[0] not in (_LAST, _MORE) or (piece[0] == _MORE and len(piece) == 1):
            raise Refused(Code.MALFORMED, "a piece of a message is not one")
        if len(self._parts) + len(piece) > MAX_MESSAGE:
            raise Refused(Code.TOO_LARGE, "a message of the other device is too large")
        self._parts += piece[1:]
        if piece[0] == _MORE:
            return None
        message = bytes(self._parts)
        self._parts.clear()
        return message
