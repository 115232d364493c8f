"""When did somebody blink? From the look of both eyes over a burst, measured against their own open eyes.

A patch around each eye, laid on its two corners, is compared with the middle patch of the same burst: eyes are open in
most frames, so that middle is the open eye of this person in this light. A blink is both patches turning away from it
and coming back within 60 to 700 ms while nose, mouth and brow stay what they are. No opening is measured and none is
demanded: narrow, smiling or lidded eyes are as open as their owner keeps them.

Promises: pure computing on numbers; a blink has one moment. Trusts: who found the eyes' corners. Keeps: nothing.
Refuses: to see a blink at the edge of a burst, beside a frame without a face, or where something passed before the
face.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .pictures import Unfit
from .values import WINDOW_MS, Challenge, Reason

Numbers = NDArray[np.float64]

CLOSED: Final = 0.85  # likeness of the more open eye to the open one, below which both are closing
OPEN: Final = 0.88  # and from which they are open again
STEADY: Final = 0.45  # likeness of nose, mouth and brow to themselves during a blink
SHORTEST_MS: Final = 60
LONGEST_MS: Final = 700
WIDE_OPEN: Final = 0.93  # three frames at least are so
MOST_LOST: Final = 0.2  # share of frames without the face
_EYE: Final = (24, 12)  # samples of a patch, across and down


@dataclass(frozen=True, slots=True)
class Looks:
    """What one frame shows of a face: a patch of each eye, and of what must hold still."""

    eyes: tuple[Numbers, Numbers]
    holds: tuple[Numbers, Numbers]


@dataclass(frozen=True, slots=True)
class Blink:
    at_ms: int
    frame: int
    """The frame in which the eyes are most closed."""


@dataclass(frozen=True, slots=True)
class Course:
    """A burst as likeness to its own open eyes, frame by frame; NaN where there was no face."""

    blinks: tuple[Blink, ...]
    open: Numbers

    def spread(self) -> tuple[int, int, int]:
        """Three frames to compare with the record: the most open one of the first, of the middle and of the last fifth,
        whoever is in it. Raises Unfit(unsteady)."""
        last = len(self.open)
        fifths = [slice(round(last * part / 5), max(round(last * (part + 1) / 5), 1)) for part in (0, 2, 4)]
        if any(np.isnan(self.open[fifth]).all() for fifth in fifths) or (self.open > WIDE_OPEN).sum() < 3:
            raise Unfit(Reason.UNSTEADY)
        first, middle, end = (fifth.start + int(np.nanargmax(self.open[fifth])) for fifth in fifths)
        return first, middle, end

    def answers(self, challenge: Challenge) -> tuple[Blink, ...]:
        """One blink for each prompt that got one in time. More blinks than asked for are nobody's fault."""
        found = []
        for prompt in challenge.prompts_ms:
            in_time = [blink for blink in self.blinks if prompt < blink.at_ms <= prompt + WINDOW_MS]
            found += in_time[:1]
        return tuple(found)


def looks(grey: Numbers, points: Numbers) -> Looks:
    """`points`: the corners of one eye, the corners of the other, the base of the nose, each (x, y)."""
    first, second = points[0:2].mean(0), points[2:4].mean(0)
    across = first - second
    span = float(np.hypot(*across)) or 1.0
    across = across / span
    middle, down = (first + second) / 2, np.array([-across[1], across[0]])
    if np.dot(down, points[4] - middle) < 0:
        down = -down
    width = span * 0.62
    eyes = [_patch(grey, eye, across, down, (width, width / 2), _EYE) for eye in (first, second)]
    mouth = _patch(grey, middle + down * span * 0.75, across, down, (span * 1.3, span * 0.7), (24, 12))
    brow = _patch(grey, middle - down * span * 0.30, across, down, (span, span * 0.16), (24, 6))
    return Looks((eyes[0], eyes[1]), (mouth, brow))


def course(frames: Sequence[Looks | None], times_ms: Sequence[int]) -> Course:
    """At least one frame has a face."""
    eyes = [_likeness([None if one is None else one.eyes[side] for one in frames]) for side in (0, 1)]
    holds = [_likeness([None if one is None else one.holds[part] for one in frames]) for part in (0, 1)]
    open, steady = np.maximum(*eyes), np.minimum(*holds)
    return Course(tuple(_blinks(open, steady, times_ms)), open)


def _blinks(open: Numbers, steady: Numbers, times_ms: Sequence[int]) -> list[Blink]:
    found, at, last = [], 0, len(open) - 1
    while at <= last:
        if not open[at] < CLOSED:
            at += 1
            continue
        before, after = at, at
        while before >= 0 and open[before] < OPEN:
            before -= 1
        while after <= last and open[after] < OPEN:
            after += 1
        at = after + 1
        # A frame without a face is NaN, which is not below OPEN and not from OPEN on: no blink beside it.
        if before < 0 or after > last or not (open[before] >= OPEN and open[after] >= OPEN):
            continue
        # Half way to the open frames on both sides, for a camera is slow against a lid.
        long = (times_ms[after] + times_ms[after - 1] - times_ms[before + 1] - times_ms[before]) / 2
        if SHORTEST_MS <= long <= LONGEST_MS and steady[before : after + 1].min() >= STEADY:
            deepest = before + int(open[before : after + 1].argmin())
            found.append(Blink(times_ms[deepest], deepest))
    return found


def _likeness(patches: Sequence[Numbers | None]) -> Numbers:
    """Of each to the middle one: 1 is the same."""
    middle = np.median([patch for patch in patches if patch is not None], 0)
    middle = middle / (np.linalg.norm(middle) + 1e-9)
    return np.array([np.nan if patch is None else float((patch * middle).sum()) for patch in patches])


def _patch(
    grey: Numbers, centre: Numbers, across: Numbers, down: Numbers, size: tuple[float, float], samples: tuple[int, int]
) -> Numbers:
    """Brightness around a point, along a face's own axes, without its mean and of length one."""
    right, below = ((np.arange(count) + 0.5) / count - 0.5 for count in samples)
    where = centre + right[None, :, None] * size[0] * across + below[:, None, None] * size[1] * down
    x, y = (np.clip(where[..., axis], 0, grey.shape[1 - axis] - 1.001) for axis in (0, 1))
    left, top = x.astype(int), y.astype(int)
    fx, fy = x - left, y - top
    upper = grey[top, left] * (1 - fx) + grey[top, left + 1] * fx
    lower = grey[top + 1, left] * (1 - fx) + grey[top + 1, left + 1] * fx
    values = upper * (1 - fy) + lower * fy
    values = values - values.mean()
    return np.asarray(values / (np.linalg.norm(values) + 1e-6))
