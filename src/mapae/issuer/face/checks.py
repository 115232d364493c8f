"""Face checks: a challenge for one application and one phone, one answer, and what it came to.

Promises: a challenge is bound to its subject and the wallet's key, lives the pack's seconds and is spent before anybody
looks at the pictures, so that whatever happens then, the try is counted and nothing is passed; what came out is on
record together with what it means for the application, or not at all. Trusts: the register for photo and date, the
verifier for its verdict, the owners of subjects for whose they are. Keeps: ids, reasons, distances, counts, model ids,
for the appeal period. Refuses: a photo that is too old, before any camera; a sixth failure; another wallet's challenge.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Final

import structlog

from mapae.ages import years_after
from mapae.audit import Event, record
from mapae.catalog import Country
from mapae.clock import Clock, Dice
from mapae.db import Db, Tx
from mapae.errors import Code, Refused, where
from mapae.issuer.evidence import FaceMatched, Need
from mapae.issuer.face import store
from mapae.issuer.face.store import Check
from mapae.issuer.face.values import Challenge, FaceOutcome, FaceVerifier, ModelId, Reason
from mapae.issuer.face.wire import Burst
from mapae.registers.values import Person, PopulationRegister
from mapae.rules import FaceRules

UNANSWERED: Final = timedelta(days=1)
DAY: Final = timedelta(days=1)
REMEMBERED: Final = timedelta(minutes=5)  # how long a photo's readability is not asked for again
SAID_AGAIN: Final = timedelta(minutes=1)
REMEMBER: Final = 500
PATIENCE: Final = 2.5  # seconds a page waits to hear whether the machine can read a photo
SUBJECT_LENGTH: Final = 128
_ROUTE: Final = {Need.FACE, Need.SECOND_DOCUMENT}  # while one of these stands, the camera may help
_log = structlog.get_logger("mapae.face")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a check is for: `case:<id>` or `tap:<id>`, whose face, for which document, and what is missing."""

    id: str
    person: str
    document: str
    needs: tuple[Need, ...]


Owner = Callable[[str, str], Awaitable[Subject]]
"""From the id behind the prefix and the wallet's key to the subject. Raises Refused(NOT_FOUND) for anybody else's."""

Heard = Callable[[Tx, Subject, FaceMatched], Awaitable[None]]
"""What an outcome means for its subject, in the transaction that records it."""


@dataclass(frozen=True, slots=True)
class Opened:
    challenge: Challenge
    expires_in: int
    tries_left: int
    model: ModelId


@dataclass(frozen=True, slots=True)
class Answered:
    outcome: FaceOutcome
    tries_left: int


@dataclass(frozen=True, slots=True)
class Standing:
    """`by_face`: the camera may still be tried. `unread`: why the photo on record is out of the question for it."""

    needs: tuple[Need, ...]
    by_face: bool
    tries_left: int
    model: ModelId | None
    unread: str = ""


@dataclass(frozen=True, slots=True)
class CameTo:
    """What the checks of a subject have come to. `spent`: nobody may try again."""

    passed: FaceMatched | None
    spent: bool


