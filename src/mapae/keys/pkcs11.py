"""P-256 keys that never leave their PKCS #11 token: a hardware security module, a smart card, SoftHSM.

Promises: a key made here is non-extractable, a key that could be read back is not used; the token signs, also
certificates. After a fork, or when a token was lost and is back, the next signature finds it again. Trusts: the module
the URI or MAPAE_PKCS11_MODULE names. Keeps: one session a token and process; never the PIN. Refuses: a PIN inside a URI
(it would end in logs), a wrong PIN a second time (a token counts them and locks), a token that is not there.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import unquote, unquote_to_bytes

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from mapae.errors import Code, Refused
from mapae.formats import p256
from mapae.keys.signer import Signer

if TYPE_CHECKING:
    from pkcs11 import Session

T = TypeVar("T")
_P256: Final = bytes.fromhex("06082a8648ce3d030107")  # RFC 5480 2.1.1.1: secp256r1
_ECDSA_SHA256: Final = bytes.fromhex("300a06082a8648ce3d040302")  # RFC 5758 3.2
# RFC 7512 2.3: pk11-pchar and pk11-qchar
_PATH: Final = re.compile(r"([a-z-]+)=((?:[A-Za-z0-9._~:\[\]@!$'()*+,=&-]|%[0-9A-Fa-f]{2})+)")
_QUERY: Final = re.compile(r"([a-z-]+)=((?:[A-Za-z0-9._~:\[\]@!$'()*+,=/?|-]|%[0-9A-Fa-f]{2})+)")
_TOKEN: Final = frozenset({"token", "serial", "manufacturer", "model"})
_OBJECT: Final = frozenset({"object", "id", "type"})
_LOOKS_LIKE: Final = "pkcs11:token=mapae;object=issuing-ca?module-path=/usr/lib/softhsm/libsofthsm2.so"


# --- the URI ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TokenKey:
    """Which key, in which token, behind which module (RFC 7512). As text: without its query, which may name a PIN."""

    name: str
    token: tuple[tuple[str, str], ...]
    label: str | None
    id: bytes | None
    module: str
    pin_source: str

    def __str__(self) -> str:
        return self.name

    @classmethod
    def parse(cls, uri: str) -> TokenKey:
        """Raises Refused(BAD_CONFIG); the refusal repeats nothing of the query."""
        scheme, colon, rest = uri.partition(":")
        path, _, query = rest.partition("?")
        if scheme != "pkcs11" or not colon:
            raise Refused(Code.BAD_CONFIG, "a key's URI begins with file: or pkcs11:")
        path_of = _attributes(path, ";", _PATH, _TOKEN | _OBJECT)
        query_of = _attributes(query, "&", _QUERY, {"module-path", "pin-source"}) if query else {}
        # RFC 7512 2.4: the token needs an attribute of its own; slots are renumbered when a device is plugged in.
        if not path_of.keys() & {"token", "serial"} or not path_of.keys() & {"object", "id"}:
            raise Refused(Code.BAD_CONFIG, f"a key's URI names token (or serial) and object (or id): {_LOOKS_LIKE}")
        if path_of.get("type", "private") != "private":
            raise Refused(Code.BAD_CONFIG, "the URI of a key has type=private, or no type")
        return cls(
            name=f"pkcs11:{path}",
            token=tuple((name, unquote(path_of[name], errors="strict")) for name in sorted(_TOKEN & path_of.keys())),
            label=unquote(path_of["object"], errors="strict") if "object" in path_of else None,
            id=unquote_to_bytes(path_of["id"]) if "id" in path_of else None,
            module=unquote(query_of.get("module-path", "")),
            pin_source=unquote(query_of.get("pin-source", "")),
        )

    def create(self) -> None:
        """Make the key in its token, unless it is there."""
        _module(self).use(self, lambda session: _create(session, self))

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return _module(self).use(self, lambda session: _find(session, self)).public

    def sign(self, message: bytes, expected: ec.EllipticCurvePublicKey) -> bytes:
        """ES256 by the token, if it has the key we expect."""
        digest = hashlib.sha256(message).digest()

        def signed(session: Session) -> bytes:
            found = _module(self).found(self, session)
            if found.public != expected:
                raise Refused(Code.BAD_CONFIG, f"{self} is another key than before: put the right token back")
            return _ecdsa(found.private, digest)

        return _module(self).use(self, signed)

    def pin(self) -> str:
        if not self.pin_source:
            if pin := os.environ.get("MAPAE_PKCS11_PIN"):
                return pin
            raise Refused(Code.BAD_CONFIG, f"{self} needs a PIN: set MAPAE_PKCS11_PIN, or pin-source=file:/path to it")
        path = self.pin_source.removeprefix("file:").replace("//", "/")
        if not path.startswith("/"):  # RFC 7512 2.4 also knows |program, which we do not run
            raise Refused(Code.BAD_CONFIG, f"pin-source of {self} is a file: pin-source=file:/run/secrets/pin")
        try:
            return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, ValueError):
            raise Refused(Code.BAD_CONFIG, f"the file pin-source of {self} names cannot be read") from None


def _attributes(text: str, between: str, one: re.Pattern[str], known: set[str] | frozenset[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in text.split(between):
        match = one.fullmatch(part)
        name = part.partition("=")[0]
        if name == "pin-value":  # RFC 7512 8: a URI ends up in logs and process lists
            raise Refused(Code.BAD_CONFIG, "a PIN does not belong into a URI: use pin-source or MAPAE_PKCS11_PIN")
        if match is None or name not in known:
            raise Refused(Code.BAD_CONFIG, f"not a key URI we read (RFC 7512): {_LOOKS_LIKE}")
        if name in found:  # RFC 7512 2.3: an attribute stands once
            raise Refused(Code.BAD_CONFIG, f"a key's URI names {name} twice")
        found[name] = match[2]
    try:
        for name in found.keys() - {"id"}:
            unquote(found[name], errors="strict")
    except UnicodeDecodeError:
        raise Refused(Code.BAD_CONFIG, "a key's URI is not UTF-8 once its percent signs are read") from None
    return found


# --- the signer ---------------------------------------------------------------------------------------------------


class TokenSigner(Signer):
    """A P-256 key that only its token can use."""

    __slots__ = ()

    def __init__(self, key: TokenKey, public_key: ec.EllipticCurvePublicKey) -> None:
        self._known(public_key, lambda message: key.sign(message, public_key))

    def certify(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        """The library signs with its own keys only. So a throwaway key signs, and what was to be signed
        (RFC 5280 4.1.1.1; it names the same algorithm, and nothing of that key) is signed by the token instead."""
        draft = builder.sign(ec.generate_private_key(ec.SECP256R1()), SHA256()).tbs_certificate_bytes
        signature = p256.to_der(self.sign(draft))
        bits = b"\x03" + _length(len(signature) + 1) + b"\x00" + signature
        body = draft + _ECDSA_SHA256 + bits
        return x509.load_der_x509_certificate(b"\x30" + _length(len(body)) + body)


def _length(count: int) -> bytes:
    """X.690 10.1: definite, shortest."""
    if count < 128:
        return bytes([count])
    raw = count.to_bytes((count.bit_length() + 7) // 8, "big")
    return bytes([0x80 | len(raw)]) + raw


# --- modules and sessions -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Found:
    private: Any
    public: ec.EllipticCurvePublicKey


class _Module:
    """One PKCS #11 library in this process. A process is logged in to a token once, so its keys share a session."""

    def __init__(self, path: str) -> None:
        try:
            import pkcs11
        except ImportError:
            raise Refused(Code.BAD_CONFIG, "keys in a token need an extra: pip install 'mapae[hsm]'") from None
        self._errors: Any = pkcs11
        self._lock = RLock()
        self._sessions: dict[tuple[tuple[str, str], ...], Session] = {}
        self._keys: dict[str, _Found] = {}
        self._wrong: set[bytes] = set()
        self._process = os.getpid()
        try:
            self._library = pkcs11.lib(path)
        except (pkcs11.PKCS11Error, RuntimeError, OSError):
            raise Refused(
                Code.BAD_CONFIG, f"the PKCS #11 module {path} does not load: correct module-path or MAPAE_PKCS11_MODULE"
            ) from None

    def use(self, key: TokenKey, work: Callable[[Session], T]) -> T:
        """`work` in a session of the key's token; once more in a new one when the old one is lost."""
        with self._lock:
            # PKCS #11 2.40 5.4: after a fork the child must initialize for itself.
            if self._process != os.getpid():
                self._again(key)
            try:
                return work(self._session(key))
            except self._errors.PKCS11Error:
                pass
            except Refused as refused:
                if refused.code is not Code.UNAVAILABLE:
                    raise
            self._again(key)
            try:
                return work(self._session(key))
            except self._errors.PKCS11Error as error:
                raise self._said(key, error) from None

    def found(self, key: TokenKey, session: Session) -> _Found:
        if key.name not in self._keys:
            self._keys[key.name] = _find(session, key)
        return self._keys[key.name]

    def _again(self, key: TokenKey) -> None:
        self._sessions.clear()
        self._keys.clear()
        self._process = os.getpid()
        with suppress(self._errors.PKCS11Error):  # in a child that was never initialized, or the device is gone
            self._library.finalize()
        try:
            self._library.initialize()
        except self._errors.PKCS11Error as error:
            raise self._said(key, error) from None

    def _session(self, key: TokenKey) -> Session:
        if key.token not in self._sessions:
            tokens = [
                token
                for slot in self._library.get_slots(token_present=True)
                for token in (slot.get_token(),)
                if set(key.token) <= _described(token)
            ]
            if len(tokens) > 1:
                raise Refused(Code.BAD_CONFIG, f"several tokens answer to {key}: add serial= to the URI")
            if not tokens:
                raise Refused(
                    Code.UNAVAILABLE,
                    f"no token answers to {key}: plug it in or start its service, then try again;"
                    " `pkcs11-tool --list-slots` shows which there are",
                )
            self._sessions[key.token] = self._login(key, tokens[0])
        return self._sessions[key.token]

    def _login(self, key: TokenKey, token: Any) -> Session:
        pin = key.pin()
        tried = hashlib.sha256(f"{key.token} {pin}".encode()).digest()
        if tried in self._wrong:
            raise Refused(Code.BAD_CONFIG, f"the PIN of {key} is wrong; the token was not asked again, for it counts")
        names = self._errors
        try:
            opened: Session = token.open(rw=True, user_pin=pin)
        except names.UserAlreadyLoggedIn:  # by another URI of the same token
            opened = token.open(rw=True)
        except (names.PinIncorrect, names.PinInvalid, names.PinLenRange):
            self._wrong.add(tried)
            raise Refused(
                Code.BAD_CONFIG, f"the PIN of {key} is wrong: correct MAPAE_PKCS11_PIN or the file pin-source names"
            ) from None
        except (names.PinLocked, names.PinExpired, names.UserPinNotInitialized) as error:
            kind = type(error).__name__
            raise Refused(
                Code.BAD_CONFIG, f"the token of {key} lets nobody in ({kind}): its officer must set a PIN"
            ) from None
        return opened

    def _said(self, key: TokenKey, error: Exception) -> Refused:
        names = self._errors
        match error:
            case names.NoSuchKey():
                return Refused(Code.BAD_CONFIG, f"the token has no key {key}: correct object and id, or restore it")
            case names.MultipleObjectsReturned():
                return Refused(Code.BAD_CONFIG, f"the token has several keys {key}: add id= to the URI")
            case _:
                kind = type(error).__name__
                return Refused(Code.UNAVAILABLE, f"the token of {key} failed ({kind}): look at it, then try again")


