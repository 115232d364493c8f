"""Making a chip: its files and its key first, the state's signature over them, then what the chip remembers.

Promises: a chip that was sealed carries a security object over exactly its data groups; its private key was made here
and is nowhere but in the chip. Trusts: the dice, and whoever signs. Keeps: nothing. Refuses: a security object over
other data groups, a holder whose data do not fit a card, secrets of another form.

It takes two steps because two parties do it. The factory prepares a blank and says what is on it (`hashes`, `dg14`),
the issuer signs, the factory seals. `make_chip` is both steps for who has both parties at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Literal

import msgspec

from mapae.clock import Dice
from mapae.errors import Code, Refused
from mapae.issuer.ic_card import infos, lds, sod
from mapae.issuer.ic_card.memory import ChipImage, Private
from mapae.issuer.ic_card.mrz import Mrz
from mapae.issuer.ic_card.pin import PinState
from mapae.issuer.ic_card.profile import DETAILS, MRZ, PORTRAIT, PROFILE_A, SECURITY, CardProfile

SignSod = Callable[[Mapping[int, bytes]], bytes]
"""By the hashes of the data groups, the security object of a document signer."""


class Holder(Private, frozen=True, kw_only=True):
    """What a chip says of whom it belongs to. No resident number: the card has it printed, the chip has not."""

    name_latin: str
    """As in the passport: "Hong Gildong", or "Garcia Lopez, Maria Jose"."""
    name: str
    """In the national script."""
    address: str
    number: str
    """Of the card, nine letters and digits."""
    birth_date: date
    sex: Literal["male", "female", ""]
    nationality: str
    expires: date
    portrait: bytes
    """JPEG."""
    state: str = ""
    """Who issues the card, three letters; empty: the state whose national the holder is."""


class Pins(Private, frozen=True, kw_only=True):
    """The secrets a chip starts with."""

    pin: str
    can: str
    puk: str
    digits: int = 4
    """How many a PIN has that the holder chooses."""
    delivery: bool = True
    """`pin` is the one of the letter: it only serves to choose another."""

    @classmethod
    def draw(cls, dice: Dice, digits: int = 4, profile: CardProfile = PROFILE_A) -> Pins:
        can, puk = dice.digits(profile.can_digits), dice.digits(profile.puk_digits)
        return cls(pin=dice.digits(digits), can=can, puk=puk, digits=digits)


class Blank(Private, frozen=True):
    """A chip without a signature. Holds the chip's private key: a factory keeps it as it keeps chips."""

    groups: dict[int, bytes]
    chip_key: bytes

    @property
    def hashes(self) -> dict[int, bytes]:
        return sod.hashes(self.groups)

    @property
    def dg14(self) -> bytes:
        """With the public key, for the register of issued cards."""
        return self.groups[SECURITY]

    def encode(self) -> bytes:
        return msgspec.msgpack.encode(self)

    @classmethod
    def parse(cls, raw: bytes) -> Blank:
        try:
            return msgspec.msgpack.decode(raw, type=cls)
        except msgspec.MsgspecError:
            raise Refused(Code.MALFORMED, "not a chip that was prepared here") from None


def prepare(holder: Holder, dice: Dice, profile: CardProfile = PROFILE_A) -> Blank:
    """The chip's key and files."""
    pair = profile.curve.pair(dice)
    mrz = Mrz.of(
        state=holder.state or holder.nationality, number=holder.number, birth=holder.birth_date, sex=holder.sex,
        expires=holder.expires, nationality=holder.nationality, name_latin=holder.name_latin,
    )  # fmt: skip
    groups = {
        MRZ: lds.dg1(mrz),
        PORTRAIT: lds.dg2(holder.portrait),
        DETAILS: lds.Details(holder.name, holder.birth_date, holder.address).encode(),
        SECURITY: infos.dg14(pair.public, profile),
    }
    for number, content in groups.items():
        if len(content) > profile.limit(profile.fid(number)):
            raise Refused(Code.TOO_LARGE, f"data group {number} is longer than a card's may be")
    return Blank(groups, pair.secret.to_bytes(32, "big"))


def must_cover(raw: bytes, hashes: Mapping[int, bytes]) -> None:
    """The security object is over these data groups, all of them and no other."""
    if dict(sod.Sod.parse(raw).hashes) != dict(hashes):
        raise Refused(Code.CHIP_REFUSED, "the security object is over other data groups", step="hashes")


def seal(blank: Blank, raw: bytes, pins: Pins, profile: CardProfile = PROFILE_A) -> ChipImage:
    """What the chip will remember; `raw` is the signed security object."""
    must_cover(raw, blank.hashes)
    if (len(pins.can), len(pins.puk)) != (profile.can_digits, profile.puk_digits):
        raise Refused(Code.MALFORMED, "CAN or PUK has another number of digits than the profile's")
    files = {profile.fid(number): content for number, content in blank.groups.items()}
    files |= {profile.com_fid: lds.com(profile), profile.sod_fid: raw}
    files[profile.card_access_fid] = infos.card_access(profile)
    try:
        first = PinState(pins.pin, pins.delivery)
        return ChipImage(files, blank.chip_key, pins.can, pins.puk, pins.digits, first)
    except ValueError:
        raise Refused(Code.MALFORMED, "a secret of a chip is digits and nothing else") from None


def make_chip(holder: Holder, sign_sod: SignSod, pins: Pins, dice: Dice, profile: CardProfile = PROFILE_A) -> ChipImage:
    """Both steps at once."""
    blank = prepare(holder, dice, profile)
    return seal(blank, sign_sod(blank.hashes), pins, profile)
