"""From a change of the registry to the acts the log is asked for. Pure.

Promises: what governors sign is the very act the log will be handed: to admit or strike off a party, to register a
relying party or take a registration back, to revoke a key. Trusts: the caller for what holds now. Keeps: nothing.
Refuses: to admit a party that was struck off, which is final; a relying party while no access authority can speak for
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

import msgspec

from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey, Signing, unb64u
from mapae.formats.x509 import leaf_key, life_of
from mapae.trust.entries import KINDS, Entry, Issuer, Party, RelyingParty, digest_of, document, registry_id
from mapae.trust.log import acts, statement
from mapae.trust.log.acts import Act, RevokeKey, RevokeReader
from mapae.trust.log.entry import Reason
from mapae.trust.log.policy import Policy
from mapae.trust.log.state import Tables
from mapae.trust.replicated import ROLES

# Kinds of proposals about other things than entries.
KEY: Final = "key"  # to revoke one
GOVERNOR: Final = "governor"
POLICY: Final = "policy"


@dataclass(frozen=True, slots=True)
class Asked:
    """An act by name, with its arguments but for the statement."""

    name: str
    args: Mapping[str, str | int]

    def signed(self, origin: str, signer: Signing, now: datetime) -> str:
        return statement.make(self.name, self.args, origin, signer, int(now.timestamp()))


@dataclass(frozen=True, slots=True)
class Submission:
    """What the log is handed: an act, and a statement or an approval."""

    act: Act
    signed: str


def admission(entry: Party, proposal: str, state: Tables) -> Asked:
    """A party as it is to be known from now on; it ends with the last of its certificates."""
    name, known = registry_id(entry), state.parties.get(digest_of(registry_id(entry)))
    if known is not None and known.revoked is not None:
        raise Refused(Code.LEDGER_RULE, f"{name} was struck off, and that is final: propose it under a new id")
    return _admitted(entry, proposal)


def _admitted(entry: Party, proposal: str) -> Asked:
    voice = voice_of(entry)
    return Asked("put_party", {
        "party": digest_of(registry_id(entry)).hex(), "controller": entry.account or voice[-20:].hex(),
        "voice": voice.hex(), "roles": int(ROLES[type(entry)]), "valid_from": 0,
        "valid_until": max(int(life_of(der)[1].timestamp()) for der in entry.ca),
        "document": sha256(document(entry, proposal)).hexdigest(),
    })  # fmt: skip


def voice_of(entry: Party) -> bytes:
    """The thumbprint of the key that signs the party's statements: the one it names, or its first authority's."""
    if entry.voice:
        return unb64u(entry.voice)
    try:
        return leaf_key(entry.ca[0]).thumbprint_raw
    except Refused:  # an authority on another curve than our statements: this party has no voice in the log
        return sha256(entry.ca[0]).digest()


def striking_off(name: str, reason: Reason) -> Asked:
    return Asked("revoke_party", {"party": digest_of(name).hex(), "reason": int(reason)})


def registration(entry: RelyingParty, proposal: str, registrar: str, until: int, state: Tables, now: int) -> Asked:
    """By the access authority, in whose name the governors agree."""
    must_speak(registrar, state, now)
    if unb64u(entry.x509_hash) in _stolen(state):
        raise Refused(Code.CONFLICT, "this certificate was revoked as stolen: certify another key, and name that one")
    return Asked("put_reader", {
        "registrar": digest_of(registrar).hex(), "reader": sha256(document(entry, proposal)).hexdigest(),
        "certificate": unb64u(entry.x509_hash).hex(), "valid_from": 0, "valid_until": until,
    })  # fmt: skip


def _stolen(state: Tables) -> set[bytes]:
    """Certificates of registrations that ended by compromise: registered again, they would be the thief's."""
    ended = [state.readers.get(reader) for reader, end in state.readers_revoked.items()
             if end.revoked.reason == Reason.COMPROMISED]  # fmt: skip
    return {known.certificate for known in ended if known is not None}


def must_be_its_own(entry: Entry, others: Iterable[Entry]) -> None:
    """One certificate is one relying party's, and below one address lie one publisher's status lists: where two overlap
    nobody could say whose a list is, and checkers would refuse every pack. `others`: under other ids."""
    for other in others:
        if isinstance(entry, RelyingParty) and isinstance(other, RelyingParty) and entry.x509_hash == other.x509_hash:
            raise Refused(Code.CONFLICT, "another relying party has this certificate")
        if isinstance(entry, Issuer) and isinstance(other, Issuer):
            one, two = entry.status_prefix, other.status_prefix
            if one.startswith(two) or two.startswith(one):
                raise Refused(Code.CONFLICT, "another issuer's status lists lie at this address")


def taking_back(registrar: str, reader: bytes, reason: Reason, since: int) -> Asked:
    return Asked("revoke_reader", {
        "registrar": digest_of(registrar).hex(), "reader": reader.hex(), "reason": int(reason), "since": since,
    })  # fmt: skip


