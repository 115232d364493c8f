"""The tables of the taps.

Promises: each function is one step of a transaction its caller owns; a session changes its state by compare-and-swap
only; one live session a phone because the index `tap_session_one` says so. Trusts: `sessions.py` for order and audit.
Keeps: sessions for a day, the last use of a chip, stop links until they expire. Refuses: nothing by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from mapae.db import Db, Row, Tx

from .values import LIVE, OPEN, Session, State

Reader = Db | Tx
_LIVE = ", ".join(f"'{state.value}'" for state in LIVE)
_OPEN = ", ".join(f"'{state.value}'" for state in OPEN)


def _session(row: Row) -> Session:
    return Session(
        row["id"], row["person"], row["device"], bool(row["waiting"]), row["kind"], row["client_jkt"], row["dpop_jkt"],
        row["code"], row["language"], State(row["state"]), row["reason"], row["step"], row["opened"], row["expires"],
        row["tap_until"], b"" if row["chip"] is None else bytes(row["chip"]), row["proven"], row["old_device"],
        row["offer"],
    )  # fmt: skip


async def add(tx: Tx, session: Session, secret_hash: bytes) -> None:
    """Raises Duplicate when the phone has a live one."""
    await tx.run(
        "INSERT INTO tap_session (id, person, device, waiting, kind, client_jkt, dpop_jkt, secret_hash, code, language,"
        " state, opened, expires, changed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $12)",
        session.id, session.person, session.device, int(session.waiting), session.kind, session.client_jkt,
        session.dpop_jkt, secret_hash, session.code, session.language, session.state.value, session.opened,
        session.expires,
    )  # fmt: skip


async def get(reader: Reader, id: str) -> Session | None:
    row = await reader.one("SELECT * FROM tap_session WHERE id = $1", id)
    return None if row is None else _session(row)


async def by_secret(reader: Reader, secret_hash: bytes) -> Session | None:
    row = await reader.one("SELECT * FROM tap_session WHERE secret_hash = $1", secret_hash)
    return None if row is None else _session(row)


async def opened_since(tx: Tx, person: str, since: int) -> int:
    row = await tx.one("SELECT count(*) AS n FROM tap_session WHERE person = $1 AND opened >= $2", person, since)
    return 0 if row is None else int(row["n"])


async def move(tx: Tx, id: str, before: State, after: State, now: int) -> bool:
    """Compare and swap."""
    return await tx.run(
        "UPDATE tap_session SET state = $3, changed = $4 WHERE id = $1 AND state = $2",
        id, before.value, after.value, now,
    ) == 1  # fmt: skip


async def show(tx: Tx, id: str, chip: bytes, tap_until: int, now: int) -> bool:
    """A card is shown: from here on the chip has so long."""
    return await tx.run(
        "UPDATE tap_session SET state = 'card', chip = $2, tap_until = $3, changed = $4"
        " WHERE id = $1 AND state = 'opened' AND expires > $4",
        id, chip, tap_until, now,
    ) == 1  # fmt: skip


async def prove(tx: Tx, id: str, after: State, now: int) -> bool:
    """The chip has proven itself, in time."""
    return await tx.run(
        "UPDATE tap_session SET state = $2, proven = $3, changed = $3"
        " WHERE id = $1 AND state = 'card' AND tap_until > $3 AND expires > $3",
        id, after.value, now,
    ) == 1  # fmt: skip


async def begin_issuing(tx: Tx, id: str, old_device: str, now: int) -> bool:
    return await tx.run(
        "UPDATE tap_session SET state = 'issuing', old_device = $2, changed = $3"
        " WHERE id = $1 AND state = 'confirm' AND expires > $3",
        id, old_device, now,
    ) == 1  # fmt: skip


async def offer(tx: Tx, id: str, offer: str, now: int) -> bool:
    """The offer is open; or another one is, for the one before ran out."""
    return await tx.run(
        "UPDATE tap_session SET state = 'offered', offer = $2, changed = $3"
        " WHERE id = $1 AND state IN ('moved', 'offered')",
        id, offer, now,
    ) == 1  # fmt: skip


async def fail(tx: Tx, id: str, reason: str, step: str, now: int, *, issuing: bool = False) -> bool:
    """End what has not begun to issue; with `issuing` that, too."""
    states = _LIVE if issuing else _OPEN
    return await tx.run(
        f"UPDATE tap_session SET state = 'failed', reason = $2, step = $3, changed = $4"  # noqa: S608 our own words
        f" WHERE id = $1 AND state IN ({states})",
        id, reason, step, now,
    ) == 1  # fmt: skip


async def fail_others_on(tx: Tx, device: str, reason: str, now: int) -> int:
    """A phone begins anew: its open session ends. What is being issued is not open any more."""
    return await tx.run(
        "UPDATE tap_session SET state = 'failed', reason = $2, step = 'replaced', changed = $3"  # noqa: S608 our own words
        f" WHERE device = $1 AND state IN ({_OPEN})",
        device, reason, now,
    )  # fmt: skip


async def live_of(tx: Tx, person: str) -> list[Session]:
    rows = await tx.all(
        f"SELECT * FROM tap_session WHERE person = $1 AND state IN ({_LIVE}) ORDER BY id",  # noqa: S608 our own words
        person,
    )
    return [_session(row) for row in rows]


async def overdue(db: Db, now: int) -> list[Session]:
    rows = await db.all(
        f"SELECT * FROM tap_session WHERE state IN ({_OPEN}) AND (expires <= $1"  # noqa: S608 our own words
        " OR (state = 'card' AND tap_until <= $1)) ORDER BY expires LIMIT 1000", now,
    )  # fmt: skip
    return [_session(row) for row in rows]


async def unfinished(db: Db, before: int) -> list[Session]:
    """What a wallet confirmed and nobody finished."""
    rows = await db.all(
        "SELECT * FROM tap_session WHERE state IN ('issuing', 'moved') AND changed <= $1 ORDER BY changed LIMIT 100",
        before,
    )
    return [_session(row) for row in rows]


async def forget(tx: Tx, before: int, now: int) -> int:
    """A session that opened an offer is kept as long as the chip's use counts: the issuing asks after it."""
    gone = await tx.run(
        f"DELETE FROM tap_session WHERE changed < $1 AND state NOT IN ({_LIVE})",  # noqa: S608 our own words
        before,
    )
    gone += await tx.run("DELETE FROM tap_use WHERE at < $1", before)
    return gone + await tx.run("DELETE FROM stop_link WHERE expires < $1 AND used = 0", now)


