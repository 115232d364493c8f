"""A reader and a device over Bluetooth Low Energy on a virtual link, in both modes (ISO/IEC 18013-5 8.3.3.1.1)."""

from __future__ import annotations

import asyncio
import ssl
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from types import SimpleNamespace

import pytest
from bumble.controller import Controller as VirtualController
from bumble.device import Device as BumbleDevice
from bumble.hci import HCI_UNKNOWN_CONNECTION_IDENTIFIER_ERROR, Address, HCI_Error
from bumble.host import Host
from bumble.link import LocalLink
from bumble.transport.common import AsyncPipeSink

from hands import refuses
from mapae import cli_iso, radio
from mapae.clock import MovableClock, SeededDice
from mapae.errors import Code, Refused
from mapae.formats import ble, mdoc, proximity
from mapae.formats.ble import DEVICE_SERVES, READER_SERVES, Joiner, pieces
from mapae.formats.mdoc import MacKey
from mapae.formats.proximity import Ble, EphemeralKey
from mapae.holder.proximity import Device
from mapae.keys import Signer
from mapae.radio import Link
from mapae.radio.controller import Controller, _Serving
from mapae.verifier.checking.check import Answer, check_answer
from mapae.verifier.checking.steps import Policy
from mapae.verifier.till.reader import Access, Reading, Want
from unit.verifier.world import DOCTYPE, HOLDER, NAMESPACE, NOW, Card, trusted

SERVICE = uuid.UUID("0b5bbf6c-51a1-4b9c-8d0e-6f1f6e2a7c11")
SERVES = [Ble(peripheral=True, central=False, peripheral_uuid=SERVICE.bytes)]
SEEKS = [Ble(peripheral=False, central=True, central_uuid=SERVICE.bytes)]
WANT = Want(DOCTYPE, NAMESPACE, ("age_over_19",))
dice = SeededDice(18013)


@pytest.fixture
async def radios() -> AsyncIterator[Callable[[], object]]:
    """Controllers on one link: what one advertises the others hear."""
    link = LocalLink()
    made: list[BumbleDevice] = []

    async def another() -> Controller:
        address = f"C{len(made)}:F1:F2:F3:F4:F5"
        controller = VirtualController(f"C{len(made)}", link=link)
        device = BumbleDevice(address=Address(address), host=Host(controller, AsyncPipeSink(controller)))
        await device.power_on()
        made.append(device)
        return Controller(device)

    yield another  # type: ignore[misc]
    for device in made:
        await device.power_off()


async def linked(radios, methods):
    """(device, its link, reading, its link): the phone has shown its code, and both have found each other."""
    phone, till = await radios(), await radios()
    device = Device(dice.bytes(48), methods)
    reading = Reading(device.text, dice.bytes(48))
    if methods is SERVES:
        waits = asyncio.ensure_future(radio.serve(phone, str(SERVICE), DEVICE_SERVES))
        await asyncio.sleep(0)
        reader_link = await radio.meet(till, reading.engagement)
        return device, await waits, reading, reader_link
    waits = asyncio.ensure_future(radio.meet(till, reading.engagement))
    await asyncio.sleep(0.05)  # the till advertises
    ident = ble.ident(reading.engagement.key_raw)
    device_link = await radio.seek(phone, str(SERVICE), READER_SERVES, ident)
    return device, device_link, reading, await waits


async def shown(device, link, *, by_mac=False, keep=("age_over_19",)):
    heard = await device.hear(link)
    [asked] = heard.request.requests
    assert asked.doctype == DOCTYPE and dict(asked.elements) == {NAMESPACE: {"age_over_19": False}}
    card, proof = Card(), HOLDER
    if by_mac:
        bound = Agreeing()
        card, proof = Card(holder=bound), MacKey.between(bound.key, heard.reader, heard.transcript)
    await device.answer(link, heard, [(card.mdoc().disclose({NAMESPACE: keep}), proof)])
    return heard


class Agreeing:
    """A card's key that agrees instead of signing."""

    def __init__(self) -> None:
        self.key = EphemeralKey(dice.bytes(48))
        self.jwk = self.key.public.jwk


def judged(reading: Reading, response: str, now=NOW) -> Answer:
    return check_answer({"mdoc": [response]}, reading.asked(WANT), trusted(), now)


