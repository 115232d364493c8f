"""SD-JWT (RFC 9901) and SD-JWT VC: draft and complete, parse and open, disclose and bind.

Promises: `open` gives the claims the issuer signed and the holder chose to show, and nothing else. Trusts: the key
the caller found for the issuer. Keeps: nothing. Refuses: every "must reject" of RFC 9901 7.1 (a digest used twice, a
disclosure no digest covers, names that collide, a hash other than SHA-256), and for SD-JWT VC a validity, key or
status claim that came from a disclosure. Dates and status are not judged here: the caller has the clock and the list.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from mapae.errors import Code, Refused
from mapae.formats import jws_json
from mapae.formats.cose import Key
from mapae.formats.hiding import HASH, RESERVED, SIGNED_OPEN, TYP, Draft, Hidden, digests, draft, hidden
from mapae.formats.jose import (
    ES256_NAMES,
    Jws,
    PublicKey,
    Signing,
    b64u,
    decode_json,
    decode_json_value,
    sign_jws,
    token_parts,
    unb64u,
    unb64u_each,
)

__all__ = [
    "SIGNED_OPEN", "TYP", "Draft", "Hidden", "SdJwt", "draft", "hidden", "holder_jwk", "holder_key",
    "transaction_hashes", "types",
]  # fmt: skip

MAX_SD_JWT: Final = 262_144
MAX_DISCLOSURES: Final = 512
MAX_NESTING: Final = 24

Path = tuple[str | int, ...]
Step = str | int | None


class _Binding(msgspec.Struct, frozen=True):
    """RFC 9901 4.3: the claims a key binding must have; others may be there."""

    nonce: str
    aud: str
    iat: int | float
    sd_hash: str
    transaction_data_hashes: list[str] | None = None
    transaction_data_hashes_alg: str | None = None
    exp: int | float = math.inf
    nbf: int | float = -math.inf


class SdJwt(msgspec.Struct, frozen=True):
    """An SD-JWT, with or without key binding. Parsed; verified only by `open` and `check_binding`."""

    jws: Jws
    disclosures: tuple[str, ...]
    key_binding: str | None
    items: tuple[list[Any], ...]  # the disclosures, decoded
    shown: str  # compact, up to and with the last tilde: what a key binding is about

    @classmethod
    def parse(
        cls, text: str, *, typ: str | tuple[str, ...] = TYP, limit: int = MAX_SD_JWT,
        algorithms: frozenset[str] = ES256_NAMES,
    ) -> SdJwt:  # fmt: skip
        """The compact form (RFC 9901 4)."""
        if len(text) > limit:
            raise Refused(Code.TOO_LARGE, "the credential is too large")
        token, *disclosures = text.split("~", MAX_DISCLOSURES + 2)
        if not disclosures:
            raise Refused(Code.MALFORMED, "a credential ends with a tilde or a key binding")
        if len(disclosures) > MAX_DISCLOSURES + 1:
            raise Refused(Code.TOO_LARGE, "the credential has too many disclosures")
        binding = disclosures.pop()
        shown = text[: -len(binding)] if binding else text
        header, signed, body, seal = token_parts(token, typ, limit, algorithms)
        payload, signature, *decoded = unb64u_each((body, seal, *disclosures))
        items = tuple([_item(one) for one in decoded])
        return cls(Jws(header, payload, signature, signed), tuple(disclosures), binding or None, items, shown)

    @classmethod
    def from_json(
        cls, raw: bytes | str | Mapping[str, Any], *, typ: str | tuple[str, ...] = TYP, limit: int = MAX_SD_JWT
    ) -> SdJwt:
        """The flattened or general JSON form (RFC 9901 8). Of several signatures, the first we can judge counts."""
        value = raw if isinstance(raw, Mapping) else decode_json(raw, limit=limit)
        signed = jws_json.read(value, typ=typ, limit=limit)
        header, *others = [entry.get("header", {}) for entry in value.get("signatures", [value])]
        if any(not _UNPROTECTED.isdisjoint(other) for other in others):  # RFC 9901 8.3: beside the first signature only
            raise Refused(Code.MALFORMED, "disclosures stand beside a later signature")
        if not _UNPROTECTED.isdisjoint(signed[0].jws.header):
            raise Refused(Code.MALFORMED, "disclosures stand in the protected header")
        disclosures, binding = header.get("disclosures", []), header.get("kb_jwt", "")
        if not isinstance(disclosures, list) or not all(isinstance(one, str) for one in (*disclosures, binding)):
            raise Refused(Code.MALFORMED, "the disclosures are not a list of strings, or the key binding is none")
        if ("kb_jwt" in header and not binding) or any("~" in one for one in (*disclosures, binding)):
            raise Refused(Code.MALFORMED, "a disclosure or the key binding is not one")
        text = "~".join((signed[0].jws.encode(), *disclosures, binding or ""))
        return cls.parse(text, typ=typ, limit=limit)

    def encode(self) -> str:
        return self.shown + (self.key_binding or "")

    def to_json(self, *, general: bool = False) -> dict[str, Any]:
        """RFC 9901 8: the same in JSON, flattened unless `general`."""
        protected, payload, signature = self.jws.encode().split(".")
        header: dict[str, Any] = {"disclosures": list(self.disclosures)}
        if self.key_binding is not None:
            header["kb_jwt"] = self.key_binding
        signed = {"header": header, "protected": protected, "signature": signature}
        return {"payload": payload} | ({"signatures": [signed]} if general else signed)

    @property
    def x5c(self) -> tuple[bytes, ...]:
        return self.jws.x5c

    def open(self, key: Key) -> dict[str, Any]:
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
        raw, payload = self.jws.payload, self.jws.claims()
        marks = ("_sd" in payload) + ("_sd_alg" in payload)
        if payload.pop("_sd_alg", HASH) != HASH:
            raise Refused(Code.UNSUPPORTED, "disclosures are hashed with another hash than SHA-256")
        texts = [text.encode() for text in self.disclosures]
        processed = _Processed(dict(zip(digests(texts), range(len(texts)), strict=True)), self.items)
        # Where nothing below the top can be a digest, there is nothing to look for. An escape could hide one.
        flat = raw.count(b'"_sd') == marks and b'"..."' not in raw and b"\\" not in raw
        processed.claims = processed.object(payload, (), flat=flat)
        processed.must_be_used_up(len(texts))
        if self.jws.header["typ"] == TYP:
            for path in processed.places:
                if path[0] in SIGNED_OPEN:
                    raise Refused(Code.MALFORMED, f"{path[0]} may not come from a disclosure")
            types(processed.claims)
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
        return self._with(keep)

    def _with(self, keep: Sequence[int]) -> SdJwt:
        disclosures = tuple([self.disclosures[index] for index in keep])
        shown = "~".join((self.jws.encode(), *disclosures, ""))
        return SdJwt(self.jws, disclosures, None, tuple([self.items[index] for index in keep]), shown)

    def bind(
        self, holder: Signing, *, nonce: str, audience: str, now: datetime, transaction_data: Sequence[str] = ()
    ) -> str:
        """The presentation, with a key binding for this nonce and audience (RFC 9901 4.3).

        `transaction_data` are the strings of the request that this credential authorizes, exactly as they came.
        """
        at, bound = int(now.timestamp()), _hash(self.shown)
        claims: dict[str, Any] = {"nonce": nonce, "aud": audience, "iat": at, "sd_hash": bound}
        if transaction_data:
            hashes, named = transaction_hashes(transaction_data)
            claims["transaction_data_hashes"] = hashes
            if named:
                claims["transaction_data_hashes_alg"] = HASH
        return self.shown + sign_jws(holder, {"typ": "kb+jwt"}, claims)

    def check_binding(
        self,
        holder_key: Key,
        *,
        nonce: str,
        audience: str,
        now: datetime,
        max_age: int = 300,
        skew: int = 60,
        transaction_data: Sequence[str] = (),
        algorithms: frozenset[str] = ES256_NAMES,
    ) -> None:
        """RFC 9901 7.3 step 5: the holder's key signed these disclosures, for us, for this nonce, just now.

        `transaction_data` are the strings we sent that this presentation must authorize: these, and no others.
        """
        if self.key_binding is None:
            raise Refused(Code.BAD_HOLDER_PROOF, "the holder did not sign")
        try:
            jws = Jws.parse(self.key_binding, typ="kb+jwt", algorithms=algorithms)
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
        if not said.nbf - skew <= at < said.exp + skew:  # step 5.8: RFC 7519 in all other respects
            raise Refused(Code.BAD_HOLDER_PROOF, "the holder's signature is for another time")
        if said.sd_hash != _hash(self.shown):
            raise Refused(Code.BAD_HOLDER_PROOF, "the holder signed other disclosures")
        if transaction_data:
            _must_authorize(said, transaction_data)
        elif said.transaction_data_hashes is not None or said.transaction_data_hashes_alg is not None:
            raise Refused(Code.BAD_HOLDER_PROOF, "the holder authorized what we did not ask for")


_ABSENT: Final = object()
_UNPROTECTED: Final = frozenset({"disclosures", "kb_jwt"})


class _Processed:
    """One walk over the payload, replacing digests by what was disclosed for them (RFC 9901 7.1 step 3)."""

    def __init__(self, by_digest: dict[str, int], items: tuple[list[Any], ...]) -> None:
        self.claims: dict[str, Any] = {}
        self.places: dict[Path, int] = {}
        self._by_digest, self._items = by_digest, items
        self._seen: set[str] = set()

    def object(self, raw: dict[str, Any], path: Path, *, flat: bool = False) -> dict[str, Any]:
        if len(path) > MAX_NESTING:
            raise Refused(Code.TOO_LARGE, "the claims are nested too deeply")
        if "..." in raw or "_sd_alg" in raw:
            raise Refused(Code.MALFORMED, "a reserved name is used out of place")
        raw = dict(raw)  # what the holder keeps is not ours to change
        hidden = raw.pop("_sd", _ABSENT)
        if not flat:
            for name, value in raw.items():
                kind = type(value)
                if kind is dict or kind is list:
                    raw[name] = self._value(value, (*path, name))
        if hidden is not _ABSENT:
            if type(hidden) is not list:
                raise Refused(Code.MALFORMED, "_sd is not a list of digests")
            met = self._meet(hidden)
            for digest, index in self._by_digest.items():
                if digest in met:  # the others of `met` are decoys, or not disclosed
                    self._member(raw, index, path)
        return raw

    def _member(self, into: dict[str, Any], index: int, path: Path) -> None:
        item = self._items[index]
        if len(item) != 3:
            raise Refused(Code.MALFORMED, "a disclosure for an array stands in an object")
        name = item[1]
        if name in RESERVED:
            raise Refused(Code.MALFORMED, "a disclosure has a reserved name")
        if name in into:
            raise Refused(Code.MALFORMED, "a disclosure has the name of another claim")
        self.places[(*path, name)] = index
        value = item[2]
        kind = type(value)
        into[name] = self._value(value, (*path, name)) if kind is dict or kind is list else value

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
            self._meet([value["..."]])
            index = self._by_digest.get(value["..."])
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

    def _meet(self, found: list[Any]) -> set[str]:
        try:
            "".join(found)  # the quickest way to see that all are strings
        except TypeError:
            raise Refused(Code.MALFORMED, "a digest is not a string") from None
        met = set(found)
        if len(met) != len(found) or not self._seen.isdisjoint(met):
            raise Refused(Code.MALFORMED, "a digest appears twice")
        self._seen |= met
        return met

    def must_be_used_up(self, disclosures: int) -> None:
        if len(self._by_digest) != disclosures:
            raise Refused(Code.MALFORMED, "a disclosure appears twice")
        if len(self.places) != disclosures:
            raise Refused(Code.BAD_DIGEST, "a disclosure is not covered by the issuer's signature")


def types(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """What an SD-JWT VC says it is: its `vct`, then the more general types it also is (`aka_vcts`, draft-18 and later).

    Both are the issuer's word: whether it may issue one of them is for the caller's trust list to say.
    """
    vct = claims.get("vct")
    if type(vct) is not str:
        raise Refused(Code.MALFORMED, "the credential does not say its type")
    if "aka_vcts" not in claims:
        return (vct,)
    others = claims["aka_vcts"]
    if type(others) is not list or not others or not all(type(one) is str for one in others) or vct in others:
        raise Refused(Code.MALFORMED, "the credential's other types are not a list of types")
    return (vct, *others)


def holder_key(claims: Mapping[str, Any]) -> PublicKey:
    """RFC 7800 3.2: the key the holder must prove possession of."""
    return PublicKey.from_jwk(holder_jwk(claims))


def holder_jwk(claims: Mapping[str, Any]) -> Any:
    """The same as it came, for who reads keys on other curves too."""
    cnf = claims.get("cnf")
    if type(cnf) is not dict or "jwk" not in cnf:
        raise Refused(Code.MALFORMED, "the credential is not bound to a key")
    return cnf["jwk"]


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
        if HASH not in algorithms:
            raise Refused(Code.UNSUPPORTED, "the transaction is to be hashed with another hash than SHA-256")
    return digests([text.encode() for text in transaction_data]), named


def _must_authorize(said: _Binding, transaction_data: Sequence[str]) -> None:
    expected, named = transaction_hashes(transaction_data)
    if said.transaction_data_hashes_alg != HASH and (named or said.transaction_data_hashes_alg is not None):
        raise Refused(Code.BAD_HOLDER_PROOF, "the holder hashed the transaction with another hash")
    # Each hash maps to one string; the text gives them no order.
    if sorted(said.transaction_data_hashes or ()) != sorted(expected):
        raise Refused(Code.BAD_HOLDER_PROOF, "the holder authorized another transaction")


def _item(raw: bytes) -> list[Any]:
    item = decode_json_value(raw, limit=MAX_SD_JWT)
    if type(item) is not list or not 2 <= len(item) <= 3 or type(item[0]) is not str:
        raise Refused(Code.MALFORMED, "a disclosure is not a salt, a name and a value")
    if len(item) == 3 and type(item[1]) is not str:
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
