"""The card's end of the virtual reader, against a driver that is this test."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from mapae.issuer.ic_card.memory import RamMemory
from mapae.issuer.ic_card.vpcd import ATR, Vpcd
from taps import Tap, image

SELECT_LDS = bytes.fromhex("00A4040C07A0000002471001")
CARD_ACCESS = bytes.fromhex("00B09C0000")


class Driver:
    """What vpcd is to a card: length and message, also in two pieces."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        end.settimeout(10)

    def says(self, message: bytes, *, apart: bool = False) -> None:
        head = len(message).to_bytes(2, "big")
        for piece in (head, message) if apart else (head + message,):
            self.end.sendall(piece)

    def hears(self) -> bytes:
        return self._whole(int.from_bytes(self._whole(2), "big"))

    def _whole(self, size: int) -> bytes:
        got = b""
        while len(got) < size:
            part = self.end.recv(size - len(got))
            assert part, "the card has hung up"
            got += part
        return got

    def asks(self, message: bytes, *, apart: bool = False) -> bytes:
        self.says(message, apart=apart)
        return self.hears()


@pytest.fixture
def inserted() -> Iterator[tuple[Driver, Tap, Vpcd]]:
    tap = Tap(RamMemory(image()))
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        vpcd = Vpcd(tap.card, server.getsockname()[1])
        end, _ = server.accept()
    serving = threading.Thread(target=vpcd.serve)
    serving.start()
    with closing(end):
        yield Driver(end), tap, vpcd
    serving.join(10)
    assert not serving.is_alive()


def test_commands_and_the_atr_are_answered_whole_or_in_pieces(inserted):
    driver, tap, _ = inserted
    driver.says(b"\x01")
    for apart in (False, True):
        assert driver.asks(b"\x04", apart=apart) == ATR
        assert driver.asks(CARD_ACCESS, apart=apart) == tap.access + b"\x90\x00"


@pytest.mark.parametrize("control", [0, 1, 2])
def test_power_and_reset_make_the_card_forget(inserted, control: int):
    driver, _, _ = inserted
    assert driver.asks(SELECT_LDS) == b"\x90\x00"
    assert driver.asks(CARD_ACCESS) == b"\x6a\x82", "in the application there is no such file"
    driver.says(bytes((control,)))
    assert driver.asks(CARD_ACCESS)[-2:] == b"\x90\x00"


def test_a_control_byte_of_no_meaning_and_an_empty_message_are_survived(inserted):
    driver, _, _ = inserted
    driver.says(b"\x63")
    assert driver.asks(b"") == b"\x67\x00"
    assert driver.asks(CARD_ACCESS)[-2:] == b"\x90\x00"


def test_a_card_that_loses_its_power_leaves_the_reader(inserted):
    driver, tap, _ = inserted
    tap.memory.power.cut_after("count")
    with pytest.raises(AssertionError, match="hung up"):
        tap.reader = type("Far", (), {"transmit": staticmethod(driver.asks)})()
        tap.open()
    assert tap.memory.state.tries == 2


def test_a_card_that_is_taken_out_is_gone_for_the_driver(inserted):
    driver, _, vpcd = inserted
    vpcd.take_out()
    with pytest.raises((AssertionError, OSError)):
        driver.asks(CARD_ACCESS)
