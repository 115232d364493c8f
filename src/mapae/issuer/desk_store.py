"""Cases, their evidence, their steps and the looks at people, in the issuer's database.

Promises: one open case a person, task and document (a unique index, in whatever office); a case changes only from the
state its officer saw; every change is a numbered step. Trusts: its only caller, `desk.py`. Keeps: tables desk_case,
case_evidence, case_step, desk_offer, desk_look; the applicant's name only sealed. Refuses: nothing; it counts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, assert_never

from mapae.db import Db, Row, Tx

from .evidence import (
    Evidence,
    FaceMatched,
    Need,
    OfficerCompared,
    PhysicalCardSeen,
    SecondDocumentSeen,
    SecondOfficer,
    Why,
)


class Task(StrEnum):
    ISSUE = "issue"
    RELEASE = "release"


class State(StrEnum):
    OPEN = "open"
    FILED = "filed"
    OFFERED = "offered"
    ISSUED = "issued"
    RELEASED = "released"
    WITHDRAWN = "withdrawn"


# Under which need a piece of evidence is kept.
_KINDS: Final[dict[type, Need]] = {
    PhysicalCardSeen: Need.PHYSICAL_CARD, OfficerCompared: Need.OFFICER, FaceMatched: Need.FACE,
    SecondDocumentSeen: Need.SECOND_DOCUMENT, SecondOfficer: Need.SECOND_OFFICER,
}  # fmt: skip

LIVE = (State.OPEN, State.FILED, State.OFFERED)


@dataclass(frozen=True, slots=True)
class Case:
    id: str
    person: str
    task: Task
    kind: str
    office: str
    officer_id: str
    state: State
    applicant: bytes
    phone: str
    opened: int
    changed: int
    about: str = ""
    """Which ward it is about, by the register's mark, where the document speaks for one."""

    @property
    def live(self) -> bool:
        return self.state in LIVE


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a case's trail."""

    at: int
    officer_id: str
    officer_name: str
    what: str
    detail: str


def _case(row: Row) -> Case:
    return Case(
        row["case_id"],
        row["person"],
        Task(row["task"]),
        row["kind"],
        row["office"],
        row["officer_id"],
        State(row["state"]),
        bytes(row["applicant"]),
        row["phone"],
        row["opened"],
        row["changed"],
        row["about"],
    )


async def put_case(tx: Tx, case: Case) -> None:
    await tx.run(
        "INSERT INTO desk_case (case_id, person, task, kind, office, officer_id, state, applicant, phone, opened,"
        " changed, about, steps) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0)",
        case.id,
        case.person,
        case.task.value,
        case.kind,
        case.office,
        case.officer_id,
        case.state.value,
        case.applicant,
        case.phone,
        case.opened,
        case.changed,
        case.about,
    )


async def case(reader: Db | Tx, case_id: str) -> Case | None:
    row = await reader.one("SELECT * FROM desk_case WHERE case_id = $1", case_id)
    return _case(row) if row else None


async def open_case(db: Db, person: str, task: Task, kind: str, about: str) -> Case | None:
    row = await db.one(
        "SELECT * FROM desk_case WHERE person = $1 AND task = $2 AND kind = $3 AND about = $4"
        " AND state IN ('open', 'filed', 'offered')",
        person,
        task.value,
        kind,
        about,
    )
    return _case(row) if row else None


async def cases_of_office(db: Db, office: str, *, live: bool, officer_id: str, limit: int) -> list[Case]:
    """Newest change first, in work or finished; an empty officer_id means everybody's."""
    rows = await db.all(
        "SELECT * FROM desk_case WHERE office = $1 AND (officer_id = $2 OR $2 = '')"
        " AND (CASE WHEN state IN ('open', 'filed', 'offered') THEN 1 ELSE 0 END) = $3"
        " ORDER BY changed DESC, case_id LIMIT $4",
        office,
        officer_id,
        int(live),
        limit,
    )
    return [_case(row) for row in rows]


async def cases_of_person(db: Db, person: str, office: str) -> list[Case]:
    rows = await db.all(
        "SELECT * FROM desk_case WHERE person = $1 AND office = $2 ORDER BY opened DESC, case_id", person, office
    )
    return [_case(row) for row in rows]


async def move_case(tx: Tx, case_id: str, seen: State, to: State, now: int) -> int:
    """Compare and swap: from the state the officer saw, to the next."""
    return await tx.run(
        "UPDATE desk_case SET state = $3, changed = $4 WHERE case_id = $1 AND state = $2",
        case_id,
        seen.value,
        to.value,
        now,
    )


async def choose_phone(tx: Tx, case_id: str, phone: str, now: int) -> int:
    return await tx.run(
        "UPDATE desk_case SET phone = $2, changed = $3 WHERE case_id = $1 AND state IN ('open', 'filed', 'offered')",
        case_id,
        phone,
        now,
    )


async def add_step(tx: Tx, case_id: str, step: Step) -> None:
    # The counter's row lock puts two writers of one case in line.
    row = await tx.one("UPDATE desk_case SET steps = steps + 1 WHERE case_id = $1 RETURNING steps", case_id)
    if row is None:
        raise LookupError("a step needs its case")
    await tx.run(
        "INSERT INTO case_step (case_id, n, at, officer_id, officer_name, what, detail)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        case_id,
        row["steps"],
        step.at,
        step.officer_id,
        step.officer_name,
        step.what,
        step.detail,
    )


async def steps(db: Db, case_id: str) -> list[Step]:
    rows = await db.all("SELECT * FROM case_step WHERE case_id = $1 ORDER BY n", case_id)
    return [Step(row["at"], row["officer_id"], row["officer_name"], row["what"], row["detail"]) for row in rows]