def _described(token: Any) -> set[tuple[str, str]]:
    """A token by the path attributes of RFC 7512 2.3."""
    serial = token.serial.decode("utf-8", "replace")
    return {("token", token.label), ("serial", serial), ("manufacturer", token.manufacturer_id), ("model", token.model)}


_modules: dict[str, _Module] = {}


def _module(key: TokenKey) -> _Module:
    path = key.module or os.environ.get("MAPAE_PKCS11_MODULE", "")
    if not path:
        raise Refused(Code.BAD_CONFIG, f"{key} needs a module: add ?module-path=... or set MAPAE_PKCS11_MODULE")
    if path not in _modules:
        _modules[path] = _Module(path)
    return _modules[path]


# --- inside a session ---------------------------------------------------------------------------------------------


def _create(session: Session, key: TokenKey) -> None:
    from pkcs11 import Attribute, KeyType, MechanismFlag, NoSuchKey, ObjectClass

    try:
        session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=key.label, id=key.id)
        return
    except NoSuchKey:
        pass
    curve = session.create_domain_parameters(KeyType.EC, {Attribute.EC_PARAMS: _P256}, local=True)
    curve.generate_keypair(
        store=True,
        label=key.label,
        id=key.id or hashlib.sha256(str(key).encode()).digest()[:8],
        capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
        private_template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
    )


