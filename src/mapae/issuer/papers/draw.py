"""How a temporary certificate looks: one page, in the country's languages, with its code to be scanned.

Promises: the page says what the code says, and shows the photo on record. Trusts: its caller for every value. Keeps:
nothing. Refuses: a code that does not fit version 25 of a QR code at level M, which a phone still reads off paper.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import groupby
from typing import Final

import segno
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas

from mapae.errors import Code, Refused
from mapae.rules import Words
from mapae.ui.words import Language, say

FONT: Final = "HYGothic-Medium"  # of the Adobe-Korea1 collection: the reader's own, not in the file
LARGEST: Final = 25
_WIDTH, _HEIGHT = A4
_NAVY, _INK, _QUIET, _LINE = HexColor("#0b1f4b"), HexColor("#1e2124"), HexColor("#58616a"), HexColor("#b1b8be")
_MARGIN: Final = 22 * mm


@dataclass(frozen=True, slots=True)
class Face:
    """What is printed."""

    country: Words
    at: str
    office: Words
    authority: Words
    accent: str
    name: str
    birth_date: str
    number_masked: str
    number: str
    issued: str
    until: str
    portrait: bytes
    code: str
    demo: bool


def draw(face: Face, languages: tuple[Language, ...]) -> bytes:
    """An unsigned PDF."""
    code = segno.make(face.code, error="m", micro=False, boost_error=False)
    if not isinstance(code.version, int) or code.version > LARGEST:
        raise Refused(Code.LINT, "what the code says is too long for a paper")
    if FONT not in pdfmetrics.getRegisteredFontNames():
        pdfmetrics.registerFont(UnicodeCIDFont(FONT))
    out = BytesIO()
    page = Canvas(out, pagesize=A4, pageCompression=1, invariant=1)
    first = languages[0]
    page.setTitle(_both(languages, "papers.title"))
    page.setAuthor(face.country.pick(first))
    page.setSubject(face.number)
    _head(page, face, languages)
    _facts(page, face, languages)
    _code(page, face, code, languages)
    _foot(page, face, languages)
    page.showPage()
    page.save()
    return out.getvalue()


def _both(languages: tuple[Language, ...], key: str) -> str:
    return " / ".join(say(language, key) for language in languages)


def _head(page: Canvas, face: Face, languages: tuple[Language, ...]) -> None:
    page.setFillColor(_NAVY)
    page.rect(0, _HEIGHT - 26 * mm, _WIDTH, 26 * mm, stroke=0, fill=1)
    page.setFillColor(HexColor(face.accent))
    page.rect(0, _HEIGHT - 27.5 * mm, _WIDTH, 1.5 * mm, stroke=0, fill=1)
    page.setFillColor(HexColor("#ffffff"))
    page.setFont(FONT, 13)
    named = dict.fromkeys(face.country.pick(language) for language in languages)
    page.drawString(_MARGIN, _HEIGHT - 16 * mm, " · ".join(named))
    page.setFont(FONT, 10)
    page.drawRightString(_WIDTH - _MARGIN, _HEIGHT - 16 * mm, face.number)
    page.setFillColor(_INK)
    top = _HEIGHT - 46 * mm
    for place, language in enumerate(languages):
        page.setFont(FONT, 20 if place == 0 else 12)
        page.drawString(_MARGIN, top - place * 8 * mm, say(language, "papers.title"))
    page.setStrokeColor(_LINE)
    page.line(_MARGIN, _HEIGHT - 61 * mm, _WIDTH - _MARGIN, _HEIGHT - 61 * mm)


def _facts(page: Canvas, face: Face, languages: tuple[Language, ...]) -> None:
    wide, high = 35 * mm, 45 * mm
    top = _HEIGHT - 70 * mm
    picture = ImageReader(BytesIO(face.portrait))
    page.drawImage(picture, _MARGIN, top - high, wide, high, preserveAspectRatio=True, anchor="c")
    page.setStrokeColor(_LINE)
    page.rect(_MARGIN, top - high, wide, high, stroke=1, fill=0)
    left, at = _MARGIN + wide + 10 * mm, top - 3 * mm
    facts = (
        ("name", face.name), ("birth_date", face.birth_date), ("number", face.number_masked),
        ("issued", face.issued), ("until", face.until), ("office", face.office.pick(languages[0])),
    )  # fmt: skip
    for key, value in facts:
        page.setFillColor(_QUIET)
        page.setFont(FONT, 8.5)
        page.drawString(left, at, " / ".join(say(language, f"papers.{key}") for language in languages))
        page.setFillColor(_INK)
        page.setFont(FONT, 15 if key == "name" else 12)
        page.drawString(left, at - 6 * mm, value if len(value) <= 60 else value[:59] + "…")
        at -= 13 * mm


def _code(page: Canvas, face: Face, code: segno.QRCode, languages: tuple[Language, ...]) -> None:
    """Drawn, not a picture: sharp on every printer. 72 mm make modules of 0.6 mm, as on a boarding pass."""
    side, border = 72 * mm, 4
    modules = code.symbol_size(scale=1, border=border)[0]
    unit = side / modules
    left, bottom = _MARGIN, 58 * mm
    page.setFillColor(HexColor("#000000"))
    path = page.beginPath()
    for down, row in enumerate(code.matrix):
        top = bottom + side - (down + 1 + border) * unit
        for across, length in _runs(row):
            path.rect(left + (across + border) * unit, top, length * unit, unit)
    page.drawPath(path, stroke=0, fill=1)
    page.setFillColor(_INK)
    _lines(page, _MARGIN + side + 8 * mm, bottom + side - 8 * mm, _WIDTH - 2 * _MARGIN - side - 8 * mm, [
        (say(language, f"papers.{key}", at=face.at), 11 if key == "scan" else 9)
        for language in languages
        for key in ("scan", "compare", "ends")
    ])  # fmt: skip


def _runs(row: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Where dark modules stand side by side, and how many."""
    at = 0
    for dark, group in groupby(row, bool):
        length = len(list(group))
        if dark:
            yield at, length
        at += length


def _lines(page: Canvas, left: float, at: float, width: float, texts: list[tuple[str, int]]) -> None:
    """Broken at spaces, and inside a word that is wider than the column."""
    for text, size in texts:
        page.setFont(FONT, size)
        line = ""
        for word in text.split(" "):
            longer = f"{line} {word}" if line else word
            if pdfmetrics.stringWidth(longer, FONT, size) > width and line:
                page.drawString(left, at, line)
                at -= size * 1.35
                longer = word
            line = longer
        page.drawString(left, at, line)
        at -= size * 1.35 + 5


def _foot(page: Canvas, face: Face, languages: tuple[Language, ...]) -> None:
    page.setStrokeColor(_LINE)
    page.line(_MARGIN, 46 * mm, _WIDTH - _MARGIN, 46 * mm)
    page.setFillColor(_INK)
    page.setFont(FONT, 13)
    page.drawCentredString(_WIDTH / 2, 36 * mm, face.authority.pick(languages[0]))
    page.setFont(FONT, 8.5)
    page.setFillColor(_QUIET)
    for place, language in enumerate(languages):
        page.drawCentredString(_WIDTH / 2, 27 * mm - place * 4.5 * mm, say(language, "papers.signed"))
    if face.demo:
        page.setFillColor(HexColor("#b3200c"))
        page.setFont(FONT, 10)
        page.drawCentredString(_WIDTH / 2, 12 * mm, " / ".join(say(language, "papers.demo") for language in languages))
