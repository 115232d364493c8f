"""The rules of the log: what an act may do, and what an entry may say. TrustLog.vy has the same, in the same order.

`decide` goes through an act in this order, and a refusal names the rule in quotes:

1. the statement was never used by an executed act: "statement".
2. the sender may act. Governors' acts: a standing governor, "governor", who has not voted for this very act, "voted".
   Parties' acts: the party's controller, "not the party", and the party is live, "party not live". To revoke a key or
   a reader the live controller acts alone; anybody else has to be a governor and votes.
3. a governor's act with fewer votes than the threshold, this one included, is only counted.
4. what is left open (0) is filled in: a start, a since.
5. the entry that comes of it may follow what is there: `must_follow`.

Promises: both engines and every replica decide alike, because each rule about entries stands here once, for acts and
for replays. Trusts: the caller to say who the sender is and what time it is. Keeps: nothing; see `state.py`. Refuses:
LEDGER_RULE with the rule's name. A replay cannot see senders and votes, nor, of the anchors, what the party was allowed
at that moment: the statement each entry names shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NoReturn, Self, assert_never

from mapae.errors import Code, Refused
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
from mapae.trust.log.entry import (
    KINDS,
    MOST_PURPOSES,
    MOST_REASONS,
    MOST_ROLES,
    NOBODY,
    ZERO,
    Anchored,
    Entry,
    GovernorSet,
    KeyEntered,
    KeyRevoked,
    Log,
    PartyAdmitted,
    PartyRevoked,
    Payload,
    PolicySet,
    ReaderEntered,
    ReaderRevoked,
    Reason,
    Role,
    SchemaPublished,
    SchemaWithdrawn,
)
from mapae.trust.log.state import Party, Tables, Vote

MOST_GOVERNORS: Final = 16
MOST_DELAY: Final = 7_776_000  # 90 days in seconds


class State(Tables):
    """What the logs amount to so far, and the only two ways on from there: an act, or an entry already written."""

    @classmethod
    def genesis(
        cls, governors: Sequence[tuple[bytes, bytes]], threshold: int, delay: int, document: bytes, statement: bytes,
        now: int,
    ) -> tuple[Self, list[Entry]]:  # fmt: skip
        """A new country: its governors (address and voice) and its policy. One statement covers them all."""
        state = cls()
        if not 1 <= len(governors) <= MOST_GOVERNORS:
            _break("governor terms")
        entries = []
        said: list[tuple[bytes, Payload]] = [(address, GovernorSet(voice, 1)) for address, voice in governors]
        for subject, payload in [*said, (ZERO, PolicySet(document, threshold, delay))]:
            entry = _entry(state, now, subject, statement, payload)
            must_follow(state, entry)
            state.take(entry)
            entries.append(entry)
        return state, entries

    def decide(self, act: Act, sender: bytes, now: int) -> Entry | Vote:
        """Pure: what this act comes to now. Time never runs backwards: it is at least that of the newest entry."""
        now = max(now, self.time)
        if act.statement == ZERO or act.statement in self.statements:
            _break("statement")
        vote = _vote(self, act, sender, now)
        if vote is not None and len(self.votes.get(vote.act, ())) + 1 < self.threshold:
            return vote
        entry = _entry(self, now, *_said(self, act, now))
        must_follow(self, entry)
        return entry

    def apply(self, act: Act, sender: bytes, now: int) -> Entry | None:
        """Decide, and take what was decided. None: a vote was counted. A refusal changes nothing."""
        decided = self.decide(act, sender, now)
        if isinstance(decided, Vote):
            self.count(decided)
            return None
        if self.votes:
            self.spend(act_id(act, self.generation))
        self.take(decided)
        return decided

    def fold(self, log: Log, raw: bytes) -> Entry:
        """Take the next entry of a log from its bytes, if it is well-formed and the rules allow it there."""
        entry = Entry.parse(raw)
        if entry.log is not log:
            raise Refused(Code.MALFORMED, "an entry of the other log")
        if entry.index != self.size(log):
            raise Refused(Code.FORKED, "an entry is not the next one of its log")
        must_follow(self, entry)
        self.take(entry, raw)
        return entry


# --- who may act ----------------------------------------------------------------------------------------------------


def _vote(state: Tables, act: Act, sender: bytes, now: int) -> Vote | None:
    """The vote this is, or None where a party acts for itself."""
    match act:
        case PutGovernor() | PutPolicy() | PutParty() | RevokeParty():
            pass
        case RevokeKey(party) | RevokeReader(party):
            known = state.parties.get(party)
            if known is not None and sender == known.controller and known.live(now):
                return None
        case PutKey(party) | PutReader(party) | Anchor(party) | PutSchema(party):
            _must_act_for(state, party, sender, now)
            return None
        case WithdrawSchema(schema):
            held = state.schemas.get(schema)
            if held is None:
                _break("unknown schema")
            _must_act_for(state, held.owner, sender, now)
            return None
        case _:
            assert_never(act)
    governor = state.governors.get(sender)
    if governor is None or not governor.standing:
        _break("governor")
    made = Vote(act_id(act, state.generation), sender, state.generation)
    if sender in state.votes.get(made.act, ()):
        _break("voted")
    return made


def _must_act_for(state: Tables, party: bytes, sender: bytes, now: int) -> Party:
    known = state.parties.get(party)
    if known is None or sender != known.controller:
        _break("not the party")
    if not known.live(now):
        _break("party not live")
    return known


# --- what the act says, with nothing left open ---------------------------------------------------------------------


def _said(state: Tables, act: Act, now: int) -> tuple[bytes, bytes, Payload]:
    """Subject, statement and payload of the entry. Rules that need more than the entry's own log are here."""
    match act:
        case PutGovernor():
            return act.governor, act.statement, GovernorSet(act.voice, act.standing)
        case PutPolicy():
            return ZERO, act.statement, PolicySet(act.document, act.threshold, act.delay)
        case PutParty():
            known = state.parties.get(act.party)
            soonest = known.valid_from if known and _same_powers(known, act) else now + state.delay
            terms = act.controller, act.voice, act.roles, act.valid_from or soonest, act.valid_until, act.document
            return act.party, act.statement, PartyAdmitted(*terms)
        case RevokeParty():
            return act.party, act.statement, PartyRevoked(act.reason)
        case PutKey():
            said = KeyEntered(act.thumbprint, act.purpose, act.valid_from or now, act.valid_until)
            return act.party, act.statement, said
        case RevokeKey():
            return act.party, act.statement, KeyRevoked(act.thumbprint, act.reason, act.since or now)
        case PutSchema():
            return act.schema, act.statement, SchemaPublished(act.owner, act.digest)
        case WithdrawSchema():
            return act.schema, act.statement, SchemaWithdrawn()
        case PutReader():
            if not state.parties[act.registrar].roles & Role.REGISTRAR:
                _break("role")
            entered = ReaderEntered(act.reader, act.certificate, act.valid_from or now, act.valid_until)
            return act.registrar, act.statement, entered
        case RevokeReader():
            entered_by = state.readers.get(act.reader)
            if entered_by is None or entered_by.registrar != act.registrar:
                _break("unknown reader")
            return act.registrar, act.statement, ReaderRevoked(act.reader, act.reason, act.since or now)
        case Anchor():
            if not state.parties[act.party].roles & (Role.STATUS | Role.AUDIT):
                _break("role")
            anchored = Anchored(act.stream, act.seq, act.root, act.leaves, act.next_update)
            return act.party, act.statement, anchored
        case _:
            assert_never(act)


