"""The lasting memory of a simulated chip: what it holds after the power went, however it went.

Promises: `keep` returns when the new state outlives a power cut, and a cut at any byte of it leaves the state before or
the state after, never a third. Two readers cannot hold one chip's file at the same time. Trusts: the disk to have
written what fsync says it has; whoever can read the file, for it holds the chip's private key: this simulates
a card, it does not protect one. Keeps: one file a chip, two pages for the state in turn, then what never changes.
Refuses: a file that is no chip's, or whose two states are both damaged; a file another reader holds (CONFLICT).
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from mapae.errors import Code, Refused
from mapae.issuer.ic_card.pin import PinState, is_digits

_PAGE = 4096
_MAGIC = b"mapae chip 1\0\0\0\0"
_LARGEST = 1 << 20


class Private(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Values that a log or a traceback is not to print by accident."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class ChipImage(Private, frozen=True):
    """What is written when a chip is made, and never again."""

    files: dict[int, bytes]
    """By file identifier, EF.CardAccess among them."""
    chip_key: bytes
    """The private scalar of Chip Authentication."""
    can: str
    puk: str
    pin_digits: int
    first: PinState
    """How the chip leaves the factory."""

    def __post_init__(self) -> None:
        if not (is_digits(self.can) and is_digits(self.puk)):
            raise ValueError("CAN and PUK are digits")


class PowerCut(Exception):
    """The chip has no power any more. Not a refusal: nothing answers."""


class Power:
    """Electricity. Steady, unless a test says where it ends; it is back for the next command."""

    def __init__(self) -> None:
        self._step: str | None = None
        self._part = 1.0
        self._armed = False

    def cut_after(self, step: str | None = None, *, part: float = 1.0) -> None:
        """The next write named `step` (None: of any name) gets so far, 0.0 to 1.0 of its bytes; then it is dark."""
        self._step, self._part, self._armed = step, part, True

    def write(self, step: str, raw: bytes, put: Callable[[bytes], None]) -> None:
        if not self._armed or self._step not in (None, step):
            put(raw)
            return
        self._armed = False
        put(raw[: int(len(raw) * self._part)])
        raise PowerCut(step)


class Memory(Protocol):
    """What a chip's program needs of it. The first writer of a state is `ChipImage.first`."""

    @property
    def image(self) -> ChipImage: ...

    @property
    def state(self) -> PinState:
        """As it would be found after losing power now."""
        ...

    def keep(self, step: str, state: PinState) -> None:
        """Durable when it returns. `step` names the write, for power cuts."""
        ...


class RamMemory:
    """Lasts as long as the object. For tests and measurements without a disk."""

    def __init__(self, image: ChipImage, power: Power | None = None) -> None:
        self.image, self.power, self._state = image, power or Power(), image.first

    @property
    def state(self) -> PinState:
        return self._state

    def keep(self, step: str, state: PinState) -> None:
        def put(raw: bytes) -> None:
            self._state = state if raw else self._state

        self.power.write(step, b"\1", put)


class _Slot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    serial: int
    state: PinState


class FileMemory:
    """One chip in one file, held by one reader from `__init__` to `close`.

    The two states take turns in pages of their own, so a torn write damages only the one that was older. What is read
    is read from the file each time: there is no second truth in this process."""

    def __init__(self, path: Path, power: Power | None = None) -> None:
        import fcntl  # only here: Windows has none, and a helper with a real reader needs no memory of ours

        self.power = power or Power()
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            raise Refused(Code.NOT_FOUND, "there is no such simulated card", step="reader") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._image = msgspec.msgpack.decode(_unsealed(self._at(2 * _PAGE, _LARGEST)), type=ChipImage)
            self._newest()
        except BlockingIOError:
            os.close(self._file)
            raise Refused(Code.CONFLICT, "another reader holds this card", step="reader") from None
        except (ValueError, OSError, msgspec.MsgspecError):
            os.close(self._file)
            raise Refused(Code.MALFORMED, "this file is no simulated card, or a damaged one", step="reader") from None

    @classmethod
    def make(cls, path: Path, image: ChipImage) -> None:
        """Write a new chip, whole or not at all. An existing one is never written over."""
        first = _sealed(msgspec.msgpack.encode(_Slot(0, image.first)))
        content = first.ljust(2 * _PAGE, b"\0") + _sealed(msgspec.msgpack.encode(image))
        draft = path.with_name(f".{path.name}.{os.getpid()}.new")
        try:
            with draft.open("wb") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.link(draft, path)
        except FileExistsError:
            raise Refused(Code.CONFLICT, "this card exists already", step="reader") from None
        finally:
            draft.unlink(missing_ok=True)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @property
    def image(self) -> ChipImage:
        return self._image

    @property
    def state(self) -> PinState:
        return self._newest()[1].state

    def keep(self, step: str, state: PinState) -> None:
        page, newest = self._newest()
        raw = _sealed(msgspec.msgpack.encode(_Slot(newest.serial + 1, state)))

        def put(raw: bytes) -> None:
            os.pwrite(self._file, raw, (1 - page) * _PAGE)
            os.fsync(self._file)

        self.power.write(step, raw, put)

    def close(self) -> None:
        """Let another reader have the card."""
        os.close(self._file)

    def _newest(self) -> tuple[int, _Slot]:
        """The page and the content of the newest state that was written whole."""
        found: list[tuple[int, _Slot]] = []
        for page in (0, 1):
            try:
                slot = msgspec.msgpack.decode(_unsealed(self._at(page * _PAGE, _PAGE)), type=_Slot)
            except (ValueError, msgspec.MsgspecError):
                continue  # never written, or torn: the other one holds
            found.append((page, slot))
        if not found:
            raise OSError(errno.EIO, "no state is whole")
        return max(found, key=lambda each: each[1].serial)

    def _at(self, offset: int, size: int) -> bytes:
        return os.pread(self._file, size, offset)


def _sealed(body: bytes) -> bytes:
    return _MAGIC + len(body).to_bytes(4, "big") + hashlib.sha256(body).digest() + body


def _unsealed(raw: bytes) -> bytes:
    head, digest, rest = raw[:20], raw[20:52], raw[52:]
    size = int.from_bytes(head[16:], "big")
    body = rest[:size]
    if head[:16] != _MAGIC or len(body) != size or hashlib.sha256(body).digest() != digest:
        raise ValueError("not written whole")
    return body
