"""TLV, APDU, points, PACE and secure messaging: both directions, and bent in every way the list of bad input names."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapae.clock import SeededDice
from mapae.errors import Code, Refused
from mapae.formats import p256
from mapae.issuer.ic_card import chip_auth, pace, tlv
from mapae.issuer.ic_card.apdu import Command, Response
from mapae.issuer.ic_card.ec import BRAINPOOLP256R1, CURVES, SECP256R1, Curve, Pair
from mapae.issuer.ic_card.pace import Password
from mapae.issuer.ic_card.secure import ChipChannel, Keys, TerminalChannel

H = bytes.fromhex
CURVE = pytest.mark.parametrize("curve", CURVES.values(), ids=lambda curve: curve.name)
TAGS = st.one_of(
    st.integers(1, 0xFE).filter(lambda tag: tag & 0x1F != 0x1F),
    st.tuples(st.sampled_from([0x1F, 0x3F, 0x5F, 0x7F, 0xFF]), st.integers(1, 0x7F)).map(lambda t: t[0] << 8 | t[1]),
)


# --- TLV ----------------------------------------------------------------------------------------------------------


@given(st.lists(st.tuples(TAGS, st.binary(max_size=300)), max_size=5))
def test_objects_are_read_as_they_were_written(items):
    assert tlv.read(tlv.join(items)) == items


@given(st.binary(max_size=40))
def test_what_is_read_has_one_encoding(data):
    try:
        items = tlv.read(data)
    except Refused:
        return
    assert tlv.join(items) == data


BAD_TLV = {
    "cut before the length": "80",
    "cut value": "800A",
    "cut behind an object": "80010A81",
    "indefinite length": "30800000",
    "length longer than needed": "8081050401020304",
    "length of two bytes longer than needed": "80820001AA",
    "length of three bytes": "8083000001AA",
    "length of 127 bytes": "80FF",
    "cut tag": "7F",
    "tag of two bytes without length": "7F4C",
    "tag of two bytes that is nought": "1F0000",
    "tag of three bytes": "7F818101AA",
    "end of contents": "0000",
    "too many": "8000" * 65,
}


@pytest.mark.parametrize("raw", BAD_TLV.values(), ids=BAD_TLV.keys())
def test_objects_in_a_second_form_are_refused(raw):
    with pytest.raises(Refused):
        tlv.read(H(raw))


def test_an_object_that_must_be_alone_or_once_is():
    assert tlv.only(H("7C028000"), 0x7C) == H("8000")
    for raw in ("7C008000", "7C007C00", "8000", ""):
        with pytest.raises(Refused):
            tlv.only(H(raw), 0x7C)
    assert tlv.by_tag(H("8001AA8100")) == {0x80: b"\xaa", 0x81: b""}
    with pytest.raises(Refused):
        tlv.by_tag(H("80008000"))
    with pytest.raises(Refused):
        tlv.exactly(H("81008000"), 0x80, 0x81)


def test_a_value_longer_than_any_file_is_not_written():
    with pytest.raises(Refused):
        tlv.encode(0x80, bytes(0x10000))


# --- APDU ---------------------------------------------------------------------------------------------------------

BYTE = st.integers(0, 255)
NE = st.one_of(st.none(), st.integers(1, 0x10000))


@given(BYTE, BYTE, BYTE, BYTE, st.binary(max_size=400), NE, st.booleans())
def test_a_command_is_read_as_it_was_written(cla, ins, p1, p2, data, ne, long):
    command = Command(cla, ins, p1, p2, data, ne, long)
    assert Command.parse(command.encode()) == command


@given(st.binary(max_size=24))
def test_a_command_has_one_encoding(raw):
    try:
        command = Command.parse(raw)
    except Refused:
        return
    assert command.encode() == raw


FORMS = {
    "00A40000": Command(0, 0xA4, 0, 0),
    "00B0000000": Command(0, 0xB0, 0, 0, b"", 256),
    "00B00000000000": Command(0, 0xB0, 0, 0, b"", 65536, True),
    "002C020304" + "31323334": Command(0, 0x2C, 2, 3, b"1234"),
    "0086000001AA05": Command(0, 0x86, 0, 0, b"\xaa", 5),
    "00860000000001AA": Command(0, 0x86, 0, 0, b"\xaa", None, True),
    "00860000000001AA0100": Command(0, 0x86, 0, 0, b"\xaa", 256, True),
}


@pytest.mark.parametrize("raw", FORMS)
def test_each_of_the_seven_forms_of_a_command(raw):
    """ISO/IEC 7816-3 12.1.3."""
    assert Command.parse(H(raw)) == FORMS[raw]
    assert FORMS[raw].encode() == H(raw)


@pytest.mark.parametrize(
    "raw", ["", "00", "00A404", "00B0000005AA", "00A4040C07A00000024710", "00B000000000", "00B0000000000001",
            "00A4040C000007A0", "00B00000000000AA", "00A4040C0000000000"],
)  # fmt: skip
def test_a_command_of_another_length_than_it_says_is_refused(raw):
    with pytest.raises(Refused):
        Command.parse(H(raw))


def test_an_answer_has_a_status_word():
    assert Response.parse(H("AA9000")) == Response(b"\xaa", 0x9000)
    assert Response.parse(H("6982")).encode() == H("6982")
    for raw in (b"", b"\x90", bytes(0x10003)):
        with pytest.raises(Refused):
            Response.parse(raw)


# --- points -------------------------------------------------------------------------------------------------------


@CURVE
def test_the_generator_and_the_order_are_those_of_the_curve(curve):
    """n times G is infinity, and (n - 1) G + G as well; anything else would not be this curve."""
    last = curve.g.times(curve.n - 1)
    assert curve.read(curve.g.encode()).encode() == curve.g.encode()
    assert last.shared() == curve.g.shared() and last.encode() != curve.g.encode()
    for infinity in (lambda: last.plus(curve.g), lambda: curve.g.times(curve.n), lambda: curve.g.times(0)):
        with pytest.raises(Refused, match="infinity"):
            infinity()


@CURVE
@given(st.integers(1, 2**256 - 1), st.integers(1, 2**256 - 1))
def test_multiples_add_up(curve, one, other):
    if not (one % curve.n and other % curve.n and (one + other) % curve.n):
        return
    assert curve.g.times(one).plus(curve.g.times(other)).encode() == curve.g.times(one + other).encode()


@CURVE
def test_a_point_added_to_itself_is_its_double(curve):
    point = curve.g.times(7)
    assert point.plus(curve.read(point.encode())).encode() == curve.g.times(14).encode()


@given(st.integers(1, p256.N - 1))
def test_the_point_in_c_is_the_point_openssl_computes(secret):
    from cryptography.hazmat.primitives.asymmetric import ec

    numbers = ec.derive_private_key(secret, ec.SECP256R1()).public_key().public_numbers()
    x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
    assert SECP256R1.g.times(secret).encode() == b"\x04" + x + y


def bad_points(curve: Curve) -> dict[str, bytes]:
    g = curve.g.encode()
    x, y = int.from_bytes(g[1:33], "big"), int.from_bytes(g[33:], "big")
    return {
        "off the curve": g[:-1] + bytes([g[-1] ^ 1]),
        "infinity": b"\x00",
        "infinity as noughts": b"\x04" + bytes(64),
        "compressed": b"\x02" + g[1:33],
        "hybrid": b"\x06" + g[1:],
        "cut": g[:-1],
        "too long": g + b"\x00",
        "empty": b"",
        "x at p": b"\x04" + curve.p.to_bytes(32, "big") + bytes(32),
        "y above p": b"\x04" + g[1:33] + (y + curve.p).to_bytes(33, "big")[-32:],
        "all ones": b"\x04" + b"\xff" * 64,
        "x and y swapped": b"\x04" + y.to_bytes(32, "big") + x.to_bytes(32, "big"),
    }


BAD_POINTS = [(curve, name) for curve in CURVES.values() for name in bad_points(curve)]


@pytest.mark.parametrize(("curve", "name"), BAD_POINTS, ids=lambda value: getattr(value, "name", value))
def test_a_point_that_is_none_is_refused_on_both_sides(curve, name):
    """BSI TR-03111 4.3.1.1; by PACE at both of its steps, and by Chip Authentication."""
    bad = bad_points(curve)[name]
    key = pace.password_key(Password.PIN, "1234")
    good = curve.g.times(5).encode()
    for before in ((), (good,)):
        terminal, chip = pace.terminal(curve, key, SeededDice(1)), pace.chip(curve, key, SeededDice(2))
        next(terminal), terminal.send(next(chip))
        for side in (terminal, chip):
            for one in before:
                side.send(one)
            with pytest.raises(Refused) as refused:
                side.send(bad)
            assert refused.value.code is Code.CHIP_REFUSED
    with pytest.raises(Refused):
        chip_auth.chip(curve.pair(SeededDice(3)), bad)


# --- PACE ---------------------------------------------------------------------------------------------------------


def talk(curve: Curve, ours: str, theirs: str, bend: Any = None) -> tuple[TerminalChannel, ChipChannel]:
    """A whole PACE. `bend(step, said)` may change what is said on the way; steps count both sides' messages."""
    kind, step = Password.PIN, 0
    terminal = pace.terminal(curve, pace.password_key(kind, ours), SeededDice("terminal"))
    chip = pace.chip(curve, pace.password_key(kind, theirs), SeededDice("chip"))
    next(terminal)
    said = next(chip)
    while True:
        said = terminal.send(bend(step, said) if bend else said)
        step += 1
        try:
            said = chip.send(bend(step, said) if bend else said)
        except StopIteration as done:
            token, end = done.value
            break
        step += 1
    with pytest.raises(StopIteration) as over:
        terminal.send(bend(step + 1, token) if bend else token)
    return over.value.value, end


