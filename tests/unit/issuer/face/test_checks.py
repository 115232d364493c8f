"""A face check is one challenge, one answer and one outcome, whoever tries what."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from facing import FAR, NEARLY, PICTURE, Scripted, burst
from issuing import BASE, START, Hall, Register, korea
from mapae.clock import MovableClock, SeededDice
from mapae.db import Db, Tx
from mapae.errors import Code, Refused
from mapae.issuer.evidence import FaceMatched, Need
from mapae.issuer.face import web
from mapae.issuer.face.checks import FaceChecks, Opened, Subject
from mapae.issuer.face.values import Challenge, FaceOutcome, Frame, Reason
from mapae.registers.values import Person
from mapae.ui.site import application
from unit.issuer.test_desk_faults import PowerCut, Unsure

MINE, THEIRS = "offer:mine", "offer:theirs"
JKT, OTHER = "key-of-jisoo", "key-of-minho"


class Room:
    """Two people with an order each, waiting for a face."""

    def __init__(self, db: Db, clock: MovableClock | None = None) -> None:
        self.db, self.clock, self.country = db, clock or MovableClock(START), korea()
        self.register = Register(self.country)
        for person in ("jisoo", "minho"):
            self.register.add(person, person, date(1990, 7, 1))
        self.verifier = Scripted()
        self.waiting = {
            ("mine", JKT): Subject("case:c-1", "jisoo", "resident_card", (Need.FACE, Need.OFFICER)),
            ("theirs", OTHER): Subject("case:c-2", "minho", "resident_card", (Need.FACE, Need.OFFICER)),
        }
        self.heard: list[tuple[str, FaceMatched]] = []
        self.checks = self.opened()

    def opened(self, **how: float) -> FaceChecks:
        """A process on this database; a second one is what comes after a power cut."""
        assert self.country.face is not None
        checks = FaceChecks(
            db=self.db, clock=self.clock, dice=SeededDice(len(self.heard) + 7), country=self.country,
            rules=self.country.face, verifier=self.verifier, register=self.register, **how,
        )  # fmt: skip
        checks.own("offer", self._owner)
        checks.hear("case", self._hear)
        return checks

    async def _owner(self, id: str, jkt: str) -> Subject:
        if (id, jkt) not in self.waiting:
            raise Refused(Code.NOT_FOUND, "no such order of this wallet")
        return self.waiting[id, jkt]

    async def _hear(self, tx: Tx, subject: Subject, matched: FaceMatched) -> None:
        self.heard.append((subject.id, matched))

    async def ask(self) -> Opened:
        return await self.checks.open(MINE, JKT)

    async def try_once(self) -> tuple[bool, str, int]:
        id = (await self.ask()).challenge.id
        answered = await self.checks.answer(id, JKT, burst(id))
        return answered.outcome.ok, answered.outcome.reason.value, answered.tries_left


@pytest.fixture
def room(issuer_db: Db) -> Room:
    return Room(issuer_db)


async def refusal(work: Awaitable[object]) -> Code:
    with pytest.raises(Refused) as refused:
        await work
    return refused.value.code


async def test_a_match_is_told_with_the_order_and_counts_no_try(room: Room) -> None:
    assert await room.try_once() == (True, "match", 5)
    [(subject, matched)] = room.heard
    assert (subject, matched.ok, matched.model) == ("case:c-1", True, "scripted 1")
    [(record, frames, _)] = room.verifier.seen
    assert (record, len(frames)) == ((await room.register.get("jisoo")).photo, 3)
    came = await room.checks.came_to("case:c-1", MINE)
    assert came.passed is not None
    assert not came.spent


async def test_a_face_shown_to_one_phone_opens_nothing_on_another_of_the_same_person(room: Room) -> None:
    """Tries are counted together; a pass is the pass of the phone that was asked."""
    room.waiting["other", OTHER] = room.waiting["mine", JKT]
    id = (await room.checks.open("offer:other", OTHER)).challenge.id
    await room.checks.answer(id, OTHER, burst(id))
    assert (await room.checks.came_to("case:c-1", "offer:other")).passed is not None
    assert (await room.checks.came_to("case:c-1", MINE)).passed is None


@pytest.mark.parametrize(
    ("distance", "what"), [(NEARLY, (False, True)), (FAR, (False, False)), (0.5, (True, False)), (0.55, (False, True))]
)
async def test_nearly_is_what_the_pack_calls_borderline(room: Room, distance: float, what: tuple[bool, bool]) -> None:
    room.verifier.says = [distance]
    await room.try_once()
    [(_, matched)] = room.heard
    assert (matched.ok, matched.borderline) == what


async def test_nearly_without_a_sign_of_life_is_no(room: Room) -> None:
    room.verifier.says = [Reason.NOT_LIVE]
    assert await room.try_once() == (False, "not-live", 4)
    assert not room.heard[0][1].borderline


async def test_five_failures_and_then_only_officers(room: Room) -> None:
    room.verifier.says = [Reason.NO_FACE, FAR, Reason.NOT_LIVE, Reason.BURST_GAP, Reason.UNSTEADY]
    assert [(await room.try_once())[2] for _ in range(5)] == [4, 3, 2, 1, 0]
    assert await refusal(room.ask()) == Code.FACE_SPENT
    standing = await room.checks.standing(MINE, JKT)
    assert (standing.by_face, standing.tries_left) == (False, 0)
    assert (await room.checks.came_to("case:c-1", MINE)).spent
    assert (await room.checks.standing(THEIRS, OTHER)).tries_left == 5


async def test_while_the_last_try_is_judged_nothing_is_over(room: Room) -> None:
    room.verifier.says = [FAR, FAR, FAR, FAR, Reason.MATCH]
    for _ in range(4):
        await room.try_once()
        room.clock.advance(seconds=5)
    room.verifier.held, room.verifier.began = asyncio.Event(), asyncio.Event()
    last = asyncio.create_task(room.try_once())
    await room.verifier.began.wait()
    assert not (await room.checks.came_to("case:c-1", MINE)).spent
    room.verifier.held.set()
    assert (await last)[0]
    assert (await room.checks.came_to("case:c-1", MINE)).passed is not None


async def test_whoever_begins_anew_has_ten_failures_a_day(room: Room) -> None:
    """Another case, another tap: five tries each, and the eleventh of a day is the officers'."""
    room.verifier.says = [FAR]
    for session in ("case:c-3", "tap:s-1", "tap:s-2"):
        room.waiting["mine", JKT] = Subject(session, "jisoo", "resident_card", (Need.FACE,))
        for _ in range(5):
            if session != "tap:s-2":
                await room.try_once()
    assert await refusal(room.ask()) == Code.FACE_SPENT
    assert not (await room.checks.standing(MINE, JKT)).by_face
    assert (await room.checks.standing(THEIRS, OTHER)).tries_left == 5
    room.clock.advance(days=1)
    assert await room.try_once() == (False, "no-match", 4)


