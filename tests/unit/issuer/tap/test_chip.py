"""A real protocol from end to end: the product's helper, a card simulator, the line, and the issuer as the terminal at
its far end. What a clone, a forger, a liar in the middle and a torn card come to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

import chips
import taps
from issuing import START, must_be_whole
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.issuer.ic_card import tlv
from mapae.issuer.ic_card.profile import PROFILE_A
from tapped import SIGNED, Plastic, RealHall, TapPhone, Told, Typing, helped, sha
from unit.issuer.tap.test_sessions import fetched

Migrated = Callable[[str], Awaitable[Db]]
pytestmark = pytest.mark.parametrize("migrated", ["sqlite"], indirect=True)  # both: test_both_engines.py


@pytest.fixture
async def hall(migrated: Migrated) -> RealHall:
    return RealHall(await migrated("issuer"))


async def refusal(hall: RealHall, reader: Any, typing: Typing | None = None, *, alike: bool = True) -> tuple[str, str]:
    """A new session, a helper, and why it came to nothing: as the helper and the wallet are told alike, but where the
    helper noticed it alone."""
    hall.clock.advance(minutes=6)
    phone = TapPhone(hall)
    await phone.begin()
    with pytest.raises(Refused) as refused:
        await helped(hall, phone, reader, typing)
    said = await phone.state()
    assert said["state"] == "failed"
    assert not alike or said["reason"] == refused.value.code.value, (said, refused.value)
    assert not await hall.db.all("SELECT * FROM tap_use")
    assert hall.pen.signed == []
    return said["reason"], said["step"]


# --- the way it is meant ----------------------------------------------------------------------------------------------


async def test_a_card_proves_itself_to_the_issuer_and_the_wallet_gets_its_own(hall: RealHall) -> None:
    """The whole path B, steps 1 to 8, and how many commands it takes."""
    plastic, phone, typing = Plastic.made().entered(hall), TapPhone(hall), Typing()
    await phone.begin()
    carried = await helped(hall, phone, plastic.card().reader, typing)
    assert typing.ready is not None and typing.ready.code == phone.code and typing.ready.asks.new_phone
    assert carried == 1 + sum(-(-len(plastic.files[fid]) // PROFILE_A.chunk) for fid in _read_by_us())
    await fetched(phone)
    await must_be_whole(hall, hall.db)


def _read_by_us() -> tuple[int, ...]:
    return (PROFILE_A.sod_fid, *(PROFILE_A.fid(number) for number in PROFILE_A.groups))


async def test_the_pin_never_leaves_the_helper(hall: RealHall) -> None:
    """Not in any message to the issuer, in the clear or otherwise: it is in no command at all."""
    plastic, phone = Plastic.made().entered(hall), TapPhone(hall)
    await phone.begin()
    sent: list[bytes] = []
    reader = plastic.card().reader

    class Listening:
        def transmit(self, apdu: bytes) -> bytes:
            sent.append(apdu)
            return reader.transmit(apdu)

        def reset(self) -> None:
            reader.reset()

        def close(self) -> None:
            reader.close()

    await helped(hall, phone, Listening())
    assert sent and not any(taps.PIN.encode() in apdu for apdu in sent)


async def test_a_wrong_pin_is_asked_again_and_the_last_try_wants_the_printed_number(hall: RealHall) -> None:
    plastic, phone = Plastic.made().entered(hall), TapPhone(hall)
    await phone.begin()
    typing = Typing("0000", "9999", taps.PIN)
    await helped(hall, phone, plastic.card().reader, typing)
    assert typing.left == [3, 2, 1]
    assert (await phone.state())["state"] == "confirm"


async def test_a_blocked_pin_is_told_to_the_wallet_as_well(hall: RealHall) -> None:
    card = Plastic.made().entered(hall).card()
    assert (await refusal(hall, card.reader, Typing("0000", "1111", "2222")))[0] == "chip_blocked"
    assert (await refusal(hall, card.reader, Typing(taps.PIN)))[0] == "chip_blocked"


async def test_somebody_who_gives_up_at_the_pin_has_begun_nothing(hall: RealHall) -> None:
    card = Plastic.made().entered(hall).card()
    hall.clock.advance(minutes=6)
    phone = TapPhone(hall)
    await phone.begin()
    with pytest.raises(Refused) as refused:
        await helped(hall, phone, card.reader, Typing("0000"))
    assert refused.value.code is Code.ACCESS_DENIED
    assert (await phone.state())["state"] == "failed"


# --- what is not the card ---------------------------------------------------------------------------------------------


async def test_a_clone_made_of_copied_files_fails_at_its_first_answer(hall: RealHall) -> None:
    """Every file is genuine; the key that belongs to DG14 is not there."""
    plastic = Plastic.made().entered(hall)
    clone = replace(plastic, pair=chips.chip_key("another"))
    assert await refusal(hall, clone.card().reader) == ("chip_refused", "chip")


async def test_a_forged_data_group_is_refused_by_its_hash(hall: RealHall) -> None:
    plastic = Plastic.made().entered(hall)
    other = replace(chips.MRZ, surname="KIM", given="MINHO")
    for number, forged in (
        (1, chips.groups(plastic.pair, mrz=other)[1]),
        (2, chips.groups(plastic.pair, jpeg=chips.portrait(150))[2]),
        (11, chips.groups(plastic.pair, details=replace(chips.DETAILS, name="김민호"))[11]),
    ):
        bent = replace(plastic, files={**plastic.files, PROFILE_A.fid(number): forged})
        assert await refusal(hall, bent.card().reader) == ("chip_refused", "hashes"), number


async def test_a_card_of_a_state_we_do_not_trust_is_refused(hall: RealHall) -> None:
    plastic = Plastic.made(state=chips.State("elsewhere", start=SIGNED.start)).entered(hall)
    assert await refusal(hall, plastic.card().reader) == ("chip_refused", "signer")


async def test_a_revoked_signer_and_a_list_of_yesterday_refuse_every_card(hall: RealHall) -> None:
    plastic = Plastic.made().entered(hall)
    hall.anchors = SIGNED.anchors(2, at=START)
    assert await refusal(hall, plastic.card().reader) == ("chip_refused", "revocation")
    hall.anchors = SIGNED.anchors(at=START - timedelta(days=91))
    assert await refusal(hall, plastic.card().reader) == ("chip_refused", "revocation")


@pytest.mark.parametrize(
    ("signed", "welcome"),
    [(timedelta(minutes=-4), True), (timedelta(minutes=-6), False), (timedelta(days=90), True),
     (timedelta(days=90, seconds=1), False)],
    ids=["just-before", "before", "last-second", "after"],
)  # fmt: skip
async def test_the_signers_key_was_in_use_when_it_signed(hall: RealHall, signed: timedelta, welcome: bool) -> None:
    """Clock skew at the limits of the document signer's key: five minutes before, none after."""
    pair = chips.chip_key()
    groups = chips.groups(pair)
    plastic = Plastic.made(groups)
    sod = SIGNED.sod(groups, SIGNED.start + signed)
    plastic = replace(plastic, sod=sod, files={**plastic.files, PROFILE_A.sod_fid: sod}).entered(hall)
    hall.clock.advance(days=100)
    hall.anchors = SIGNED.anchors(at=hall.clock.now())
    if welcome:
        phone = TapPhone(hall)
        await phone.begin()
        await helped(hall, phone, plastic.card().reader)
    else:
        assert await refusal(hall, plastic.card().reader) == ("chip_refused", "dates")


