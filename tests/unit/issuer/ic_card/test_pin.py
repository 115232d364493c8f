"""The life of a PIN on paper: values in, values out."""

from __future__ import annotations

import msgspec
import pytest

from mapae.issuer.ic_card.pace import Password
from mapae.issuer.ic_card.pin import PinState, Standing

NEW = PinState("1234", delivery=False)


def test_two_misses_suspend_and_a_third_blocks():
    state, seen = NEW, []
    for _ in range(3):
        state = state.counted(Password.PIN)
        seen.append((state.tries, state.standing(Password.PIN, False), state.standing(Password.PIN, True)))
    assert seen == [
        (2, Standing.READY, Standing.READY),
        (1, Standing.SUSPENDED, Standing.READY),
        (0, Standing.BLOCKED, Standing.BLOCKED),
    ]
    with pytest.raises(ValueError, match="no try"):
        state.counted(Password.PIN)


def test_a_hit_gives_the_tries_back_and_never_a_use_of_the_puk():
    missed = NEW.counted(Password.PIN).counted(Password.PUK)
    assert missed.matched(Password.PIN) == msgspec.structs.replace(NEW, puk_uses=9)
    assert missed.matched(Password.PUK) == missed == missed.matched(Password.CAN)


def test_the_puk_has_ten_uses_right_or_wrong():
    state = NEW
    for left in range(9, -1, -1):
        assert state.standing(Password.PUK, False) is Standing.READY
        state = state.counted(Password.PUK).matched(Password.PUK)
        assert state.left(Password.PUK) == left
    assert state.standing(Password.PUK, True) is Standing.BLOCKED


def test_the_can_is_not_counted():
    assert NEW.counted(Password.CAN) == NEW and NEW.left(Password.CAN) is None


def test_only_what_was_used_is_told():
    assert NEW.left(Password.PIN) is None and NEW.left(Password.PUK) is None
    assert NEW.counted(Password.PIN).left(Password.PIN) == 2


@pytest.mark.parametrize("new", ["", "123", "12345", "12a4", "١٢٣٤", "²²²²", " 123", "-123"], ids=ascii)
def test_a_new_pin_has_its_digits_and_nothing_else(new):
    with pytest.raises(ValueError, match="digits"):
        NEW.changed(new, 4)


def test_the_pin_of_the_letter_cannot_be_kept():
    letter = PinState("8035", delivery=True)
    with pytest.raises(ValueError, match="letter"):
        letter.changed("8035", 4)
    assert letter.changed("1234", 4) == NEW
    assert NEW.changed("1234", 4) == NEW


def test_unblocking_keeps_the_pin_and_its_kind():
    blocked = PinState("80351", delivery=True, tries=0, puk_uses=4)
    assert blocked.unblocked() == PinState("80351", delivery=True, tries=3, puk_uses=4)


@pytest.mark.parametrize(
    "fields", [{"tries": 4}, {"tries": -1}, {"puk_uses": 11}, {"pin": "12a4"}, {"pin": ""}], ids=str
)
def test_there_is_no_other_state(fields):
    with pytest.raises(ValueError, match="state"):
        PinState(**{"pin": "1234", "delivery": False, **fields})