@CURVE
def test_one_password_makes_one_channel(curve):
    terminal, chip = talk(curve, "1234", "1234")
    command = Command(0, 0xB0, 0, 0, b"", 256)
    assert chip.open(terminal.wrap(command)) == command


def test_another_password_is_found_out_by_the_chip_at_the_token():
    with pytest.raises(Refused) as refused:
        talk(SECP256R1, "1234", "1235")
    assert (refused.value.code, refused.value.step) == (Code.CHIP_PIN_WRONG, "pace")


@pytest.mark.parametrize("step", range(7))
def test_whatever_is_changed_on_the_way_no_channel_comes_out(step):
    def bend(at: int, said: bytes) -> bytes:
        return said[:-1] + bytes([said[-1] ^ 1]) if at == step else said

    with pytest.raises(Refused):
        talk(SECP256R1, "1234", "1234", bend)


@pytest.mark.parametrize("step", [1, 2, 3, 4], ids=["map to chip", "map back", "key to chip", "key back"])
def test_ones_own_key_sent_back_is_refused(step):
    """Doc 9303-11 4.4.1: both ends must see two keys."""
    heard: list[bytes] = []
    key = pace.password_key(Password.PIN, "1234")
    terminal, chip = pace.terminal(SECP256R1, key, SeededDice("x")), pace.chip(SECP256R1, key, SeededDice("y"))
    next(terminal)
    heard.append(terminal.send(next(chip)))
    if step == 2:
        with pytest.raises(Refused, match="our own key came back"):
            terminal.send(heard[0])
        return
    if step == 1:  # the chip does not speak first: dice that fall alike on both sides do it
        twin = pace.chip(SECP256R1, key, SeededDice("twin"))
        next(twin)
        dice = SeededDice("twin")
        dice.bytes(pace.NONCE)
        with pytest.raises(Refused, match="our own key came back"):
            twin.send(SECP256R1.pair(dice).public.encode())
        return
    mine = terminal.send(chip.send(heard[0]))
    if step == 4:
        with pytest.raises(Refused, match="our own key came back"):
            terminal.send(mine)
        return
    dice = SeededDice("y")
    nonce = dice.bytes(pace.NONCE)
    mapping = SECP256R1.pair(dice)
    generator = pace._mapped(SECP256R1, nonce, SECP256R1.read(heard[0]).times(mapping.secret))
    with pytest.raises(Refused, match="our own key came back"):
        chip.send(SECP256R1.pair(dice, generator).public.encode())


