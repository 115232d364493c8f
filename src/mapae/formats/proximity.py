"""Two devices next to each other: engagement, session keys, encrypted messages (ISO/IEC 18013-5 8.2 and 9.1.1).

    device: key = EphemeralKey(seed); raw = engagement(key.public, [Ble(...)]); show uri(raw) as a QR code
    reader: met = DeviceEngagement.parse(from_uri(text)); own = EphemeralKey(seed)
            transcript = mdoc.qr_transcript(engagement=met.raw, reader_key=own.cose)
            session = Session.of_reader(own, met.key, transcript)
            send establishment(own.cose, session.seal(device_request))
    device: first = Establishment.parse(raw); transcript as above, with first.reader_key_raw
            session = Session.of_device(key, first.reader_key, transcript); session.open(first.data)

Promises: a `Session` never encrypts twice under one counter, nor opens a message out of order, twice, or after one
that did not open. Trusts: the caller's entropy, and that the engagement came from the device it sees. Keeps: nothing
but the session's keys and counters. Refuses: cipher suites other than 1, keys on curves that `Algorithms` does not
list, members the standard does not. Elements of the engagement that later editions add are passed over.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, Final, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from mapae.errors import Code, Refused
from mapae.formats import cbor, cose, p256
from mapae.formats.cbor import Tag
from mapae.formats.jose import PublicKey, b64u, unb64u
from mapae.formats.mdoc.device import Agreeing, session_secret
from mapae.formats.mdoc.issuer_signed import MAX_MDOC
from mapae.formats.mdoc.values import mapping

MAX_ENGAGEMENT: Final = 4_096
MAX_METHODS: Final = 16
MAX_MESSAGE: Final = MAX_MDOC + 1_024
SCHEME: Final = "mdoc:"
# ISO/IEC 18013-5 9.1.1.4, Table 20
ENCRYPTION_ERROR, DECODING_ERROR, TERMINATION = 10, 11, 20
_VERSIONS = ("1.0", "1.1")  # 1.1 adds OriginInfos (ISO/IEC 18013-7)
_TAG = 16


class EphemeralKey:
    """A private key for one session, from 48 or more random bytes (FIPS 186-5 A.2.1). It can agree, not sign."""

    __slots__ = ("_private", "cose", "public")

    def __init__(self, seed: bytes) -> None:
        if len(seed) < 48:
            raise Refused(Code.MALFORMED, "a key needs 48 random bytes")
        self._private = ec.derive_private_key(int.from_bytes(seed, "big") % (p256.N - 1) + 1, ec.SECP256R1())
        self.public = PublicKey.from_crypto(self._private.public_key())
        self.cose = cose.key_bytes(self.public)

    def agree(self, public: cose.Key) -> bytes:
        if not isinstance(public, PublicKey):
            raise Refused(Code.UNSUPPORTED, "the two keys are on different curves")
        return self._private.exchange(ec.ECDH(), public.crypto)


# --- engagement ---------------------------------------------------------------------------------------------------


class Ble(Struct, frozen=True):
    """ISO/IEC 18013-5 8.2.2.3: Bluetooth Low Energy; a mode is supported when it has its UUID, or is said to be."""

    peripheral: bool
    central: bool
    peripheral_uuid: bytes | None = None
    central_uuid: bytes | None = None
    address: bytes | None = None


class Nfc(Struct, frozen=True):
    """8.2.2.3: the longest command and response data field."""

    command: int
    response: int


class Wifi(Struct, frozen=True):
    """8.2.2.3: Wi-Fi Aware."""

    passphrase: str | None = None
    operating_class: int | None = None
    channel: int | None = None
    bands: bytes | None = None


class Other(Struct, frozen=True):
    """A way to transfer we do not know, as it came."""

    type: int
    version: int
    options: Any


Method = Ble | Nfc | Wifi | Other
_NFC, _BLE, _WIFI = 1, 2, 3
_BLE_OPTIONS = ((0, bool), (1, bool), (10, bytes), (11, bytes), (20, bytes))
_NFC_OPTIONS = ((0, int), (1, int))
_WIFI_OPTIONS = ((0, str), (1, int), (2, int), (3, bytes))


def _method(value: Any) -> Method:
    if type(value) is not list or len(value) != 3 or type(value[0]) is not int or type(value[1]) is not int:
        raise Refused(Code.MALFORMED, "a retrieval method is not a type, a version and options")
    type_, version, options = value
    if version != 1 or type_ not in (_NFC, _BLE, _WIFI):
        return Other(type_, version, options)
    if type_ == _NFC:
        command, response = _options(options, _NFC_OPTIONS, needed=2)
        return Nfc(command, response)
    if type_ == _WIFI:
        return Wifi(*_options(options, _WIFI_OPTIONS, needed=0))
    peripheral, central, peripheral_uuid, central_uuid, address = _options(options, _BLE_OPTIONS, needed=2)
    for uuid, supported in ((peripheral_uuid, peripheral), (central_uuid, central)):
        if uuid is not None and (len(uuid) != 16 or not supported):
            raise Refused(Code.MALFORMED, "a Bluetooth UUID is not 16 bytes, or for a mode that is not supported")
    return Ble(peripheral, central, peripheral_uuid, central_uuid, address)


def _options(value: Any, known: Sequence[tuple[int, type]], *, needed: int) -> list[Any]:
    """The options by number; others are for later editions."""
    options = mapping(value, "the options of a retrieval method")
    found = [options.get(number) for number, _ in known]
    for at, (option, (_, kind)) in enumerate(zip(found, known, strict=True)):
        if (option is None and at < needed) or (option is not None and type(option) is not kind):
            raise Refused(Code.MALFORMED, "an option of a retrieval method is missing or of the wrong type")
    return found


def _written(method: Method) -> list[Any]:
    if isinstance(method, Other):
        return [method.type, method.version, method.options]
    if isinstance(method, Nfc):
        return [_NFC, 1, {0: method.command, 1: method.response}]
    if isinstance(method, Wifi):
        return [
            _WIFI,
            1,
            _given(_WIFI_OPTIONS, method.passphrase, method.operating_class, method.channel, method.bands),
        ]
    ways = (method.peripheral, method.central, method.peripheral_uuid, method.central_uuid)
    return [_BLE, 1, _given(_BLE_OPTIONS, *ways, method.address)]


def _given(known: Sequence[tuple[int, type]], *values: Any) -> dict[int, Any]:
    return {number: value for (number, _), value in zip(known, values, strict=True) if value is not None}


class DeviceEngagement(Struct, frozen=True, eq=False):
    """How to reach a device, and its ephemeral key (ISO/IEC 18013-5 8.2.1.1). `origins`: the web sites an engagement
    came from (ISO/IEC 18013-7)."""

    key: cose.Key
    key_raw: bytes
    methods: tuple[Method, ...]
    origins: tuple[str, ...]
    raw: bytes

    @classmethod
    def parse(cls, raw: bytes, algorithms: cose.Algorithms = cose.ES256_ONLY) -> DeviceEngagement:
        parts = mapping(cbor.loads(raw, limit=MAX_ENGAGEMENT), "the engagement")
        if parts.get(0) not in _VERSIONS:
            raise Refused(Code.UNSUPPORTED, "the engagement is of another version")
        if any(type(label) is not int for label in parts):
            raise Refused(Code.MALFORMED, "an element of the engagement is not numbered")
        security = parts.get(1)
        if type(security) is not list or len(security) != 2 or type(security[0]) is not int:
            raise Refused(Code.MALFORMED, "the engagement has no cipher suite and key")
        if security[0] != 1:
            raise Refused(Code.UNSUPPORTED, "the engagement is for another cipher suite")
        key_raw = cbor.embedded(security[1])
        methods, origins = parts.get(2, []), parts.get(5, [])
        if type(methods) is not list or type(origins) is not list or max(len(methods), len(origins)) > MAX_METHODS:
            raise Refused(Code.MALFORMED, "the retrieval methods or origins are not short lists")
        return cls(
            algorithms.key(cbor.loads(key_raw)),
            key_raw,
            tuple([_method(method) for method in methods]),
            tuple([origin for value in origins if (origin := _origin(value)) is not None]),
            raw,
        )

    def encode(self) -> bytes:
        return self.raw


def _origin(value: Any) -> str | None:
    """OriginInfo: category 1 and type 1 are a web site; others say nothing to us."""
    info = mapping(value, "an origin")
    category, kind, details = info.get("cat"), info.get("type"), info.get("details")
    if type(category) is not int or type(kind) is not int:
        raise Refused(Code.MALFORMED, "an origin has no category and type")
    if (category, kind) != (1, 1):
        return None
    domain = mapping(details, "an origin's details").get("domain")
    if type(domain) is not str:
        raise Refused(Code.MALFORMED, "an origin has no domain")
    return domain


def engagement(key: PublicKey, methods: Sequence[Method], *, origins: Sequence[str] = ()) -> bytes:
    parts: dict[int, Any] = {0: "1.1" if origins else "1.0", 1: [1, Tag(cbor.ENCODED, cose.key_bytes(key))]}
    if methods:
        parts[2] = [_written(method) for method in methods]
    if origins:
        parts[5] = [{"cat": 1, "type": 1, "details": {"domain": origin}} for origin in origins]
    return cbor.dumps(parts)


def uri(engagement: bytes) -> str:
    """ISO/IEC 18013-5 8.2.2.3: what the QR code holds."""
    return SCHEME + b64u(engagement)


def from_uri(text: str) -> bytes:
    if not text.startswith(SCHEME):
        raise Refused(Code.MALFORMED, "not the code of a device")
    if len(text) > 2 * MAX_ENGAGEMENT:
        raise Refused(Code.TOO_LARGE, "the code of the device is too large")
    return unb64u(text.removeprefix(SCHEME))


# --- messages -----------------------------------------------------------------------------------------------------


class Establishment(Struct, frozen=True, eq=False):
    """SessionEstablishment, a reader's first message."""

    reader_key: PublicKey
    reader_key_raw: bytes
    data: bytes
    raw: bytes

    @classmethod
    def parse(cls, raw: bytes) -> Establishment:
        parts = mapping(
            cbor.loads(raw, limit=MAX_MESSAGE), "the session's first message", frozenset({"eReaderKey", "data"})
        )
        data, key_raw = parts.get("data"), cbor.embedded(parts.get("eReaderKey"))
        if type(data) is not bytes:
            raise Refused(Code.MALFORMED, "the session's first message has no data")
        return cls(cose.key_from_cose(cbor.loads(key_raw, limit=MAX_ENGAGEMENT)), key_raw, data, raw)

    def encode(self) -> bytes:
        return self.raw


