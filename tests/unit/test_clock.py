"""Time that has surely passed, beside a wall clock that may be wrong for a moment."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mapae.clock import LASTS, LEAP, MovableClock, Steady, SystemClock


class Machine:
    """A wall clock and a count of seconds that a test moves."""

    def __init__(self) -> None:
        self.wall, self.counted = 1_800_000_000.0, 500.0
        self.steady = Steady(lambda: self.wall, lambda: self.counted)

    def go(self, seconds: float, *, wall: float | None = None) -> float:
        self.counted += seconds
        self.wall += seconds if wall is None else wall
        return self.steady.surely()


@pytest.fixture
def machine() -> Machine:
    return Machine()


def test_a_clock_that_goes_right_is_followed(machine: Machine) -> None:
    assert machine.go(86_400) == machine.wall
    assert machine.go(86_400, wall=86_401) == machine.wall  # it was slow
    assert machine.go(7, wall=7 + LEAP) == machine.wall


def test_a_clock_far_ahead_for_a_moment_is_not(machine: Machine) -> None:
    before = machine.wall
    assert machine.go(5, wall=365 * 86_400) == before + 5
    assert machine.go(60) == before + 65
    assert machine.go(5, wall=5 - 365 * 86_400 + 5) == before + 70 == machine.wall
    machine.go(9)
    assert machine.go(5, wall=86_400) == before + 84, "and the next time neither"


def test_a_clock_that_stays_ahead_is_believed_after_an_hour(machine: Machine) -> None:
    machine.go(5, wall=86_400)
    assert machine.go(LASTS - 1) < machine.wall
    assert machine.go(1) == machine.wall


def test_a_clock_put_back_is_followed_at_once(machine: Machine) -> None:
    """What is early is at worst done late. Nor is the right time, when it comes back, a leap."""
    assert machine.go(5, wall=-86_400) == machine.wall
    assert machine.go(10, wall=86_410) == machine.wall
    machine.go(5, wall=-86_400)
    machine.go(LASTS)
    assert machine.go(5, wall=86_400) < machine.wall, "after an hour the earlier time was the right one"
    assert machine.go(LASTS) == machine.wall


def test_a_clock_far_ahead_after_it_was_put_back_is_not_followed(machine: Machine) -> None:
    machine.go(5, wall=-86_400)
    assert machine.go(5, wall=365 * 86_400) < machine.wall - 300 * 86_400


def test_both_clocks_say_the_same_where_nothing_is_wrong() -> None:
    assert abs(SystemClock().surely() - SystemClock().now()) < timedelta(seconds=5)
    clock = MovableClock()
    clock.advance(days=3)
    assert clock.surely() == clock.now()
    clock.leap(days=365)
    assert clock.now() - clock.surely() == timedelta(days=365)
    clock.leap(days=-365)
    assert clock.surely() == clock.now()
