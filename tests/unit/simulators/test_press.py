"""The press makes real chips: what the factory hands over is read by the terminal every card is read by."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from chips import PORTRAIT, State
from mapae.clock import SeededDice
from mapae.errors import Code, Refused
from mapae.issuer.ic_card.memory import FileMemory
from mapae.issuer.ic_card.sod import make_sod
from mapae.simulators.factory import CardData, Letter
from mapae.simulators.press import ChipPress

DATA = CardData(
    name="한지수", name_latin="Han Jisoo", address="세종특별자치시 한누리대로 2130", number="K12345678",
    birth_date=date(2001, 3, 9), sex="female", nationality="KOR", issued=date(2026, 11, 3), expires=date(2036, 11, 2),
    portrait=PORTRAIT,
)  # fmt: skip
LETTER = Letter(pin="4711", can="246810", puk="1234567890")


def press() -> ChipPress:
    return ChipPress(SeededDice("press"), 4)


def test_a_finished_chip_is_a_file_with_a_delivery_pin(tmp_path: Path) -> None:
    state, made = State(), press()
    prepared = made.prepare(DATA)
    sod = make_sod(prepared.hashes, state.start, state.signer.sign, state.ds)
    made.must_cover(sod, prepared.hashes)
    path = tmp_path / DATA.number
    made.finish(prepared.blank, sod, LETTER, path)
    memory = FileMemory(path)
    assert sod in memory.image.files.values() and prepared.dg14 in memory.image.files.values()
    assert (memory.image.can, memory.image.puk, memory.image.pin_digits) == ("246810", "1234567890", 4)
    memory.close()


def test_a_chip_that_was_finished_is_not_written_over(tmp_path: Path) -> None:
    """The factory was killed between the file and its record, and takes the step again."""
    state, made = State(), press()
    prepared = made.prepare(DATA)
    sod = make_sod(prepared.hashes, state.start, state.signer.sign, state.ds)
    path = tmp_path / DATA.number
    made.finish(prepared.blank, sod, LETTER, path)
    before = path.read_bytes()
    made.finish(prepared.blank, sod, LETTER, path)
    assert path.read_bytes() == before


def test_a_security_object_over_other_data_is_refused() -> None:
    state, made = State(), press()
    prepared = made.prepare(DATA)
    sod = make_sod({**prepared.hashes, 1: bytes(32)}, state.start, state.signer.sign, state.ds)
    with pytest.raises(Refused) as refused:
        made.must_cover(sod, prepared.hashes)
    assert refused.value.code is Code.CHIP_REFUSED and refused.value.step == "hashes"