def establishment(reader_key: bytes, data: bytes) -> bytes:
    return cbor.dumps({"eReaderKey": Tag(cbor.ENCODED, reader_key), "data": data})


class SessionData(Struct, frozen=True, eq=False):
    """Every later message: data, a status, or both with the last."""

    data: bytes | None
    status: int | None
    raw: bytes

    @classmethod
    def parse(cls, raw: bytes) -> SessionData:
        parts = mapping(cbor.loads(raw, limit=MAX_MESSAGE), "a message", frozenset({"data", "status"}))
        data, status = parts.get("data"), parts.get("status")
        if not parts or ("data" in parts and type(data) is not bytes):
            raise Refused(Code.MALFORMED, "a message has neither data nor status")
        if "status" in parts and (type(status) is not int or status < 0):
            raise Refused(Code.MALFORMED, "a message's status is not a number")
        return cls(data, status, raw)

    def encode(self) -> bytes:
        return self.raw


def session_data(data: bytes | None = None, status: int | None = None) -> bytes:
    parts = {"data": data, "status": status}
    return cbor.dumps({name: value for name, value in parts.items() if value is not None})


# --- encryption ---------------------------------------------------------------------------------------------------

_READER, _DEVICE = bytes(8), bytes(7) + b"\x01"  # identifiers of 9.1.1.5: who encrypts
_LAST = 2**32 - 1


