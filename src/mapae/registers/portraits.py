"""Portraits of people who do not exist, drawn by ourselves.

Promises: the same seed, age and sex give the same picture, 240 by 320, JPEG, under 12 kB; no third-party image is
involved. Trusts: Pillow. Keeps: the last 128 it drew. Refuses: nothing; every seed gives a face.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from typing import Final, TypeVar

from PIL import Image, ImageDraw, ImageFilter

from ..rules import Sex

WIDTH: Final = 240
HEIGHT: Final = 320
MOST_BYTES: Final = 12_000
_FINE: Final = 3  # drawn this many times larger, then scaled down: smooth edges

Point = tuple[float, float]
Colour = tuple[int, int, int]
T = TypeVar("T")

_SKINS: Final[Sequence[Colour]] = (
    (250, 221, 196), (246, 211, 183), (241, 203, 172), (236, 194, 160), (228, 183, 147), (214, 166, 128),
    (190, 141, 104),
)  # fmt: skip
_HAIRS: Final[Sequence[Colour]] = ((34, 29, 30), (45, 36, 34), (58, 43, 36), (76, 54, 42), (98, 66, 46), (40, 38, 48))
_GREYS: Final[Sequence[Colour]] = ((120, 118, 120), (158, 156, 158), (196, 195, 197), (222, 221, 222))
_IRISES: Final[Sequence[Colour]] = ((58, 38, 28), (74, 48, 32), (46, 32, 28), (88, 62, 40))
_GROUNDS: Final[Sequence[Colour]] = (
    (222, 234, 246), (230, 238, 232), (243, 234, 226), (232, 229, 243), (226, 240, 241), (245, 240, 224),
)  # fmt: skip
_CLOTHES: Final[Sequence[Colour]] = (
    (44, 62, 92), (66, 84, 74), (120, 58, 66), (58, 58, 66), (86, 118, 148), (176, 122, 92), (98, 82, 128),
    (196, 160, 92), (64, 118, 118), (150, 88, 112), (70, 96, 60), (206, 138, 132),
)  # fmt: skip


# Where the hair ends on the forehead, in half face widths from the middle (None: at the parting), and its top.
_HAIRLINES: Final[dict[str, tuple[Sequence[tuple[float | None, float]], float]]] = {
    "short": (((-0.82, 112), (-0.4, 104), (0.4, 104), (0.82, 112)), 66),
    "receding": (((-0.84, 108), (-0.5, 88), (0, 97), (0.5, 88), (0.84, 108)), 68),
    "parted": (((-0.84, 114), (-0.4, 103), (None, 92), (0.4, 104), (0.84, 114)), 60),
    "fringe": (((-0.86, 128), (-0.5, 124), (-0.1, 127), (0.3, 122), (0.86, 127)), 62),
    "swept": (((-0.82, 108), (-0.3, 94), (0.3, 96), (0.82, 110)), 54),
    "curly": (((-0.82, 116), (-0.3, 110), (0.3, 111), (0.82, 116)), 62),
    "long_fringe": (((-0.9, 130), (-0.5, 129), (0, 131), (0.5, 129), (0.9, 130)), 61),
    "bob_fringe": (((-0.9, 130), (-0.5, 129), (0, 131), (0.5, 129), (0.9, 130)), 61),
    "perm": (((-0.8, 116), (-0.3, 106), (0.3, 106), (0.8, 116)), 62),
    "waved": (((-0.9, 128), (-0.55, 108), (None, 91), (0.55, 108), (0.9, 128)), 61),
}


class _Choices:
    """Repeatable choices from one hash."""

    def __init__(self, seed: str) -> None:
        self._left = int.from_bytes(hashlib.blake2b(f"portrait {seed}".encode()).digest(), "big")

    def below(self, limit: int) -> int:
        self._left, pick = divmod(self._left, limit)
        return pick

    def one(self, items: Sequence[T]) -> T:
        return items[self.below(len(items))]

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.below(101) / 100

    def chance(self, percent: float) -> bool:
        return self.below(100) < percent


@lru_cache(maxsize=128)  # a tenth of a second each, and a page of the demo shows fifty of them
def portrait(seed: str, *, age: int, sex: Sex) -> bytes:
    """The face that belongs to this seed, at this age."""
    face = _Face(_Choices(seed), age, sex)
    image = face.draw().resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    for quality in (88, 80, 70, 60):
        out = BytesIO()
        image.save(out, "JPEG", quality=quality, optimize=True)
        if out.tell() < MOST_BYTES:
            break
    return out.getvalue()


def _mix(a: Colour, b: Colour, part: float) -> Colour:
    return tuple(round(x + (y - x) * part) for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


def _darker(colour: Colour, part: float) -> Colour:
    return _mix(colour, (30, 16, 22), part)


def _lighter(colour: Colour, part: float) -> Colour:
    return _mix(colour, (255, 255, 255), part)


def _curve(points: Sequence[Point], closed: bool = True, steps: int = 8) -> list[Point]:
    """A Catmull-Rom curve through the points."""
    many = len(points)
    found: list[Point] = []
    for at in range(many if closed else many - 1):
        around = [
            points[(at + k) % many] if closed else points[min(max(at + k, 0), many - 1)] for k in (-1, 0, 1, 2)
        ]  # fmt: skip
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = around
        for step in range(steps):
            t = step / steps
            found.append((_catmull(ax, bx, cx, dx, t), _catmull(ay, by, cy, dy, t)))
    if not closed:
        found.append(points[-1])
    return found


def _catmull(a: float, b: float, c: float, d: float, t: float) -> float:
    return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t * t + (3 * b - a - 3 * c + d) * t * t * t)


class _Face:
    """One face. Coordinates are those of the small picture; the pen enlarges them."""

    def __init__(self, choose: _Choices, age: int, sex: Sex) -> None:
        self.choose, self.age, self.sex = choose, age, sex
        self.child, self.old = age < 14, age >= 60
        self.skin = choose.one(_SKINS)
        self.hair = self._hair_colour()
        self.half = choose.between(47, 53) + (2 if self.child else 0) + (1.5 if sex == "male" else -1.5)
        self.chin = choose.between(207, 214) - (8 if self.child else 0) + (2 if sex == "male" else -1)
        self.jaw = choose.between(0.66, 0.80) + (0.05 if sex == "male" else -0.03)
        self.eye_y = choose.between(143, 148) + (4 if self.child else 0)
        self.tilt = choose.between(-1.2, 1.2)
        self.glasses = choose.chance(14 + (24 if self.old else 0) + (0 if self.child else 8))
        self.neck = 24.0 if sex == "male" else 20.0
        self.ground = choose.one(_GROUNDS)
        self.cloth = choose.one(_CLOTHES)
        self.image = Image.new("RGB", (WIDTH * _FINE, HEIGHT * _FINE), self.ground)
        self.pen = ImageDraw.Draw(self.image)

    def _hair_colour(self) -> Colour:
        dark = self.choose.one(_HAIRS)
        grey = self.choose.one(_GREYS)
        return _mix(dark, grey, min(1.0, max(0.0, (self.age - 48 + self.choose.below(12)) / 28)))

    # pen strokes

    def _at(self, points: Sequence[Point]) -> list[Point]:
        return [(x * _FINE, y * _FINE) for x, y in points]

    def _shape(self, points: Sequence[Point], colour: Colour, *, smooth: bool = True) -> None:
        self.pen.polygon(self._at(_curve(points) if smooth else points), fill=colour)

    def _line(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        path = self._at(_curve(points, closed=False, steps=12))
        thick = max(1, round(width * _FINE))
        self.pen.line(path, fill=colour, width=thick, joint="curve")
        for x, y in (path[0], path[-1]):
            self.pen.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=colour)

    def _disc(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        self.pen.ellipse(((x - rx) * _FINE, (y - ry) * _FINE, (x + rx) * _FINE, (y + ry) * _FINE), fill=colour)

    def _both(self, points: Sequence[Point]) -> tuple[list[Point], list[Point]]:
        """The points, and their mirror image."""
        return list(points), [(WIDTH - x, y) for x, y in points]

    # the picture, from back to front

    def draw(self) -> Image.Image:
        self._background()
        style = self._style()
        self._hair_behind(style)
        self._body()
        self._ears()
        self._head()
        self._cheeks()
        self._eyes()
        self._nose_and_mouth()
        if self.old or self.age >= 48:
            self._lines_of_age()
        if self.sex == "male" and self.age >= 30 and self.choose.chance(14):
            self._beard()
        self._hair_in_front(style)
        if self.glasses:
            self._spectacles()
        return self.image

    def _background(self) -> None:
        top, bottom = _lighter(self.ground, 0.55), self.ground
        column = Image.new("RGB", (1, HEIGHT))
        column.putdata([_mix(top, bottom, y / HEIGHT) for y in range(HEIGHT)])
        self.image.paste(column.resize(self.image.size))

    def _style(self) -> str:
        if self.sex == "male":
            if self.old:
                return self.choose.one(("bald", "receding", "parted", "short", "short"))
            return self.choose.one(("parted", "short", "fringe", "swept", "curly", "fringe", "parted"))
        if self.age >= 65:
            return self.choose.one(("perm", "perm", "bob", "crop"))
        return self.choose.one(("long", "long_fringe", "bob", "bun", "tail", "wavy", "bob_fringe", "crop"))

    def _hair_behind(self, style: str) -> None:
        dark, h = _darker(self.hair, 0.28), self.half
        if style in ("long", "long_fringe", "wavy"):
            end, flare = (286, 14) if style != "wavy" else (262, 22)
            side = [(120, 66), (120 - h - 4, 92), (120 - h - 11, 150), (120 - h - flare, 220), (120 - h - flare, end)]
            left, right = self._both(side)
            self._shape([*left, (120, end + 6), *reversed(right[1:])], dark)
            if style == "wavy":
                for at in range(5):
                    for way in (-1, 1):
                        self._disc(120 + way * (h + 9 + (at % 2) * 4), 176 + at * 19, 13, 15, dark)
        elif style in ("bob", "bob_fringe"):
            left, right = self._both([(120, 64), (120 - h - 6, 92), (120 - h - 14, 160), (120 - h - 8, 218)])
            self._shape([*left, (120, 226), *reversed(right[1:])], dark)
        elif style == "tail":
            way = 1 if self.choose.chance(50) else -1
            x = 120 + way * (h + 10)
            tail = [
                (120, 80),
                (x, 104),
                (x + way * 14, 160),
                (x + way * 6, 236),
                (x - way * 8, 230),
                (x - way * 10, 160),
            ]
            self._shape(tail, dark)
        elif style == "bun":
            self._disc(120, 58, 25, 22, dark)
            self._disc(116, 54, 17, 13, self.hair)
        elif style == "perm":
            for at in range(15):
                angle = math.pi * (0.92 + at * 1.16 / 14)
                self._disc(120 + (h + 6) * math.cos(angle), 132 + 64 * math.sin(angle), 19, 19, dark)

    def _body(self) -> None:
        wide = (94 if self.sex == "male" else 82) - (16 if self.child else 0)
        top = 236 if self.sex == "male" else 239
        side = [(120, 222), (94, 229), (120 - wide * 0.72, top + 8), (120 - wide, top + 34), (120 - wide - 6, 330)]
        left, right = self._both(side)
        self._shape([*left, *reversed(right[1:])], self.cloth)
        nw = self.neck
        neck = [(120 - nw, 186), (120 + nw, 186), (120 + nw + 3, 230), (120, 252), (120 - nw - 3, 230)]
        self._shape(neck, _darker(self.skin, 0.14))
        self._collar(self.choose.one((0, 0, 1, 1, 2, 2, 2, 4, 4, 3)), nw)

    def _collar(self, kind: int, nw: float) -> None:
        light, dark = _lighter(self.cloth, 0.78), _darker(self.cloth, 0.3)
        if kind == 0 and not self.child:  # jacket, shirt and tie
            self._shape([(120 - nw - 4, 226), (120, 318), (120 + nw + 4, 226), (120, 252)], light, smooth=False)
            if self.sex == "male":
                tie = _mix(self.choose.one(_CLOTHES), (160, 40, 60), 0.3)
                self._shape([(113, 249), (127, 249), (131, 330), (109, 330)], tie, smooth=False)
            for lapel in self._both([(120 - nw - 6, 224), (120 - nw - 24, 236), (104, 330), (119, 330)]):
                self._shape(lapel, dark, smooth=False)
        elif kind == 1:  # open collar
            for wing in self._both([(120 - nw - 3, 223), (120 - nw - 12, 241), (111, 268), (120, 252)]):
                self._shape(wing, light, smooth=False)
            self._line([(120, 256), (120, 330)], dark, 1.4)
        elif kind == 3:  # hanbok: two bands crossing
            white = (248, 246, 242)
            self._line([(120 + nw + 5, 226), (121, 259)], white, 8)
            self._line([(120 - nw - 5, 226), (118, 257), (132, 282)], white, 8)
            self._line([(131, 283), (136, 304), (132, 326)], _lighter(self.cloth, 0.5), 6)
            self._line([(131, 283), (145, 300)], _lighter(self.cloth, 0.5), 6)
        elif kind == 4:  # turtleneck
            roll = [
                (120 - nw - 4, 210),
                (120, 219),
                (120 + nw + 4, 210),
                (120 + nw + 7, 238),
                (120, 251),
                (120 - nw - 7, 238),
            ]
            self._shape(roll, _mix(self.cloth, dark, 0.35))
        else:  # round neck
            ring = [(120 - nw - 6, 230), (106, 249), (120, 253), (134, 249), (120 + nw + 6, 230)]
            self._line(ring, light, 5)

    def _ears(self) -> None:
        shade = _darker(self.skin, 0.16)
        for x in (120 - self.half + 0.5, 120 + self.half - 0.5):
            self._disc(x, self.eye_y + 10, 8.5, 14, self.skin)
            self._disc(x, self.eye_y + 10, 4, 8, shade)
        if self.sex == "female" and self.age >= 18 and self.choose.chance(35):
            for x in (120 - self.half - 4, 120 + self.half + 4):
                self._disc(x, self.eye_y + 25, 2.6, 2.6, (238, 226, 190))

    def _outline(self) -> list[Point]:
        h, chin = self.half, self.chin
        side = [(120, 76), (120 - h * 0.66, 84), (120 - h * 0.96, 112), (120 - h, 146), (120 - h * 0.93, 172),
                (120 - h * self.jaw, 192), (120 - h * 0.30, chin - 2.5)]  # fmt: skip
        left, right = self._both(side)
        return [*left, (120, chin), *reversed(right[1:])]

    def _head(self) -> None:
        shadow = Image.new("L", self.image.size, 0)
        shift = [(x, y + 7) for x, y in _curve(self._outline())]
        ImageDraw.Draw(shadow).polygon(self._at(shift), fill=70)
        mask = shadow.filter(ImageFilter.BoxBlur(4 * _FINE))
        left, right = round((120 - self.neck - 1) * _FINE), round((121 + self.neck) * _FINE)
        box = (left, 196 * _FINE, right, 232 * _FINE)  # only on the neck
        shade = Image.new("RGB", (right - left, 36 * _FINE), _darker(self.skin, 0.5))
        self.image.paste(shade, box[:2], mask.crop(box))
        self._shape(self._outline(), self.skin)

    def _cheeks(self) -> None:
        blush = Image.new("L", self.image.size, 0)
        pen = ImageDraw.Draw(blush)
        for x in (120 - self.half * 0.56, 120 + self.half * 0.56):
            y = self.eye_y + 24
            pen.ellipse(((x - 13) * _FINE, (y - 9) * _FINE, (x + 13) * _FINE, (y + 9) * _FINE), fill=92)
        soft = blush.filter(ImageFilter.BoxBlur(5 * _FINE))
        self.image.paste(Image.new("RGB", self.image.size, (232, 120, 110)), (0, 0), soft)
        if self.choose.chance(10) and not self.old:
            for at in range(8):
                x = 120 + (-1) ** at * (14 + self.choose.below(16))
                self._disc(x, self.eye_y + 17 + self.choose.below(10), 1, 1, _darker(self.skin, 0.25))

    def _eyes(self) -> None:
        gap = self.half * self.choose.between(0.41, 0.46)
        wide = self.choose.between(9.6, 11.4) + (0.8 if self.child or self.sex == "female" else 0)
        tall = self.choose.between(5.4, 7.2) + (1.4 if self.child else 0) - (1.2 if self.old else 0)
        iris, lash = self.choose.one(_IRISES), _darker(self.hair if not self.old else (80, 70, 70), 0.45)
        brow_y, brow = self.eye_y - 17 - (2 if self.child else 0), _darker(self.hair, 0.08)
        arch = self.choose.between(1.5, 5.0)
        thick = self.choose.between(2.8, 4.2) if self.sex == "male" else self.choose.between(1.8, 2.8)
        for side in (-1, 1):
            x, y = 120 + side * gap, self.eye_y + side * self.tilt * 0.4
            self._shape(
                [(x - wide, y + 0.5), (x, y - tall), (x + wide, y + 0.5), (x, y + tall * 0.82)], (253, 252, 250)
            )
            self._disc(x, y - 0.2, tall * 0.88, tall * 0.92, iris)
            self._disc(x, y - 0.2, tall * 0.46, tall * 0.5, (22, 16, 16))
            self._disc(x + 2, y - 2.2, 1.6, 1.6, (255, 255, 255))
            lid = [(x - wide - 0.5, y + 0.8), (x - wide * 0.5, y - tall * 0.84), (x + wide * 0.5, y - tall * 0.84),
                   (x + wide + 0.5, y + 0.8)]  # fmt: skip
            self._line(lid, lash, 2.4 if self.sex == "female" else 1.9)
            if self.sex == "female" and self.age >= 16:
                self._line([(x + side * wide, y + 0.5), (x + side * (wide + 3.6), y - 2.6)], lash, 1.6)
            if self.choose.chance(60) or self.old:
                fold = [(px, py - 3.4) for px, py in lid[1:3]]
                self._line([(x - wide * 0.9, y - tall * 0.5 - 2.2), *fold, (x + wide * 0.9, y - tall * 0.5 - 2.2)],
                           _darker(self.skin, 0.22), 1)  # fmt: skip
            self._line([(x - side * wide * 0.95, brow_y + 2), (x + side * wide * 0.1, brow_y - arch * 0.6),
                        (x + side * wide * 1.25, brow_y + 2.4 - arch * 0.2)], brow, thick)  # fmt: skip

    def _nose_and_mouth(self) -> None:
        shade, y = _darker(self.skin, 0.24), self.eye_y + self.choose.between(27, 31) - (3 if self.child else 0)
        nose = self.choose.between(6, 9)
        self._line(
            [(120 - nose, y - 2), (120 - nose * 0.4, y + 2.2), (120 + nose * 0.4, y + 2.2), (120 + nose, y - 2)],
            shade,
            1.8,
        )
        self._line([(120 - 2, y - 20), (120 - 3.2, y - 10)], _darker(self.skin, 0.1), 1.6)
        lip = _mix(self.skin, (196, 72, 80), 0.62 if self.sex == "female" and self.age >= 18 else 0.42)
        my, mw = y + self.choose.between(15, 18), self.choose.between(14, 19)
        smile = self.choose.between(3.5, 7.5)
        if self.choose.chance(30):  # an open smile
            curve = _curve([(120 - mw, my), (120, my + 1.5), (120 + mw, my), (120, my + smile * 2.0)])
            self.pen.polygon(self._at(curve), fill=(255, 252, 248))
            self._line([(120 - mw, my), (120 - mw * 0.5, my + smile * 1.35), (120, my + smile * 1.9),
                        (120 + mw * 0.5, my + smile * 1.35), (120 + mw, my)], lip, 2.6)  # fmt: skip
            self._line([(120 - mw, my), (120, my + 2), (120 + mw, my)], _darker(lip, 0.2), 2)
        else:
            lower = [(-mw * 0.72, smile * 0.4), (0, smile * 0.5), (mw * 0.72, smile * 0.4), (0, smile + 4.6)]
            self._shape([(120 + x, my + y) for x, y in lower], lip)
            self._line([(120 - mw, my - 0.5), (120 - mw * 0.5, my + smile * 0.62), (120, my + smile * 0.85),
                        (120 + mw * 0.5, my + smile * 0.62), (120 + mw, my - 0.5)], _darker(lip, 0.35), 2)  # fmt: skip

    def _lines_of_age(self) -> None:
        mark = _darker(self.skin, 0.12 + (0.1 if self.old else 0))
        y = self.eye_y
        for side in (-1, 1):
            self._line([(120 + side * 14, y + 31), (120 + side * 22, y + 41), (120 + side * 24, y + 50)], mark, 1.2)
            if self.old:
                outer = 120 + side * (self.half * 0.80)
                self._line([(outer, y + 2), (outer + side * 5, y)], mark, 1)
                self._line([(outer, y + 5), (outer + side * 5, y + 7)], mark, 1)
                self._line([(120 + side * 15, y + 11), (120 + side * 25, y + 12.5)], mark, 1)
        if self.age >= 68:
            for up in (0, 7):
                self._line([(104, 112 - up), (120, 110.5 - up), (136, 112 - up)], mark, 1)

    def _beard(self) -> None:
        colour, y = _mix(self.skin, self.hair, 0.62), self.eye_y
        self._line([(106, y + 40), (120, y + 37), (134, y + 40)], colour, 3.2)
        self._disc(120, self.chin - 7, 10, 5, colour)

    def _hair_in_front(self, style: str) -> None:
        h, shine = self.half, _lighter(self.hair, 0.16)
        if style == "bald":
            for patch in self._both([(120 - h - 1, 116), (120 - h - 5, 140), (120 - h + 1, 156), (120 - h + 5, 128)]):
                self._shape(patch, self.hair)
            self._line([(104, 86), (116, 82), (128, 84)], _lighter(self.skin, 0.45), 3)
            return
        fall, top = self._hairline(style)
        sides = {"short": 140, "parted": 142, "fringe": 144, "swept": 138, "curly": 140, "receding": 144}.get(
            style, 150
        )
        rim = h + (5 if self.sex == "female" else 3)
        crown = [(120 - rim, sides), (120 - rim - 1, 112), (120 - h * 0.74, top + 12), (120 - h * 0.2, top),
                 (120 + h * 0.3, top), (120 + h * 0.78, top + 13), (120 + rim + 1, 112),
                 (120 + rim, sides)]  # fmt: skip
        self._shape([*crown, (120 + h - 4, 128), *reversed(fall), (120 - h + 4, 128)], self.hair)
        if style == "curly":
            for at in range(11):
                angle = math.pi * (1.02 + at * 0.96 / 10)
                self._disc(120 + (h + 1) * math.cos(angle), 118 + 46 * math.sin(angle), 12.5, 12.5, self.hair)
        if style == "perm":
            for at in range(13):
                angle = math.pi * (1.0 + at / 12)
                self._disc(120 + (h + 1) * math.cos(angle), 120 + 50 * math.sin(angle), 15, 15, self.hair)
                self._disc(120 + (h - 3) * math.cos(angle), 116 + 50 * math.sin(angle), 5, 4, shine)
        if style in ("long", "long_fringe", "wavy", "bob", "bob_fringe"):
            end = {"bob": 206, "bob_fringe": 206}.get(style, 250)
            for strand in self._both([(120 - h + 1, 112), (120 - h - 7, 116), (120 - h - 12, 170), (120 - h - 10, end),
                                      (120 - h - 1, end - 6), (120 - h + 2, 168), (120 - h + 3, 136)]):  # fmt: skip
                self._shape(strand, self.hair)
        self._line([(120 - h * 0.5, top + 17), (120 - h * 0.1, top + 10), (120 + h * 0.36, top + 11)], shine, 3)

    def _hairline(self, style: str) -> tuple[list[Point], float]:
        """Where the hair ends on the forehead, from left to right, and how high it stands."""
        h = self.half
        part = 120 - h * self.choose.between(0.25, 0.5)
        if self.choose.chance(50):
            part = 240 - part
        line, top = _HAIRLINES.get(style, _HAIRLINES["waved"])
        return [(120 + at * h if at is not None else part, y) for at, y in line], top

    def _spectacles(self) -> None:
        frame = self.choose.one(((40, 38, 42), (96, 62, 42), (70, 84, 110), (150, 120, 84)))
        gap, y, round_ = self.half * 0.44, self.eye_y, self.choose.chance(50)
        rx, ry = (15.5, 14.5) if round_ else (17, 12.5)
        for side in (-1, 1):
            x = 120 + side * gap
            box = ((x - rx) * _FINE, (y - ry) * _FINE, (x + rx) * _FINE, (y + ry) * _FINE)
            wide = round(1.9 * _FINE)
            if round_:
                self.pen.ellipse(box, outline=frame, width=wide)
            else:
                self.pen.rounded_rectangle(box, radius=6 * _FINE, outline=frame, width=wide)
            self._line([(x + side * rx, y - 3), (120 + side * (self.half + 2), y - 1)], frame, 1.8)
        self._line([(120 - gap + rx, y - 2), (120, y - 4.5), (120 + gap - rx, y - 2)], frame, 1.9)
