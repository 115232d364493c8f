"""Photographs to try faces with, and what a fake camera shows of them.

The photographs lie inside two pinned archives that `make setup` downloads; none is ever unpacked to the disk or put
into the repository. People are called p01, p02 and p03. `../shared/faces` is read in place where it is there.
"""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mapae.issuer.face import clips
from mapae.issuer.face.clips import HEIGHT, WIDTH, Kind, Sitter
from mapae.issuer.face.dlib_verifier import Dlib
from mapae.issuer.face.pictures import Pixels

ROOT = Path(__file__).resolve().parents[1]
ARCHIVES = ROOT / ".stamps" / "faces.d"
SHARED = ROOT.parent / "shared" / "faces"
_IN_TAR = {"p01_a": "obama.jpg", "p01_b": "obama2.jpg", "p01_c": "obama3.jpg", "p02_a": "biden.jpg"}
_IN_WHEEL = {"p03_a": "astronaut.png", "cat": "chelsea.png", "coffee": "coffee.png"}
FPS = 25
EVERY_MS, LOOP_MS, SLOW = 1120, 3360, 1.5
"""A slow blink so often that one falls into every window of 1.3 s, whenever it begins: measured over three people and
150 challenges each, 99 of 100 pass at eight frames a second and 92 at five."""


@cache
def photograph(name: str) -> bytes:
    """As it lies in its archive."""
    if name in _IN_TAR:
        with tarfile.open(_archive("face_recognition-*.tar.gz")) as tar:
            found = tar.extractfile(next(m for m in tar if m.name.endswith(f"/test_images/{_IN_TAR[name]}")))
            assert found is not None
            return found.read()
    with zipfile.ZipFile(_archive("scikit_image-*.whl")) as wheel:
        return wheel.read(f"skimage/data/{_IN_WHEEL[name]}")


PEOPLE = ("p01_a", "p01_b", "p01_c", "p02_a", "p03_a")


def _archive(pattern: str) -> Path:
    found = sorted(ARCHIVES.glob(pattern))
    if not found:
        pytest.fail(f"{pattern} is not in {ARCHIVES.name}; `make setup` downloads the photographs for tests")
    return found[0]


def shared(name: str) -> bytes:
    """A collected picture beside the checkout; a test that needs it is skipped, saying so, where it is not."""
    path = SHARED / "pd" / name
    if not path.is_file():
        pytest.skip("the collected faces are not beside this checkout")
    return path.read_bytes()


@cache
def engine() -> Dlib:
    return Dlib()


@cache
def sitter(name: str) -> Sitter:
    return clips.sitter(photograph(name), engine())


@cache
def card_photo(name: str) -> bytes:
    """The head alone, upright, before a plain light ground: what an office would take as a photo for the record."""
    who = sitter(name)
    down, right = np.mgrid[:HEIGHT, :WIDTH]
    middle = who.points[:4].mean(0)
    span = float(np.hypot(*(who.points[0:2].mean(0) - who.points[2:4].mean(0))))
    inside = ((right - middle[0]) / (span * 1.25)) ** 2 + ((down - middle[1] - span * 0.25) / (span * 1.75)) ** 2
    inside = np.minimum(inside, ((right - middle[0]) / (span * 2.2)) ** 2 + ((down - HEIGHT) / (span * 1.1)) ** 2)
    share = np.clip((1.06 - inside) / 0.12, 0, 1)[..., None]
    ground = np.full_like(who.picture, 232)
    picture = Image.fromarray((who.picture * share + ground * (1 - share)).astype(np.uint8))
    lean = np.degrees(np.arctan2(*_level(who)))
    picture = picture.rotate(lean, Image.Resampling.BICUBIC, center=tuple(middle), fillcolor=(232, 232, 232))
    x, y = middle
    box = (int(x - 180), int(y - 215), int(x + 180), int(y + 265))
    return jpeg(picture.crop(box) if box[1] >= 0 and box[3] <= HEIGHT else _padded(picture, box))