@pytest.mark.parametrize("methods", [SERVES, SEEKS], ids=["device-serves", "reader-serves"])
async def test_a_reader_reads_a_phone_in_both_modes_of_bluetooth(radios, methods) -> None:
    device, link, reading, till = await linked(radios, methods)
    told = asyncio.ensure_future(shown(device, link))
    response = await reading.ask(till, [WANT])
    await told
    assert judged(reading, response)["mdoc"].claims == {(NAMESPACE, "age_over_19"): True}


async def test_a_portrait_of_forty_kilobytes_comes_in_pieces_and_whole(radios) -> None:
    device, link, reading, till = await linked(radios, SERVES)

    async def show() -> None:
        heard = await device.hear(link)
        card = Card(claims={"portrait": b"\xff\xd8" + dice.bytes(40_000)})
        await device.answer(link, heard, [(card.mdoc().disclose({NAMESPACE: ("portrait",)}), HOLDER)])

    told = asyncio.ensure_future(show())
    want = Want(DOCTYPE, NAMESPACE, ("portrait",))
    response = await reading.ask(till, [want])
    await told
    answer = check_answer({"mdoc": [response]}, reading.asked(want), trusted(), NOW)
    assert len(answer["mdoc"].claims[(NAMESPACE, "portrait")]) == 40_002


async def test_the_device_that_goes_away_is_no_answer(radios) -> None:
    """The battery is taken out after the question: the till says so, and soon."""
    device, link, reading, till = await linked(radios, SERVES)

    async def vanish() -> None:
        await device.hear(link)
        await link.close()

    told = asyncio.ensure_future(vanish())
    with refuses(Code.TRANSPORT_LOST):
        await reading.ask(till, [WANT], patience=5)
    await told


async def test_the_holder_says_no_and_the_till_hears_it(radios) -> None:
    device, link, reading, till = await linked(radios, SERVES)

    async def refuse() -> None:
        await device.hear(link)
        await device.refuse(link)

    told = asyncio.ensure_future(refuse())
    with refuses(Code.ACCESS_DENIED):
        await reading.ask(till, [WANT])
    await told


async def test_a_phone_leaves_a_reader_that_did_not_see_its_code(radios) -> None:
    """8.3.3.1.1.3: whoever advertises the same service but has another key in its Ident is not the reader."""
    phone, thief = await radios(), await radios()
    device = Device(dice.bytes(48), SEEKS)
    lies = asyncio.ensure_future(radio.serve(thief, str(SERVICE), READER_SERVES, b"\0" * 16, patience=1.5))
    await asyncio.sleep(0.05)
    engagement = Reading(device.text, dice.bytes(48)).engagement
    with refuses(Code.TRANSPORT_LOST, "not the one"):
        await radio.seek(phone, str(SERVICE), READER_SERVES, ble.ident(engagement.key_raw))
    with refuses(Code.TRANSPORT_LOST):
        await lies


async def test_nobody_near_is_said_after_a_while(radios) -> None:
    reading = Reading(Device(dice.bytes(48), SERVES).text, dice.bytes(48))
    with refuses(Code.TRANSPORT_LOST):
        await radio.meet(await radios(), reading.engagement, patience=0.2)
    reading = Reading(Device(dice.bytes(48), SEEKS).text, dice.bytes(48))
    with refuses(Code.TRANSPORT_LOST):
        await radio.meet(await radios(), reading.engagement, patience=0.2)
    by_nfc = Reading(Device(dice.bytes(48), [proximity.Nfc(255, 256)]).text, dice.bytes(48))
    with refuses(Code.UNSUPPORTED):
        await radio.meet(await radios(), by_nfc.engagement)


# --- without a radio --------------------------------------------------------------------------------------------------


class Wire:
    """Two ends that hear each other; `spoil` is what a man in the middle does to each message."""

    def __init__(self, spoil: Callable[[bytes], bytes] = lambda message: message) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()
        self.other: Wire
        self.spoil = spoil
        self.sent: list[bytes] = []

    async def send(self, message: bytes) -> None:
        self.sent.append(message)
        self.other.queue.put_nowait(self.spoil(message))

    async def receive(self, patience: float) -> bytes:
        try:
            async with asyncio.timeout(min(patience, 1)):
                return await self.queue.get()
        except TimeoutError:
            raise Refused(Code.TRANSPORT_LOST, "nothing came") from None

    async def close(self) -> None:
        pass


