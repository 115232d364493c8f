"""Can this be a photo on record? After ICAO Doc 9303-3 3.9 and ISO/IEC 19794-5, as far as five points and pixels tell.

What is judged: size of picture and face, one face and where it is, head straight, eyes open (is there something dark on
the line between an eye's corners, where a lid would be skin), sharp, lit, before a plain ground. What is not: whether
somebody smiles, wears glasses or a hat, is the one they say they are, or whether the picture was retouched. An officer
looks at that, and an officer may overrule this judgement with another: `docs/face.md`.

Promises: every flaw has a stable code, words and, where it has one, its place; the picture shown back is small and
drawn on. Trusts: the detector. Keeps: nothing. Refuses: by findings, never by an exception.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from .blink import Numbers
from .dlib_verifier import CLEAR, Dlib, Face, several
from .pictures import Pixels, Unfit, open_picture, size_of
from .values import Box, Finding, Flaw, PhotoReport, Reason

SMALLEST_WIDTH, SMALLEST_HEIGHT = 240, 320  # pixels: what a card's portrait needs
SPAN: Final = 60  # pixels between the eyes; ICAO asks for 90, which few webcams give
HEAD: Final = (0.26, 0.75)  # face over picture, both widths
OFF_CENTRE: Final = 0.14  # share of the width
HEIGHT_OF_FACE: Final = (0.22, 0.62)  # the face's middle, share of the height
LEAN: Final = 8.0  # degrees between the eyes' line and level
TURN: Final = 0.2  # of the nose from the middle between the eyes, over their span
LID: Final = 0.36  # darkness on the eye's line against the skin around; open eyes measured 0.12 to 0.30
SHARP: Final = 0.27  # share of its edges a face loses when it is blurred again; sharp ones lose 0.40 and more
DARK: Final = 80  # brightness that a twentieth of the face reaches at least, of 255
BURNT: Final = 0.12  # share of the face that is white
ODD: Final = 0.15  # share of the ground that is
ODD_BY: Final = 32  # so far from the ground's own colour, of 255
SHOWN: Final = 360  # pixels of the picture shown back
RECORD_BYTES: Final = 28 << 10  # of a portrait in a document, with room below the issuer's own limit
RECORD_TRIES: Final = (
    (640, 90),
    (640, 82),
    (640, 72),
    (560, 72),
    (480, 70),
    (400, 65),
    (320, 60),
    (320, 40),
    (240, 25),
)
_GREY: Final = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_SEARCH: Final = 160  # pixels across a face, for sharpness
_RED, _WHITE = (200, 30, 45), (255, 255, 255)


class Seen(NamedTuple):
    pixels: Pixels
    face: Face
    points: Numbers

    @property
    def size(self) -> tuple[int, int]:
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def eyes(self) -> tuple[Numbers, Numbers]:
        """The one on the picture's left first."""
        first, second = self.points[0:2].mean(0), self.points[2:4].mean(0)
        return (first, second) if first[0] <= second[0] else (second, first)

    @property
    def span(self) -> float:
        return float(np.hypot(*(self.eyes[1] - self.eyes[0])))


class DlibJudge:
    """Implements what `PhotoJudge` promises, in the worker."""

    def __init__(self, engine: Dlib) -> None:
        self._engine = engine

    def judge(self, photo: bytes) -> PhotoReport:
        try:
            width, height = size_of(photo)
            pixels = open_picture(photo)
        except Unfit as unfit:
            flaw = Flaw.TOO_LARGE if unfit.reason is Reason.IMAGE_TOO_LARGE else Flaw.UNREADABLE
            return PhotoReport(False, (_finding(flaw),), b"")
        findings = [_finding(Flaw.TOO_SMALL)] if width < SMALLEST_WIDTH or height < SMALLEST_HEIGHT else []
        faces = self._engine.portrayed(pixels)
        if not faces:
            return _report(pixels, [*findings, _finding(Flaw.NO_FACE)])
        if several(faces):
            rivals = [_finding(Flaw.SEVERAL_FACES, _box(pixels, face)) for face in faces[1:3]]
            return _report(pixels, [*findings, *rivals])
        seen = Seen(pixels, faces[0], self._engine.points(pixels, faces[0]))
        findings += list(_flaws(seen, width / pixels.shape[1]))
        if not findings and seen.face.score < CLEAR:  # a drawing, or nothing the verifier could compare later
            findings.append(_finding(Flaw.NO_FACE, _box(pixels, seen.face)))
        return _report(pixels, findings, seen)


