"""A photograph, made to blink, to be waved about, or to be filmed off a screen: what verifiers are tried with.

The lids are a warp of one still: between brow and lid the skin is stretched down over the eye. That moves like a blink
and is none: it tries the plumbing and the attacks that a photograph allows, and says nothing about real people.

Promises: the same photograph, kind and seed give the same frames; nothing but the photograph is needed. Trusts: the
caller's photographs, and the detector to find one face in them. Keeps: nothing. Refuses: a photograph without a face.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from typing import Final

import numpy as np
from numpy.random import PCG64, Generator
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from .blink import Numbers
from .dlib_verifier import Dlib, Face
from .pictures import Pixels, Unfit, open_picture
from .values import Challenge, Frame, Reason

Picture = NDArray[np.float32]

WIDTH, HEIGHT = 640, 480
FACE: Final = 210  # pixels across the face in the clip
LID: Final = (0.0, 0.2, 0.55, 0.9, 1.0, 1.0, 0.85, 0.55, 0.25, 0.1, 0.0)  # how far down, every 40 ms of a blink
LID_MS: Final = 40
REACTION_MS: Final = 250  # from a prompt to the lid's first movement


class Kind(StrEnum):
    LIVE = "live"
    STILL = "still"  # a photograph held before the camera
    MOVED = "moved"  # and turned to and fro about its upright axis
    PEN = "pen"  # and something passed before its eyes
    REPLAY = "replay"  # a blinking clip filmed off a good screen


@dataclass(frozen=True, slots=True)
class Sitter:
    """A photograph laid into the camera's frame, and where its eyes are."""

    picture: Picture
    points: Numbers


def sitter(photo: bytes, engine: Dlib) -> Sitter:
    """Raises Unfit(no-face) and what `open_picture` raises."""
    pixels = open_picture(photo, 1600)
    faces = engine.faces(pixels) or engine.faces(pixels, 1)
    if not faces:
        raise Unfit(Reason.NO_FACE)
    face = faces[0]
    scale, x, y = FACE / face.width, (face.left + face.right) / 2, (face.top + face.bottom) / 2
    into = (1 / scale, 0, x - WIDTH / 2 / scale, 0, 1 / scale, y - HEIGHT * 0.52 / scale)
    laid = np.asarray(
        Image.fromarray(pixels).transform((WIDTH, HEIGHT), Image.Transform.AFFINE, into, Image.Resampling.BICUBIC)
    )
    half, middle = FACE // 2, int(HEIGHT * 0.52)
    there = Face(WIDTH // 2 - half, middle - half, WIDTH // 2 + half, middle + half, 1.0)
    return Sitter(laid.astype(np.float32), engine.points(laid, there))


def answering(challenge: Challenge) -> tuple[int, ...]:
    """When lids begin to fall if every prompt is answered."""
    return tuple(prompt + REACTION_MS for prompt in challenge.prompts_ms)


def film(
    who: Sitter,
    kind: Kind,
    blinks_ms: Sequence[int],
    times_ms: Sequence[int],
    *,
    seed: int = 1,
    loop_ms: int = 0,
    slow: float = 1.0,
) -> Iterator[Pixels]:
    """A frame for each time. `loop_ms`: the hand's shaking repeats, so that the clip can run round. `slow`: so many
    times longer a blink takes, for a camera that sees few frames a second."""
    dice = Generator(PCG64(seed))  # grain of a picture: nothing is decided by it
    noise = [dice.normal(0, 2, who.picture.shape).astype(np.float32) for _ in range(3)]
    shake = 5 if kind in (Kind.STILL, Kind.PEN) else 3
    middle_ms = (times_ms[0] + times_ms[-1]) / 2
    for number, at in enumerate(times_ms):
        blinking = kind in (Kind.LIVE, Kind.REPLAY)
        picture = (
            _shut(who, max((_lid((at - begun) / slow) for begun in blinks_ms), default=0.0))
            if blinking
            else who.picture
        )
        if kind is Kind.MOVED:
            picture = _turned(picture, 30 * float(np.sin((at - middle_ms) / 400)))
        if kind is Kind.PEN and 0 <= at - middle_ms < 400:
            picture = _crossed(picture, who, (at - middle_ms) / 400)
        if kind is Kind.REPLAY:
            picture = _filmed(picture)
        turn = 2 * np.pi * at / (loop_ms or 2500)
        moved = np.roll(picture, (round(shake * 0.7 * np.cos(turn * 2)), round(shake * np.sin(turn))), (0, 1))
        grain = np.roll(noise[number % 3], int(dice.integers(0, WIDTH)), 1)
        yield np.clip(moved + grain, 0, 255).astype(np.uint8)


def burst(
    who: Sitter, kind: Kind, challenge: Challenge, *, blinks_ms: Sequence[int] | None = None, every_ms: int = 80,
    seed: int = 1,
) -> tuple[Frame, ...]:  # fmt: skip
    """What a phone would send. Without `blinks_ms` every prompt is answered."""
    times = range(0, challenge.length_ms + 1, every_ms)
    begun = answering(challenge) if blinks_ms is None else blinks_ms
    shown = film(who, kind, begun, times, seed=seed)
    return tuple(Frame(at, jpeg(pixels)) for at, pixels in zip(times, shown, strict=True))


def jpeg(pixels: Pixels, quality: int = 85) -> bytes:
    out = BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=quality)
    return out.getvalue()


