"""A load generator that costs next to nothing: requests made beforehand, sent as they are over kept connections, their
answers read and put aside. Many at a time to each server, several servers at once.

One thread and no library: what it spends (`Sent.own`) is a few hundredths of what a server spends on the request.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx

LANES = 8  # connections to each server, one request at a time on each
CHUNK = 65_536


@dataclass
class Sent:
    """Seconds by the wall clock until all were answered, CPU seconds of this process, the bodies for each server."""

    wall: float
    own: float
    bodies: list[list[bytes]]


def wire(request: httpx.Request) -> bytes:
    """As it goes over the wire."""
    head = [f"{request.method} {request.url.raw_path.decode()} HTTP/1.1".encode()]
    head += [name + b": " + value for name, value in request.headers.raw]
    return b"\r\n".join([*head, b"", request.content])


def burst(loads: Sequence[tuple[int, Sequence[bytes]]], lanes: int = LANES) -> Sent:
    """`loads`: of each server its port and the requests. Raises AssertionError unless each is answered with 200 or
    201."""
    with selectors.DefaultSelector() as ready:
        all_of: list[list[bytes]] = [[b""] * len(requests) for _, requests in loads]
        waiting = [iter(enumerate(requests)) for _, requests in loads]
        open_ = [
            _Lane(socket.create_connection(("localhost", port)), server)
            for server, (port, requests) in enumerate(loads)
            for _ in range(min(lanes, len(requests)))
        ]
        for lane in open_:
            ready.register(lane.socket, selectors.EVENT_READ, lane)
        own, wall = time.process_time(), time.perf_counter()
        busy = sum([lane.next(waiting[lane.server]) for lane in open_])
        while busy:
            for key, _ in ready.select():
                lane = key.data
                if lane.read():
                    all_of[lane.server][lane.number] = lane.body()
                    busy -= not lane.next(waiting[lane.server])
        sent = Sent(time.perf_counter() - wall, time.process_time() - own, all_of)
        for lane in open_:
            lane.socket.close()
    return sent


@dataclass
class _Lane:
    socket: socket.socket
    server: int
    number: int = 0
    _read: bytearray = field(default_factory=bytearray)

    def next(self, waiting: object) -> bool:
        """Send the next request; False: there is none."""
        found = next(waiting, None)  # type: ignore[call-overload]
        if found is None:
            return False
        self.number, request = found
        self._read.clear()
        self.socket.sendall(request)
        return True

    def read(self) -> bool:
        """Whether the answer is whole."""
        part = self.socket.recv(CHUNK)
        if not part:
            raise AssertionError(f"the server hung up: {bytes(self._read[:300])!r}")
        self._read += part
        end = self._read.find(b"\r\n\r\n")
        if end < 0:
            return False
        if _chunked(self._read[:end]):
            return self._read.endswith(b"\r\n0\r\n\r\n")
        return len(self._read) >= end + 4 + _length(self._read[:end])

    def body(self) -> bytes:
        head, _, body = bytes(self._read).partition(b"\r\n\r\n")
        if head.split(b" ", 2)[1] not in (b"200", b"201"):
            raise AssertionError(f"a request of the load was refused: {head[:60]!r} {body[:300]!r}")
        if not _chunked(head):
            return body
        whole = b""
        while body:
            size, _, body = body.partition(b"\r\n")
            whole, body = whole + body[: int(size, 16)], body[int(size, 16) + 2 :]
        return whole


def _chunked(head: bytes | bytearray) -> bool:
    return b"transfer-encoding: chunked" in head.lower()


def _length(head: bytes | bytearray) -> int:
    lines = head.lower().split(b"\r\n")
    return next(int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:"))