# --- how often a chip is used -----------------------------------------------------------------------------------------


async def take_use(tx: Tx, chip: bytes, session: str, since: int, now: int) -> bool:
    """Whether this chip may lead to a card now: not used at or after `since`, or by this very session."""
    return await tx.run(
        "INSERT INTO tap_use (chip, at, session) VALUES ($1, $2, $3)"
        " ON CONFLICT (chip) DO UPDATE SET at = $2, session = $3 WHERE tap_use.at < $4 OR tap_use.session = $3",
        chip, now, session, since,
    ) == 1  # fmt: skip


async def drop_use(tx: Tx, session: str) -> None:
    await tx.run("DELETE FROM tap_use WHERE session = $1", session)


async def used_since(reader: Reader, chip: bytes, since: int) -> bool:
    return await reader.one("SELECT 1 AS found FROM tap_use WHERE chip = $1 AND at >= $2", chip, since) is not None


# --- stop links -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StopLink:
    notice: str
    person: str
    kind: str
    made: int
    expires: int
    used: int


async def add_stop(tx: Tx, secret_hash: bytes, link: StopLink) -> None:
    await tx.run(
        "INSERT INTO stop_link (secret_hash, notice, person, kind, made, expires) VALUES ($1, $2, $3, $4, $5, $6)"
        " ON CONFLICT DO NOTHING",
        secret_hash, link.notice, link.person, link.kind, link.made, link.expires,
    )  # fmt: skip


async def stop_link(reader: Reader, secret_hash: bytes, now: int) -> StopLink | None:
    row = await reader.one("SELECT * FROM stop_link WHERE secret_hash = $1 AND expires > $2", secret_hash, now)
    if row is None:
        return None
    return StopLink(row["notice"], row["person"], row["kind"], row["made"], row["expires"], row["used"])


async def use_stop(tx: Tx, secret_hash: bytes, now: int) -> None:
    await tx.run("UPDATE stop_link SET used = $2 WHERE secret_hash = $1", secret_hash, now)


async def stopped_at(reader: Reader, person: str) -> int:
    """When the person last stopped everything by such a link; 0: never."""
    row = await reader.one("SELECT max(used) AS at FROM stop_link WHERE person = $1", person)
    return 0 if row is None or row["at"] is None else int(row["at"])
