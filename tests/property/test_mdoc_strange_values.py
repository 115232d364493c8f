"""Wherever a stranger puts a value nobody expects, however deep, an mdoc parser reads it or refuses it by name."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import cbor2
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hands import NOW, Hand
from mapae.clock import SeededDice
from mapae.errors import Refused
from mapae.formats import cbor, mdoc, proximity
from mapae.formats.cbor import Tag
from mapae.formats.mdoc import DeviceRequest, DeviceResponse, IssuerSigned, KeyAuthorizations, Mso
from mapae.formats.proximity import DeviceEngagement, EphemeralKey, Establishment, SessionData

ISSUER, DEVICE, READER = Hand("issuer"), Hand("device"), EphemeralKey(bytes(48))
TRANSCRIPT = mdoc.qr_transcript(engagement=b"\xa0", reader_key=READER.cose)
STRANGE = [
    None, True, 0, -1, 2**64 - 1, -(2**64), 1.5, float("nan"), "", b"", b"\xa0", [], {}, {1: 2}, {True: 1}, {1.0: 2},
    {None: 1}, Tag(24, b""), Tag(24, {}), Tag(0, "x"), Tag(0, 5), Tag(1004, "2001-01-01"), Tag(2, b"\xff" * 9),
    Tag(99, 1), Tag(258, [1]), Tag(35, "("), Tag(4, [1, 2]), Tag(28, [1]), Tag(29, 0), Tag(30, [1, 0]), Tag(5, [1, 2]),
    Tag(100, 10**9), cbor2.undefined, cbor2.CBORSimpleValue(99), {Tag(24, b"a"): 1}, {(1, 2): 1}, b"\x00" * 70_000,
]  # fmt: skip


def whole() -> list[tuple[bytes, Any]]:
    validity = mdoc.Validity(NOW, NOW, NOW + timedelta(days=1))
    draft = mdoc.draft(
        "d", {"n": {"a": 1, "b": "x"}}, device_key=DEVICE.key, validity=validity,
        x5chain=[b"0", b"1"], status=None, entropy=SeededDice(1).bytes,
        authorized=KeyAuthorizations(frozenset({"own"}), {"n": frozenset({"c"})}),
    )  # fmt: skip
    card = IssuerSigned.parse(draft.complete(ISSUER.sign(draft.signing_input)))
    shown = mdoc.show(
        card, session_transcript=TRANSCRIPT, holder=DEVICE, asserted={"own": {"b": 1}}, errors={"n": {"z": 0}}
    )
    items = mdoc.items_request("d", {"n": {"a": True}}, info={"why": "x"})
    asked = mdoc.doc_request(items, session_transcript=TRANSCRIPT, reader=ISSUER, x5chain=[b"0"])
    ways = [proximity.Ble(True, True, bytes(16), bytes(16), b"a"), proximity.Nfc(1, 2), proximity.Wifi("p", 1, 2, b"x")]
    return [
        (mdoc.respond([shown], document_errors=[("x", 1)]), DeviceResponse.parse),
        (card.encode(), IssuerSigned.parse),
        (card.auth.payload or b"", Mso.parse),
        (mdoc.device_request([asked]), DeviceRequest.parse),
        (proximity.engagement(READER.public, ways, origins=["o"]), DeviceEngagement.parse),
        (proximity.establishment(READER.cose, b"d"), Establishment.parse),
        (proximity.session_data(b"x", 20), SessionData.parse),
    ]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a decoded structure, also inside tags and inside byte strings that are CBOR themselves."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, ("key", key)))
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from places(inner, (*path, ("at", at)))
    elif isinstance(value, Tag):
        yield from places(value.value, (*path, ("tag", None)))
    elif isinstance(value, bytes):
        with contextlib.suppress(Refused):
            inner = cbor.loads(value)
            if isinstance(inner, dict | list | Tag):
                yield from places(inner, (*path, ("bytes", None)))


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    (kind, where), rest = path[0], path[1:]
    match kind:
        case "key":
            return value | {where: put(value[where], rest, new)}
        case "at":
            return [put(inner, rest, new) if at == where else inner for at, inner in enumerate(value)]
        case "tag":
            return Tag(value.tag, put(value.value, rest, new))
        case _:
            return cbor2.dumps(put(cbor.loads(value), rest, new))


SPOTS = [(raw, parse, path) for raw, parse in whole() for path in places(cbor.loads(raw))]


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, len(SPOTS) - 1), st.integers(0, len(STRANGE) - 1))
def test_a_strange_value_anywhere_is_read_or_refused(spot, strange):
    raw, parse, path = SPOTS[spot]
    bent = cbor2.dumps(put(cbor.loads(raw), path, STRANGE[strange]))
    with contextlib.suppress(Refused):
        seen = parse(bent)
        if parse is DeviceResponse.parse:
            for document in seen.documents:
                with contextlib.suppress(Refused):
                    document.issuer_signed.open(ISSUER.key)
                with contextlib.suppress(Refused):
                    document.check_device(TRANSCRIPT, READER)
        if parse is DeviceRequest.parse:
            for one in seen.requests:
                with contextlib.suppress(Refused):
                    one.check_reader(ISSUER.key, TRANSCRIPT)
        if parse is not Mso.parse:
            assert seen.encode() == bent
