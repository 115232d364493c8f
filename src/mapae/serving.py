"""Serving doors on a port until a signal, from whichever command.

Promises: a taken port is named before anything else is done; SIGINT and SIGTERM finish what is under way, a second
signal does not wait for it. Trusts: uvicorn for HTTP. Keeps: nothing. Refuses: an address it cannot listen on.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

from .errors import Code, Refused
from .terminal import talk

if TYPE_CHECKING:
    import ssl

    import uvicorn
    from starlette.applications import Starlette

LOOPBACK = "127.0.0.1"
MESSAGE = 65536  # bytes of a WebSocket message, whatever a line allows


def bind(host: str, port: int) -> socket.socket:
    """Take the port before anything else, so that a taken one costs nobody any time."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(2048)  # a second server on this port is told so now, and not when this one begins to serve
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            why = f"port {port} is taken, perhaps by a mapae that still runs: stop it, or choose another with --port"
        else:
            why = f"cannot listen on {host} port {port} ({error.strerror}): choose another --host or --port"
        raise Refused(Code.BAD_CONFIG, why) from None
    return listening


async def serve(
    site: Starlette,
    listening: socket.socket,
    *,
    begin: Callable[[], None],
    end: Callable[[], Awaitable[None]],
    tls: ssl.SSLContext | None = None,
    beside: tuple[Starlette, socket.socket] | None = None,
) -> None:
    """`begin` starts the background work, `end` closes what is open. `beside`: a second site on a socket of its own."""
    server = _server(site, tls)
    second = _server(beside[0], None) if beside is not None else None

    def stop() -> None:
        server.force_exit = server.should_exit
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    begin()
    # What is there now stays: the collector need not walk it again with every few hundred requests (5 % of a check).
    gc.collect()
    gc.freeze()
    serving_beside = (
        asyncio.create_task(second.serve(sockets=[beside[1]])) if second is not None and beside is not None else None
    )
    try:
        await server.serve(sockets=[listening])
    finally:
        if second is not None and serving_beside is not None:
            second.should_exit = True
            await serving_beside
        await end()
    talk.print("Stopped.")


def _server(site: Starlette, tls: ssl.SSLContext | None) -> uvicorn.Server:
    import uvicorn

    from .ui.head import BoundedHead

    class Server(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Ours are set in `serve`: uvicorn would raise the signal again and cut the closing short."""
            yield

    return Server(
        uvicorn.Config(
            site, log_level="warning", access_log=False, lifespan="off", server_header=False,
            timeout_graceful_shutdown=5, http=BoundedHead,
            # A message of a line (ui/line.py) is small and of ours: no room for a large one, nothing to inflate.
            ws="websockets-sansio", ws_max_size=MESSAGE, ws_per_message_deflate=False,
            timeout_keep_alive=75,  # longer than any peer or proxy keeps one, or they would send into a closed one
            ssl_context_factory=(lambda config, default: tls) if tls is not None else None,
        )
    )  # fmt: skip
