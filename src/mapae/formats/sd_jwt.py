"""SD-JWT (RFC 9901) and SD-JWT VC: draft and complete, parse and open, disclose and bind.

Promises: `open` gives the claims the issuer signed and the holder chose to show, and nothing else. Trusts: the key
the caller found for the issuer. Keeps: nothing. Refuses: every "must reject" of RFC 9901 7.1 (a digest used twice, a
disclosure no digest covers, names that collide, a hash other than SHA-256), and for SD-JWT VC a validity, key or
status claim that came from a disclosure. Dates and status are not judged here: the caller has the clock and the list.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from mapae.errors import Code, Refused
from mapae.formats.jose import (
    Jws,
    PublicKey,
    Signing,
    b64u,
    decode_json,
    decode_json_value,
    encode_json,
    jws_complete,
    jws_input,
    sign_jws,
    unb64u,
)

TYP: Final = "dc+sd-jwt"
MAX_SD_JWT: Final = 262_144
MAX_DISCLOSURES: Final = 512
MAX_NESTING: Final = 24
# SD-JWT VC draft-13 2.2.2.2: these, and what is inside them, are always in the open.
SIGNED_OPEN: Final = frozenset({"iss", "nbf", "exp", "cnf", "vct", "vct#integrity", "status"})
_HASH = "sha-256"
_RESERVED = frozenset({"_sd", "...", "_sd_alg"})
_SALT = 18  # bytes: 144 bits, over the 128 of RFC 9901 9.3, and a whole number of base64 characters (24)

Path = tuple[str | int, ...]
Step = str | int | None


# --- issuing ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hidden:
    """Marks the value of an object's member, or an element of an array, as selectively disclosable. Nests."""

    value: Any


@dataclass(frozen=True, slots=True)
class Draft:
    """All of the credential but the signature."""

    signing_input: bytes
    disclosures: tuple[str, ...]

    def complete(self, signature: bytes) -> str:
        return "~".join((jws_complete(self.signing_input, signature), *self.disclosures, ""))


def draft(
    header: Mapping[str, Any], claims: Mapping[str, Any], *, entropy: Callable[[int], bytes], decoys: int = 0
) -> Draft:
    """Salt and hash what is `Hidden`; `decoys` digests of nothing are mixed into each object that hides something."""
    if header.get("typ") == TYP:
        for name in SIGNED_OPEN & claims.keys():
            if _count(claims[name]):
                raise Refused(Code.LINT, f"{name} may not be selectively disclosable")
    hiding = _Hiding(entropy, _count(claims), decoys)
    payload = hiding.object(claims)
    if hiding.disclosures:
        payload["_sd_alg"] = _HASH
    return Draft(jws_input(header, payload), tuple(hiding.disclosures))


_SCALARS = frozenset({str, int, bool, float, type(None)})


def _count(value: Any) -> int:
    if isinstance(value, Hidden):
        return 1 + (0 if type(value.value) in _SCALARS else _count(value.value))
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, list | tuple):
        return 0
    return sum([_count(inner) for inner in value if type(inner) not in _SCALARS])


class _Hiding:
    """One pass over the claims. Salts and digests are encoded many at a time: a base64 call costs more than a hash."""

    def __init__(self, entropy: Callable[[int], bytes], salts: int, decoys: int) -> None:
        text = b64u(entropy(_SALT * salts)) if salts else ""
        self._salts: Iterator[str] = iter([text[at : at + 24] for at in range(0, len(text), 24)])
        self._entropy, self._decoys = entropy, decoys
        self.disclosures: list[str] = []

    def object(self, claims: Mapping[str, Any]) -> dict[str, Any]:
        if _RESERVED & claims.keys():
            raise Refused(Code.LINT, "a claim has a name that SD-JWT keeps for itself")
        shown: dict[str, Any] = {}
        made: list[str] = []
        for name, value in claims.items():
            kind = type(value)
            if kind is Hidden:
                made.append(self._disclosure(name, self.value(value.value)))
            else:
                shown[name] = value if kind in _SCALARS else self.value(value)
        if made:
            # Sorted, so that the order says nothing about the claims (RFC 9901 4.2.4.1).
            shown["_sd"] = sorted(_digests([*[text.encode() for text in made], *self._decoy_seeds()]))
        return shown

    def value(self, value: Any) -> Any:
        if type(value) in _SCALARS:
            return value
        if isinstance(value, Mapping):
            return self.object(value)
        if isinstance(value, list | tuple):
            return [self._element(item) for item in value]
        if isinstance(value, Hidden):
            raise Refused(Code.LINT, "a claim is hidden twice")
        return value

    def _element(self, item: Any) -> Any:
        if not isinstance(item, Hidden):
            return self.value(item)
        return {"...": _digests([self._disclosure(self.value(item.value)).encode()])[0]}

    def _disclosure(self, *parts: Any) -> str:
        text = b64u(encode_json([next(self._salts), *parts]))
        self.disclosures.append(text)
        return text

    def _decoy_seeds(self) -> list[bytes]:
        raw = self._entropy(32 * self._decoys) if self._decoys else b""
        return [raw[at : at + 32] for at in range(0, len(raw), 32)]


