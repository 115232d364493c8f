"""What an issuer signed: salted items and the mobile security object over their digests (ISO/IEC 18013-5 9.1.2).

Promises: `open` gives elements whose digests the issuer signed, and nothing else: an element, or a whole namespace,
without a digest is refused. Trusts: the key the caller found for the issuer. Keeps: the bytes of each item, because
digests are over bytes. Refuses: digests other than SHA-256, algorithms other than ES256, device keys off P-256. An
unknown member of the security object, of deviceKeyInfo or of validityInfo is for later editions and is passed over; a
status by a mechanism we do not know is no status. Validity and status are read here and judged by the caller.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from mapae.errors import Code, Refused
from mapae.formats import cbor, cose
from mapae.formats.jose import PublicKey
from mapae.formats.mdoc.values import Validity, element, mapping, plain, with_dates
from mapae.formats.status import StatusRef

MAX_MDOC: Final = 262_144
MAX_ITEMS: Final = 512
MAX_NAMESPACES: Final = 64
KEY_AUTH, KEY_NAMESPACES = cbor.text("issuerAuth"), cbor.text("nameSpaces")
_ISSUER_SIGNED = frozenset({"nameSpaces", "issuerAuth"})
_AUTHORIZATIONS = frozenset({"nameSpaces", "dataElements"})
_TEXT, _NUMBER, _BYTES = frozenset({str}), frozenset({int}), frozenset({bytes})
_HASH_SIZE = frozenset({32})
_SALT = 16  # ISO/IEC 18013-5 9.1.2.5


class KeyAuthorizations(Struct, frozen=True):
    """Which elements the device may add by its own signature alone (ISO/IEC 18013-5 9.1.2.4 KeyAuthorizations)."""

    namespaces: frozenset[str] = frozenset()
    elements: Mapping[str, frozenset[str]] = {}

    @classmethod
    def parse(cls, value: Any) -> KeyAuthorizations:
        parts = mapping(value, "keyAuthorizations", _AUTHORIZATIONS)
        whole = _names(parts["nameSpaces"]) if "nameSpaces" in parts else frozenset()
        single: dict[str, frozenset[str]] = {}
        for namespace, names in mapping(parts.get("dataElements", {}), "dataElements").items():
            if type(namespace) is not str or namespace in whole:
                raise Refused(Code.MALFORMED, "keyAuthorizations name a namespace twice, or not by text")
            single[namespace] = _names(names)
        return cls(whole, single)

    def encode(self) -> dict[str, Any]:
        parts: dict[str, Any] = {"nameSpaces": sorted(self.namespaces)} if self.namespaces else {}
        if self.elements:
            parts["dataElements"] = {namespace: sorted(names) for namespace, names in self.elements.items()}
        return parts

    def allow(self, namespace: str, name: str) -> bool:
        return namespace in self.namespaces or name in self.elements.get(namespace, ())


def _names(value: Any) -> frozenset[str]:
    if type(value) is not list or not 1 <= len(value) <= MAX_ITEMS or not _TEXT.issuperset(map(type, value)):
        raise Refused(Code.MALFORMED, "keyAuthorizations are not lists of names")
    return frozenset(value)


class Mso(Struct, frozen=True):
    """The mobile security object: what the issuer signs (ISO/IEC 18013-5 9.1.2.4)."""

    doctype: str
    digests: Mapping[str, Mapping[int, bytes]]
    device_key: PublicKey
    validity: Validity
    status: StatusRef | None
    authorized: KeyAuthorizations | None = None

    @classmethod
    def parse(cls, payload: bytes | None) -> Mso:
        if payload is None:
            raise Refused(Code.MALFORMED, "the security object is missing")
        raw = mapping(with_dates(cbor.unwrap(payload)), "the security object")
        if raw.get("version") != "1.0":
            raise Refused(Code.UNSUPPORTED, "the security object is of another version")
        if raw.get("digestAlgorithm") != "SHA-256":
            raise Refused(Code.UNSUPPORTED, "elements are digested with another hash than SHA-256")
        doctype = raw.get("docType")
        if type(doctype) is not str:
            raise Refused(Code.MALFORMED, "the security object has no docType")
        if not _TEXT.issuperset(map(type, raw)):
            raise Refused(Code.MALFORMED, "a member of the security object is not named by text")
        key_info = mapping(raw.get("deviceKeyInfo"), "deviceKeyInfo")
        authorized = key_info.get("keyAuthorizations")
        return cls(
            doctype,
            _digests(raw.get("valueDigests")),
            cose.key_from_cose(key_info.get("deviceKey")),
            _validity(raw.get("validityInfo")),
            _status(raw["status"]) if "status" in raw else None,
            None if authorized is None else KeyAuthorizations.parse(authorized),
        )


def _digests(value: Any) -> Mapping[str, Mapping[int, bytes]]:
    digests = mapping(value, "valueDigests")
    if len(digests) > MAX_NAMESPACES:
        raise Refused(Code.TOO_LARGE, "the security object has too many namespaces")
    for namespace, some in digests.items():
        if (
            type(namespace) is not str
            or type(some) is not dict
            or not _NUMBER.issuperset(map(type, some))
            or not _BYTES.issuperset(map(type, some.values()))
            or not _HASH_SIZE.issuperset(map(len, some.values()))
            or (some and min(some) < 0)
        ):
            raise Refused(Code.MALFORMED, "valueDigests is not a map of digests")
    return digests


def _status(value: Any) -> StatusRef | None:
    """Token Status List 6.3; other mechanisms may stand beside it, or alone (second edition, 9.1.2.6)."""
    mechanisms = mapping(value, "status")
    return StatusRef.parse(value) if "status_list" in mechanisms else None


def _validity(value: Any) -> Validity:
    raw = mapping(value, "validityInfo")
    signed, starts, ends = raw.get("signed"), raw.get("validFrom"), raw.get("validUntil")
    validity = Validity(signed, starts, ends, raw.get("expectedUpdate"))  # type: ignore[arg-type]  # looked at below
    for moment in (signed, starts, ends):
        if type(moment) is not datetime:
            raise Refused(Code.MALFORMED, "not a date and time in UTC without fractions")
    if "expectedUpdate" in raw and type(validity.expected_update) is not datetime:
        raise Refused(Code.MALFORMED, "not a date and time in UTC without fractions")
    if validity.valid_from < validity.signed or validity.valid_until <= validity.valid_from:  # 9.1.2.4
        raise Refused(Code.MALFORMED, "the validity period is upside down")
    return validity


class Item(Struct, frozen=True):
    """One element as the issuer salted it, with the bytes its digest is over."""

    number: int
    name: str
    value: Any
    raw: bytes

    @classmethod
    def parse(cls, value: Any) -> Item:
        inner = cbor.embedded(value)
        item = element(inner)
        if type(item) is not dict or len(item) != 4 or "elementValue" not in item:
            raise Refused(Code.MALFORMED, "an element is not a number, a salt, a name and a value")
        number, name, random = item.get("digestID"), item.get("elementIdentifier"), item.get("random")
        if type(number) is not int or type(name) is not str or number < 0:
            raise Refused(Code.MALFORMED, "an element is not a number, a salt, a name and a value")
        if type(random) is not bytes or len(random) < _SALT:
            raise Refused(Code.MALFORMED, "an element's salt is shorter than 16 bytes")
        return cls(number, name, plain(item["elementValue"]), cbor.embed(inner))


class IssuerSigned(Struct, frozen=True, eq=False):
    """What the issuer made, in whole or as far as disclosed. Parsed; verified only by `open`."""

    items: Mapping[str, tuple[Item, ...]]
    auth: cose.Sign1
    mso: Mso
    raw: bytes | None = None

    @classmethod
    def parse(cls, raw: bytes, *, limit: int = MAX_MDOC) -> IssuerSigned:
        return cls.of(cbor.scan(raw, limit=limit), raw)

    @classmethod
    def of(cls, value: Any, raw: bytes | None = None) -> IssuerSigned:
        """From the decoded map, as it stands inside a DeviceResponse."""
        parts = mapping(value, "issuerSigned", _ISSUER_SIGNED)
        auth = cose.Sign1.parse(parts.get("issuerAuth"))
        items: dict[str, tuple[Item, ...]] = {}
        for namespace, some in mapping(parts.get("nameSpaces", {}), "nameSpaces").items():
            if type(namespace) is not str or type(some) is not list or not 1 <= len(some) <= MAX_ITEMS:
                raise Refused(Code.MALFORMED, "a namespace is not a list of elements")
            items[namespace] = tuple([Item.parse(item) for item in some])
        return cls(items, auth, Mso.parse(auth.payload), raw)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, IssuerSigned):
            return NotImplemented
        return (self.items, self.auth, self.mso) == (other.items, other.auth, other.mso)

    __hash__ = None  # type: ignore[assignment]  # maps inside

    def encode(self) -> bytes:
        if self.raw is not None:
            return self.raw
        namespaces = {name: [item.raw for item in some] for name, some in self.items.items()}
        shown = KEY_NAMESPACES + namespaces_bytes(namespaces) if namespaces else b""
        return cbor.head(5, 1 + bool(shown)) + KEY_AUTH + cbor.dumps(self.auth.encode()) + shown

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
        sha256 = hashlib.sha256
        shown: dict[str, Any] = {}
        numbers: set[int] = set()
        for item in some:
            if digests.get(item.number) != sha256(item.raw).digest():
                raise Refused(Code.BAD_DIGEST, "an element is not covered by the issuer's signature")
            numbers.add(item.number)
            shown[item.name] = item.value
        if len(shown) != len(some) or len(numbers) != len(some):
            raise Refused(Code.MALFORMED, "an element appears twice")
        return shown

    def disclose(self, wanted: Mapping[str, Iterable[str]]) -> IssuerSigned:
        kept: dict[str, tuple[Item, ...]] = {}
        for namespace, names in wanted.items():
            asked = set(names)
            some = tuple([item for item in self.items.get(namespace, ()) if item.name in asked])
            if some:
                kept[namespace] = some
        return IssuerSigned(kept, self.auth, self.mso)


def namespaces_bytes(items: Mapping[str, Sequence[bytes]]) -> bytes:
    rows = [cbor.text(name) + cbor.head(4, len(some)) + b"".join(some) for name, some in items.items()]
    return cbor.head(5, len(rows)) + b"".join(sorted(rows))