async def test_an_upload_kept_from_an_earlier_challenge_is_refused(room: Room) -> None:
    first = (await room.ask()).challenge.id
    kept = burst(first)
    assert (await room.checks.answer(first, JKT, kept)).outcome.ok
    second = (await room.ask()).challenge.id
    assert await refusal(room.checks.answer(first, JKT, kept)) == Code.CHALLENGE_SPENT
    assert await refusal(room.checks.answer(second, JKT, kept)) == Code.CHALLENGE_SPENT
    assert len(room.verifier.seen) == 1


async def test_another_wallet_answers_no_challenge_and_opens_none(room: Room) -> None:
    id = (await room.ask()).challenge.id
    assert await refusal(room.checks.answer(id, OTHER, burst(id))) == Code.CHALLENGE_SPENT
    assert await refusal(room.checks.open(MINE, OTHER)) == Code.NOT_FOUND
    assert await refusal(room.checks.standing(MINE, OTHER)) == Code.NOT_FOUND
    theirs = (await room.checks.open(THEIRS, OTHER)).challenge.id
    assert await refusal(room.checks.answer(theirs, JKT, burst(theirs))) == Code.CHALLENGE_SPENT
    assert await refusal(room.checks.answer(id, JKT, burst(theirs))) == Code.CHALLENGE_SPENT
    assert room.verifier.seen == []
    assert (await room.checks.answer(id, JKT, burst(id))).outcome.ok


@pytest.mark.parametrize("name", ["", "mine", "offer:", "tap:mine", "case:c-1", "offer:" + "m" * 200])
async def test_a_subject_nobody_owns_is_not_found(room: Room, name: str) -> None:
    assert await refusal(room.checks.open(name, JKT)) == Code.NOT_FOUND


