"""A chip's lasting memory: cut, torn, copied, damaged and wanted by two."""

from __future__ import annotations

import stat
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from mapae.errors import Code, Refused
from mapae.issuer.ic_card.memory import ChipImage, FileMemory, Power, PowerCut, RamMemory
from mapae.issuer.ic_card.pin import PinState
from taps import image

BEFORE = image().first
AFTER = PinState("7788", delivery=False, tries=2, puk_uses=9)


@pytest.fixture
def chip(tmp_path: Path) -> Path:
    FileMemory.make(tmp_path / "chip", image())
    return tmp_path / "chip"


def reopened(chip: Path) -> PinState:
    with closing(FileMemory(chip)) as memory:
        return memory.state


def test_what_was_kept_is_there_in_the_next_process(chip: Path):
    with closing(FileMemory(chip)) as memory:
        assert memory.image == image() and memory.state == BEFORE
        for tries in (2, 1, 0, 3, 2, 1, 0):
            memory.keep("count", msgspec.structs.replace(BEFORE, tries=tries))
            assert memory.state.tries == tries
    assert reopened(chip).tries == 0


def test_a_write_torn_at_any_byte_leaves_the_state_before_or_after(chip: Path):
    seen = set()
    with closing(FileMemory(chip, power := Power())) as memory:
        for each in range(101):
            memory.keep("settle", BEFORE)
            memory.keep("settle", BEFORE)  # so that both pages hold something whole
            power.cut_after("count", part=each / 100)
            with pytest.raises(PowerCut):
                memory.keep("count", AFTER)
            assert memory.state in (BEFORE, AFTER)
            seen.add((each == 100, memory.state == AFTER))
    assert seen == {(False, False), (True, True)}


def test_torn_writes_in_a_row_never_bring_back_what_was_older(chip: Path):
    """Each torn write falls on the older page, never on the newest whole one."""
    newest, kept = AFTER, 0
    with closing(FileMemory(chip, power := Power())) as memory:
        memory.keep("count", AFTER)
        for at, part in enumerate((0.5, 0.1, 0.9, 0.0, 0.7, 1.0, 0.6)):
            new = PinState(f"{at:04}", delivery=False)
            power.cut_after(part=part)
            with pytest.raises(PowerCut):
                memory.keep("change", new)
            assert memory.state in (newest, new)
            kept += memory.state == new
            newest = memory.state
    assert reopened(chip) == newest and 1 <= kept <= 2, "0.9 may do: the last bytes were there already"


def test_power_goes_at_the_step_named_and_once():
    memory = RamMemory(image())
    memory.power.cut_after("restore", part=0.0)
    memory.keep("count", AFTER)
    with pytest.raises(PowerCut):
        memory.keep("restore", BEFORE)
    assert memory.state == AFTER
    memory.keep("restore", BEFORE)
    assert memory.state == BEFORE


def test_two_readers_cannot_hold_one_card(chip: Path):
    with closing(FileMemory(chip)), pytest.raises(Refused) as refused:
        FileMemory(chip)
    assert (refused.value.code, refused.value.step) == (Code.CONFLICT, "reader")
    assert reopened(chip) == BEFORE


def test_a_card_is_not_made_twice_and_is_for_its_owner_alone(chip: Path):
    with pytest.raises(Refused) as refused:
        FileMemory.make(chip, image())
    assert refused.value.code is Code.CONFLICT
    assert stat.S_IMODE(chip.stat().st_mode) == 0o600
    assert [each.name for each in chip.parent.iterdir()] == ["chip"]


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "image", "both states"])
def test_a_damaged_file_is_no_card(chip: Path, damage: str):
    raw = bytearray(chip.read_bytes())
    match damage:
        case "empty":
            raw = bytearray()
        case "text":
            raw = bytearray(b"hello\n" * 5000)
        case "cut":
            del raw[-1]
        case "image":
            raw[2 * 4096 + 100] ^= 1
        case "both states":
            raw[60] ^= 1
    chip.write_bytes(raw)
    with pytest.raises(Refused) as refused:
        FileMemory(chip)
    assert (refused.value.code, refused.value.step) == (Code.MALFORMED, "reader")


def test_a_card_that_is_not_there_is_refused_in_words(tmp_path: Path):
    with pytest.raises(Refused) as refused:
        FileMemory(tmp_path / "none")
    assert refused.value.code is Code.NOT_FOUND


def test_one_damaged_state_is_survived(chip: Path):
    with closing(FileMemory(chip)) as memory:
        memory.keep("count", AFTER)  # in the second page
    raw = bytearray(chip.read_bytes())
    raw[4096 + 60] ^= 1
    chip.write_bytes(raw)
    assert reopened(chip) == BEFORE


def test_numbers_that_are_none_make_no_chip():
    with pytest.raises(ValueError, match="digits"):
        ChipImage({}, bytes(32), "24681o", "1234567890", 4, BEFORE)
