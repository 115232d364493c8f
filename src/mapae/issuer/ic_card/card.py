"""The chip, as a program: the physical resident card in software, answering commands as profile A has it.

Promises: any bytes get an answer of at least a status word. The PIN opens the files and chip authentication, the CAN
opens the way to the last PIN try and nothing else, the PUK unblocks and nothing else, the PIN of the letter is replaced
and nothing else. A try is in lasting memory before its token is looked at. Every error of secure messaging, and every
command outside it once it stands, ends the session. Trusts: its memory and its dice. Keeps: sessions until `reset`;
what outlives that is the memory's. Refuses: with the status words of ISO/IEC 7816-4 5.6.

It is not a secure element: its key is a number in a file. It is the card of tests and of the demo.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, assert_never

from mapae.clock import Dice
from mapae.errors import Refused
from mapae.issuer.ic_card import chip_auth, pace, tlv
from mapae.issuer.ic_card.apdu import LONG_NE, OK, SHORT_NE, Command, Response
from mapae.issuer.ic_card.ec import Pair
from mapae.issuer.ic_card.memory import Memory, PowerCut
from mapae.issuer.ic_card.pace import Password
from mapae.issuer.ic_card.pin import PinState, Standing
from mapae.issuer.ic_card.profile import PROFILE_A, CardProfile
from mapae.issuer.ic_card.secure import ChipChannel

# ISO/IEC 7816-4 table 6, as far as this chip says them
END_OF_FILE: Final = 0x6282
WRONG: Final = 0x6300
TRIES_LEFT: Final = 0x63C0
MEMORY_FAILED: Final = 0x6581
WRONG_LENGTH: Final = 0x6700
NO_SUCH_PROTECTION: Final = 0x6882
LAST_OF_CHAIN: Final = 0x6883
NO_CHAIN: Final = 0x6884
NOT_ALLOWED: Final = 0x6982
BLOCKED: Final = 0x6983
NOT_NOW: Final = 0x6985
NO_FILE_CHOSEN: Final = 0x6986
BAD_PROTECTION: Final = 0x6988
WRONG_DATA: Final = 0x6A80
NOT_FOUND: Final = 0x6A82
WRONG_P1_P2: Final = 0x6A86
NOT_REFERENCED: Final = 0x6A88
OUTSIDE_FILE: Final = 0x6B00
NO_SUCH_COMMAND: Final = 0x6D00
NO_SUCH_CLASS: Final = 0x6E00

_CHAINED: Final = 0x10  # CLA bit 5: more of the same command follows
_PROTECTED: Final = 0x0C


class _Says(Exception):
    """A command ends in this status word."""

    def __init__(self, sw: int) -> None:
        super().__init__(f"{sw:04X}")
        self.sw = sw


@dataclass(slots=True)
class _Pacing:
    """PACE between MSE:Set AT and its last command; `talk` is there once the nonce was asked for."""

    password: Password
    talk: pace.Chip | None = None
    step: int = 0


class _Authenticating:
    """Chip authentication was chosen and waits for the terminal's key."""


@dataclass(slots=True)
class _Session:
    """What is forgotten without power."""

    channel: ChipChannel | None = None
    opened_by: Password | None = None
    delivery: bool = False
    """It was the PIN of the letter that opened the channel."""
    authenticated: bool = False
    """The channel is the one after chip authentication: its other end is not the holder's helper."""
    resumed: bool = False
    application: bytes | None = None
    file: int | None = None
    pending: _Pacing | _Authenticating | None = None


