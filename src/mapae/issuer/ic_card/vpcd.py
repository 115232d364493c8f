"""A simulated card in a real PC/SC system: the other end of vsmartcard's `vpcd` reader driver.

Promises: whatever a PC/SC program sends to the reader "Virtual PCD" reaches the card, and its answers go back; power
off, power on and reset all make the card forget its sessions. Trusts: that the driver listens on this machine only if
the machine is fit for it: vpcd listens on all addresses and asks nobody who he is, so it is for tests and kiosks'
benches, not for a server. Keeps: nothing. Refuses: nothing; a message it does not know is no command and not answered.

The protocol: two bytes of length, then either one control byte or a command APDU; an answer has the same length
prefix. Control bytes have no answer but the one that asks for the ATR.
"""

from __future__ import annotations

import contextlib
import socket

from mapae.issuer.ic_card.memory import PowerCut
from mapae.issuer.ic_card.reader import Chip

PORT = 35963  # of the first slot; the second slot listens on the next one
# PC/SC part 3, 3.1.3.2.3: a contactless card without historical bytes; offers T=0 and T=1.
ATR = bytes.fromhex("3b80800101")
_POWER_OFF, _POWER_ON, _RESET, _ATR = 0, 1, 2, 4


class Vpcd:
    """A card put into the virtual reader. `serve` returns when the driver hangs up or the card is taken out."""

    def __init__(self, card: Chip, port: int = PORT, *, host: str = "127.0.0.1", timeout: float = 10.0) -> None:
        self._card = card
        self._socket = socket.create_connection((host, port), timeout)
        self._socket.settimeout(None)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def serve(self) -> None:
        with contextlib.suppress(OSError, EOFError):  # hanging up is how a card leaves this reader
            while True:
                message = self._receive(int.from_bytes(self._receive(2), "big"))
                if len(message) == 1:
                    self._control(message[0])
                    continue
                try:
                    self._send(self._card.transmit(message))
                except PowerCut:
                    break
        self._card.reset()
        self._socket.close()

    def take_out(self) -> None:
        """From another thread: the card leaves the reader."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _control(self, what: int) -> None:
        if what == _ATR:
            self._send(ATR)
        elif what in (_POWER_OFF, _POWER_ON, _RESET):
            self._card.reset()

    def _send(self, message: bytes) -> None:
        self._socket.sendall(len(message).to_bytes(2, "big") + message)

    def _receive(self, size: int) -> bytes:
        got = b""
        while len(got) < size:
            # vpcd writes length and body apart: without a quick acknowledgement each command waits 40 ms for the
            # second half. The kernel forgets the wish, so it is told again.
            if hasattr(socket, "TCP_QUICKACK"):
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            part = self._socket.recv(size - len(got))
            if not part:
                raise EOFError
            got += part
        return got
