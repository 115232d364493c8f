"""The terminal's half of every conversation with a chip, without a reader: each is a generator that yields a command
and is sent the answer. The helper beside the reader, the issuer at the far end and the tests hold the same ones.

Promises: what comes back was said inside the channel, whole and in order; the holder's PIN is in no command. Trusts:
nothing a card says before the channel stands; after PACE that the card knows the PIN, after chip authentication that
it is the card of DG14, and no more. Keeps: nothing. Refuses: a wrong or used-up PIN, CAN or PUK in codes of their own,
each naming the secret as its step; and with CHIP_REFUSED a card that leaves the protocol, sends files longer than any
of ours, or answers without getting anywhere. How long an answer may take is for whoever holds the reader.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from mapae.clock import Dice
from mapae.errors import Code, Refused, step
from mapae.issuer.ic_card import chip_auth, infos, tlv
from mapae.issuer.ic_card import pace as pacing
from mapae.issuer.ic_card.apdu import OK, Command, Response
from mapae.issuer.ic_card.pace import Password
from mapae.issuer.ic_card.profile import PROFILE_A
from mapae.issuer.ic_card.secure import TerminalChannel

Value = TypeVar("Value")
Talk = Generator[bytes, bytes, Value]

END_OF_FILE: Final = 0x6282
BLOCKED, NOT_NOW, NOT_ALLOWED = 0x6983, 0x6985, 0x6982
_CHAINED: Final = 0x10
# Our chip needs 111 for the largest portrait. A card that gives a few bytes at a time is not waited for.
MOST_READS: Final = 300
_STEPS: Final = {Password.MRZ: "mrz", Password.CAN: "can", Password.PIN: "pin", Password.PUK: "puk"}


@dataclass(frozen=True, slots=True)
class PaceResult:
    channel: TerminalChannel
    tries_left: int | None
    """Before this one, as the card said; None: nobody has missed since the last hit."""


# --- before the channel -----------------------------------------------------------------------------------------------


def read_card_access() -> Talk[bytes]:
    """EF.CardAccess: which PACE the card offers. Nobody has vouched for it yet: `infos.must_match` holds it against
    DG14, once that was read."""
    with step("card_access"):
        return (yield from _read(None, PROFILE_A.card_access_fid))


def pace(
    password: Password, secret: str, access: bytes, dice: Dice, channel: TerminalChannel | None = None
) -> Talk[PaceResult]:
    """Open a channel that only a card which knows the secret can be at the other end of. `access`: EF.CardAccess.
    `channel`: the one of the CAN, to resume the PIN in."""
    with step("card_access"):
        curve = infos.read_card_access(access)
    with step(_STEPS[password]):
        # Doc 9303-11 4.4.4.1: MSE:Set AT
        chosen = tlv.encode(0x80, PROFILE_A.pace_oid) + tlv.encode(0x83, bytes((password,)))
        answer = yield from _ask(Command(0x00, 0x22, 0xC1, 0xA4, chosen), channel)
        left = answer.sw & 0x0F if answer.sw & 0xFFF0 == 0x63C0 else None
        if left is None and answer.sw != OK:
            raise _unexpected(answer)
        if left == 0:
            raise _used_up(0, password, "no try is left")
        talk = pacing.terminal(curve, pacing.password_key(password, secret), dice)
        said = next(talk)
        for at, (ours, theirs) in enumerate(pacing.OBJECTS):
            last = at == len(pacing.OBJECTS) - 1
            body = tlv.encode(0x7C, tlv.encode(ours, said) if ours else b"")
            command = Command(0x00 if last else _CHAINED, 0x86, 0x00, 0x00, body, 256)
            answer = yield from _ask(command, channel)
            _must_go_on(answer, password, last)
            heard = tlv.only(tlv.only(answer.data, 0x7C), theirs)
            try:
                said = talk.send(heard)
            except StopIteration as end:
                return PaceResult(end.value, left)
        raise AssertionError("PACE has no fifth step")


def resume(can: str, access: bytes, dice: Dice) -> Talk[TerminalChannel]:
    """The channel of the CAN: hand it to `pace` with the PIN, for the last try."""
    return (yield from pace(Password.CAN, can, access, dice)).channel


def unblock(puk: str, access: bytes, dice: Dice) -> Talk[None]:
    """All tries again for the PIN, which stays the same. Takes one of the PUK's uses."""
    channel = (yield from pace(Password.PUK, puk, access, dice)).channel
    with step("unblock"):
        yield from _ask_ok(Command(0x00, 0x2C, 0x03, Password.PIN), channel)


# --- in the holder's channel ------------------------------------------------------------------------------------------


def change_pin(channel: TerminalChannel, new: str) -> Talk[None]:
    """In a channel opened with the PIN so far, or with the one of the letter. Reading needs a channel opened anew."""
    with step("new_pin"):
        answer = yield from _ask(Command(0x00, 0x2C, 0x02, Password.PIN, new.encode("latin-1", "replace")), channel)
        if answer.sw == 0x6A80:
            raise Refused(Code.MALFORMED, "the card does not take this as a PIN")
        _must_be_ok(answer)


