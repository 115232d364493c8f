"""A signature on a PDF: an incremental update with a detached CMS over everything but itself (ISO 32000-1 12.8).

1 what the page is drawn into stays byte for byte as it was
2 behind it come a signature dictionary, an invisible field on the page, and the catalogue that names it
3 the signature covers the whole file but its own place, which the ByteRange leaves out

Promises: nothing in the file can change without the signature failing. Trusts: the seal of the documents; no private
key is read here. Keeps: nothing. Refuses: a PDF that is not one of ours (one classic table of references, one page),
a signature that does not fit its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from mapae.errors import Code, Refused
from mapae.issuer.ic_card import cms

ROOM: Final = 8192  # bytes of DER; ours has about 2,000
_RANGE: Final = b"/ByteRange [0 0000000000 0000000000 0000000000]"
_START: Final = re.compile(rb"startxref\s+(\d+)\s+%%EOF\s*$")
_SIZE: Final = re.compile(rb"/Size (\d+)")
_ROOT: Final = re.compile(rb"/Root (\d+) 0 R")
_INFO: Final = re.compile(rb"/Info (\d+) 0 R")
_ID: Final = re.compile(rb"/ID\s*\[\s*<[0-9a-fA-F]+>\s*<[0-9a-fA-F]+>\s*\]")


@dataclass(frozen=True, slots=True)
class Named:
    """What a reader shows about the signature."""

    name: str
    reason: str
    place: str


Sign = Callable[[bytes], bytes]


def sign_pdf(
    pdf: bytes, *, sign: Sign, certificate: bytes, more: tuple[bytes, ...], at: datetime, named: Named
) -> bytes:
    """The same PDF with our signature. `sign`: ES256, message to 64 bytes."""
    old = _Old.parse(pdf)
    field, value = old.size, old.size + 1
    page = _with(old.object(old.page), b"/Annots [%d 0 R]" % field)
    catalog = _with(
        old.object(old.root), b"/AcroForm << /Fields [%d 0 R] /SigFlags 3 >>" % field
    )  # 3: signatures exist, append only (12.7.2)
    widget = (
        b"<< /Type /Annot /Subtype /Widget /FT /Sig /T (Signature) /V %d 0 R /P %d 0 R /Rect [0 0 0 0] /F 132 >>"
        % (value, old.page)
    )
    shown = (
        b"/M (D:%s)" % at.astimezone(UTC).strftime("%Y%m%d%H%M%SZ").encode(),
        b"/Name " + _text(named.name), b"/Reason " + _text(named.reason), b"/Location " + _text(named.place),
    )  # fmt: skip
    signature = b"\n".join((
        b"<< /Type /Sig /Filter /Adobe.PPKLite /SubFilter /adbe.pkcs7.detached", _RANGE,
        b"/Contents <" + b"0" * (2 * ROOM) + b">", *shown, b">>",
    ))  # fmt: skip
    drafted = _appended(pdf, old, {old.root: catalog, old.page: page, field: widget, value: signature})
    return _filled(drafted, len(pdf), sign, certificate, more, at)


def _filled(
    drafted: bytes, old: int, sign: Sign, certificate: bytes, more: tuple[bytes, ...], at: datetime
) -> bytes:  # fmt: skip
    """Step 3: the range is written in before it is signed, for it is signed as well."""
    place = drafted.index(b"/Contents <", old) + len(b"/Contents ")
    after = place + 2 + 2 * ROOM
    spans = b"/ByteRange [0 %010d %010d %010d]" % (place, after, len(drafted) - after)
    ranged = drafted[:old] + drafted[old:].replace(_RANGE, spans, 1)
    content = ranged[:place] + ranged[after:]
    sealed = cms.signed_data(
        content, cms.DATA, certificate, sign=sign, signing_time=at, more_certificates=more, detached=True,
        names_signer=True,
    )  # fmt: skip
    if len(sealed) > ROOM:
        raise Refused(Code.LINT, "the signature does not fit its place")
    return ranged[: place + 1] + sealed.hex().encode().ljust(2 * ROOM, b"0") + ranged[after - 1 :]


@dataclass(frozen=True, slots=True)
class _Old:
    """A PDF as reportlab writes it (ISO 32000-1 7.5): one section of references, nothing compressed in streams."""

    pdf: bytes
    start: int
    size: int
    root: int
    page: int
    offsets: dict[int, int]
    trailer: bytes

    @classmethod
    def parse(cls, pdf: bytes) -> _Old:
        found = _START.search(pdf)
        start = int(found[1]) if found else -1
        table, separated, trailer = pdf[start:].partition(b"trailer") if start > 0 else (b"", b"", b"")
        lines = table.split()
        sizes, roots = _SIZE.search(trailer), _ROOT.search(trailer)
        if not separated or lines[:2] != [b"xref", b"0"] or sizes is None or roots is None:
            raise Refused(Code.LINT, "not a PDF of ours")
        size = int(sizes[1])
        offsets = {number: int(lines[3 + 3 * number]) for number in range(1, size)}
        half = cls(pdf, start, size, int(roots[1]), 0, offsets, trailer)
        pages = [number for number in offsets if re.search(rb"/Type /Page\s", half.object(number))]
        if len(pages) != 1:
            raise Refused(Code.LINT, "a certificate has one page")
        return cls(pdf, start, size, int(roots[1]), pages[0], offsets, trailer)

    def object(self, number: int) -> bytes:
        """What stands between `obj` and `endobj`."""
        begin = self.pdf.index(b"obj", self.offsets[number]) + 3
        return self.pdf[begin : self.pdf.index(b"endobj", begin)].strip()


def _with(dictionary: bytes, entry: bytes) -> bytes:
    if not dictionary.endswith(b">>"):
        raise Refused(Code.LINT, "not a dictionary")
    return dictionary[:-2] + entry + b"\n>>"


def _appended(pdf: bytes, old: _Old, objects: dict[int, bytes]) -> bytes:
    """7.5.6: new objects, a table of them, a trailer that leads to the old one."""
    found, offsets = bytearray(pdf if pdf.endswith(b"\n") else pdf + b"\n"), {}
    for number, content in sorted(objects.items()):
        offsets[number] = len(found)
        found += b"%d 0 obj\n" % number + content + b"\nendobj\n"
    start = len(found)
    found += b"xref\n0 1\n0000000000 65535 f \n"
    for number, offset in offsets.items():
        found += b"%d 1\n%010d 00000 n \n" % (number, offset)
    info, id = _INFO.search(old.trailer), _ID.search(old.trailer)
    found += b"trailer\n<< /Size %d /Root %d 0 R /Prev %d" % (max(objects) + 1, old.root, old.start)
    found += b" " + info[0] if info else b""
    found += b"\n" + id[0] if id else b""
    found += b" >>\nstartxref\n%d\n%%%%EOF\n" % start
    return bytes(found)


def _text(text: str) -> bytes:
    """7.9.2.2: a text string, as UTF-16 in hexadecimal."""
    return b"<FEFF" + text.encode("utf-16-be").hex().encode() + b">"
