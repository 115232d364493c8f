"""The life of a card: every state, every act, everybody who might try it."""

from __future__ import annotations

import itertools

import pytest

from mapae.errors import Code, Refused
from mapae.issuer.cards.life import EDGES, ENDS, OPEN, START, Act, By, State, drawing, possible, step


def _targets(state: State) -> set[State]:
    return {edge.target for edge in EDGES if edge.source is state}


def test_every_state_act_and_actor_is_an_arrow_of_the_drawing_or_refused():
    for state, act, by in itertools.product(State, Act, By):
        edge = next((one for one in EDGES if one.source is state and one.act is act), None)
        if edge is not None and by in edge.by:
            assert step(state, act, by) is edge.target
            assert act in possible(state, by)
            continue
        with pytest.raises(Refused) as refused:
            step(state, act, by)
        assert refused.value.code in (
            {Code.CONFLICT} if edge is None else {Code.NOT_ALLOWED, Code.SECOND_OFFICER}
        ), (state, act, by)  # fmt: skip
        assert act not in possible(state, by)


def test_an_act_leads_from_a_state_to_one_state_only():
    assert len({(edge.source, edge.act) for edge in EDGES}) == len(EDGES)


def test_every_state_can_be_reached_and_every_state_can_end():
    reached = {START}
    while grown := {target for state in reached for target in _targets(state)} - reached:
        reached |= grown
    assert reached == set(State)
    for state in State:
        seen = {state}
        while grown := {target for one in seen for target in _targets(one)} - seen:
            seen |= grown
        assert seen & ENDS, state


def test_from_an_end_nothing_leads_on():
    assert {edge.source for edge in EDGES}.isdisjoint(ENDS)
    assert {state for state in State if not _targets(state)} == ENDS


def test_a_card_that_was_active_is_never_open_again():
    seen = {State.ACTIVE}
    while grown := {target for one in seen for target in _targets(one)} - seen:
        seen |= grown
    assert seen.isdisjoint(OPEN)


def test_nothing_is_produced_unpaid_and_nobody_is_refunded_after_production():
    assert [edge.source for edge in EDGES if edge.act is Act.ORDER] == [State.PAID]
    assert {edge.source for edge in EDGES if edge.target is State.CANCELLED} == {
        State.APPLIED, State.PAID, State.ORDERED
    }  # fmt: skip


def test_a_card_becomes_active_at_a_desk_only_and_is_destroyed_by_two():
    assert [(edge.source, edge.by) for edge in EDGES if edge.target is State.ACTIVE] == [
        (State.HANDED_OVER, frozenset({By.OFFICER}))
    ]
    assert {edge.by for edge in EDGES if edge.act is Act.DESTROY} == {frozenset({By.OFFICERS})}


def test_a_citizen_applies_follows_cancels_and_reports_but_moves_nothing_else():
    assert {edge.act for edge in EDGES if By.CITIZEN in edge.by} == {Act.CANCEL, Act.LOSE}


def test_one_officer_alone_is_told_that_it_takes_two():
    with pytest.raises(Refused) as refused:
        step(State.REPLACED, Act.DESTROY, By.OFFICER)
    assert refused.value.code is Code.SECOND_OFFICER


def test_the_drawing_has_a_line_for_every_arrow():
    lines = drawing()
    assert len(lines) == len(set(lines)) == len(EDGES)
    assert "handed_over --activate--> active (officer)" in lines