def wires(**spoils: Callable[[bytes], bytes]) -> tuple[Wire, Wire]:
    one, other = Wire(spoils.get("till", lambda m: m)), Wire(spoils.get("phone", lambda m: m))
    one.other, other.other = other, one
    return one, other


async def told(device: Device, wire: Wire, **how) -> object:
    try:
        return await shown(device, wire, **how)
    except Refused as refused:
        return refused


async def test_the_same_over_any_wire_with_a_mac_instead_of_a_signature() -> None:
    """9.1.3.5: device authentication by MAC, which only the reader of this session can check."""
    till, phone = wires()
    device = Device(dice.bytes(48), SERVES)
    reading = Reading(device.text, dice.bytes(48))
    _, response = await asyncio.gather(told(device, phone, by_mac=True), reading.ask(till, [WANT]))
    assert judged(reading, response)["mdoc"].bound
    other = Reading(device.text, dice.bytes(48))
    with refuses(Code.BAD_HOLDER_PROOF):
        judged(other, response)
    assert not any(b"age_over_19" in message for message in till.sent + phone.sent)


async def test_an_answer_of_one_session_is_worth_nothing_in_the_next() -> None:
    till, phone = wires()
    device = Device(dice.bytes(48), SERVES)
    reading = Reading(device.text, dice.bytes(48))
    _, response = await asyncio.gather(told(device, phone), reading.ask(till, [WANT]))
    again = Reading(Device(dice.bytes(48), SERVES).text, dice.bytes(48))
    with refuses(Code.BAD_HOLDER_PROOF):
        judged(again, response)
    with refuses(Code.SESSION_SPENT):
        await reading.ask(till, [WANT])


async def test_whoever_changes_a_byte_on_the_way_ends_the_session() -> None:
    """Table 20: the device says 10 when it cannot decrypt; the reader then has no answer."""
    till, phone = wires(till=lambda message: message[:20] + bytes((message[20] ^ 1,)) + message[21:])
    device = Device(dice.bytes(48), SERVES)
    reading = Reading(device.text, dice.bytes(48))
    heard, refused = await asyncio.gather(told(device, phone), reading.ask(till, [WANT]), return_exceptions=True)
    assert isinstance(heard, Refused) and isinstance(refused, Refused)
    assert refused.code is Code.ACCESS_DENIED and "10" in refused.detail
    till, phone = wires(phone=lambda message: message[:-30] + bytes((message[-30] ^ 1,)) + message[-29:])
    device = Device(dice.bytes(48), SERVES)
    reading = Reading(device.text, dice.bytes(48))
    _, refused = await asyncio.gather(told(device, phone), reading.ask(till, [WANT]), return_exceptions=True)
    assert isinstance(refused, Refused) and refused.code is Code.MALFORMED


async def test_a_reader_that_says_who_it_is_is_believed_by_its_signature_alone() -> None:
    """9.1.4."""
    key, till_phone = Signer.ephemeral(), wires()
    device = Device(dice.bytes(48), SERVES)
    reading = Reading(device.text, dice.bytes(48))
    access = Access(key, (Card().chain[0],))
    heard, _ = await asyncio.gather(told(device, till_phone[1]), reading.ask(till_phone[0], [WANT], access))
    from mapae.formats.jose import PublicKey

    heard.must_be_signed(0, PublicKey.from_jwk(key.jwk))  # type: ignore[attr-defined]
    with refuses(Code.BAD_SIGNATURE):
        heard.must_be_signed(0, PublicKey.from_jwk(Signer.ephemeral().jwk))  # type: ignore[attr-defined]


async def test_more_or_less_than_was_asked_is_refused_here_too() -> None:
    for keep in (("age_over_19", "name"), ("name",)):
        till, phone = wires()
        device = Device(dice.bytes(48), SERVES)
        reading = Reading(device.text, dice.bytes(48))
        _, response = await asyncio.gather(told(device, phone, keep=keep), reading.ask(till, [WANT]))
        with refuses(Code.NOT_WHAT_WAS_ASKED):
            judged(reading, response)


