"""Where a card is on its way, as a picture of steps with dates, and when it may be expected.

Promises: pure; a step is done when its act is in the trail. Trusts: the trail. Keeps: nothing. Refuses: nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from mapae.rules import ChipRules

from .life import State
from .store import Card, Step

# What the picture shows, and which acts bring a card there.
_STOPS: Final = (
    ("applied", frozenset({"apply"})),
    ("paid", frozenset({"pay", "waive"})),
    ("made", frozenset({"make"})),
    ("sent", frozenset({"send"})),
    ("there", frozenset({"deliver", "arrive", "keep"})),
    ("active", frozenset({"activate"})),
)
_BACK: Final = frozenset({"forward", "come_back"})  # on its way once more
OVER: Final = (
    State.CANCELLED, State.LOST, State.REPLACED, State.EXPIRED, State.UNCOLLECTED, State.DESTROYED
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stop:
    """One step of the picture. `at`: epoch seconds when it was reached, 0: not yet."""

    name: str
    at: int
    now: bool


def journey(card: Card, steps: Sequence[Step]) -> tuple[Stop, ...]:
    reached: dict[str, int] = {}
    for step in steps:
        for name, acts in _STOPS:
            if step.act in acts:
                reached[name] = step.at
        if step.act in _BACK:
            reached.pop("there", None)
    moving = card.state not in OVER
    ahead = next((name for name, _ in _STOPS if name not in reached), "")
    return tuple(Stop(name, reached.get(name, 0), moving and name == ahead) for name, _ in _STOPS)


def expected(card: Card, rules: ChipRules, today: date) -> tuple[date, date] | None:
    """From when until when it should be there; None when that is no question any more."""
    (made_low, made_high), (sent_low, sent_high) = rules.production_days, rules.mail_days
    match card.state:
        case State.APPLIED | State.PAID:  # ordered in the night to come
            low, high, since = 1 + made_low + sent_low, 1 + made_high + sent_high, today
        case State.ORDERED:
            low, high, since = made_low + sent_low, made_high + sent_high, date.fromisoformat(card.issued)
        case State.MADE | State.POSTED:
            low, high, since = sent_low, sent_high, today
        case _:
            return None
    return since + timedelta(days=low), max(since + timedelta(days=high), today)
