"""From a holder's data to a chip that a terminal takes for hers."""

from __future__ import annotations

import re
from datetime import timedelta

import msgspec
import pytest

from chips import START, State, portrait
from mapae.clock import SeededDice
from mapae.errors import Code, Refused
from mapae.issuer.ic_card import infos, lds, passive
from mapae.issuer.ic_card.memory import RamMemory
from mapae.issuer.ic_card.personalise import Blank, Holder, Pins, make_chip, must_cover, prepare, seal
from mapae.issuer.ic_card.pin import PinState
from mapae.issuer.ic_card.profile import PROFILE_A
from mapae.issuer.ic_card.sod import make_sod
from taps import ANCHORS, CAN, DETAILS, FACE, HOLDER, MRZ, NOW, PIN, PUK, SOD, STATE, Tap, blank, image, whole_issuance

PINS = Pins(pin=PIN, can=CAN, puk=PUK, delivery=False)


def refusal(work, *arguments) -> Code:
    with pytest.raises(Refused) as refused:
        work(*arguments)
    return refused.value.code


def altered(**fields) -> Holder:
    return msgspec.structs.replace(HOLDER, **fields)


def test_a_chip_made_of_both_steps_is_read_with_its_pin_and_is_genuine():
    at = START + timedelta(days=2)
    signed = []

    def sign(hashes):
        signed.append(hashes)
        return make_sod(hashes, at, STATE.signer.sign, STATE.ds)

    chip = make_chip(HOLDER, sign, PINS, SeededDice("somewhere"))
    tap = Tap(RamMemory(chip))
    got = tap.ask(whole_issuance(PIN, tap.dice))
    assert got[SOD] == chip.files[SOD]
    assert signed == [passive.check(got[SOD], {}, ANCHORS, NOW).hashes]
    zone = lds.read_dg1(got[MRZ])
    assert (zone.surname, zone.given, zone.number, zone.state) == ("HAN", "JISOO", "K12345678", "KOR")
    assert lds.Details.parse(got[DETAILS]).name == "한지수"
    assert lds.read_dg2(got[FACE]) == HOLDER.portrait


def test_a_blank_is_kept_as_bytes_and_names_its_key():
    again = Blank.parse(blank().encode())
    assert again == blank() and again.hashes == blank().hashes
    secret = int.from_bytes(again.chip_key, "big")
    assert infos.read_dg14(again.dg14).encode() == PROFILE_A.curve.g.times(secret).encode()
    assert refusal(Blank.parse, blank().encode()[:-1]) is Code.MALFORMED


def test_two_chips_of_one_holder_have_two_keys():
    dice = SeededDice("factory line")
    assert prepare(HOLDER, dice).chip_key != prepare(HOLDER, dice).chip_key


def test_a_security_object_over_other_data_groups_does_not_seal():
    other = prepare(altered(address="부산광역시 중구 중앙대로 1"), SeededDice("other"))
    strange = STATE.sod(other.groups)
    assert refusal(must_cover, strange, blank().hashes) is Code.CHIP_REFUSED
    assert refusal(seal, blank(), strange, PINS) is Code.CHIP_REFUSED
    fewer = STATE.sod({number: blank().groups[number] for number in (1, 2, 14)})
    assert refusal(seal, blank(), fewer, PINS) is Code.CHIP_REFUSED
    must_cover(State("another state").sod(blank().groups), blank().hashes)  # whose signature it is, terminals ask


@pytest.mark.parametrize(
    "secret",
    [{"pin": "12a4"}, {"pin": ""}, {"can": "12345"}, {"can": "12345x"}, {"puk": "123"}, {"puk": "12345 7890"}],
    ids=str,
)
def test_secrets_of_another_form_do_not_seal(secret: dict[str, str]):
    assert refusal(seal, blank(), STATE.sod(blank().groups), msgspec.structs.replace(PINS, **secret)) is Code.MALFORMED


@pytest.mark.parametrize(
    "fields",
    [{"name_latin": ""}, {"name_latin": "한지수"}, {"name": ""}, {"name": "한\n지수"}, {"address": "x" * 2_000},
     {"number": "K-2345678"}, {"nationality": "KR1"}, {"portrait": b"no picture"},
     {"portrait": b"\xff\xd8" + bytes(100) + b"\xff\xd9"}],
    ids=lambda fields: f"{next(iter(fields))} of {len(next(iter(fields.values())))}",
)  # fmt: skip
def test_what_does_not_fit_a_card_is_refused_before_a_chip_is_spent(fields: dict[str, str]):
    assert refusal(prepare, altered(**fields), SeededDice("factory")) in (Code.CHIP_REFUSED, Code.TOO_LARGE)


def test_a_portrait_too_large_for_a_chip_is_refused():
    jpeg = portrait(600)
    padded = jpeg[:2] + b"\xff\xfe\x7f\xf0" + bytes(0x7FEE) + jpeg[2:]
    assert refusal(prepare, altered(portrait=padded), SeededDice("factory")) is Code.TOO_LARGE


def test_drawn_secrets_are_of_the_profile_and_for_the_letter():
    pins = Pins.draw(SeededDice("letters"), 6)
    assert (len(pins.pin), len(pins.can), len(pins.puk), pins.digits, pins.delivery) == (6, 6, 10, 6, True)
    chip = seal(blank(), STATE.sod(blank().groups), pins)
    assert chip.first == PinState(pins.pin, delivery=True) and chip.pin_digits == 6


def test_what_is_said_of_the_holder_holds_nothing_like_a_resident_number():
    """Thirteen digits, with or without the dash. The day of birth is there, as on every travel document."""
    for file in (MRZ, DETAILS):
        assert not re.search(rb"\d{6}-?\d{7}", image().files[file]), f"{file:04X}"


def test_nothing_of_a_chip_is_printed_by_accident():
    said = repr([image(), blank(), PINS, HOLDER])
    assert said == "[<ChipImage>, <Blank>, <Pins>, <Holder>]"


def test_a_field_nobody_knows_is_refused():
    more = msgspec.msgpack.encode({**msgspec.structs.asdict(blank()), "more": 1})
    assert refusal(Blank.parse, more) is Code.MALFORMED
