"""The chip as a stranger meets it: who may do what with which secret, and what a bad command costs."""

from __future__ import annotations

import random
from contextlib import closing
from pathlib import Path

import pytest

from mapae.clock import SeededDice
from mapae.errors import Code, Refused
from mapae.issuer.ic_card import chip_auth, infos, lds, pace, terminal, tlv
from mapae.issuer.ic_card.apdu import Command, Response
from mapae.issuer.ic_card.card import Card
from mapae.issuer.ic_card.ec import SECP256R1
from mapae.issuer.ic_card.memory import FileMemory, PowerCut, RamMemory
from mapae.issuer.ic_card.pace import Password
from mapae.issuer.ic_card.pin import PinState
from mapae.issuer.ic_card.profile import PROFILE_A
from mapae.issuer.ic_card.reader import SimulatedReader
from mapae.issuer.ic_card.secure import TerminalChannel
from soak import SOAK
from taps import CAN, FACE, KEYS, LETTER, MRZ, PIN, PUK, READ, Tap, clone, holding, image, whole_issuance

WRONG = ("0000", "0001", "0002", "0003")
SELECT_LDS = "00A4040C07A0000002471001"
MSE_PIN = "0022C1A40F800A04007F00070202040202830103"
MSE_CAN = "0022C1A40F800A04007F00070202040202830102"


@pytest.fixture
def tap() -> Tap:
    return Tap()


def refusal(work, *arguments, **named) -> tuple[Code, str | None]:
    with pytest.raises(Refused) as refused:
        work(*arguments, **named)
    return refused.value.code, refused.value.step


def asked(tap: Tap, channel: TerminalChannel, apdu: str) -> int:
    """The status word inside the channel."""
    raw = tap.reader.transmit(channel.wrap(Command.parse(bytes.fromhex(apdu))).encode())
    return channel.unwrap(Response.parse(raw)).sw


# --- reading ----------------------------------------------------------------------------------------------------------


def test_the_pin_opens_every_file_whole():
    tap = Tap(RamMemory(image(detailed=True)))
    files = tap.memory.image.files
    assert 8_000 < len(files[FACE]) < 24_000, "read in many pieces"
    assert tap.read(tap.open(), *READ) == {file: files[file] for file in READ}


def test_a_whole_issuance_leaves_the_tries_as_they_were(tap: Tap):
    got = tap.ask(whole_issuance(PIN, tap.dice))
    assert got[0x0102] == tap.memory.image.files[0x0102]
    assert tap.memory.state == image().first


def test_without_pace_only_card_access_is_read(tap: Tap):
    assert tap.ask(terminal.read_card_access()) == tap.access
    assert tap.say(SELECT_LDS) == "9000"
    for command in ("00B0810000", "00B09D0000", "00A4020C020102"):
        assert tap.say(command) == "6982"
    assert tap.say("00B09C0000") == "6A82", "EF.CardAccess is no file of the application"


@pytest.mark.parametrize("password, secret", [(Password.CAN, CAN), (Password.PUK, PUK)], ids=["CAN", "PUK"])
def test_can_and_puk_read_nothing_and_prove_nothing(tap: Tap, password: Password, secret: str):
    channel = tap.open(secret, password)
    assert asked(tap, channel, SELECT_LDS) == 0x9000
    assert asked(tap, channel, "00B0810000") == 0x6982
    assert asked(tap, channel, "00A4020C020102") == 0x6982
    assert asked(tap, channel, "002241A40F800A04007F00070202030202840101") == 0x6982
    assert asked(tap, channel, "002C020304" + b"7788".hex()) == 0x6982
    assert tap.memory.state.pin == PIN


def test_a_protected_answer_fits_a_short_apdu(tap: Tap):
    channel = tap.open()
    tap.ask(terminal.select_application(channel))
    command = channel.wrap(Command(0, 0xB0, 0x82, 0, b"", 65_536))
    answer = Response.parse(tap.reader.transmit(command.encode()))
    assert len(answer.data) <= 256 and len(channel.unwrap(answer).data) == PROFILE_A.chunk