def test_a_nonce_of_nought_maps_to_the_shared_point_alone():
    """Doc 9303-11 4.4.3.3.1 with s = 0, which an encrypted nonce may be: no crash, and no generator at infinity."""
    shared = SECP256R1.g.times(9)
    assert pace._mapped(SECP256R1, bytes(16), shared).encode() == shared.encode()
    opposite = SECP256R1.g.times(SECP256R1.n - 5)
    with pytest.raises(Refused, match="infinity"):
        pace._mapped(SECP256R1, (5).to_bytes(16, "big"), opposite)


@pytest.mark.parametrize("size", [0, 15, 17, 32])
def test_a_nonce_that_is_not_one_block_is_refused(size):
    terminal = pace.terminal(SECP256R1, bytes(16), SeededDice(1))
    next(terminal)
    with pytest.raises(Refused) as refused:
        terminal.send(bytes(size))
    assert refused.value.step == "pace"


# --- chip authentication ------------------------------------------------------------------------------------------


def test_the_chip_with_the_key_answers_and_a_copy_cannot():
    """Doc 9303-11 6.2: the first protected answer is the proof."""
    pair, other = SECP256R1.pair(SeededDice("chip")), SECP256R1.pair(SeededDice("clone"))
    for secret in (pair, Pair(other.secret, pair.public)):
        terminal = chip_auth.Terminal(SECP256R1.read(pair.public.encode()), SeededDice("t"))
        channel, end = terminal.channel(), chip_auth.chip(secret, terminal.public)
        protected = channel.wrap(Command(0, 0xB0, 0, 0, b"", 1))
        if secret is pair:
            assert end.open(protected).ins == 0xB0
            assert channel.unwrap(end.seal(Response(b"x"))).data == b"x"
        else:
            with pytest.raises(Refused, match="authentication code"):
                end.open(protected)