def _flaws(seen: Seen, reduced: float) -> Iterator[Finding]:
    """`reduced`: so many times smaller than the file these pixels are."""
    yield from _place(seen, reduced)
    if abs(lean(seen)) > LEAN:
        yield _finding(Flaw.TILTED, _eye_box(seen))
    elif abs(turn(seen)) > TURN:
        yield _finding(Flaw.TILTED, _box(seen.pixels, seen.face), "turned")
    bright = _face_grey(seen)
    if np.percentile(bright, 95) < DARK:
        yield _finding(Flaw.TOO_DARK, _box(seen.pixels, seen.face))
    elif float((bright >= 250).mean()) > BURNT:
        yield _finding(Flaw.TOO_BRIGHT, _box(seen.pixels, seen.face))
    elif sharpness(seen) < SHARP:  # of a face that can be seen
        yield _finding(Flaw.BLURRED, _box(seen.pixels, seen.face))
    elif max(lid(seen, 0), lid(seen, 2)) > LID:  # of one that is sharp: a blurred iris is as bright as a lid
        yield _finding(Flaw.EYES_CLOSED, _eye_box(seen))
    odd, where = ground(seen)
    if odd > ODD:
        yield _finding(Flaw.BACKGROUND, where)


def _place(seen: Seen, reduced: float) -> Iterator[Finding]:
    width, height = seen.size
    share = seen.face.width / width
    middle = ((seen.face.left + seen.face.right) / 2 / width, (seen.face.top + seen.face.bottom) / 2 / height)
    box = _box(seen.pixels, seen.face)
    if share < HEAD[0] or seen.span * reduced < SPAN:
        yield _finding(Flaw.FACE_TOO_SMALL, box)
    elif share > HEAD[1]:
        yield _finding(Flaw.FACE_TOO_SMALL, box, "face-too-large")
    elif abs(middle[0] - 0.5) > OFF_CENTRE or not HEIGHT_OF_FACE[0] <= middle[1] <= HEIGHT_OF_FACE[1]:
        yield _finding(Flaw.FACE_TOO_SMALL, box, "face-off-centre")


def lean(seen: Seen) -> float:
    """Degrees."""
    across = seen.eyes[1] - seen.eyes[0]
    return float(np.degrees(np.arctan2(across[1], across[0])))


def turn(seen: Seen) -> float:
    first, second = seen.eyes
    return float(np.dot(seen.points[4] - (first + second) / 2, (second - first) / seen.span) / seen.span)


def lid(seen: Seen, corner: int) -> float:
    """How bright the darkest spot on an eye's line is against the skin around it: an iris is dark, a lid is skin."""
    first, second = seen.points[corner], seen.points[corner + 1]
    across = first - second
    width = float(np.hypot(*across)) or 1.0
    across = across / width
    down = np.array([-across[1], across[0]])
    centre = (first + second) / 2
    if np.dot(down, seen.points[4] - centre) < 0:
        down = -down
    right, below = (np.arange(32) + 0.5) / 32 - 0.5, (np.arange(24) + 0.5) / 24 - 0.5
    where = centre + right[None, :, None] * width * across + below[:, None, None] * width * 0.75 * down
    x, y = (np.clip(where[..., axis], 0, seen.size[axis] - 1).astype(int) for axis in (0, 1))
    patch = seen.pixels[y, x] @ _GREY
    skin = float(np.percentile(patch, 75)) + 1e-6
    spots = [patch[row : row + 4, left : left + 8].mean() for row in (8, 10) for left in range(4, 21)]
    return float(min(spots)) / skin


def sharpness(seen: Seen) -> float:
    """At one scale, whatever the picture's."""
    face = Image.fromarray(seen.pixels).convert("L").crop(seen.face[:4])
    face = face.resize((_SEARCH, _SEARCH), Image.Resampling.BICUBIC)

    def edges(picture: Image.Image) -> float:
        inner = np.asarray(picture, float)[20:-20, 20:-20]
        return float(np.abs(np.diff(inner, axis=0)).mean() + np.abs(np.diff(inner, axis=1)).mean())

    return 1 - edges(face.filter(ImageFilter.GaussianBlur(2))) / (edges(face) + 1e-6)


