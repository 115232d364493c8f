"""What every face verifier must do, tried on one: `python -m mapae.issuer.face.conformance module:attribute`.

    --pictures FOLDER   photographs; a file's name up to its first underscore is its person: two, one of them twice
    --threshold 0.5     for a plug that takes the pack's rules

It measures no error rates: a handful of pictures cannot. It shows that a verifier keeps the protocol: passes the plain
case, fails the plain attacks, says one of the closed reasons, and never raises over what a camera or a stranger sends.

Promises: each check says by itself what was wrong; the replay of a screen is reported and not judged. Trusts: the
pictures to show who they say. Keeps: nothing. Refuses: a folder with too few of them.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ...errors import Code, Refused
from ...rules import FaceRules
from . import clips
from .clips import Kind, Sitter
from .dlib_verifier import Dlib
from .plug import faces_of
from .values import Challenge, FaceOutcome, FaceVerifier, Frame, Reason

ONCE: Final = Challenge("conformance", "n", 1, (1300,), 3000)
TWICE: Final = Challenge("conformance", "n", 2, (1300, 3200), 4900)
EVERY_MS: Final = 130
JUNK: Final = {
    "nothing": b"", "text": b"<html>", "a cut JPEG": b"\xff\xd8\xff\xe0" + bytes(40), "noise": bytes(range(256)) * 4,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Result:
    check: str
    wrong: str
    """Empty: it holds."""


@dataclass(frozen=True, slots=True)
class Cast:
    """Who is photographed: one person twice, another once."""

    record: bytes
    same: Sitter
    other: Sitter
    _shown: dict[object, tuple[Frame, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, people: Mapping[str, Sequence[bytes]], engine: Dlib) -> Cast:
        """Raises Refused(MALFORMED)."""
        twice = next((name for name, photos in people.items() if len(photos) > 1), None)
        other = next((name for name in people if name != twice), None)
        if twice is None or other is None:
            raise Refused(Code.MALFORMED, "give photographs of two persons, and two of one of them")
        record, again, *_ = people[twice]
        return cls(record, clips.sitter(again, engine), clips.sitter(people[other][0], engine))

    def shows(
        self, kind: Kind, challenge: Challenge = ONCE, blinks_ms: Sequence[int] | None = None
    ) -> tuple[Frame, ...]:
        return self._burst(self.same, kind, challenge, blinks_ms)

    def another(self) -> tuple[Frame, ...]:
        return self._burst(self.other, Kind.LIVE, ONCE, None)

    def _burst(
        self, who: Sitter, kind: Kind, challenge: Challenge, blinks_ms: Sequence[int] | None
    ) -> tuple[Frame, ...]:
        what = (id(who), kind, challenge, None if blinks_ms is None else tuple(blinks_ms))
        if what not in self._shown:
            self._shown[what] = clips.burst(who, kind, challenge, every_ms=EVERY_MS, blinks_ms=blinks_ms)
        return self._shown[what]


Check = Callable[[FaceVerifier, Cast], Awaitable[str]]
CHECKS: dict[str, Check] = {}


def check(name: str) -> Callable[[Check], Check]:
    def keep(work: Check) -> Check:
        CHECKS[name] = work
        return work

    return keep


async def conform(verifier: FaceVerifier, cast: Cast) -> list[Result]:
    """Every check, in turn."""
    results = []
    for name, work in CHECKS.items():
        try:
            wrong = await work(verifier, cast)
        except Exception as error:  # noqa: BLE001 that nothing raises is what is being checked
            wrong = f"raised {type(error).__name__}: {error}"
        results.append(Result(name, wrong))
    return results


def _must(outcome: FaceOutcome, *reasons: Reason) -> str:
    """What is wrong with it, if it had to come out with one of these."""
    if outcome.ok != (outcome.reason is Reason.MATCH):
        return f"ok is {outcome.ok} and the reason {outcome.reason}"
    if outcome.reason not in reasons:
        return f"came out as {outcome.reason} instead of {' or '.join(reasons)}"
    if outcome.ok and (outcome.distance is None or outcome.distance > outcome.threshold):
        return f"passed at a distance of {outcome.distance} over a threshold of {outcome.threshold}"
    return ""


@check("says who it is")
async def names(verifier: FaceVerifier, cast: Cast) -> str:
    model = await verifier.model()
    if not (model.name and model.version and re.fullmatch(r"[0-9a-f]{64}", model.sha256)):
        return "a model has a name, a version and the SHA-256 of its weights"
    return "" if isinstance(model.accredited, bool) else "accredited is true or false"


@check("reads a photo on record")
async def reads(verifier: FaceVerifier, cast: Cast) -> str:
    reason = await verifier.reads(cast.record)
    return f"said {reason} of a good one" if reason is not None else ""


@check("passes the person who blinks when asked")
async def passes(verifier: FaceVerifier, cast: Cast) -> str:
    burst = cast.shows(Kind.LIVE, TWICE)
    outcome = await verifier.verify(cast.record, burst, TWICE)
    if wrong := _must(outcome, Reason.MATCH):
        return wrong
    if (outcome.blinks, outcome.frames) != (TWICE.blinks, len(burst)):
        return f"counted {outcome.blinks} blinks in {outcome.frames} frames"
    return "" if outcome.model == await verifier.model() else "names another model than model() does"


@check("fails another person who blinks when asked")
async def fails(verifier: FaceVerifier, cast: Cast) -> str:
    outcome = await verifier.verify(cast.record, cast.another(), ONCE)
    return _must(outcome, Reason.NO_MATCH)


@check("fails a photograph: held, turned, crossed by a pen")
async def photographs(verifier: FaceVerifier, cast: Cast) -> str:
    for kind in (Kind.STILL, Kind.MOVED, Kind.PEN):
        outcome = await verifier.verify(cast.record, cast.shows(kind), ONCE)
        if wrong := _must(outcome, Reason.NOT_LIVE, Reason.NO_FACE, Reason.UNSTEADY, Reason.NO_MATCH):
            return f"{kind}: {wrong}"
    return ""


@check("counts no blink that was not asked for")
async def unasked(verifier: FaceVerifier, cast: Cast) -> str:
    """What was recorded for another challenge blinks at other moments."""
    outcome = await verifier.verify(cast.record, cast.shows(Kind.LIVE, blinks_ms=(300,)), ONCE)
    return _must(outcome, Reason.NOT_LIVE)


@check("minds no blink too many")
async def more(verifier: FaceVerifier, cast: Cast) -> str:
    outcome = await verifier.verify(cast.record, cast.shows(Kind.LIVE, blinks_ms=(300, 1550)), ONCE)
    return _must(outcome, Reason.MATCH)


@check("fails a face that changes in mid-burst")
async def swapped(verifier: FaceVerifier, cast: Cast) -> str:
    theirs, ours = cast.another(), cast.shows(Kind.LIVE)
    blinking = next(at for at, frame in enumerate(ours) if frame.at_ms >= ONCE.prompts_ms[0] + clips.REACTION_MS)
    for name, burst in {
        "somebody else begins": (*theirs[: len(ours) // 4], *ours[len(ours) // 4 :]),
        "somebody else ends": (*ours[: len(ours) // 2], *theirs[len(ours) // 2 :]),
        "somebody else blinks": (*ours[:blinking], *theirs[blinking : blinking + 4], *ours[blinking + 4 :]),
    }.items():
        outcome = await verifier.verify(cast.record, burst, ONCE)
        if wrong := _must(outcome, Reason.NO_MATCH, Reason.NOT_LIVE, Reason.UNSTEADY):
            return f"{name}: {wrong}"
    return ""


@check("fails one frame sent again and again")
async def repeated(verifier: FaceVerifier, cast: Cast) -> str:
    frames = cast.shows(Kind.STILL)
    burst = tuple(Frame(frame.at_ms, frames[0].jpeg) for frame in frames)
    return _must(await verifier.verify(cast.record, burst, ONCE), Reason.NOT_LIVE, Reason.UNSTEADY)


@check("fails a burst whose times cannot be")
async def times(verifier: FaceVerifier, cast: Cast) -> str:
    whole = cast.shows(Kind.LIVE)
    first, second, *rest = whole
    bent: dict[Reason, Sequence[tuple[Frame, ...]]] = {
        Reason.BURST_LENGTH: ((), whole[:10], whole * 7),
        Reason.BURST_TIMES: (
            (second, first, *rest), (first, Frame(first.at_ms, second.jpeg), *rest), whole[:-4],
            tuple(Frame(frame.at_ms * 3, frame.jpeg) for frame in whole),
        ),
        Reason.BURST_GAP: ((*whole[:8], *whole[11:]),),
    }  # fmt: skip
    for reason, bursts in bent.items():
        for number, burst in enumerate(bursts, 1):
            if wrong := _must(await verifier.verify(cast.record, burst, ONCE), reason):
                return f"{reason} {number}: {wrong}"
    return ""


@check("fails what is no picture, and says so")
async def junk(verifier: FaceVerifier, cast: Cast) -> str:
    whole = cast.shows(Kind.LIVE)
    for name, data in JUNK.items():
        reason = await verifier.reads(data)
        if reason is not Reason.RECORD_UNREADABLE:
            return f"a record of {name}: said {reason}"
        outcome = await verifier.verify(data, whole, ONCE)
        if wrong := _must(outcome, Reason.RECORD_UNREADABLE):
            return f"a record of {name}: {wrong}"
        burst = (whole[0], Frame(whole[1].at_ms, data), *whole[2:])
        outcome = await verifier.verify(cast.record, burst, ONCE)
        if wrong := _must(outcome, Reason.IMAGE_EMPTY, Reason.IMAGE_UNREADABLE):
            return f"a frame of {name}: {wrong}"
    return ""


@check("answers each of two at once with its own")
async def together(verifier: FaceVerifier, cast: Cast) -> str:
    short = cast.shows(Kind.LIVE)[:9]
    passed, failed = await asyncio.gather(
        verifier.verify(cast.record, cast.shows(Kind.LIVE), ONCE), verifier.verify(cast.record, short, ONCE)
    )
    return _must(passed, Reason.MATCH) or _must(failed, Reason.BURST_LENGTH)


async def replay(verifier: FaceVerifier, cast: Cast) -> str:
    """Not a check: no page of a browser can tell."""
    outcome = await verifier.verify(cast.record, cast.shows(Kind.REPLAY), ONCE)
    return "a blinking clip filmed off a screen PASSED" if outcome.ok else "a clip filmed off a screen was stopped"


def people_of(folder: Path) -> dict[str, list[bytes]]:
    """By the file's name up to its first underscore."""
    found: dict[str, list[bytes]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in (".jpg", ".jpeg", ".png"):
            found.setdefault(path.stem.split("_")[0], []).append(path.read_bytes())
    return found


async def _run(plug: str, folder: Path, threshold: float) -> int:
    cast = Cast.of(people_of(folder), Dlib())
    faces = faces_of(plug, FaceRules(threshold=threshold, borderline=threshold))
    try:
        results = await conform(faces.verifier, cast)
        for result in results:
            print(f"{'FAILS' if result.wrong else 'holds'}  {result.check}{': ' if result.wrong else ''}{result.wrong}")
        print(f"known  {await replay(faces.verifier, cast)}")
    finally:
        await faces.close()
    return int(any(result.wrong for result in results))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m mapae.issuer.face.conformance")
    parser.add_argument("plug", help="module:attribute, or dlib for the reference")
    parser.add_argument("--pictures", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--threshold", type=float, default=0.5)
    given = parser.parse_args()
    try:
        return asyncio.run(_run(given.plug, given.pictures, given.threshold))
    except Refused as refused:
        print(refused.detail, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