async def test_a_challenge_lives_a_minute_by_the_issuers_clock(room: Room) -> None:
    id = (await room.ask()).challenge.id
    room.clock.advance(seconds=60)
    assert await refusal(room.checks.answer(id, JKT, burst(id))) == Code.CHALLENGE_SPENT
    late = (await room.ask()).challenge.id
    room.clock.set(room.clock.now().replace(hour=1))  # the clock was wrong and is set back
    assert await refusal(room.checks.answer(late, JKT, burst(late))) == Code.CHALLENGE_SPENT
    assert room.verifier.seen == []
    assert (await room.checks.standing(MINE, JKT)).tries_left == 5


async def test_two_answers_at_once_are_looked_at_once(room: Room) -> None:
    id = (await room.ask()).challenge.id
    answers = await asyncio.gather(
        *(room.checks.answer(id, JKT, burst(id)) for _ in range(6)), return_exceptions=True
    )  # fmt: skip
    assert sum(not isinstance(answer, Exception) for answer in answers) == 1
    assert all(answer.code == Code.CHALLENGE_SPENT for answer in answers if isinstance(answer, Refused))
    assert (len(room.verifier.seen), len(room.heard)) == (1, 1)


async def test_five_tries_are_five_however_many_come_at_once(room: Room) -> None:
    """Each asks for a challenge and answers it, twenty at a time."""
    room.verifier.says = [FAR]

    async def attack() -> None:
        id = (await room.ask()).challenge.id
        await room.checks.answer(id, JKT, burst(id))

    for _ in range(3):
        await asyncio.gather(*(attack() for _ in range(20)), return_exceptions=True)
    while (await room.checks.standing(MINE, JKT)).tries_left:
        await attack()
    assert len(room.verifier.seen) == 5
    assert await refusal(room.ask()) == Code.FACE_SPENT


async def test_a_challenge_that_was_opened_before_the_last_try_failed_buys_no_sixth(room: Room) -> None:
    room.verifier.says = [FAR]
    for _ in range(4):
        await room.try_once()
    fifth = (await room.ask()).challenge.id
    room.verifier.held = asyncio.Event()
    running = asyncio.create_task(room.checks.answer(fifth, JKT, burst(fifth)))
    room.verifier.began.clear()
    await room.verifier.began.wait()
    assert await refusal(room.ask()) == Code.FACE_SPENT
    room.verifier.held.set()
    assert (await running).tries_left == 0


async def test_a_newer_challenge_ends_the_older_one(room: Room) -> None:
    easy = (await room.ask()).challenge.id
    await room.ask()
    assert await refusal(room.checks.answer(easy, JKT, burst(easy))) == Code.CHALLENGE_SPENT


async def test_the_power_goes_between_the_spending_and_the_verdict(room: Room) -> None:
    """The try is counted, nothing is passed, and the challenge is good for nothing more."""
    id = (await room.ask()).challenge.id
    room.verifier.held = asyncio.Event()
    running = asyncio.create_task(room.checks.answer(id, JKT, burst(id)))
    await room.verifier.began.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    room.verifier.held = None
    room.checks = room.opened()
    assert room.heard == []
    assert await refusal(room.checks.answer(id, JKT, burst(id))) == Code.CHALLENGE_SPENT
    assert (await room.checks.standing(MINE, JKT)).tries_left == 4
    assert (await room.checks.came_to("case:c-1", MINE)).passed is None


@pytest.mark.parametrize("kept", [False, True], ids=["lost", "kept"])
@pytest.mark.parametrize("at", [1, 2, 3], ids=["challenge", "spent", "outcome"])
async def test_a_lost_answer_at_any_write_passes_nobody_twice_and_nobody_unseen(
    room: Room, at: int, kept: bool
) -> None:
    """The phone asks for a new challenge, as it would; the try that was lost may have been counted, never forgotten."""
    room.checks._db = Unsure(room.db, at, kept)
    passed = False
    for _ in range(3):
        try:
            ok, _, _ = await room.try_once()
        except PowerCut:
            continue
        passed = ok
        break
    assert passed
    came = await room.checks.came_to("case:c-1", MINE)
    assert came.passed is not None
    rows = await room.db.all("SELECT state FROM face_check WHERE state IN ('spent', 'answered')")
    matched = [subject for subject, said in room.heard if said.ok]
    assert sum(row["state"] == "answered" for row in rows) == len(matched)
    assert len(room.verifier.seen) == len(rows) - (at == 2 and kept)


