"""The card is torn away, or loses power, at every single command of a whole issuance, and its process is killed: the
next tap succeeds, and nobody has a try more or less than he should."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from mapae.errors import Code, Refused
from mapae.issuer.ic_card import terminal
from mapae.issuer.ic_card.memory import FileMemory, RamMemory
from mapae.issuer.ic_card.pin import PinState
from mapae.issuer.ic_card.reader import SimulatedReader
from soak import SOAK
from taps import CAN, PIN, PUK, Tap, image, whole_issuance

KILLS = 60 if SOAK else 6
FULL = image().first
IMAGE = image(detailed=SOAK)


class Torn(SimulatedReader):
    """The card leaves the field at the nth command: before it heard of it, or before its answer is heard."""

    def __init__(self, tap: Tap, at: int, *, heard: bool) -> None:
        super().__init__(tap.card)
        self.at, self.heard, self.count = at, heard, 0

    def transmit(self, apdu: bytes) -> bytes:
        self.count += 1
        if self.count != self.at:
            return super().transmit(apdu)
        if self.heard:
            super().transmit(apdu)
        self.reset()
        raise Refused(Code.UNAVAILABLE, "torn", step="reader")


def commands() -> int:
    tap = Tap(RamMemory(IMAGE))
    tap.reader = counting = Torn(tap, 0, heard=False)
    tap.ask(whole_issuance(PIN, tap.dice))
    return counting.count


@pytest.mark.parametrize("heard", [False, True], ids=["before it is heard", "before it is answered"])
def test_a_tap_torn_at_any_command_is_tried_again_and_nothing_is_lost(heard: bool):
    total = commands()
    assert total > 15
    for at in range(1, total + 1):
        tap = Tap(RamMemory(IMAGE))
        tap.reader = Torn(tap, at, heard=heard)
        with pytest.raises(Refused) as refused:
            tap.ask(whole_issuance(PIN, tap.dice))
        assert refused.value.code is Code.UNAVAILABLE
        assert tap.memory.state == FULL, f"torn at command {at}"
        tap.reader = SimulatedReader(tap.card)
        assert tap.ask(whole_issuance(PIN, tap.dice))[0x0101] == IMAGE.files[0x0101]


@pytest.mark.parametrize(
    "step, part, tries", [("count", 0.0, 3), ("count", 1.0, 2), ("restore", 0.0, 2), ("restore", 1.0, 3)]
)
def test_power_that_goes_in_a_write_never_gives_a_try(step: str, part: float, tries: int):
    tap = Tap()
    tap.memory.power.cut_after(step, part=part)
    with pytest.raises(Refused) as refused:
        tap.open()
    assert (refused.value.code, refused.value.step) == (Code.UNAVAILABLE, "reader")
    assert tap.memory.state.tries == tries
    tap.read(tap.open(), 0x0101)
    assert tap.memory.state == FULL


@pytest.mark.parametrize("part", [0.0, 1.0])
def test_cutting_the_power_again_and_again_gives_no_fourth_guess(part: float):
    """Part 0: the try was not written down, and so not judged either. Part 1: written down, and lost."""
    tap, told = Tap(), 0
    for at in range(12):
        tap.reader.reset()
        if at % 2:
            tap.memory.power.cut_after("count", part=part)
        try:
            tap.resumed("0000")
        except Refused as refused:
            told += refused.code is not Code.UNAVAILABLE and "wrong" in refused.detail
    assert (told, tap.memory.state.tries) == ((3, 0) if part == 0.0 else (2, 0))


@pytest.mark.parametrize("part, pin", [(0.0, PIN), (1.0, "7788")])
def test_power_that_goes_in_a_change_leaves_the_old_pin_or_the_new(part: float, pin: str):
    tap = Tap()
    channel = tap.open()
    tap.memory.power.cut_after("change", part=part)
    with pytest.raises(Refused):
        tap.ask(terminal.change_pin(channel, "7788"))
    tap.read(tap.open(pin), 0x0101)


@pytest.mark.parametrize("part, tries", [(0.0, 0), (1.0, 3)])
def test_power_that_goes_while_unblocking_has_used_the_puk(part: float, tries: int):
    blocked = RamMemory(image())
    blocked.keep("test", PinState(PIN, delivery=False, tries=0))
    tap = Tap(blocked)
    tap.memory.power.cut_after("unblock", part=part)
    with pytest.raises(Refused):
        tap.unblock()
    assert tap.memory.state == PinState(PIN, delivery=False, tries=tries, puk_uses=9)


def test_power_that_goes_while_a_puk_is_tried_gives_no_eleventh():
    tap, told = Tap(), 0
    for at in range(24):
        tap.reader.reset()
        if at % 2:
            tap.memory.power.cut_after("count", part=0.0 if at % 4 == 1 else 1.0)
        try:
            tap.unblock("0000000000")
        except Refused as refused:
            told += refused.code is not Code.UNAVAILABLE and "wrong" in refused.detail
    assert told <= 10 and tap.memory.state.puk_uses == 0


def test_a_killed_process_has_used_up_what_it_tried(tmp_path: Path):
    """SIGKILL at a random moment, over and over, on one file: never more than three wrong guesses are answered between
    two unblockings, the card is free for the next reader at once, and its memory is whole."""
    chance = random.Random(5)
    chip = tmp_path / "chip"
    FileMemory.make(chip, image())
    told, rounds = 0, 0
    script = [sys.executable, str(Path(__file__).with_name("card_process.py")), str(chip), CAN, "0000"]
    for _ in range(KILLS):
        with subprocess.Popen(script, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            with pytest.raises(Refused):
                FileMemory(chip)
            time.sleep(chance.uniform(0, 0.02))  # the moment of the kill is the point
            process.kill()
            answers = process.stdout.read().split()
        told += answers.count(b"wrong")
        with closing(FileMemory(chip)) as memory:
            assert told <= 3 - memory.state.tries
            if memory.state.tries == 0:
                Tap(memory).unblock(PUK)
                assert memory.state == PinState(PIN, delivery=False, puk_uses=9 - rounds)
                told, rounds = 0, rounds + 1
    with closing(FileMemory(chip)) as memory:
        tap = Tap(memory)
        tap.read(tap.resumed(), 0x0101)