async def test_a_licence_of_another_country_is_read_by_its_authority_alone() -> None:
    """An IACA we were given, no status list: what `Policy` must let pass by name."""
    till, phone = wires()
    device = Device(dice.bytes(48), SERVES)
    reading = Reading(device.text, dice.bytes(48))

    async def show() -> None:
        heard = await device.hear(phone)
        card = Card(reference=None)
        await device.answer(phone, heard, [(card.mdoc().disclose({NAMESPACE: ("age_over_19",)}), HOLDER)])

    _, response = await asyncio.gather(show(), reading.ask(till, [WANT]))
    with refuses(Code.STATUS_UNKNOWN):
        judged(reading, response)
    answer = check_answer({"mdoc": [response]}, reading.asked(WANT), trusted(), NOW, Policy(without_status=True))
    assert answer["mdoc"].claims == {(NAMESPACE, "age_over_19"): True}
    with refuses(Code.EXPIRED):
        judged(reading, response, NOW + timedelta(days=40))


@pytest.mark.parametrize("of_age", [True, False])
async def test_the_command_reads_a_licence_by_the_authorities_in_a_file(radios, tmp_path, of_age: bool) -> None:
    """All but the radio itself, which the command takes from its caller here. A genuine licence of somebody who is not
    of age is a no, and the command is no green then."""
    phone, till = await radios(), await radios()
    device = Device(dice.bytes(48), SERVES)
    pem = tmp_path / "iaca.pem"
    pem.write_bytes(ssl.DER_cert_to_PEM_cert(Card().authority.root).encode())

    async def show() -> None:
        link = await radio.serve(phone, str(SERVICE), DEVICE_SERVES)
        heard = await device.hear(link)
        card = Card(reference=None, claims={"age_over_19": of_age})
        await device.answer(link, heard, [(card.mdoc().disclose({NAMESPACE: ("age_over_19",)}), HOLDER)])

    told = asyncio.ensure_future(show())
    await asyncio.sleep(0)
    verdict = await cli_iso.read(device.text, WANT, cli_iso.by_anchors(pem, MovableClock(NOW)), till)
    await told
    outcome = "accepted" if of_age else "no"
    told_of = {"issuer": "CN=Demo CA,C=KR", "type": DOCTYPE, "items": {"age_over_19": of_age}}
    assert verdict == {"outcome": outcome, **told_of}


# --- pieces -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 19, 20, 511, 512, 1023, 5000])
def test_what_was_taken_apart_is_put_together(size: int) -> None:
    """8.3.3.1.1.6: 1 before a piece that others follow, 0 before the last; no piece longer than the size agreed on."""
    message = dice.bytes(size)
    for mtu in (0, 23, 185, 515, 2000):
        made = list(pieces(message, mtu))
        assert all(len(piece) <= min(max(mtu, 23) - 3, 512) for piece in made)
        assert [piece[0] for piece in made] == [1] * (len(made) - 1) + [0]
        joiner = Joiner()
        assert [joiner.add(piece) for piece in made][-1] == message


def test_a_piece_that_is_none_and_a_message_without_end_are_refused() -> None:
    for piece in (b"", b"\x02a", b"\x01"):
        with refuses(Code.MALFORMED):
            Joiner().add(piece)
    joiner = Joiner()
    with refuses(Code.TOO_LARGE):
        for _ in range(10_000):
            joiner.add(b"\x01" + bytes(500))


def test_the_ident_of_the_published_engagement() -> None:
    """The value is by RFC 5869 with the annex's own EDeviceKeyBytes; it depends on nothing else."""
    key = EphemeralKey(bytes(48))
    assert len(ble.ident(key.cose)) == 16 and ble.ident(key.cose) != ble.ident(EphemeralKey(b"\1" * 48).cose)
    assert mdoc.qr_transcript(engagement=b"\xa0", reader_key=key.cose)


async def test_a_phone_that_hangs_up_while_we_do_loses_us_nothing() -> None:
    """What was read is read: its own way of being gone is one way of ending."""

    async def gone() -> None:
        raise HCI_Error(HCI_UNKNOWN_CONNECTION_IDENTIFIER_ERROR)

    async def nothing(*_: object) -> None:
        pass

    serving = _Serving(SimpleNamespace(is_advertising=False))
    serving.connected(SimpleNamespace(on=lambda *_: None, disconnect=gone, att_mtu=100))
    await Link(nothing, serving.close, nothing, lambda: 100, grace=0.01).close()
