"""The code a phone shows to be asked by, and the request that is sealed to it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hands import OUR_VECTORS
from mapae.errors import Code, Refused
from mapae.formats import base45, cbor, cose, jwe, meet
from mapae.formats.jose import PublicKey, unb64u
from mapae.formats.meet import PREFIX, MeetCode

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
RELAY = "https://id.example/relay"
TOKEN = b"t" * meet.TOKEN


def key(seed: bytes = b"phone") -> jwe.DecryptionKey:
    private = jwe.private_jwk(seed * 12, "")
    return jwe.DecryptionKey.from_jwk({name: value for name, value in private.items() if name != "kid"})


KEY = key()
CODE = MeetCode.make(RELAY, meet.channel_of(TOKEN), KEY.public, NOW)


def written(**changes: Any) -> str:
    parts: dict[Any, Any] = {1: 1, 2: RELAY, 3: bytes(16), 4: cose.key_to_cose(KEY.public), 5: int(NOW.timestamp())}
    parts |= {int(name[1:]): value for name, value in changes.items()}
    return PREFIX + base45.encode(cbor.dumps({label: value for label, value in parts.items() if value is not None}))


def test_a_code_reads_as_it_was_written() -> None:
    read = MeetCode.parse(CODE.text)
    assert read == CODE
    assert read.encode() == CODE.text
    assert read.mailbox == meet.mailbox(RELAY, TOKEN)


def test_a_code_is_small_enough_for_any_camera() -> None:
    """QR version 10 at level M holds 311 characters of the alphanumeric alphabet (ISO/IEC 18004)."""
    assert len(CODE.text) < 311
    assert set(CODE.text) <= set(base45.ALPHABET)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"m1": 2}, Code.UNSUPPORTED),
        ({"m1": True}, Code.UNSUPPORTED),
        ({"m2": "http://id.example/relay"}, Code.MALFORMED),
        ({"m2": "https://user@id.example/relay"}, Code.MALFORMED),
        ({"m2": "https://id.example/relay?x"}, Code.MALFORMED),
        ({"m2": "https://id.example/../relay/"}, Code.MALFORMED),
        ({"m3": bytes(15)}, Code.MALFORMED),
        ({"m4": {1: 2}}, Code.MALFORMED),
        ({"m5": -1}, Code.MALFORMED),
        ({"m5": None}, Code.MALFORMED),
        ({"m6": "more"}, Code.MALFORMED),
    ],
    ids=str,
)
def test_a_code_of_another_shape_is_refused(changes: dict[str, Any], code: Code) -> None:
    with pytest.raises(Refused) as refused:
        MeetCode.parse(written(**changes))
    assert refused.value.code in (code, Code.BAD_SIGNATURE, Code.UNSUPPORTED) and refused.value.code is not None


@pytest.mark.parametrize("text", ["", "MAPAE-SHOW:ABC", "mapae-meet:", PREFIX, PREFIX + "!!", PREFIX + "0" * 2000])
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        MeetCode.parse(text)


@pytest.mark.parametrize(
    ("age", "code"),
    [(0, None), (120, None), (125, None), (126, Code.PRESENTATION_STALE), (-5, None), (-6, Code.CLOCK_OFF)],
)
def test_a_code_lives_two_minutes(age: int, code: Code | None) -> None:
    """Photographed and shown later it is stale; from the future a clock is wrong."""
    now = NOW + timedelta(seconds=age)
    if code is None:
        CODE.must_be_live(now)
        return
    with pytest.raises(Refused) as refused:
        CODE.must_be_live(now)
    assert refused.value.code is code


def test_a_sealed_request_opens_with_the_phones_key() -> None:
    assert meet.unseal(meet.seal("a.request.object", CODE), KEY, CODE) == b"a.request.object"


def test_what_was_sealed_for_another_code_does_not_open() -> None:
    """A relay that swaps messages: to another key, or to another code of the very same key."""
    other = MeetCode.make(RELAY, meet.channel_of(b"u" * meet.TOKEN), KEY.public, NOW)
    stranger = MeetCode.make(RELAY, CODE.channel, key(b"other").public, NOW)
    for sealed in (meet.seal("a.request.object", other), meet.seal("a.request.object", stranger)):
        with pytest.raises(Refused) as refused:
            meet.unseal(sealed, KEY, CODE)
        assert refused.value.code is Code.MALFORMED


@pytest.mark.parametrize("sealed", [b"", b"\xff\xfe", b"a.b.c.d.e", b"plain text"])
def test_what_is_not_sealed_does_not_open(sealed: bytes) -> None:
    with pytest.raises(Refused):
        meet.unseal(sealed, KEY, CODE)


def test_the_name_of_a_mailbox_says_nothing_of_its_token() -> None:
    assert meet.channel_of(TOKEN) != TOKEN[:16]
    assert len(meet.channel_of(TOKEN)) == 16
    assert PublicKey.from_jwk(CODE.key.jwk) == KEY.public


def test_the_vector_that_the_wallet_reads_as_well() -> None:
    """vectors/meet.json, also in wallet/test/meet.test.ts."""
    vector = json.loads((OUR_VECTORS / "meet.json").read_text("utf-8"))
    mine = jwe.DecryptionKey.from_jwk(vector["key"])
    token = unb64u(vector["token"])
    made = MeetCode.make(
        vector["relay"], meet.channel_of(token), mine.public, datetime.fromtimestamp(vector["made"], UTC)
    )
    assert (made.text, made.nonce, made.mailbox) == (vector["code"], vector["nonce"], vector["mailbox"])
    assert meet.mailbox(vector["relay"], token) == vector["mailbox"]
    assert meet.unseal(vector["sealed"].encode(), mine, made).decode() == vector["request"]
    with pytest.raises(Refused):
        meet.unseal(vector["sealed_for_another_code"].encode(), mine, made)
