"""The device's side: documents shown in one session, signed or MACed by the key the issuer bound (ISO/IEC 18013-5
8.3.2.1.2.2 and 9.1.3).

Promises: `check_device` passes only when the device key has signed, or agreed on a MAC key with this reader, for this
session transcript; what the device says by itself comes back from there, apart from what the issuer signed, and only
if the issuer allowed it. Trusts: the caller for the transcript and the reader's ephemeral key. Keeps: the bytes that
were signed. Refuses: a docType that differs from the signed one, members the standard does not list, more than one
kind of device authentication, a MAC where no reader key exists.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Any, Final, NewType, Protocol

from msgspec import Struct

from mapae.errors import Code, Refused
from mapae.formats import cbor, cose
from mapae.formats.jose import Signing
from mapae.formats.mdoc.issuer_signed import KEY_NAMESPACES, MAX_MDOC, IssuerSigned
from mapae.formats.mdoc.mso import MAX_ITEMS, MAX_NAMESPACES
from mapae.formats.mdoc.values import element, mapping, plain, wire

MAX_DOCUMENTS: Final = 8
OK, GENERAL_ERROR, CBOR_DECODING_ERROR, CBOR_VALIDATION_ERROR = 0, 10, 11, 12  # ISO/IEC 18013-5 8.3.2.1.2.3
_DEVICE_SIGNED = frozenset({"nameSpaces", "deviceAuth"})
_DOCUMENT = frozenset({"docType", "issuerSigned", "deviceSigned", "errors"})
_RESPONSE = frozenset({"version", "documents", "documentErrors", "status"})
_NOTHING: Final = b"\xa0"
_DEVICE_AUTH = b"\x84" + cbor.text("DeviceAuthentication")

# What the device says about itself and only its own key stands for. A type of its own: it must never be taken for
# what the issuer signed.
SelfAsserted = NewType("SelfAsserted", Mapping[str, Mapping[str, Any]])
Errors = Mapping[str, Mapping[str, int]]


class Agreeing(Protocol):
    """Whoever holds a private key for key agreement: a device key, a reader's ephemeral key."""

    def agree(self, public: cose.Key) -> bytes:
        """ECDH (SEC 1 3.3.1): the bytes of the shared x-coordinate, of two keys on the same curve."""
        ...


class MacKey(Struct, frozen=True):
    """EMacKey, which device and reader share in one session."""

    secret: bytes

    @classmethod
    def between(cls, own: Agreeing, other: cose.Key, session_transcript: bytes) -> MacKey:
        """The device with the reader's ephemeral key, or the reader with the device's key: both come to the same."""
        return cls(session_secret(own.agree(other), session_transcript, b"EMacKey"))

    def __repr__(self) -> str:
        return "MacKey()"


def session_secret(shared: bytes, session_transcript: bytes, info: bytes) -> bytes:
    """ISO/IEC 18013-5 9.1.1.5 and 9.1.3.5: HKDF with the SHA-256 of SessionTranscriptBytes as salt."""
    salt = hashlib.sha256(cbor.embed(session_transcript)).digest()
    # RFC 5869, in full for one block: the library's HKDF brings half of its ciphers along when it is imported.
    return hmac.digest(hmac.digest(salt, shared, "sha256"), info + b"\x01", "sha256")


class DeviceSigned(Struct, frozen=True):
    """As it came; nobody has checked it."""

    namespaces: bytes
    elements: Mapping[str, Mapping[str, Any]]
    auth: cose.Sign1 | cose.Mac0

    @classmethod
    def of(cls, value: Any, algorithms: cose.Algorithms = cose.ES256_ONLY) -> DeviceSigned:
        parts = mapping(value, "deviceSigned", _DEVICE_SIGNED)
        raw, how = cbor.embedded(parts.get("nameSpaces")), mapping(parts.get("deviceAuth"), "deviceAuth")
        if len(how) != 1:
            raise Refused(Code.MALFORMED, "the device signs or makes a MAC, one of the two")
        auth: cose.Sign1 | cose.Mac0
        if "deviceSignature" in how:
            auth = algorithms.sign1(how["deviceSignature"])
        elif "deviceMac" in how:
            auth = cose.Mac0.parse(how["deviceMac"])
        else:
            raise Refused(Code.UNSUPPORTED, "the device neither signs nor makes a MAC")
        return cls(raw, {} if raw == _NOTHING else _elements(raw), auth)


