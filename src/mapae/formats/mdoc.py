"""ISO/IEC 18013-5:2021 mdoc: issuer-signed items, mobile security object, device response, device signature.

Promises: `open` gives elements whose digests the issuer signed, and nothing else: an element, or a whole namespace,
without a digest is refused. Trusts: the key the caller found for the issuer. Keeps: the bytes of each item, because
digests are over bytes. Refuses: digests other than SHA-256, algorithms other than ES256, dates with fractions or
offsets, elements signed by the device alone, device MACs (they belong to proximity), a docType that differs from the
signed one. Validity and status are read here and judged by the caller.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, Final

from mapae.errors import Code, Refused
from mapae.formats import cbor, cose
from mapae.formats.cbor import Tag
from mapae.formats.jose import PublicKey, Signing
from mapae.formats.status import StatusRef

MAX_MDOC: Final = 262_144
MAX_ITEMS: Final = 512
MAX_DOCUMENTS: Final = 8
_TDATE, _FULL_DATE = 0, 1004
_UTC = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_RANDOM = 24  # bytes; ISO/IEC 18013-5 9.1.2.5 asks for at least 16
_ISSUER_SIGNED = frozenset({"nameSpaces", "issuerAuth"})
_DEVICE_SIGNED = frozenset({"nameSpaces", "deviceAuth"})
_DOCUMENT = frozenset({"docType", "issuerSigned", "deviceSigned", "errors"})
_RESPONSE = frozenset({"version", "documents", "documentErrors", "status"})
_NO_NAMESPACES = cbor.embed(b"\xa0")
_DEVICE_AUTH = b"\x84" + cbor.text("DeviceAuthentication")


@dataclass(frozen=True, slots=True)
class Validity:
    """ISO/IEC 18013-5 9.1.2.4 ValidityInfo."""

    signed: datetime
    valid_from: datetime
    valid_until: datetime
    expected_update: datetime | None = None


# --- issuing ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Draft:
    """All of the mdoc but the issuer's signature."""

    signing_input: bytes
    _namespaces: bytes
    _unprotected: bytes
    _payload: bytes

    def complete(self, signature: bytes) -> bytes:
        """IssuerSigned; OpenID4VCI 1.0 A.2.4 carries it in base64url."""
        auth = b"\x84" + cbor.bstr(cose.PROTECTED) + self._unprotected + cbor.bstr(self._payload)
        return b"\xa2" + _KEY_AUTH + auth + cbor.bstr(signature) + _KEY_NAMESPACES + self._namespaces


_KEY_AUTH, _KEY_NAMESPACES = cbor.text("issuerAuth"), cbor.text("nameSpaces")
_MSO_STATUS, _MSO_DOCTYPE = cbor.text("status"), cbor.text("docType")
_MSO_VERSION = cbor.text("version") + cbor.text("1.0") + cbor.text("validityInfo")
_MSO_DIGESTS, _MSO_KEY = cbor.text("valueDigests"), cbor.text("deviceKeyInfo") + b"\xa1" + cbor.text("deviceKey")
_MSO_HASH = cbor.text("digestAlgorithm") + cbor.text("SHA-256")
_HASH = cbor.head(2, 32)
_TAG_FULL_DATE = cbor.head(6, _FULL_DATE)
_ITEM_RANDOM = b"\xa4" + cbor.text("random") + cbor.head(2, _RANDOM)
_ITEM_ID, _ITEM_VALUE, _ITEM_NAME = (cbor.text(name) for name in ("digestID", "elementValue", "elementIdentifier"))


def draft(
    doctype: str,
    namespaces: Mapping[str, Mapping[str, Any]],
    *,
    device_key: PublicKey,
    validity: Validity,
    x5chain: Sequence[bytes],
    status: StatusRef | None,
    entropy: Callable[[int], bytes],
) -> Draft:
    """Digest each element; the number of an element is its place in a shuffled order, so it says nothing.

    Fixed parts are laid down as bytes: encoding the same as dicts takes twice as long.
    """
    items: dict[str, list[bytes]] = {}
    digests: dict[str, dict[int, bytes]] = {}
    sha256 = hashlib.sha256
    for namespace, elements in namespaces.items():
        raw = entropy(_RANDOM * len(elements))
        salts = [raw[at : at + _RANDOM] for at in range(0, len(raw), _RANDOM)]
        lots = [sha256(salt).digest() for salt in salts]
        order = sorted(range(len(elements)), key=lots.__getitem__)
        rows: list[tuple[int, bytes]] = []
        for number, salt, (name, value) in zip(order, salts, elements.items(), strict=True):
            middle = _encoded(value)
            parts = (_ITEM_RANDOM, salt, _ITEM_ID, cbor.head(0, number), _ITEM_VALUE, middle, _element_name(name))
            rows.append((number, cbor.embed(b"".join(parts))))
        items[namespace] = [item for _, item in rows]
        digests[namespace] = {number: sha256(item).digest() for number, item in rows}
    payload = cbor.embed(_mso_bytes(doctype, digests, device_key, validity, status))
    return Draft(cose.to_be_signed(payload), _namespaces_bytes(items), _unprotected(tuple(x5chain)), payload)


