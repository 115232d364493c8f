"""The face worker, from the web process: started when first needed, asked in turn, ended when in doubt.

Promises: `FaceVerifier` and `PhotoJudge` over one child process. Whatever becomes of the child (it cannot start,
crashes, hangs, talks nonsense) the answer is a failed outcome with `verifier-unavailable` or `verifier-slow`, never a
pass, and the next question starts a new child. Nothing of a question touches a disk. Trusts: nothing the child says
beyond what it was asked. Keeps: a child, and a queue of a few questions. Refuses: more questions than the queue holds.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeVar

import structlog

from ...errors import Code, Refused
from . import talk
from .values import Challenge, FaceOutcome, Frame, ModelId, PhotoReport, Reason
from .weights import PINNED, RESNET, folder, model_id

COMMAND: Final = (sys.executable, "-P", "-s", "-m", "mapae.issuer.face.worker")
PATIENCE: Final = 30.0  # seconds for one answer; the child's own limit of processor time ends it sooner
START_PATIENCE: Final = 30.0
QUEUE: Final = 8  # questions, with the one being answered
QUESTIONS: Final = 40  # then a new child: what it computed and kept is bounded
PAUSE: Final = 30.0  # seconds until a child that could not start is tried again
_ROOT: Final = str(Path(__file__).resolve().parents[3])
ENVIRONMENT: Final = {
    "PYTHONPATH": _ROOT, "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8",
    "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
}  # fmt: skip

_log = structlog.get_logger("mapae.face")
A = TypeVar("A", bound=talk.Answer)


class Lost(Exception):
    """The child gave no answer that counts. `slow`: it may only have been busy."""

    def __init__(self, why: str, *, slow: bool = False) -> None:
        super().__init__(why)
        self.slow = slow


class FaceProcess:
    """Implements `FaceVerifier` and `PhotoJudge`."""

    def __init__(
        self, threshold: float, *, command: Sequence[str] = COMMAND, patience: float = PATIENCE, queue: int = QUEUE,
        questions: int = QUESTIONS, pause: float = PAUSE,
    ) -> None:  # fmt: skip
        self._threshold, self._command, self._patience = threshold, tuple(command), patience
        self._queue, self._questions, self._pause = queue, questions, pause
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._child: _Child | None = None
        self._failed_at = -math.inf
        self._closed = False

    async def model(self) -> ModelId:
        """Raises Refused(FACE_UNAVAILABLE). Starts nothing: the child says itself whether its weights are these."""
        folder()
        found = model_id()
        if self._closed or self._resting():
            raise Refused(Code.FACE_UNAVAILABLE, "the face verifier does not start")
        return found

    async def reads(self, record: bytes) -> Reason | None:
        try:
            return (await self._ask(talk.Read(record), talk.Has)).reason
        except Lost as lost:
            return _of(lost)

    async def verify(self, record: bytes, burst: Sequence[Frame], challenge: Challenge) -> FaceOutcome:
        question = talk.Verify(record, tuple(burst), challenge, self._threshold)
        try:
            outcome = (await self._ask(question, talk.Verified)).outcome
        except Lost as lost:
            model = ModelId("dlib-resnet-v1", "", PINNED[RESNET], accredited=False)
            return FaceOutcome(False, _of(lost), None, self._threshold, None, len(burst), model)
        if not follows(outcome, question):
            _log.error("the face worker's answer contradicts itself; a new one is started")
            await self._end()
            reason = Reason.VERIFIER_UNAVAILABLE
            return FaceOutcome(False, reason, None, self._threshold, None, len(burst), outcome.model)
        return outcome

    async def judge(self, photo: bytes) -> PhotoReport:
        """Raises Refused(FACE_UNAVAILABLE). Whoever uploads photos fills half of the queue at most: a person before a
        camera is waiting, and a busy verifier costs that person a try of the day."""
        try:
            return (await self._ask(talk.Judge(photo), talk.Judged, max(1, self._queue // 2))).report
        except Lost:  # perhaps over this photo, perhaps for another reason: no fault of the photo's that we know of
            raise Refused(Code.FACE_UNAVAILABLE, "photos cannot be judged just now: an officer looks instead") from None

    async def close(self) -> None:
        self._closed = True
        if self._child is not None:
            self._child.kill()  # whoever waits for its answer hears the end, and lets go
        async with self._turn:
            await self._end()

    async def _ask(self, question: talk.Question, wanted: type[A], room: int | None = None) -> A:
        """Raises Lost."""
        if self._waiting >= (self._queue if room is None else room):
            raise Lost("too many are waiting", slow=True)
        self._waiting += 1
        try:
            async with self._turn:
                return await self._answer(question, wanted)
        finally:
            self._waiting -= 1

    async def _answer(self, question: talk.Question, wanted: type[A]) -> A:
        child = await self._started()
        try:
            async with asyncio.timeout(self._patience):
                answer = await child.ask(question)
        except TimeoutError:
            await self._end()
            _log.warning("the face worker was too slow and was ended")
            raise Lost("no answer in time", slow=True) from None
        except (OSError, EOFError, ValueError) as error:
            await self._end()
            _log.warning("the face worker was lost", kind=type(error).__name__)
            raise Lost("the worker is gone") from None
        except asyncio.CancelledError:  # its answer would be taken for the next one's
            await self._end()
            raise
        if isinstance(answer, wanted):
            if child.asked >= self._questions:
                await self._end()
            return answer
        if isinstance(answer, talk.Broke):
            _log.error("the face worker broke", kind=answer.kind[:100], where=answer.where[:8])
        await self._end()
        raise Lost("not the answer to this question")

    async def _started(self) -> _Child:
        """The child, running and ready. Raises Lost."""
        if self._closed or self._resting():
            raise Lost("the verifier does not start")
        if self._child is not None and self._child.running:
            return self._child
        await self._end()
        try:
            self._child = await _Child.start(self._command)
            async with asyncio.timeout(START_PATIENCE):
                answer = await self._child.hear()
        except (TimeoutError, OSError, EOFError, ValueError) as error:
            answer = talk.Unready(type(error).__name__)
        except asyncio.CancelledError:
            await self._end()
            raise
        if isinstance(answer, talk.Ready) and self._child is not None:
            return self._child
        why = answer.why[:200] if isinstance(answer, talk.Unready) else "it said something else"
        _log.error("the face worker does not start: officers compare faces", why=why)
        self._failed_at = asyncio.get_running_loop().time()
        await self._end()
        raise Lost("the verifier does not start")

    def _resting(self) -> bool:
        return asyncio.get_running_loop().time() - self._failed_at < self._pause

    async def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            await child.end()


class _Child:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.asked = 0

    @classmethod
    async def start(cls, command: Sequence[str]) -> _Child:
        """Its own session, so that no terminal's interrupt reaches it; nothing of ours is open in it."""
        return cls(
            await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                # A library's complaint could hold anything of a picture; what we log, the worker says in its answers.
                stderr=asyncio.subprocess.DEVNULL, env=dict(ENVIRONMENT), cwd="/", close_fds=True,
                start_new_session=True,
            )
        )  # fmt: skip

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def ask(self, question: talk.Question) -> talk.Answer:
        self.asked += 1
        assert self._process.stdin is not None
        self._process.stdin.write(talk.framed(question))
        await self._process.stdin.drain()
        return await self.hear()

    async def hear(self) -> talk.Answer:
        """Raises EOFError, ValueError."""
        assert self._process.stdout is not None
        (length,) = talk.LENGTH.unpack(await self._process.stdout.readexactly(talk.LENGTH.size))
        if length > talk.LONGEST_ANSWER:
            raise ValueError("the answer is too long")
        return talk.read_answer(await self._process.stdout.readexactly(length))

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def end(self) -> None:
        """It has nothing to tidy up. Nobody may be hearing it."""
        self.kill()
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._process.stdout is not None:
            await self._process.stdout.read()  # else asyncio waits for ever for one that had more to say than we heard
        await self._process.wait()


def follows(outcome: FaceOutcome, question: talk.Verify) -> bool:
    """Whether an outcome can be one of this question. A pass must be whole; everything else only has to be no pass."""
    if outcome.threshold != question.threshold or outcome.frames != len(question.burst):
        return False
    if outcome.ok != (outcome.reason is Reason.MATCH):
        return False
    if outcome.distance is not None and not 0 <= outcome.distance <= 4:
        return False
    if not outcome.ok:
        return True
    return (
        outcome.distance is not None
        and outcome.distance <= question.threshold
        and outcome.blinks == question.challenge.blinks
        and outcome.model.sha256 == PINNED[RESNET]
        and not outcome.model.accredited
    )


def _of(lost: Lost) -> Reason:
    return Reason.VERIFIER_SLOW if lost.slow else Reason.VERIFIER_UNAVAILABLE
