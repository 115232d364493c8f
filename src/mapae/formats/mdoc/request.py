"""What a reader asks for, and who the reader is (ISO/IEC 18013-5 8.3.2.1.2.1 and 9.1.4).

Promises: a request that was parsed says for each document which elements and whether they will be kept;
`check_reader` passes only when that key signed this document request for this session. Trusts: the caller for the
transcript and for the reader's key (its chain is `x5chain`, its profile `x509.Profile.ACCESS`). Keeps: the bytes that
were signed. Refuses: versions other than 1.0, members the standard does not list, requests for nothing. What stands in
`requestInfo` is for the caller.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from mapae.errors import Code, Refused
from mapae.formats import cbor, cose
from mapae.formats.jose import PublicKey, Signing
from mapae.formats.mdoc.device import MAX_DOCUMENTS
from mapae.formats.mdoc.mso import MAX_ITEMS, MAX_NAMESPACES
from mapae.formats.mdoc.values import mapping

MAX_REQUEST: Final = 65_536
_REQUEST = frozenset({"version", "docRequests"})
_DOC_REQUEST = frozenset({"itemsRequest", "readerAuth"})
_ITEMS = frozenset({"docType", "nameSpaces", "requestInfo"})
_READER_AUTH = b"\x83" + cbor.text("ReaderAuthentication")


class DocRequest(Struct, frozen=True):
    """One document asked for. `elements` by namespace: name, and whether the reader intends to retain the value."""

    doctype: str
    elements: Mapping[str, Mapping[str, bool]]
    info: Mapping[str, Any]
    items_request: bytes
    reader_auth: cose.Sign1 | None

    @classmethod
    def of(cls, value: Any) -> DocRequest:
        parts = mapping(value, "a document request", _DOC_REQUEST)
        raw = cbor.embedded(parts.get("itemsRequest"))
        items = mapping(cbor.loads(raw, limit=MAX_REQUEST), "itemsRequest", _ITEMS)
        doctype, info = items.get("docType"), mapping(items.get("requestInfo", {}), "requestInfo")
        if type(doctype) is not str or not all(type(name) is str for name in info):
            raise Refused(Code.MALFORMED, "itemsRequest has no docType, or information not named by text")
        auth = cose.Sign1.parse(parts["readerAuth"]) if "readerAuth" in parts else None
        return cls(doctype, _elements(items.get("nameSpaces")), info, raw, auth)

    @property
    def x5chain(self) -> tuple[bytes, ...] | None:
        """The reader's certificates, leaf first; None when the reader does not say who it is."""
        return self.reader_auth.x5chain if self.reader_auth is not None else None

    def check_reader(self, key: PublicKey, session_transcript: bytes) -> None:
        """ISO/IEC 18013-5 9.1.4: signed with that key, for this request in this session."""
        if self.reader_auth is None:
            raise Refused(Code.BAD_SIGNATURE, "the reader has not signed its request")
        self.reader_auth.verify(key, payload=reader_authentication(self.items_request, session_transcript))


def _elements(value: Any) -> Mapping[str, Mapping[str, bool]]:
    namespaces = mapping(value, "the request's nameSpaces")
    if not 1 <= len(namespaces) <= MAX_NAMESPACES:
        raise Refused(Code.MALFORMED, "the request asks for nothing, or for too much")
    for namespace, some in namespaces.items():
        if type(namespace) is not str or not 1 <= len(mapping(some, "a namespace of the request")) <= MAX_ITEMS:
            raise Refused(Code.MALFORMED, "the request asks for nothing, or for too much")
        if any(type(name) is not str or type(kept) is not bool for name, kept in some.items()):
            raise Refused(Code.MALFORMED, "an element is not asked for by name and intent to retain")
    return namespaces


class DeviceRequest(Struct, frozen=True, eq=False):
    requests: tuple[DocRequest, ...]
    raw: bytes

    @classmethod
    def parse(cls, raw: bytes, *, limit: int = MAX_REQUEST) -> DeviceRequest:
        parts = mapping(cbor.loads(raw, limit=limit), "the request")
        if parts.get("version") != "1.0":
            raise Refused(Code.UNSUPPORTED, "the request is of another version")
        requests = mapping(parts, "the request", _REQUEST).get("docRequests")
        if type(requests) is not list or not 1 <= len(requests) <= MAX_DOCUMENTS:
            raise Refused(Code.MALFORMED, "the request is for no document, or for too many")
        return cls(tuple([DocRequest.of(one) for one in requests]), raw)

    def encode(self) -> bytes:
        return self.raw


# --- asking -------------------------------------------------------------------------------------------------------


def items_request(
    doctype: str, elements: Mapping[str, Mapping[str, bool]], *, info: Mapping[str, Any] | None = None
) -> bytes:
    """ItemsRequest; `elements` as in `DocRequest`."""
    parts: dict[str, Any] = {"docType": doctype, "nameSpaces": elements}
    return cbor.dumps(parts if info is None else parts | {"requestInfo": info})


def doc_request(
    items: bytes, *, session_transcript: bytes, reader: Signing | None = None, x5chain: Sequence[bytes] = ()
) -> bytes:
    """DocRequest; with `reader` and its chain, signed for this session."""
    asked = cbor.text("itemsRequest") + cbor.embed(items)
    if reader is None:
        return b"\xa1" + asked
    signature = reader.sign(cose.to_be_signed(reader_authentication(items, session_transcript)))
    chain = cbor.dumps({cose.X5CHAIN: cose.x5chain_value(tuple(x5chain))})
    auth = b"\x84" + cbor.bstr(cose.PROTECTED) + chain + b"\xf6" + cbor.bstr(signature)
    return b"\xa2" + cbor.text("readerAuth") + auth + asked


def device_request(requests: Sequence[bytes]) -> bytes:
    """DeviceRequest over what `doc_request` made."""
    return (
        (b"\xa2" + cbor.text("version") + cbor.text("1.0"))
        + (cbor.text("docRequests") + cbor.head(4, len(requests)))
        + b"".join(requests)
    )


def reader_authentication(items: bytes, session_transcript: bytes) -> bytes:
    """ReaderAuthenticationBytes (ISO/IEC 18013-5 9.1.4.5)."""
    return cbor.embed(_READER_AUTH + session_transcript + cbor.embed(items))