def _mso_bytes(
    doctype: str, digests: Mapping[str, Mapping[int, bytes]], device_key: PublicKey, validity: Validity,
    status: StatusRef | None,
) -> bytes:  # fmt: skip
    """ISO/IEC 18013-5 9.1.2.4, members in their deterministic order (RFC 8949 4.2.1)."""
    rows = [
        cbor.text(name) + cbor.head(5, len(some)) + b"".join([cbor.head(0, n) + _HASH + some[n] for n in sorted(some)])
        for name, some in digests.items()
    ]
    parts = (
        cbor.head(5, 6 if status is None else 7),
        b"" if status is None else _MSO_STATUS + cbor.dumps(status.claim()),
        _MSO_DOCTYPE,
        cbor.text(doctype),
        _MSO_VERSION,
        _validity_bytes(validity),
        _MSO_DIGESTS,
        cbor.head(5, len(rows)),
        *sorted(rows),
        _MSO_KEY,
        cose.key_bytes(device_key),
        _MSO_HASH,
    )
    return b"".join(parts)


@lru_cache(maxsize=64)
def _unprotected(x5chain: tuple[bytes, ...]) -> bytes:
    return cbor.dumps({cose.X5CHAIN: cose.x5chain_value(x5chain)})


def _encoded(value: Any) -> bytes:
    """An element's value: what nearly all are in one step, the rest through the encoder."""
    kind = type(value)
    if kind is str:
        return cbor.text(value)
    if kind is bytes:
        return cbor.bstr(value)
    if kind is bool:
        return b"\xf5" if value else b"\xf4"
    if kind is date:
        return _TAG_FULL_DATE + cbor.text(value.isoformat())
    return cbor.dumps(_wire(value))


@lru_cache(maxsize=1024)
def _element_name(name: str) -> bytes:
    return _ITEM_NAME + cbor.text(name)


def _namespaces_bytes(items: Mapping[str, Sequence[bytes]]) -> bytes:
    rows = [cbor.text(name) + cbor.head(4, len(some)) + b"".join(some) for name, some in items.items()]
    return cbor.head(5, len(rows)) + b"".join(sorted(rows))


@lru_cache(maxsize=256)
def _validity_bytes(validity: Validity) -> bytes:
    """The copies of a batch share it."""
    wire = {
        "signed": _wire(validity.signed),
        "validFrom": _wire(validity.valid_from),
        "validUntil": _wire(validity.valid_until),
    }
    if validity.expected_update is not None:
        wire["expectedUpdate"] = _wire(validity.expected_update)
    return cbor.dumps(wire)


_SCALARS = frozenset({str, bytes, int, bool, float, type(None)})