def _same_powers(known: Party, said: PutParty | PartyAdmitted) -> bool:
    """Terms that give nobody anything new need not wait."""
    return known.controller == said.controller and known.voice == said.voice and known.roles == said.roles


def _entry(state: Tables, now: int, subject: bytes, statement: bytes, said: Payload) -> Entry:
    kind = KINDS[type(said)]
    return Entry(state.size(kind.log), now, kind, subject, statement, said)


# --- what an entry may say after those before it -------------------------------------------------------------------


def must_follow(state: Tables, entry: Entry) -> None:
    """The rules an entry itself can be held against: of its own log, at the entry's own time."""
    log = entry.log
    if entry.time < state.times[log]:
        _break("time")
    if not state.settled and log is Log.REGISTRY:
        _genesis(state, entry)
        return
    if entry.statement == ZERO or entry.statement in state.statements:
        _break("statement")
    said = entry.payload
    match said:
        case ReaderEntered():
            _reader_entered(state, said)
        case Anchored():
            _anchored(state, entry, said)
        case KeyEntered():
            _key_entered(state, entry, said)
        case KeyRevoked():
            _key_revoked(state, entry, said)
        case ReaderRevoked():
            if said.reader in state.readers_revoked:
                _break("revoked is final")
            _must_be_cause(said.reason, said.since, entry.time)
        case PartyAdmitted():
            _party_admitted(state, entry, said)
        case PartyRevoked():
            _party_revoked(state, entry, said)
        case SchemaPublished():
            _schema_published(state, entry, said)
        case SchemaWithdrawn():
            _schema_withdrawn(state, entry)
        case GovernorSet():
            _governor_set(state, entry, said)
        case PolicySet():
            _policy_set(state, said)
        case _:
            assert_never(said)


