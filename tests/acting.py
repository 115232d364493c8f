"""Random acts for the trust log: many that are allowed, and of the others mostly such as miss it by one.

Plain chance finds no boundary: an act at the very second its party expires, a vote too few, an id one off. So times are
drawn next to times that matter, ids next to ids that are known, and governors vote for what others have voted for.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

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
    act_id,
)
from mapae.trust.log.entry import ZERO
from mapae.trust.log.state import Tables

START = 1_800_000_000
ACCOUNTS = [bytes([0x11 * at]) * 20 for at in range(1, 9)]  # the first ones govern, most of all control parties
MOST = (1 << 64) - 1


def digest(*parts: object) -> bytes:
    return sha256(repr(parts).encode()).digest()


GOVERNORS = [(account, digest("voice", account)) for account in ACCOUNTS[:4]]


class Step(NamedTuple):
    """What one sender asks for at one moment."""

    act: Act
    sender: bytes
    now: int


class Acting:
    """Draws steps against a state that it only reads."""

    def __init__(self, state: Tables, seed: int) -> None:
        self.state = state
        self.now = START
        self._dice = random.Random(seed)
        self._pending: list[Act] = []  # governors' acts somebody has asked for
        self._said: list[bytes] = []  # statements used in some step
        self._steps = 0
        makers: dict[Callable[[bytes], Act], float] = {
            self._put_governor: 1, self._put_policy: 2, self._put_party: 12, self._revoke_party: 0.2, self._put_key: 14,
            self._revoke_key: 12, self._put_schema: 8, self._withdraw_schema: 5, self._put_reader: 9,
            self._revoke_reader: 7, self._anchor: 20,
        }  # fmt: skip
        self._makers, self._weights = list(makers), list(makers.values())

    def step(self) -> Step:
        self._steps += 1
        self._pass_time()
        dice = self._dice
        if self._pending and dice.random() < 0.5:
            return self._another_vote()
        act = dice.choices(self._makers, self._weights)[0](self._statement())
        sender = self._sender(act)
        if isinstance(act, PutGovernor | PutPolicy | PutParty | RevokeParty | RevokeKey | RevokeReader):
            self._pending = [*self._pending[-6:], act]
        self._said = [*self._said[-200:], act.statement]
        return Step(act, sender, self.now)

    def _another_vote(self) -> Step:
        """By somebody whose vote it still takes; sometimes by one who has voted, or may not."""
        dice = self._dice
        act = self._pending[-1 - dice.choice([0, 0, 0, 1, 2]) % len(self._pending)]
        voted = self.state.votes.get(act_id(act, self.state.generation), frozenset())
        missing = [account for account in self._standing() if account not in voted]
        if len(voted) + 1 >= self.state.threshold and dice.random() < 0.9:
            self._pending.remove(act)
        return Step(act, dice.choice(missing if missing and dice.random() < 0.85 else ACCOUNTS[:5]), self.now)

    def _standing(self) -> list[bytes]:
        return [address for address, governor in self.state.governors.items() if governor.standing]

    # --- what is drawn from ----------------------------------------------------------------------------------------

    def _pass_time(self) -> None:
        """Bursts within a second, and leaps to the very edge of somebody's term."""
        dice = self._dice
        self.now += dice.choice([0, 0, 0, 0, 1, 1, 7])
        if dice.random() < 0.05:
            edges = [edge for party in self.state.parties.values() for edge in (party.valid_from, party.valid_until)]
            soon = [edge for edge in edges if self.now <= edge - 1 < self.now + 2_000]
            if soon:
                self.now = min(soon) - dice.choice([0, 1])

    def _statement(self) -> bytes:
        chance = self._dice.random()
        if chance < 0.01:
            return ZERO
        if chance < 0.05 and self._said:
            return self._dice.choice(self._said)
        return digest("statement", self._steps)

    def _moment(self) -> int:
        dice, now = self._dice, self.now
        if dice.random() < 0.25:
            now += self.state.delay
        if dice.random() < 0.02:
            return dice.choice([1, MOST, MOST - 1])
        return now + dice.choice([-500, -1, 0, 0, 1, 40, 500])

    def _term(self) -> tuple[int, int]:
        """From and until; often in the wrong order by one, or not there at all."""
        start = 0 if self._dice.random() < 0.5 else self._moment()
        until = (start or self.now) + self._dice.choice([-1, 0, 1, 60, 700, 5_000, 900_000, 900_000, 900_000])
        return start, min(until, MOST)

    def _id(self, kind: str, pace: int, width: int = 4) -> bytes:
        """Drifts on with the steps, so that some are new and some well known; rarely none."""
        if self._dice.random() < 0.01:
            return ZERO
        return digest(kind, self._steps // pace + self._dice.randrange(width))

    def _party(self) -> bytes:
        known, chance = self.state.parties, self._dice.random()
        live = [party for party in list(known)[-12:] if known[party].live(self.now)] if chance < 0.7 else []
        if live or (known and chance < 0.9):
            return self._dice.choice(live or list(known)[-5:])
        return self._id("party", 200)

    def _reason(self) -> int:
        return self._dice.choice([0, 1, 2, 3, 3, 3, 4, 5])

    def _sender(self, act: Act) -> bytes:
        """Mostly who may: the party's controller or a governor."""
        dice = self._dice
        if dice.random() < 0.06:
            return dice.choice(ACCOUNTS)
        party = None
        match act:
            case PutKey(party) | PutReader(party) | Anchor(party) | PutSchema(party):
                pass
            case RevokeKey(party) | RevokeReader(party) if dice.random() < 0.6:
                pass
            case WithdrawSchema(schema) if schema in self.state.schemas:
                party = self.state.schemas[schema].owner
            case _:
                pass
        known = self.state.parties.get(party) if party else None
        return known.controller if known else dice.choice(self._standing())

    # --- acts ------------------------------------------------------------------------------------------------------

    def _put_governor(self, statement: bytes) -> Act:
        dice = self._dice
        governor = dice.choice([*ACCOUNTS[:6], bytes(20)] if dice.random() < 0.2 else ACCOUNTS[:6])
        known = self.state.governors.get(governor)
        standing = 0 if known is not None and known.standing else 1
        voice = ZERO if dice.random() < 0.05 else digest("voice", governor)
        return PutGovernor(governor, voice, dice.choice([standing] * 9 + [1 - standing, 2]), statement)

    def _put_policy(self, statement: bytes) -> Act:
        dice = self._dice
        threshold = dice.choice([1, 2, 2] * 6 + [3, self.state.standing, self.state.standing + 1, 0])
        delay = dice.choice([0, 0, 0, 0, 50, 50, 500, 7_776_000, 7_776_001, MOST])
        if self._steps % 20:  # a long delay keeps parties out: not for long
            delay = min(delay, 50)
        return PutPolicy(self._id("policy", 50), threshold, delay, statement)

    def _put_party(self, statement: bytes) -> Act:
        dice = self._dice
        party = self._party()
        known = self.state.parties.get(party)
        start, until = self._term()
        if known is not None and dice.random() < 0.5:  # new terms, the same powers
            start = dice.choice(
                [0, known.valid_from, min(known.valid_from + 1, MOST), self.now, self.now - 1, self.now + 1]
            )
            until = dice.choice([until, known.valid_from, min(known.valid_from + 1, MOST), self.now + 400])
            return PutParty(
                party, known.controller, known.voice, known.roles, start, until, digest(self._steps), statement
            )  # fmt: skip
        controller = dice.choice([*ACCOUNTS * 4, bytes(20)])
        voice = dice.choice([*[digest("voice", controller)] * 20, ZERO])
        if known is not None and dice.random() < 0.3:  # one of them stays
            controller, voice = dice.choice([(known.controller, voice), (controller, known.voice)])
        document = ZERO if dice.random() < 0.02 else digest(self._steps)
        roles = dice.choice([31, 31, 31, 31, 1, 2, 3, 4, 8, 16, 24, dice.randrange(32), 0, 32, 255])
        roles = known.roles if known is not None and dice.random() < 0.5 else roles
        return PutParty(party, controller, voice, roles, start, until, document, statement)

    def _revoke_party(self, statement: bytes) -> Act:
        return RevokeParty(self._party(), self._reason(), statement)

    def _put_key(self, statement: bytes) -> Act:
        start, until = self._term()
        purpose = self._dice.choice([0, 1, 2, 3, 4, 5, 5, 6])
        return PutKey(self._party(), self._id("key", 12), purpose, start, until, statement)

    def _revoke_key(self, statement: bytes) -> Act:
        key = self._recent(list(self.state.keys), "key", 12)
        known = self.state.keys.get(key)
        party = known.party if known is not None and self._dice.random() < 0.9 else self._party()
        since = 0 if self._dice.random() < 0.4 else self._moment()
        return RevokeKey(party, key, self._reason(), since, statement)

    def _put_schema(self, statement: bytes) -> Act:
        return PutSchema(self._party(), self._id("schema", 25), self._id("digest", 1), statement)

    def _withdraw_schema(self, statement: bytes) -> Act:
        return WithdrawSchema(self._recent(list(self.state.schemas), "schema", 25), statement)

    def _put_reader(self, statement: bytes) -> Act:
        start, until = self._term()
        return PutReader(self._party(), self._id("reader", 20), self._id("cert", 1), start, until, statement)

    def _revoke_reader(self, statement: bytes) -> Act:
        reader = self._recent(list(self.state.readers), "reader", 20)
        known = self.state.readers.get(reader)
        registrar = known.registrar if known is not None and self._dice.random() < 0.9 else self._party()
        since = 0 if self._dice.random() < 0.4 else self._moment()
        return RevokeReader(registrar, reader, self._reason(), since, statement)

    def _anchor(self, statement: bytes) -> Act:
        dice = self._dice
        party, stream = self._party(), ZERO if dice.random() < 0.01 else digest("stream", dice.randrange(2))
        last = self.state.anchors.get((party, stream))
        seq = (last.seq if last else 0) + dice.choice([1] * 8 + [0, 2])
        update = self.now + dice.choice([300, 300, 300, 1, 1, 0, -1])
        return Anchor(party, stream, seq, self._id("root", 1), dice.randrange(99), update, statement)

    def _recent(self, known: list[bytes], kind: str, pace: int) -> bytes:
        if known and self._dice.random() < 0.9:
            return self._dice.choice(known[-6:])
        return self._id(kind, pace)
