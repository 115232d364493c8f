"""The verifier's tables: tills, invitations to enrol one, and questions that wait for an answer.

Promises: a question is answered once, whoever comes first (compare-and-swap on its state); whoever asks has one open
question; an invitation is good once; a verdict that waits for its browser is seen by nobody. Trusts: unique indexes,
never a read before a write. Keeps: opaque ids, times, outcomes; shown values only sealed and only until `erase_at`.
Refuses: nothing of its own; a lost race is a False or None that the caller names.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec

from mapae.audit import Event, record
from mapae.db import Db, Row, Tx, epoch, moment
from mapae.verifier.asking import doubt_store
from mapae.verifier.asking.doubt import Accepted
from mapae.verifier.checking.offline import Offline


class Outcome(StrEnum):
    """How a check ended. The value is stable: the page, the tests and the audit trail key on it."""

    ACCEPTED = "accepted"  # checked; every question is answered yes, or the items are here
    NO = "no"  # checked and genuine, but the answer to the question is no: not an adult
    REFUSED = "refused"  # a numbered step of docs/checking.md failed
    DECLINED = "declined"  # the customer, or the wallet for the customer, said no
    EXPIRED = "expired"  # nobody answered in time
    CANCELLED = "cancelled"  # the clerk went back


@dataclass(frozen=True, slots=True)
class Till:
    """`used_at`: to the day."""

    id: str
    relying_party: str
    expires_at: datetime
    enrolled_at: datetime | None = None
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known after a check. Nothing here is about the person."""

    outcome: Outcome
    step: str | None = None
    code: str | None = None
    note: str | None = None
    format: str | None = None
    offline: Offline | None = None  # on what it stands, where no network was there


@dataclass(frozen=True, slots=True)
class Session:
    """One question. `till` is whose it is: a till, a visitor of a website, a command line. `secret` is the sealed
    encryption key until the end, `shown` the sealed values until erased. `answered`: a verdict waits for its browser.
    """

    id: str
    till: str
    relying_party: str
    purpose: str
    form: str
    nonce: str
    echo: str
    secret: bytes | None
    opened_at: datetime
    expires_at: datetime
    fetched: bool
    verdict: Verdict | None
    shown: bytes | None
    erase_at: datetime | None
    manner: str = "{}"
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Away:
    """A verdict waits for its browser: for the hash of its way back, or of the code `typed` off another device."""

    code: bytes
    until: datetime
    typed: bytes | None = None


TRIES = 3  # for a typed code
VISITOR = "visit-"  # and the hash of what a browser or an application holds, in place of a till
DAY = 86_400


# --- tills ------------------------------------------------------------------------------------------------------------


async def add_invitation(db: Db, code: bytes, relying_party: str, now: datetime, expires_at: datetime) -> None:
    async def body(tx: Tx) -> None:
        await tx.run(
            "INSERT INTO till_invitation (code, relying_party, expires_at) VALUES ($1, $2, $3)",
            code, relying_party, epoch(expires_at),
        )  # fmt: skip
        await record(tx, Event(relying_party, "till", "invited", "operator"), now)

    await db.write(body)


async def enrol(db: Db, code: bytes, till: Till, token: bytes, now: datetime) -> Till | None:
    """Spend an invitation and enrol the browser that holds `token`. None: no such live invitation.

    The relying party is the invitation's, whatever `till` says.
    """

    async def body(tx: Tx) -> Till | None:
        row = await tx.one(
            "DELETE FROM till_invitation WHERE code = $1 AND expires_at > $2 RETURNING relying_party",
            code, epoch(now),
        )  # fmt: skip
        if row is None:
            return None
        party = row["relying_party"]
        await tx.run(
            "INSERT INTO till (id, token, relying_party, enrolled_at, expires_at) VALUES ($1, $2, $3, $4, $5)",
            till.id, token, party, epoch(now), epoch(till.expires_at),
        )  # fmt: skip
        await record(tx, Event(till.id, "till", "enrolled", "till", {"relying_party": party}), now)
        return Till(till.id, party, till.expires_at, moment(epoch(now)))

    return await db.write(body)


async def till_of(db: Db, token: bytes, now: datetime) -> Till | None:
    row, at = await db.one("SELECT * FROM till WHERE token = $1 AND expires_at > $2", token, epoch(now)), epoch(now)
    if row is None:
        return None
    if not 0 <= at - (row["used_at"] or 0) < DAY:  # to the day: a look must not cost a durable write
        await db.run("UPDATE till SET used_at = $2 WHERE id = $1", row["id"], at)
    return _till(row)


