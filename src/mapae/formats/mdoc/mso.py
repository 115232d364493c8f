"""The mobile security object: digests of all elements, the device's key, dates and status (ISO/IEC 18013-5 9.1.2.4).

Promises: an `Mso` that exists is well-formed. Trusts: nobody; who signed it is the caller's matter. Keeps: nothing.
Refuses: digests and device keys that `Algorithms` does not list, dates in a wrong order. An unknown member of the
object, of deviceKeyInfo or of validityInfo is for later editions and is passed over; a status by a mechanism we do not
know is remembered as one that nobody has read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from mapae.errors import Code, Refused
from mapae.formats import cbor, cose
from mapae.formats.mdoc.values import Validity, mapping, with_dates
from mapae.formats.status import StatusRef

MAX_ITEMS: Final = 512
MAX_NAMESPACES: Final = 64
_AUTHORIZATIONS = frozenset({"nameSpaces", "dataElements"})
_TEXT, _NUMBER, _BYTES = frozenset({str}), frozenset({int}), frozenset({bytes})
_SIZES = {"SHA-256": frozenset({32}), "SHA-384": frozenset({48}), "SHA-512": frozenset({64})}


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
    device_key: cose.Key
    validity: Validity
    status: StatusRef | None
    authorized: KeyAuthorizations | None = None
    hash: str = "SHA-256"
    unread: bool = False  # its status is kept by mechanisms we do not know, and by no other

    @classmethod
    def parse(cls, payload: bytes | None, algorithms: cose.Algorithms = cose.ES256_ONLY) -> Mso:
        if payload is None:
            raise Refused(Code.MALFORMED, "the security object is missing")
        raw = mapping(with_dates(cbor.unwrap(payload)), "the security object")
        if raw.get("version") != "1.0":
            raise Refused(Code.UNSUPPORTED, "the security object is of another version")
        hash_ = raw.get("digestAlgorithm")
        if type(hash_) is not str or hash_ not in algorithms.digests:
            raise Refused(Code.UNSUPPORTED, "elements are digested with another hash than SHA-256")
        doctype = raw.get("docType")
        if type(doctype) is not str:
            raise Refused(Code.MALFORMED, "the security object has no docType")
        if not _TEXT.issuperset(map(type, raw)):
            raise Refused(Code.MALFORMED, "a member of the security object is not named by text")
        key_info = mapping(raw.get("deviceKeyInfo"), "deviceKeyInfo")
        authorized, status = key_info.get("keyAuthorizations"), _status(raw["status"]) if "status" in raw else None
        return cls(
            doctype,
            _digests(raw.get("valueDigests"), _SIZES[hash_]),
            algorithms.key(key_info.get("deviceKey")),
            _validity(raw.get("validityInfo")),
            status,
            None if authorized is None else KeyAuthorizations.parse(authorized),
            hash_,
            status is None and bool(raw.get("status")),
        )


def _digests(value: Any, size: frozenset[int]) -> Mapping[str, Mapping[int, bytes]]:
    digests = mapping(value, "valueDigests")
    if len(digests) > MAX_NAMESPACES:
        raise Refused(Code.TOO_LARGE, "the security object has too many namespaces")
    for namespace, some in digests.items():
        if (
            type(namespace) is not str
            or type(some) is not dict
            or not _NUMBER.issuperset(map(type, some))
            or not _BYTES.issuperset(map(type, some.values()))
            or not size.issuperset(map(len, some.values()))
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
