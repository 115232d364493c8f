"""The life of a physical card, from the application to its destruction: one state machine, and nothing else.

Promises: `step` gives the one state an act leads to, or refuses; every act says who may do it and what is written down
with it; every state but the two ends can reach an end. Trusts: its caller for who acts, and to move a card only by
compare-and-swap from the state it saw. Keeps: nothing. Refuses: an act the card's state does not allow with CONFLICT,
an act by somebody else with NOT_ALLOWED, one that takes two officers with SECOND_OFFICER.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from mapae.errors import Code, Refused


class State(StrEnum):
    APPLIED = "applied"  # filed; the fee is open
    PAID = "paid"  # paid, or free by rule; an uploaded photo may still wait for an officer's eye
    ORDERED = "ordered"  # at the factory
    MADE = "made"  # signed by us, finished, in the factory's outgoing box
    POSTED = "posted"  # registered, on its way to the person or to an office
    DELIVERED = "delivered"  # handed to the addressee; worth nothing until activated at an office
    RETURNED = "returned"  # came back to the office of the application
    AT_OFFICE = "at_office"  # waits in the office's safe
    HANDED_OVER = "handed_over"  # holder proven; the delivery PIN is still to be changed
    ACTIVE = "active"  # the holder's own PIN is set
    LOST = "lost"
    REPLACED = "replaced"  # a later card took its place
    EXPIRED = "expired"
    UNCOLLECTED = "uncollected"  # waited too long
    CANCELLED = "cancelled"  # before production; what was paid goes back
    DESTROYED = "destroyed"  # by two officers


class Act(StrEnum):
    PAY = "pay"
    WAIVE = "waive"
    LAPSE = "lapse"
    CANCEL = "cancel"
    REFUSE = "refuse"
    ORDER = "order"
    REORDER = "reorder"
    MAKE = "make"
    SEND = "send"
    DELIVER = "deliver"
    ARRIVE = "arrive"
    COME_BACK = "come_back"
    KEEP = "keep"
    FORWARD = "forward"
    HAND_OVER = "hand_over"
    PUT_BACK = "put_back"
    ACTIVATE = "activate"
    LOSE = "lose"
    REPLACE = "replace"
    EXPIRE = "expire"
    WAIT_OUT = "wait_out"
    DESTROY = "destroy"


class By(StrEnum):
    """Who acts."""

    HOUSE = "house"  # the issuer itself, on what a port or the clock says
    CITIZEN = "citizen"
    OFFICER = "officer"
    OFFICERS = "officers"  # two, of one office, each with an own passkey


@dataclass(frozen=True, slots=True)
class Edge:
    """One arrow of the drawing. `records` names what is written down with it besides time and actor."""

    source: State
    act: Act
    target: State
    by: frozenset[By]
    records: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.source} --{self.act}--> {self.target} ({', '.join(sorted(self.by))})"


def _edges() -> Iterator[Edge]:
    s, a, b = State, Act, By
    house, desk = frozenset({b.HOUSE}), frozenset({b.OFFICER})
    either, two = frozenset({b.OFFICER, b.CITIZEN}), frozenset({b.OFFICERS})

    # the application and its fee
    yield Edge(s.APPLIED, a.PAY, s.PAID, house, ("payment",))
    yield Edge(s.APPLIED, a.WAIVE, s.PAID, house, ("free_by",))
    yield Edge(s.APPLIED, a.LAPSE, s.CANCELLED, house)
    for source in (s.APPLIED, s.PAID, s.ORDERED):  # from ordered only if the factory takes the order back
        yield Edge(source, a.CANCEL, s.CANCELLED, either, ("refund",))
        yield Edge(source, a.REFUSE, s.CANCELLED, desk | house, ("reason", "refund"))

    # factory and post
    yield Edge(s.PAID, a.ORDER, s.ORDERED, house, ("order", "number"))
    yield Edge(s.ORDERED, a.REORDER, s.ORDERED, house, ("order", "number", "reason"))
    yield Edge(s.ORDERED, a.MAKE, s.MADE, house, ("sod", "chip_key"))
    yield Edge(s.MADE, a.SEND, s.POSTED, house, ("tracking",))
    yield Edge(s.POSTED, a.DELIVER, s.DELIVERED, house)
    yield Edge(s.POSTED, a.ARRIVE, s.AT_OFFICE, house, ("office",))
    yield Edge(s.POSTED, a.COME_BACK, s.RETURNED, house, ("office",))
    yield Edge(s.RETURNED, a.KEEP, s.AT_OFFICE, desk, ("office",))
    for source in (s.RETURNED, s.AT_OFFICE):  # to another office, or once more by mail
        yield Edge(source, a.FORWARD, s.MADE, desk, ("to",))

    # hand-over
    for source in (s.AT_OFFICE, s.DELIVERED):
        yield Edge(source, a.HAND_OVER, s.HANDED_OVER, desk | two, ("fingerprint", "eye", "second"))
    yield Edge(s.HANDED_OVER, a.PUT_BACK, s.AT_OFFICE, desk, ("office",))
    yield Edge(s.HANDED_OVER, a.ACTIVATE, s.ACTIVE, desk, ("number",))

    # what ends it
    for source in (s.POSTED, s.DELIVERED, s.HANDED_OVER, s.ACTIVE):
        yield Edge(source, a.LOSE, s.LOST, either)
    for source in (s.MADE, s.RETURNED, s.AT_OFFICE):  # lost in our own hands
        yield Edge(source, a.LOSE, s.LOST, desk)
    for source in (s.ACTIVE, s.EXPIRED):
        yield Edge(source, a.REPLACE, s.REPLACED, house, ("by_card",))
    yield Edge(s.ACTIVE, a.EXPIRE, s.EXPIRED, house)
    for source in (s.AT_OFFICE, s.RETURNED, s.DELIVERED):
        yield Edge(source, a.WAIT_OUT, s.UNCOLLECTED, house)
    for source in (s.LOST, s.REPLACED, s.EXPIRED, s.UNCOLLECTED):  # lost: it was found and brought in
        yield Edge(source, a.DESTROY, s.DESTROYED, two, ("second",))


EDGES: Final = tuple(_edges())
_BY_ACT: Final = {(edge.source, edge.act): edge for edge in EDGES}

START: Final = State.APPLIED
ENDS: Final = frozenset({State.CANCELLED, State.DESTROYED})
# Of these a person has at most one: an index of the database says so too (migrations/issuer/0011_cards.sql).
OPEN: Final = (
    State.APPLIED, State.PAID, State.ORDERED, State.MADE, State.POSTED, State.DELIVERED, State.RETURNED,
    State.AT_OFFICE, State.HANDED_OVER,
)  # fmt: skip
WAITING: Final = (State.AT_OFFICE, State.RETURNED, State.DELIVERED)  # for the holder, who has `pickup_days`


def step(state: State, act: Act, by: By) -> State:
    """Where `act` leads from here."""
    edge = _BY_ACT.get((state, act))
    if edge is None:
        raise Refused(Code.CONFLICT, f"the card is {_words(state)}: it cannot be {_words(DONE[act])} now")
    if by not in edge.by:
        if By.OFFICERS in edge.by and by is By.OFFICER:
            raise Refused(Code.SECOND_OFFICER, "this takes two officers")
        raise Refused(Code.NOT_ALLOWED, f"this may not be done by: {by.value}")
    return edge.target


def _words(name: str) -> str:
    return name.replace("_", " ")


def possible(state: State, by: By) -> tuple[Act, ...]:
    """What may be done now, in the order of the drawing."""
    return tuple(edge.act for edge in EDGES if edge.source is state and by in edge.by)


def drawing() -> tuple[str, ...]:
    """Every arrow as one line, for the picture in docs/ to be checked against."""
    return tuple(str(edge) for edge in EDGES)


DONE: Final = {
    Act.PAY: "paid", Act.WAIVE: "waived", Act.LAPSE: "lapsed", Act.CANCEL: "cancelled", Act.REFUSE: "refused",
    Act.ORDER: "ordered", Act.REORDER: "ordered_again", Act.MAKE: "made", Act.SEND: "sent", Act.DELIVER: "delivered",
    Act.ARRIVE: "received", Act.COME_BACK: "returned", Act.KEEP: "kept", Act.FORWARD: "forwarded",
    Act.HAND_OVER: "handed_over", Act.PUT_BACK: "put_back", Act.ACTIVATE: "activated", Act.LOSE: "lost",
    Act.REPLACE: "replaced", Act.EXPIRE: "expired", Act.WAIT_OUT: "given_up", Act.DESTROY: "destroyed",
}  # fmt: skip
"""How the deed is called in the audit trail."""
