"""The reference verifier: dlib's detector, five points and 128 numbers a face. Not accredited; `docs/face.md` says why.

Promises: a burst passes when it is whole, shows one face, blinks within 1.3 s of each prompt, and the worst of three
frames spread over it is within the threshold of the record; who blinked is who looked. Trusts: its weights, by SHA-256.
Keeps: nothing; pixels and numbers end with the call. Refuses: by a reason of the closed list, never by an exception.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import dlib
import numpy as np

from .blink import MOST_LOST, Course, Looks, Numbers, course, looks
from .pictures import Pixels, Unfit, open_picture
from .values import Challenge, FaceOutcome, Frame, ModelId, Reason
from .weights import FIVE_POINTS, RESNET, checked, folder, model_id

SCORE: Final = 0.6  # of a detection: false alarms score about 0.1, faces 1.3 and more
CLEAR: Final = 1.2  # what a photo on record reaches at one of two scales; drawings of faces stay below
SMALLEST: Final = 80  # pixels across a face
RIVAL: Final = 0.25  # a second face of this share of the first one's area counts
FEWEST_FRAMES: Final = 20
MOST_FRAMES: Final = 150
WIDEST_GAP_MS: Final = 400
LATE_MS: Final = 800  # a camera starts
EARLY_MS: Final = 500  # it stops
OVER_MS: Final = 1500  # and sometimes runs on
MOST_WITH_SEVERAL: Final = 0.1  # share of frames
_GREY: Final = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


class Face(NamedTuple):
    left: int
    top: int
    right: int
    bottom: int
    score: float

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def area(self) -> int:
        return self.width * (self.bottom - self.top)


class Dlib:
    """Detector, points and embedding, loaded once. Raises Refused(FACE_UNAVAILABLE) unless the weights are ours."""

    def __init__(self, place: Path | None = None) -> None:
        place = place or folder()
        self.model: ModelId = model_id()
        self._detector = dlib.get_frontal_face_detector()
        self._five_points = dlib.shape_predictor(checked(place, FIVE_POINTS))
        self._resnet = dlib.face_recognition_model_v1(checked(place, RESNET))

    def faces(self, pixels: Pixels, upsample: int = 0) -> list[Face]:
        """Largest first."""
        found, scores, _ = self._detector.run(pixels, upsample, 0.0)
        faces = [
            Face(box.left(), box.top(), box.right() + 1, box.bottom() + 1, score)
            for box, score in zip(found, scores, strict=True)
            if score >= SCORE
        ]
        return sorted(faces, key=lambda face: -face.area)

    def portrayed(self, pixels: Pixels) -> list[Face]:
        """Of a photograph: enlarged if its largest face is clearer then."""
        found = self.faces(pixels)
        if found and found[0].score >= CLEAR:
            return found
        enlarged = self.faces(pixels, 1)
        return max(found, enlarged, key=lambda faces: faces[0].score if faces else 0.0)

    def one_face(self, pixels: Pixels) -> Face:
        """Raises Unfit(no-face, several-faces, face-too-small)."""
        faces = self.portrayed(pixels)
        if several(faces):
            raise Unfit(Reason.SEVERAL_FACES)
        if not faces or faces[0].score < CLEAR:
            raise Unfit(Reason.NO_FACE)
        if faces[0].width < SMALLEST:
            raise Unfit(Reason.FACE_TOO_SMALL)
        return faces[0]

    def points(self, pixels: Pixels, face: Face) -> Numbers:
        """Corners of one eye, corners of the other, base of the nose."""
        shape = self._shape(pixels, face)
        return np.array([(shape.part(at).x, shape.part(at).y) for at in range(5)], float)

    def embedding(self, pixels: Pixels, face: Face) -> Numbers:
        return np.array(self._resnet.compute_face_descriptor(pixels, self._shape(pixels, face)))

    def _shape(self, pixels: Pixels, face: Face) -> Any:
        return self._five_points(pixels, dlib.rectangle(face.left, face.top, face.right - 1, face.bottom - 1))


class DlibVerifier:
    """What the worker process runs."""

    def __init__(self, engine: Dlib) -> None:
        self._engine = engine

    def reads(self, record: bytes) -> Reason | None:
        try:
            self._record(record)
        except Unfit as unfit:
            return unfit.reason
        return None

    def verify(self, record: bytes, burst: Sequence[Frame], challenge: Challenge, threshold: float) -> FaceOutcome:
        """1 frames and their times  2 record  3 one face, all along  4 blinks when asked  5 the same person."""

        def outcome(reason: Reason, distance: float | None = None, blinks: int | None = None) -> FaceOutcome:
            ok = reason is Reason.MATCH
            return FaceOutcome(ok, reason, distance, threshold, blinks, len(burst), self._engine.model)

        try:
            _must_be_whole(burst, challenge)
            pixels, face = self._record(record)
            seen = self._watch(burst)
            answers = seen.course.answers(challenge)
            if len(answers) < challenge.blinks:
                return outcome(Reason.NOT_LIVE, None, len(answers))
            chosen = seen.course.spread()
        except Unfit as unfit:
            return outcome(unfit.reason)
        known = self._engine.embedding(pixels, face)
        looked = [self._embedding(burst, seen, frame) for frame in chosen]
        # The worst of three: a face that changed in mid-burst fails.
        distance = round(max(apart(known, one) for one in looked), 4)
        if distance > threshold:
            return outcome(Reason.NO_MATCH, distance, len(answers))
        # Nor may somebody else have blinked for it. Lids change a face by 0.3 at the most, another face by 0.7.
        blinked = [self._embedding(burst, seen, blink.frame) for blink in answers]
        if max(apart(looked[1], one) for one in blinked) > threshold:
            return outcome(Reason.NOT_LIVE, distance, 0)
        return outcome(Reason.MATCH, distance, len(answers))

    def _record(self, record: bytes) -> tuple[Pixels, Face]:
        """Raises Unfit(record-…)."""
        try:
            pixels = open_picture(record)
            return pixels, self._engine.one_face(pixels)
        except Unfit as unfit:
            raise Unfit(_OF_RECORD.get(unfit.reason, Reason.RECORD_UNREADABLE)) from None

    def _watch(self, burst: Sequence[Frame]) -> _Seen:
        """Raises Unfit(image-…, no-face, several-faces, face-too-small)."""
        found: list[Looks | None] = []
        faces: list[Face | None] = []
        with_several = 0
        for frame in burst:
            pixels = open_picture(frame.jpeg)
            here = [_doubled(face) for face in self._engine.faces(np.ascontiguousarray(pixels[::2, ::2]))]
            with_several += several(here)
            alone = here[0] if here and not several(here) else None
            faces.append(alone)
            found.append(None if alone is None else looks(pixels @ _GREY, self._engine.points(pixels, alone)))
        if with_several > MOST_WITH_SEVERAL * len(burst):
            raise Unfit(Reason.SEVERAL_FACES)
        if found.count(None) > MOST_LOST * len(burst):
            raise Unfit(self._why_lost(burst))
        return _Seen(course(found, [frame.at_ms for frame in burst]), faces)

    def _why_lost(self, burst: Sequence[Frame]) -> Reason:
        """A small face is found in the whole frame though not in half of it."""
        middle = open_picture(burst[len(burst) // 2].jpeg)
        return Reason.FACE_TOO_SMALL if self._engine.faces(middle) else Reason.NO_FACE

    def _embedding(self, burst: Sequence[Frame], seen: _Seen, frame: int) -> Numbers:
        face = seen.faces[frame]
        assert face is not None  # only frames with a face have a likeness
        return self._engine.embedding(open_picture(burst[frame].jpeg), face)


class _Seen(NamedTuple):
    course: Course
    faces: Sequence[Face | None]


_OF_RECORD: Final = {
    Reason.NO_FACE: Reason.RECORD_NO_FACE,
    Reason.SEVERAL_FACES: Reason.RECORD_SEVERAL_FACES,
    Reason.FACE_TOO_SMALL: Reason.RECORD_TOO_SMALL,
}


def apart(one: Numbers, other: Numbers) -> float:
    return float(np.linalg.norm(one - other))


def several(faces: Sequence[Face]) -> bool:
    return len(faces) > 1 and faces[1].area >= RIVAL * faces[0].area


def _doubled(face: Face) -> Face:
    return Face(face.left * 2, face.top * 2, face.right * 2, face.bottom * 2, face.score)


def _must_be_whole(burst: Sequence[Frame], challenge: Challenge) -> None:
    """Enough frames, in order, from beginning to end, without a hole something could hide in."""
    if not FEWEST_FRAMES <= len(burst) <= MOST_FRAMES:
        raise Unfit(Reason.BURST_LENGTH)
    times = [frame.at_ms for frame in burst]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    if min(gaps) <= 0 or times[0] > LATE_MS or not -EARLY_MS <= times[-1] - challenge.length_ms <= OVER_MS:
        raise Unfit(Reason.BURST_TIMES)
    if max(gaps) > WIDEST_GAP_MS:
        raise Unfit(Reason.BURST_GAP)