def test_the_end_of_a_file_is_told_and_beyond_is_refused(tap: Tap):
    channel = tap.open()
    tap.ask(terminal.select_application(channel))
    assert asked(tap, channel, "00B0810060") == 0x6282, "96 asked, 95 are there"
    assert asked(tap, channel, "00B081005F") == 0x9000
    assert asked(tap, channel, "00B0010000") == 0x6B00


# --- sessions ---------------------------------------------------------------------------------------------------------


def test_a_plain_command_ends_the_session(tap: Tap):
    channel = tap.open()
    tap.ask(terminal.select_application(channel))
    assert tap.say("00B0810000") == "6A82", "it is not even in the application any more"
    assert refusal(tap.ask, terminal.read_file(channel, 0x0101)) == (Code.CHIP_REFUSED, "read")


@pytest.mark.parametrize("kind", ["flipped", "replayed", "skipped", "of another class", "half protected", "no APDU"])
def test_every_error_of_secure_messaging_ends_the_session(tap: Tap, kind: str):
    channel = tap.open()
    good = channel.wrap(Command.parse(bytes.fromhex(SELECT_LDS))).encode()
    bad = bytearray(good)
    match kind:
        case "flipped":
            bad[-3] ^= 1
        case "replayed":
            assert tap.reader.transmit(good)[-2:] == b"\x90\x00"
        case "skipped":
            bad = bytearray(channel.wrap(Command.parse(bytes.fromhex(SELECT_LDS))).encode())
        case "of another class":
            bad[0] = 0x8C
        case "half protected":
            bad[0] = 0x04
        case "no APDU":
            bad = bytearray(b"\x0c")
    assert tap.reader.transmit(bytes(bad)).hex() in ("6988", "6e00", "6882", "6700")
    assert tap.reader.transmit(channel.wrap(Command.parse(bytes.fromhex(SELECT_LDS))).encode()) == b"\x69\x88"
    assert tap.say("00B0810000") == "6A82"


def test_secure_messaging_without_a_session_is_refused(tap: Tap):
    channel = Tap(seed="another").open()
    assert tap.reader.transmit(channel.wrap(Command.parse(bytes.fromhex(SELECT_LDS))).encode()) == b"\x69\x88"


def test_chip_authentication_is_not_done_twice_and_gives_the_far_end_no_pin(tap: Tap):
    channel = tap.open()
    far = chip_auth.Terminal(infos.read_dg14(image().files[KEYS]), tap.dice)
    tap.ask(terminal.chip_auth_commands(channel, far.public))
    remote = far.channel()
    assert asked(tap, remote, SELECT_LDS) == 0x9000
    assert asked(tap, remote, "002C020304" + b"7788".hex()) == 0x6982
    assert asked(tap, remote, "002241A40F800A04007F00070202030202840101") == 0x6985
    assert tap.memory.state.pin == PIN


def test_a_clone_of_copied_files_fails_at_the_first_protected_answer():
    copied = Tap(RamMemory(clone()))
    asked_before = []

    class Counting(SimulatedReader):
        def transmit(self, apdu: bytes) -> bytes:
            asked_before.append(apdu)
            return super().transmit(apdu)

    copied.reader = Counting(copied.card)
    assert refusal(copied.ask, whole_issuance(PIN, copied.dice)) == (Code.CHIP_REFUSED, "read")
    assert [apdu[:2].hex() for apdu in asked_before[-3:]] == ["0c22", "0c86", "0ca4"]


@pytest.mark.parametrize("change", ["less", "more", "another"])
def test_a_card_access_that_is_not_the_signed_one_is_found_out(change: str):
    """EF.CardAccess is read before anything is protected; DG14 says what it should have been (a downgrade)."""
    ours = infos.card_access()
    other = bytes.fromhex("3012060A04007F0007020204010202010202010D")  # PACE with 3DES, of another curve
    offered = {"less": tlv.encode(0x31, other), "more": tlv.encode(0x31, other + ours[2:]), "another": other}[change]
    tap = Tap(RamMemory(holding({PROFILE_A.card_access_fid: offered})))
    assert refusal(tap.ask, whole_issuance(PIN, tap.dice)) == (Code.CHIP_REFUSED, "card_access")


