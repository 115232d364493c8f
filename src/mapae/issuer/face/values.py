"""What a face check is made of, and what any verifier must be able to say: `docs/face.md`.

Promises: pure values, and the two protocols a government's own matcher implements; a closed list of reasons. Trusts:
the dice to draw when somebody is asked to blink. Keeps: nothing; no value here that outlives a check holds a picture
or anything computed from a face but one distance. Refuses: by type.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from ...clock import Dice

WINDOW_MS: Final = 1300  # a blink counts only so long after it was asked for
FIRST_PROMPT_MS: Final = (1200, 2400)  # before it there must be time to see the eyes open
NEXT_PROMPT_MS: Final = (1800, 2800)  # after the one before; their windows do not touch
TAIL_MS: Final = 400  # behind the last window: a lid that went down comes up again
MOST_BLINKS: Final = 2


class Reason(StrEnum):
    """Why a check came out as it did. The value is stable: wallets, tests and the words of every language key on it."""

    MATCH = "match"
    NO_MATCH = "no-match"
    NOT_LIVE = "not-live"  # no blink where one was asked for

    # what the camera brought
    NO_FACE = "no-face"
    SEVERAL_FACES = "several-faces"
    FACE_TOO_SMALL = "face-too-small"
    UNSTEADY = "unsteady"  # no three frames in which the eyes hold still
    BURST_LENGTH = "burst-length"  # too few frames, or too many
    BURST_TIMES = "burst-times"  # out of order, equal, or not as long as the challenge
    BURST_GAP = "burst-gap"  # nothing was seen for a while
    IMAGE_EMPTY = "image-empty"
    IMAGE_TOO_LARGE = "image-too-large"
    IMAGE_UNREADABLE = "image-unreadable"

    # the photo on record
    RECORD_NO_FACE = "record-no-face"
    RECORD_SEVERAL_FACES = "record-several-faces"
    RECORD_TOO_SMALL = "record-too-small"
    RECORD_UNREADABLE = "record-unreadable"

    # ourselves
    VERIFIER_SLOW = "verifier-slow"
    VERIFIER_UNAVAILABLE = "verifier-unavailable"


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of the camera. `at_ms` runs from the moment the challenge began on the phone's screen, as
    `Challenge.prompts_ms` does."""

    at_ms: int
    jpeg: bytes

    def __repr__(self) -> str:
        return f"Frame(at_ms={self.at_ms}, …)"


@dataclass(frozen=True, slots=True)
class Challenge:
    """Blink `blinks` times, each within 1.3 s of its prompt, and be seen for `length_ms`."""

    id: str
    nonce: str
    blinks: int
    prompts_ms: tuple[int, ...]
    length_ms: int

    @classmethod
    def drawn(cls, dice: Dice, id: str, nonce: str) -> Challenge:
        """Once or twice, at moments nobody can know before."""
        blinks = 1 + dice.below(MOST_BLINKS)
        at, prompts = 0, []
        for ordinal in range(blinks):
            low, high = NEXT_PROMPT_MS if ordinal else FIRST_PROMPT_MS
            at += low + dice.below(high - low + 1)
            prompts.append(at)
        return cls(id, nonce, blinks, tuple(prompts), at + WINDOW_MS + TAIL_MS)


@dataclass(frozen=True, slots=True)
class ModelId:
    """Who judged. `sha256` is of the weights, in hexadecimal; `accredited` is what an accreditation body said."""

    name: str
    version: str
    sha256: str
    accredited: bool


@dataclass(frozen=True, slots=True)
class FaceOutcome:
    """What came out. `distance` is there whenever two faces were compared: 0 is the same picture, and what lies between
    `threshold` and the pack's `borderline` is for the caller to settle otherwise. `ok` is true for a match alone."""

    ok: bool
    reason: Reason
    distance: float | None
    threshold: float
    blinks: int | None
    frames: int
    model: ModelId


class FaceVerifier(Protocol):
    """One to one: is this burst the person of the record? Never raises for what a camera or an archive may hold."""

    async def model(self) -> ModelId:
        """Raises Refused(FACE_UNAVAILABLE) when it cannot judge at all."""
        ...

    async def reads(self, record: bytes) -> Reason | None:
        """Why this photo on record cannot be compared (`record-…`, `verifier-…`), or None: asked before anybody has to
        look into a camera."""
        ...

    async def verify(self, record: bytes, burst: Sequence[Frame], challenge: Challenge) -> FaceOutcome:
        """`ok` only when the challenge's blinks were seen and every compared frame matches the record."""
        ...


# --- photos for the record --------------------------------------------------------------------------------------------


class Flaw(StrEnum):
    """What is wrong with a photo somebody brings for the record. The value is stable."""

    UNREADABLE = "unreadable"
    TOO_LARGE = "too-large"
    TOO_SMALL = "too-small"
    NO_FACE = "no-face"
    SEVERAL_FACES = "several-faces"
    FACE_TOO_SMALL = "face-too-small"  # or too large, or at the edge: not where a face belongs
    EYES_CLOSED = "eyes-closed"
    BLURRED = "blurred"
    BACKGROUND = "background"
    TILTED = "tilted"
    TOO_DARK = "too-dark"
    TOO_BRIGHT = "too-bright"


@dataclass(frozen=True, slots=True)
class Box:
    """A part of the picture, in hundredths of a per cent of its width and height from the upper left corner."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One flaw, the key of its words (`photo.…`), and where it is, if it is somewhere."""

    code: Flaw
    words: str
    box: Box | None = None


@dataclass(frozen=True, slots=True)
class PhotoReport:
    """`picture` is a small JPEG of the photo with what is wrong drawn in: shown once, never stored. `record` is the
    photo as a register keeps it: upright, without what a camera writes beside the pixels, and small enough for every
    document. Both are empty when the photo could not be read."""

    ok: bool
    findings: tuple[Finding, ...]
    picture: bytes
    record: bytes = b""

    def __repr__(self) -> str:
        return f"PhotoReport(ok={self.ok}, findings={[finding.code.value for finding in self.findings]})"


class PhotoJudge(Protocol):
    """Can this be a photo on record? Raises nothing else for what somebody may upload."""

    async def judge(self, photo: bytes) -> PhotoReport:
        """Raises Refused(FACE_UNAVAILABLE) when nobody can judge: an officer looks instead."""
        ...