async def put_evidence(tx: Tx, evidence_id: str, case_id: str, evidence: Evidence, officer_name: str) -> None:
    card = evidence if isinstance(evidence, PhysicalCardSeen) else None
    face = evidence if isinstance(evidence, OfficerCompared) else None
    await tx.run(
        "INSERT INTO case_evidence (evidence_id, case_id, need, officer_id, officer_name, at, number_matches,"
        " photo_matches, undamaged, same_person, facts, result, place) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9,"
        " $10, $11, $12, (SELECT COUNT(*) FROM case_evidence WHERE case_id = $2))",
        evidence_id,
        case_id,
        _KINDS[type(evidence)].value,
        getattr(evidence, "officer", ""),
        officer_name,
        int(evidence.at.timestamp()),
        int(card.number_matches) if card else None,
        int(card.photo_matches) if card else None,
        int(card.undamaged) if card else None,
        int(face.same_person) if face else None,
        "" if card or (face and not face.own_photo) else json.dumps(evidence.as_facts()),
        _result(evidence),
    )


def _result(evidence: Evidence) -> str:
    match evidence:
        case FaceMatched():
            return "matched" if evidence.ok else "borderline" if evidence.borderline else "refused"
        case SecondOfficer():
            return evidence.why.value
        case _:
            return "good" if evidence.good else "bad"


async def counts(db: Db) -> list[tuple[str, str, str, int]]:
    """Of how many cases of which office what kind of evidence came out how: office, need, result, cases."""
    rows = await db.all(
        "SELECT c.office, e.need, e.result, COUNT(DISTINCT e.case_id) AS n FROM case_evidence e"
        " JOIN desk_case c ON c.case_id = e.case_id WHERE e.need IN ('face', 'second_document', 'second_officer')"
        " GROUP BY c.office, e.need, e.result ORDER BY c.office, e.need, e.result"
    )
    return [(row["office"], row["need"], row["result"], row["n"]) for row in rows]


async def evidence(reader: Db | Tx, case_id: str) -> tuple[Evidence, ...]:
    """In the order it was recorded in."""
    rows = await reader.all("SELECT * FROM case_evidence WHERE case_id = $1 ORDER BY place, at, evidence_id", case_id)
    return tuple(_evidence(row) for row in rows)


def _evidence(row: Row) -> Evidence:
    at, officer = datetime.fromtimestamp(row["at"], UTC), row["officer_id"]
    facts = json.loads(row["facts"]) if row["facts"] else {}
    match Need(row["need"]):
        case Need.PHYSICAL_CARD:
            return PhysicalCardSeen(
                officer, at, bool(row["number_matches"]), bool(row["photo_matches"]), bool(row["undamaged"])
            )
        case Need.OFFICER:
            own = bool(facts.get("own_photo"))
            return OfficerCompared(officer, row["officer_name"], at, bool(row["same_person"]), own)
        case Need.FACE:
            return FaceMatched(
                facts["challenge"], at, bool(facts["ok"]), bool(facts["borderline"]), facts["reason"], facts["model"],
                facts.get("wallet", ""),
            )  # fmt: skip
        case Need.SECOND_DOCUMENT:
            return SecondDocumentSeen(officer, facts["kind"], bool(facts["number_matches"]), at)
        case Need.SECOND_OFFICER:
            return SecondOfficer(officer, row["officer_name"], at, Why(facts["why"]))
        case _ as never:
            assert_never(never)


async def put_offer(tx: Tx, case_id: str, offer_id: str, uri: bytes, expires: int) -> None:
    await tx.run(
        "INSERT INTO desk_offer (case_id, offer_id, uri, expires) VALUES ($1, $2, $3, $4) ON CONFLICT (case_id)"
        " DO UPDATE SET offer_id = excluded.offer_id, uri = excluded.uri, expires = excluded.expires",
        case_id,
        offer_id,
        uri,
        expires,
    )


async def drop_offer(tx: Tx, case_id: str) -> None:
    await tx.run("DELETE FROM desk_offer WHERE case_id = $1", case_id)


async def offer(db: Db, case_id: str) -> tuple[str, bytes, int] | None:
    row = await db.one("SELECT offer_id, uri, expires FROM desk_offer WHERE case_id = $1", case_id)
    return (row["offer_id"], bytes(row["uri"]), row["expires"]) if row else None


async def put_look(tx: Tx, look_id: str, officer_id: str, person: str, reason: str, at: int) -> None:
    await tx.run(
        "INSERT INTO desk_look (look_id, officer_id, person, reason, at) VALUES ($1, $2, $3, $4, $5)",
        look_id,
        officer_id,
        person,
        reason,
        at,
    )


async def forget_looks(tx: Tx, before: int) -> None:
    """A look opens a record for minutes; what must be remembered is in the audit chain."""
    await tx.run("DELETE FROM desk_look WHERE at < $1", before)


async def looked(db: Db, officer_id: str, person: str, reason: str, since: int) -> bool:
    row = await db.one(
        "SELECT look_id FROM desk_look WHERE officer_id = $1 AND person = $2 AND reason = $3 AND at > $4 LIMIT 1",
        officer_id,
        person,
        reason,
        since,
    )
    return row is not None


async def look(db: Db, look_id: str, officer_id: str, since: int) -> tuple[str, str] | None:
    """The person and the reason of a look this officer began after `since`."""
    row = await db.one(
        "SELECT person, reason FROM desk_look WHERE look_id = $1 AND officer_id = $2 AND at > $3",
        look_id,
        officer_id,
        since,
    )
    return (row["person"], row["reason"]) if row else None
