"""Entries of the logs in words: one sentence for each, in both languages.

Promises: every kind of entry has a sentence that says who did what, and from when until when; what an entry holds is
listed field by field. Trusts: the names it is given for parties and relying parties, which come from their public
documents. Keeps: nothing. Refuses: nothing; an entry whose party has no name is told with the beginning of its digest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import Any, Final, assert_never

from mapae.trust.log.entry import (
    Anchored,
    Entry,
    GovernorSet,
    KeyEntered,
    KeyRevoked,
    PartyAdmitted,
    PartyRevoked,
    PolicySet,
    Purpose,
    ReaderEntered,
    ReaderRevoked,
    Reason,
    Role,
    SchemaPublished,
    SchemaWithdrawn,
)
from mapae.ui.words import Language, moment, number, say

_TIMES: Final = frozenset({"valid_from", "valid_until", "since", "next_update"})
_LAST: Final = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp())
DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Fact:
    """One line about an entry: a word key, and a value. `digest`: hexadecimal, to be shortened and copied."""

    label: str
    value: str
    digest: bool = False


@dataclass(frozen=True)
class Teller:
    """Who reads, and by which names the parties are known."""

    language: Language
    zone: tzinfo = UTC
    parties: dict[bytes, str] = field(default_factory=dict)
    readers: dict[bytes, str] = field(default_factory=dict)
    governors: dict[bytes, int] = field(default_factory=dict)  # by address: the how-manieth
    streams: frozenset[bytes] = frozenset()  # those that are somebody's status lists

    def sentence(self, entry: Entry) -> str:
        said, who = entry.payload, self._party(entry.subject)
        match said:
            case GovernorSet(_, standing):
                key = "log.told.governor_in" if standing else "log.told.governor_out"
                return say(self.language, key, who=self._governor(entry.subject))
            case PolicySet(document, threshold, delay):
                key = "log.told.policy_delay" if delay else "log.told.policy"
                days = number(-(-delay // DAY))
                return self._say(key, threshold=threshold, days=days, document=short(document))
            case PartyAdmitted(_, _, roles, start, end, _):
                return self._say("log.told.party", who=who, roles=self.roles(roles), **self._span(start, end))
            case PartyRevoked(reason):
                return self._say("log.told.party_revoked", who=who, reason=self._reason(reason))
            case KeyEntered(_, purpose, start, end):
                what = self._say(f"log.purpose.{Purpose(purpose).name.lower()}")
                return self._say("log.told.key", who=who, purpose=what, **self._span(start, end))
            case KeyRevoked(_, reason, since):
                return self._say("log.told.key_revoked", who=who, since=self.at(since), reason=self._reason(reason))
            case SchemaPublished(owner, digest):
                return self._say("log.told.schema", who=self._party(owner), digest=short(digest))
            case SchemaWithdrawn():
                return self._say("log.told.schema_withdrawn", schema=short(entry.subject))
            case ReaderEntered(reader, _, start, end):
                return self._say("log.told.reader", who=who, reader=self._reader(reader), **self._span(start, end))
            case ReaderRevoked(reader, reason, since):
                ended = {"reader": self._reader(reader), "since": self.at(since), "reason": self._reason(reason)}
                return self._say("log.told.reader_revoked", **ended)
            case Anchored(stream, seq, _, leaves, next_update):
                key = "log.told.anchor_status" if stream in self.streams else "log.told.anchor"
                values = {"seq": number(seq), "leaves": number(leaves), "next": self.at(next_update)}
                return self._say(key, who=who, **values)
            case _:
                assert_never(said)

    def facts(self, entry: Entry) -> list[Fact]:
        """Every word of the entry, in its order; times and choices in words."""
        listed = [
            Fact("log.field.index", number(entry.index)),
            Fact("log.field.time", self.at(entry.time)),
            Fact("log.field.kind", self._say(f"log.kind.{entry.kind.name.lower()}")),
            Fact("log.field.subject", entry.subject.hex(), digest=True),
            Fact("log.field.statement", entry.statement.hex(), digest=True),
        ]
        said: Any = entry.payload
        for name, value in said._asdict().items():
            label = f"log.field.{name}"
            if isinstance(value, bytes):
                listed.append(Fact(label, value.hex(), digest=True))
            elif name in _TIMES:
                listed.append(Fact(label, self.at(value)))
            else:
                listed.append(Fact(label, self._choice(name, value)))
        return listed

    def argument(self, name: str, value: object) -> Fact:
        """What a statement asks for. A time of 0 is the moment it is taken."""
        label = f"log.field.{name}"
        if not isinstance(value, int):
            return Fact(label, str(value), digest=True)
        if name in _TIMES:
            return Fact(label, self.at(value) if value else self._say("log.at_once"))
        return Fact(label, self._choice(name, value))

    def at(self, seconds: int) -> str:
        """A moment; a time beyond the calendar is without end."""
        return self._say("log.without_end") if seconds >= _LAST else moment(self.language, seconds, self.zone)

    def ago(self, seconds: float) -> str:
        """How old something is, in the largest unit that fits."""
        if seconds < 10:
            return self._say("log.age.now")
        for unit, length in (("day", DAY), ("hour", 3600), ("minute", 60), ("second", 1)):
            if (count := int(seconds // length)) >= 1:
                return self._say(f"log.age.{unit}" if count == 1 else f"log.age.{unit}s", n=number(count))
        return self._say("log.age.now")

    def roles(self, roles: int) -> str:
        return ", ".join(
            self._say(f"log.party_role.{role.name.lower()}") for role in Role if roles & role and role.name
        )

    def _choice(self, name: str, value: int) -> str:
        match name:
            case "roles":
                return self.roles(value)
            case "purpose":
                return self._say(f"log.purpose.{Purpose(value).name.lower()}")
            case "reason":
                return self._reason(value)
            case "standing":
                return self._say("log.standing.yes" if value else "log.standing.no")
            case _:
                return number(value)

    def _span(self, start: int, end: int) -> dict[str, str]:
        return {"start": self.at(start), "end": self.at(end)}

    def _reason(self, reason: int) -> str:
        return self._say(f"log.reason.{Reason(reason).name.lower()}")

    def _governor(self, address: bytes) -> str:
        return self._say("log.governor", n=self.governors[address]) if address in self.governors else short(address)

    def _party(self, party: bytes) -> str:
        return self.parties.get(party) or short(party)

    def _reader(self, reader: bytes) -> str:
        return self.readers.get(reader) or short(reader)

    def _say(self, key: str, **values: object) -> str:
        return say(self.language, key, **values)


def short(digest: bytes) -> str:
    """The beginning of a digest, for a sentence."""
    return f"{digest.hex()[:8]}…"
