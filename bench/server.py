"""The demo country as a process of its own, with rate limits off, for the load to run against.

`python -m bench.server --base URL --data FOLDER --port N --residents N --profile FILE`. It listens the way
`mapae demo up` does. SIGUSR1 starts the profiler; a second one writes the file.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import cProfile
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import ROOT
from mapae.app import open_house
from mapae.cli import _listen, _run
from mapae.demo import Demo, demo_settings, found
from mapae.serving import LOOPBACK, bind

PATIENCE = 120.0
LOAD = ("/issuer/credential", "/verifier/responses/", "/v1/anyone/", "/verifier/anyone/")


async def serve(base: str, data: str, port: int, residents: int, profile: str) -> None:
    house = await open_house(
        demo_settings(base_url=base, data=data), founding=found, more=lambda house: Demo(house).routes(), rates=False
    )
    await Demo(house).seed(residents=residents)
    if profile:
        switch = Switch(profile, house.site)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, switch.turn)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, lambda: switch.turn(some=True))
        house.foundation.site = switch  # type: ignore[assignment]
    with bind(LOOPBACK, port) as listening:
        await _listen(house, listening)


class Switch:
    """The profiler, for everything (SIGUSR1) or for the requests under LOAD alone (SIGUSR2): an ASGI layer."""

    def __init__(self, path: str, site: Any) -> None:
        self._path, self._site = path, site
        self._profiler: cProfile.Profile | None = None
        self._some = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        counted = self._some and scope["type"] == "http" and scope["path"].startswith(LOAD)
        if self._profiler is None or not counted:
            return await self._site(scope, receive, send)
        self._profiler.enable()
        try:
            await self._site(scope, receive, send)
        finally:
            self._profiler.disable()

    def turn(self, some: bool = False) -> None:
        if self._profiler is None:
            self._profiler = cProfile.Profile(time.thread_time)  # waiting for the disk or another program is no work
            self._some = some
            if not some:
                self._profiler.enable()
            return
        self._profiler.disable()
        unfinished = f"{self._path}.part"
        self._profiler.dump_stats(unfinished)
        Path(unfinished).rename(self._path)
        self._profiler = None


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Until the first 200. Raises when the process ends before, or never answers."""
    deadline = time.monotonic() + PATIENCE
    while not answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the server did not come up (exit code {process.poll()})")
        time.sleep(0.01)


@contextlib.contextmanager
def running(data: Path, residents: int, profile: Path | None = None) -> Iterator[tuple[str, int]]:
    """A server in its own process: its base URL and process id."""
    port = free_port()
    base = f"http://localhost:{port}"
    command = [
        sys.executable, "-m", "bench.server", "--base", base, "--data", str(data), "--port", str(port),
        "--residents", str(residents), "--profile", str(profile or ""),
    ]  # fmt: skip
    with started(command) as process:
        wait_for(f"{base}/demo.json", process)
        yield base, process.pid


@contextlib.contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """The command in its own process, ended the way Ctrl-C does."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def profiled(pid: int, path: Path) -> None:
    """Turn the server's profiler on or off; returns when it has been."""
    path.unlink(missing_ok=True)
    os.kill(pid, signal.SIGUSR1)


def profiled_requests(pid: int, path: Path) -> None:
    """The same for the requests under LOAD only. They must come one after the other."""
    path.unlink(missing_ok=True)
    os.kill(pid, signal.SIGUSR2)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("--base", "--data", "--profile"):
        parser.add_argument(name, required=True)
    for name in ("--port", "--residents"):
        parser.add_argument(name, required=True, type=int)
    given = parser.parse_args()
    _run(lambda: serve(given.base, given.data, given.port, given.residents, given.profile))