def _find(session: Session, key: TokenKey) -> _Found:
    """The key and its public half. It is used only if it cannot be read back and the halves fit each other."""
    from pkcs11 import Attribute, ObjectClass

    private: Any = session.get_key(object_class=ObjectClass.PRIVATE_KEY, label=key.label, id=key.id)
    public: Any = session.get_key(object_class=ObjectClass.PUBLIC_KEY, label=key.label, id=key.id)
    if private[Attribute.EXTRACTABLE] or not private[Attribute.SENSITIVE]:
        raise Refused(
            Code.BAD_CONFIG, f"{key} can be read out of its token: make one that is sensitive, not extractable"
        )
    # PKCS #11 2.40 (current mechanisms) 2.3.3: the point is inside an OCTET STRING; some tokens leave that out.
    point = bytes(public[Attribute.EC_POINT])[-65:]
    if bytes(public[Attribute.EC_PARAMS]) != _P256 or len(point) != 65 or point[0] != 4:
        raise Refused(Code.BAD_CONFIG, f"{key} is not a P-256 key")
    numbers = ec.EllipticCurvePublicNumbers(
        int.from_bytes(point[1:33], "big"), int.from_bytes(point[33:], "big"), ec.SECP256R1()
    )
    try:
        known = numbers.public_key()
        signature = _ecdsa(private, hashlib.sha256(str(key).encode()).digest())
        known.verify(p256.to_der(signature), str(key).encode(), ec.ECDSA(SHA256()))
    except (ValueError, InvalidSignature):
        raise Refused(Code.BAD_CONFIG, f"the public half of {key} belongs to another private key") from None
    return _Found(private, known)


def _ecdsa(private: Any, digest: bytes) -> bytes:
    from pkcs11 import Mechanism

    return bytes(private.sign(digest, mechanism=Mechanism.ECDSA))  # r then s, 64 bytes
