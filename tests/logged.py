"""A small trust log to test with: digests and addresses made from words, a country with three governors, and acts
drawn at random that are often near what the rules just allow."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from random import Random
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from mapae.trust.log import acts
from mapae.trust.log.acts import Act
from mapae.trust.log.entry import Entry
from mapae.trust.log.note import (
    COSIGNATURE,
    ED25519,
    ML_DSA_44,
    Checkpoint,
    Note,
    VerifierKey,
    cosign,
    sign_checkpoint,
)
from mapae.trust.log.policy import Policy
from mapae.trust.log.rules import State

NOW = 1_795_000_000
GOVERNORS = ("governor-1", "governor-2", "governor-3")


def digest(word: object) -> bytes:
    return sha256(str(word).encode()).digest()


def address(word: object) -> bytes:
    return digest(word)[-20:]


def country(
    *, governors: tuple[str, ...] = GOVERNORS, threshold: int = 2, delay: int = 0, now: int = NOW
) -> tuple[State, list[Entry]]:
    people = [(address(name), digest(name)) for name in governors]
    return State.genesis(people, threshold, delay, digest("policy"), digest("genesis"), now)


class Country:
    """A state and what was appended; `vote` has as many governors vote as it takes."""

    def __init__(self, **options: Any) -> None:
        self.now = options.get("now", NOW)
        self.state, genesis = country(**options)
        self.raw = [[entry.encode() for entry in genesis], []]
        self._statements = 0

    def statement(self) -> bytes:
        self._statements += 1
        return digest(f"statement {self._statements}")

    def apply(self, act: Act, sender: str) -> Entry | None:
        entry = self.state.apply(act, address(sender), self.now)
        if entry is not None:
            self.raw[entry.log].append(entry.encode())
        return entry

    def vote(self, act: Act, governors: tuple[str, ...] = GOVERNORS) -> Entry:
        for name in governors:
            entry = self.apply(act, name)
            if entry is not None:
                return entry
        raise AssertionError("not enough votes")

    def put_party(self, name: str, **change: Any) -> Entry:
        return self.vote(self.party_act(name, **change))

    def party_act(self, name: str, **change: Any) -> acts.PutParty:
        terms: dict[str, Any] = {
            "party": digest(name), "controller": address(name), "voice": digest(name), "roles": 31, "valid_from": 0,
            "valid_until": self.now + 1000, "document": digest(f"document of {name}"), "statement": self.statement(),
        }  # fmt: skip
        return acts.PutParty(**(terms | change))

    def put_key(self, party: str, key: str, **change: Any) -> Entry | None:
        terms: dict[str, Any] = {
            "party": digest(party), "thumbprint": digest(key), "purpose": 2, "valid_from": 0,
            "valid_until": self.now + 500, "statement": self.statement(),
        }  # fmt: skip
        sender = change.pop("sender", party)
        return self.apply(acts.PutKey(**(terms | change)), sender)

    def put_reader(self, registrar: str, reader: str, **change: Any) -> Entry | None:
        terms: dict[str, Any] = {
            "registrar": digest(registrar), "reader": digest(reader), "certificate": digest(f"cert of {reader}"),
            "valid_from": 0, "valid_until": self.now + 500, "statement": self.statement(),
        }  # fmt: skip
        sender = change.pop("sender", registrar)
        return self.apply(acts.PutReader(**(terms | change)), sender)

    def anchor(self, party: str, seq: int, **change: Any) -> Entry | None:
        terms: dict[str, Any] = {
            "party": digest(party), "stream": digest(f"stream of {party}"), "seq": seq, "root": digest(seq),
            "leaves": 129, "next_update": self.now + 300, "statement": self.statement(),
        }  # fmt: skip
        sender = change.pop("sender", party)
        return self.apply(acts.Anchor(**(terms | change)), sender)


def walk(seed: int, steps: int, *, start: int = NOW) -> Iterator[tuple[Act, bytes, int]]:
    """Acts, their senders and times, drawn so that equal times, near expiries, repeated statements, spent keys and
    full quorums all happen often: plainer draws miss an off-by-one at a boundary."""
    dice, now, fresh = Random(seed), start, 0
    before: list[tuple[Act, bytes]] = []
    voting: list[Act] = []
    for _ in range(steps):
        now += dice.choice((0, 0, 0, 0, 1, 1, 2, 5))
        if before and dice.random() < 0.1:  # the same call again
            yield *dice.choice(before[-5:]), now
            continue
        if voting and dice.random() < 0.6:  # a further governor's vote
            yield voting[0], address(dice.choice((*GOVERNORS, *GOVERNORS, "governor-4"))), now
            if dice.random() < 0.45:
                voting.pop(0)
            continue
        fresh += 1
        era = max(0, fresh // 300 - dice.choice((0, 0, 0, 0, 1)))
        act = _act(dice, now, era, digest(("statement", fresh if dice.random() < 0.97 else dice.randrange(fresh + 1))))
        sender = address(_sender(dice, act, era))
        before.append((act, sender))
        if isinstance(act, _GOVERNORS) or (isinstance(act, _EITHER) and dice.random() < 0.3):
            voting.append(act)
        yield act, sender, now


_GOVERNORS = acts.PutGovernor | acts.PutPolicy | acts.PutParty | acts.RevokeParty
_EITHER = acts.RevokeKey | acts.RevokeReader
PARTIES = ("issuer", "police", "registrar", "auditor")  # of every era anew, for revoked is final


def _sender(dice: Random, act: Act, era: int) -> str:
    """Mostly somebody who may."""
    governor = dice.choice((*GOVERNORS, *GOVERNORS, *GOVERNORS, "governor-4", "issuer"))
    if isinstance(act, _GOVERNORS):
        return governor
    named = getattr(act, "party", None) or getattr(act, "registrar", None) or getattr(act, "owner", None)
    names = {digest(f"{name} {era}"): f"{name} {era}" for name in PARTIES}
    right = names.get(named or b"") or dice.choice([*names.values()])
    return dice.choice((right, right, right, right, right, dice.choice((*names.values(), "stranger")), governor))


def _act(dice: Random, now: int, era: int, statement: bytes) -> Act:
    """Mostly sensible, with a field at an edge now and then."""

    def at(usual: int) -> int:
        return max(
            0, usual if dice.random() < 0.7 else dice.choice((0, now - 1, now, now + 1, now + 2, now + 3, now + 30))
        )

    def one(words: tuple[str, ...]) -> bytes:
        return digest(dice.choice(words)) if dice.random() < 0.985 else bytes(32)

    who = f"{dice.choice(PARTIES)} {era}"
    party, schema = one((who,)), one((f"schema {era} {dice.randrange(9)}",))
    key, reader = one((f"key {era} {dice.randrange(16)}",)), one((f"reader {era} {dice.randrange(9)}",))
    reason = dice.choice((1, 2, 3, 3, 3, 4, 0, 5))
    match dice.choices(range(11), (2, 1, 8, 1, 8, 5, 5, 5, 6, 5, 9))[0]:
        case 0:
            name = dice.choice((*GOVERNORS, "governor-4", "governor-4"))
            where = address(name) if dice.random() < 0.97 else bytes(20)
            return acts.PutGovernor(where, one((name,)), dice.choice((0, 1, 1, 1, 1, 2)), statement)
        case 1:
            delay = dice.choice((0, 0, 0, 1, 2, 3, 7_776_001)) if dice.random() < 0.98 else 7_776_000
            return acts.PutPolicy(one(("policy", "policy 2")), dice.choice((0, 1, 1, 2, 2, 2, 3, 4)), delay, statement)
        case 2:
            controller = address(who) if dice.random() < 0.97 else bytes(20)
            return acts.PutParty(
                digest(who), controller, one((who,) * 9 + ("new voice",)), dice.choice((31,) * 12 + (9, 4, 1, 0, 32)),
                at(0), at(now + 900), one(("document",)), statement,
            )  # fmt: skip
        case 3:  # rare: it is final
            return (
                acts.RevokeParty(party, reason, statement) if dice.random() < 0.2 else _act(dice, now, era, statement)
            )
        case 4:
            return acts.PutKey(party, key, dice.choice((1, 2, 3, 4, 5, 0, 6)), at(0), at(now + 60), statement)
        case 5:
            return acts.RevokeKey(party, key, reason, at(0), statement)
        case 6:
            return acts.PutSchema(party, schema, one(("schema document",)), statement)
        case 7:
            return acts.WithdrawSchema(schema, statement)
        case 8:
            return acts.PutReader(party, reader, one(("certificate",)), at(0), at(now + 60), statement)
        case 9:
            return acts.RevokeReader(party, reader, reason, at(0), statement)
        case _:
            seq = dice.choice((1, 1, 2, 2, 3, 4, 5, 6, 0))
            return acts.Anchor(
                party, one(("stream", "stream 2")), seq, one(("root",)), dice.randrange(3), at(now + 9), statement
            )


class NoteHand:
    """Signs notes with a key made from a word: `kind` is one of note.py's."""

    def __init__(self, name: str, kind: int = ED25519, word: str | None = None) -> None:
        seed = digest(f"note key {word or name}")
        make = MLDSA44PrivateKey.from_seed_bytes if kind == ML_DSA_44 else Ed25519PrivateKey.from_private_bytes
        self._private: Any = make(seed)
        self.vkey = VerifierKey(name, kind, self._private.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)


ORIGIN = "mapae.example/trust/log/registry"
LOG = NoteHand(ORIGIN)
WITNESSES = [NoteHand(f"witness-{n}.example", COSIGNATURE) for n in (1, 2, 3)]
POST_QUANTUM = NoteHand("witness-4.example", ML_DSA_44)


def policy(least: int = 2, witnesses: list[NoteHand] | None = None) -> Policy:
    hands = WITNESSES if witnesses is None else witnesses
    named = [(f"w{at}", hand.vkey, None) for at, hand in enumerate(hands, 1)]
    return Policy.of([LOG.vkey], named, least)


def cosigned(checkpoint: Checkpoint, times: dict[int, int], log: NoteHand = LOG) -> Note:
    """Signed by the log and cosigned by the witnesses of these numbers at these times."""
    note = sign_checkpoint(checkpoint, log)
    for at, time in times.items():
        note = note.with_(cosign(note, (*WITNESSES, POST_QUANTUM)[at - 1], time))
    return note
