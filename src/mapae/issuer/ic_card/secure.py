"""Secure messaging with AES-128, both ends (Doc 9303-11 9.8).

Promises: what `unwrap` and `open` give back was said by the other end of this channel, next in order and unchanged.
Trusts: the keys the channel was made of. Keeps: the keys and the send sequence counter, in memory. Refuses: a wrong
MAC, anything replayed, left out or unprotected. A channel that has refused once refuses for ever (Doc 9303-11
9.8.3: an error ends the session).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final, NoReturn

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.cmac import CMAC

from mapae.errors import Code, Refused
from mapae.issuer.ic_card import tlv
from mapae.issuer.ic_card.apdu import LONG_NE, SHORT_NE, Command, Response

BLOCK: Final = 16
PADDED: Final = b"\x01"  # ISO/IEC 7816-4 table 35: padded by 80 00 ..
# Doc 9303-11 9.8.4: padded cryptogram behind an indicator, the same without one (odd INS), status, Le, MAC
CRYPTOGRAM, PLAIN_CRYPTOGRAM, STATUS, LE, MAC = 0x87, 0x85, 0x99, 0x97, 0x8E
PROTECTED: Final = 0x0C  # in CLA: ISO/IEC 7816-4 table 2, the header is authenticated


def derive(secret: bytes, counter: int) -> bytes:
    """KDF for AES-128 (Doc 9303-11 9.7.1.2). That SHA-1 has collisions does not matter to it."""
    return hashlib.sha1(secret + counter.to_bytes(4, "big"), usedforsecurity=False).digest()[:16]


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    enc: bytes
    mac: bytes

    @classmethod
    def of(cls, secret: bytes) -> Keys:
        """Doc 9303-11 9.7.4: counter 1 encrypts, counter 2 authenticates."""
        return cls(derive(secret, 1), derive(secret, 2))


def authenticate(key: bytes, data: bytes) -> bytes:
    """CMAC, its first 8 bytes (Doc 9303-11 9.8.7.2 and 4.4.3.4)."""
    mac = CMAC(algorithms.AES(key))
    mac.update(data)
    return mac.finalize()[:8]


def pad(data: bytes) -> bytes:
    """ISO/IEC 9797-1, padding method 2."""
    return data + b"\x80" + bytes(-(len(data) + 1) % BLOCK)


class Channel:
    """What both ends share."""

    __slots__ = ("_aes", "_ecb", "_ins", "_mac", "_open", "_ssc")

    def __init__(self, keys: Keys) -> None:
        self._aes = algorithms.AES(keys.enc)
        self._ecb = Cipher(self._aes, modes.ECB()).encryptor()  # noqa: S305 one block each, for the IV
        self._mac = CMAC(algorithms.AES(keys.mac))
        self._ssc = 0  # Doc 9303-11 9.8.7.3: nought at the start, one more before each command and each answer
        self._open = True
        self._ins = 0  # of the command that is being answered: whether it is odd decides how data lie in both

    def _next(self) -> bytes:
        if not self._open:
            raise Refused(Code.CHIP_REFUSED, "the channel to the chip is closed")
        self._ssc += 1
        return self._ssc.to_bytes(BLOCK, "big")

    def _refuse(self, why: str) -> NoReturn:
        self._open = False
        raise Refused(Code.CHIP_REFUSED, why)

    def _encrypt(self, ssc: bytes, data: bytes) -> bytes:
        # Doc 9303-11 9.8.7.1: the IV is the encrypted counter
        work = Cipher(self._aes, modes.CBC(self._ecb.update(ssc))).encryptor()
        return work.update(self._pad(data))

    def _decrypt(self, ssc: bytes, data: bytes) -> bytes:
        if not data or len(data) % BLOCK:
            self._refuse("a cryptogram is not whole blocks")
        work = Cipher(self._aes, modes.CBC(self._ecb.update(ssc))).decryptor()
        plain = work.update(data).rstrip(b"\x00")
        # By then the MAC was good: whoever could try paddings has the keys.
        if not plain.endswith(b"\x80"):
            self._refuse("a cryptogram is not padded")
        return plain[:-1]

    def _authenticate(self, data: bytes) -> bytes:
        mac = self._mac.copy()
        mac.update(data)
        return mac.finalize()[:8]

    def _pad(self, data: bytes) -> bytes:
        return pad(data)

    def _covered(self, ssc: bytes, header: bytes, body: bytes) -> bytes:
        """What the MAC of a command covers (Doc 9303-11 9.8.4). With neither data nor Le there is nothing
        after the padded header, so nothing to pad: the reading of OpenPACE and OpenSC, which meet real cards."""
        return self._pad(ssc + self._pad(header) + body) if body else ssc + self._pad(header)

    def _must_be(self, mac: bytes, data: bytes) -> None:
        if not hmac.compare_digest(self._authenticate(data), mac):
            self._refuse("a message authentication code is wrong")

    def _objects(self, data: bytes) -> list[tuple[int, bytes]]:
        try:
            return tlv.read(data)
        except Refused as refused:
            self._refuse(refused.detail)

    def _cryptogram(self, ssc: bytes, data: bytes, ins: int) -> bytes:
        """ISO/IEC 7816-4 5.4.2: an odd INS carries objects, which need no padding indicator."""
        if not data:
            return b""
        sealed = self._encrypt(ssc, data)
        return tlv.encode(PLAIN_CRYPTOGRAM, sealed) if ins & 1 else tlv.encode(CRYPTOGRAM, PADDED + sealed)

    def _content(self, ssc: bytes, objects: dict[int, bytes], ins: int) -> bytes:
        tag = PLAIN_CRYPTOGRAM if ins & 1 else CRYPTOGRAM
        sealed = objects.get(tag)
        if sealed is None:
            return b""
        if tag == CRYPTOGRAM:
            if sealed[:1] != PADDED:
                self._refuse("a cryptogram says it is not padded")
            sealed = sealed[1:]
        return self._decrypt(ssc, sealed)


class TerminalChannel(Channel):
    """The terminal's end. One command, its answer, the next command."""

    __slots__ = ()

    def wrap(self, command: Command) -> Command:
        ssc = self._next()
        self._ins = command.ins
        cla, ins, p1, p2 = command.cla | PROTECTED, command.ins, command.p1, command.p2
        header = bytes((cla, ins, p1, p2))
        body = self._cryptogram(ssc, command.data, command.ins)
        if command.ne is not None:
            width = 1 if command.ne <= SHORT_NE else 2
            body += tlv.encode(LE, (command.ne & (0x100**width - 1)).to_bytes(width, "big"))
        body += tlv.encode(MAC, self._authenticate(self._covered(ssc, header, body)))
        long = len(body) > 0xFF or (command.ne or 0) > SHORT_NE
        return Command(cla, ins, p1, p2, body, LONG_NE if long else SHORT_NE, long)

    def unwrap(self, response: Response) -> Response:
        ssc = self._next()
        if not response.data:
            self._refuse(f"the chip answers {response.sw:04X} outside the channel")
        found = self._objects(response.data)
        content = PLAIN_CRYPTOGRAM if self._ins & 1 else CRYPTOGRAM
        if [tag for tag, _ in found] not in ([STATUS, MAC], [content, STATUS, MAC]):
            self._refuse("an answer has other objects than it should")
        objects = dict(found)
        self._must_be(objects[MAC], self._pad(ssc + response.data[:-10]))
        if objects[STATUS] != response.sw.to_bytes(2, "big"):
            self._refuse("the status word is not the authenticated one")
        return Response(self._content(ssc, objects, self._ins), response.sw)


