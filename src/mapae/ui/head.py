"""The server's HTTP parser, with a bound on what is not the body.

Promises: request line and headers together hold at most `HEAD` bytes, and so does what stands between and behind the
pieces of a chunked body (RFC 9112 7.1: extensions, trailers), or the connection ends with 431 (RFC 6585 5) while it
still arrives. Trusts: uvicorn and httptools, which know no such bound (the option is for another parser) and would
keep, and copy again with each packet, all that a stranger sends. Keeps: a count a connection. Refuses: the rest.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD = 64 * 1024  # attestations and proofs of a wallet take about 8 KiB
_WORDS = b"the request's headers are too large"
_ANSWER = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(_WORDS), _WORDS)
)


class BoundedHead(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **more: Any) -> None:
        self._seen = 0  # since the last byte of a body
        super().__init__(*args, **more)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._seen += len(data)
        super().data_received(data)
        if self._seen > HEAD and not self.transport.is_closing():
            self.transport.write(_ANSWER)
            self.transport.close()

    def on_headers_complete(self) -> None:
        self._seen = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._seen = 0
        super().on_body(body)