class Card:
    """One chip with power. Not for two readers at a time; `Memory` sees to that."""

    def __init__(self, memory: Memory, dice: Dice, profile: CardProfile = PROFILE_A) -> None:
        self._memory, self._dice, self._profile = memory, dice, profile
        secret = int.from_bytes(memory.image.chip_key, "big")
        self._pair = Pair(secret, profile.curve.g.times(secret))
        self._now = _Session()

    def reset(self) -> None:
        """Power off and on."""
        self._now = _Session()

    def transmit(self, raw: bytes) -> bytes:
        try:
            return self._respond(raw).encode()
        except PowerCut:
            self.reset()
            raise

    def _respond(self, raw: bytes) -> Response:
        try:
            command = Command.parse(raw)
        except Refused:
            self.reset()
            return Response(sw=WRONG_LENGTH)
        if command.cla & 0xE0:
            self.reset()
            return Response(sw=NO_SUCH_CLASS)
        channel = self._now.channel
        if not command.cla & _PROTECTED:
            if channel is not None:  # Doc 9303-11 9.8.3: a plain command ends the session
                self.reset()
            return self._answer(command)
        if channel is None or command.cla & _PROTECTED != _PROTECTED:
            self.reset()
            return Response(sw=BAD_PROTECTION if command.cla & _PROTECTED == _PROTECTED else NO_SUCH_PROTECTION)
        try:
            opened = channel.open(command)
        except Refused:  # Doc 9303-11 9.8.7: the status word goes out plain, the keys are gone
            self.reset()
            return Response(sw=BAD_PROTECTION)
        # By the channel the command came in, also when another one stands after it (Doc 9303-11 6.2.4).
        return channel.seal(self._answer(opened))

    def _answer(self, command: Command) -> Response:
        try:
            return self._execute(command)
        except _Says as says:
            sw = says.sw
        except Refused:  # of a codec: objects or points that are none
            sw = WRONG_DATA
        except OSError:  # the memory could not write; nothing was judged on the strength of it
            sw = MEMORY_FAILED
        self._now.pending = None
        return Response(sw=sw)

    def _execute(self, command: Command) -> Response:
        if command.cla & ~_CHAINED:
            raise _Says(NO_SUCH_CLASS)
        if command.cla & _CHAINED and command.ins != 0x86:
            raise _Says(NO_CHAIN)
        if command.ins != 0x86:
            self._now.pending = None  # what was begun is not picked up again later
        match command.ins:
            case 0xA4:
                return self._select(command)
            case 0xB0:
                return self._read_binary(command)
            case 0x22:
                return self._manage_security_environment(command)
            case 0x86:
                return self._general_authenticate(command)
            case 0x2C:
                return self._reset_retry_counter(command)
            case _:
                raise _Says(NO_SUCH_COMMAND)

    # --- files --------------------------------------------------------------------------------------------------------

    def _select(self, command: Command) -> Response:
        session = self._now
        if command.p2 not in (0x00, 0x0C):
            raise _Says(WRONG_P1_P2)
        match command.p1:
            case 0x04:
                if command.data != self._profile.aid:
                    raise _Says(NOT_FOUND)
                session.application, session.file = command.data, None
            case 0x00 if command.data in (b"", b"\x3f\x00"):
                session.application = session.file = None
            case 0x00 | 0x02 if len(command.data) == 2:
                session.file = self._readable(int.from_bytes(command.data, "big"))
            case _:
                raise _Says(WRONG_P1_P2)
        return Response()

    def _read_binary(self, command: Command) -> Response:
        if command.p1 & 0x80:  # bits 5 to 1 name the file, p2 is where to begin
            if command.p1 & 0x60:
                raise _Says(WRONG_P1_P2)
            begin = command.p2
            self._now.file = self._readable(0x0100 | command.p1 & 0x1F)
        else:
            begin = command.p1 << 8 | command.p2
        if self._now.file is None:
            raise _Says(NO_FILE_CHOSEN)
        content = self._memory.image.files[self._readable(self._now.file)]
        if command.ne is None or command.data:
            raise _Says(WRONG_LENGTH)
        if begin > len(content):
            raise _Says(OUTSIDE_FILE)
        # Protected, the answer still fits a short APDU: not every terminal knows long ones.
        most = min(command.ne, SHORT_NE if self._now.channel is None else self._profile.chunk)
        whole = begin + command.ne <= len(content) or command.ne in (SHORT_NE, LONG_NE)
        return Response(content[begin : begin + most], OK if whole else END_OF_FILE)

    def _readable(self, file: int) -> int:
        """EF.CardAccess is everybody's, and is no file of the application; the rest is behind the PIN."""
        session, access = self._now, self._profile.card_access_fid
        if file == access and session.application is None:
            return file
        if file == access or session.application is None or file not in self._memory.image.files:
            raise _Says(NOT_FOUND)
        self._must_be_holders()
        return file

    def _must_be_holders(self) -> None:
        """The channel was opened by the holder's own PIN."""
        if self._now.opened_by is not Password.PIN:
            raise _Says(NOT_ALLOWED)
        if self._now.delivery:
            raise _Says(NOT_NOW)

    # --- PACE and chip authentication ---------------------------------------------------------------------------------

    def _manage_security_environment(self, command: Command) -> Response:
        objects = tlv.by_tag(command.data)
        match command.p1, command.p2:
            case 0xC1, 0xA4:
                return self._choose_pace(objects)
            case 0x41, 0xA4:
                self._must_be_holders()
                if self._now.authenticated:
                    raise _Says(NOT_NOW)
                if objects not in (
                    {0x80: self._profile.chip_auth_oid},
                    {0x80: self._profile.chip_auth_oid, 0x84: bytes((self._profile.key_ref,))},
                ):
                    raise _Says(WRONG_DATA)
                self._now.pending = _Authenticating()
                return Response()
            case _:
                raise _Says(WRONG_P1_P2)

    def _choose_pace(self, objects: dict[int, bytes]) -> Response:
        # 7F4C is what a terminal would like to be allowed under profile B. Here nobody is allowed more, so it changes
        # nothing, and terminals that always send it are not turned away.
        objects.pop(0x7F4C, None)
        curve = bytes((self._profile.curve.parameter,))
        reference = objects.pop(0x84, curve)
        named = objects.get(0x83, b"")
        if set(objects) != {0x80, 0x83} or objects[0x80] != self._profile.pace_oid or len(named) != 1:
            raise _Says(WRONG_DATA)
        if reference != curve or named[0] not in (Password.CAN, Password.PIN, Password.PUK):
            raise _Says(NOT_REFERENCED)
        password = Password(named[0])
        # Inside a channel the one thing to open is the PIN's, from the CAN's: that is what resuming is.
        if self._now.channel is not None and (self._now.opened_by, password) != (Password.CAN, Password.PIN):
            raise _Says(NOT_ALLOWED)
        self._now.pending = _Pacing(password)
        left = self._memory.state.left(password)
        return Response(sw=OK if left is None else TRIES_LEFT | left)

    def _general_authenticate(self, command: Command) -> Response:
        if (command.p1, command.p2) != (0, 0):
            raise _Says(WRONG_P1_P2)
        body = tlv.only(command.data, 0x7C)
        match self._now.pending:
            case None:
                raise _Says(NOT_NOW)
            case _Authenticating():
                if command.cla & _CHAINED:
                    raise _Says(NO_CHAIN)
                return self._authenticate(tlv.only(body, chip_auth.EPHEMERAL))
            case _Pacing() as pacing:
                if bool(command.cla & _CHAINED) != (pacing.step < 3):  # Doc 9303-11 4.4.4: all but the last
                    raise _Says(LAST_OF_CHAIN)
                return self._pace(pacing, body)
            case _ as never:
                assert_never(never)

    def _authenticate(self, theirs: bytes) -> Response:
        session = self._now
        session.channel, session.authenticated = chip_auth.chip(self._pair, theirs), True
        session.pending = None
        return Response(tlv.encode(0x7C, b""))

    def _pace(self, pacing: _Pacing, body: bytes) -> Response:
        theirs, ours = pace.OBJECTS[pacing.step]
        heard = tlv.only(body, theirs) if theirs else body
        if not theirs and body:
            raise _Says(WRONG_DATA)
        pacing.step += 1
        if pacing.talk is None:
            state = self._may_try(pacing.password)
            key = pace.password_key(pacing.password, self._secret(pacing.password, state))
            pacing.talk = pace.chip(self._profile.curve, key, self._dice)
            said = next(pacing.talk)
        elif pacing.step == len(pace.OBJECTS):
            said = self._judge(pacing.password, pacing.talk, heard)
        else:
            said = pacing.talk.send(heard)
        return Response(tlv.encode(0x7C, tlv.encode(ours, said)))

    def _judge(self, password: Password, talk: pace.Chip, token: bytes) -> bytes:
        """The only place where a secret is found right or wrong. The try is written down first: whoever takes the power
        away in the next line has used it up."""
        session = self._now
        session.pending = None
        counted = self._may_try(password).counted(password)
        self._keep("count", counted)
        try:
            talk.send(token)
        except StopIteration as end:
            said, channel = end.value
        except Refused:
            if password is Password.PIN:
                session.resumed = False
            left = counted.left(password)
            raise _Says(WRONG if left is None else TRIES_LEFT | left) from None
        else:
            raise AssertionError("PACE has no fifth step")
        self._keep("restore", counted.matched(password))
        session.channel, session.opened_by = channel, password
        session.delivery = password is Password.PIN and counted.delivery
        session.resumed = password is Password.CAN
        return bytes(said)

    def _may_try(self, password: Password) -> PinState:
        state = self._memory.state
        match state.standing(password, self._now.resumed):
            case Standing.READY:
                return state
            case Standing.SUSPENDED:
                raise _Says(NOT_NOW)
            case Standing.BLOCKED:
                raise _Says(BLOCKED)
            case _ as never:
                assert_never(never)

    def _secret(self, password: Password, state: PinState) -> str:
        return {Password.PIN: state.pin, Password.CAN: self._memory.image.can, Password.PUK: self._memory.image.puk}[
            password
        ]

    def _keep(self, step: str, state: PinState) -> None:
        if state != self._memory.state:
            self._memory.keep(step, state)

    # --- the PIN ------------------------------------------------------------------------------------------------------

    def _reset_retry_counter(self, command: Command) -> Response:
        """BSI TR-03110-3 B.6.1: P1 2 a new PIN, P1 3 only its tries again."""
        session, state = self._now, self._memory.state
        if command.p2 != Password.PIN or command.p1 not in (2, 3):
            raise _Says(WRONG_P1_P2)
        if command.p1 == 2:
            # After chip authentication the other end is the issuer: it has no business with the holder's PIN.
            if session.opened_by is not Password.PIN or session.authenticated:
                raise _Says(NOT_ALLOWED)
            try:
                changed = state.changed(command.data.decode("ascii", "replace"), self._memory.image.pin_digits)
            except ValueError:
                raise _Says(WRONG_DATA) from None
            self._keep("change", changed)
            return Response()
        if session.opened_by is not Password.PUK:
            raise _Says(NOT_ALLOWED)
        if command.data:
            raise _Says(WRONG_DATA)
        self._keep("unblock", state.unblocked())
        return Response()
