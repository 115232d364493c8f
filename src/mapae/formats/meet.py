"""Meeting over a relay: the one-time code a phone shows, the names of mailboxes, and the request sealed to the phone.

    phone: code = MeetCode.make(relay, channel_of(token), key, now); show code.text; read the mailbox with `token`
    shop:  code = MeetCode.parse(text); code.must_be_live(now); sign a request with wallet_nonce = code.nonce
           put seal(request, code) into the mailbox code.channel
    phone: request = unseal(sealed, key, code); its wallet_nonce must be code.nonce

Promises: a code has one spelling; what `unseal` returns was sealed to this very code: to its key, and for all of it.
Who sealed it, the signature inside says, and by `nonce` that it was signed for this code and no other. Trusts: nobody.
Keeps: nothing. Refuses: another version, members it does not know, an address without TLS, a code out of its time.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from mapae.errors import Code, Refused
from mapae.formats import base45, cbor, cose, jwe
from mapae.formats.jose import PublicKey, b64u

PREFIX: Final = "MAPAE-MEET:"
LIFE: Final = timedelta(seconds=120)  # of a code, and of what lies in a mailbox
SKEW: Final = timedelta(seconds=5)
CHANNEL: Final = 16  # bytes
TOKEN: Final = 32
MAX_TEXT: Final = 1024
_MEMBERS: Final = frozenset({1, 2, 3, 4, 5})
# https anywhere; plain http on one's own machine only, where the demo country runs.
_RELAY: Final = re.compile(
    r"(https://[a-z0-9]([a-z0-9.-]{0,252})|http://(localhost|127\.0\.0\.1))(:[0-9]{1,5})?(/[A-Za-z0-9._~-]{1,64}){0,4}"
)


def channel_of(token: bytes) -> bytes:
    """The mailbox that whoever holds `token` may read: its name is seen by others, its token never."""
    return hashlib.sha256(b"mapae relay mailbox" + token).digest()[:CHANNEL]


def mailbox(relay: str, token: bytes) -> str:
    """Where whoever holds `token` is written to."""
    return f"{relay}/{b64u(channel_of(token))}"


def relay_of(base: str) -> str:
    """The relay of whoever serves at this address."""
    return f"{base.rstrip('/')}/relay"


@dataclass(frozen=True, slots=True)
class MeetCode:
    """What the phone shows. `raw` is what is signed for."""

    relay: str
    channel: bytes
    key: PublicKey
    made: int
    raw: bytes

    @classmethod
    def make(cls, relay: str, channel: bytes, key: PublicKey, now: datetime) -> MeetCode:
        made = int(now.timestamp())
        parts = {1: 1, 2: relay, 3: channel, 4: cose.key_to_cose(key), 5: made}
        return cls._read(cbor.dumps(parts), parts)

    @classmethod
    def parse(cls, text: str) -> MeetCode:
        """Raises Refused(MALFORMED, UNSUPPORTED, TOO_LARGE)."""
        if len(text) > MAX_TEXT:
            raise Refused(Code.TOO_LARGE, "the code is too long")
        if not text.startswith(PREFIX):
            raise Refused(Code.MALFORMED, "this is not a code to meet by")
        raw = base45.decode(text.removeprefix(PREFIX))
        return cls._read(raw, cbor.loads(raw, deterministic=True))

    @classmethod
    def _read(cls, raw: bytes, parts: Any) -> MeetCode:
        if type(parts) is not dict or parts.keys() != _MEMBERS or any(type(label) is not int for label in parts):
            raise Refused(Code.MALFORMED, "the code has not exactly its five members")
        version, relay, channel, key, made = (parts[label] for label in sorted(parts))
        if type(version) is not int or version != 1:
            raise Refused(Code.UNSUPPORTED, "the code is of another version")
        if type(relay) is not str or not _RELAY.fullmatch(relay):
            raise Refused(Code.MALFORMED, "the relay is not an address with TLS")
        if type(channel) is not bytes or len(channel) != CHANNEL:
            raise Refused(Code.MALFORMED, "the mailbox has no name of 16 bytes")
        if type(made) is not int or not 0 < made < 2**33:
            raise Refused(Code.MALFORMED, "the code does not say when it was made")
        return cls(relay, channel, cose.key_from_cose(key), made, raw)

    @property
    def text(self) -> str:
        return PREFIX + base45.encode(self.raw)

    def encode(self) -> str:
        return self.text

    @property
    def nonce(self) -> str:
        """OpenID4VP 1.0 5.10: `wallet_nonce` of the request that is for this code."""
        return b64u(self.digest)

    @property
    def mailbox(self) -> str:
        return f"{self.relay}/{b64u(self.channel)}"

    def must_be_live(self, now: datetime) -> None:
        """Raises Refused(PRESENTATION_STALE, CLOCK_OFF): photographed and shown later, or from the future."""
        age = now.timestamp() - self.made
        if age > (LIFE + SKEW).total_seconds():
            raise Refused(Code.PRESENTATION_STALE, "the code was made too long ago")
        if age < -SKEW.total_seconds():
            raise Refused(Code.CLOCK_OFF, "the code is from the future: a clock is wrong")

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.raw).digest()


def seal(request: str, code: MeetCode) -> bytes:
    """RFC 7516 to the phone's key; `apv` (RFC 7518 4.6.1.3) puts the whole code into the key derivation, so that what a
    relay carries to another code opens there no more than anywhere."""
    return jwe.encrypt(request.encode(), code.key.jwk, apv=code.digest).encode()


def unseal(sealed: bytes, key: jwe.DecryptionKey, code: MeetCode) -> bytes:
    """Raises Refused(MALFORMED, UNSUPPORTED, TOO_LARGE) for whatever was not sealed to this code."""
    try:
        text = sealed.decode("ascii")
    except UnicodeDecodeError:
        raise Refused(Code.MALFORMED, "the message is not sealed") from None
    opened = jwe.decrypt(text, key)
    if opened.header.get("apv") != code.nonce:
        raise Refused(Code.MALFORMED, "the message was sealed for another code")
    return opened.payload