def _elements(raw: bytes) -> Mapping[str, Mapping[str, Any]]:
    """DeviceNameSpaces: values without salt or digest."""
    namespaces = mapping(element(raw), "the device's nameSpaces")
    for namespace, some in namespaces.items():
        if type(namespace) is not str or type(some) is not dict or not some or any(type(n) is not str for n in some):
            raise Refused(Code.MALFORMED, "a namespace of the device is not a map of elements")
    return {namespace: {name: plain(v) for name, v in some.items()} for namespace, some in namespaces.items()}


class Document(Struct, frozen=True):
    """One document of a DeviceResponse: what the issuer signed, and what the device signed in this session."""

    doctype: str
    issuer_signed: IssuerSigned
    device_signed: DeviceSigned
    errors: Errors = {}

    @classmethod
    def of(cls, value: Any, algorithms: cose.Algorithms = cose.ES256_ONLY) -> Document:
        parts = mapping(value, "a document", _DOCUMENT)
        issuer_signed = IssuerSigned.of(parts.get("issuerSigned"), None, algorithms)
        device_signed = DeviceSigned.of(parts.get("deviceSigned"), algorithms)
        doctype = issuer_signed.mso.doctype
        if parts.get("docType") != doctype:  # ISO/IEC 18013-5 9.3.1 step 4
            raise Refused(Code.MALFORMED, "the docType is not the one the issuer signed")
        return cls(doctype, issuer_signed, device_signed, _errors(parts["errors"]) if "errors" in parts else {})

    def check_device(self, session_transcript: bytes, reader: Agreeing | None = None) -> SelfAsserted:
        """ISO/IEC 18013-5 9.1.3: the key the issuer bound signed for this session; returned is what it said itself.

        `reader` is the reader's ephemeral key, where there is one: only then can a MAC be checked."""
        said, mso = self.device_signed, self.issuer_signed.mso
        signed = device_authentication(self.doctype, session_transcript, said.namespaces)
        try:
            if isinstance(said.auth, cose.Sign1):
                said.auth.verify(mso.device_key, payload=signed)
            else:
                self._check_mac(session_transcript, reader, signed)
        except Refused as refused:
            raise Refused(Code.BAD_HOLDER_PROOF, f"the device's proof: {refused.detail}") from None
        for namespace, some in said.elements.items():
            for name in some:
                if mso.authorized is None or not mso.authorized.allow(namespace, name):
                    raise Refused(Code.BAD_HOLDER_PROOF, "the device may not say this by itself")
        return SelfAsserted(said.elements)

    def _check_mac(self, session_transcript: bytes, reader: Agreeing | None, signed: bytes) -> None:
        auth = self.device_signed.auth
        if reader is None or not isinstance(auth, cose.Mac0):
            raise Refused(Code.UNSUPPORTED, "a MAC can only be checked by a reader with a key in the session")
        key = MacKey.between(reader, self.issuer_signed.mso.device_key, session_transcript)
        auth.check(key.secret, payload=signed)


def _errors(value: Any) -> Errors:
    errors = mapping(value, "errors")
    for namespace, some in errors.items():
        if type(namespace) is not str or type(some) is not dict or not some or len(some) > MAX_ITEMS:
            raise Refused(Code.MALFORMED, "errors are not numbers by namespace and element")
        if any(type(name) is not str or type(code) is not int for name, code in some.items()):
            raise Refused(Code.MALFORMED, "errors are not numbers by namespace and element")
    if not 1 <= len(errors) <= MAX_NAMESPACES:
        raise Refused(Code.MALFORMED, "errors are not numbers by namespace and element")
    return errors


class DeviceResponse(Struct, frozen=True, eq=False):
    """What a wallet answers: documents, or why there are none. `one` is for who asked for exactly one."""

    documents: tuple[Document, ...]
    document_errors: tuple[tuple[str, int], ...]
    status: int
    raw: bytes

    @classmethod
    def parse(
        cls, raw: bytes, *, limit: int = MAX_MDOC, algorithms: cose.Algorithms = cose.ES256_ONLY
    ) -> DeviceResponse:
        parts = mapping(cbor.scan(raw, limit=limit), "the response", _RESPONSE)
        if parts.get("version") != "1.0":
            raise Refused(Code.UNSUPPORTED, "the response is of another version")
        status, documents = parts.get("status"), parts.get("documents", ())
        if type(status) is not int or status < 0:
            raise Refused(Code.MALFORMED, "the response has no status")
        if "documents" in parts and (type(documents) is not list or not 1 <= len(documents) <= MAX_DOCUMENTS):
            raise Refused(Code.MALFORMED, "the response holds an empty list of documents, or too many")
        errors = _document_errors(parts["documentErrors"]) if "documentErrors" in parts else ()
        return cls(tuple([Document.of(document, algorithms) for document in documents]), errors, status, raw)

    def encode(self) -> bytes:
        return self.raw

    def one(self) -> Document:
        """The document, where one was asked for and nothing else will do (OpenID4VP 1.0 B.2.5)."""
        if self.status != OK:
            raise Refused(Code.MALFORMED, "the response reports an error")
        if len(self.documents) != 1:
            raise Refused(Code.MALFORMED, "one document was asked for")
        return self.documents[0]