def ending_of_key(thumbprint: bytes, reason: Reason, since: int, state: Tables) -> Asked:
    key = state.keys.get(thumbprint)
    if key is None:
        raise Refused(Code.NOT_FOUND, "the trust log has no such key; `mapae trust list` shows those it has")
    if key.revoked is not None:
        raise Refused(Code.CONFLICT, "this key has been revoked")
    return Asked("revoke_key", {
        "party": key.party.hex(), "thumbprint": thumbprint.hex(), "reason": int(reason), "since": since,
    })  # fmt: skip


def governing(key: PublicKey, account: bytes | None, standing: bool) -> Asked:
    """Somebody is to govern from now on, or no longer. `account` where the log is on a chain."""
    address = account if account is not None else key.thumbprint_raw[-20:]
    return Asked("put_governor", {
        "governor": address.hex(), "voice": key.thumbprint_raw.hex(), "standing": int(standing),
    })  # fmt: skip


def agreement(policy: str, threshold: int, delay: int) -> Asked:
    """Another policy of the log: its keys and witnesses, how many governors must agree, how long an admission waits."""
    Policy.parse(policy)
    return Asked("put_policy", {
        "document": sha256(policy.encode()).hexdigest(), "threshold": threshold, "delay": delay,
    })  # fmt: skip


def must_speak(registrar: str, state: Tables, now: int) -> None:
    known = state.parties.get(digest_of(registrar))
    if known is None or not known.live(now):
        raise Refused(
            Code.CONFLICT, f"the trust log has no live {registrar}, who would answer for relying parties: it goes first"
        )


def must_mean(signed: str, kind: str, subject: str, entry: str | None, proposal: str, held: bytes | None) -> None:
    """What was signed for a proposal asks for just what governors are shown of it. They approve the statement by its
    digest, and whoever could write the registry's tables would else have them agree to another. `held`: the standing
    registration, where the subject is a relying party."""
    said, meant = statement.read(signed), _meant(kind, subject, entry, proposal, held)
    if said.act_name != meant.name or any(said.args[name] != value for name, value in meant.args.items()):
        raise Refused(Code.NOT_ALLOWED, "what was signed for this proposal asks for something else than it says")


def _meant(kind: str, subject: str, entry: str | None, proposal: str, held: bytes | None) -> Asked:
    """Those arguments that follow from what is shown."""
    if kind == KEY:
        return Asked("revoke_key", {"thumbprint": unb64u(subject).hex()})
    if kind == GOVERNOR:
        voice = {"voice": unb64u(msgspec.json.decode(entry, type=str)).hex()} if entry is not None else {}
        return Asked("put_governor", {"standing": int(entry is not None), **voice})
    if kind == POLICY:
        policy = msgspec.json.decode(entry or '""', type=str)
        return Asked("put_policy", {"document": sha256(policy.encode()).hexdigest()})
    if entry is None:
        if kind != "relying_party":
            return Asked("revoke_party", {"party": digest_of(f"{kind}:{subject}").hex()})
        return Asked("revoke_reader", {"reader": held.hex() if held is not None else ""})
    written: Entry = msgspec.json.decode(entry, type=KINDS[kind])
    if written.id != subject:
        raise Refused(Code.NOT_ALLOWED, "the proposal's entry is of another id than it says")
    if isinstance(written, RelyingParty):
        reader = sha256(document(written, proposal)).hexdigest()
        return Asked("put_reader", {"reader": reader, "certificate": unb64u(written.x509_hash).hex()})
    return _admitted(written, proposal)


def reader_of(entry: Entry, proposal: str) -> bytes:
    """How the log calls the registration that this proposal brought."""
    return sha256(document(entry, proposal)).digest()


def by_votes(signed: Sequence[str]) -> list[Submission]:
    """Every governor's vote: the statement, then the approvals of it."""
    act = act_of(signed[0])
    return [Submission(act, one) for one in signed]


def submission(signed: str) -> Submission:
    return Submission(act_of(signed), signed)


def by_registrar(signed: str, origin: str, voice: Signing, now: datetime) -> Submission:
    """What the governors agreed on, said again in the access authority's own voice."""
    agreed = statement.read(signed)
    return submission(Asked(agreed.act_name, agreed.args).signed(origin, voice, now))


def act_of(signed: str) -> Act:
    return statement.read(signed).act(statement.digest(signed))


def has_happened(act: Act, state: Tables) -> bool:
    """Somebody else brought it about: what was to be revoked is."""
    match act:
        case RevokeReader(reader=reader):
            return reader in state.readers_revoked
        case RevokeKey(thumbprint=thumbprint):
            key = state.keys.get(thumbprint)
            return key is not None and key.revoked is not None
        case _:
            return False


def written(submissions: Sequence[Submission]) -> str:
    made = [{"act": acts.encode(one.act), "signed": one.signed} for one in submissions]
    return msgspec.json.encode(made).decode()


def read(text: str) -> list[Submission]:
    found: list[dict[str, Any]] = msgspec.json.decode(text, type=list[dict[str, Any]])
    return [Submission(acts.parse(one["act"]), one["signed"]) for one in found]