def _lid(since_ms: float) -> float:
    return float(np.interp(since_ms / LID_MS, range(len(LID)), LID, left=0, right=0))


def _shut(who: Sitter, down: float) -> Picture:
    """The upper lid's edge is a parabola between the corners; it comes down to the lower one's, and skin with it."""
    if down <= 0:
        return who.picture
    shut = who.picture.copy()
    for corner in (0, 2):
        (x0, y0), (x1, y1) = sorted(map(tuple, who.points[corner : corner + 2]))
        width = x1 - x0
        for x in range(int(x0) - 1, int(np.ceil(x1)) + 2):
            part = min(1.0, max(0.0, (x - x0) / width))
            level, arch = y0 + (y1 - y0) * part, 4 * part * (1 - part)
            upper, lower, brow = level - 0.20 * width * arch, level + 0.14 * width * arch, level - 0.62 * width
            edge = upper + down * (lower - upper)
            if edge - upper < 0.3:
                continue
            rows = np.arange(int(brow), int(np.ceil(edge)))
            source = brow + (rows - brow) * (upper - 1 - brow) / (edge - brow)
            above = np.floor(source).astype(int)
            below = (source - above)[:, None].astype(np.float32)
            shut[rows, x] = who.picture[above, x] * (1 - below) + who.picture[above + 1, x] * below
    return shut


def _turned(picture: Picture, degrees: float) -> Picture:
    """A flat print, turned about its upright axis, seen from twice its width away."""
    angle, away = np.radians(degrees), 2.0 * WIDTH
    corners = np.array([(0, 0), (WIDTH, 0), (WIDTH, HEIGHT), (0, HEIGHT)], float)
    x, y = corners[:, 0] - WIDTH / 2, corners[:, 1] - HEIGHT / 2
    near = away / (away + x * np.sin(angle))
    seen = np.stack([x * np.cos(angle) * near + WIDTH / 2, y * near + HEIGHT / 2], 1)
    rows, wanted = [], []
    for (to_x, to_y), (from_x, from_y) in zip(seen, corners, strict=True):
        rows += [
            [to_x, to_y, 1, 0, 0, 0, -from_x * to_x, -from_x * to_y],
            [0, 0, 0, to_x, to_y, 1, -from_y * to_x, -from_y * to_y],
        ]
        wanted += [from_x, from_y]
    data = np.linalg.solve(np.array(rows), np.array(wanted)).tolist()
    flat = Image.fromarray(picture.astype(np.uint8))
    turned = flat.transform((WIDTH, HEIGHT), Image.Transform.PERSPECTIVE, data, Image.Resampling.BILINEAR)
    return np.asarray(turned).astype(np.float32)


def _crossed(picture: Picture, who: Sitter, part: float) -> Picture:
    """A dark pen, from above the eyes to below them."""
    crossed = picture.copy()
    eyes = float(who.points[:4, 1].mean())
    y = int(eyes + (part - 0.5) * 50)
    crossed[y - 9 : y + 9] = (30, 35, 40)
    return crossed


def _filmed(picture: Picture) -> Picture:
    """Off a fine screen: a little soft, a little flat."""
    soft = Image.fromarray(picture.astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.8))
    flat = 255 * (np.asarray(soft) / 255) ** 1.12 * 0.93 + 9
    return flat.astype(np.float32)