def _genesis(state: Tables, entry: Entry) -> None:
    """Governors, then the policy, all under one statement."""
    if entry.statement == ZERO or (state.statements and entry.statement not in state.statements):
        _break("statement")
    match entry.payload:
        case GovernorSet(_, 1) as said:
            _governor_set(state, entry, said)
        case PolicySet() as said:
            _policy_set(state, said)
        case _:
            _break("genesis")


def _governor_set(state: Tables, entry: Entry, said: GovernorSet) -> None:
    governor, standing = entry.subject, state.standing
    known = state.governors.get(governor)
    stands = known is not None and known.standing
    if said.standing == 1:
        fine = not stands and said.voice != ZERO and standing < MOST_GOVERNORS
    else:
        fine = said.standing == 0 and stands and standing - 1 >= state.threshold
    if governor == NOBODY or not fine:
        _break("governor terms")


def _policy_set(state: Tables, said: PolicySet) -> None:
    if said.document == ZERO or not 1 <= said.threshold <= state.standing or said.delay > MOST_DELAY:
        _break("policy terms")


def _party_admitted(state: Tables, entry: Entry, said: PartyAdmitted) -> None:
    if ZERO in (entry.subject, said.voice, said.document) or said.controller == NOBODY:
        _break("terms")
    if not 1 <= said.roles <= MOST_ROLES:
        _break("terms")
    known = state.parties.get(entry.subject)
    if known is not None and known.revoked is not None:
        _break("revoked is final")
    if known is not None and _same_powers(known, said):
        if said.valid_from != known.valid_from and said.valid_from < entry.time:
            _break("delay")
    elif said.valid_from < entry.time + state.delay:
        _break("delay")
    if said.valid_until <= said.valid_from:
        _break("terms")


def _party_revoked(state: Tables, entry: Entry, said: PartyRevoked) -> None:
    known = state.parties.get(entry.subject)
    if known is None:
        _break("unknown party")
    if known.revoked is not None:
        _break("revoked is final")
    if not 1 <= said.reason <= MOST_REASONS:
        _break("reason")


def _key_entered(state: Tables, entry: Entry, said: KeyEntered) -> None:
    _must_be_live(state, entry.subject, entry.time)
    if said.thumbprint == ZERO or said.thumbprint in state.keys:
        _break("key exists")
    if not 1 <= said.purpose <= MOST_PURPOSES:
        _break("purpose")
    if said.valid_until <= said.valid_from:
        _break("terms")


def _key_revoked(state: Tables, entry: Entry, said: KeyRevoked) -> None:
    key = state.keys.get(said.thumbprint)
    if key is None or key.party != entry.subject:
        _break("unknown key")
    if key.revoked is not None:
        _break("revoked is final")
    _must_be_cause(said.reason, said.since, entry.time)


def _must_be_cause(reason: int, since: int, now: int) -> None:
    """Only a compromise reaches back: whatever else is revoked was good until now."""
    if not 1 <= reason <= MOST_REASONS:
        _break("reason")
    if since > now or (since < now and reason != Reason.COMPROMISED):
        _break("since")


def _schema_published(state: Tables, entry: Entry, said: SchemaPublished) -> None:
    owner = _must_be_live(state, said.owner, entry.time)
    if not owner.roles & Role.ISSUER:
        _break("role")
    if ZERO in (entry.subject, said.digest) or entry.subject in state.schemas:
        _break("schema exists")


def _schema_withdrawn(state: Tables, entry: Entry) -> None:
    known = state.schemas.get(entry.subject)
    if known is None:
        _break("unknown schema")
    _must_be_live(state, known.owner, entry.time)
    if known.withdrawn_at is not None:
        _break("withdrawn")


def _reader_entered(state: Tables, said: ReaderEntered) -> None:
    if ZERO in (said.reader, said.certificate) or said.reader in state.readers:
        _break("reader exists")
    if said.valid_until <= said.valid_from:
        _break("terms")


def _anchored(state: Tables, entry: Entry, said: Anchored) -> None:
    if ZERO in (said.stream, said.root):
        _break("terms")
    last = state.anchors.get((entry.subject, said.stream))
    if said.seq != (last.seq if last is not None else 0) + 1:
        _break("seq")
    if said.next_update <= entry.time:
        _break("next_update")


def _must_be_live(state: Tables, party: bytes, at: int) -> Party:
    known = state.parties.get(party)
    if known is None or not known.live(at):
        _break("party not live")
    return known


def _break(rule: str) -> NoReturn:
    raise Refused(Code.LEDGER_RULE, rule)
