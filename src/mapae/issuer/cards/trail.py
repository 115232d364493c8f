"""One move of a card: the state machine asked, the row swapped, the step and the audit event written, all in one go.

Promises: nothing moves without a step in the card's trail and an event in the audit chain, in the same transaction.
Trusts: its callers for who acts. Keeps: nothing. Refuses: a card that has moved since it was looked at, with CONFLICT.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from mapae import outbox
from mapae.audit import Event, record
from mapae.clock import Clock
from mapae.db import Tx, Value
from mapae.errors import Code, Refused
from mapae.issuer.officers import Officer

from . import store
from .life import DONE, OPEN, Act, By, State, step
from .store import Card, Step

HOUSE: Final = "issuer"
REGISTER: Final = "card.register"  # the outbox's kind: what the population register shall know
PAPER: Final = "card.paper"  # the same: a temporary certificate that has served
AT_ONCE: Final = datetime.fromtimestamp(0, UTC)  # whatever clock the outbox goes by: a demo's cards may be days ahead
NO_PAPER: Final = (State.ACTIVE, State.CANCELLED, State.LOST, State.UNCOLLECTED)  # from here on it bridges nothing


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: an officer (with a second one, where it takes two), a citizen, or the issuer itself."""

    by: By
    id: str
    office: str = ""
    second: str = ""

    @classmethod
    def officer(cls, officer: Officer, second: Officer | None = None) -> Actor:
        """Two only if they are two: another person of the same office."""
        if second is None:
            return cls(By.OFFICER, officer.id, officer.office)
        if second.id == officer.id or second.office != officer.office:
            raise Refused(Code.SECOND_OFFICER, "the second officer must be another one of the same office")
        return cls(By.OFFICERS, officer.id, officer.office, second.id)


THE_HOUSE: Final = Actor(By.HOUSE, HOUSE)
CITIZEN: Final = Actor(By.CITIZEN, "citizen")


async def go(
    tx: Tx, seen: Card, act: Act, actor: Actor, clock: Clock, *, detail: str = "", **changes: Value
) -> Card:  # fmt: skip
    """The card in its next state, since a moment that has surely passed: what ends by itself ends by that."""
    target, now, at = _target(seen.state, act, actor), clock.now(), int(clock.surely().timestamp())
    if not await store.move(tx, seen, target, at, **changes):
        raise Refused(Code.CONFLICT, "the card has changed: look at it again")
    moved: dict[str, Any] = {"since": at, "look_at": at, **changes, "state": target}
    after = replace(seen, **moved)
    await _write(tx, after, act.value, actor, now, detail)
    if target in NO_PAPER and seen.state in OPEN:
        await outbox.promise(tx, PAPER, seen.id, {"card": seen.id, "reason": target.value, "actor": actor.id}, AT_ONCE)
    facts: dict[str, str | int] = {"card": seen.id, "from": seen.state.value, "to": target.value}
    await _audit(tx, seen.person, DONE[act], actor, facts, detail, now)
    return after


async def note(
    tx: Tx, seen: Card, what: str, actor: Actor, now: datetime, *, detail: str = "", **changes: Value
) -> Card:
    """Something worth keeping that moves nothing."""
    if changes and not await store.note(tx, seen, **changes):
        raise Refused(Code.CONFLICT, "the card has changed: look at it again")
    kept: dict[str, Any] = dict(changes)
    after = replace(seen, **kept)
    await _write(tx, after, what, actor, now, detail)
    await _audit(tx, seen.person, what, actor, {"card": seen.id, "to": seen.state.value}, detail, now)
    return after


async def begun(tx: Tx, card: Card, actor: Actor, now: datetime) -> None:
    """The first line of a trail."""
    await _write(tx, card, "apply", actor, now, card.why.value)
    facts: dict[str, str | int] = {"card": card.id, "to": card.state.value}
    await _audit(tx, card.person, "applied_for", actor, facts, card.why.value, now)


async def tell_register(tx: Tx, card: Card, what: Mapping[str, Any]) -> None:
    """Promised in this transaction, done when the register answers; each thing once a card."""
    key = f"{card.id}:{what['do']}:{what.get('number', '')}:{what.get('state', '')}"
    await outbox.promise(tx, REGISTER, key, {"person": card.person, "card": card.id, **what}, AT_ONCE)


async def tell_lost(tx: Tx, person: str, number: str, actor: Actor, now: datetime) -> None:
    """The same of a card that is none of ours: an older one of plain plastic, say."""
    told = {"person": person, "card": "", "do": "mark", "number": number, "state": "lost"}
    await outbox.promise(tx, REGISTER, f"{person}:{number}:lost", told, AT_ONCE)
    await record(tx, Event(person, "card", "reported_lost", actor.id), now)


def _target(state: State, act: Act, actor: Actor) -> State:
    """Two officers may do whatever one may."""
    try:
        return step(state, act, actor.by)
    except Refused as refused:
        if actor.by is not By.OFFICERS or refused.code is not Code.NOT_ALLOWED:
            raise
        return step(state, act, By.OFFICER)


async def _write(tx: Tx, card: Card, what: str, actor: Actor, now: datetime, detail: str) -> None:
    line = Step(int(now.timestamp()), actor.id, actor.second, what, card.state, detail)
    await store.add_step(tx, card.id, line, actor.office or card.office)


async def _audit(
    tx: Tx, person: str, action: str, actor: Actor, facts: dict[str, str | int], detail: str, now: datetime
) -> None:
    more = {name: said for name, said in (("detail", detail), ("second", actor.second)) if said}
    await record(tx, Event(person, "card", action, actor.id, facts | more), now)