def ground(seen: Seen) -> tuple[float, Box | None]:
    """Which share of what is behind the head is not of its colour, and where most of that is."""
    width, height = seen.size
    face = seen.face
    down, right = np.mgrid[:height, :width]
    middle = ((face.left + face.right) / 2, (face.top + face.bottom) / 2 - face.width * 0.15)
    head = ((right - middle[0]) / (face.width * 0.85)) ** 2 + ((down - middle[1]) / (face.width * 1.15)) ** 2 <= 1
    behind = ~head & (down < face.bottom - face.width * 0.3)
    if behind.sum() < 0.02 * behind.size:
        return 0.0, None
    colours = seen.pixels.astype(float)
    odd = behind & (np.abs(colours - np.median(colours[behind], 0)).max(2) > ODD_BY)
    share = float(odd.sum() / behind.sum())
    return share, _around(odd) if odd.any() else None


def _face_grey(seen: Seen) -> NDArray[np.float64]:
    face = seen.face
    return np.asarray(
        seen.pixels[max(0, face.top) : max(1, face.bottom), max(0, face.left) : max(1, face.right)] @ _GREY
    )


# --- what is shown back -----------------------------------------------------------------------------------------------


def _finding(flaw: Flaw, box: Box | None = None, words: str = "") -> Finding:
    return Finding(flaw, f"photo.{words or flaw.value}", box)


def _box(pixels: Pixels, face: Face) -> Box:
    height, width = pixels.shape[:2]
    sides = (face.left / width, face.top / height, face.right / width, face.bottom / height)
    return Box(*(round(10_000 * min(1.0, max(0.0, side))) for side in sides))


def _eye_box(seen: Seen) -> Box:
    corners, room = seen.points[:4], seen.span * 0.22
    (left, top), (right, bottom) = corners.min(0) - room, corners.max(0) + room
    return _box(seen.pixels, Face(int(left), int(top), int(right), int(bottom), 0.0))


def _around(mask: NDArray[np.bool_]) -> Box:
    """Without the outermost twentieth, which a few pixels would stretch."""
    rows, columns = np.nonzero(mask)
    height, width = mask.shape
    (top, bottom), (left, right) = (np.percentile(some, (5, 95)) for some in (rows, columns))
    return Box(*(round(10_000 * side) for side in (left / width, top / height, right / width, bottom / height)))


def _report(pixels: Pixels, findings: list[Finding], seen: Seen | None = None) -> PhotoReport:
    return PhotoReport(not findings, tuple(findings), _drawn(pixels, findings, seen), _for_record(pixels))


def _for_record(pixels: Pixels) -> bytes:
    """Written anew: nothing of the file that came gets into the register but what can be seen."""
    picture = Image.fromarray(pixels)
    for side, quality in RECORD_TRIES:
        picture.thumbnail((side, side))
        out = BytesIO()
        picture.save(out, "JPEG", quality=quality, optimize=True)
        if out.tell() <= RECORD_BYTES:
            break
    return out.getvalue()


def _drawn(pixels: Pixels, findings: list[Finding], seen: Seen | None) -> bytes:
    picture = Image.fromarray(pixels)
    picture.thumbnail((SHOWN, SHOWN))
    pen = ImageDraw.Draw(picture)
    scale = picture.width / pixels.shape[1]
    for finding in findings:
        if finding.box is not None:
            box = finding.box
            sides = [
                box.left * picture.width / 10_000, box.top * picture.height / 10_000,
                box.right * picture.width / 10_000 - 1, box.bottom * picture.height / 10_000 - 1,
            ]  # fmt: skip
            _twice(pen, sides)
        if finding.code is Flaw.TILTED and seen is not None:
            first, second = (eye * scale for eye in seen.eyes)
            pen.line([*first, *second], fill=_RED, width=3)
            pen.line([first[0], first[1], second[0], first[1]], fill=_WHITE, width=2)
        if finding.code in (Flaw.NO_FACE, Flaw.TOO_SMALL):
            _twice(pen, [1, 1, picture.width - 2, picture.height - 2])
    out = BytesIO()
    picture.save(out, "JPEG", quality=82)
    return out.getvalue()


def _twice(pen: ImageDraw.ImageDraw, sides: list[float]) -> None:
    """Red on white: seen on any picture."""
    if sides[2] - sides[0] > 4 and sides[3] - sides[1] > 4:
        pen.rectangle(sides, outline=_WHITE, width=4)
        pen.rectangle([sides[0] + 1, sides[1] + 1, sides[2] - 1, sides[3] - 1], outline=_RED, width=2)