def _wire(value: Any) -> Any:
    """Dates as ISO/IEC 18013-5 7.2.1 tags them: tdate without fractions in UTC, full-date as tag 1004."""
    if type(value) in _SCALARS:
        if type(value) is int and not -(2**63) <= value < 2**64:
            raise Refused(Code.LINT, "a number does not fit 64 bits")
        return value
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise Refused(Code.LINT, "a time has no time zone")
        return Tag(_TDATE, value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    if isinstance(value, date):
        return Tag(_FULL_DATE, value.isoformat())
    if isinstance(value, Mapping):
        return {name: _wire(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_wire(inner) for inner in value]
    raise Refused(Code.LINT, "an element's value is of a type mdoc does not have")


# --- reading ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mso:
    """The mobile security object: what the issuer signs (ISO/IEC 18013-5 9.1.2.4)."""

    doctype: str
    digests: Mapping[str, Mapping[int, bytes]]
    device_key: PublicKey
    validity: Validity
    status: StatusRef | None

    @classmethod
    def parse(cls, payload: bytes | None) -> Mso:
        if payload is None:
            raise Refused(Code.MALFORMED, "the security object is missing")
        raw = _map(cbor.loads(cbor.embedded(cbor.loads(payload))), "the security object")
        if raw.get("version") != "1.0":
            raise Refused(Code.UNSUPPORTED, "the security object is of another version")
        if raw.get("digestAlgorithm") != "SHA-256":
            raise Refused(Code.UNSUPPORTED, "elements are digested with another hash than SHA-256")
        doctype = raw.get("docType")
        if not isinstance(doctype, str):
            raise Refused(Code.MALFORMED, "the security object has no docType")
        digests = _map(raw.get("valueDigests"), "valueDigests")
        for namespace, some in digests.items():
            if type(namespace) is not str or not all(
                type(number) is int and number >= 0 and type(digest) is bytes and len(digest) == 32
                for number, digest in _map(some, "valueDigests").items()
            ):
                raise Refused(Code.MALFORMED, "valueDigests is not a map of digests")
        key_info = _map(raw.get("deviceKeyInfo"), "deviceKeyInfo")
        return cls(
            doctype,
            digests,
            cose.key_from_cose(key_info.get("deviceKey")),
            _validity(raw.get("validityInfo")),
            StatusRef.parse(raw["status"]) if "status" in raw else None,
        )


@dataclass(frozen=True, slots=True)
class Item:
    """One element as the issuer salted it, with the bytes its digest is over."""

    number: int
    name: str
    value: Any
    raw: bytes

    @classmethod
    def parse(cls, value: Any) -> Item:
        inner = cbor.embedded(value)
        item = _map(cbor.loads(inner), "an element")
        number, name, random = item.get("digestID"), item.get("elementIdentifier"), item.get("random")
        if len(item) != 4 or "elementValue" not in item or type(number) is not int or type(name) is not str:
            raise Refused(Code.MALFORMED, "an element is not a number, a salt, a name and a value")
        if type(random) is not bytes or len(random) < 16:
            raise Refused(Code.MALFORMED, "an element's salt is shorter than 16 bytes")
        return cls(number, name, _plain(item["elementValue"]), cbor.embed(inner))


@dataclass(frozen=True, slots=True)
class IssuerSigned:
    """What the issuer made, in whole or as far as disclosed. Parsed; verified only by `open`."""

    items: Mapping[str, tuple[Item, ...]]
    auth: cose.Sign1
    mso: Mso
    raw: bytes | None = field(default=None, compare=False, repr=False)

    @classmethod
    def parse(cls, raw: bytes, *, limit: int = MAX_MDOC) -> IssuerSigned:
        parsed = cls.of(cbor.loads(raw, limit=limit))
        return cls(parsed.items, parsed.auth, parsed.mso, raw)

    @classmethod
    def of(cls, value: Any) -> IssuerSigned:
        """From the decoded map, as it stands inside a DeviceResponse."""
        parts = _map(value, "issuerSigned", _ISSUER_SIGNED)
        auth = cose.Sign1.parse(parts.get("issuerAuth"))
        items: dict[str, tuple[Item, ...]] = {}
        for namespace, some in _map(parts.get("nameSpaces", {}), "nameSpaces").items():
            if type(namespace) is not str or not isinstance(some, list | tuple) or not 1 <= len(some) <= MAX_ITEMS:
                raise Refused(Code.MALFORMED, "a namespace is not a list of elements")
            items[namespace] = tuple([Item.parse(item) for item in some])
        return cls(items, auth, Mso.parse(auth.payload))

    def encode(self) -> bytes:
        if self.raw is not None:
            return self.raw
        namespaces = {name: [item.raw for item in some] for name, some in self.items.items()}
        shown = _KEY_NAMESPACES + _namespaces_bytes(namespaces) if namespaces else b""
        return cbor.head(5, 1 + bool(shown)) + _KEY_AUTH + cbor.dumps(self.auth.encode()) + shown

    @property
    def x5chain(self) -> tuple[bytes, ...]:
        return self.auth.x5chain

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        return {namespace: tuple([item.name for item in some]) for namespace, some in self.items.items()}

    def open(self, key: PublicKey) -> dict[str, dict[str, Any]]:
        """The elements by namespace, once signature and every digest fit (ISO/IEC 18013-5 9.3.1)."""
        self.auth.verify(key)
        return self.peek()

    def peek(self) -> dict[str, dict[str, Any]]:
        """The same before anybody has vouched for the security object; digests are compared all the same."""
        return {namespace: self._open(namespace, some) for namespace, some in self.items.items()}

    def _open(self, namespace: str, some: tuple[Item, ...]) -> dict[str, Any]:
        digests = self.mso.digests.get(namespace, {})
        shown: dict[str, Any] = {}
        numbers: set[int] = set()
        for item in some:
            if item.name in shown or item.number in numbers:
                raise Refused(Code.MALFORMED, "an element appears twice")
            if digests.get(item.number) != hashlib.sha256(item.raw).digest():
                raise Refused(Code.BAD_DIGEST, "an element is not covered by the issuer's signature")
            numbers.add(item.number)
            shown[item.name] = item.value
        return shown

    def disclose(self, wanted: Mapping[str, Iterable[str]]) -> IssuerSigned:
        kept: dict[str, tuple[Item, ...]] = {}
        for namespace, names in wanted.items():
            asked = set(names)
            some = tuple([item for item in self.items.get(namespace, ()) if item.name in asked])
            if some:
                kept[namespace] = some
        return IssuerSigned(kept, self.auth, self.mso)


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a DeviceResponse: what the issuer signed, and the device's signature over this session."""

    doctype: str
    issuer_signed: IssuerSigned
    device_auth: cose.Sign1

    @classmethod
    def of(cls, value: Any) -> Document:
        parts = _map(value, "a document", _DOCUMENT)
        doctype = parts.get("docType")
        issuer_signed = IssuerSigned.of(parts.get("issuerSigned"))
        device = _map(parts.get("deviceSigned"), "deviceSigned", _DEVICE_SIGNED)
        if doctype != issuer_signed.mso.doctype:  # ISO/IEC 18013-5 9.3.1 step 4
            raise Refused(Code.MALFORMED, "the docType is not the one the issuer signed")
        if cbor.loads(cbor.embedded(device.get("nameSpaces"))) != {}:
            # ISO/IEC 18013-5 9.1.2.4 keyAuthorizations would have to allow them; we never do.
            raise Refused(Code.UNSUPPORTED, "elements signed by the device alone are not accepted")
        auth = _map(device.get("deviceAuth"), "deviceAuth")
        if list(auth) != ["deviceSignature"]:
            raise Refused(Code.UNSUPPORTED, "the device must sign, and only sign")
        device_auth = cose.Sign1.parse(auth["deviceSignature"])
        return cls(issuer_signed.mso.doctype, issuer_signed, device_auth)

    def check_device(self, session_transcript: bytes) -> None:
        """ISO/IEC 18013-5 9.1.3: the key the issuer bound signed for this session."""
        try:
            self.device_auth.verify(
                self.issuer_signed.mso.device_key, payload=device_authentication(self.doctype, session_transcript)
            )
        except Refused as refused:
            raise Refused(Code.BAD_HOLDER_PROOF, f"the device's signature: {refused.detail}") from None


@dataclass(frozen=True, slots=True)
class DeviceResponse:
    documents: tuple[Document, ...]
    raw: bytes = field(compare=False, repr=False)

    @classmethod
    def parse(cls, raw: bytes, *, limit: int = MAX_MDOC) -> DeviceResponse:
        parts = _map(cbor.loads(raw, limit=limit), "the response", _RESPONSE)
        if parts.get("version") != "1.0":
            raise Refused(Code.UNSUPPORTED, "the response is of another version")
        if parts.get("status") != 0 or type(parts["status"]) is not int:
            raise Refused(Code.MALFORMED, "the response reports an error")
        documents = parts.get("documents")
        if not isinstance(documents, list | tuple) or not 1 <= len(documents) <= MAX_DOCUMENTS:
            raise Refused(Code.MALFORMED, "the response holds no document, or too many")
        return cls(tuple([Document.of(document) for document in documents]), raw)

    def encode(self) -> bytes:
        return self.raw


# --- presenting ---------------------------------------------------------------------------------------------------


def device_authentication(doctype: str, session_transcript: bytes) -> bytes:
    """DeviceAuthenticationBytes, with no device-signed elements (ISO/IEC 18013-5 9.1.3.4)."""
    return cbor.embed(_DEVICE_AUTH + session_transcript + cbor.text(doctype) + _NO_NAMESPACES)


def present(issuer_signed: IssuerSigned, *, session_transcript: bytes, holder: Signing) -> bytes:
    """A DeviceResponse with one document and the device's signature for this session."""
    doctype = issuer_signed.mso.doctype
    signature = holder.sign(cose.to_be_signed(device_authentication(doctype, session_transcript)))
    auth = b"\x84" + cbor.bstr(cose.PROTECTED) + b"\xa0\xf6" + cbor.bstr(signature)
    device_signed = (b"\xa2" + cbor.text("deviceAuth") + b"\xa1" + cbor.text("deviceSignature") + auth) + (
        _KEY_NAMESPACES + _NO_NAMESPACES
    )
    document = (
        b"\xa3"
        + (cbor.text("docType") + cbor.text(doctype))
        + (cbor.text("deviceSigned") + device_signed)
        + (cbor.text("issuerSigned") + issuer_signed.encode())
    )
    return (
        (b"\xa3" + cbor.text("status") + b"\x00")
        + (cbor.text("version") + cbor.text("1.0"))
        + (cbor.text("documents") + b"\x81" + document)
    )


def openid4vp_transcript(*, client_id: str, nonce: str, response_uri: str, thumbprint: bytes | None) -> bytes:
    """OpenID4VP 1.0 B.2.6.1; `thumbprint` is that of the key the response is encrypted to, None when it is not."""
    info = cbor.dumps([client_id, nonce, thumbprint, response_uri])
    return _transcript("OpenID4VPHandover", info)


def openid4vp_dc_api_transcript(*, origin: str, nonce: str, thumbprint: bytes | None) -> bytes:
    """OpenID4VP 1.0 B.2.6.2, for the Digital Credentials API."""
    return _transcript("OpenID4VPDCAPIHandover", cbor.dumps([origin, nonce, thumbprint]))


def _transcript(handover: str, info: bytes) -> bytes:
    return cbor.dumps([None, None, [handover, hashlib.sha256(info).digest()]])


# --- values -------------------------------------------------------------------------------------------------------


def _map(value: Any, what: str, only: frozenset[str] | None = None) -> Mapping[Any, Any]:
    """A map; where the standard lists its members, with no others, lest a misspelt one pass for one left out."""
    if type(value) is not dict and not isinstance(value, Mapping):  # asking an abstract class costs ten times as much
        raise Refused(Code.MALFORMED, f"{what} is missing or not a map")
    if only is not None and not value.keys() <= only:
        raise Refused(Code.MALFORMED, f"{what} has a member it should not have")
    return value


def _validity(value: Any) -> Validity:
    raw = _map(value, "validityInfo")
    signed, valid_from, valid_until = (_tdate(raw.get(name)) for name in ("signed", "validFrom", "validUntil"))
    update = _tdate(raw["expectedUpdate"]) if "expectedUpdate" in raw else None
    if valid_from < signed or valid_until <= valid_from:  # ISO/IEC 18013-5 9.1.2.4
        raise Refused(Code.MALFORMED, "the validity period is upside down")
    return Validity(signed, valid_from, valid_until, update)


def _tdate(value: Any) -> datetime:
    """ISO/IEC 18013-5 9.1.2.4: RFC 3339 in UTC, no fractions of a second, no offset."""
    if type(value) is Tag and value.tag == _TDATE and type(value.value) is str and _UTC.fullmatch(value.value):
        try:
            return datetime.fromisoformat(value.value)
        except ValueError:
            pass
    raise Refused(Code.MALFORMED, "not a date and time in UTC without fractions")


def _full_date(value: Any) -> date:
    try:
        day = date.fromisoformat(value)
    except (ValueError, TypeError):
        raise Refused(Code.MALFORMED, "not a date") from None
    if day.isoformat() != value:  # fromisoformat also reads 20000101 and 2000-W01-6
        raise Refused(Code.MALFORMED, "not a date")
    return day


def _plain(value: Any) -> Any:
    """An element's value without tags: dates become dates; what we cannot name is refused."""
    if type(value) in _SCALARS:
        return value
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if type(value) is Tag and value.tag == _FULL_DATE:
        return _full_date(value.value)
    if type(value) is Tag and value.tag == _TDATE:
        return _tdate(value)
    raise Refused(Code.UNSUPPORTED, "an element's value is of a type we do not read")
