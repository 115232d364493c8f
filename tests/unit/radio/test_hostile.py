"""A reader and somebody who holds a phone of his own making (ISO/IEC 18013-5 8.3.3.1.1, 9.1.1.4)."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from elsewhere import NOW, Elsewhere, Phone, Writer, by_signature, response
from hands import refuses
from mapae import radio
from mapae.errors import Code, Refused
from mapae.formats import cbor, proximity
from mapae.formats.ble import DEVICE_SERVES
from mapae.formats.curves import CURVES, ISO, CurveKey
from mapae.formats.proximity import Ble, EphemeralKey, Session
from mapae.formats.x509 import Anchors
from mapae.holder.proximity import Device
from mapae.radio import Link
from mapae.radio.controller import Controller
from mapae.verifier.checking.check import Issuer, Policy, Trusted, check_answer
from mapae.verifier.till.reader import Reading, Want
from unit.radio.test_radio import radios  # noqa: F401 a fixture

LAND, DEVICE = Elsewhere("secp384r1"), Writer("secp256r1", "phone")
WANT = Want("org.iso.18013.5.1.mDL", "org.iso.18013.5.1", ("age_over_18",))
SERVICE = uuid.UUID("0b5bbf6c-51a1-4b9c-8d0e-6f1f6e2a7c12")


def phone(answer: Any = None) -> Phone:
    def shows(transcript: bytes, _: Any) -> bytes:
        return response(LAND.licence(DEVICE.cose), by_signature(DEVICE, transcript))

    return Phone(EphemeralKey(b"\2" * 48), answer or shows)


def green(reading: Reading, shown: str, want: Want = WANT) -> bool:
    issuer = Issuer("elsewhere", Anchors([LAND.root], ISO), None, None, None, None, None)
    token = {"mdoc": [shown]}
    answer = check_answer(token, reading.asked(want), Trusted((issuer,)), NOW, Policy(without_status=True))
    return bool(answer["mdoc"].claims)


class Bent:
    """The wire to a phone, with what it does wrong."""

    def __init__(self, met: Phone, **wrong: Any) -> None:
        self._met, self._wrong = met, wrong
        self.sent: list[dict[str, Any]] = []
        self.closed = 0

    async def send(self, message: bytes) -> None:
        self.sent.append(cbor.loads(message))
        if len(self.sent) > 1 and self._wrong.get("gone"):
            raise Refused(Code.TRANSPORT_LOST, "gone")
        await self._met.send(message)

    async def receive(self, patience: float) -> bytes:
        said = await self._met.receive(patience)
        return bytes(self._wrong["says"](said)) if "says" in self._wrong else said

    async def close(self) -> None:
        self.closed += 1
        if self._wrong.get("stuck"):
            raise Refused(Code.TRANSPORT_LOST, "the radio does not let go")


def without_status(said: bytes) -> bytes:
    return proximity.session_data(cbor.loads(said)["data"])


async def test_an_answer_counts_though_its_phone_is_gone_before_it_hears_the_end() -> None:
    """A phone put back into its pocket at once: the licence has arrived, and the till used to lose it."""
    for wrong in ({"gone": True}, {"stuck": True}, {"gone": True, "stuck": True}):
        met = phone()
        link = Bent(met, says=without_status, **wrong)
        reading = Reading(met.text, b"\1" * 48, ISO)
        assert green(reading, await reading.ask(link, [WANT]))
        assert link.sent[1:] == [{"status": proximity.TERMINATION}] and link.closed == 1


@pytest.mark.parametrize(
    "says, status",
    [
        (lambda said: b"\xff", proximity.DECODING_ERROR), (lambda said: b"", proximity.DECODING_ERROR),
        (lambda said: cbor.dumps({"data": "text"}), proximity.DECODING_ERROR),
        (lambda said: cbor.dumps({"data": b"x", "more": 1}), proximity.DECODING_ERROR),
        (lambda said: cbor.dumps({"data": b"", "status": True}), proximity.DECODING_ERROR),
        (lambda said: b"\xbf" + said[1:] + b"\xff", proximity.DECODING_ERROR),
        (lambda said: proximity.session_data(bytes(16)), proximity.ENCRYPTION_ERROR),
        (lambda said: proximity.session_data(b""), proximity.ENCRYPTION_ERROR),
        (lambda said: said[:40] + bytes((said[40] ^ 1,)) + said[41:], proximity.ENCRYPTION_ERROR),
    ],
    ids=["no cbor", "nothing", "a text", "a member more", "no status", "indefinite", "zeros", "short", "bent"],
)  # fmt: skip
async def test_what_cannot_be_read_or_opened_is_told_so_and_ends_the_session(says: Any, status: int) -> None:
    """9.1.1.4, Table 20: the phone learns why, and the link is not left open."""
    met = phone()
    link = Bent(met, says=says)
    reading = Reading(met.text, b"\1" * 48, ISO)
    with refuses(Code.MALFORMED):
        await reading.ask(link, [WANT])
    assert link.closed == 1 and link.sent[1:] == [{"status": status}]
    with refuses(Code.SESSION_SPENT):
        await reading.ask(link, [WANT])


async def test_a_phone_whose_key_leads_to_no_secret_does_not_keep_the_link() -> None:
    """RFC 7748 6.1: a point of small order in the engagement is found when the secret is made, after the radio met."""
    x25519 = next(one for one in CURVES if one.name == "X25519")
    nobody = cbor.dumps(CurveKey(x25519, bytes(32)).cose())
    reading = Reading(proximity.uri(cbor.dumps({0: "1.0", 1: [1, cbor.Tag(24, nobody)]})), b"\1" * 48, ISO)
    link = Bent(phone())
    with refuses(Code.MALFORMED, "no secret"):
        await reading.ask(link, [WANT])
    assert (link.closed, link.sent) == (1, [])


async def test_a_second_phone_cannot_answer_for_the_first() -> None:
    """Two phones hear the question; who did not show the code has no key to answer with, and a replay is another's."""
    met, other = phone(), phone()
    reading = Reading(met.text, b"\1" * 48, ISO)
    kept = Reading(other.text, b"\3" * 48, ISO)
    shown = await kept.ask(other, [WANT])
    assert green(kept, shown)
    with refuses(Code.BAD_HOLDER_PROOF):
        green(reading, shown)  # the same document and device, shown to somebody else a moment ago
    stranger = Session.of_device(EphemeralKey(b"\4" * 48), reading._key.public, reading.transcript)  # type: ignore[arg-type]
    sealed = proximity.session_data(stranger.seal(b"\xa0"), proximity.TERMINATION)
    with refuses(Code.MALFORMED, "decrypted"):
        await reading.ask(Bent(met, says=lambda _: sealed), [WANT])