class Session:
    """One side of an encrypted conversation: AES-256-GCM, each message under its own counter (9.1.1.5).

    There is no way to set a counter, and a session can be neither copied nor stored: what was encrypted under a
    counter stays the only thing that ever is.
    """

    __slots__ = ("_ended", "_ours", "_received", "_sealing", "_sent", "_theirs", "_unsealing")

    def __init__(self, sealing: bytes, unsealing: bytes, ours: bytes, theirs: bytes) -> None:
        self._sealing, self._unsealing = AESGCM(sealing), AESGCM(unsealing)
        self._ours, self._theirs = ours, theirs
        self._sent, self._received = count(1), count(1)  # `next` is one step, whoever else is sending
        self._ended = False

    @classmethod
    def of_device(cls, own: Agreeing, reader: PublicKey, session_transcript: bytes) -> Session:
        device_key, reader_key = _keys(own.agree(reader), session_transcript)
        return cls(device_key, reader_key, _DEVICE, _READER)

    @classmethod
    def of_reader(cls, own: Agreeing, device: cose.Key, session_transcript: bytes) -> Session:
        device_key, reader_key = _keys(own.agree(device), session_transcript)
        return cls(reader_key, device_key, _READER, _DEVICE)

    def seal(self, message: bytes) -> bytes:
        return self._sealing.encrypt(self._nonce(self._ours, self._sent), message, None)

    def open(self, data: bytes) -> bytes:
        """The next message of the other side. After one that does not open, nothing does."""
        nonce = self._nonce(self._theirs, self._received)
        try:
            if not _TAG <= len(data) <= MAX_MESSAGE:
                raise InvalidTag
            return self._unsealing.decrypt(nonce, data, None)
        except InvalidTag:
            self._ended = True
            raise Refused(Code.MALFORMED, "it cannot be decrypted") from None

    def _nonce(self, who: bytes, counter: count[int]) -> bytes:
        number = next(counter)
        if self._ended or number > _LAST:
            raise Refused(Code.SESSION_SPENT, "the session is over")
        return who + number.to_bytes(4, "big")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a session cannot be copied or stored: its counters would be used twice")


def _keys(shared: bytes, session_transcript: bytes) -> tuple[bytes, bytes]:
    return (
        session_secret(shared, session_transcript, b"SKDevice"),
        session_secret(shared, session_transcript, b"SKReader"),
    )
