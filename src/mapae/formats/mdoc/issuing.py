"""Making an mdoc: items, digests, the mobile security object; all but the issuer's signature.

Promises: what `Draft.complete` returns is deterministic CBOR that `IssuerSigned.parse` opens to the same elements;
neither an item's number nor its salt says anything about the element. Trusts: the caller's entropy. Keeps: bounded
caches of what the copies of a batch share (names, dates, chain). Refuses: values an mdoc does not have, more elements
than a reader of ours takes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from struct import unpack_from
from typing import Any, Final

from msgspec import Struct

from mapae.errors import Code, Refused
from mapae.formats import cbor, cose
from mapae.formats.jose import PublicKey
from mapae.formats.mdoc.issuer_signed import KEY_AUTH, KEY_NAMESPACES, namespaces_bytes
from mapae.formats.mdoc.mso import MAX_ITEMS, KeyAuthorizations
from mapae.formats.mdoc.values import Validity, encoded, wire
from mapae.formats.status import StatusRef

_RANDOM: Final = 24  # bytes; ISO/IEC 18013-5 9.1.2.5 asks for at least 16
_LOT: Final = 8  # bytes that decide an item's number

# Members of the MSO in their deterministic order (RFC 8949 4.2.1), which is also the order of these lines.
_STATUS = cbor.text("status") + b"\xa1" + cbor.text("status_list") + b"\xa2" + cbor.text("idx")
_STATUS_URI, _DOCTYPE = cbor.text("uri"), cbor.text("docType")
_VERSION = cbor.text("version") + cbor.text("1.0") + cbor.text("validityInfo")
_DIGESTS, _KEY_INFO, _DEVICE_KEY = cbor.text("valueDigests"), cbor.text("deviceKeyInfo"), cbor.text("deviceKey")
_AUTHORIZED = cbor.text("keyAuthorizations")
_HASH = cbor.text("digestAlgorithm") + cbor.text("SHA-256")

# Fixed parts are laid down as bytes: encoding the same as dicts takes twice as long.
_ITEM_RANDOM = b"\xa4" + cbor.text("random") + cbor.head(2, _RANDOM)
_ITEM_NUMBER = [cbor.text("digestID") + cbor.head(0, n) + cbor.text("elementValue") for n in range(MAX_ITEMS)]
_ITEM_NAME = cbor.text("elementIdentifier")
_DIGEST_NUMBER = [cbor.head(0, n) + cbor.head(2, 32) for n in range(MAX_ITEMS)]
_OPENING = b"\xa2" + KEY_AUTH + b"\x84" + cbor.bstr(cose.PROTECTED)


class Draft(Struct, frozen=True):
    """All of the mdoc but the issuer's signature."""

    signing_input: bytes
    _before: tuple[bytes, ...]
    _namespaces: bytes

    def complete(self, signature: bytes) -> bytes:
        """IssuerSigned; OpenID4VCI 1.0 A.2.4 carries it in base64url."""
        return b"".join((*self._before, cbor.bstr(signature), KEY_NAMESPACES, self._namespaces))


def draft(
    doctype: str,
    namespaces: Mapping[str, Mapping[str, Any]],
    *,
    device_key: PublicKey,
    validity: Validity,
    x5chain: Sequence[bytes],
    status: StatusRef | None,
    entropy: Callable[[int], bytes],
    authorized: KeyAuthorizations | None = None,
) -> Draft:
    """Digest each element; its number is its place in a shuffled order. `authorized`: what the device may add alone."""
    items: dict[str, list[bytes]] = {}
    digests: list[bytes] = []
    for namespace, elements in namespaces.items():
        shown, digested = _items(elements, entropy)
        items[namespace] = shown
        digests.append(b"".join((cbor.text(namespace), cbor.head(5, len(shown)), *digested)))
    if len(digests) > 1:
        digests.sort()
    mso = (
        *_before_digests(doctype, validity, status),
        cbor.head(5, len(digests)),
        *digests,
        _KEY_INFO,
        *_device_key(device_key, authorized),
        _HASH,
    )
    payload = cbor.bstr(cbor.embed(b"".join(mso)))
    before = (_OPENING, _unprotected(tuple(x5chain)), payload)
    return Draft(cose.SIGNED_AS_WE_DO + payload, before, namespaces_bytes(items))


def _items(elements: Mapping[str, Any], entropy: Callable[[int], bytes]) -> tuple[list[bytes], list[bytes]]:
    """Each element salted, as it is shown, in the order given; and its digest, in the order of the numbers."""
    count = len(elements)
    if count > MAX_ITEMS:
        raise Refused(Code.LINT, "a namespace has too many elements")
    raw = entropy((_RANDOM + _LOT) * count)
    lots = unpack_from(f"<{count}Q", raw)
    numbers = sorted(range(count), key=lots.__getitem__)
    shown, digested = [], [b""] * count
    sha256, at = hashlib.sha256, _LOT * count
    for number, (name, value) in zip(numbers, elements.items(), strict=True):
        salt = raw[at : at + _RANDOM]
        at += _RANDOM
        item = cbor.embed(_ITEM_RANDOM + salt + _ITEM_NUMBER[number] + encoded(value) + _element_name(name))
        shown.append(item)
        digested[number] = _DIGEST_NUMBER[number] + sha256(item).digest()
    return shown, digested


def _before_digests(doctype: str, validity: Validity, status: StatusRef | None) -> tuple[bytes, ...]:
    shared = _doctype_and_validity(doctype, validity)
    if status is None:
        return (b"\xa6", shared)
    return (b"\xa7", _STATUS, cbor.head(0, status.index), _STATUS_URI, cbor.text(status.uri), shared)


@lru_cache(maxsize=256)
def _doctype_and_validity(doctype: str, validity: Validity) -> bytes:
    """The copies of a batch share them."""
    said = {
        "signed": wire(validity.signed),
        "validFrom": wire(validity.valid_from),
        "validUntil": wire(validity.valid_until),
    }
    if validity.expected_update is not None:
        said["expectedUpdate"] = wire(validity.expected_update)
    return _DOCTYPE + cbor.text(doctype) + _VERSION + cbor.dumps(said) + _DIGESTS


def _device_key(key: PublicKey, authorized: KeyAuthorizations | None) -> tuple[bytes, ...]:
    if authorized is None:
        return b"\xa1", _DEVICE_KEY, cose.key_bytes(key)
    return b"\xa2", _DEVICE_KEY, cose.key_bytes(key), _AUTHORIZED, cbor.dumps(authorized.encode())


@lru_cache(maxsize=64)
def _unprotected(x5chain: tuple[bytes, ...]) -> bytes:
    return cbor.dumps({cose.X5CHAIN: cose.x5chain_value(x5chain)})


@lru_cache(maxsize=1024)
def _element_name(name: str) -> bytes:
    return _ITEM_NAME + cbor.text(name)