def _digests(texts: Sequence[bytes]) -> list[str]:
    """Base64url SHA-256 of each. A zero byte fills each hash up to 33, so that one call encodes them all."""
    sha256 = hashlib.sha256
    joined = b64u(b"".join([sha256(text).digest() + b"\0" for text in texts]))
    return [joined[at : at + 43] for at in range(0, len(joined), 44)]


# --- reading ------------------------------------------------------------------------------------------------------


class _Binding(msgspec.Struct, frozen=True):
    """RFC 9901 4.3: the claims a key binding must have; others may be there."""

    nonce: str
    aud: str
    iat: int | float
    sd_hash: str
    transaction_data_hashes: list[str] | None = None
    transaction_data_hashes_alg: str | None = None


@dataclass(frozen=True, slots=True)
class SdJwt:
    """A compact SD-JWT, with or without key binding. Parsed; verified only by `open` and `check_binding`."""

    jws: Jws
    disclosures: tuple[str, ...]
    key_binding: str | None
    items: tuple[list[Any], ...]  # the disclosures, decoded

    @classmethod
    def parse(cls, text: str, *, typ: str | tuple[str, ...] = TYP, limit: int = MAX_SD_JWT) -> SdJwt:
        if len(text) > limit:
            raise Refused(Code.TOO_LARGE, "the credential is too large")
        token, *disclosures = text.split("~")
        if not disclosures:
            raise Refused(Code.MALFORMED, "a credential ends with a tilde or a key binding")
        if len(disclosures) > MAX_DISCLOSURES + 1:
            raise Refused(Code.TOO_LARGE, "the credential has too many disclosures")
        binding = disclosures.pop() or None
        jws = Jws.parse(token, typ=typ, limit=limit)
        return cls(jws, tuple(disclosures), binding, tuple([_item(one) for one in disclosures]))

    def encode(self) -> str:
        return "~".join((self.jws.encode(), *self.disclosures, self.key_binding or ""))

    @property
    def x5c(self) -> tuple[bytes, ...]:
        return self.jws.x5c

    def open(self, key: PublicKey) -> dict[str, Any]:
        """The claims, once the issuer's signature has been verified (RFC 9901 7.1)."""
        self.jws.verify(key)
        return self.peek()

    def peek(self) -> dict[str, Any]:
        """The claims before anybody has vouched for them: to find the issuer, or in the holder's own copy."""
        return self._processed().claims

    def paths(self) -> dict[Path, int]:
        """Where each disclosure lands in the claims, by its number."""
        return self._processed().places

    def _processed(self) -> _Processed:
        payload = self.jws.claims()
        if payload.pop("_sd_alg", _HASH) != _HASH:  # HAIP 1.0 8: SHA-256 is the one hash
            raise Refused(Code.UNSUPPORTED, "disclosures are hashed with another hash than SHA-256")
        texts = [text.encode() for text in self.disclosures]
        processed = _Processed(dict(zip(_digests(texts), range(len(texts)), strict=True)), self.items)
        processed.claims = processed.object(payload, ())
        processed.must_be_used_up(len(texts))
        if self.jws.header["typ"] == TYP:
            for path in processed.places:
                if path[0] in SIGNED_OPEN:
                    raise Refused(Code.MALFORMED, f"{path[0]} may not come from a disclosure")
            if not isinstance(processed.claims.get("vct"), str):
                raise Refused(Code.MALFORMED, "the credential does not say its type")
        return processed

    def disclose(self, paths: Iterable[Sequence[Step]]) -> SdJwt:
        """Only what these DCQL claims paths (OpenID4VP 1.0 7) need: what leads there, and what lies beneath.

        A path that selects nothing discloses nothing.
        """
        whole = self._processed()
        wanted = [tuple(path) for path in paths if _selects(whole.claims, path)]
        keep = sorted(
            index for place, index in whole.places.items() if any(_on_the_way(place, path) for path in wanted)
        )
        return SdJwt(
            self.jws,
            tuple([self.disclosures[index] for index in keep]),
            None,
            tuple([self.items[index] for index in keep]),
        )

    def bind(
        self, holder: Signing, *, nonce: str, audience: str, now: datetime, transaction_data: Sequence[str] = ()
    ) -> str:
        """The presentation, with a key binding for this nonce and audience (RFC 9901 4.3).

        `transaction_data` are the strings of the request that this credential authorizes, exactly as they came.
        """
        shown = "~".join((self.jws.encode(), *self.disclosures, ""))
        claims: dict[str, Any] = {"nonce": nonce, "aud": audience, "iat": int(now.timestamp()), "sd_hash": _hash(shown)}
        if transaction_data:
            hashes, named = transaction_hashes(transaction_data)
            claims["transaction_data_hashes"] = hashes
            if named:
                claims["transaction_data_hashes_alg"] = _HASH
        return shown + sign_jws(holder, {"typ": "kb+jwt"}, claims)

    def check_binding(
        self,
        holder_key: PublicKey,
        *,
        nonce: str,
        audience: str,
        now: datetime,
        max_age: int = 300,
        skew: int = 60,
        transaction_data: Sequence[str] = (),
    ) -> None:
        """RFC 9901 7.3 step 5: the holder's key signed these disclosures, for us, for this nonce, just now.

        `transaction_data` are the strings we sent that this presentation must authorize: these, and no others.
        """
        if self.key_binding is None:
            raise Refused(Code.BAD_HOLDER_PROOF, "the holder did not sign")
        try:
            jws = Jws.parse(self.key_binding, typ="kb+jwt")
            jws.verify(holder_key)
            said = jws.typed(_Binding)
        except Refused as refused:
            raise Refused(Code.BAD_HOLDER_PROOF, f"the holder's signature: {refused.detail}") from None
        if not hmac.compare_digest(said.nonce.encode(), nonce.encode()):
            raise Refused(Code.WRONG_NONCE, "the holder answered another question")
        if said.aud != audience:
            raise Refused(Code.WRONG_AUDIENCE, "the holder answered somebody else")
        at = now.timestamp()
        if not at - max_age - skew <= said.iat <= at + skew:
            raise Refused(Code.BAD_HOLDER_PROOF, "the holder's signature is too old or from the future")
        shown = "~".join((self.jws.encode(), *self.disclosures, ""))
        if said.sd_hash != _hash(shown):
            raise Refused(Code.BAD_HOLDER_PROOF, "the holder signed other disclosures")
        if transaction_data:
            _must_authorize(said, transaction_data)
        elif said.transaction_data_hashes is not None or said.transaction_data_hashes_alg is not None:
            raise Refused(Code.BAD_HOLDER_PROOF, "the holder authorized what we did not ask for")