def test_a_forged_data_group_in_a_chip_with_a_key_of_its_own_is_refused():
    forged = lds.dg1(lds.Mrz.parse(lds.read_dg1(image().files[MRZ]).encode().replace("HAN<<JISOO", "HAN<<MINJI")))
    tap = Tap(RamMemory(holding({MRZ: forged})))
    assert refusal(tap.ask, whole_issuance(PIN, tap.dice)) == (Code.CHIP_REFUSED, "hashes")


# --- the PIN ----------------------------------------------------------------------------------------------------------


def test_wrong_pins_suspend_then_block_and_the_puk_unblocks(tap: Tap):
    assert refusal(tap.open, WRONG[0]) == (Code.CHIP_PIN_WRONG, "pin")
    assert tap.say(MSE_PIN) == "63C2"
    assert refusal(tap.open, WRONG[1]) == (Code.CHIP_SUSPENDED, "pin")
    assert tap.say(MSE_PIN) == "63C1"
    assert refusal(tap.open, PIN) == (Code.CHIP_SUSPENDED, "pin"), "also the right one"
    assert refusal(tap.resumed, WRONG[2]) == (Code.CHIP_BLOCKED, "pin")
    tap.reader.reset()
    assert tap.say(MSE_PIN) == "63C0"
    assert refusal(tap.open) == (Code.CHIP_BLOCKED, "pin")
    assert refusal(tap.resumed) == (Code.CHIP_BLOCKED, "pin"), "the CAN does not help any more"
    tap.unblock()
    tap.reader.reset()
    tap.open()
    assert tap.memory.state == PinState(PIN, delivery=False, puk_uses=9)


def test_the_can_resumes_and_the_right_pin_restores(tap: Tap):
    for wrong in WRONG[:2]:
        refusal(tap.open, wrong)
    tap.read(tap.resumed(), 0x0101)
    assert tap.memory.state.tries == 3


def test_resuming_lasts_only_as_long_as_its_channel(tap: Tap):
    for wrong in WRONG[:2]:
        refusal(tap.open, wrong)
    tap.open(CAN, Password.CAN)
    assert refusal(tap.open) == (Code.CHIP_SUSPENDED, "pin"), "the PIN outside the CAN's channel"
    tap.open(CAN, Password.CAN)
    tap.reader.reset()
    assert refusal(tap.open) == (Code.CHIP_SUSPENDED, "pin")


def test_a_miss_ends_the_resuming_too(tap: Tap):
    """In the channel of one CAN: two misses, and the last try needs the CAN again."""
    channel = tap.open(CAN, Password.CAN)
    for wrong, code in ((WRONG[0], Code.CHIP_PIN_WRONG), (WRONG[1], Code.CHIP_SUSPENDED), (PIN, Code.CHIP_SUSPENDED)):
        assert refusal(tap.open, wrong, channel=channel) == (code, "pin")
    assert tap.memory.state.tries == 1


def test_a_wrong_can_costs_nothing_and_opens_nothing(tap: Tap):
    for _ in range(20):
        assert refusal(tap.open, "000000", Password.CAN) == (Code.CHIP_PIN_WRONG, "can")
    assert tap.memory.state == image().first


def test_the_puk_is_used_up_after_ten(tap: Tap):
    for left in range(9, 0, -1):
        assert refusal(tap.unblock, "0000000000") == (Code.CHIP_PIN_WRONG, "puk")
        assert tap.memory.state.puk_uses == left
    assert refusal(tap.unblock, "0000000000") == (Code.CHIP_BLOCKED, "puk")
    assert refusal(tap.unblock) == (Code.CHIP_BLOCKED, "puk"), "also the right one"


def test_right_puks_are_used_up_too(tap: Tap):
    for _ in range(10):
        tap.unblock()
        tap.reader.reset()
    assert refusal(tap.unblock) == (Code.CHIP_BLOCKED, "puk")


