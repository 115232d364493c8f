"""Web Push: where a browser is woken, a message only it can read, and who says that it comes from us. Pure.

Promises: a `Subscription` that exists has an address a push service could have and keys a message can be encrypted to;
a message sealed here is read by that browser alone (RFC 8291) and is short of the 4096 bytes every push service takes.
Trusts: `http_ece` for the record format (RFC 8188). Keeps: nothing. Refuses: an address without TLS, with a sign-in, a
port or a fragment of its own, keys of another curve or length; a VAPID token for another push service or another day.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import http_ece
from cryptography.hazmat.primitives.asymmetric import ec

from mapae.errors import Code, Refused, step
from mapae.formats.jose import Jws, PublicKey, Signing, b64u, check_times, sign_jws, unb64u

MOST_ENDPOINT: Final = 1024
AUTH: Final = 16  # RFC 8291 3.2
POINT: Final = 65  # X9.62 uncompressed
MOST_BODY: Final = 4096  # RFC 8030 7.2
VAPID_LIFE: Final = 12 * 3600  # RFC 8292 2: at most 24 hours
_HOST: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+")
_ENDPOINT: Final = re.compile(r"https://([a-z0-9.-]{1,253})(?::443)?/[^#]*")
_VAPID: Final = re.compile(r"vapid t=([A-Za-z0-9_.-]{1,2048}),\s?k=([A-Za-z0-9_-]{87})")


@dataclass(frozen=True, slots=True)
class Subscription:
    """A browser's: the push service's address for it, its public key and its secret of 16 bytes."""

    endpoint: str
    key: bytes
    auth: bytes

    @classmethod
    def parse(
        cls, endpoint: str, p256dh: str, auth: str, *, services: Collection[str], local: str = ""
    ) -> Subscription:
        """`services`: hosts that push, or `*.` and the end of their names. `local`: an address of our own simulator,
        below which the rules for hosts do not hold. Raises Refused(MALFORMED, NOT_ALLOWED, TOO_LARGE)."""
        if len(endpoint) > MOST_ENDPOINT:
            raise Refused(Code.TOO_LARGE, f"a push address has at most {MOST_ENDPOINT} characters")
        if not endpoint.isascii() or any(not "!" <= letter <= "~" or letter in '\\"<>' for letter in endpoint):
            raise Refused(Code.MALFORMED, "a push address has printable characters only")
        if not (local and _below(endpoint, local)):
            host = _host(endpoint)
            if not any(host == one or (one.startswith("*.") and host.endswith(one[1:])) for one in services):
                raise Refused(Code.NOT_ALLOWED, "this is no push service we send to")
        key, secret = unb64u(p256dh[:128]), unb64u(auth[:64])
        if len(key) != POINT or len(secret) != AUTH:
            raise Refused(Code.MALFORMED, "a subscription has a point of 65 bytes and a secret of 16")
        PublicKey.from_point(key)
        return cls(endpoint, key, secret)

    @property
    def origin(self) -> str:
        """RFC 6454, of an address that was parsed."""
        return "/".join(self.endpoint.split("/", 3)[:3])

    def seal(self, content: bytes) -> bytes:
        """RFC 8291 4: one record, to this browser. The sender's key and the salt are `cryptography`'s and the operating
        system's own chance, never an argument: a pair that came twice would give the message away."""
        once = ec.generate_private_key(ec.SECP256R1())
        body: bytes = http_ece.encrypt(
            content, private_key=once, dh=self.key, auth_secret=self.auth, version="aes128gcm", rs=MOST_BODY
        )
        if len(body) > MOST_BODY:
            raise Refused(Code.TOO_LARGE, "a push message has at most 4096 bytes")
        return body


def vapid(signer: Signing, origin: str, contact: str, now: datetime) -> str:
    """The Authorization header (RFC 8292 3): who sends, to this push service, for half a day."""
    claims = {"aud": origin, "exp": int(now.timestamp()) + VAPID_LIFE, "sub": contact}
    return f"vapid t={sign_jws(signer, {'typ': 'JWT'}, claims)}, k={b64u(point(signer))}"


def point(signer: Signing) -> bytes:
    """What a browser is given as `applicationServerKey`."""
    return b"\x04" + unb64u(signer.jwk["x"]) + unb64u(signer.jwk["y"])


def read_vapid(header: str, origin: str, now: datetime) -> bytes:
    """What a push service checks (RFC 8292 4.2): 1 the seal  2 the audience  3 the time. The sender's public key."""
    matched = _VAPID.fullmatch(header)
    if matched is None:
        raise Refused(Code.NOT_SIGNED_IN, "one Authorization header of the vapid scheme is needed")
    key = unb64u(matched[2])
    if len(key) != POINT:
        raise Refused(Code.MALFORMED, "the key is no point of 65 bytes")
    jws = Jws.parse(matched[1], typ="JWT", limit=2048)
    with step("seal"):
        jws.verify(PublicKey.from_point(key))
    claims = jws.claims()
    with step("audience"):
        if claims.get("aud") != origin:
            raise Refused(Code.WRONG_AUDIENCE, "this token is for another push service")
    with step("time"):
        check_times(claims, now, need=("exp",))
        if int(claims["exp"]) > int(now.timestamp()) + 2 * VAPID_LIFE:
            raise Refused(Code.EXPIRED, "a token is good for a day at the most")
    return key


def _host(endpoint: str) -> str:
    """Of an https address at its usual port, without a sign-in or a fragment. An address in numbers is no host here."""
    matched = _ENDPOINT.fullmatch(endpoint)
    host = matched[1] if matched is not None else ""
    if not _HOST.fullmatch(host) or not host.rpartition(".")[2].isalpha():
        raise Refused(Code.NOT_ALLOWED, "a push address is https, at a host's name in small letters, without port")
    return host


def _below(endpoint: str, local: str) -> bool:
    return endpoint.startswith(local) and re.fullmatch(r"[A-Za-z0-9_-]{1,64}", endpoint[len(local) :]) is not None
