"""The one table of the Korean message family's gateway: transactions.

Promises: a state follows only from the states it may follow from, whoever comes first (compare-and-swap). Trusts: the
primary key, never a read before a write. Keeps: codes, states and times, until they are forgotten. Refuses: nothing of
its own; a lost race is a False that the caller names.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from mapae.audit import Event, record
from mapae.clock import Clock
from mapae.db import Db, Duplicate, Row, Tx


class State(StrEnum):
    """The published transaction states; before the first, a phone waits for a shop to read its code (QR-CPM)."""

    OFFERED = "0000"
    ASKED = "0001"
    PROFILE = "0002"
    CHECKING = "0003"
    DONE = "0004"
    FAILED = "0005"


OVER = frozenset({State.DONE, State.FAILED})


@dataclass(frozen=True, slots=True)
class Trx:
    trxcode: str
    relying_party: str | None
    svc_code: str | None
    interface: str
    mode: str
    branch_name: str | None
    device_id: str | None
    question: str | None
    nonce: str | None
    state: State
    result: str | None
    error: str | None
    profile_at: int | None
    image_at: int | None
    vp_at: int | None
    made_at: int
    changed_at: int
    ends_at: int


async def add(db: Db, trx: Trx, clock: Clock) -> bool:
    """False: there is one of this code already."""

    async def body(tx: Tx) -> bool:
        await tx.run(
            "INSERT INTO mip_transaction (trxcode, relying_party, svc_code, interface, mode, branch_name, device_id,"
            " question, nonce, state, made_at, changed_at, ends_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
            trx.trxcode, trx.relying_party, trx.svc_code, trx.interface, trx.mode, trx.branch_name, trx.device_id,
            trx.question, trx.nonce, trx.state.value, trx.made_at, trx.changed_at, trx.ends_at,
        )  # fmt: skip
        facts = {"interface": trx.interface, "mode": trx.mode}
        await record(tx, Event(trx.trxcode, "mip", "opened", trx.relying_party or "wallet", facts), clock.now())
        return True

    try:
        return await db.write(body)
    except Duplicate:
        return False


async def find(db: Db, trxcode: str) -> Trx | None:
    row = await db.one("SELECT * FROM mip_transaction WHERE trxcode = $1", trxcode)
    return _trx(row) if row is not None else None


async def claim(
    db: Db, trxcode: str, *, party: str, svc_code: str, branch_name: str | None, device_id: str | None, now: int
) -> bool:
    """A shop reads the code of a phone that waits. False: another was quicker, or the phone waits no more."""
    claimed = await db.run(
        "UPDATE mip_transaction SET relying_party = $2, svc_code = $3, branch_name = $4, device_id = $5,"
        " changed_at = $6 WHERE trxcode = $1 AND relying_party IS NULL AND state = '0000' AND ends_at > $6",
        trxcode, party, svc_code, branch_name, device_id, now,
    )  # fmt: skip
    return claimed == 1


async def ask(db: Db, trxcode: str, *, question: str, nonce: str, now: int, ends_at: int) -> None:
    """Whoever claimed it has put the question."""
    await db.run(
        "UPDATE mip_transaction SET question = $2, nonce = $3, state = '0001', changed_at = $4, ends_at = $5"
        " WHERE trxcode = $1 AND state = '0000'",
        trxcode, question, nonce, now, ends_at,
    )  # fmt: skip


async def move(db: Db, trxcode: str, given: Collection[State], to: State, now: int) -> bool:
    """From one of these states to that one. False: it is in another by now."""
    marks = {State.PROFILE: "profile_at = $3", State.CHECKING: "vp_at = $3"}[to]
    moved = await db.run(
        f"UPDATE mip_transaction SET state = $2, {marks}, changed_at = $3"  # noqa: S608  names of our own columns
        f" WHERE trxcode = $1 AND state IN ({', '.join(repr(state.value) for state in given)})",
        trxcode, to.value, now,
    )  # fmt: skip
    return moved == 1


async def back_to_profile(db: Db, trxcode: str, now: int) -> None:
    """A VP was none: another may come. When the profile was sent stays as it was."""
    await db.run(
        "UPDATE mip_transaction SET state = '0002', changed_at = $2 WHERE trxcode = $1 AND state = '0003'", trxcode, now
    )


async def picture(db: Db, trxcode: str, now: int) -> bool:
    """False: it has ended."""
    sent = await db.run(
        "UPDATE mip_transaction SET image_at = $2, changed_at = $2 WHERE trxcode = $1"
        " AND state NOT IN ('0004', '0005')",
        trxcode, now,
    )  # fmt: skip
    return sent == 1


async def end(
    db: Db, trxcode: str, state: State, clock: Clock, *, result: str | None = None, error: str | None = None
) -> bool:  # fmt: skip
    """Done or failed, once. False: it had ended already."""

    async def body(tx: Tx) -> bool:
        now = clock.now()
        ended = await tx.run(
            "UPDATE mip_transaction SET state = $2, result = $3, error = $4, changed_at = $5 WHERE trxcode = $1"
            " AND state NOT IN ('0004', '0005')",
            trxcode, state.value, result, error, int(now.timestamp()),
        )  # fmt: skip
        if ended == 0:
            return False
        await record(tx, Event(trxcode, "mip", "ended", "verifier", {"state": state.value}), now)
        return True

    return await db.write(body)


async def open_ones(db: Db, before: int) -> list[Trx]:
    """What has run out of time and has not ended."""
    rows = await db.all(
        "SELECT * FROM mip_transaction WHERE state NOT IN ('0004', '0005') AND ends_at <= $1 LIMIT 500", before
    )
    return [_trx(row) for row in rows]


async def forget(db: Db, before: int) -> None:
    due = await db.one("SELECT 1 AS due FROM mip_transaction WHERE ends_at <= $1 LIMIT 1", before)
    if due is not None:  # a round every few seconds must not cost a durable write each time
        await db.run("DELETE FROM mip_transaction WHERE ends_at <= $1", before)


def _trx(row: Row) -> Trx:
    return Trx(
        row["trxcode"], row["relying_party"], row["svc_code"], row["interface"], row["mode"], row["branch_name"],
        row["device_id"], row["question"], row["nonce"], State(row["state"]), row["result"], row["error"],
        row["profile_at"], row["image_at"], row["vp_at"], row["made_at"], row["changed_at"], row["ends_at"],
    )  # fmt: skip