async def tills_of(on: Db | Tx, party: str, now: datetime) -> list[Till]:
    """The live tills of a relying party, the oldest first."""
    rows = await on.all(
        "SELECT * FROM till WHERE relying_party = $1 AND expires_at > $2 ORDER BY enrolled_at, id", party, epoch(now)
    )
    return [_till(row) for row in rows]


async def end_till(db: Db, till: str, now: datetime, party: str = "") -> bool:
    """With its open question. False: there is no such till, or (with `party`) it is another one's."""

    async def body(tx: Tx) -> bool:
        mine = "DELETE FROM till WHERE id = $1 AND ($2 = '' OR relying_party = $2)"
        if not await tx.run(mine, till, party):
            return False
        await _end_open(tx, till, now)
        await record(tx, Event(till, "till", "ended", f"party:{party}" if party else "till"), now)
        return True

    return await db.write(body)


async def end_party(tx: Tx, party: str, now: datetime) -> list[str]:
    """Every till of a relying party, every code for one, and its open questions, whoever asked them: their ids."""
    await tx.run("DELETE FROM till_invitation WHERE relying_party = $1", party)
    for row in await tx.all("DELETE FROM till WHERE relying_party = $1 RETURNING id", party):
        await record(tx, Event(row["id"], "till", "ended", "registry"), now)
    rows = await tx.all(
        f"{_CANCELLED} WHERE relying_party = $2 AND state IN ('open', 'returning') RETURNING id", epoch(now), party
    )
    return [row["id"] for row in rows]


# --- questions --------------------------------------------------------------------------------------------------------


async def open_session(db: Db, session: Session) -> None:
    """Put a question; the till's earlier open question ends as cancelled. Raises Duplicate when two race."""

    async def body(tx: Tx) -> None:
        await _end_open(tx, session.till, session.opened_at)
        await tx.run(
            "INSERT INTO check_session (id, till, relying_party, purpose, form, nonce, echo, secret, state, opened_at,"
            " expires_at, manner) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'open', $9, $10, $11)",
            session.id, session.till, session.relying_party, session.purpose, session.form, session.nonce,
            session.echo, session.secret, epoch(session.opened_at), epoch(session.expires_at), session.manner,
        )  # fmt: skip
        facts = {"purpose": session.purpose, "relying_party": session.relying_party}
        # The chain is for ever: of a browser it says nothing by which its visits could be put together.
        who = "visitor" if session.till.startswith(VISITOR) else session.till
        await record(tx, Event(session.id, "check", "opened", who, facts), session.opened_at)

    await db.write(body)


async def session(db: Db, id: str) -> Session | None:
    row = await db.one("SELECT * FROM check_session WHERE id = $1", id)
    return _session(row) if row is not None else None


async def mark_fetched(db: Db, id: str, now: datetime) -> None:
    """A wallet has read the question: the page says so. The first time counts."""
    await db.run("UPDATE check_session SET fetched_at = $2 WHERE id = $1 AND fetched_at IS NULL", id, epoch(now))


async def end(
    db: Db, id: str, verdict: Verdict, now: datetime, *, shown: bytes | None, erase_at: datetime,
    accepted: Sequence[Accepted] = (),
) -> bool:  # fmt: skip
    """End an open question with its verdict and erase its key. False: it had ended already."""

    async def body(tx: Tx) -> bool:
        ended = await tx.run(
            "UPDATE check_session SET state = 'ended', secret = NULL, ended_at = $2, outcome = $3, step = $4,"
            " code = $5, note = $6, format = $7, shown = $8, erase_at = $9, offline = $10"
            " WHERE id = $1 AND state = 'open'",
            id, epoch(now), verdict.outcome.value, verdict.step, verdict.code, verdict.note, verdict.format, shown,
            epoch(erase_at), _grounds(verdict),
        )  # fmt: skip
        if ended == 0:
            return False
        await doubt_store.add(tx, accepted)
        await record(tx, Event(id, "check", "ended", "verifier", _facts(verdict)), now)
        return True

    return await db.write(body)


