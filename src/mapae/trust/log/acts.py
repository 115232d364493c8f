"""Acts: what somebody asks the log to take. A governor's act needs votes, a party's act only the party.

Promises: an act that exists has fields of the right width; its words, and so its id, are the same in both engines.
Trusts: nobody: an act says what is asked, `rules.py` whether it may be. Keeps: nothing. Refuses: a field of another
width, a member too many or too few, hexadecimal in capitals.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, ClassVar, Final

import msgspec

from mapae.errors import Code, Refused
from mapae.trust.log.entry import Kind, words

Digest = bytes
Address = bytes


class _Act(msgspec.Struct, frozen=True):
    """Fields of each act, in the order of the contract's call. `statement` is the SHA-256 of the signed statement."""

    KIND: ClassVar[Kind]
    NAME: ClassVar[str]
    WIDTHS: ClassVar[Mapping[str, int]]  # bytes of a value; numbers are 1 (uint8) or 8 (uint64)

    def __post_init__(self) -> None:
        for name, width in self.WIDTHS.items():
            value = getattr(self, name)
            if width >= 20:
                fits = type(value) is bytes and len(value) == width
            else:
                fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 8 * width
            if not fits:
                raise Refused(Code.MALFORMED, f"{name} is not {width} bytes wide")


class PutGovernor(_Act, frozen=True):
    KIND, NAME = Kind.GOVERNOR, "put_governor"
    WIDTHS = {"governor": 20, "voice": 32, "standing": 1, "statement": 32}
    governor: Address
    voice: Digest
    standing: int
    statement: Digest


class PutPolicy(_Act, frozen=True):
    KIND, NAME = Kind.POLICY, "put_policy"
    WIDTHS = {"document": 32, "threshold": 1, "delay": 8, "statement": 32}
    document: Digest
    threshold: int
    delay: int
    statement: Digest


class PutParty(_Act, frozen=True):
    """`valid_from` 0: as soon as the rules allow."""

    KIND, NAME = Kind.PARTY, "put_party"
    WIDTHS = {
        "party": 32, "controller": 20, "voice": 32, "roles": 1, "valid_from": 8, "valid_until": 8, "document": 32,
        "statement": 32,
    }  # fmt: skip
    party: Digest
    controller: Address
    voice: Digest
    roles: int
    valid_from: int
    valid_until: int
    document: Digest
    statement: Digest


class RevokeParty(_Act, frozen=True):
    KIND, NAME = Kind.PARTY_REVOKED, "revoke_party"
    WIDTHS = {"party": 32, "reason": 1, "statement": 32}
    party: Digest
    reason: int
    statement: Digest


class PutKey(_Act, frozen=True):
    """`valid_from` 0: from now."""

    KIND, NAME = Kind.KEY, "put_key"
    WIDTHS = {"party": 32, "thumbprint": 32, "purpose": 1, "valid_from": 8, "valid_until": 8, "statement": 32}
    party: Digest
    thumbprint: Digest
    purpose: int
    valid_from: int
    valid_until: int
    statement: Digest


class RevokeKey(_Act, frozen=True):
    """`since` 0: from now."""

    KIND, NAME = Kind.KEY_REVOKED, "revoke_key"
    WIDTHS = {"party": 32, "thumbprint": 32, "reason": 1, "since": 8, "statement": 32}
    party: Digest
    thumbprint: Digest
    reason: int
    since: int
    statement: Digest


class PutSchema(_Act, frozen=True):
    KIND, NAME = Kind.SCHEMA, "put_schema"
    WIDTHS = {"owner": 32, "schema": 32, "digest": 32, "statement": 32}
    owner: Digest
    schema: Digest
    digest: Digest
    statement: Digest


class WithdrawSchema(_Act, frozen=True):
    KIND, NAME = Kind.SCHEMA_WITHDRAWN, "withdraw_schema"
    WIDTHS = {"schema": 32, "statement": 32}
    schema: Digest
    statement: Digest


class PutReader(_Act, frozen=True):
    """`valid_from` 0: from now."""

    KIND, NAME = Kind.READER, "put_reader"
    WIDTHS = {"registrar": 32, "reader": 32, "certificate": 32, "valid_from": 8, "valid_until": 8, "statement": 32}
    registrar: Digest
    reader: Digest
    certificate: Digest
    valid_from: int
    valid_until: int
    statement: Digest


class RevokeReader(_Act, frozen=True):
    """`since` 0: from now."""

    KIND, NAME = Kind.READER_REVOKED, "revoke_reader"
    WIDTHS = {"registrar": 32, "reader": 32, "reason": 1, "since": 8, "statement": 32}
    registrar: Digest
    reader: Digest
    reason: int
    since: int
    statement: Digest


class Anchor(_Act, frozen=True):
    KIND, NAME = Kind.ANCHOR, "anchor"
    WIDTHS = {
        "party": 32, "stream": 32, "seq": 8, "root": 32, "leaves": 8, "next_update": 8, "statement": 32,
    }  # fmt: skip
    party: Digest
    stream: Digest
    seq: int
    root: Digest
    leaves: int
    next_update: int
    statement: Digest


Act = (
    PutGovernor | PutPolicy | PutParty | RevokeParty | PutKey | RevokeKey | PutSchema | WithdrawSchema | PutReader
    | RevokeReader | Anchor
)  # fmt: skip
ACTS: Final[Mapping[str, type[Act]]] = {
    act.NAME: act
    for act in (
        PutGovernor, PutPolicy, PutParty, RevokeParty, PutKey, RevokeKey, PutSchema, WithdrawSchema, PutReader,
        RevokeReader, Anchor,
    )
}  # fmt: skip


def act_id(act: Act, generation: int) -> bytes:
    """What a vote is for: the act's very words, under the governors and the policy of this generation."""
    return sha256(words(generation, act.KIND, *(getattr(act, name) for name in act.WIDTHS))).digest()


def args(act: Act) -> dict[str, str | int]:
    """The act as JSON, all but its statement: bytes in hexadecimal."""
    return {
        name: value.hex() if isinstance(value := getattr(act, name), bytes) else value
        for name in act.WIDTHS
        if name != "statement"
    }


def of(name: str, args: Mapping[str, Any], statement: bytes) -> Act:
    """The act of this name with these arguments, exactly these."""
    kind = ACTS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise Refused(Code.MALFORMED, "there is no such act")
    if not isinstance(args, Mapping) or args.keys() != kind.WIDTHS.keys() - {"statement"}:
        raise Refused(Code.MALFORMED, "an act has a member too many or too few")
    return kind(**{name: _value(args[name], kind.WIDTHS[name]) for name in args}, statement=statement)


def encode(act: Act) -> dict[str, Any]:
    """The act as JSON: {"act": its name, "args": ..., "statement": hexadecimal}."""
    return {"act": act.NAME, "args": args(act), "statement": act.statement.hex()}


def parse(value: Any) -> Act:
    if not isinstance(value, dict) or value.keys() != {"act", "args", "statement"}:
        raise Refused(Code.MALFORMED, "an act is its name, its args and its statement")
    return of(value["act"], value["args"], _value(value["statement"], 32))


def _value(value: Any, width: int) -> Any:
    if width < 20:
        return value  # the act looks at it
    try:
        raw = bytes.fromhex(value)
    except (ValueError, TypeError):
        raise Refused(Code.MALFORMED, "a digest or an address is not hexadecimal") from None
    if raw.hex() != value:  # capitals, and the spaces that fromhex skips
        raise Refused(Code.MALFORMED, "a digest or an address is not spelled in small letters")
    return raw
