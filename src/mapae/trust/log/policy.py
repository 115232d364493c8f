"""C2SP tlog-policy: which logs and which witnesses are believed, and how many of them it takes.

Promises: what `met` gives back was signed by a log of the policy and cosigned by a quorum of its witnesses; the age it
is given is one that a quorum stands for, so that a single witness cannot make a checkpoint look newer. Trusts: whoever
pinned the policy. Keeps: its own text. Refuses: a policy that could be read in two ways, keys of the wrong type, one
key under two names, names used twice or not defined before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple, Self

import msgspec

from mapae.errors import Code, Refused
from mapae.trust.log.note import COSIGNATURE, ED25519, ML_DSA_44, Checkpoint, Note, VerifierKey, open_checkpoint

LIMIT: Final = 256 * 1024  # bytes: a post-quantum key is 1.8 kB, and there may be 64 of each
MOST: Final = 64  # logs, witnesses, groups each; tlog-policy, Implementation limits asks for 32
NONE: Final = "none"
_ITEMS: Final = re.compile(r"[ \t]+")
_FOREIGN: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")  # tlog-policy, Character set
_DECIMAL: Final = re.compile(r"[1-9][0-9]{0,2}")


class Cosigned(NamedTuple):
    """A checkpoint that may be believed. `times`: of each witness of the policy that cosigned it, by its name there.
    `age_from`: the newest moment that a whole quorum vouches for; 0 where the policy asks for no witness."""

    checkpoint: Checkpoint
    times: Mapping[str, int]
    age_from: int


class KnownLog(msgspec.Struct, frozen=True):
    vkey: VerifierKey
    url: str | None = None


class Witness(msgspec.Struct, frozen=True):
    name: str
    vkey: VerifierKey
    url: str | None = None


class Group(msgspec.Struct, frozen=True):
    """Vouches when `least` of its members do."""

    name: str
    least: int
    members: tuple[str, ...]


class Policy:
    """`Policy.parse(text)`, or `Policy.of` for the usual k of n."""

    __slots__ = ("_lines", "groups", "known_logs", "quorum", "text", "witnesses")

    def __init__(self, text: str) -> None:
        self.text = text
        self.known_logs: list[KnownLog] = []
        self.witnesses: dict[str, Witness] = {}
        self.groups: dict[str, Group] = {}
        self.quorum: str | None = None
        self._lines = {"log": self._log, "witness": self._witness, "group": self._group, "quorum": self._quorum}

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
        if len(raw) > LIMIT:
            raise Refused(Code.TOO_LARGE, "a policy is too large")
        # tlog-policy, Character set: what is not ASCII is opaque, and comes back byte for byte.
        made = cls(raw.decode("utf-8", "surrogateescape"))
        if _FOREIGN.search(made.text) or not made.text.endswith("\n"):
            raise Refused(Code.MALFORMED, "a policy has a foreign character, or its last line does not end")
        for line in made.text[:-1].split("\n"):
            kind, *items = _ITEMS.split(line.strip(" \t"))
            if kind.startswith("#") or not kind:
                continue
            if kind not in made._lines:
                raise Refused(Code.MALFORMED, "a policy has a line of a kind there is not")
            made._lines[kind](items)
        if made.quorum is None:
            raise Refused(Code.MALFORMED, "a policy has one quorum line")
        return made

    @classmethod
    def of(
        cls, logs: Iterable[VerifierKey], witnesses: Iterable[tuple[str, VerifierKey, str | None]], least: int
    ) -> Self:
        """`least` of these witnesses; none of them where it is 0."""
        lines = [f"log {log.encode()}" for log in logs]
        named = [*witnesses]
        lines += [" ".join(filter(None, ("witness", name, vkey.encode(), url))) for name, vkey, url in named]
        if least:
            lines.append(f"group witnesses {least} {' '.join(name for name, _, _ in named)}")
        lines.append(f"quorum {'witnesses' if least else NONE}")
        return cls.parse("\n".join(lines) + "\n")

    def encode(self) -> bytes:
        return self.text.encode("utf-8", "surrogateescape")

    @property
    def logs(self) -> tuple[VerifierKey, ...]:
        return tuple(log.vkey for log in self.known_logs)

    def log(self, origin: str) -> tuple[VerifierKey, ...]:
        """The keys of the log of this origin: more than one while keys change."""
        return tuple(log.vkey for log in self.known_logs if log.vkey.name == origin)

    # --- reading -----------------------------------------------------------------------------------------------------

    def _log(self, items: list[str]) -> None:
        if not 1 <= len(items) <= 2:
            raise Refused(Code.MALFORMED, "a log has a key, and perhaps an address")
        known = KnownLog(_key(items[0], (ED25519, ML_DSA_44)), *items[1:])
        if known.vkey.public in {log.vkey.public for log in self.known_logs}:
            raise Refused(Code.MALFORMED, "two logs have one key")
        _must_have_room(self.known_logs)
        self.known_logs.append(known)

    def _witness(self, items: list[str]) -> None:
        if not 2 <= len(items) <= 3:
            raise Refused(Code.MALFORMED, "a witness has a name and a key, and perhaps an address")
        made = Witness(items[0], _key(items[1], (COSIGNATURE, ML_DSA_44)), *items[2:])
        if made.vkey.public in {one.vkey.public for one in self.witnesses.values()}:
            raise Refused(Code.MALFORMED, "two witnesses have one key")
        self._must_be_free(made.name)
        _must_have_room(self.witnesses)
        self.witnesses[made.name] = made

    def _group(self, items: list[str]) -> None:
        if len(items) < 3:
            raise Refused(Code.MALFORMED, "a group has a name, a number and members")
        name, least, *members = items
        self._must_be_free(name)
        taken = {member for group in self.groups.values() for member in group.members}
        for member in members:
            self._must_be_known(member)
        if len({*members}) != len(members) or taken & {*members}:
            raise Refused(Code.MALFORMED, "a name is a member of a group twice")
        _must_have_room(self.groups)
        self.groups[name] = Group(name, _least(least, len(members)), tuple(members))

    def _quorum(self, items: list[str]) -> None:
        if len(items) != 1 or self.quorum is not None:
            raise Refused(Code.MALFORMED, "a policy has one quorum line")
        if items[0] != NONE:
            self._must_be_known(items[0])
        self.quorum = items[0]

    def _must_be_free(self, name: str) -> None:
        if name == NONE or name in self.witnesses or name in self.groups:
            raise Refused(Code.MALFORMED, "a name is taken")

    def _must_be_known(self, name: str) -> None:
        if name not in self.witnesses and name not in self.groups:
            raise Refused(Code.MALFORMED, "a name is not defined on a line before")

    # --- deciding ----------------------------------------------------------------------------------------------------

    def met(self, note: Note) -> Cosigned:
        """1 a log of the policy signed it  2 every witness's line on it fits  3 a quorum cosigned it."""
        origin = Checkpoint.parse(note.text).origin
        keys = [key for key in self.log(origin) if key.signed(note) is not None]
        if not keys:
            raise Refused(Code.BAD_SIGNATURE, "no known log signed this checkpoint")
        checkpoint = open_checkpoint(note, keys[0])
        times = {name: time for name, one in self.witnesses.items() if (time := one.vkey.signed(note))}
        age_from = 0 if self.quorum == NONE else self._vouched(self.quorum or NONE, times)
        if age_from is None:
            raise Refused(Code.UNWITNESSED, "fewer witnesses have cosigned this checkpoint than the policy asks for")
        return Cosigned(checkpoint, MappingProxyType(times), age_from)

    def _vouched(self, name: str, times: Mapping[str, int]) -> int | None:
        """The newest moment this witness, or enough of this group, vouches for."""
        group = self.groups.get(name)
        if group is None:
            return times.get(name)
        newest = sorted(
            (time for member in group.members if (time := self._vouched(member, times)) is not None), reverse=True
        )
        return newest[group.least - 1] if len(newest) >= group.least else None


def _key(text: str, kinds: Sequence[int]) -> VerifierKey:
    key = VerifierKey.parse(text)
    if key.kind not in kinds:
        raise Refused(Code.UNSUPPORTED, "a key of the wrong type for its part in the policy")
    return key


def _least(text: str, count: int) -> int:
    if text in ("any", "all"):
        return 1 if text == "any" else count
    least = int(text) if _DECIMAL.fullmatch(text) else 0
    if not 1 <= least <= count:
        raise Refused(Code.MALFORMED, "a group asks for more members than it has, or for none")
    return least


def _must_have_room(known: Sequence[object] | Mapping[str, object]) -> None:
    if len(known) >= MOST:
        raise Refused(Code.TOO_LARGE, "a policy names too many")
