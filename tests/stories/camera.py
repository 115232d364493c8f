"""A camera for headless Chromium: a y4m film that holds a QR code, as a phone would see it on a screen.

Chromium reads the file when the page opens the camera, so one path can be filmed anew for every scan.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import segno
from PIL import Image

WIDTH, HEIGHT, FRAMES, FPS = 640, 480, 20, 10


def film(path: Path, text: str | None) -> None:
    """Write a short film of a QR code that drifts and tilts a little in a hand-held way; None: an empty desk."""
    code = _code(text) if text is not None else None
    desk = Image.new("RGB", (WIDTH, HEIGHT), (88, 96, 104))
    empty = b"FRAME\n" + _planes(desk)
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F{FPS}:1 Ip A1:1 C420mpeg2\n".encode())
        for n in range(FRAMES):
            if code is None:
                file.write(empty)
                continue
            picture, sway = desk.copy(), math.sin(2 * math.pi * n / FRAMES)
            tilted = code.rotate(3 * sway, resample=Image.Resampling.BICUBIC, expand=True, fillcolor=(255, 255, 255))
            at = ((WIDTH - tilted.width) // 2 + round(6 * sway), (HEIGHT - tilted.height) // 2 - round(4 * sway))
            picture.paste(tilted, at)
            file.write(b"FRAME\n" + _planes(picture))


def film_sequence(path: Path, texts: Sequence[str]) -> None:
    """An animated code: each of its frames for two pictures, over and over."""
    codes = [_fine(text) for text in texts]
    with path.open("wb") as file:
        file.write(f"YUV4MPEG2 W{FINE_WIDTH} H{FINE_HEIGHT} F{FPS}:1 Ip A1:1 C420mpeg2\n".encode())
        for code in codes:
            picture = Image.new("RGB", (FINE_WIDTH, FINE_HEIGHT), (88, 96, 104))
            picture.paste(code, ((FINE_WIDTH - code.width) // 2, (FINE_HEIGHT - code.height) // 2))
            file.write((b"FRAME\n" + _planes(picture)) * 2)


FINE_WIDTH, FINE_HEIGHT = 1280, 960


def _fine(text: str) -> Image.Image:
    raw = io.BytesIO()
    segno.make(text, error="l", micro=False).save(raw, kind="png", scale=7, border=4)
    return Image.open(raw).convert("RGB")


def _code(text: str) -> Image.Image:
    raw = io.BytesIO()
    segno.make(text, error="m", micro=False).save(raw, kind="png", scale=8, border=4)
    return Image.open(raw).convert("RGB").resize((400, 400), Image.Resampling.LANCZOS)


def _planes(picture: Image.Image) -> bytes:
    y, cb, cr = picture.convert("YCbCr").split()
    half = (picture.width // 2, picture.height // 2)
    return y.tobytes() + cb.resize(half).tobytes() + cr.resize(half).tobytes()
