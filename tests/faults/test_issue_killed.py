"""The issuing process is killed (SIGKILL) again and again in the middle of its work, on a real file and socket."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from issuing import BASE, START, Hall, Phone, known_key, live_batches, must_be_whole
from mapae.clock import MovableClock, SeededDice
from mapae.db import connect, migrate
from mapae.keys import Signer
from soak import SOAK

TIMES = 50 if SOAK else 8
HERE = Path(__file__).parent


class Process:
    """The issuer in a process of its own. The socket stays open while processes come and go."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "s")
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listening.bind(self.path)
        listening.listen(64)
        number = listening.fileno()
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), *filter(None, sys.path)])}
        self._nursery = subprocess.Popen(
            [sys.executable, str(HERE / "issuer_process.py"), str(folder), str(number)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[number], env=environment, text=True,
        )  # fmt: skip
        self._listening = listening
        self.pid = 0

    def start(self) -> None:
        assert self._nursery.stdin is not None and self._nursery.stdout is not None
        self._nursery.stdin.write("go\n")
        self._nursery.stdin.flush()
        self.pid = int(self._nursery.stdout.readline())

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def stop(self) -> None:
        if self.pid:
            self.kill()
        self._nursery.kill()
        self._nursery.communicate()
        self._listening.close()


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    made = Process(tmp_path)
    yield made
    made.stop()


class Wallet:
    """Fetches a batch, accepts it and renews, over and over; every step is repeated until its answer arrives."""

    def __init__(self, hall: Hall, phone: Phone, code: str) -> None:
        self.hall, self.phone, self.code = hall, phone, code
        self.stage, self.notification, self.batches = "redeem", "", 0

    async def step(self) -> None:
        match self.stage:
            case "redeem":
                answer = await self.phone.redeem(self.code)
                assert answer.status_code == 200, answer.text
                self.stage = "fetch"
            case "fetch":
                answer = await self.phone.fetch(keys=[Signer.ephemeral() for _ in range(3)])
                assert answer.status_code == 200, answer.text
                self.notification, self.stage = answer.json()["notification_id"], "accept"
            case "accept":
                assert (await self.phone.tell(self.notification)).status_code == 204
                self.stage, self.batches = "renew", self.batches + 1
            case "renew":
                answer = await self.phone.renew()
                assert answer.status_code == 200, answer.text
                self.stage = "fetch"

    async def go_on(self) -> None:
        while True:
            await self.step()


async def test_killed_again_and_again_nothing_is_double_and_nothing_is_lost(tmp_path: Path, process: Process) -> None:
    """Killed at any moment and started again, the issuer has a whole store and the wallet finishes its step."""
    db = await connect(f"sqlite:///{tmp_path}/issuer.db")
    await migrate(db, "issuer")
    hall = Hall(db, MovableClock(START), key=known_key)
    phone = Phone(hall, "jisoo")
    wallet = Wallet(hall, phone, await phone.scan(await hall.offer()))
    dice = SeededDice(50)
    finished = 0
    for _ in range(TIMES):
        process.start()
        transport = httpx.AsyncHTTPTransport(uds=process.path)
        async with httpx.AsyncClient(transport=transport, base_url=BASE, timeout=20) as hall.http:
            await wallet.step()  # whatever was cut off last time is finished now
            finished += 1
            going = asyncio.ensure_future(wallet.go_on())
            await asyncio.wait([going], timeout=dice.below(60) / 1000)
            process.kill()
            with pytest.raises(httpx.TransportError):
                await going
    process.start()
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(uds=process.path), base_url=BASE) as hall.http:
        for _ in range(4):
            await wallet.step()
            if wallet.stage == "renew":
                break
    process.kill()
    process.pid = 0
    assert finished == TIMES and wallet.batches > 0
    log = (tmp_path / "signed").read_bytes()
    hall.pen.signed = [log[at : at + 32] for at in range(0, len(log), 32)]
    await must_be_whole(hall, db)
    assert await live_batches(db) == 1
    await db.close()