class FaceChecks:
    """`own` and `hear` tell it, prefix by prefix, whose subjects are and who wants to know."""

    def __init__(
        self, *, db: Db, clock: Clock, dice: Dice, country: Country, rules: FaceRules, verifier: FaceVerifier,
        register: PopulationRegister, patience: float = PATIENCE,
    ) -> None:  # fmt: skip
        self._patience = patience
        self._db, self._clock, self._dice = db, clock, dice
        self._country, self.rules = country, rules
        self._verifier, self._register = verifier, register
        self._owners: dict[str, Owner] = {}
        self._heard: dict[str, Heard] = {}
        self._said: dict[tuple[str, str], tuple[datetime, str]] = {}
        self._asking: dict[tuple[str, str], asyncio.Task[str]] = {}
        self._unread: dict[tuple[str, date | None], tuple[datetime, str]] = {}

    def own(self, prefix: str, owner: Owner) -> None:
        """Who answers for what wallets call `prefix:<id>`."""
        self._owners[prefix] = owner

    def hear(self, prefix: str, heard: Heard) -> None:
        """Who is told of outcomes for subjects `prefix:<id>`."""
        self._heard[prefix] = heard

    # --- the wallet ------------------------------------------------------------------------------------------------

    async def open(self, asked: str, jkt: str) -> Opened:
        """1 whose subject  2 a face is wanted  3 the photo's date  4 tries left  5 somebody who can judge it; only then
        is anybody asked to look into a camera."""
        subject = await self._subject(asked, jkt)
        if not _ROUTE & set(subject.needs):
            raise Refused(Code.CONFLICT, "no face check is needed")
        person = await self._recorded(subject)
        tries = await self._must_have_tries(self._db, subject)
        model = await self._verifier.model()
        if await self._why_unread(person):
            raise Refused(Code.FACE_UNAVAILABLE, "the photo on record cannot be read by the machine")
        now, id = self._clock.now(), self._dice.token(16)
        at, life = int(now.timestamp()), self.rules.challenge_seconds
        challenge = Challenge.drawn(self._dice, id, self._dice.token(16))
        check = Check(
            id, subject.id, asked, subject.person, jkt, challenge, "open", at, at + life, 0, borderline=False,
            outcome=None,
        )  # fmt: skip

        async def body(tx: Tx) -> None:
            await tx.serial(f"face:{subject.person}")
            await self._must_have_tries(tx, subject)
            await store.add(tx, check)

        await self._db.write(body)
        return Opened(challenge, life, tries, model)

    async def answer(self, id: str, jkt: str, raw: bytes) -> Answered:
        """1 a burst for this challenge  2 of this wallet  3 for a subject that still is  4 unspent and in time: from
        here on the try counts  5 the verifier  6 on record with what it means."""
        burst = Burst.parse(raw)
        check = await store.get(self._db, id)
        if check is None or check.jkt != jkt or burst.challenge != id:
            raise Refused(Code.CHALLENGE_SPENT, "this challenge is not this wallet's, or these pictures are another's")
        subject = await self._subject(check.asked, jkt)
        person = await self._recorded(subject)
        await self._spend(check, subject)
        outcome = await self._verified(person.photo, burst, check.challenge)
        return Answered(outcome, await self._close(check, subject, outcome))

    async def standing(self, asked: str, jkt: str) -> Standing:
        return await self.standing_of(await self._subject(asked, jkt))

    # --- the officer, and the tap ----------------------------------------------------------------------------------

    async def standing_of(self, subject: Subject, *, read: bool = True) -> Standing:
        """Whether the camera may still be tried, asked before anybody looks into it. `read`: the photo on record is
        shown to the machine, which takes it a moment."""
        if not _ROUTE & set(subject.needs):
            return Standing(subject.needs, True, await self._tries_left(self._db, subject), await self._model())
        tries, model = await self._tries_left(self._db, subject), await self._model()
        unread = await self._said_unread(subject) if read and tries and model else ""
        return Standing(subject.needs, bool(tries and model and not unread), tries, model, unread)

    async def last(self, subject: str) -> Check | None:
        """The newest check that counts, with the distance for as long as it is kept."""
        return next(reversed(await store.of_subject(self._db, subject)), None)

    async def came_to(self, subject: str, asked: str) -> CameTo:
        """Of the checks of a subject the newest that was `asked` by this name: another phone's face check, of the same
        person on the same day, opens nothing here."""
        checks = await store.of_subject(self._db, subject)
        last = next((check for check in reversed(checks) if check.asked == asked), None)
        passed = _matched(last, last.outcome, self.rules) if last is not None and last.outcome is not None else None
        at = self._clock.now().timestamp()
        looking = any(check.outcome is None and at < check.expires for check in checks)  # the last try may yet pass
        spent = bool(checks) and not looking and not await self._left(self._db, checks, checks[-1].person)
        return CameTo(passed if passed is not None and passed.ok else None, spent)

    async def prune(self) -> int:
        """Forget checks whose days have surely passed: they are what somebody may appeal against."""
        now = self._clock.surely()
        kept = now - timedelta(days=self.rules.appeal_days)
        return await self._db.write(
            lambda tx: store.forget(tx, int((now - UNANSWERED).timestamp()), int(kept.timestamp()))
        )

    # --- inside ----------------------------------------------------------------------------------------------------

    async def _subject(self, asked: str, jkt: str) -> Subject:
        prefix, _, id = asked.partition(":")
        owner = self._owners.get(prefix)
        if owner is None or not id or len(asked) > SUBJECT_LENGTH:
            raise Refused(Code.NOT_FOUND, "there is nothing of that name to check a face for")
        return await owner(id, jkt)

    async def _recorded(self, subject: Subject) -> Person:
        """The photo on record, young enough: no matcher can see how old a picture is."""
        person = await self._register.get(subject.person)
        document = self._country.documents.get(subject.document)
        rules = document.eligibility if document is not None else None
        today = self._country.today(self._clock.now())
        if rules is not None and (
            person.photo_taken is None or today > years_after(person.photo_taken, rules.photo_max_age_years)
        ):
            raise Refused(Code.RECORD_PHOTO_TOO_OLD, "the photo on record is too old to compare a face with")
        return person

    async def _model(self) -> ModelId | None:
        try:
            return await self._verifier.model()
        except Refused as refused:
            if refused.code is Code.FACE_UNAVAILABLE:
                return None
            raise

    async def _said_unread(self, subject: Subject) -> str:
        """For whoever asks every other second how it stands: the register is asked once a minute, and no page waits
        longer than moments for a machine. What is not known by then counts as readable: `open` asks again."""
        key, now = (subject.person, subject.document), self._clock.now()
        known = self._said.get(key)
        if known is not None and timedelta(0) <= now - known[0] <= SAID_AGAIN:
            return known[1]
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.create_task(self._find_out(key, subject, now))
            asking.add_done_callback(partial(self._found_out, key))
        done, _ = await asyncio.wait({asking}, timeout=self._patience)
        return asking.result() if done else ""

    def _found_out(self, key: tuple[str, str], asking: asyncio.Task[str]) -> None:
        self._asking.pop(key, None)
        if not asking.cancelled():
            asking.exception()  # whoever still waits has it raised; nobody else need know

    async def _find_out(self, key: tuple[str, str], subject: Subject, now: datetime) -> str:
        try:
            unread = await self._why_unread(await self._recorded(subject))
        except Refused as refused:
            if refused.code is not Code.RECORD_PHOTO_TOO_OLD:
                raise
            unread = refused.code.value
        if len(self._said) >= REMEMBER:
            self._said.clear()
        self._said[key] = now, unread
        return unread

    async def _why_unread(self, person: Person) -> str:
        """Why the machine cannot work with this photo, or nothing. Remembered for minutes, for it takes a machine."""
        key, now = (person.person, person.photo_taken), self._clock.now()
        known = self._unread.get(key)
        if known is None or not timedelta(0) <= now - known[0] <= REMEMBERED:
            if len(self._unread) >= REMEMBER:
                self._unread.clear()
            reason = await self._verifier.reads(person.photo)
            known = now, "" if reason is None else reason.value
            if reason not in (Reason.VERIFIER_SLOW, Reason.VERIFIER_UNAVAILABLE):  # that may pass in a moment
                self._unread[key] = known
        return known[1]

    async def _spend(self, check: Check, subject: Subject) -> None:
        """However many challenges are answered at once, no more are looked at than there are tries."""
        now = int(self._clock.now().timestamp())

        async def body(tx: Tx) -> None:
            await tx.serial(f"face:{subject.person}")
            await self._must_have_tries(tx, subject)
            if not await store.spend(tx, check.id, now):
                raise Refused(Code.CHALLENGE_SPENT, "this challenge was answered before, or is too old")

        await self._db.write(body)

    async def _verified(self, photo: bytes, burst: Burst, challenge: Challenge) -> FaceOutcome:
        """A verifier may be somebody else's work: whatever it does, only a clean yes is a yes."""
        try:
            outcome = await self._verifier.verify(photo, burst.frames, challenge)
        except Exception as bug:  # noqa: BLE001 must not escape: the try is spent, and the person is owed an answer
            _log.error("face verifier failed", kind=type(bug).__name__, where=where(bug))
            nobody = ModelId("", "", "", accredited=False)
            return FaceOutcome(
                False, Reason.VERIFIER_UNAVAILABLE, None, self.rules.threshold, None, len(burst.frames), nobody
            )
        if outcome.ok != (outcome.reason is Reason.MATCH):
            _log.error("face verifier contradicts itself", reason=outcome.reason.value)
            return replace(outcome, ok=False, reason=Reason.VERIFIER_UNAVAILABLE)
        return outcome

    async def _close(self, check: Check, subject: Subject, outcome: FaceOutcome) -> int:
        now = self._clock.now()
        at = int(now.timestamp())
        matched = _matched(replace(check, answered=at), outcome, self.rules)
        heard = self._heard.get(subject.id.partition(":")[0])

        async def body(tx: Tx) -> int:
            await tx.serial(f"person:{subject.person}")
            if not await store.close(tx, check.id, outcome, matched.borderline, at):
                raise Refused(Code.CHALLENGE_SPENT, "this challenge was answered before")
            if heard is not None:
                await heard(tx, subject, matched)
            facts: dict[str, str | int] = {"check": check.id, "subject": subject.id, "reason": outcome.reason.value}
            await record(tx, Event(subject.person, "face", "checked", "wallet", facts), now)
            return await self._tries_left(tx, subject)

        return await self._db.write(body)

    async def _tries_left(self, reader: store.Reader, subject: Subject) -> int:
        return await self._left(reader, await store.of_subject(reader, subject.id), subject.person)

    async def _left(self, reader: store.Reader, checks: list[Check], person: str) -> int:
        """Of this subject's tries, and of twice as many a day for the person: whoever begins anew and anew does not try
        for ever. One that was spent and has no outcome has failed: it may be under way, or we died over it. A verifier
        that was busy costs none of the five; the day's ten it does, so that nobody sends for ever what breaks it."""
        day = int((self._clock.now() - DAY).timestamp())
        here = self.rules.tries - sum(not check.ok and not check.ours for check in checks)
        return max(0, min(here, 2 * self.rules.tries - await store.failures(reader, person, day)))

    async def _must_have_tries(self, reader: store.Reader, subject: Subject) -> int:
        left = await self._tries_left(reader, subject)
        if not left:
            raise Refused(Code.FACE_SPENT, "too many face checks failed: officers compare")
        return left


def _matched(check: Check, outcome: FaceOutcome, rules: FaceRules) -> FaceMatched:
    """Nearly: alive, and a distance between the verifier's threshold and what the pack calls borderline."""
    nearly = (
        outcome.reason is Reason.NO_MATCH
        and outcome.distance is not None
        and outcome.threshold < outcome.distance <= rules.borderline
    )
    model = f"{outcome.model.name} {outcome.model.version}".strip()
    at = datetime.fromtimestamp(check.answered, UTC)
    return FaceMatched(check.id, at, outcome.ok, nearly, outcome.reason.value, model, check.jkt)
