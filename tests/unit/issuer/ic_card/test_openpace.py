"""Our PACE and secure messaging against OpenPACE's, each as the chip and as the terminal, on both curves and with every
password. What two programs that share no line agree on is what the specification says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from mapae.clock import SystemDice
from mapae.errors import Code, Refused
from mapae.issuer.ic_card import infos, pace
from mapae.issuer.ic_card.apdu import Command, Response
from mapae.issuer.ic_card.ec import CURVES, Curve
from mapae.issuer.ic_card.pace import Password
from mapae.issuer.ic_card.profile import PROFILE_A
from mapae.issuer.ic_card.secure import ChipChannel, TerminalChannel
from unit.issuer.ic_card.openpace import OpenPace, OpenPaceRefuses, padded

SECRETS = {Password.PIN: "1234", Password.CAN: "246810", Password.PUK: "1234567890"}
PAIRS = [(curve, kind) for curve in CURVES.values() for kind in SECRETS]
EVERY = pytest.mark.parametrize(("curve", "kind"), PAIRS, ids=lambda value: value.name)
DICE = SystemDice()


@contextmanager
def openpace(curve: Curve, kind: Password, secret: str) -> Iterator[OpenPace]:
    made = OpenPace(infos.card_access(replace(PROFILE_A, curve=curve)), kind, secret)
    try:
        yield made
    finally:
        made.close()


def our_terminal(curve: Curve, kind: Password, secret: str, chip: OpenPace) -> TerminalChannel:
    ours = pace.terminal(curve, pace.password_key(kind, secret), DICE)
    next(ours)
    mapping = ours.send(chip.nonce())
    theirs = chip.mapping()
    chip.take_mapping(mapping)
    key = ours.send(theirs)
    theirs = chip.key()
    chip.take_key(key)
    token = ours.send(theirs)
    theirs = chip.token()
    chip.take_token(token)
    with pytest.raises(StopIteration) as done:
        ours.send(theirs)
    channel: TerminalChannel = done.value.value
    return channel


def our_chip(curve: Curve, kind: Password, secret: str, terminal: OpenPace) -> ChipChannel:
    ours = pace.chip(curve, pace.password_key(kind, secret), DICE)
    terminal.take_nonce(next(ours))
    theirs = ours.send(terminal.mapping())
    terminal.take_mapping(theirs)
    theirs = ours.send(terminal.key())
    terminal.take_key(theirs)
    with pytest.raises(StopIteration) as done:
        ours.send(terminal.token())
    token, channel = done.value.value
    terminal.take_token(token)
    made: ChipChannel = channel
    return made


@EVERY
def test_our_terminal_opens_openpaces_chip_and_they_understand_each_other(curve, kind):
    """Doc 9303-11 4.4 and 9.8: an echo of every length around a block, a read, and a command with nothing in it."""
    with openpace(curve, kind, SECRETS[kind]) as chip:
        channel = our_terminal(curve, kind, SECRETS[kind], chip)
        for size in (1, 15, 16, 17, 200):
            said = bytes(range(size))
            assert (
                channel.unwrap(chip_answers(chip, channel.wrap(Command(0, 0xEC, 0, 0, said, 256)), said)).data == said
            )
        for command in (Command(0, 0xB0, 0x9C, 0, b"", 20), Command(0, 0x2C, 3, 3)):
            assert channel.unwrap(chip_answers(chip, channel.wrap(command), b"")) == Response(b"", 0x9000)


@EVERY
def test_openpaces_terminal_opens_our_chip_and_they_understand_each_other(curve, kind):
    with openpace(curve, kind, SECRETS[kind]) as terminal:
        channel = our_chip(curve, kind, SECRETS[kind], terminal)
        for size in (1, 15, 16, 17, 200):
            command = Command(0, 0xDA, 0, 0, bytes(range(size)), 256)
            assert channel.open(terminal_says(terminal, command)) == command
            terminal_hears(terminal, channel.seal(Response(command.data[::-1], 0x6282)), command.data[::-1])
        for command in (Command(0, 0xB0, 0x9C, 0, b"", 20), Command(0, 0x2C, 3, 3)):
            assert channel.open(terminal_says(terminal, command)) == command
            terminal_hears(terminal, channel.seal(Response()), b"")


@EVERY
def test_a_wrong_password_opens_neither(curve, kind):
    with openpace(curve, kind, SECRETS[kind]) as chip, pytest.raises(OpenPaceRefuses):
        our_terminal(curve, kind, "0000", chip)
    with openpace(curve, kind, "0000") as terminal, pytest.raises(Refused) as refused:
        our_chip(curve, kind, SECRETS[kind], terminal)
    assert refused.value.code is Code.CHIP_PIN_WRONG


def test_our_protected_command_changed_on_the_way_is_refused_by_openpace():
    """And with that its MAC is seen to look at something."""
    curve, kind = PAIRS[0]
    with openpace(curve, kind, "1234") as chip:
        protected = our_terminal(curve, kind, "1234", chip).wrap(Command(0, 0xB0, 0, 0, b"", 20))
        with pytest.raises(AssertionError):
            chip_answers(chip, replace(protected, p2=1), b"")


# --- secure messaging by hand over OpenPACE's cipher and MAC: Doc 9303-11 9.8.4 ---------------------------------------


def chip_answers(chip: OpenPace, protected: Command, data: bytes) -> Response:
    """OpenPACE's chip takes a command of ours and answers `data`."""
    chip.count()
    body, mac = protected.data[:-10], protected.data[-8:]
    assert protected.data[-10:-8] == b"\x8e\x08"
    assert chip.mac(padded(padded(protected.header) + body) if body else padded(protected.header)) == mac
    if body[:1] == b"\x87":
        begins = 3 if body[1] == 0x81 else 2
        size = body[begins - 1]
        assert chip.decrypt(body[begins + 1 : begins + size]) == data
    chip.count()
    said = (_cryptogram(chip, data) if data else b"") + b"\x99\x02\x90\x00"
    return Response(said + b"\x8e\x08" + chip.mac(padded(said)), 0x9000)


def terminal_says(terminal: OpenPace, command: Command) -> Command:
    terminal.count()
    header = bytes((command.cla | 0x0C, command.ins, command.p1, command.p2))
    body = _cryptogram(terminal, command.data) if command.data else b""
    body += bytes((0x97, 1, command.ne & 0xFF)) if command.ne else b""
    mac = terminal.mac(padded(padded(header) + body) if body else padded(header))
    return Command.parse(Command(*header, data=body + b"\x8e\x08" + mac, ne=256).encode())


def terminal_hears(terminal: OpenPace, response: Response, data: bytes) -> None:
    terminal.count()
    body, mac = response.data[:-10], response.data[-8:]
    assert terminal.mac(padded(body)) == mac
    assert body[-4:] == b"\x99\x02" + response.sw.to_bytes(2, "big")
    if data:
        begins = 3 if body[1] == 0x81 else 2
        assert terminal.decrypt(body[begins + 1 : -4]) == data


def _cryptogram(side: OpenPace, data: bytes) -> bytes:
    sealed = b"\x01" + side.encrypt(data)
    return b"\x87" + (b"\x81" if len(sealed) > 0x7F else b"") + bytes((len(sealed),)) + sealed
