"""A monitor: replays both logs with the rules, and looks at every paper behind every entry.

Promises: what it passes was asked for, entry by entry, by whoever was allowed to ask at that moment, in their own
signed words; nothing else is in the logs. Trusts: the policy for the checkpoints, nobody for the entries. Keeps:
nothing. Refuses: nothing: it collects what is wrong and goes on as far as it can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

from mapae.errors import Code, Refused
from mapae.trust.engine.heard import is_void, is_vote
from mapae.trust.log import statement
from mapae.trust.log.acts import act_id
from mapae.trust.log.entry import (
    Anchored,
    Entry,
    GovernorSet,
    KeyEntered,
    KeyRevoked,
    Log,
    PartyAdmitted,
    PolicySet,
    ReaderEntered,
    ReaderRevoked,
    SchemaPublished,
    SchemaWithdrawn,
)
from mapae.trust.log.rules import State
from mapae.trust.log.statement import Said


class Papers(Protocol):
    """Where statements and approvals are read from."""

    async def statement(self, digest: bytes) -> str | None: ...

    async def approvals(self, digest: bytes) -> list[str]:
        """Everything signed for the act of this statement: the statement itself, and approvals of it."""
        ...

    async def document(self, digest: bytes) -> bytes: ...


@dataclass
class Findings:
    """`wrong`: one sentence an entry, in the order of the logs."""

    entries: int = 0
    wrong: list[str] = field(default_factory=list)


async def audit(registry: Sequence[bytes], anchors: Sequence[bytes], papers: Papers, origin: str) -> Findings:
    """Replay. Entries of the two logs are put into one order by their times; at the same second the anchors come first,
    unless the rules want it otherwise (no act on the registry log needs an anchor to be missing)."""
    found, state = Findings(), State()
    rest = {Log.REGISTRY: list(registry)[::-1], Log.ANCHORS: list(anchors)[::-1]}
    while any(rest.values()):
        log, trouble = await _next(state, rest, papers, origin)
        raw = rest[log].pop()
        found.entries += 1
        if not trouble:
            await _must_have_document(found, Entry.parse(raw), papers)
            continue
        # It is written down, and taken as a fact so that the rest can be looked at.
        found.wrong.append(f"{_name(log)} {state.size(log)}: {trouble}")
        try:
            state.fold(log, raw)
        except Refused:
            found.wrong.append(f"{_name(log)} {state.size(log)}: what follows cannot be replayed")
            break
    return found


async def _next(state: State, rest: dict[Log, list[bytes]], papers: Papers, origin: str) -> tuple[Log, str]:
    """Replay the entry that may come next: its log. Where none may: the one that is wrong, and why."""
    troubles: list[tuple[Log, str]] = []
    for log in _order(rest):
        try:
            await _replay(state, log, rest[log][-1], papers, origin)
            return log, ""
        except Refused as refused:
            troubles.append((log, refused.detail or refused.code.value))
            if refused.code not in (Code.LEDGER_RULE, Code.NOT_ALLOWED):
                return troubles[-1]  # no entry of the other log can mend this
    return troubles[0]


async def _must_have_document(found: Findings, entry: Entry, papers: Papers) -> None:
    """What parties and policies point at can be read by everybody."""
    if not isinstance(entry.payload, PartyAdmitted | PolicySet):
        return
    digest = entry.payload.document
    try:
        fits = sha256(await papers.document(digest)).digest() == digest
    except Refused:
        fits = False
    if not fits:
        found.wrong.append(f"{_name(entry.log)} {entry.index}: its document is not to be had")


def _name(log: Log) -> str:
    return log.name.lower()


def _order(rest: dict[Log, list[bytes]]) -> list[Log]:
    """The log whose next entry is older first; both at the same second: anchors, then registry."""
    there = {log: _time(raws[-1]) for log, raws in rest.items() if raws}
    earliest = min(there.values())
    return [log for log in (Log.ANCHORS, Log.REGISTRY) if there.get(log) == earliest]


def _time(raw: bytes) -> int:
    return int.from_bytes(raw[32:64], "big")


async def _replay(state: State, log: Log, raw: bytes, papers: Papers, origin: str) -> None:
    """1 well-formed  2 its statement is there  3 says an act  4 the rules allow it who signed  5 it is this entry."""
    entry = Entry.parse(raw)
    if entry.log is not log or entry.index != state.size(log):
        raise Refused(Code.FORKED, "not the next entry of its log")
    signed = await papers.statement(entry.statement)
    if signed is None:
        raise Refused(Code.NOT_FOUND, "its statement is not to be had")
    if statement.digest(signed) != entry.statement:
        raise Refused(Code.BAD_DIGEST, "what is shown is another statement")
    said = statement.read(signed, origin)
    if not state.settled and log is Log.REGISTRY:
        await _genesis(state, log, raw, entry, said, papers)
        return
    act = said.act(entry.statement)
    with state.trial():
        for voice, iat in [(said.voice, said.iat), *await _approving(papers, entry.statement)]:
            sender = state.sender(voice, _party(state, entry))
            if sender is None or sender in state.votes.get(act_id(act, state.generation), ()):
                continue
            if is_vote(state, act, sender, entry.time) and is_void(iat, state):
                continue
            made = state.apply(act, sender, entry.time)
            if made is not None:
                if made.encode() != raw:
                    raise Refused(Code.BAD_DIGEST, "its statement asks for something else")
                return
        raise Refused(Code.NOT_ALLOWED, "it was not signed by whoever may ask for it")


def _party(state: State, entry: Entry) -> bytes | None:
    """Whose act it may be without governors."""
    match entry.payload:
        case KeyEntered() | KeyRevoked() | ReaderEntered() | ReaderRevoked() | Anchored():
            return entry.subject
        case SchemaPublished(owner):
            return owner
        case SchemaWithdrawn():
            known = state.schemas.get(entry.subject)
            return known.owner if known is not None else None
        case _:
            return None


async def _genesis(state: State, log: Log, raw: bytes, entry: Entry, said: Said, papers: Papers) -> None:
    """The founders signed for the policy, and so for each other."""
    payload = entry.payload
    if isinstance(payload, GovernorSet):
        signed = {said.voice, *(voice for voice, _ in await _approving(papers, entry.statement))}
        if payload.voice not in signed:
            raise Refused(Code.NOT_ALLOWED, "a founding governor has not signed")
    if isinstance(payload, PolicySet):
        terms = {"document": payload.document.hex(), "threshold": payload.threshold, "delay": payload.delay}
        if said.act_name != "put_policy" or said.args != terms:
            raise Refused(Code.NOT_ALLOWED, "its statement asks for something else")
    state.fold(log, raw)


async def _approving(papers: Papers, digest: bytes) -> list[tuple[bytes, int]]:
    """Voices of the approvals that hold, and when each was signed."""
    voices = []
    for signed in await papers.approvals(digest):
        try:
            approval = statement.read_approval(signed)
        except Refused:
            continue  # the statement itself is among them; anything else counts for nothing
        if approval.statement == digest:
            voices.append((approval.voice, approval.iat))
    return voices