async def hold(
    db: Db, id: str, verdict: Verdict, now: datetime, away: Away, shown: bytes | None, accepted: Sequence[Accepted] = ()
) -> bool:
    """Keep a verdict back until the browser that asked returns. False: the question had ended already."""

    async def body(tx: Tx) -> bool:
        held = await tx.run(
            "UPDATE check_session SET state = 'returning', secret = NULL, outcome = $2, step = $3, code = $4,"
            " note = $5, format = $6, shown = $7, erase_at = $8, return_code = $9, return_by = $8, offline = $10,"
            " typed_code = $11 WHERE id = $1 AND state = 'open'",
            id, verdict.outcome.value, verdict.step, verdict.code, verdict.note, verdict.format, shown,
            epoch(away.until), away.code, _grounds(verdict), away.typed,
        )  # fmt: skip
        if held == 0:
            return False
        await doubt_store.add(tx, accepted)
        await record(tx, Event(id, "check", "answered", "verifier", {}), now)
        return True

    return await db.write(body)


async def come_back(db: Db, id: str, till: str, code: bytes, now: datetime, erase_at: datetime) -> bool:
    """The browser that asked is back with the code: the verdict counts. False: it does not, whyever."""

    async def body(tx: Tx) -> bool:
        row = await tx.one(
            f"{_BACK} WHERE id = $3 AND till = $4 AND return_code = $5 AND state = 'returning' AND return_by > $1"
            " RETURNING *",
            epoch(now), epoch(erase_at), id, till, code,
        )  # fmt: skip
        if row is None:
            return False
        await record(tx, Event(id, "check", "ended", "verifier", _facts(_verdict(row))), now)
        return True

    return await db.write(body)


async def waits_for(db: Db, id: str, code: bytes, now: datetime) -> bool:
    """Whether a verdict is held that this way back belongs to."""
    row = await db.one(
        "SELECT 1 AS waits FROM check_session WHERE id = $1 AND return_code = $2 AND state = 'returning'"
        " AND return_by > $3",
        id, code, epoch(now),
    )  # fmt: skip
    return row is not None


async def type_back(
    db: Db, id: str, till: str, code: bytes, now: datetime, erase_at: datetime, mistyped: Verdict
) -> int | None:
    """A code was typed where it was asked. 0: the question has ended, with its verdict or, after too many wrong codes,
    with `mistyped`. More: so many tries are left. None: nothing waits for a code here."""

    async def body(tx: Tx) -> int | None:
        # Counted first: of many that come at once each waits for the row, and none guesses beyond the tries.
        row = await tx.one(
            "UPDATE check_session SET typed_wrong = typed_wrong + 1 WHERE id = $1 AND till = $2"
            " AND typed_code IS NOT NULL AND state = 'returning' AND return_by > $3 RETURNING *",
            id, till, epoch(now),
        )  # fmt: skip
        if row is None:
            return None
        if hmac.compare_digest(bytes(row["typed_code"]), code):
            await tx.run(f"{_BACK} WHERE id = $3", epoch(now), epoch(erase_at), id)
            await record(tx, Event(id, "check", "ended", "verifier", _facts(_verdict(row))), now)
            return 0
        if row["typed_wrong"] < TRIES:
            return int(TRIES - row["typed_wrong"])
        await tx.run(f"{_TURNED_AWAY} WHERE id = $4", epoch(now), mistyped.step, mistyped.code, id)
        await record(tx, Event(id, "check", "ended", "verifier", _facts(mistyped)), now)
        return 0

    return await db.write(body)


async def turn_away(db: Db, id: str, code: bytes, verdict: Verdict, now: datetime) -> bool:
    """The code came back with another browser: what was shown is erased and the verdict is this."""

    async def body(tx: Tx) -> bool:
        row = await tx.one(
            f"{_TURNED_AWAY} WHERE id = $4 AND return_code = $5 AND state = 'returning' RETURNING id",
            epoch(now), verdict.step, verdict.code, id, code,
        )  # fmt: skip
        if row is None:
            return False
        await record(tx, Event(id, "check", "ended", "verifier", _facts(verdict)), now)
        return True

    return await db.write(body)


# HAIP 1.0 5.1: an answer whose browser does not come back, or not the one that asked, is rejected.
_TURNED_AWAY = (
    "UPDATE check_session SET state = 'ended', ended_at = $1, outcome = 'refused', step = $2, code = $3, note = NULL,"
    " shown = NULL, return_code = NULL, typed_code = NULL"
)
_BACK = "UPDATE check_session SET state = 'ended', ended_at = $1, erase_at = $2, return_code = NULL, typed_code = NULL"


def _facts(verdict: Verdict) -> dict[str, str | int]:
    facts: dict[str, str | int] = {"outcome": verdict.outcome.value}
    if verdict.offline is not None:
        facts["tier"] = verdict.offline.tier.value
    return facts | {key: value for key in ("step", "code", "format") if (value := getattr(verdict, key)) is not None}