async def test_what_an_outcome_means_is_on_record_with_it_or_not_at_all(room: Room) -> None:
    async def broken(tx: Tx, subject: Subject, matched: FaceMatched) -> None:
        raise Refused(Code.UNAVAILABLE, "the desk is away")

    room.checks.hear("case", broken)
    id = (await room.ask()).challenge.id
    assert await refusal(room.checks.answer(id, JKT, burst(id))) == Code.UNAVAILABLE
    came = await room.checks.came_to("case:c-1", MINE)
    assert came.passed is None
    assert (await room.checks.standing(MINE, JKT)).tries_left == 4


async def test_a_dead_verifier_passes_nobody(room: Room) -> None:
    id = (await room.ask()).challenge.id
    room.verifier.gone = True
    assert (await room.checks.answer(id, JKT, burst(id))).outcome.reason is Reason.VERIFIER_UNAVAILABLE
    assert not room.heard[0][1].ok
    assert await refusal(room.ask()) == Code.FACE_UNAVAILABLE
    standing = await room.checks.standing(MINE, JKT)
    assert (standing.by_face, standing.model) == (False, None)


@pytest.mark.parametrize("bug", [ValueError("out of bounds"), MemoryError(), Refused(Code.UNAVAILABLE, "")])
async def test_a_verifier_that_breaks_passes_nobody(room: Room, bug: Exception) -> None:
    room.verifier.bug = bug
    assert await room.try_once() == (False, "verifier-unavailable", 5)


async def test_what_breaks_the_verifier_is_sent_ten_times_a_day_at_most(room: Room) -> None:
    """A busy machine costs none of the person's five tries; a burst that breaks it is not sent for ever."""
    room.verifier.bug = MemoryError()
    assert [(await room.try_once())[2] for _ in range(10)] == [5, 5, 5, 5, 5, 4, 3, 2, 1, 0]
    assert await refusal(room.ask()) == Code.FACE_SPENT


async def test_a_verifier_that_contradicts_itself_passes_nobody(room: Room) -> None:
    class Liar(Scripted):
        async def verify(self, record: bytes, burst: Any, challenge: Challenge) -> FaceOutcome:
            return replace(await super().verify(record, burst, challenge), ok=True)

    room.verifier = Liar(Reason.NOT_LIVE)
    room.checks = room.opened()
    assert await room.try_once() == (False, "verifier-unavailable", 5)


async def test_an_old_photo_stops_everything_before_the_camera(room: Room) -> None:
    known = room.register.people["jisoo"]
    room.register.people["jisoo"] = msgspec.structs.replace(known, photo_taken=date(2016, 3, 1))
    assert await refusal(room.ask()) == Code.RECORD_PHOTO_TOO_OLD
    standing = await room.checks.standing(MINE, JKT)
    assert (standing.by_face, standing.unread) == (False, "record_photo_too_old")


async def test_a_wallet_that_asks_every_other_second_is_no_burden_to_the_register(room: Room) -> None:
    asked, get = [], room.register.get

    async def counted(person: str) -> Person:
        asked.append(person)
        return await get(person)

    room.register.get = counted  # type: ignore[method-assign]  # the register is the tests' own
    for _ in range(30):
        room.clock.advance(seconds=2)
        assert (await room.checks.standing(MINE, JKT)).by_face
    assert len(asked) == 1


async def test_no_page_waits_for_a_machine_that_hangs(room: Room) -> None:
    class Hanging(Scripted):
        async def reads(self, record: bytes) -> Reason | None:
            await asyncio.Event().wait()
            return None

    room.verifier = Hanging()
    room.checks = room.opened(patience=0.01)
    assert (await room.checks.standing(MINE, JKT)).by_face
    assert (await room.checks.standing(MINE, JKT)).by_face
    assert len(room.checks._asking) == 1  # and it is asked once, however often the page is


async def test_a_photo_the_machine_cannot_read_is_the_officers_at_once(room: Room) -> None:
    room.verifier.unread = Reason.RECORD_NO_FACE
    assert await refusal(room.ask()) == Code.FACE_UNAVAILABLE
    assert not (await room.checks.standing(MINE, JKT)).by_face