def select_application(channel: TerminalChannel) -> Talk[None]:
    """To be done once after PACE, before any file but EF.CardAccess is read."""
    with step("read"):
        yield from _ask_ok(Command(0x00, 0xA4, 0x04, 0x0C, PROFILE_A.aid), channel)


def read_file(channel: TerminalChannel, file: int) -> Talk[bytes]:
    with step("read"):
        return (yield from _read(channel, file))


def chip_auth_commands(
    channel: TerminalChannel, ephemeral_public: bytes, key_ref: int = PROFILE_A.key_ref
) -> Talk[None]:
    """Give the chip the key of whoever is to be at the far end from now on. After it `channel` is of no more use; that
    the chip has the key of DG14 shows in the first answer of the new channel, not here."""
    with step("chip_auth"):
        chosen = tlv.encode(0x80, PROFILE_A.chip_auth_oid) + tlv.encode(0x84, bytes((key_ref,)))
        yield from _ask_ok(Command(0x00, 0x22, 0x41, 0xA4, chosen), channel)
        point = tlv.encode(0x7C, tlv.encode(chip_auth.EPHEMERAL, ephemeral_public))
        yield from _ask_ok(Command(0x00, 0x86, 0x00, 0x00, point, 256), channel)


def read_under(channel: TerminalChannel, files: Iterable[int]) -> Talk[dict[int, bytes]]:
    """The application's files, over a channel of our own. The first answer proves who is there."""
    yield from select_application(channel)
    found: dict[int, bytes] = {}
    for file in files:
        found[file] = yield from read_file(channel, file)
    return found


# --- commands and answers ---------------------------------------------------------------------------------------------


def _ask(command: Command, channel: TerminalChannel | None) -> Talk[Response]:
    """One command, one answer. ISO/IEC 7816-4 5.1.3's "more bytes" (61xx) and "another length" (6Cxx) are for T=0,
    which no reader of ours speaks; they are errors here, so no card can lead us on with them."""
    if channel is None:
        return Response.parse((yield command.encode()))
    return channel.unwrap(Response.parse((yield channel.wrap(command).encode())))


def _ask_ok(command: Command, channel: TerminalChannel | None) -> Talk[None]:
    _must_be_ok((yield from _ask(command, channel)))


def _must_be_ok(answer: Response) -> None:
    if answer.sw != OK:
        raise _unexpected(answer)


def _unexpected(answer: Response) -> Refused:
    return Refused(Code.CHIP_REFUSED, f"the card answers {answer.sw:04X}")


def _must_go_on(answer: Response, password: Password, last: bool) -> None:
    """What GENERAL AUTHENTICATE of PACE answers when it is not the next step."""
    if answer.sw == OK:
        return
    if answer.sw == BLOCKED:
        raise _used_up(0, password, "no try is left")
    if answer.sw == NOT_NOW and password is Password.PIN and not last:
        raise _used_up(1, password, "one try is left, and it needs the number printed on the card")
    if last and answer.sw & 0xFFF0 == 0x63C0:
        left = answer.sw & 0x0F
        raise _used_up(left, password, f"this was wrong; tries left: {left}")
    if last and answer.sw == 0x6300:
        raise Refused(Code.CHIP_PIN_WRONG, "this was wrong")
    raise _unexpected(answer)


def _used_up(left: int, password: Password, why: str) -> Refused:
    if left == 0:
        return Refused(Code.CHIP_BLOCKED, why)
    if left == 1 and password is Password.PIN:
        return Refused(Code.CHIP_SUSPENDED, why)
    return Refused(Code.CHIP_PIN_WRONG, why)


def _read(channel: TerminalChannel | None, file: int) -> Talk[bytes]:
    """One file, which is one object: its own length says where it ends. The first piece by its short identifier."""
    content = b""
    total = 1
    for _ in range(MOST_READS):
        begin = len(content)
        p1, p2 = (0x80 | file & 0x1F, 0) if not begin else (begin >> 8, begin & 0xFF)
        ne = min(PROFILE_A.chunk, total - begin) if begin else PROFILE_A.chunk
        answer = yield from _ask(Command(0x00, 0xB0, p1, p2, b"", ne), channel)
        if answer.sw == NOT_NOW:
            raise Refused(Code.CHIP_NOT_ACTIVE, "the PIN of the letter must be replaced by one's own first")
        if answer.sw not in (OK, END_OF_FILE):
            raise _unexpected(answer)
        if not answer.data or len(answer.data) > ne:
            raise Refused(Code.CHIP_REFUSED, "the card sends nothing, or more than was asked")
        content += answer.data
        if not begin:
            total = tlv.total(content)
            if total > PROFILE_A.limit(file):
                raise Refused(Code.TOO_LARGE, "a file of the card says it is longer than any may be")
        if len(content) >= total:
            return content[:total]
        if answer.sw == END_OF_FILE:
            raise Refused(Code.CHIP_REFUSED, "a file of the card ends before it should")
    raise Refused(Code.CHIP_REFUSED, "the card sends a file in too many pieces")
