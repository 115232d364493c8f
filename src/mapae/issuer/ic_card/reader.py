"""What lies between a terminal and a chip: a reader with a card in it.

Promises: `drive` runs a terminal's conversation over any reader; a card that is gone in mid-sentence is one refusal
(UNAVAILABLE, step "reader"), whatever kind of reader it was. Trusts: nothing a card answers; that is the terminal's to
judge. Keeps: nothing. Refuses: commands on a reader that was closed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Protocol, TypeVar

from mapae.errors import Code, Refused
from mapae.issuer.ic_card.memory import PowerCut

Answer = TypeVar("Answer")


class Transport(Protocol):
    """A card in a reader, for whoever holds it alone. Every method may refuse with UNAVAILABLE, step "reader"."""

    def transmit(self, apdu: bytes) -> bytes:
        """A command goes in, the answer with its status word comes back."""
        ...

    def reset(self) -> None:
        """The card forgets its sessions, as if it had been taken out and put back."""
        ...

    def close(self) -> None:
        """The card is without power after this, and others may have it."""
        ...


class Chip(Protocol):
    """What a reader needs of a simulated card."""

    def transmit(self, apdu: bytes) -> bytes: ...

    def reset(self) -> None: ...


def gone(why: str = "the card does not answer any more") -> Refused:
    return Refused(Code.UNAVAILABLE, why, step="reader")


class SimulatedReader:
    """A simulated card in a reader that is simulated too. `release` lets go of the card's memory."""

    def __init__(self, card: Chip, release: Callable[[], None] = lambda: None) -> None:
        self._card: Chip | None = card
        self._release = release
        card.reset()

    def transmit(self, apdu: bytes) -> bytes:
        card = self._there()
        try:
            return card.transmit(apdu)
        except PowerCut:
            card.reset()
            raise gone() from None

    def reset(self) -> None:
        self._there().reset()

    def close(self) -> None:
        if self._card is not None:
            self._card.reset()
            self._card = None
            self._release()

    def _there(self) -> Chip:
        if self._card is None:
            raise gone("there is no card in the reader")
        return self._card


def drive(talk: Generator[bytes, bytes, Answer], transport: Transport) -> Answer:
    """Ask the card what `talk` asks, until `talk` has what it wanted or refuses."""
    try:
        command = next(talk)
        while True:
            command = talk.send(transport.transmit(command))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]  # a generator's return value travels untyped
    finally:
        talk.close()
