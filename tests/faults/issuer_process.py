"""An issuing process that can be shot. Run with a folder and the number of a listening socket; each line on stdin forks
a new process that serves on that socket, and its id is printed."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvicorn

from issuing import START, Hall, known_key
from mapae.clock import MovableClock, SystemDice
from mapae.db import connect
from mapae.issuer.web import routes
from mapae.ui.site import application


def remember(hall: Hall, folder: Path) -> None:
    """What was signed goes to a file at once: in the tests nothing else may know."""
    file = os.open(folder / "signed", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    class Log(list[bytes]):
        def append(self, digest: bytes) -> None:
            os.write(file, digest)

    hall.pen.signed = Log()


async def serve(folder: Path, listening: socket.socket) -> None:
    db = await connect(f"sqlite:///{folder}/issuer.db")
    hall = Hall(db, MovableClock(START), key=known_key)
    hall.dice = SystemDice()
    remember(hall, folder)

    async def call(role: str, path: str, message: Mapping[str, Any]) -> dict[str, Any]:
        return {"person": "jisoo", "device_id": "device-jisoo", "state": "active"}

    hall.provider.call = call  # type: ignore[method-assign]
    issuer = hall.opened(db)
    await issuer.recover()
    app = application(routes(issuer, hall.authorize), clock=hall.clock, rates=False)
    await uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off")).serve(sockets=[listening])


def main() -> None:
    folder, listening = Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(serve(folder, listening))
            os._exit(0)
        print(child, flush=True)


if __name__ == "__main__":
    main()