def test_the_chips_own_key_as_the_terminals_is_refused():
    pair = SECP256R1.pair(SeededDice(1))
    with pytest.raises(Refused, match="our own key came back"):
        chip_auth.chip(pair, pair.public.encode())


# --- secure messaging ---------------------------------------------------------------------------------------------


def channels() -> tuple[TerminalChannel, ChipChannel]:
    keys = Keys.of(b"a shared secret")
    return TerminalChannel(keys), ChipChannel(keys)


COMMANDS = st.builds(
    Command, st.sampled_from([0, 0x10]), BYTE, BYTE, BYTE, st.binary(max_size=300), NE,
)  # fmt: skip


@given(st.lists(st.tuples(COMMANDS, st.binary(max_size=300), st.integers(0x6000, 0x9FFF)), min_size=1, max_size=4))
def test_a_conversation_comes_through_as_it_was_said(exchanges):
    terminal, chip = channels()
    for command, data, sw in exchanges:
        raw = terminal.wrap(command).encode()
        opened = chip.open(Command.parse(raw))
        assert opened == Command(command.cla, command.ins, command.p1, command.p2, command.data, command.ne)
        assert terminal.unwrap(Response.parse(chip.seal(Response(data, sw)).encode())) == Response(data, sw)


READ = Command(0, 0xB0, 0, 0, b"", 223)
PUT = Command(0, 0x2C, 2, 3, b"7788")


