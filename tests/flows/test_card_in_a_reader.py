"""The card in a reader that is a PC/SC reader to every program of this machine: pcscd, vsmartcard's vpcd, and our own
code at both ends of it."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mapae.errors import Code, Refused
from mapae.issuer.ic_card.card import Card
from mapae.issuer.ic_card.memory import RamMemory
from mapae.issuer.ic_card.pcsc import Pcsc
from mapae.issuer.ic_card.reader import drive
from mapae.issuer.ic_card.vpcd import ATR, PORT, Vpcd
from taps import PIN, READ, Tap, image, whole_issuance

SOCKET = Path("/run/pcscd/pcscd.comm")  # pcscd has this one place and no setting for it


@pytest.fixture
def readers() -> Iterator[Pcsc]:
    """The PC/SC service: the one that runs, or one of ours for as long as this takes. One test at a time, for there
    is one such socket and one such port a machine."""
    with (Path(tempfile.gettempdir()) / "mapae-pcscd.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        started: subprocess.Popen[bytes] | None = None
        try:
            pcsc = Pcsc()
        except Refused as refused:
            assert (refused.code, refused.step) == (Code.UNAVAILABLE, "reader")
            program = shutil.which("pcscd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
            if program is None:
                pytest.skip("pcscd is not installed (apt-get install pcscd vsmartcard-vpcd)")
            if not os.access(SOCKET.parent if SOCKET.parent.exists() else SOCKET.parents[1], os.W_OK):
                pytest.skip("no PC/SC service runs and this user may not start one (pcscd needs /run/pcscd)")
            started = subprocess.Popen([program, "--foreground"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            pcsc = _answers(started)
        try:
            if not any("Virtual PCD" in name for name in pcsc.readers()):
                pytest.skip("pcscd has no virtual reader (apt-get install vsmartcard-vpcd)")
            yield pcsc
        finally:
            pcsc.close()
            if started is not None:
                started.terminate()
                started.wait()


def _answers(process: subprocess.Popen[bytes]) -> Pcsc:
    ends = time.monotonic() + 10
    while True:
        try:
            return Pcsc()
        except Refused:
            assert process.poll() is None and time.monotonic() < ends, "pcscd did not start"
            time.sleep(0.01)  # a process is starting; there is nothing to wait on but its socket


@pytest.fixture
def slot() -> int:
    """The second reader's port: another program may have the first."""
    return PORT + 1


def test_our_terminal_reads_our_card_through_a_real_reader(readers: Pcsc, slot: int) -> None:
    tap = Tap(RamMemory(image(detailed=True)))
    inserted = Vpcd(Card(tap.memory, tap.dice), slot)
    serving = threading.Thread(target=inserted.serve)
    serving.start()
    try:
        name = readers.wait_for_card(5, [each for each in readers.readers() if "Virtual PCD" in each])
        assert name is not None
        with closing(readers.connect(name)) as reader:
            _nobody_else_may(name)
            got = drive(whole_issuance(PIN, tap.dice), reader)
            assert {file: got[file] for file in READ} == {file: tap.memory.image.files[file] for file in READ}
            reader.reset()
            assert reader.transmit(bytes.fromhex("00B0810000")) == b"\x6a\x82", "the session is gone"
        _opensc_sees_it(name)
        with closing(readers.connect(name)) as reader:
            inserted.take_out()
            serving.join()
            with pytest.raises(Refused) as refused:
                drive(whole_issuance(PIN, tap.dice), reader)
            assert (refused.value.code, refused.value.step) == (Code.UNAVAILABLE, "reader")
    finally:
        inserted.take_out()
        serving.join()
    assert tap.memory.state == tap.memory.image.first


def _nobody_else_may(name: str) -> None:
    with closing(Pcsc()) as other, pytest.raises(Refused) as refused:
        other.connect(name)
    assert refused.value.code is Code.CONFLICT


def _opensc_sees_it(name: str) -> None:
    """An independent program, where it is installed."""
    program = shutil.which("opensc-tool")
    if program is not None:
        seen = subprocess.run(
            [program, "--reader", name, "--atr", "--send-apdu", "00:B0:9C:00:00"],
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
        assert ATR.hex(":") in seen.stdout and "SW1=0x90, SW2=0x00" in seen.stdout, seen.stdout + seen.stderr


def test_a_vpcd_that_is_not_there_is_an_error_of_this_machine() -> None:
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(OSError):
        Vpcd(Card(RamMemory(image()), Tap().dice), port)