def test_the_can_cannot_unblock_and_the_pin_cannot_either(tap: Tap):
    for secret, password in ((CAN, Password.CAN), (PIN, Password.PIN)):
        assert asked(tap, tap.open(secret, password), "002C0303") == 0x6982
        tap.reader.reset()


def test_inside_a_channel_only_the_can_leads_on_and_only_to_the_pin(tap: Tap):
    for secret, password in ((PIN, Password.PIN), (PUK, Password.PUK), (CAN, Password.CAN)):
        channel = tap.open(secret, password)
        for kind in (Password.CAN, Password.PIN, Password.PUK):
            allowed = (password, kind) == (Password.CAN, Password.PIN)
            assert asked(tap, channel, MSE_PIN[:-2] + f"{kind:02X}") == (0x9000 if allowed else 0x6982)
        tap.reader.reset()


def test_a_new_pin_holds_at_once_and_the_old_one_no_more(tap: Tap):
    tap.ask(terminal.change_pin(tap.open(), "7788"))
    tap.reader.reset()
    assert refusal(tap.open) == (Code.CHIP_PIN_WRONG, "pin")
    tap.open("7788")


@pytest.mark.parametrize("new", ["", "123", "12345", "12a4", "12²4", "      "], ids=ascii)
def test_a_malformed_new_pin_changes_nothing(tap: Tap, new: str):
    assert refusal(tap.ask, terminal.change_pin(tap.open(), new)) == (Code.MALFORMED, "new_pin")
    tap.reader.reset()
    tap.open()


def test_a_new_pin_outside_a_channel_is_refused(tap: Tap):
    assert tap.say("002C020304" + b"7788".hex()) == "6982"
    assert tap.say("002C0303") == "6982"


def test_a_card_in_the_mail_cannot_be_used():
    """The PIN of the letter opens nothing but its own replacement."""
    tap = Tap(RamMemory(image(delivery=True)))
    channel = tap.open(LETTER)
    assert refusal(tap.read, channel, 0x0101) == (Code.CHIP_NOT_ACTIVE, "read")
    assert asked(tap, channel, "002241A40F800A04007F00070202030202840101") == 0x6985
    assert refusal(tap.ask, terminal.change_pin(channel, "80351")) == (Code.MALFORMED, "new_pin")
    tap.ask(terminal.change_pin(channel, "7788"))
    assert refusal(tap.read, channel, 0x0101) == (Code.CHIP_NOT_ACTIVE, "read"), "this channel was the letter's"
    tap.reader.reset()
    assert refusal(tap.open, LETTER) == (Code.CHIP_PIN_WRONG, "pin")
    tap.read(tap.open("7788"), 0x0101)


def test_the_pin_of_the_letter_has_three_tries_as_well():
    tap = Tap(RamMemory(image(delivery=True)))
    for wrong in WRONG[:2]:
        refusal(tap.open, wrong)
    assert refusal(tap.open, LETTER) == (Code.CHIP_SUSPENDED, "pin")
    tap.ask(terminal.change_pin(tap.resumed(LETTER), "7788"))


# --- PACE, step by step -----------------------------------------------------------------------------------------------

_POINT = SECP256R1.pair(SeededDice("somebody")).public.encode().hex()
NONCE = "10860000027C0000"
MAPPING = f"10860000457C438141{_POINT}00"

