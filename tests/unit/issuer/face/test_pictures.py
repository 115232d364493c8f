"""Whatever somebody sends as a picture: one of the closed reasons, no crash, and nothing decoded that is too large."""

from __future__ import annotations

import struct
import zlib
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clips import card_photo, engine, jpeg, photograph, two_people
from mapae.issuer.face.dlib_verifier import apart
from mapae.issuer.face.pictures import MOST_BYTES, Unfit, open_picture, size_of
from mapae.issuer.face.process import FaceProcess
from mapae.issuer.face.values import Flaw, Reason

UNREADABLE, NO_FACE = Reason.RECORD_UNREADABLE, Reason.RECORD_NO_FACE


@cache
def head() -> Image.Image:
    return Image.open(BytesIO(card_photo("p01_a"))).convert("RGB")


def written(picture: Image.Image, kind: str, **how: object) -> bytes:
    out = BytesIO()
    picture.save(out, kind, **how)
    return out.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A black PNG, a thousand times larger unfolded; its first rows, for nobody may get as far as the second."""

    def chunk(name: bytes, body: bytes) -> bytes:
        named = name + body
        return struct.pack(">I", len(body)) + named + struct.pack(">I", zlib.crc32(named))

    packer, row = zlib.compressobj(9), bytes(width * 3 + 1)
    body = b"".join(packer.compress(row) for _ in range(200)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def claiming(width: int, height: int) -> bytes:
    """A small JPEG whose header says it is large: refused before anybody looks further."""
    raw = bytearray(jpeg(Image.new("RGB", (16, 16))))
    at = raw.index(b"\xff\xc0")
    raw[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(raw)


def animated() -> bytes:
    frames = [Image.new("RGB", (320, 400), colour) for colour in ("red", "blue")]
    return written(frames[0], "PNG", save_all=True, append_images=frames[1:])


def turned(tag: bool) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 8
    sideways = head().rotate(-90, expand=True)
    return jpeg(sideways, exif=exif) if tag else jpeg(sideways)


CASES = {
    "a good photo": (card_photo, "p01_a", None),
    "nothing": (lambda _: b"", "", UNREADABLE),
    "html": (lambda _: b"<html><script>", "", UNREADABLE),
    "svg": (lambda _: b'<svg xmlns="http://www.w3.org/2000/svg"/>', "", UNREADABLE),
    "truncated": (lambda name: card_photo(name)[:9000], "p01_a", UNREADABLE),
    "gif": (lambda _: written(head().convert("P"), "GIF"), "", UNREADABLE),
    "webp": (lambda _: written(head(), "WEBP"), "", UNREADABLE),
    "tiff": (lambda _: written(head(), "TIFF"), "", UNREADABLE),
    "cmyk": (lambda _: jpeg(head().convert("CMYK")), "", None),
    "grey": (lambda _: jpeg(head().convert("L")), "", None),
    "palette": (lambda _: written(head().convert("P"), "PNG"), "", None),
    "rgba": (lambda _: written(head().convert("RGBA"), "PNG"), "", None),
    "sixteen bits": (lambda _: written(Image.new("I;16", (640, 640)), "PNG"), "", UNREADABLE),
    "moves": (lambda _: animated(), "", UNREADABLE),
    "turned, and says so": (lambda _: turned(True), "", None),
    "turned, and does not say so": (lambda _: turned(False), "", NO_FACE),
    "400 megapixels of PNG": (lambda _: bomb(20000, 20000), "", UNREADABLE),
    "36 megapixels of PNG": (lambda _: bomb(6000, 6000), "", UNREADABLE),
    "48 megapixels of JPEG": (lambda _: claiming(6000, 8000), "", UNREADABLE),
    "35 megapixels of JPEG": (
        lambda _: jpeg(head().resize((5400, 6480), Image.Resampling.NEAREST), quality=30),
        "",
        None,
    ),
    "nine megabytes of junk": (lambda _: b"\xff\xd8\xff" + bytes(9 << 20), "", UNREADABLE),
    "one pixel": (lambda _: written(Image.new("RGB", (1, 1)), "PNG"), "", NO_FACE),
    "a line": (lambda _: written(Image.new("RGB", (16000, 1)), "PNG"), "", NO_FACE),
    "a cat": (photograph, "cat", NO_FACE),
    "a cup of coffee": (photograph, "coffee", NO_FACE),
    "two people": (lambda _: two_people(), "", Reason.RECORD_SEVERAL_FACES),
    "a small face": (lambda _: jpeg(head().resize((120, 160))), "", Reason.RECORD_TOO_SMALL),
}


async def test_each_bad_input_gets_its_reason_from_the_one_worker_that_reads_them_all():
    """The 27 cases of the findings, through the real worker with its limits; it is the same one at the end."""
    verifier = FaceProcess(0.5)
    said = {}
    try:
        assert await verifier.reads(b"") is UNREADABLE
        first = verifier._child
        for name, (make, what, _) in CASES.items():
            said[name] = await verifier.reads(make(what))
        assert verifier._child is first and first is not None
        peak = Path(f"/proc/{first._process.pid}/status").read_text().split("VmPeak:")[1].split()[0]
        report = await verifier.judge(animated())
        large = await verifier.judge(claiming(6000, 8000))
    finally:
        await verifier.close()
    assert said == {name: reason for name, (_, _, reason) in CASES.items()}
    assert len(CASES) == 27
    assert int(peak) < 700_000, "kB of address space"
    assert [finding.code for finding in report.findings] == [Flaw.UNREADABLE] and report.picture == b""
    assert [finding.code for finding in large.findings] == [Flaw.TOO_LARGE]


def embedded(data: bytes) -> np.ndarray:
    pixels = open_picture(data)
    return engine().embedding(pixels, engine().one_face(pixels))


@pytest.mark.parametrize(
    ("name", "most"), [("cmyk", 0.15), ("grey", 0.3), ("palette", 0.2), ("turned, and says so", 0.15)]
)
def test_the_same_face_stays_the_same_however_it_is_written(name, most):
    make, what, _ = CASES[name]
    assert apart(embedded(card_photo("p01_a")), embedded(make(what))) < most


def test_behind_what_is_transparent_there_is_white_as_on_a_screen():
    """Nobody hides a second face under nothing: the machine sees what the officer sees."""
    hidden = head().convert("RGBA")
    hidden.putalpha(0)
    assert open_picture(written(hidden, "PNG")).min() == 255


def test_size_is_read_from_the_header_and_upright():
    assert size_of(turned(True)) == head().size
    assert size_of(claiming(3000, 2000)) == (3000, 2000)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", Reason.IMAGE_EMPTY),
        (bytes(MOST_BYTES + 1), Reason.IMAGE_TOO_LARGE),
        (claiming(7000, 6000), Reason.IMAGE_TOO_LARGE),
        (b"\xff\xd8\xff", Reason.IMAGE_UNREADABLE),
        (b"\x89PNG\r\n\x1a\n", Reason.IMAGE_UNREADABLE),
    ],
    ids=["empty", "bytes", "pixels", "jpeg", "png"],
)
def test_what_is_too_large_is_refused_before_it_is_decoded(raw, reason):
    with pytest.raises(Unfit) as unfit:
        open_picture(raw)
    assert unfit.value.reason is reason


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_turns_nothing_and_breaks_nothing():
    whole = card_photo("p01_a")
    broken = whole[:2] + b"\xff\xe1\x00\x10Exif\0\0MM\x00*\xff\xff" + whole[2:]
    assert np.array_equal(open_picture(broken), open_picture(whole))
