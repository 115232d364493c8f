"""Who looked at me: what officers did with a person's record, told to that person's phone.

Promises: only events about the person whose active phone asks; of an officer the office and that it was an officer,
never a name or an id; acts and reasons from a closed list of words. It is read out of the audit chain itself, so there
is no second account to fall behind. Trusts: the wallet's attestation, the wallet provider for whose phone it is. Keeps:
nothing. Refuses: phones that are locked, ended, waiting or of another provider. What shops saw is not here, nor
anywhere but on the phone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from mapae.audit import Recorded, events_about
from mapae.catalog import Country
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.issuer import officer_store
from mapae.issuer.authorization import Knock
from mapae.issuer.grants import Grants, spend_all
from mapae.rules import Words

NEWEST: Final = 300
# What happened to a record or a document, by object and action of the event; the rest of an object is its second name.
ACTS: Final[dict[tuple[str, str], str]] = {
    ("record", "found"): "found", ("record", "looked_at"): "looked_at", ("record", ""): "looked_at",
    ("case", "opened"): "case_opened", ("case", "offered"): "card_offered", ("case", "offered_again"): "card_offered",
    ("case", ""): "case_worked_on", ("documents", "locked"): "locked", ("documents", "released"): "released",
    ("documents", "ended"): "ended", ("documents", "renewal_asked"): "renewed", ("card", ""): "plastic_card",
    ("paper", ""): "paper",
}  # fmt: skip
REASONS: Final = frozenset({"application", "release", "new_phone", "enquiry", "lost", "moved", "wiped"})
_OURSELVES: Final = frozenset({"wallet", "citizen", "issuer", "wallet_provider", "helper"})


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """One line. `office` is empty where the act came from an institution (a carrier, a call centre)."""

    at: int
    act: str
    why: str
    office: Words | None


class Looks:
    def __init__(self, db: Db, grants: Grants, country: Country) -> None:
        self._db, self._grants, self._country = db, grants, country

    async def of(self, knock: Knock) -> list[Look]:
        """The newest first. Raises Refused(INVALID_CLIENT, UNKNOWN_DEVICE, DEVICE_SUSPENDED)."""
        client = await self._grants.client(knock)
        standing = await self._grants.standing(client)
        if standing.person is None:
            raise Refused(Code.UNKNOWN_DEVICE, "this is for phones registered with this country's wallet")
        if standing.state != "active":
            raise Refused(Code.DEVICE_SUSPENDED, "this phone is locked, ended or not chosen yet")
        await self._db.write(lambda tx: spend_all(tx, client.spends, Code.INVALID_CLIENT))
        events = await events_about(self._db, standing.person)
        return looks(events, await officer_store.offices(self._db), self._country)


def looks(events: Iterable[Recorded], offices: Mapping[str, str], country: Country) -> list[Look]:
    """`offices`: of every officer there ever was. What the person or the machinery did itself is no look."""
    found = [
        Look(
            at=int(recorded.at.timestamp()), act=act, why=_why(recorded.event.facts),
            office=_office(recorded.event.actor, recorded.event.facts, offices, country),
        )
        for recorded in events
        if (act := _act(recorded, offices))
    ]  # fmt: skip
    return found[: -NEWEST - 1 : -1]


def _act(recorded: Recorded, offices: Mapping[str, str]) -> str:
    event = recorded.event
    if event.actor in _OURSELVES or (event.actor not in offices and event.object != "documents"):
        return ""
    return ACTS.get((event.object, event.action)) or ACTS.get((event.object, "")) or "other"


def _why(facts: Mapping[str, Any]) -> str:
    """A look from within a case is for what the case is for."""
    said = str(facts.get("reason", "")).removeprefix("case.")
    said = "application" if said == "issue" else said
    return said if said in REASONS else ""


def _office(actor: str, facts: Mapping[str, Any], offices: Mapping[str, str], country: Country) -> Words | None:
    """The office at the time, where the event says it; else where the officer is now."""
    id = str(facts.get("office") or offices.get(actor, ""))
    return country.offices[id].name if id in country.offices else None
