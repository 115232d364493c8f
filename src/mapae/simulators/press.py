"""The factory's press: real chips, with the code every card has (`issuer/ic_card`), their memory in a file.

Promises: what `factory.Press` says; a chip that was finished once is not written over, so a factory that was killed
between the file and its record loses nothing. Trusts: the dice. Keeps: the chip's file. Refuses: what the card's code
refuses.
"""

from __future__ import annotations

from pathlib import Path

from mapae.clock import Dice
from mapae.errors import Code, Refused
from mapae.issuer.ic_card import personalise
from mapae.issuer.ic_card.memory import FileMemory
from mapae.issuer.ic_card.personalise import Blank, Holder, Pins
from mapae.simulators.factory import CardData, Letter, Prepared


class ChipPress:
    def __init__(self, dice: Dice, pin_digits: int) -> None:
        self._dice, self._digits = dice, pin_digits

    def prepare(self, data: CardData) -> Prepared:
        holder = Holder(
            name_latin=data.name_latin, name=data.name, address=data.address, number=data.number,
            birth_date=data.birth_date, sex=data.sex, nationality=data.nationality, expires=data.expires,
            portrait=data.portrait,
        )  # fmt: skip
        blank = personalise.prepare(holder, self._dice)
        return Prepared(hashes=blank.hashes, dg14=blank.dg14, blank=blank.encode())

    def must_cover(self, sod: bytes, hashes: dict[int, bytes]) -> None:
        personalise.must_cover(sod, hashes)

    def finish(self, blank: bytes, sod: bytes, letter: Letter, path: Path, *, delivery: bool = True) -> None:
        pins = Pins(pin=letter.pin, can=letter.can, puk=letter.puk, digits=self._digits, delivery=delivery)
        image = personalise.seal(Blank.parse(blank), sod, pins)
        try:
            FileMemory.make(path, image)
        except Refused as refused:
            if refused.code is not Code.CONFLICT:  # it is there already: the record was not
                raise