async def test_a_portrait_that_is_no_picture_is_refused_even_when_it_was_signed(hall: RealHall) -> None:
    pair = chips.chip_key()
    groups = chips.groups(pair)
    dg2 = groups[2].replace(b"\xff\xd8\xff", b"GIF", 1)
    plastic = Plastic.made({**groups, 2: dg2}).entered(hall)
    assert await refusal(hall, plastic.card().reader) == ("chip_refused", "portrait")


async def test_a_zone_with_a_wrong_check_digit_is_refused_even_when_it_was_signed(hall: RealHall) -> None:
    pair = chips.chip_key()
    groups = chips.groups(pair)
    bent = groups[1].replace(chips.MRZ.number.encode(), b"K12345679", 1)
    plastic = Plastic.made({**groups, 1: bent}).entered(hall)
    assert await refusal(hall, plastic.card().reader) == ("chip_refused", "hashes")


async def test_a_file_that_says_it_is_huge_is_not_read(hall: RealHall) -> None:
    """A length bomb: refused by its first bytes, whatever the hash would say."""
    plastic = Plastic.made().entered(hall)
    bomb = b"\x75\x83\x10\x00\x00" + bytes(1000)
    bent = replace(plastic, files={**plastic.files, PROFILE_A.fid(2): bomb})
    assert await refusal(hall, bent.card().reader) == ("chip_refused", "read")


async def test_another_offer_outside_than_inside_is_noticed(hall: RealHall) -> None:
    """EF.CardAccess as the helper saw it, against the signed DG14: a downgrade on the way to the reader."""
    plastic = Plastic.made().entered(hall)
    weaker = tlv.encode(0x30, tlv.join([(0x06, bytes.fromhex("04007f00070202040201")), (0x02, b"\x01")]))
    access = tlv.encode(0x31, tlv.only(plastic.files[PROFILE_A.card_access_fid], 0x31) + weaker)
    bent = replace(plastic, files={**plastic.files, PROFILE_A.card_access_fid: access})
    assert await refusal(hall, bent.card().reader) == ("chip_refused", "card_access")


# --- a liar in the middle ---------------------------------------------------------------------------------------------