async def test_a_licence_with_a_large_portrait_is_read_and_one_without_end_is_not() -> None:
    """No standard bounds a portrait; the till's own bound is that of a message."""
    for size, expected in ((180_000, None), (300_000, Code.MALFORMED)):

        def shows(transcript: bytes, _: Any, size: int = size) -> bytes:
            licence = LAND.licence(DEVICE.cose, elements={"portrait": bytes(size)})
            return response(licence, by_signature(DEVICE, transcript))

        met, want = phone(shows), Want(WANT.doctype, WANT.namespace, ("portrait",))
        reading = Reading(met.text, b"\1" * 48, ISO)
        try:
            assert green(reading, await reading.ask(met, [want]), want)
        except Refused as refused:
            assert refused.code in (expected, Code.TOO_LARGE) and expected is not None
        else:
            assert expected is None


@pytest.mark.parametrize(
    "change, code",
    [
        ({"valueDigests": {WANT.namespace: {}}}, Code.BAD_DIGEST), ({"valueDigests": {}}, Code.BAD_DIGEST),
        ({"valueDigests": {WANT.namespace: {0: bytes(32)}}}, Code.BAD_DIGEST),
        ({"docType": "org.iso.18013.5.1.other"}, Code.MALFORMED), ({"version": "2.0"}, Code.UNSUPPORTED),
        ({"validityInfo": {}}, Code.MALFORMED),
    ],
    ids=["no digest", "no namespace", "another digest", "another type", "another version", "no dates"],
)  # fmt: skip
async def test_a_security_object_that_does_not_cover_what_is_shown_is_refused(change: Any, code: Code) -> None:
    def shows(transcript: bytes, _: Any) -> bytes:
        return response(LAND.licence(DEVICE.cose, **change), by_signature(DEVICE, transcript))

    met = phone(shows)
    reading = Reading(met.text, b"\1" * 48, ISO)
    with refuses(code):
        green(reading, await reading.ask(met, [WANT]))


@pytest.mark.parametrize("spoil", ["a namespace more", "an element more", "two documents", "no document", "long heads"])
async def test_a_response_that_says_more_or_less_or_otherwise_is_refused_or_the_same(spoil: str) -> None:
    def shows(transcript: bytes, _: Any) -> bytes:
        licence = LAND.licence(DEVICE.cose, elements={"age_over_18": True, "age_over_21": False})
        [asked, more] = licence["nameSpaces"][WANT.namespace]
        licence["nameSpaces"][WANT.namespace] = [asked, more] if spoil == "an element more" else [asked]
        if spoil == "a namespace more":
            licence["nameSpaces"]["org.iso.18013.5.1.XX"] = [asked]
        raw = cbor.loads(response(licence, by_signature(DEVICE, transcript)))
        documents = raw["documents"]
        raw["documents"] = {"two documents": documents * 2, "no document": []}.get(spoil, documents)
        made = cbor.dumps(raw)
        # RFC 8949 4.2.1 asks for short heads, ISO/IEC 18013-5 does not: the same in a long spelling is the same.
        return b"\xb8" + bytes((made[0] & 31,)) + made[1:] if spoil == "long heads" else made

    met = phone(shows)
    reading = Reading(met.text, b"\1" * 48, ISO)
    shown = await reading.ask(met, [WANT])
    if spoil == "long heads":
        assert green(reading, shown)
        return
    codes = {"a namespace more": Code.BAD_DIGEST, "an element more": Code.NOT_WHAT_WAS_ASKED}
    with refuses(codes.get(spoil, Code.MALFORMED)):
        green(reading, shown)


