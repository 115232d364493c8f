"""Entries: what the two logs consist of, as bytes.

An entry is a row of 32-byte big-endian words: index, time, kind, subject, statement, and what its kind says besides. A
kind has one length. Addresses (20 bytes) and numbers stand at the right end of their word, zeros before them.

Promises: `Entry.parse(raw).encode() == raw`, for every `raw` that is taken; every field is a digest, an address, a
time, a number or one of a closed choice, so that no name or sentence fits in. Trusts: nobody. Keeps: nothing.
Refuses: another length, a bit where zeros belong, a choice off its list. Whether an entry may be there is for
`rules.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, IntFlag
from struct import Struct, error
from typing import Final, NamedTuple

import msgspec

from mapae.errors import Code, Refused

WORD: Final = 32
ZERO: Final = bytes(WORD)
NOBODY: Final = bytes(20)


class Log(IntEnum):
    REGISTRY = 0  # replicated whole by every checker
    ANCHORS = 1  # proven one entry at a time


class Kind(IntEnum):
    GOVERNOR = 1
    POLICY = 2
    PARTY = 3
    PARTY_REVOKED = 4
    KEY = 5
    KEY_REVOKED = 6
    SCHEMA = 7
    SCHEMA_WITHDRAWN = 8
    READER_REVOKED = 9
    READER = 16
    ANCHOR = 17

    @property
    def log(self) -> Log:
        return Log.ANCHORS if self >= 16 else Log.REGISTRY


class Role(IntFlag):
    """What a party may do."""

    ISSUER = 1
    WALLET_PROVIDER = 2
    REGISTRAR = 4  # enters relying parties
    STATUS = 8
    AUDIT = 16


class Purpose(IntEnum):
    """What a key signs."""

    ANCHOR = 1  # certifies the party's other keys
    DOCUMENT_SIGNER = 2
    STATUS_SIGNER = 3
    ATTESTER = 4
    LIST_SIGNER = 5


class Reason(IntEnum):
    """Why something was revoked."""

    SUPERSEDED = 1
    CEASED = 2
    COMPROMISED = 3  # the only one that may reach back in time
    WITHDRAWN = 4


ROLES: Final = 31  # all of Role
MOST_ROLES, MOST_PURPOSES, MOST_REASONS = ROLES, 5, 4


# --- what each kind says --------------------------------------------------------------------------------------------


class GovernorSet(NamedTuple):
    voice: bytes
    standing: int


class PolicySet(NamedTuple):
    document: bytes
    threshold: int
    delay: int


class PartyAdmitted(NamedTuple):
    controller: bytes
    voice: bytes
    roles: int
    valid_from: int
    valid_until: int
    document: bytes


class PartyRevoked(NamedTuple):
    reason: int


class KeyEntered(NamedTuple):
    thumbprint: bytes
    purpose: int
    valid_from: int
    valid_until: int


class KeyRevoked(NamedTuple):
    thumbprint: bytes
    reason: int
    since: int


class SchemaPublished(NamedTuple):
    owner: bytes
    digest: bytes


class SchemaWithdrawn(NamedTuple):
    pass


class ReaderRevoked(NamedTuple):
    reader: bytes
    reason: int
    since: int


class ReaderEntered(NamedTuple):
    reader: bytes
    certificate: bytes
    valid_from: int
    valid_until: int


class Anchored(NamedTuple):
    stream: bytes
    seq: int
    root: bytes
    leaves: int
    next_update: int


Payload = (
    GovernorSet | PolicySet | PartyAdmitted | PartyRevoked | KeyEntered | KeyRevoked | SchemaPublished
    | SchemaWithdrawn | ReaderRevoked | ReaderEntered | Anchored
)  # fmt: skip

_DIGEST, _ADDRESS, _UINT64, _UINT8 = "32s", "12x20s", "24xQ", "31xB"


class _Shape(NamedTuple):
    """How the words of one kind are laid out: its length is `words.size`."""

    words: Struct
    payload: type[Payload]


def _shape(payload: type[Payload], *formats: str, subject: str = _DIGEST) -> _Shape:
    return _Shape(Struct(">" + "".join([_UINT64, _UINT64, _UINT8, subject, _DIGEST, *formats])), payload)


SHAPES: Final[Mapping[Kind, _Shape]] = {
    Kind.GOVERNOR: _shape(GovernorSet, _DIGEST, _UINT8, subject=_ADDRESS),
    Kind.POLICY: _shape(PolicySet, _DIGEST, _UINT8, _UINT64),
    Kind.PARTY: _shape(PartyAdmitted, _ADDRESS, _DIGEST, _UINT8, _UINT64, _UINT64, _DIGEST),
    Kind.PARTY_REVOKED: _shape(PartyRevoked, _UINT8),
    Kind.KEY: _shape(KeyEntered, _DIGEST, _UINT8, _UINT64, _UINT64),
    Kind.KEY_REVOKED: _shape(KeyRevoked, _DIGEST, _UINT8, _UINT64),
    Kind.SCHEMA: _shape(SchemaPublished, _DIGEST, _DIGEST),
    Kind.SCHEMA_WITHDRAWN: _shape(SchemaWithdrawn),
    Kind.READER_REVOKED: _shape(ReaderRevoked, _DIGEST, _UINT8, _UINT64),
    Kind.READER: _shape(ReaderEntered, _DIGEST, _DIGEST, _UINT64, _UINT64),
    Kind.ANCHOR: _shape(Anchored, _DIGEST, _UINT64, _DIGEST, _UINT64, _UINT64),
}
LARGEST: Final = max(shape.words.size for shape in SHAPES.values())
KINDS: Final = {shape.payload: kind for kind, shape in SHAPES.items()}
_BY_BYTE: Final = [(Kind(byte), *SHAPES[Kind(byte)]) if byte in set(Kind) else None for byte in range(256)]


class Entry(msgspec.Struct, frozen=True):
    """One entry, at its place in its log. `subject` is 32 bytes, or a governor's address of 20."""

    index: int
    time: int
    kind: Kind
    subject: bytes
    statement: bytes
    payload: Payload

    @property
    def log(self) -> Log:
        return self.kind.log

    @classmethod
    def parse(cls, raw: bytes) -> Entry:
        if len(raw) > LARGEST:
            raise Refused(Code.TOO_LARGE, "an entry is longer than any kind of entry")
        known = _BY_BYTE[raw[95]] if len(raw) > 95 else None
        if known is None:
            raise Refused(Code.MALFORMED, "an entry of a kind there is not")
        kind, words, payload = known
        try:
            index, time, _, subject, statement, *said = fields = words.unpack(raw)
        except error:
            raise Refused(Code.MALFORMED, "an entry of its kind has another length") from None
        if words.pack(*fields) != raw:  # what stands before a number or an address
            raise Refused(Code.MALFORMED, "an entry has bits where zeros belong")
        made = cls(index, time, kind, subject, statement, payload(*said))
        _must_be_chosen(made)
        return made

    def encode(self) -> bytes:
        words = SHAPES[self.kind].words
        fields = (self.index, self.time, self.kind, self.subject, self.statement, *self.payload)
        try:
            raw = words.pack(*fields)
        except error:
            raise Refused(Code.MALFORMED, "a field does not fit its word") from None
        if words.unpack(raw) != fields:  # struct cuts bytes that are too long, and fills up short ones
            raise Refused(Code.MALFORMED, "a field does not fit its word")
        return raw


def _must_be_chosen(entry: Entry) -> None:
    """Closed choices are on their lists, and a subject nobody reads is zero."""
    said = entry.payload
    kind = type(said)
    if kind is KeyEntered:
        fine = 1 <= said.purpose <= MOST_PURPOSES  # type: ignore[union-attr]
    elif kind is PartyAdmitted:
        fine = 1 <= said.roles <= MOST_ROLES  # type: ignore[union-attr]
    elif kind is KeyRevoked or kind is ReaderRevoked or kind is PartyRevoked:
        fine = 1 <= said.reason <= MOST_REASONS  # type: ignore[union-attr]
    elif kind is GovernorSet:
        fine = said.standing <= 1  # type: ignore[union-attr]
    elif kind is PolicySet:
        fine = entry.subject == ZERO
    else:
        fine = True
    if not fine:
        raise Refused(Code.MALFORMED, "an entry says something that is not on its list")


def words(*values: int | bytes) -> bytes:
    """Each value as a word of its own, at the right end."""
    return b"".join(
        value.rjust(WORD, b"\0") if isinstance(value, bytes) else value.to_bytes(WORD, "big") for value in values
    )