async def hasten_erasure(db: Db, id: str, erase_at: datetime) -> None:
    """The page has shown the values: bring their end forward (never back)."""
    at = epoch(erase_at)
    await db.run("UPDATE check_session SET erase_at = $2 WHERE id = $1 AND shown IS NOT NULL AND erase_at > $2", id, at)


async def erase(db: Db, id: str) -> None:
    await db.run("UPDATE check_session SET shown = NULL WHERE id = $1 AND shown IS NOT NULL", id)


async def sweep(db: Db, now: datetime, forget_before: datetime, lost: Verdict) -> None:
    """End what nobody answered, and with `lost` what nobody came back for; erase shown values that are due, forget
    what ended `forget_before`: questions and tills."""

    async def body(tx: Tx) -> None:
        at = epoch(now)
        await tx.run("UPDATE check_session SET shown = NULL WHERE shown IS NOT NULL AND erase_at <= $1", at)
        rows = await tx.all(
            "UPDATE check_session SET state = 'ended', secret = NULL, ended_at = $1, outcome = 'expired'"
            " WHERE state = 'open' AND expires_at <= $1 RETURNING id",
            at,
        )
        lost_rows = await tx.all(
            f"{_TURNED_AWAY} WHERE state = 'returning' AND return_by <= $1 RETURNING id", at, lost.step, lost.code
        )
        before = epoch(forget_before)
        await tx.run("DELETE FROM check_session WHERE state = 'ended' AND ended_at <= $1", before)
        await tx.run("DELETE FROM till_invitation WHERE expires_at <= $1", before)
        await tx.run("DELETE FROM till WHERE expires_at <= $1", before)
        for row in rows:
            await record(tx, Event(row["id"], "check", "ended", "verifier", {"outcome": "expired"}), now)
        for row in lost_rows:
            await record(tx, Event(row["id"], "check", "ended", "verifier", _facts(lost)), now)

    if await _anything_due(db, now, forget_before):
        await db.write(body)


async def _anything_due(db: Db, now: datetime, forget_before: datetime) -> bool:
    """A poll each second must not cost a durable write each second."""
    at = epoch(now)
    row = await db.one(
        "SELECT 1 AS due FROM check_session WHERE (shown IS NOT NULL AND erase_at <= $1)"
        " OR (state = 'open' AND expires_at <= $1) OR (state = 'ended' AND ended_at <= $2)"
        " OR (state = 'returning' AND return_by <= $1)"
        " UNION ALL SELECT 1 FROM till_invitation WHERE expires_at <= $2"
        " UNION ALL SELECT 1 FROM till WHERE expires_at <= $2 LIMIT 1",
        at, epoch(forget_before),
    )  # fmt: skip
    return row is not None


async def _end_open(tx: Tx, till: str, now: datetime) -> None:
    await tx.run(f"{_CANCELLED} WHERE till = $2 AND state IN ('open', 'returning')", epoch(now), till)


_CANCELLED = (
    "UPDATE check_session SET state = 'ended', secret = NULL, ended_at = $1, outcome = 'cancelled', step = NULL,"
    " code = NULL, shown = NULL, return_code = NULL, typed_code = NULL"
)


def _till(row: Row) -> Till:
    used = row["used_at"]
    return Till(
        row["id"], row["relying_party"], moment(row["expires_at"]), moment(row["enrolled_at"]),
        moment(used),
    )  # fmt: skip


def _session(row: Row) -> Session:
    verdict = _verdict(row) if row["state"] == "ended" else None
    return Session(
        row["id"], row["till"], row["relying_party"], row["purpose"], row["form"], row["nonce"], row["echo"],
        _bytes(row["secret"]), moment(row["opened_at"]), moment(row["expires_at"]), row["fetched_at"] is not None,
        verdict, _bytes(row["shown"]), moment(row["erase_at"]),
        row["manner"], row["state"] == "returning",
    )  # fmt: skip


def _verdict(row: Row) -> Verdict:
    grounds = msgspec.json.decode(row["offline"], type=Offline) if row["offline"] is not None else None
    return Verdict(Outcome(row["outcome"]), row["step"], row["code"], row["note"], row["format"], grounds)


def _grounds(verdict: Verdict) -> str | None:
    return msgspec.json.encode(verdict.offline).decode() if verdict.offline is not None else None


def _bytes(value: bytes | None) -> bytes | None:
    return bytes(value) if value is not None else None
