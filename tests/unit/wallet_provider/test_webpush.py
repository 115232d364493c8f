"""Web Push: RFC 8291 messages, RFC 8292 tokens, and the addresses we send to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec

from mapae.errors import Code, Refused
from mapae.formats.jose import b64u, sign_jws, unb64u
from mapae.keys import Signer
from mapae.wallet_provider import webpush
from mapae.wallet_provider.webpush import Subscription
from pushed import UserAgent

NOW = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)
SERVICES = ("fcm.googleapis.com", "web.push.apple.com", "*.notify.windows.com")
ORIGIN = "https://fcm.googleapis.com"
LOCAL = "http://localhost:8080/demo/push/to/"


def subscription(endpoint: str = f"{ORIGIN}/fcm/send/abc", local: str = "", **changes: str) -> Subscription:
    agent = UserAgent()
    keys = {"p256dh": agent.p256dh, "auth": b64u(agent.auth)} | changes
    return Subscription.parse(endpoint, keys["p256dh"], keys["auth"], services=SERVICES, local=local)


def test_our_reader_opens_the_published_message() -> None:
    """RFC 8291 section 5 and Appendix A: so that what it opens below says something about the sender."""
    secret = int.from_bytes(unb64u("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"), "big")
    agent = UserAgent(ec.derive_private_key(secret, ec.SECP256R1()), unb64u("BTBZMqHH6r4Tts7J_aSIgg"))
    message = (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3j"
        "l7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )
    assert agent.open(unb64u(message)) == b"When I grow up, I want to be a watermelon"


def test_a_message_is_for_one_browser() -> None:
    agent, other = UserAgent(), UserAgent()
    sealed = subscription(p256dh=agent.p256dh, auth=b64u(agent.auth)).seal(b"mapae")
    assert agent.open(sealed) == b"mapae"
    assert len(sealed) < 200
    with pytest.raises(InvalidTag):
        other.open(sealed)


def test_no_two_messages_are_alike() -> None:
    one = subscription()
    assert one.seal(b"mapae") != one.seal(b"mapae")


def test_a_message_no_push_service_takes_is_refused() -> None:
    """RFC 8030 7.2."""
    with pytest.raises(Refused) as refused:
        subscription().seal(bytes(5000))
    assert refused.value.code is Code.TOO_LARGE


@pytest.mark.parametrize("endpoint", [
    f"{ORIGIN}/fcm/send/abc:def", f"{ORIGIN}:443/x", "https://web.push.apple.com/Q", "https://db5.notify.windows.com/w/?t=1",
])  # fmt: skip
def test_addresses_of_push_services_are_taken(endpoint: str) -> None:
    assert subscription(endpoint).endpoint == endpoint


@pytest.mark.parametrize("endpoint", [
    "http://fcm.googleapis.com/x", "https://fcm.googleapis.com:8443/x", "https://fcm.googleapis.com",
    "https://fcm.googleapis.com@127.0.0.1/x", "https://127.0.0.1/x", "https://[::1]/x", "https://2130706433/x",
    "https://localhost/x", "https://fcm.googleapis.com.evil.example/x", "https://evilfcm.googleapis.com/x",
    "https://notify.windows.com/x", "https://fcm.googleapis.com/x#y", "https://FCM.googleapis.com/x",
    "https://fcm.googleapis.com\\@evil.example/x", "file:///etc/passwd", "//fcm.googleapis.com/x", "",
    "https://fcm.googleapis.com./x", "https://169.254.169.254/latest", "https://a@fcm.googleapis.com/", LOCAL + "abc",
])  # fmt: skip
def test_other_addresses_are_never_sent_to(endpoint: str) -> None:
    """Nothing of the inside of our network, nobody who is no push service."""
    with pytest.raises(Refused) as refused:
        subscription(endpoint)
    assert refused.value.code in (Code.NOT_ALLOWED, Code.MALFORMED)


@pytest.mark.parametrize(
    ("endpoint", "taken"),
    [("abc", True), ("", False), ("a/../b", False), ("a?b", False), ("a" * 65, False), ("%2e", False)],
)
def test_a_demo_sends_to_its_own_simulator_and_no_further(endpoint: str, taken: bool) -> None:
    if taken:
        assert subscription(LOCAL + endpoint, LOCAL).origin == "http://localhost:8080"
    else:
        with pytest.raises(Refused):
            subscription(LOCAL + endpoint, LOCAL)


@pytest.mark.parametrize(
    "changes",
    [
        {"p256dh": b64u(bytes(65))}, {"p256dh": b64u(b"\x04" + bytes(64))}, {"p256dh": b64u(b"\x02" + bytes(32))},
        {"p256dh": ""}, {"auth": b64u(bytes(15))}, {"auth": b64u(bytes(17))}, {"auth": "*"}, {"p256dh": "A" * 5000},
    ],
    ids=["zero", "off", "compressed", "none", "short", "long", "letters", "huge"],
)  # fmt: skip
def test_keys_of_another_kind_are_refused(changes: dict[str, str]) -> None:
    with pytest.raises(Refused):
        subscription(**changes)


def test_an_address_of_any_length_is_not_kept() -> None:
    with pytest.raises(Refused) as refused:
        subscription(f"{ORIGIN}/{'x' * 2000}")
    assert refused.value.code is Code.TOO_LARGE


def test_a_push_service_learns_who_sends() -> None:
    """RFC 8292 2 and 3."""
    signer = Signer.ephemeral()
    header = webpush.vapid(signer, ORIGIN, "https://id.example", NOW)
    assert webpush.read_vapid(header, ORIGIN, NOW + timedelta(hours=11)) == webpush.point(signer)


def test_a_token_is_for_one_push_service_and_half_a_day() -> None:
    signer = Signer.ephemeral()
    header = webpush.vapid(signer, ORIGIN, "https://id.example", NOW)
    other = webpush.vapid(Signer.ephemeral(), ORIGIN, "https://id.example", NOW)
    swapped = header.split("k=")[0] + "k=" + other.split("k=")[1]
    for said, origin, at, code in (
        (header, "https://other.example", NOW, Code.WRONG_AUDIENCE),
        (header, ORIGIN, NOW + timedelta(hours=14), Code.EXPIRED),
        (swapped, ORIGIN, NOW, Code.BAD_SIGNATURE), ("Bearer x", ORIGIN, NOW, Code.NOT_SIGNED_IN),
    ):  # fmt: skip
        with pytest.raises(Refused) as refused:
            webpush.read_vapid(said, origin, at)
        assert refused.value.code is code
    for_ever = sign_jws(signer, {"typ": "JWT"}, {"aud": ORIGIN, "exp": int(NOW.timestamp()) + 10**6, "sub": "x"})
    with pytest.raises(Refused):
        webpush.read_vapid(f"vapid t={for_ever}, k={b64u(webpush.point(signer))}", ORIGIN, NOW)
