"""`python -m mapae.issuer.face.worker`: strangers' pictures are decoded and looked at here, apart from everything else.

Promises: one question, one answer, in turn, over the two pipes; nothing is written anywhere else. From the first
stranger's byte on this process can open no file and no socket, write no file, dump no core, start no program that may
do more, and hold or compute no more than its share. Trusts: the process that started it. Keeps: nothing from one
question to the next but its weights. Refuses: to start without the pinned weights; ends with its pipes.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import resource
import sys
from typing import BinaryIO, Final

from ...errors import Refused, where
from . import talk

MEMORY: Final = 1 << 30  # bytes of address space; a quarter is used
CPU_SECONDS: Final = 20  # for one question; a burst of 150 frames takes four
LIFE_SECONDS: Final = 1200  # for all of them
# What libraries import when they first need it: for a median, for EXIF. No file opens then any more.
_LATE: Final = ("numpy.ma", "PIL.TiffImagePlugin")
_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 4, 38  # linux/prctl.h


def main() -> None:
    asked, said = sys.stdin.buffer, sys.stdout.buffer
    confine()
    try:
        desk = _Desk()
    except Refused as refused:
        _say(said, talk.Unready(refused.detail))
        return
    except ImportError as missing:
        _say(said, talk.Unready(f"{missing.name or 'a library'} is not installed here"))
        return
    shut_in()
    _say(said, talk.Ready(desk.model))
    while (question := _hear(asked)) is not None:
        renew()
        _say(said, desk.answer(question))


def confine() -> None:
    """Before anything is loaded."""
    with contextlib.suppress(OSError, AttributeError):  # not Linux: the limits below still hold
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)  # nobody reads this memory, not even our own user
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_AS, MEMORY)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, LIFE_SECONDS))


def shut_in() -> None:
    """Once all is loaded: only the descriptors that are open, also when one of them is closed, and no further
    process."""
    _limit(resource.RLIMIT_NOFILE, 0)
    _limit(resource.RLIMIT_NPROC, 0)


def renew() -> None:
    """A question's worth of processor time from now; beyond it the kernel ends us."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(used.ru_utime + used.ru_stime) + CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (min(soft, LIFE_SECONDS), LIFE_SECONDS))


def _limit(what: int, most: int) -> None:
    resource.setrlimit(what, (most, most))


class _Desk:
    """The engine is loaded here: a machine without it must still be able to say so."""

    def __init__(self) -> None:
        from PIL import Image

        from .dlib_verifier import Dlib, DlibVerifier
        from .quality import DlibJudge

        Image.preinit()
        for late in _LATE:
            importlib.import_module(late)
        engine = Dlib()
        self.model = engine.model
        self._verifier, self._judge = DlibVerifier(engine), DlibJudge(engine)

    def answer(self, question: talk.Question) -> talk.Answer:
        try:
            match question:
                case talk.Verify(record, burst, challenge, threshold):
                    return talk.Verified(self._verifier.verify(record, burst, challenge, threshold))
                case talk.Read(record):
                    return talk.Has(self._verifier.reads(record))
                case talk.Judge(photo):
                    return talk.Judged(self._judge.judge(photo))
        except Exception as bug:  # noqa: BLE001 the parent must hear where we broke, and no picture with it
            return talk.Broke(type(bug).__name__, where(bug))


def _hear(asked: BinaryIO) -> talk.Question | None:
    """None when the other side is gone, or says what nobody says."""
    head = asked.read(talk.LENGTH.size)
    if len(head) < talk.LENGTH.size:
        return None
    (length,) = talk.LENGTH.unpack(head)
    if length > talk.LONGEST_QUESTION:
        return None
    body = asked.read(length)
    return talk.read_question(body) if len(body) == length else None


def _say(said: BinaryIO, answer: talk.Answer) -> None:
    said.write(talk.framed(answer))
    said.flush()


if __name__ == "__main__":
    main()
