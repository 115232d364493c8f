"""A country elsewhere: an authority, a signer and a phone on any curve of ISO/IEC 18013-5, with keys made from words.

What they sign is laid down here by hand, with the library's encoder and `cryptography` alone: the code under test only
reads. On brainpoolP320r1, which `cryptography` does not have, `ecdsa` signs and `asn1crypto` writes certificates.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import ecdsa
from asn1crypto import x509 as asn1
from cryptography import x509 as c
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from mapae.errors import Code, Refused
from mapae.formats import cbor, cose, jose, mdoc, proximity
from mapae.formats.cbor import Tag
from mapae.formats.curves import CURVES, CurveEphemeralKey, CurveKey, key_from_cose, key_from_crypto
from mapae.formats.jose import PublicKey
from mapae.formats.mdoc import MacKey
from mapae.formats.proximity import EphemeralKey, Session
from mapae.formats.x509 import Profile

NOW = datetime.fromisoformat("2026-11-21T03:00:30Z")
DOCTYPE, NAMESPACE = "org.iso.18013.5.1.mDL", "org.iso.18013.5.1"
ADULT: Mapping[str, Any] = {"age_over_18": True}

# ISO/IEC 18013-5 9.1.2.4 with Table 22: what a signature by a key on each curve is called, and its hash.
ALGORITHMS: dict[str, int] = {
    "secp256r1": -7, "secp384r1": -35, "secp521r1": -36, "brainpoolP256r1": -7, "brainpoolP320r1": -35,
    "brainpoolP384r1": -35, "brainpoolP512r1": -36, "Ed25519": -8, "Ed448": -8,
}  # fmt: skip
FULLY_SPECIFIED: dict[str, int] = {  # RFC 9864 2.1, 2.2
    "secp256r1": -9, "secp384r1": -51, "secp521r1": -52, "brainpoolP256r1": -265, "brainpoolP320r1": -266,
    "brainpoolP384r1": -267, "brainpoolP512r1": -268, "Ed25519": -19, "Ed448": -53,
}  # fmt: skip
_EC: dict[str, tuple[Any, Any]] = {
    "secp256r1": (ec.SECP256R1(), hashes.SHA256()), "secp384r1": (ec.SECP384R1(), hashes.SHA384()),
    "secp521r1": (ec.SECP521R1(), hashes.SHA512()), "brainpoolP256r1": (ec.BrainpoolP256R1(), hashes.SHA256()),
    "brainpoolP384r1": (ec.BrainpoolP384R1(), hashes.SHA384()),
    "brainpoolP512r1": (ec.BrainpoolP512R1(), hashes.SHA512()),
}  # fmt: skip


P320 = "brainpoolP320r1"


class Writer:
    """A private key on `curve`, made from a word. It signs the same each time (RFC 6979, RFC 8032)."""

    def __init__(self, curve: str, word: str) -> None:
        self.curve, self.algorithm = curve, ALGORITHMS[curve]
        seed = hashlib.shake_256(f"{curve} {word}".encode())
        if curve == "Ed25519":
            self.private: Any = ed25519.Ed25519PrivateKey.from_private_bytes(seed.digest(32))
        elif curve == "Ed448":
            self.private = ed448.Ed448PrivateKey.from_private_bytes(seed.digest(57))
        elif curve == P320:
            number = int.from_bytes(seed.digest(31), "big")
            self.private = ecdsa.SigningKey.from_secret_exponent(number, ecdsa.BRAINPOOLP320r1, hashlib.sha384)
            point = self.private.verifying_key.pubkey.point
            self.public = CurveKey(
                next(one for one in CURVES if one.name == P320),
                int(point.x()).to_bytes(40, "big"),
                int(point.y()).to_bytes(40, "big"),
            )
            return
        else:
            self.private = ec.derive_private_key(int.from_bytes(seed.digest(31), "big"), _EC[curve][0])
        self.public = key_from_crypto(self.private.public_key())

    @property
    def cose(self) -> dict[int, Any]:
        return cose.key_to_cose(self.public) if isinstance(self.public, PublicKey) else self.public.cose()

    def sign(self, message: bytes, hash_: Any = None) -> bytes:
        if self.curve == P320:
            return bytes(self.private.sign_deterministic(message, getattr(hashlib, hash_.name) if hash_ else None))
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

    def __init__(
        self, curve: str = "secp256r1", root: str = "secp256r1", *, name: str = "IACA", state: str = "",
        profile: Profile | None = Profile.DOCUMENT_SIGNER,
    ) -> None:  # fmt: skip
        self.ca, self.signer = Writer(root, f"authority {name}"), Writer(curve, "document signer")
        self._named, self._state, self._profile = name, state, profile
        self.root = self._certificate(name, self.ca, ca=True)
        self.leaf = self._certificate("DS", self.signer, ca=False)

    def _certificate(self, name: str, key: Writer, *, ca: bool) -> bytes:
        usage = {
            "digital_signature": not ca, "key_cert_sign": ca, "crl_sign": ca, "content_commitment": False,
            "key_encipherment": False, "data_encipherment": False, "key_agreement": False, "encipher_only": False,
            "decipher_only": False,
        }  # fmt: skip
        builder = (
            c.CertificateBuilder()
            .issuer_name(_name(self._named))
            .subject_name(_name(name, "" if ca else self._state))
            .public_key(_shown(key))
            .serial_number(7)
            .not_valid_before(NOW - timedelta(days=30))
            .not_valid_after(NOW + timedelta(days=300))
            .add_extension(c.KeyUsage(**usage), critical=True)
        )
        if ca:
            builder = builder.add_extension(c.BasicConstraints(ca=True, path_length=0), critical=True)
        elif self._profile is not None:
            builder = builder.add_extension(c.ExtendedKeyUsage([self._profile.value]), critical=True)
        hash_ = _EC[self.ca.curve][1] if self.ca.curve in _EC else None
        if P320 not in (self.ca.curve, key.curve):
            return builder.sign(self.ca.private, hash_).public_bytes(Encoding.DER)
        return _rewritten(builder.sign(_STAND_IN, hashes.SHA384()).public_bytes(Encoding.DER), key, self.ca)

    def validity(self, middle: datetime) -> dict[str, Any]:
        """A day before and a day after."""
        day = timedelta(days=1)
        dates = {"signed": middle - day, "validFrom": middle - day, "validUntil": middle + day}
        return {name: Tag(0, f"{at:%Y-%m-%dT%H:%M:%SZ}") for name, at in dates.items()}

    def licence(
        self, device: dict[int, Any], *, algorithm: int | None = None, digest: str = "SHA-256",
        elements: Mapping[str, Any] = ADULT, **more: Any,
    ) -> dict[str, Any]:  # fmt: skip
        """IssuerSigned with one element or others, bound to `device` (a COSE_Key). `more`: of the security object."""
        items = [
            cbor.embed(cbor.dumps({"digestID": at, "random": bytes(16), "elementIdentifier": n, "elementValue": value}))
            for at, (n, value) in enumerate(elements.items())
        ]
        hash_ = digest.replace("-", "")
        made = {at: hashlib.new(hash_, item).digest() for at, item in enumerate(items)}
        security = {
            "version": "1.0", "digestAlgorithm": digest, "docType": DOCTYPE, "valueDigests": {NAMESPACE: made},
            "deviceKeyInfo": {"deviceKey": device},
            "validityInfo": self.validity(NOW),
        } | more  # fmt: skip
        payload = cbor.embed(cbor.dumps(security))
        protected, signature = self.signer.sign1(payload, algorithm)
        return {
            "nameSpaces": {NAMESPACE: [cbor.loads(item) for item in items]},
            "issuerAuth": [protected, {33: self.leaf}, payload, signature],
        }


_STAND_IN = ec.derive_private_key(320, ec.SECP256R1())


def _shown(key: Writer) -> Any:
    return _STAND_IN.public_key() if key.curve == P320 else key.private.public_key()


def _rewritten(der: bytes, key: Writer, ca: Writer) -> bytes:
    """The same certificate with the key, or by an authority, that `cryptography` cannot write. The hash is SHA-384."""
    made = asn1.Certificate.load(der)
    tbs = made["tbs_certificate"]
    if key.curve == P320:
        tbs["subject_public_key_info"] = asn1.PublicKeyInfo.load(key.private.verifying_key.to_der())
    message = tbs.dump(force=True)
    if ca.curve == P320:
        made["signature_value"] = ca.private.sign_deterministic(message, sigencode=ecdsa.util.sigencode_der)
    else:
        made["signature_value"] = ca.private.sign(message, ec.ECDSA(hashes.SHA384()))
    return bytes(made.dump(force=True))


def status_jwt(land: Elsewhere, claims: Mapping[str, Any], alg: str, *, signed: Any = None, **head: Any) -> str:
    """A Status List Token (draft-21 5.1) under the name `alg`; `signed`: what makes the signature, else the signer."""
    header = {"alg": alg, "typ": "statuslist+jwt", "x5c": jose.x5c_header([land.leaf])} | head
    input_ = f"{jose.b64u(jose.encode_json(header))}.{jose.b64u(jose.encode_json(claims))}"
    return f"{input_}.{jose.b64u((signed or land.signer.sign)(input_.encode()))}"


def status_cwt(land: Elsewhere, claims: Mapping[str, Any], alg: int | None = None, **head: Any) -> bytes:
    """The same as CWT (5.2)."""
    labels = {"sub": 2, "iat": 6, "exp": 4, "ttl": 65534, "status_list": 65533}
    body = dict(claims["status_list"], lst=jose.unb64u(claims["status_list"]["lst"]))
    payload = cbor.dumps({labels[name]: value for name, value in (dict(claims) | {"status_list": body}).items()})
    algorithm = land.signer.algorithm if alg is None else alg
    protected = cbor.dumps({1: algorithm, 16: head.get("typ", "application/statuslist+cwt")})
    signature = land.signer.sign(cose.to_be_signed(payload, protected))
    return b"\xd2" + cbor.dumps([protected, {33: land.leaf}, payload, signature])


def _name(common: str, state: str = "") -> c.Name:
    parts = [c.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, state)] if state else []
    country = c.NameAttribute(NameOID.COUNTRY_NAME, "UT")
    return c.Name([country, *parts, c.NameAttribute(NameOID.COMMON_NAME, common)])


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
