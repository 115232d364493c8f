"""When a likeness that falls and rises is a blink, and which blinks answer which prompts."""

from __future__ import annotations

import numpy as np
import pytest

from mapae.issuer.face.blink import Course, Looks, course
from mapae.issuer.face.pictures import Unfit
from mapae.issuer.face.values import Challenge, Reason

EVERY = 40
OPEN, SHUT, FACE, PEN = np.eye(4)


def frame(eyes: float = 1.0, other: float | None = None, face: float = 1.0) -> Looks:
    """Likeness of both eyes, or of each, to the open ones; and of the rest of the face to itself."""

    def mixed(share: float, this: np.ndarray, that: np.ndarray) -> np.ndarray:
        return share * this + np.sqrt(1 - share**2) * that

    left, right = mixed(eyes, OPEN, SHUT), mixed(eyes if other is None else other, OPEN, SHUT)
    rest = mixed(face, FACE, PEN)
    return Looks((left, right), (rest, rest))


def seen(middle: list[Looks | None], before: int = 20, after: int = 20) -> Course:
    frames = [*[frame()] * before, *middle, *[frame()] * after]
    return course(frames, range(0, EVERY * len(frames), EVERY))


def test_both_eyes_falling_and_rising_are_one_blink_at_its_deepest():
    found = seen([frame(0.8), frame(0.4), frame(0.2), frame(0.5), frame(0.86)]).blinks
    assert [(blink.frame, blink.at_ms) for blink in found] == [(22, 22 * EVERY)]


@pytest.mark.parametrize(
    "middle",
    [
        [frame(0.4)],
        [frame(0.4)] * 18,
        [frame(0.4, 1.0)] * 5,
        [frame(0.86)] * 5,
        [frame(0.4, face=0.3)] * 5,
        [frame(0.4), None, frame(0.4)],
        [None, frame(0.4), frame(0.3), frame(0.4)],
    ],
    ids=["too short", "too long", "one eye", "too shallow", "a pen", "face lost inside", "face lost before"],
)
def test_what_is_no_blink(middle):
    assert seen(middle).blinks == ()


def test_a_blink_that_the_burst_cuts_off_does_not_count():
    assert seen([frame(0.4)] * 4, after=0).blinks == seen([frame(0.4)] * 4, before=0).blinks == ()


def test_eyes_that_are_always_narrow_are_open_eyes():
    """Nothing is measured but change: the middle of the burst is what open looks like."""
    narrow, shut = Looks((PEN, PEN), (FACE, FACE)), Looks((SHUT, SHUT), (FACE, FACE))
    assert course([*[narrow] * 20, *[shut] * 4, *[narrow] * 20], range(0, 44 * EVERY, EVERY)).blinks


def test_each_prompt_wants_a_blink_of_its_own_in_time():
    blink = [frame(0.4)] * 4
    burst = seen([*blink, *[frame()] * 30, *blink])
    first, second = (one.at_ms for one in burst.blinks)

    def answered(*prompts: int) -> int:
        return len(burst.answers(Challenge("", "", len(prompts), prompts, 9000)))

    assert answered(first - 500) == 1
    assert answered(first - 1300) == 1 and answered(first - 1301) == 0
    assert answered(first) == 0, "it had begun before it was asked for"
    assert answered(first - 500, second - 500) == 2
    assert answered(first - 500, second + 500) == 1


def test_the_compared_frames_are_spread_and_show_who_was_there():
    """The first and the last fifth are looked at even if somebody else is in them."""
    stranger = [frame(0.3)] * 10
    burst = course([*stranger, *[frame()] * 40], range(0, 50 * EVERY, EVERY))
    first, middle, last = burst.spread()
    assert first < 10 < 20 <= middle < 30 < 40 <= last
    with pytest.raises(Unfit) as unfit:
        course([*[None] * 10, *[frame()] * 40], range(50)).spread()
    assert unfit.value.reason is Reason.UNSTEADY
