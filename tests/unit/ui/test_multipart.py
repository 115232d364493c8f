"""Forms that carry a file: what a browser sends is read, and nothing else."""

from __future__ import annotations

import httpx
import pytest

from mapae.errors import Code, Refused
from mapae.ui.multipart import Sent, parse

TYPE = "multipart/form-data; boundary=----WebKitFormBoundaryx1"


def _body(*parts: str | bytes) -> bytes:
    boundary = b"------WebKitFormBoundaryx1"
    raw = [part if isinstance(part, bytes) else part.encode() for part in parts]
    return b"".join(boundary + b"\r\n" + part + b"\r\n" for part in raw) + boundary + b"--\r\n"


FIELD = 'Content-Disposition: form-data; name="taken"\r\n\r\n2026-03-01'
FILE = (
    'Content-Disposition: form-data; name="photo"; filename="사진.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'.encode()
    + b"\xff\xd8\xff\r\n--no boundary\r\n\x00"
)


def test_fields_and_files_come_out_as_a_browser_put_them_in() -> None:
    sent = parse(TYPE, _body(FIELD, FILE))
    assert sent == Sent({"taken": "2026-03-01"}, {"photo": b"\xff\xd8\xff\r\n--no boundary\r\n\x00"})


def test_what_another_client_sends_is_read_the_same() -> None:
    request = httpx.Request(
        "POST", "http://x/", data={"why": "재발급"}, files={"photo": ("a.jpg", b"\xff\xd8", "image/jpeg")}
    )
    sent = parse(request.headers["content-type"], request.read())
    assert sent == Sent({"why": "재발급"}, {"photo": b"\xff\xd8"})


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        pytest.param("multipart/form-data", _body(FIELD), id="no-boundary"),
        pytest.param("multipart/mixed; boundary=----WebKitFormBoundaryx1", _body(FIELD), id="another-type"),
        pytest.param(f"{TYPE}; charset=x", _body(FIELD), id="more-parameters"),
        pytest.param(TYPE, b"", id="empty"),
        pytest.param(TYPE, b"before\r\n" + _body(FIELD), id="preamble"),
        pytest.param(TYPE, _body(FIELD) + b"after", id="epilogue"),
        pytest.param(TYPE, _body(FIELD)[:-6], id="cut"),
        pytest.param(TYPE, _body(FIELD, FIELD), id="twice"),
        pytest.param(TYPE, _body(FIELD, FILE.replace(b'"photo"', b'"taken"')), id="file-and-field"),
        pytest.param(TYPE, _body("no headers"), id="no-headers"),
        pytest.param(TYPE, _body("Content-Disposition: form-data\r\n\r\nx"), id="no-name"),
        pytest.param(TYPE, _body('Content-Disposition: attachment; name="a"\r\n\r\nx'), id="no-form-data"),
        pytest.param(TYPE, _body(f"X-Other: y\r\n{FIELD}"), id="strange-header"),
        pytest.param(TYPE, _body(f"Content-Type: a\r\nContent-Type: b\r\n{FIELD}"), id="header-twice"),
        pytest.param(TYPE, _body(FIELD.encode() + b"\x00"), id="nul"),
        pytest.param(TYPE, _body(FIELD.encode() + b"\xff"), id="not-utf-8"),
        pytest.param(TYPE, _body(*(FIELD.replace("taken", f"f{n}") for n in range(51))), id="too-many"),
        pytest.param(TYPE, _body("Content-Type: " + "x" * 2000 + "\r\n" + FIELD), id="long-header"),
    ],
)
def test_other_shapes_are_refused(kind: str, raw: bytes) -> None:
    with pytest.raises(Refused) as refused:
        parse(kind, raw)
    assert refused.value.code is Code.MALFORMED