# --- the radio --------------------------------------------------------------------------------------------------------


async def never(*_: Any) -> None:
    await asyncio.Event().wait()


async def nothing(*_: Any) -> None:
    return None


async def test_a_radio_that_takes_nothing_is_left_after_a_while() -> None:
    """A controller can be kept connected and take no byte: neither the question nor the end waits for it for ever."""
    link = Link(never, never, never, lambda: 23, stall=0.02, grace=0.02)
    with refuses(Code.TRANSPORT_LOST):
        await asyncio.wait_for(link.send(bytes(100)), 1)
    await asyncio.wait_for(link.close(), 1)
    quiet = Link(never, never, nothing, lambda: 23, stall=0.02, grace=0.02)
    await asyncio.wait_for(quiet.close(), 1)


async def test_hanging_up_badly_is_no_reason_to_lose_what_was_heard() -> None:
    async def broken() -> None:
        raise Refused(Code.TRANSPORT_LOST, "the other device has gone away")

    link = Link(nothing, broken, nothing, lambda: 23)
    link.heard(b"\0answer")
    link.gone()
    assert await link.receive(1) == b"answer"
    await link.close()
    with refuses(Code.TRANSPORT_LOST):
        await link.receive(1)


async def test_pieces_without_end_and_messages_nobody_reads_are_bounded() -> None:
    link = Link(nothing, nothing, nothing, lambda: 23)
    for _ in range(600):
        link.heard(b"\1" + bytes(511))
    with refuses(Code.TOO_LARGE):
        await link.receive(1)
    flooded = Link(nothing, nothing, nothing, lambda: 23)
    for _ in range(radio.QUEUE + 10):
        flooded.heard(b"\0")
    assert [await flooded.receive(1) for _ in range(radio.QUEUE)] == [b""] * radio.QUEUE
    with refuses(Code.TOO_LARGE):
        await flooded.receive(1)


async def test_who_advertises_a_code_s_service_and_has_none_is_let_go(radios) -> None:  # noqa: F811
    """A stranger near the phone copies what it advertises: the till neither stays connected nor goes on scanning."""
    from bumble.core import AdvertisingData

    stranger, till = await radios(), await radios()
    said = AdvertisingData([(AdvertisingData.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS, SERVICE.bytes[::-1])])
    await stranger._device.start_advertising(advertising_data=bytes(said))
    engagement = Reading(
        Device(b"\5" * 48, [Ble(peripheral=True, central=False, peripheral_uuid=SERVICE.bytes)]).text, b"\1" * 48
    ).engagement
    with refuses(Code.TRANSPORT_LOST):
        await radio.meet(till, engagement, patience=1)
    assert isinstance(till, Controller)
    assert not till._device.connections and not till._device.is_scanning
    with refuses(Code.TRANSPORT_LOST):
        await radio.seek(till, str(uuid.UUID(int=7)), DEVICE_SERVES, patience=0.05)
    assert not till._device.is_scanning


async def test_a_device_keeps_no_link_to_a_reader_that_went_away_or_asks_for_what_it_has_not() -> None:
    """The phone's side: what goes wrong after the link is there ends it."""
    device = Device(b"\6" * 48, [])
    link = Gone()
    with refuses(Code.MALFORMED):
        await device.hear(link)
    assert link.closed == 1
    met = Device(b"\7" * 48, [])
    reading = Reading(met.text, b"\1" * 48)
    asked = Bent(phone())
    asker = asyncio.ensure_future(reading.ask(asked, [WANT]))
    await asyncio.gather(asker, return_exceptions=True)
    heard = await met.hear(one := Gone(cbor.dumps(asked.sent[0])))
    with pytest.raises(AttributeError):
        await met.answer(one, heard, [(None, None)])  # type: ignore[list-item]
    assert one.closed == 1


class Gone:
    """A link to somebody who says one thing and hears nothing more."""

    def __init__(self, says: bytes = b"\xff") -> None:
        self._says, self.closed = says, 0

    async def send(self, message: bytes) -> None:
        raise Refused(Code.TRANSPORT_LOST, "gone")

    async def receive(self, patience: float) -> bytes:
        return self._says

    async def close(self) -> None:
        self.closed += 1
