"""A photo somebody brings, written anew in a process of its own: `python -m mapae.issuer.cards.rewriting` is its child.

Promises: a stranger's picture that no face verifier has judged is decoded apart from everything else, by a child that
lives for this picture alone, can open no file and no socket, and holds and computes no more than the face worker may;
whatever becomes of the child is this photo's trouble and nobody else's. Trusts: nothing the child says but a small JPEG
or a known reason. Keeps: nothing; a line of a few photos. Refuses: a photo over which the child is lost, with
PHOTO_REFUSED; with UNAVAILABLE more photos than the line holds, and what the machine is too busy for.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import sys
from collections.abc import Sequence
from typing import Final

import structlog
from PIL import Image

from mapae.errors import Code, Refused
from mapae.issuer.face.process import ENVIRONMENT
from mapae.issuer.face.worker import confine, shut_in

from .sealing import LARGEST_PORTRAIT, portrait

LARGEST_PHOTO: Final = 512 * 1024
COMMAND: Final = (sys.executable, "-P", "-s", "-m", "mapae.issuer.cards.rewriting")
PATIENCE: Final = 30.0  # seconds; the child's own limit of processor time ends it sooner
LINE: Final = 8  # photos, with the one being written
_REASONS: Final = ("unreadable", "too-large")
_LATE: Final = ("PIL.MpoImagePlugin", "PIL.TiffImagePlugin")  # needed first by a photo: no file opens then any more
_log = structlog.get_logger("mapae.cards")


class Rewriting:
    """One photo after the other."""

    def __init__(self, *, command: Sequence[str] = COMMAND, patience: float = PATIENCE, line: int = LINE) -> None:
        self._command, self._patience, self._line = tuple(command), patience, line
        self._turn = asyncio.Lock()
        self._waiting = 0

    async def portrait(self, jpeg: bytes) -> bytes:
        """Upright, without metadata, as large as a chip takes it. Raises Refused(PHOTO_REFUSED, UNAVAILABLE)."""
        if self._waiting >= self._line:
            raise _busy()
        self._waiting += 1
        try:
            async with self._turn:
                said = await self._child(jpeg)
        finally:
            self._waiting -= 1
        if said.startswith(b"\xff\xd8\xff") and len(said) <= LARGEST_PORTRAIT:
            return said
        step = said.decode("ascii", "replace")
        if step not in _REASONS:
            _log.warning("the process that writes a photo anew was lost")
            step = _REASONS[0]
        raise Refused(Code.PHOTO_REFUSED, "the photo cannot be read", step=step)

    async def _child(self, jpeg: bytes) -> bytes:
        """What it said; nothing when it was lost."""
        try:
            child = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL, env=dict(ENVIRONMENT), cwd="/", close_fds=True,
                start_new_session=True,
            )  # fmt: skip
        except OSError:
            raise _busy() from None
        assert child.stdin is not None and child.stdout is not None
        said = b""
        try:
            async with asyncio.timeout(self._patience):
                child.stdin.write(jpeg)
                await child.stdin.drain()
                child.stdin.close()
                while len(said) <= LARGEST_PORTRAIT and (more := await child.stdout.read(LARGEST_PORTRAIT)):
                    said += more
        except TimeoutError:  # the child's own limit of processor time would have ended it: the machine is busy
            raise _busy() from None
        except OSError:
            return b""
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            child.stdin.close()
            await child.stdout.read()  # what is left: asyncio does not see the end of a child that is still being heard
            await child.wait()
        return said


def _busy() -> Refused:
    return Refused(Code.UNAVAILABLE, "too many photos are brought just now: try again")


def main() -> None:
    asked, said = sys.stdin.buffer, sys.stdout.buffer
    confine()
    Image.preinit()
    for late in _LATE:
        importlib.import_module(late)
    shut_in()
    try:
        answer = portrait(asked.read(LARGEST_PHOTO + 1))
    except Refused as refused:
        answer = (refused.step or _REASONS[0]).encode("ascii")
    said.write(answer)
    said.flush()


if __name__ == "__main__":
    main()
