"""The terminal against cards that lead it on: it refuses in few commands, and never takes what was not said for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mapae.errors import Code, Refused
from mapae.issuer.ic_card import terminal, tlv
from mapae.issuer.ic_card.apdu import Command
from mapae.issuer.ic_card.memory import RamMemory
from mapae.issuer.ic_card.pace import Password
from mapae.issuer.ic_card.profile import PROFILE_A
from mapae.issuer.ic_card.reader import drive
from taps import FACE, PIN, Tap, holding, whole_issuance

H = bytes.fromhex


class Hostile:
    """Answers as it likes, and counts how long it is listened to."""

    def __init__(self, answer: Callable[[int], bytes]) -> None:
        self.answer, self.count = answer, 0

    def transmit(self, apdu: bytes) -> bytes:
        self.count += 1
        return self.answer(self.count)

    def reset(self) -> None: ...

    def close(self) -> None: ...


HOSTILE: dict[str, tuple[Callable[[int], bytes], Code, int]] = {
    "more bytes for ever": (lambda at: H("6100"), Code.CHIP_REFUSED, 1),
    "another length for ever": (lambda at: H("6C10"), Code.CHIP_REFUSED, 1),
    "no status word": (lambda at: b"", Code.CHIP_REFUSED, 1),
    "half a status word": (lambda at: b"\x90", Code.CHIP_REFUSED, 1),
    "an error": (lambda at: H("6F00"), Code.CHIP_REFUSED, 1),
    "nothing": (lambda at: H("9000"), Code.CHIP_REFUSED, 1),
    "more than was asked": (lambda at: bytes(300) + H("9000"), Code.CHIP_REFUSED, 1),
    "a file longer than any": (lambda at: H("318220001234") + H("9000"), Code.TOO_LARGE, 1),
    "a length of four bytes": (lambda at: H("31847FFFFFFF") + H("9000"), Code.CHIP_REFUSED, 1),
    "an indefinite length": (lambda at: H("3180") + H("9000"), Code.CHIP_REFUSED, 1),
    "half a length": (lambda at: H("31") + H("9000"), Code.CHIP_REFUSED, 1),
    "an end before the end": (lambda at: H("31300100") + H("6282"), Code.CHIP_REFUSED, 1),
    "a standstill": (lambda at: H("3182020000" if at == 1 else "") + H("9000"), Code.CHIP_REFUSED, 2),
    "one byte at a time": (lambda at: H("3182020000" if at == 1 else "00") + H("9000"), Code.CHIP_REFUSED, 300),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_card_is_not_followed(case: str):
    answer, code, most = HOSTILE[case]
    card = Hostile(answer)
    with pytest.raises(Refused) as refused:
        drive(terminal.read_card_access(), card)
    assert (refused.value.code, refused.value.step, card.count) == (code, "card_access", most)


OFFERS = {
    "nothing": "3100",
    "another protocol": "31143012060A04007F0007020204020302010202010C",
    "another version": "31143012060A04007F0007020204020202010102010C",
    "another curve": "31143012060A04007F0007020204020202010202010D",
    "no set": "30143012060A04007F0007020204020202010202010C",
    "bytes behind it": "31143012060A04007F0007020204020202010202010C00",
    "cut": "31143012060A04007F0007020204020202010202",
}


@pytest.mark.parametrize("case", OFFERS)
def test_a_card_that_offers_less_is_not_given_the_pin(case: str):
    tap = Tap()
    card = Hostile(lambda at: H("9000"))
    with pytest.raises(Refused) as refused:
        drive(terminal.pace(Password.PIN, PIN, H(OFFERS[case]), tap.dice), card)
    assert (refused.value.code, refused.value.step, card.count) == (Code.CHIP_REFUSED, "card_access", 0)


PACE_ANSWERS = {
    "an error at the choice": (["6A80"], Code.CHIP_REFUSED),
    "blocked at the choice": (["63C0"], Code.CHIP_BLOCKED),
    "suspended at the nonce": (["63C1", "6985"], Code.CHIP_SUSPENDED),
    "blocked at the nonce": (["9000", "6983"], Code.CHIP_BLOCKED),
    "a try lost without one": (["9000", "63C2"], Code.CHIP_REFUSED),
    "a short nonce": (["9000", "7C0A8008" + "11" * 8 + "9000"], Code.CHIP_REFUSED),
    "another object": (["9000", "7C128210" + "11" * 16 + "9000"], Code.CHIP_REFUSED),
    "no object": (["9000", "7C009000"], Code.CHIP_REFUSED),
    "a point that is none": (["9000", f"7C128010{11:032d}9000", f"7C438241{4:0130d}9000"], Code.CHIP_REFUSED),
}  # fmt: skip


@pytest.mark.parametrize("case", PACE_ANSWERS)
def test_a_bad_answer_to_pace_is_refused_with_its_reason(case: str):
    tap = Tap()
    answers, code = PACE_ANSWERS[case]
    with pytest.raises(Refused) as refused:
        drive(terminal.pace(Password.PIN, PIN, tap.access, tap.dice), Hostile(lambda at: H(answers[at - 1])))
    assert refused.value.code is code and refused.value.step in ("pin", "pace")


def test_a_card_that_does_not_know_the_pin_is_found_out():
    """The card's token is checked too: a card that lets everybody in is not the holder's."""
    tap = Tap()

    class LetsEverybodyIn(Hostile):
        def transmit(self, apdu: bytes) -> bytes:
            answer = tap.reader.transmit(apdu)
            token = Command.parse(apdu).data[:4] == H("7C0A8508")
            return H("7C0A8608" + "00" * 8 + "9000") if token else answer

    with pytest.raises(Refused) as refused:
        drive(terminal.pace(Password.PIN, "9999", tap.access, tap.dice), LetsEverybodyIn(lambda at: b""))
    assert refused.value.code is Code.CHIP_REFUSED


def test_the_pin_is_in_no_command():
    tap = Tap()
    said = []

    class Listening(Hostile):
        def transmit(self, apdu: bytes) -> bytes:
            said.append(apdu)
            return tap.reader.transmit(apdu)

    drive(whole_issuance(PIN, tap.dice), Listening(lambda at: b""))
    drive_again = tap.open()
    command = drive_again.wrap(Command(0, 0x2C, 2, 3, b"7788")).encode()
    assert not [apdu for apdu in [*said, command] if PIN.encode() in apdu or b"7788" in apdu]


def test_how_many_tries_were_left_is_told_to_the_helper():
    tap = Tap()
    assert tap.ask(terminal.pace(Password.PIN, PIN, tap.access, tap.dice)).tries_left is None
    tap.reader.reset()
    with pytest.raises(Refused):
        tap.open("0000")
    assert tap.ask(terminal.pace(Password.PIN, PIN, tap.access, tap.dice)).tries_left == 2


def test_a_file_as_long_as_any_may_be_is_read_and_one_byte_more_is_not():
    limit = PROFILE_A.limit(FACE)
    for size, good in ((limit - 4, True), (limit - 3, False)):
        portrait = tlv.encode(0x75, bytes(size))
        tap = Tap(RamMemory(holding({FACE: portrait})))
        channel = tap.open()
        if good:
            assert tap.read(channel, FACE) == {FACE: portrait}
        else:
            with pytest.raises(Refused) as refused:
                tap.read(channel, FACE)
            assert (refused.value.code, refused.value.step) == (Code.TOO_LARGE, "read")


def test_bytes_behind_a_file_are_not_part_of_it():
    group = tlv.encode(0x61, b"MRZ")
    tap = Tap(RamMemory(holding({0x0101: group + bytes(50)})))
    assert tap.read(tap.open(), 0x0101) == {0x0101: group}


def test_a_card_taken_away_is_one_refusal():
    tap = Tap()
    channel = tap.open()
    tap.reader.close()
    with pytest.raises(Refused) as refused:
        tap.read(channel, 0x0101)
    assert (refused.value.code, refused.value.step) == (Code.UNAVAILABLE, "reader")