class Meddling:
    """A reader whose `n`-th answer is bent on the way, or which dies there."""

    def __init__(self, card: taps.Tap, at: int, bend: Callable[[bytes, list[bytes]], bytes] | None) -> None:
        self._reader, self._at, self._bend = card.reader, at, bend
        self.answers: list[bytes] = []

    def transmit(self, apdu: bytes) -> bytes:
        if self._bend is None and len(self.answers) + 1 == self._at:
            raise Refused(Code.UNAVAILABLE, "the card is gone", step="reader")
        answer = self._reader.transmit(apdu)
        self.answers.append(answer)
        if self._bend is not None and len(self.answers) == self._at:
            return self._bend(answer, self.answers)
        return answer

    def reset(self) -> None:
        self._reader.reset()

    def close(self) -> None:
        self._reader.close()


async def commands_of(hall: RealHall, plastic: Plastic) -> int:
    """How many commands an honest tap takes in all."""
    counting = Meddling(plastic.card(), -1, lambda answer, before: answer)
    phone = TapPhone(hall)
    await phone.begin()
    await helped(hall, phone, counting)
    await phone.cancel()
    return len(counting.answers)


async def test_a_card_torn_away_at_any_command_leaves_nothing_behind(hall: RealHall) -> None:
    """At each of them: the session has failed, no card is used up, and the next tap of the same card goes through."""
    plastic = Plastic.made().entered(hall)
    for at in range(1, await commands_of(hall, plastic) + 1):
        assert (await refusal(hall, Meddling(plastic.card(), at, None)))[0] == "unavailable", at
    phone = TapPhone(hall)
    await phone.begin()
    await helped(hall, phone, plastic.card().reader)


async def test_one_bit_bent_in_any_answer_is_noticed(hall: RealHall) -> None:
    """From the first sealed answer on: by a code over it; before that, by a key that does not fit."""
    plastic = Plastic.made().entered(hall)

    def bend(answer: bytes, before: list[bytes]) -> bytes:
        place = len(answer) // 2
        return answer[:place] + bytes((answer[place] ^ 1,)) + answer[place + 1 :]

    for at in range(1, await commands_of(hall, plastic) + 1, 2):
        await refusal(hall, Meddling(plastic.card(), at, bend), alike=False)


async def test_an_answer_said_twice_is_noticed(hall: RealHall) -> None:
    plastic = Plastic.made().entered(hall)
    last = await commands_of(hall, plastic)
    again = Meddling(plastic.card(), last - 1, lambda answer, before: before[-2])
    assert await refusal(hall, again) == ("chip_refused", "read")


async def test_a_plain_answer_in_the_channel_is_noticed(hall: RealHall) -> None:
    plastic = Plastic.made().entered(hall)
    last = await commands_of(hall, plastic)
    plain = Meddling(plastic.card(), last, lambda answer, before: b"\x90\x00")
    assert await refusal(hall, plain) == ("chip_refused", "read")


async def test_a_dialogue_that_was_kept_is_worth_nothing_in_another_session(hall: RealHall) -> None:
    """Replay: the issuer draws a new key for each session, so yesterday's answers are sealed under other keys."""
    plastic = Plastic.made().entered(hall)
    phone = TapPhone(hall)
    await phone.begin()
    kept = Meddling(plastic.card(), -1, lambda answer, before: answer)
    carried = await helped(hall, phone, kept)
    await phone.cancel()
    hall.clock.advance(minutes=6)
    again = TapPhone(hall)
    await again.begin()
    helper = await Told.open(hall)
    await helper.hello(again.secret)
    files = plastic.files
    await helper.card(plastic.sod, files[PROFILE_A.fid(14)], files[PROFILE_A.card_access_fid])
    await helper.say(type="authenticated")
    assert (await helper.answer(1, kept.answers[-carried]))["step"] == "chip"
    assert (await again.state())["state"] == "failed"


# --- whose ------------------------------------------------------------------------------------------------------------


async def test_the_card_of_somebody_else_gives_nothing(hall: RealHall) -> None:
    """A finder who knows the PIN and has a phone of their own."""
    plastic = Plastic.made().entered(hall, person="minho")
    assert await refusal(hall, plastic.card().reader) == ("chip_refused", "person")


async def test_the_sod_of_one_card_and_the_chip_of_another_do_not_go_together(hall: RealHall) -> None:
    """Two genuine cards of the same person: the chip that answers must be the one whose SOD was shown."""
    shown = Plastic.made(word="first").entered(hall)
    other = Plastic.made(word="second").entered(hall, number="K00000002")
    mixed = replace(other, files={**other.files, PROFILE_A.sod_fid: shown.sod, PROFILE_A.fid(14): shown.files[0x010E]})
    assert await refusal(hall, mixed.card().reader) == ("chip_refused", "chip")


async def test_an_expired_card_gives_nothing(hall: RealHall) -> None:
    plastic = Plastic.made().entered(hall, expires=date(2026, 3, 1))
    assert await refusal(hall, plastic.card().reader) == ("chip_not_active", "status")


async def test_the_register_knows_the_key_and_not_only_the_digest(hall: RealHall) -> None:
    plastic = Plastic.made().entered(hall, chip_key_hash=sha(b"another"))
    assert await refusal(hall, plastic.card().reader) == ("chip_refused", "key")