def _level(who: Sitter) -> tuple[float, float]:
    ends = sorted((tuple(who.points[0:2].mean(0)), tuple(who.points[2:4].mean(0))))
    return ends[1][1] - ends[0][1], ends[1][0] - ends[0][0]


def _padded(picture: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    room = Image.new("RGB", (box[2] - box[0], box[3] - box[1]), (232, 232, 232))
    room.paste(picture, (-box[0], -box[1]))
    return room


def jpeg(picture: Image.Image, **how: object) -> bytes:
    out = BytesIO()
    picture.save(out, "JPEG", **{"quality": 90, **how})
    return out.getvalue()


def two_people() -> bytes:
    """Side by side in one picture."""
    both = Image.new("RGB", (WIDTH, HEIGHT))
    for at, name in enumerate(("p01_a", "p02_a")):
        both.paste(Image.fromarray(sitter(name).picture.astype(np.uint8)).crop((160, 0, 480, HEIGHT)), (at * 320, 0))
    return jpeg(both)


def _dimmed(picture: bytes) -> bytes:
    return jpeg(Image.open(BytesIO(picture)).convert("RGB").point([round(at * 0.12) for at in range(256)] * 3))


# --- camera files -----------------------------------------------------------------------------------------------------


def camera(path: Path, frames: Iterable[Pixels], fps: int = FPS) -> None:
    """What Chromium's fake camera plays, from its first frame on whenever a page opens the camera, and round again."""
    scale = [16 + round(at * 219 / 255) for at in range(256)], [16 + round(at * 224 / 255) for at in range(256)]
    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W%d H%d F%d:1 Ip A1:1 C420jpeg\n" % (WIDTH, HEIGHT, fps))
        for pixels in frames:
            y, cb, cr = Image.fromarray(pixels).convert("YCbCr").split()
            half = (WIDTH // 2, HEIGHT // 2)
            chroma = b"".join(plane.resize(half).point(scale[1]).tobytes() for plane in (cb, cr))
            file.write(b"FRAME\n" + y.point(scale[0]).tobytes() + chroma)


def loop(name: str, kind: Kind = Kind.LIVE) -> Iterator[Pixels]:
    """Somebody who blinks again and again; or a photograph of them, still, moved or crossed by a pen; or that very
    clip, filmed off a screen."""
    times = range(0, LOOP_MS, 1000 // FPS)
    return clips.film(sitter(name), kind, range(150, LOOP_MS, EVERY_MS), times, loop_ms=LOOP_MS, slow=SLOW)


def held(picture: bytes, count: int = 50) -> Iterator[Pixels]:
    """Any picture before the camera, cut to its frame: nobody's, or a crowd's."""
    image = Image.open(BytesIO(picture)).convert("RGB")
    scale = max(WIDTH / image.width, HEIGHT / image.height)
    image = image.resize((round(image.width * scale), round(image.height * scale)))
    left, top = (image.width - WIDTH) // 2, (image.height - HEIGHT) // 2
    pixels = np.asarray(image.crop((left, top, left + WIDTH, top + HEIGHT)))
    for at in range(count):
        yield np.roll(pixels, (round(2 * np.cos(at)), round(2 * np.sin(at))), (0, 1))


class Studio:
    """Camera files of one test session, each made once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, name: str, kind: Kind = Kind.LIVE) -> Path:
        return self._made(f"{name}-{kind.value}", lambda: loop(name, kind))

    def dark(self, name: str) -> Path:
        """Somebody who sits with little light."""
        return self._made(f"{name}-dark", lambda: held(_dimmed(photograph(name)), 10))

    def nobody(self) -> Path:
        return self._made("nobody", lambda: held(photograph("coffee")))

    def crowd(self) -> Path:
        return self._made("crowd", lambda: held(two_people()))

    def _made(self, name: str, frames: object) -> Path:
        path = self._folder / f"{name}.y4m"
        if not path.exists():
            camera(path, frames())  # type: ignore[operator]
        return path


def times(length_ms: int, every_ms: int = 80) -> Sequence[int]:
    return range(0, length_ms + 1, every_ms)
