"""Which of the presentations accepted with no network are doubtful now, by somebody who never knew whose they were.

For each one, the checker keeps when, for which purpose, whose certificate had signed it, and a *tag*: BLAKE2b of its
place in the status list under a key of that day. When the next pack comes, the places that are newly not valid in it
are tagged under each day's key; a tag that is there means that what was accepted had been, or has since been, revoked
or locked. After `WINDOW` the day's key and rows are destroyed together.

What a thief of the database alone learns: how many were accepted with no network, when, for what, from which issuer.
Of the database *and* the shop's keys: by trying all places of all lists (a few minutes of work), also which places the
tags stand for; a place is one copy of one card, shown once, and whose it is only its issuer can tell. With the issuer's
help, and only then, it becomes: this person was in this shop at that time. That is why the window is short, and why
nothing is kept of what was checked online.

Promises: pure; a tag is found again by nobody without the key. Trusts: opened packs. Keeps: nothing itself. Refuses:
nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct

from mapae.formats.status import INVALID, SUSPENDED, StatusList, StatusRef
from mapae.trust.log.entry import Reason
from mapae.trust.pack.verify import Opened, Status

WINDOW: Final = timedelta(days=30)  # copies live no longer, nor does what a check of one needs
TAG: Final = 16
DAY: Final = 86_400
_OTHER_THAN_ZERO: Final = re.compile(rb"[^\0]")


class Doubt(StrEnum):
    """Why. The value is stable: the page and the command line key on it."""

    REVOKED = "revoked"
    LOCKED = "locked"
    SIGNER = "signer"  # whoever signed the card is no longer believed to have been who they are


class Accepted(Struct, frozen=True):
    """One presentation as it is kept; its `id` says nothing."""

    id: str
    relying_party: str
    purpose: str
    at: int
    signer: bytes  # SHA-256 of the certificate that signed it
    tag: bytes


class Doubtful(Struct, frozen=True):
    """One line of the report."""

    at: int
    purpose: str
    doubt: Doubt


def day_of(now: datetime) -> int:
    return int(now.timestamp()) // DAY


def accepted(
    id: str, relying_party: str, purpose: str, now: datetime, leaf: bytes, place: StatusRef, key: bytes
) -> Accepted:
    """`leaf`: the certificate (DER) whose signature is on the card; `key`: of the day."""
    signer, tag = hashlib.sha256(leaf).digest(), Tagger(key, place.uri).tag(place.index)
    return Accepted(id, relying_party, purpose, int(now.timestamp()), signer, tag)


class Tagger:
    """The tags of one list under one key."""

    __slots__ = ("_begun",)

    def __init__(self, key: bytes, uri: str) -> None:
        self._begun = hashlib.blake2b(uri.encode() + b"\0", digest_size=TAG, key=key)

    def tag(self, index: int) -> bytes:
        begun = self._begun.copy()
        begun.update(index.to_bytes(4, "big"))
        return begun.digest()


def newly_not_valid(old: Opened | None, new: Opened) -> Iterator[tuple[str, Mapping[int, Doubt]]]:
    """By list: the places that `new` says are not valid and `old` did not."""
    for publisher in new.statuses:
        for uri, listed in publisher.lists.items():
            before = old.list(uri) if old is not None else None
            if before is not None and old is not None and _digest_of(old, uri) == listed.digest:
                continue
            now = new.list(uri)
            assert now is not None
            found = newly(before, now)
            if found:
                yield uri, found


def newly(before: StatusList | None, now: StatusList) -> dict[int, Doubt]:
    """Of one list."""
    was = before.packed if before is not None and before.bits == now.bits else b""
    return dict(_differing(was, now.packed, now.bits))


def _digest_of(opened: Opened, uri: str) -> bytes | None:
    publisher: Status | None = opened.publisher(uri)
    found = publisher.lists.get(uri) if publisher is not None else None
    return found.digest if found is not None else None


def _differing(was: bytes, now: bytes, bits: int) -> Iterator[tuple[int, Doubt]]:
    before = was.ljust(len(now), b"\0")[: len(now)]
    differ = (int.from_bytes(before, "big") ^ int.from_bytes(now, "big")).to_bytes(len(now), "big")
    mask, each = (1 << bits) - 1, 8 // bits
    for match in _OTHER_THAN_ZERO.finditer(differ):
        at = match.start()
        for place in range(each):
            shift = place * bits
            value = now[at] >> shift & mask
            if value in _DOUBTS and value != before[at] >> shift & mask:
                yield at * each + place, _DOUBTS[value]


_DOUBTS: Final = {INVALID: Doubt.REVOKED, SUSPENDED: Doubt.LOCKED}


def doubted_signers(new: Opened) -> dict[bytes, int]:
    """Certificates whose cards are doubtful, and since when: 0, all of them, where the key was stolen."""
    found: dict[bytes, int] = {}
    for thumbprint, key in new.state.keys.items():
        party = new.state.parties.get(key.party)
        ended = key.revoked or (party.revoked if party is not None else None)
        if ended is not None:
            found[thumbprint] = 0 if ended.reason == Reason.COMPROMISED else ended.since
    return found