def _document_errors(value: Any) -> tuple[tuple[str, int], ...]:
    """[+ {docType: code}]; an empty list, which deployments send, says nothing and is passed over."""
    if type(value) is not list or len(value) > MAX_DOCUMENTS:
        raise Refused(Code.MALFORMED, "documentErrors are not numbers by docType")
    found: list[tuple[str, int]] = []
    for one in value:
        for doctype, code in mapping(one, "a document error").items():
            if type(doctype) is not str or type(code) is not int:
                raise Refused(Code.MALFORMED, "documentErrors are not numbers by docType")
            found.append((doctype, code))
    return tuple(found)


# --- presenting ---------------------------------------------------------------------------------------------------


def device_authentication(doctype: str, session_transcript: bytes, namespaces: bytes = _NOTHING) -> bytes:
    """DeviceAuthenticationBytes (ISO/IEC 18013-5 9.1.3.4)."""
    return cbor.embed(_DEVICE_AUTH + session_transcript + cbor.text(doctype) + cbor.embed(namespaces))


def show(
    issuer_signed: IssuerSigned,
    *,
    session_transcript: bytes,
    holder: Signing | MacKey,
    asserted: Mapping[str, Mapping[str, Any]] | None = None,
    errors: Errors | None = None,
) -> bytes:
    """One document of a response. `asserted` are elements the device says itself, as far as the issuer allowed."""
    mso = issuer_signed.mso
    for namespace, some in (asserted or {}).items():
        for name in some:
            if mso.authorized is None or not mso.authorized.allow(namespace, name):
                raise Refused(Code.LINT, "the device may not say this by itself")
    namespaces = cbor.dumps(wire(asserted)) if asserted else _NOTHING
    signed = device_authentication(mso.doctype, session_transcript, namespaces)
    if isinstance(holder, MacKey):
        how, protected, proof = "deviceMac", cose.PROTECTED_MAC, cose.mac(holder.secret, signed)
    else:
        how, protected, proof = "deviceSignature", cose.PROTECTED, holder.sign(cose.to_be_signed(signed))
    auth = b"\x84" + cbor.bstr(protected) + b"\xa0\xf6" + cbor.bstr(proof)
    device_signed = (b"\xa2" + cbor.text("deviceAuth") + b"\xa1" + cbor.text(how) + auth) + (
        KEY_NAMESPACES + cbor.embed(namespaces)
    )
    return (
        (b"\xa4" + cbor.text("errors") + cbor.dumps(dict(errors)) if errors else b"\xa3")
        + (cbor.text("docType") + cbor.text(mso.doctype))
        + (cbor.text("deviceSigned") + device_signed)
        + (cbor.text("issuerSigned") + issuer_signed.encode())
    )


def respond(documents: Sequence[bytes], *, document_errors: Sequence[tuple[str, int]] = (), status: int = OK) -> bytes:
    """A DeviceResponse over documents made by `show`."""
    parts = [cbor.text("status") + cbor.head(0, status), cbor.text("version") + cbor.text("1.0")]
    if documents:
        parts.append(cbor.text("documents") + cbor.head(4, len(documents)) + b"".join(documents))
    if document_errors:
        parts.append(cbor.text("documentErrors") + cbor.dumps([{doctype: code} for doctype, code in document_errors]))
    return cbor.head(5, len(parts)) + b"".join(parts)


def present(issuer_signed: IssuerSigned, *, session_transcript: bytes, holder: Signing | MacKey) -> bytes:
    """A DeviceResponse with one document and the device's proof for this session."""
    return respond([show(issuer_signed, session_transcript=session_transcript, holder=holder)])
