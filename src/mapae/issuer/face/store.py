"""Face checks in the issuer's database: plain SQL, one function a sentence.

Promises: a challenge is spent once, by compare-and-swap; of one subject at most one is open. Trusts: its only caller,
`checks.py`, to hold `tx.serial` of the subject where it counts. Keeps: table face_check; no picture. Refuses: nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from mapae.db import Db, Row, Tx
from mapae.issuer.face.values import Challenge, FaceOutcome, ModelId, Reason

Reader = Db | Tx
MILLION = 1_000_000
_OURS = (Reason.VERIFIER_SLOW, Reason.VERIFIER_UNAVAILABLE)


@dataclass(frozen=True, slots=True)
class Check:
    """One challenge and, once it was answered, what came out. A `spent` one without an outcome failed with us."""

    id: str
    subject: str
    asked: str
    person: str
    jkt: str
    challenge: Challenge
    state: str
    opened: int
    expires: int
    answered: int
    borderline: bool
    outcome: FaceOutcome | None

    @property
    def ok(self) -> bool:
        return self.outcome is not None and self.outcome.ok

    @property
    def ours(self) -> bool:
        """It failed with the verifier, not with the person."""
        return self.outcome is not None and self.outcome.reason in _OURS


def _check(row: Row) -> Check:
    prompts = tuple(int(at) for at in row["prompts_ms"].split(",") if at)
    challenge = Challenge(row["id"], row["nonce"], row["blinks"], prompts, row["length_ms"])
    return Check(
        row["id"], row["subject"], row["asked"], row["person"], row["jkt"], challenge, row["state"], row["opened"],
        row["expires"], row["answered"] or 0, bool(row["borderline"]), _outcome(row),
    )  # fmt: skip


def _outcome(row: Row) -> FaceOutcome | None:
    if row["reason"] is None:
        return None
    distance = row["distance_millionths"]
    model = ModelId(row["model_name"], row["model_version"], row["model_sha256"], bool(row["model_accredited"]))
    reason = Reason(row["reason"])
    return FaceOutcome(
        reason is Reason.MATCH, reason, None if distance is None else distance / MILLION,
        row["threshold_millionths"] / MILLION, row["blinks_seen"], row["frames"], model,
    )  # fmt: skip


async def add(tx: Tx, check: Check) -> None:
    """The one that was open before, if any, is over: nobody answers the easier of two."""
    await tx.run("UPDATE face_check SET state = 'over' WHERE subject = $1 AND state = 'open'", check.subject)
    asked = check.challenge
    await tx.run(
        "INSERT INTO face_check (id, subject, asked, person, jkt, nonce, blinks, prompts_ms, length_ms, state, opened,"
        " expires) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'open', $10, $11)",
        check.id, check.subject, check.asked, check.person, check.jkt, asked.nonce, asked.blinks,
        ",".join(str(at) for at in asked.prompts_ms), asked.length_ms, check.opened, check.expires,
    )  # fmt: skip


async def get(reader: Reader, id: str) -> Check | None:
    row = await reader.one("SELECT * FROM face_check WHERE id = $1", id)
    return None if row is None else _check(row)


async def spend(tx: Tx, id: str, now: int) -> bool:
    """False when it was spent before, is over, too old, or from the future of a clock that was set back."""
    return await tx.run(
        "UPDATE face_check SET state = 'spent' WHERE id = $1 AND state = 'open' AND expires > $2 AND opened <= $2",
        id, now,
    ) == 1  # fmt: skip


async def close(tx: Tx, id: str, outcome: FaceOutcome, borderline: bool, now: int) -> bool:
    model, distance = outcome.model, outcome.distance
    return await tx.run(
        "UPDATE face_check SET state = 'answered', answered = $2, reason = $3, borderline = $4,"
        " distance_millionths = $5, threshold_millionths = $6, blinks_seen = $7, frames = $8, model_name = $9,"
        " model_version = $10, model_sha256 = $11, model_accredited = $12 WHERE id = $1 AND state = 'spent'",
        id, now, outcome.reason.value, int(borderline), None if distance is None else round(distance * MILLION),
        round(outcome.threshold * MILLION), outcome.blinks, outcome.frames, model.name, model.version, model.sha256,
        int(model.accredited),
    ) == 1  # fmt: skip


async def of_subject(reader: Reader, subject: str) -> list[Check]:
    """Those that count, oldest first: whoever was asked and did not answer has lost nothing."""
    rows = await reader.all(
        "SELECT * FROM face_check WHERE subject = $1 AND state IN ('spent', 'answered') ORDER BY opened, id", subject
    )
    return [_check(row) for row in rows]


async def failures(reader: Reader, person: str, since: int) -> int:
    """How many checks of this person failed since then, whatever they were for."""
    row = await reader.one(
        "SELECT COUNT(*) AS n FROM face_check WHERE person = $1 AND opened > $2"
        " AND (state = 'spent' OR (state = 'answered' AND reason <> 'match'))",
        person, since,
    )  # fmt: skip
    return 0 if row is None else int(row["n"])


async def forget(tx: Tx, unanswered_before: int, before: int) -> int:
    gone = await tx.run("DELETE FROM face_check WHERE opened < $1", before)
    return gone + await tx.run(
        "DELETE FROM face_check WHERE opened < $1 AND state IN ('open', 'over')", unanswered_before
    )  # fmt: skip