class _Processed:
    """One walk over the payload, replacing digests by what was disclosed for them (RFC 9901 7.1 step 3)."""

    def __init__(self, by_digest: dict[str, int], items: tuple[list[Any], ...]) -> None:
        self.claims: dict[str, Any] = {}
        self.places: dict[Path, int] = {}
        self._by_digest, self._items = by_digest, items
        self._seen: set[str] = set()

    def object(self, raw: dict[str, Any], path: Path) -> dict[str, Any]:
        if len(path) > MAX_NESTING:
            raise Refused(Code.TOO_LARGE, "the claims are nested too deeply")
        if "..." in raw or "_sd_alg" in raw:
            raise Refused(Code.MALFORMED, "a reserved name is used out of place")
        raw = dict(raw)  # what the holder keeps is not ours to change
        digests = raw.pop("_sd", None)
        for name, value in raw.items():
            kind = type(value)
            if kind is dict or kind is list:
                raw[name] = self._value(value, (*path, name))
        if digests is not None:
            if not isinstance(digests, list):
                raise Refused(Code.MALFORMED, "_sd is not a list of digests")
            for digest in digests:
                index = self._take(digest)
                if index is not None:  # otherwise a decoy, or not disclosed
                    self._member(raw, index, path)
        return raw

    def _member(self, into: dict[str, Any], index: int, path: Path) -> None:
        item = self._items[index]
        if len(item) != 3:
            raise Refused(Code.MALFORMED, "a disclosure for an array stands in an object")
        name = item[1]
        if name in _RESERVED:
            raise Refused(Code.MALFORMED, "a disclosure has a reserved name")
        if name in into:
            raise Refused(Code.MALFORMED, "a disclosure has the name of another claim")
        self.places[(*path, name)] = index
        into[name] = self._value(item[2], (*path, name))

    def array(self, raw: list[Any], path: Path) -> list[Any]:
        if len(path) > MAX_NESTING:
            raise Refused(Code.TOO_LARGE, "the claims are nested too deeply")
        shown: list[Any] = []
        for value in raw:
            here = (*path, len(shown))
            if not isinstance(value, dict) or "..." not in value:
                shown.append(self._value(value, here))
                continue
            if len(value) != 1:
                raise Refused(Code.MALFORMED, "an array digest has company")
            index = self._take(value["..."])
            if index is None:
                continue
            if len(self._items[index]) != 2:
                raise Refused(Code.MALFORMED, "a disclosure for an object stands in an array")
            self.places[here] = index
            shown.append(self._value(self._items[index][1], here))
        return shown

    def _value(self, value: Any, path: Path) -> Any:
        if isinstance(value, dict):
            return self.object(value, path)
        return self.array(value, path) if isinstance(value, list) else value

    def _take(self, digest: Any) -> int | None:
        if not isinstance(digest, str):
            raise Refused(Code.MALFORMED, "a digest is not a string")
        if digest in self._seen:
            raise Refused(Code.MALFORMED, "a digest appears twice")
        self._seen.add(digest)
        return self._by_digest.get(digest)

    def must_be_used_up(self, disclosures: int) -> None:
        if len(self._by_digest) != disclosures:
            raise Refused(Code.MALFORMED, "a disclosure appears twice")
        if len(self.places) != disclosures:
            raise Refused(Code.BAD_DIGEST, "a disclosure is not covered by the issuer's signature")