class ChipChannel(Channel):
    """The chip's end."""

    __slots__ = ()

    def open(self, command: Command) -> Command:
        ssc = self._next()
        self._ins = command.ins
        if command.cla & 0xEC != PROTECTED:
            self._refuse("a command is not protected")
        found = self._objects(command.data)
        content = PLAIN_CRYPTOGRAM if command.ins & 1 else CRYPTOGRAM
        tags = [tag for tag, _ in found]
        if tags not in ([MAC], [LE, MAC], [content, MAC], [content, LE, MAC]):
            self._refuse("a command has other objects than it should")
        objects = dict(found)
        self._must_be(objects[MAC], self._covered(ssc, command.header, command.data[:-10]))
        ne = None
        if (le := objects.get(LE)) is not None:
            if len(le) not in (1, 2):
                self._refuse("the expected length is not one or two bytes")
            ne = int.from_bytes(le, "big") or 0x100 ** len(le)
        data = self._content(ssc, objects, command.ins)
        return Command(command.cla & ~PROTECTED, command.ins, command.p1, command.p2, data, ne)

    def seal(self, response: Response) -> Response:
        """The answer to the command that `open` has just opened."""
        ssc = self._next()
        status = response.sw.to_bytes(2, "big")
        body = self._cryptogram(ssc, response.data, self._ins) + tlv.encode(STATUS, status)
        return Response(body + tlv.encode(MAC, self._authenticate(self._pad(ssc + body))), response.sw)
