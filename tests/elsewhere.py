"""A country elsewhere: an authority, a signer and a phone on any curve of ISO/IEC 18013-5, with keys made from words.

What they sign is laid down here by hand, with the library's encoder and `cryptography` alone: the code under test only
reads.
"""

from __future__ import annotations

import asyncio
import hashlib
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509 as c
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from mapae.errors import Code, Refused
from mapae.formats import cbor, cose, mdoc, proximity
from mapae.formats.cbor import Tag
from mapae.formats.curves import CurveEphemeralKey, key_from_cose, key_from_crypto
from mapae.formats.jose import PublicKey
from mapae.formats.mdoc import MacKey
from mapae.formats.proximity import EphemeralKey, Session
from mapae.formats.x509 import Profile

NOW = datetime.fromisoformat("2026-11-21T03:00:30Z")
DOCTYPE, NAMESPACE = "org.iso.18013.5.1.mDL", "org.iso.18013.5.1"

# ISO/IEC 18013-5 9.1.2.4 with Table 22: what a signature by a key on each curve is called, and its hash.
ALGORITHMS: dict[str, int] = {
    "secp256r1": -7, "secp384r1": -35, "secp521r1": -36, "brainpoolP256r1": -7, "brainpoolP384r1": -35,
    "brainpoolP512r1": -36, "Ed25519": -8, "Ed448": -8,
}  # fmt: skip
FULLY_SPECIFIED: dict[str, int] = {  # RFC 9864 2.1, 2.2
    "secp256r1": -9, "secp384r1": -51, "secp521r1": -52, "brainpoolP256r1": -265, "brainpoolP384r1": -267,
    "brainpoolP512r1": -268, "Ed25519": -19, "Ed448": -53,
}  # fmt: skip
_EC: dict[str, tuple[Any, Any]] = {
    "secp256r1": (ec.SECP256R1(), hashes.SHA256()), "secp384r1": (ec.SECP384R1(), hashes.SHA384()),
    "secp521r1": (ec.SECP521R1(), hashes.SHA512()), "brainpoolP256r1": (ec.BrainpoolP256R1(), hashes.SHA256()),
    "brainpoolP384r1": (ec.BrainpoolP384R1(), hashes.SHA384()),
    "brainpoolP512r1": (ec.BrainpoolP512R1(), hashes.SHA512()),
}  # fmt: skip


class Writer:
    """A private key on `curve`, made from a word. It signs the same each time (RFC 6979, RFC 8032)."""

    def __init__(self, curve: str, word: str) -> None:
        self.curve, self.algorithm = curve, ALGORITHMS[curve]
        seed = hashlib.shake_256(f"{curve} {word}".encode())
        if curve == "Ed25519":
            self.private: Any = ed25519.Ed25519PrivateKey.from_private_bytes(seed.digest(32))
        elif curve == "Ed448":
            self.private = ed448.Ed448PrivateKey.from_private_bytes(seed.digest(57))
        else:
            self.private = ec.derive_private_key(int.from_bytes(seed.digest(31), "big"), _EC[curve][0])
        self.public = key_from_crypto(self.private.public_key())

    @property
    def cose(self) -> dict[int, Any]:
        return cose.key_to_cose(self.public) if isinstance(self.public, PublicKey) else self.public.cose()

    def sign(self, message: bytes, hash_: Any = None) -> bytes:
        if self.curve not in _EC:
            return bytes(self.private.sign(message))
        curve, own = _EC[self.curve]
        made = self.private.sign(message, ec.ECDSA(hash_ or own, deterministic_signing=True))
        size = (curve.key_size + 7) // 8
        return b"".join(half.to_bytes(size, "big") for half in decode_dss_signature(made))

    def sign1(self, payload: bytes, algorithm: int | None = None) -> tuple[bytes, bytes]:
        """Protected header and signature, over `payload`."""
        protected = cbor.dumps({1: self.algorithm if algorithm is None else algorithm})
        return protected, self.sign(cose.to_be_signed(payload, protected))