def holder_key(claims: Mapping[str, Any]) -> PublicKey:
    """RFC 7800 3.2: the key the holder must prove possession of."""
    cnf = claims.get("cnf")
    if not isinstance(cnf, dict) or "jwk" not in cnf:
        raise Refused(Code.MALFORMED, "the credential is not bound to a key")
    return PublicKey.from_jwk(cnf["jwk"])


# --- transaction data: OpenID4VP 1.0 8.4 and B.3.3.1 --------------------------------------------------------------


def transaction_hashes(transaction_data: Sequence[str]) -> tuple[list[str], bool]:
    """The hash of each string as it stands, not decoded; and whether the request named the algorithm, which the answer
    must then name too. SHA-256 is the one hash: a request that wants another is refused."""
    named = False
    for text in transaction_data:
        transaction = decode_json(unb64u(text))
        if "transaction_data_hashes_alg" not in transaction:
            continue
        named, algorithms = True, transaction["transaction_data_hashes_alg"]
        if not isinstance(algorithms, list) or not all(isinstance(name, str) for name in algorithms):
            raise Refused(Code.MALFORMED, "the transaction's hash algorithms are not a list of names")
        if _HASH not in algorithms:
            raise Refused(Code.UNSUPPORTED, "the transaction is to be hashed with another hash than SHA-256")
    return _digests([text.encode() for text in transaction_data]), named


def _must_authorize(said: _Binding, transaction_data: Sequence[str]) -> None:
    expected, named = transaction_hashes(transaction_data)
    if said.transaction_data_hashes_alg != _HASH and (named or said.transaction_data_hashes_alg is not None):
        raise Refused(Code.BAD_HOLDER_PROOF, "the holder hashed the transaction with another hash")
    # Each hash maps to one string; the text gives them no order.
    if sorted(said.transaction_data_hashes or ()) != sorted(expected):
        raise Refused(Code.BAD_HOLDER_PROOF, "the holder authorized another transaction")


def _item(text: str) -> list[Any]:
    item = decode_json_value(unb64u(text), limit=MAX_SD_JWT)
    if not isinstance(item, list) or len(item) not in (2, 3) or not isinstance(item[0], str):
        raise Refused(Code.MALFORMED, "a disclosure is not a salt, a name and a value")
    if len(item) == 3 and not isinstance(item[1], str):
        raise Refused(Code.MALFORMED, "a disclosure's name is not a string")
    return item


def _hash(shown: str) -> str:
    return b64u(hashlib.sha256(shown.encode()).digest())


def _selects(value: Any, path: Sequence[Step]) -> bool:
    if not path:
        return True
    step, rest = path[0], path[1:]
    if isinstance(step, str):
        return isinstance(value, dict) and step in value and _selects(value[step], rest)
    if not isinstance(value, list) or (step is not None and step < 0):
        return False
    return any(_selects(item, rest) for item in (value if step is None else value[step : step + 1]))


def _on_the_way(place: Path, wanted: tuple[Step, ...]) -> bool:
    for here, there in zip(place, wanted, strict=False):
        if there is None:
            if not isinstance(here, int):
                return False
        elif here != there:
            return False
    return True
