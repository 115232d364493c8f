"""A real card in a real reader, by PC/SC: the system's own library through ctypes (docs/decisions/0013).

Promises: lists readers, waits for a card, connects so that no other program may talk to the card meanwhile, and takes
the card's power when it is closed, so that no channel outlives the visit. Trusts: the PC/SC service of this machine.
Keeps: a connection while one is open. Refuses: no service (UNAVAILABLE, with what to install), a card another program
holds (CONFLICT), a card that is gone (UNAVAILABLE), each with step "reader".

Ran on Linux with pcsc-lite. The names and widths of macOS and Windows are as their headers have them and were not run.
"""

from __future__ import annotations

import ctypes
import sys
import time
from dataclasses import dataclass
from typing import Any

from mapae.errors import Code, Refused
from mapae.issuer.ic_card.reader import gone

_LONGEST = 65536 + 2  # a response of extended length and its status word
_SCOPE_SYSTEM, _EXCLUSIVE, _T1 = 2, 1, 2
_RESET_CARD, _UNPOWER_CARD = 1, 2
_UNAWARE, _PRESENT, _MUTE = 0x0000, 0x0020, 0x0200

_OK = 0
_E_TIMEOUT, _E_SHARING, _E_NO_CARD = 0x8010000A, 0x8010000B, 0x8010000C
_E_NO_SERVICE, _E_SERVICE_STOPPED, _E_NO_READERS = 0x8010001D, 0x8010001E, 0x8010002E


@dataclass(frozen=True, slots=True)
class _Platform:
    """How one system spells the same library."""

    library: str
    word: Any  # DWORD, and SCARDCONTEXT, SCARDHANDLE with it
    handle: Any
    suffix: str = ""
    atr_size: int = 33
    packed: bool = False


def _platform() -> _Platform:
    if sys.platform == "darwin":
        return _Platform("/System/Library/Frameworks/PCSC.framework/PCSC", ctypes.c_uint32, ctypes.c_int32, packed=True)
    if sys.platform == "win32":
        return _Platform("winscard.dll", ctypes.c_uint32, ctypes.c_size_t, "A", 36)
    return _Platform("libpcsclite.so.1", ctypes.c_ulong, ctypes.c_long)


class Pcsc:
    """The PC/SC service of this machine, until `close`."""

    def __init__(self) -> None:
        self._on = _platform()
        try:
            self._library = ctypes.CDLL(self._on.library)
        except OSError:
            raise gone("this machine has no PC/SC library (Debian: apt-get install libpcsclite1 pcscd)") from None
        self._context = self._on.handle()
        self._call("SCardEstablishContext", self._word(_SCOPE_SYSTEM), None, None, ctypes.byref(self._context))

    def close(self) -> None:
        self._library.SCardReleaseContext(self._context)

    def readers(self) -> list[str]:
        """Their names, in the order of the service; none is no error."""
        size = self._word(0)
        if self._call("SCardListReaders" + self._on.suffix, self._context, None, None, ctypes.byref(size),
                      also=(_E_NO_READERS,)):  # fmt: skip
            return []
        names = ctypes.create_string_buffer(size.value)
        if self._call("SCardListReaders" + self._on.suffix, self._context, None, names, ctypes.byref(size),
                      also=(_E_NO_READERS,)):  # fmt: skip
            return []
        return [name.decode("utf-8", "replace") for name in names.raw[: size.value].split(b"\0") if name]

    def wait_for_card(self, seconds: float, readers: list[str] | None = None) -> str | None:
        """The first reader with a card that answers in it, as soon as there is one; None when the time is over."""
        names = self.readers() if readers is None else readers
        if not names:
            return None
        state = self._reader_state()
        states = (state * len(names))()
        for each, name in zip(states, names, strict=True):
            each.reader, each.current = name.encode(), _UNAWARE
        ends, wait = time.monotonic() + seconds, 0  # the first call tells how things are, the others wait for a change
        while True:
            self._call("SCardGetStatusChange" + self._on.suffix, self._context, self._word(wait), states,
                       self._word(len(names)), also=(_E_TIMEOUT,))  # fmt: skip
            for each, name in zip(states, names, strict=True):
                if each.event & _PRESENT and not each.event & _MUTE:
                    return name
                each.current = each.event
            wait = int((ends - time.monotonic()) * 1000)
            if wait <= 0:
                return None

    def connect(self, reader: str) -> PcscReader:
        """The card in this reader, for us alone."""
        card, protocol = self._on.handle(), self._word(0)
        # T=1 only: contactless readers offer it, and there the answers 61xx and 6Cxx of T=0 do not exist.
        self._call("SCardConnect" + self._on.suffix, self._context, reader.encode(), self._word(_EXCLUSIVE),
                   self._word(_T1), ctypes.byref(card), ctypes.byref(protocol))  # fmt: skip
        return PcscReader(self, card)

    def _word(self, value: int) -> Any:
        return self._on.word(value)

    def _reader_state(self) -> Any:
        on = self._on

        class ReaderState(ctypes.Structure):
            _pack_ = 1 if on.packed else 0
            _fields_ = [("reader", ctypes.c_char_p), ("user", ctypes.c_void_p), ("current", on.word),
                        ("event", on.word), ("atr_size", on.word), ("atr", ctypes.c_ubyte * on.atr_size)]  # fmt: skip

        return ReaderState

    def _call(self, name: str, *arguments: Any, also: tuple[int, ...] = ()) -> int:
        """The service's answer: 0, or one of `also`; anything else is refused in words."""
        answer = int(getattr(self._library, name)(*arguments)) & 0xFFFFFFFF
        if answer == _OK or answer in also:
            return answer
        if answer == _E_SHARING:
            raise Refused(Code.CONFLICT, "another program is using this card", step="reader")
        if answer in (_E_NO_SERVICE, _E_SERVICE_STOPPED):
            raise gone("the PC/SC service is not running (Debian: start pcscd)")
        if answer in (_E_NO_READERS, _E_NO_CARD):
            raise gone("there is no card in the reader")
        raise gone(f"the card does not answer any more ({name} {answer:08X})")


class PcscReader:
    """A card in a real reader: a `Transport`."""

    def __init__(self, pcsc: Pcsc, card: Any) -> None:
        self._pcsc, self._card = pcsc, card
        word = pcsc._on.word
        self._answer = ctypes.create_string_buffer(_LONGEST)

        class Pci(ctypes.Structure):
            _fields_ = [("protocol", word), ("size", word)]

        self._pci = Pci(_T1, ctypes.sizeof(Pci))

    def transmit(self, apdu: bytes) -> bytes:
        size = self._pcsc._word(_LONGEST)
        self._pcsc._call("SCardTransmit", self._held(), ctypes.byref(self._pci), apdu, self._pcsc._word(len(apdu)),
                         None, self._answer, ctypes.byref(size))  # fmt: skip
        return ctypes.string_at(self._answer, size.value)

    def reset(self) -> None:
        protocol = self._pcsc._word(0)
        word = self._pcsc._word
        self._pcsc._call("SCardReconnect", self._held(), word(_EXCLUSIVE), word(_T1), word(_RESET_CARD),
                         ctypes.byref(protocol))  # fmt: skip

    def close(self) -> None:
        if self._card is not None:
            self._pcsc._library.SCardDisconnect(self._card, self._pcsc._word(_UNPOWER_CARD))
            self._card = None

    def _held(self) -> Any:
        if self._card is None:
            raise gone("there is no card in the reader")
        return self._card
