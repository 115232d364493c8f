"""A photo for the record: what is wrong with it, by code, and shown on it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageFilter

from clips import PEOPLE, card_photo, engine, jpeg, photograph, sitter, two_people
from mapae.issuer.face import clips
from mapae.issuer.face.quality import RECORD_BYTES, SHOWN, DlibJudge
from mapae.issuer.face.values import Flaw, PhotoReport
from mapae.issuer.lint import PORTRAIT_LIMIT
from mapae.registers.portraits import portrait


@cache
def head() -> Image.Image:
    return Image.open(BytesIO(card_photo("p01_a"))).convert("RGB")


def judged(photo: bytes) -> PhotoReport:
    return DlibJudge(engine()).judge(photo)


def codes(report: PhotoReport) -> set[Flaw]:
    return {finding.code for finding in report.findings}


@pytest.mark.parametrize("name", PEOPLE)
def test_a_plain_upright_sharp_photo_passes(name):
    report = judged(card_photo(name))
    assert report.ok and report.findings == ()


def eyes_shut() -> bytes:
    who = sitter("p01_a")
    pixels = np.clip(clips._shut(who, 1.0), 0, 255).astype(np.uint8)
    return clips.jpeg(pixels[20:470, 140:500])


def before_a_wall_of_stripes() -> bytes:
    pixels = np.array(head())
    stripes = (pixels.min(2) > 225) & (np.arange(pixels.shape[1]) // 20 % 2 == 0)
    pixels[stripes] = (40, 90, 160)
    return clips.jpeg(pixels)


def padded(by: int, left: int = 0) -> bytes:
    room = Image.new("RGB", (head().width + 2 * by, head().height + 2 * by), (232, 232, 232))
    room.paste(head(), (by + left, by))
    return jpeg(room)


FLAWED: dict[str, tuple[Callable[[], bytes], set[Flaw], str]] = {
    "small": (lambda: jpeg(head().resize((180, 240))), {Flaw.TOO_SMALL, Flaw.FACE_TOO_SMALL}, "photo.too-small"),
    "far away": (lambda: padded(300), {Flaw.FACE_TOO_SMALL}, "photo.face-too-small"),
    "too near": (lambda: jpeg(head().crop((75, 90, 285, 370)).resize((360, 480))), {Flaw.FACE_TOO_SMALL},
                 "photo.face-too-large"),
    "at the edge": (lambda: padded(60, 110), {Flaw.FACE_TOO_SMALL}, "photo.face-off-centre"),
    "tilted": (lambda: jpeg(head().rotate(11, fillcolor=(232, 232, 232))), {Flaw.TILTED}, "photo.tilted"),
    "blurred": (lambda: jpeg(head().filter(ImageFilter.GaussianBlur(3))), {Flaw.BLURRED}, "photo.blurred"),
    "dark": (lambda: jpeg(head().point(lambda value: value * 0.3)), {Flaw.TOO_DARK}, "photo.too-dark"),
    "burnt": (lambda: jpeg(head().point(lambda value: value * 2.2)), {Flaw.TOO_BRIGHT}, "photo.too-bright"),
    "stripes": (before_a_wall_of_stripes, {Flaw.BACKGROUND}, "photo.background"),
    "a flag behind": (lambda: photograph("p01_a"), {Flaw.BACKGROUND}, "photo.background"),
    "two": (two_people, {Flaw.SEVERAL_FACES}, "photo.several-faces"),
    "no face": (lambda: photograph("coffee"), {Flaw.NO_FACE}, "photo.no-face"),
    "a drawing": (lambda: portrait("named jisoo 4", age=22, sex="female"), {Flaw.NO_FACE}, "photo.no-face"),
    "text": (lambda: b"a photo", {Flaw.UNREADABLE}, "photo.unreadable"),
}  # fmt: skip


@pytest.mark.parametrize("name", FLAWED)
def test_each_flaw_has_its_code_its_words_and_a_picture_of_it(name):
    make, expected, words = FLAWED[name]
    report = judged(make())
    assert not report.ok and codes(report) == expected
    assert words in {finding.words for finding in report.findings}
    if report.picture:
        shown = Image.open(BytesIO(report.picture))
        assert max(shown.size) <= SHOWN and len(report.picture) < 60_000
        red = np.asarray(shown.convert("RGB"), int)
        assert ((red[..., 0] - red[..., 1] > 90) & (red[..., 0] > 150)).sum() > 12, "nothing is drawn"


def test_what_the_register_keeps_is_written_anew_and_fits_every_document():
    """No place, no camera, no hidden bytes; and a photo as noisy as can be still becomes a portrait in a card."""
    exif = Image.Exif()
    exif[0x010F] = "a camera's name"
    sideways = head().rotate(-90, expand=True)
    exif[0x0112] = 8
    kept = judged(jpeg(sideways, exif=exif) + b"something behind").record
    assert b"camera" not in kept and b"behind" not in kept and Image.open(BytesIO(kept)).size == head().size
    noise = np.random.default_rng(1).integers(0, 256, (800, 640, 3), np.uint8)
    assert len(judged(clips.jpeg(noise, 95)).record) <= RECORD_BYTES < PORTRAIT_LIMIT
    assert judged(b"a photo").record == b""


def test_closed_eyes_are_seen_without_the_68_points():
    """By what is dark on the line between an eye's corners."""
    assert Flaw.EYES_CLOSED in codes(judged(eyes_shut()))


def test_a_place_is_said_in_shares_of_the_picture():
    box = judged(photograph("p01_a")).findings[0].box
    assert box is not None and 0 <= box.left < box.right <= 10_000 and 0 <= box.top < box.bottom <= 10_000