@pytest.mark.parametrize("command", [READ, PUT, Command(0, 0x2C, 3, 3), Command(0, 0xD7, 0, 0, b"x", 9)], ids=str)
def test_no_bit_of_a_protected_command_can_be_changed(command):
    terminal, _ = channels()
    raw = terminal.wrap(command).encode()
    for at in range(8 * len(raw)):
        bent = bytearray(raw)
        bent[at // 8] ^= 1 << at % 8
        try:
            read = Command.parse(bytes(bent))
        except Refused:
            continue
        if read.data == Command.parse(raw).data and read.header == command_header(raw):
            continue  # the last byte, how long the answer may be, is the reader's own business
        with pytest.raises(Refused):
            channels()[1].open(read)


def command_header(raw: bytes) -> bytes:
    return raw[:4]


def test_no_bit_of_a_protected_answer_can_be_changed():
    for response in (Response(b"hello"), Response(b"", 0x6A82), Response(bytes(223))):
        terminal, chip = channels()
        chip.open(terminal.wrap(READ))
        raw = chip.seal(response).encode()
        for at in range(8 * len(raw)):
            bent = bytearray(raw)
            bent[at // 8] ^= 1 << at % 8
            again, _ = channels()
            again.wrap(READ)
            with pytest.raises(Refused):
                again.unwrap(Response.parse(bytes(bent)))


def test_a_replayed_command_ends_the_channel_for_good():
    terminal, chip = channels()
    protected = terminal.wrap(READ)
    chip.open(protected)
    terminal.unwrap(chip.seal(Response(b"x")))
    with pytest.raises(Refused, match="authentication code"):
        chip.open(protected)
    with pytest.raises(Refused, match="closed"):
        chip.open(terminal.wrap(READ))


def test_a_replayed_answer_ends_the_channel_for_good():
    terminal, chip = channels()
    chip.open(terminal.wrap(READ))
    answer = chip.seal(Response(b"x"))
    terminal.unwrap(answer)
    chip.open(terminal.wrap(READ))
    with pytest.raises(Refused, match="authentication code"):
        terminal.unwrap(answer)
    with pytest.raises(Refused, match="closed"):
        terminal.wrap(READ)


@pytest.mark.parametrize("sw", [0x9000, 0x6988])
def test_an_answer_outside_the_channel_is_refused_even_when_it_says_all_is_well(sw):
    terminal, _ = channels()
    terminal.wrap(READ)
    with pytest.raises(Refused, match=f"{sw:04X} outside the channel"):
        terminal.unwrap(Response(b"", sw))


@pytest.mark.parametrize(
    "command", [READ, Command(0x0C, 0xB0, 0, 0, b"", 1), Command(0x04, 0xB0, 0, 0, H("8E080000000000000000")),
                Command(0x0C, 0xB0, 0, 0, H("970101"))],
    ids=["plain", "no objects", "header not protected", "no code"],
)  # fmt: skip
def test_a_command_outside_the_channel_is_refused(command):
    _, chip = channels()
    with pytest.raises(Refused):
        chip.open(command)


@pytest.mark.parametrize("cla", [0x80, 0x20, 0x60], ids=hex)
def test_a_command_of_another_class_is_refused_even_under_the_right_keys(cla):
    """Doc 9303-11 9.8.4: the class byte is 0C, or 1C in a chain; the MAC covers whichever it is."""
    terminal, chip = channels()
    with pytest.raises(Refused, match="not protected"):
        chip.open(terminal.wrap(Command(cla, 0xB0, 0, 0, b"", 1)))


def test_a_status_word_that_is_not_the_protected_one_is_refused():
    terminal, chip = channels()
    chip.open(terminal.wrap(READ))
    with pytest.raises(Refused, match="status word"):
        terminal.unwrap(Response(chip.seal(Response(b"", 0x6982)).data, 0x9000))


def test_the_keys_of_a_channel_do_not_show():
    assert "enc" not in repr(Keys.of(b"x")) and BRAINPOOLP256R1.parameter == 13