BAD_SEQUENCES = {
    "nothing chosen": ([NONCE], "6985"),
    "another password": ([MSE_PIN[:-2] + "01"], "6A88"),
    "no password": (["0022C1A40C800A04007F00070202040202"], "6A80"),
    "another protocol": (["0022C1A40F800A04007F00070202040203830103"], "6A80"),
    "a second curve": (["0022C1A412800A04007F0007020204020283010384010D"], "6A88"),
    "an object twice": (["0022C1A412800A04007F00070202040202830103830103"], "6A80"),
    "an object of another kind": (["0022C1A412800A04007F00070202040202830103950101"], "6A80"),
    "not chained": ([MSE_CAN, "00860000027C0000"], "6883"),
    "nonce asked twice": ([MSE_CAN, NONCE, NONCE], "6A80"),
    "a step left out": ([MSE_CAN, MAPPING], "6A80"),
    "after an unchained one": ([MSE_CAN, "00860000027C0000", NONCE], "6985"),
    "a select in between": ([MSE_CAN, NONCE, SELECT_LDS, MAPPING], "6985"),
    "after an error": ([MSE_CAN, NONCE, "10860000047C02810000", MAPPING], "6985"),
    "a point at infinity": ([MSE_CAN, NONCE, "10860000057C0381010000"], "6A80"),
    "a compressed point": ([MSE_CAN, NONCE, f"10860000257C23812102{_POINT[2:66]}00"], "6A80"),
    "a point off the curve": ([MSE_CAN, NONCE, f"10860000457C43814104{'11' * 64}00"], "6A80"),
    "a coordinate above p": ([MSE_CAN, NONCE, f"10860000457C43814104{'FF' * 64}00"], "6A80"),
    "other parameters": ([MSE_CAN, "10860001027C0000"], "6A86"),
    "chained where nothing is": (["10A4040C07A0000002471001"], "6884"),
    "an unknown command": (["00DA000000"], "6D00"),
    "an unknown class": (["80B0000000"], "6E00"),
    "another channel number": (["01B09C0000"], "6E00"),
    "short header": (["00B09C"], "6700"),
    "wrong Lc": (["00A4040C08A0000002471001"], "6700"),
    "reading without a file": (["00B0000000"], "6986"),
    "a file of no name": (["00A4020C020199"], "6A82"),
    "an application of no name": (["00A4040C07A0000002472001"], "6A82"),
}


@pytest.mark.parametrize("case", BAD_SEQUENCES)
def test_a_bad_sequence_gets_a_status_word_of_its_own(tap: Tap, case: str):
    commands, last = BAD_SEQUENCES[case]
    assert [tap.say(command) for command in commands][-1] == last
    assert tap.memory.state == image().first


def test_the_terminals_key_sent_back_to_it_is_refused(tap: Tap):
    """A card that echoes: it would know the terminal's token without knowing the PIN (Doc 9303-11 4.4.1)."""
    for tag, answer_tag in ((0x81, 0x82), (0x83, 0x84)):

        class Echo(SimulatedReader):
            tags = tag, answer_tag

            def transmit(self, apdu: bytes) -> bytes:
                answer = super().transmit(apdu)
                command = Command.parse(apdu)
                if command.ins == 0x86 and command.data[2:3] == bytes((self.tags[0],)):
                    point = tlv.only(tlv.only(command.data, 0x7C), self.tags[0])
                    return Response(tlv.encode(0x7C, tlv.encode(self.tags[1], point))).encode()
                return answer

        tap.reader = Echo(tap.card)
        assert refusal(tap.open) == (Code.CHIP_REFUSED, "pace")


class ZeroFirst(SeededDice):
    """Dice that draw nought for the nonce."""

    def bytes(self, n: int) -> bytes:
        return bytes(n) if n == pace.NONCE else super().bytes(n)


def test_a_nonce_of_nought_still_needs_the_pin():
    memory = RamMemory(image())
    tap = Tap(memory)
    tap.card = Card(memory, ZeroFirst("nought"))
    tap.reader = SimulatedReader(tap.card)
    assert refusal(tap.open, WRONG[0]) == (Code.CHIP_PIN_WRONG, "pin")
    tap.read(tap.open(), 0x0101)


# --- memory and two readers -------------------------------------------------------------------------------------------


def test_two_readers_cannot_try_one_pin_at_once(tmp_path: Path):
    FileMemory.make(tmp_path / "chip", image())
    first = FileMemory(tmp_path / "chip")
    tap = Tap(first)
    assert refusal(FileMemory, tmp_path / "chip") == (Code.CONFLICT, "reader")
    refusal(tap.open, WRONG[0])
    tap.reader = SimulatedReader(tap.card, first.close)
    tap.reader.close()
    with closing(FileMemory(tmp_path / "chip")) as second:
        assert Tap(second).say(MSE_PIN) == "63C2"


