"""Who asks for an act, and whether as a party or as one governor among several: the same for each engine.

Promises: `heard` lets through only what somebody signed, for just this act. Trusts: nobody for the signature, the state
for whose voice it is. Keeps: nothing. Refuses: a statement of something else, an approval of another statement or for
another act than its statement's, a vote that is void.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import assert_never

from mapae.errors import Code, Refused
from mapae.trust.log import statement
from mapae.trust.log.acts import (
    Act,
    Anchor,
    PutGovernor,
    PutKey,
    PutParty,
    PutPolicy,
    PutReader,
    PutSchema,
    RevokeKey,
    RevokeParty,
    RevokeReader,
    WithdrawSchema,
)
from mapae.trust.log.rules import State


@dataclass(frozen=True, slots=True)
class Heard:
    """What was signed and by whom. `approves`: another governor's statement."""

    signed: str
    voice: bytes
    approves: bool
    iat: int  # when it says that it was signed


def heard(act: Act, signed: str, origin: str) -> Heard:
    """The statement the act names, which says just this act; or an approval of it."""
    if statement.digest(signed) == act.statement:
        said = statement.must_say(signed, act, origin)
        return Heard(signed, said.voice, approves=False, iat=said.iat)
    approval = statement.read_approval(signed)
    if approval.statement != act.statement:
        raise Refused(Code.NOT_ALLOWED, "this approves another statement")
    return Heard(signed, approval.voice, approves=True, iat=approval.iat)


def must_be_stated(act: Act, stated: str | None, origin: str) -> None:
    """What is approved was handed in before, and asks for just this act. An approval names the statement alone; the act
    beside it is the word of whoever hands both in, and approvals are public."""
    if stated is None:
        raise Refused(Code.NOT_FOUND, "the statement that is approved has not been handed in")
    statement.must_say(stated, act, origin)


def must_count(said: Heard, before: Iterable[str], state: State) -> None:
    """A vote given under other governors or another policy is void. What was signed is public, so that anybody could
    hand it in again, or for the first time: whoever still means it signs anew. `before`: what was counted for other
    acts."""
    if said.signed in before or is_void(said.iat, state):
        raise Refused(Code.LEDGER_RULE, "vote void")


def is_void(iat: int, state: State) -> bool:
    """Of a governor's vote: signed before the governors or the policy last changed. The same for engines and monitors,
    so that nobody who runs a log can make up for a missing vote with one from before."""
    return iat < state.governed_at


def party_of(state: State, act: Act) -> bytes | None:
    """The party that may do this by itself."""
    match act:
        case PutKey() | RevokeKey() | Anchor():
            return act.party
        case PutReader() | RevokeReader():
            return act.registrar
        case PutSchema():
            return act.owner
        case WithdrawSchema():
            known = state.schemas.get(act.schema)
            return known.owner if known is not None else None
        case PutGovernor() | PutPolicy() | PutParty() | RevokeParty():
            return None
        case _:
            assert_never(act)


def is_vote(state: State, act: Act, sender: bytes, now: int) -> bool:
    """Whether a governor does this with others, and not a party by itself."""
    match act:
        case PutGovernor() | PutPolicy() | PutParty() | RevokeParty():
            return True
        case RevokeKey() | RevokeReader():
            party = party_of(state, act)
            known = state.parties.get(party) if party is not None else None
            return known is None or sender != known.controller or not known.live(max(now, state.time))
        case _:
            return False