async def test_nobody_is_asked_for_a_face_that_is_not_wanted(room: Room) -> None:
    for needs in ((), (Need.OFFICER,)):
        room.waiting["mine", JKT] = Subject("case:c-1", "jisoo", "resident_card", needs)
        assert await refusal(room.ask()) == Code.CONFLICT
    room.waiting["mine", JKT] = Subject("case:c-1", "jisoo", "resident_card", (Need.SECOND_DOCUMENT,))
    assert (await room.ask()).tries_left == 5  # nearly alike: a better light may settle it


async def test_an_order_withdrawn_meanwhile_takes_no_answer(room: Room) -> None:
    id = (await room.ask()).challenge.id
    room.waiting.clear()
    assert await refusal(room.checks.answer(id, JKT, burst(id))) == Code.NOT_FOUND
    assert room.verifier.seen == []


async def test_a_silent_register_costs_no_try(room: Room) -> None:
    id = (await room.ask()).challenge.id
    room.register.silent = True
    assert await refusal(room.checks.answer(id, JKT, burst(id))) == Code.UNAVAILABLE
    room.register.silent = False
    assert (await room.checks.answer(id, JKT, burst(id))).tries_left == 5


async def test_a_body_that_is_no_burst_costs_no_try(room: Room) -> None:
    id = (await room.ask()).challenge.id
    for raw in (b"", b"MFB1", burst(id)[:-1], burst(id) + b"x"):
        assert await refusal(room.checks.answer(id, JKT, raw)) == Code.MALFORMED
    assert (await room.checks.answer(id, JKT, burst(id))).tries_left == 5


async def test_no_picture_is_in_any_row_or_file(room: Room, tmp_path: Path, capfd: Any) -> None:
    room.verifier.says = [FAR, Reason.MATCH]
    await room.try_once()
    await room.try_once()
    [check] = [dict(row) for row in await room.db.all("SELECT * FROM face_check WHERE reason = 'no-match'")]
    assert (check["distance_millionths"], check["frames"], check["model_name"]) == (800_000, 3, "scripted")
    for table in ("face_check", "audit_event"):
        for row in await room.db.all(f"SELECT * FROM {table}"):
            whole = b"|".join(v if isinstance(v, bytes) else str(v).encode() for v in dict(row).values())
            assert PICTURE[4:30] not in whole
            assert b"0.8" not in whole
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or PICTURE[4:30] not in path.read_bytes(), path
    said = capfd.readouterr()
    assert "picture" not in said.out + said.err


async def test_after_the_appeal_period_nothing_is_left(room: Room) -> None:
    await room.try_once()
    await room.ask()  # and never answered
    room.clock.advance(days=2)
    assert await room.checks.prune() == 1
    room.clock.advance(days=88)
    assert await room.checks.prune() == 0
    room.clock.advance(days=1)
    assert await room.checks.prune() == 1
    assert await room.db.all("SELECT * FROM face_check") == []


async def test_pruning_with_the_clock_ahead_forgets_nothing_somebody_may_appeal_against(room: Room) -> None:
    await room.try_once()
    room.clock.leap(days=730)
    assert await room.checks.prune() == 0
    room.clock.leap(days=-730)
    assert await room.checks.last("case:c-1") is not None


async def test_frames_arrive_at_the_verifier_as_they_were_sent(room: Room) -> None:
    id = (await room.ask()).challenge.id
    await room.checks.answer(id, JKT, burst(id, 7))
    [(_, frames, named)] = room.verifier.seen
    assert frames == tuple(Frame(80 * at, PICTURE) for at in range(7))
    assert named == id


async def test_a_flood_of_bursts_is_slowed_down(room: Room) -> None:
    """Sixty a minute from one address, whoever they say they are: a burst is megabytes before anybody can say no."""
    grants = Hall(room.db, room.clock).issuer.grants
    app = application(web.routes(room.checks, grants, room.db, BASE), clock=room.clock)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE) as http:
        url, headers = f"{BASE}/issuer/face/challenges/x/burst", {"Content-Type": "application/octet-stream"}
        seen = [(await http.post(url, content=b"", headers=headers)).status_code for _ in range(61)]
    assert seen == [401] * 60 + [429]