def test_a_chip_that_lost_its_power_has_no_session():
    memory = RamMemory(image())
    tap = Tap(memory)
    channel = tap.open()
    memory.power.cut_after("change")
    with pytest.raises(PowerCut):
        tap.card.transmit(channel.wrap(Command(0, 0x2C, 2, 3, b"7788")).encode())
    assert tap.card.transmit(channel.wrap(Command.parse(bytes.fromhex(SELECT_LDS))).encode()) == b"\x69\x88"


class Worn(RamMemory):
    """A memory that does not take a write any more."""

    def keep(self, step: str, state: PinState) -> None:
        raise OSError("worn out")


def test_a_try_that_cannot_be_written_down_is_not_judged():
    tap = Tap(Worn(image()))
    for secret in (PIN, WRONG[0]):
        with pytest.raises(Refused, match="6581"):
            tap.open(secret)


# --- anything at all --------------------------------------------------------------------------------------------------


def test_random_commands_open_nothing():
    """0 accepted: nothing is read, no try is lost, nothing is raised; in the open and inside a channel."""
    count = 100_000 if SOAK else 5_000
    chance = random.Random(11)
    tap, seen, channel = Tap(), set[int](), None
    for at in range(count):
        raw = bytearray(chance.randbytes(chance.choice((0, 1, 3, 4, 5, 7, 12, 40, 90))))
        if len(raw) > 4 and chance.random() < 0.8:
            raw[0] = chance.choice((0x00, 0x0C, 0x10, 0x1C, 0x80))
            raw[1] = chance.choice((0xA4, 0xB0, 0x22, 0x86, 0x2C))
            raw[2:4] = chance.choice((b"\xc1\xa4", b"\x00\x00", b"\x02\x03", b"\x03\x03", b"\x81\x00", b"\x04\x0c"))
            raw[4] = len(raw) - 5
        if at % 250 == 0:  # a block in the open, the next one under good keys
            tap.reader.reset()
            channel = tap.open(CAN, Password.CAN) if channel is None else None
        if channel is None:
            answer = Response.parse(tap.reader.transmit(bytes(raw)))
        else:
            header = bytes(raw[:4]).ljust(4, b"\0")
            inner = Command(0x00, *header[1:], bytes(raw[5:]), chance.choice((None, 1, 256)))
            answer = channel.unwrap(Response.parse(tap.reader.transmit(channel.wrap(inner).encode())))
        seen.add(answer.sw)
        assert not answer.data or answer.data == tap.access or answer.data[0] == 0x7C
    assert tap.memory.state == image().first
    assert len(seen) >= 8, seen


@pytest.mark.parametrize("direction", ["to the chip", "to the terminal"])
def test_one_bit_of_a_dialogue_never_changes_what_is_read(direction: str):
    """Whatever is flipped on the way: the files come whole and genuine, or not at all."""
    chance = random.Random(direction)
    refused = 0

    class Bent(SimulatedReader):
        at, bent = 0, 0

        def transmit(self, apdu: bytes) -> bytes:
            self.at += 1
            here = self.at == self.bent
            answer = super().transmit(_flipped(apdu, chance) if here and direction == "to the chip" else apdu)
            return _flipped(answer, chance) if here and direction == "to the terminal" else answer

    straight = Tap(RamMemory(image()))
    straight.reader = counted = Bent(straight.card)
    straight.ask(whole_issuance(PIN, straight.dice))
    times = 1000 if SOAK else 40
    for _ in range(times):
        tap = Tap(RamMemory(image()))
        tap.reader = Bent(tap.card)
        tap.reader.bent = chance.randint(1, counted.at)
        try:
            got = tap.ask(whole_issuance(PIN, tap.dice))
            assert got == {file: tap.memory.image.files[file] for file in got}
        except Refused:
            refused += 1
        assert tap.memory.state.tries >= 2
    assert refused > times * 0.8, "a flip in a plain command's Le is harmless, most others are not"


def _flipped(raw: bytes, chance: random.Random) -> bytes:
    bent = bytearray(raw)
    bent[chance.randrange(len(bent))] ^= 1 << chance.randrange(8)
    return bytes(bent)