class Elsewhere:
    """An authority and its document signer, on one curve each."""

    def __init__(self, curve: str = "secp256r1", root: str = "secp256r1") -> None:
        self.ca, self.signer = Writer(root, "authority"), Writer(curve, "document signer")
        self.root = self._certificate("IACA", self.ca, ca=True)
        self.leaf = self._certificate("DS", self.signer, ca=False)

    def _certificate(self, name: str, key: Writer, *, ca: bool) -> bytes:
        usage = {
            "digital_signature": not ca, "key_cert_sign": ca, "crl_sign": ca, "content_commitment": False,
            "key_encipherment": False, "data_encipherment": False, "key_agreement": False, "encipher_only": False,
            "decipher_only": False,
        }  # fmt: skip
        builder = (
            c.CertificateBuilder()
            .issuer_name(_name("IACA"))
            .subject_name(_name(name))
            .public_key(key.private.public_key())
            .serial_number(7)
            .not_valid_before(NOW - timedelta(days=30))
            .not_valid_after(NOW + timedelta(days=300))
            .add_extension(c.KeyUsage(**usage), critical=True)
        )
        if ca:
            builder = builder.add_extension(c.BasicConstraints(ca=True, path_length=0), critical=True)
        else:
            builder = builder.add_extension(c.ExtendedKeyUsage([Profile.DOCUMENT_SIGNER.value]), critical=True)
        hash_ = _EC[self.ca.curve][1] if self.ca.curve in _EC else None
        return builder.sign(self.ca.private, hash_).public_bytes(Encoding.DER)

    def licence(
        self, device: dict[int, Any], *, algorithm: int | None = None, digest: str = "SHA-256"
    ) -> dict[str, Any]:  # fmt: skip
        """IssuerSigned with one element, bound to `device` (a COSE_Key)."""
        item = cbor.embed(
            cbor.dumps({"digestID": 0, "random": bytes(16), "elementIdentifier": "age_over_18", "elementValue": True})
        )
        made, day = hashlib.new(digest.replace("-", ""), item).digest(), timedelta(days=1)
        dates = {"signed": NOW - day, "validFrom": NOW - day, "validUntil": NOW + day}
        security = {
            "version": "1.0", "digestAlgorithm": digest, "docType": DOCTYPE, "valueDigests": {NAMESPACE: {0: made}},
            "deviceKeyInfo": {"deviceKey": device},
            "validityInfo": {name: Tag(0, f"{at:%Y-%m-%dT%H:%M:%SZ}") for name, at in dates.items()},
        }  # fmt: skip
        payload = cbor.embed(cbor.dumps(security))
        protected, signature = self.signer.sign1(payload, algorithm)
        return {
            "nameSpaces": {NAMESPACE: [cbor.loads(item)]},
            "issuerAuth": [protected, {33: self.leaf}, payload, signature],
        }


def _name(common: str) -> c.Name:
    return c.Name([c.NameAttribute(NameOID.COUNTRY_NAME, "UT"), c.NameAttribute(NameOID.COMMON_NAME, common)])


def response(licence: dict[str, Any], auth: dict[str, Any]) -> bytes:
    """DeviceResponse over one licence; `auth` is DeviceAuth."""
    signed = {"nameSpaces": Tag(24, b"\xa0"), "deviceAuth": auth}
    document = {"docType": DOCTYPE, "issuerSigned": licence, "deviceSigned": signed}
    return cbor.dumps({"version": "1.0", "documents": [document], "status": 0})


def by_signature(device: Writer, transcript: bytes, algorithm: int | None = None) -> dict[str, Any]:
    protected, signature = device.sign1(mdoc.device_authentication(DOCTYPE, transcript), algorithm)
    return {"deviceSignature": [protected, {}, None, signature]}


def by_mac(device: EphemeralKey | CurveEphemeralKey, reader: Any, transcript: bytes) -> dict[str, Any]:
    secret = MacKey.between(device, reader, transcript).secret
    tag = cose.mac(secret, mdoc.device_authentication(DOCTYPE, transcript))
    return {"deviceMac": [cose.PROTECTED_MAC, {}, None, tag]}


class Phone:
    """The other end of a session, and the wire to it. `answer(transcript, reader's key)` is what it shows."""

    def __init__(self, key: EphemeralKey | CurveEphemeralKey, answer: Any) -> None:
        self.key, self._answer = key, answer
        self._raw = cbor.dumps({0: "1.0", 1: [1, Tag(24, key.cose)]})
        self.text = proximity.uri(self._raw)
        self._said: asyncio.Queue[bytes] = asyncio.Queue()

    async def send(self, message: bytes) -> None:
        parts = cbor.loads(message)
        if "eReaderKey" not in parts:
            return
        raw = cbor.embedded(parts["eReaderKey"])
        reader = key_from_cose(cbor.loads(raw))
        transcript = mdoc.qr_transcript(engagement=self._raw, reader_key=raw)
        session = Session.of_device(self.key, reader, transcript)  # type: ignore[arg-type]
        mdoc.DeviceRequest.parse(session.open(parts["data"]))
        sealed = session.seal(self._answer(transcript, reader))
        self._said.put_nowait(proximity.session_data(sealed, proximity.TERMINATION))

    async def receive(self, patience: float) -> bytes:
        if self._said.empty():
            raise Refused(Code.TRANSPORT_LOST, "nothing came")
        return self._said.get_nowait()

    async def close(self) -> None:
        return None
