"""Keys that both sides can use, an issuer's chain, a question to answer; on today's clock, as some peers insist."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec

from mapae.clock import SystemDice
from mapae.formats import jose, x509
from mapae.formats.jose import b64u, unb64u
from mapae.formats.x509 import Profile, Subject
from mapae.keys import Signer
from mapae.verifier.checking.check import Ask, Trusted
from unit.verifier import world
from unit.verifier.world import DOCTYPE, NAMESPACE, PLACE, VCT, WHO

NOW = datetime.now(UTC).replace(microsecond=0)
TODAY = NOW.replace(hour=0, minute=0, second=0)
LATER = TODAY + timedelta(days=14)
dice = SystemDice()


@dataclass(frozen=True)
class Pair:
    """A key for our side (`signer`) and for theirs (`private`, `public`)."""

    signer: Signer
    private: dict[str, str]
    secret: ec.EllipticCurvePrivateKey

    @classmethod
    def new(cls) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        signer = Signer(key)
        d = key.private_numbers().private_value.to_bytes(32, "big")
        return cls(signer, {**signer.jwk, "d": b64u(d)}, key)

    @property
    def public(self) -> dict[str, str]:
        return self.signer.jwk

    def agree(self, public: jose.PublicKey) -> bytes:
        x, y = (int.from_bytes(unb64u(public.jwk[name]), "big") for name in ("x", "y"))
        return self.secret.exchange(ec.ECDH(), ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key())

    def cose(self, *, private: bool = False) -> bytes:
        """COSE_Key (RFC 9053 7.1.1)."""
        words = {1: 2, -1: 1, -2: unb64u(self.public["x"]), -3: unb64u(self.public["y"])}
        return cbor2.dumps(words | ({-4: unb64u(self.private["d"])} if private else {}))

    @property
    def key(self) -> jose.PublicKey:
        return jose.PublicKey.from_jwk(self.signer.jwk)


class Authority(world.Authority):
    """As ISO/IEC 18013-5 B.1.4 wants it: the certificates name a country."""

    def certify(
        self, profile: Profile, key: Signer, start: datetime | None = None, end: datetime | None = None
    ) -> bytes:
        return x509.leaf(
            profile, Subject(f"{self.name} {profile.name}", country="KR"), jose.PublicKey.from_jwk(key.jwk), ca=self.ca,
            ca_der=self.root, serial=x509.serial_number(dice.bytes(16)), not_before=start or self.start,
            not_after=end or self.end,
        )  # fmt: skip


ISSUER, HOLDER, STRANGER = Pair.new(), Pair.new(), Pair.new()
AUTHORITY = Authority("Conformance", TODAY - timedelta(days=30), TODAY + timedelta(days=300), signer=ISSUER.signer)
CHAIN = (AUTHORITY.leaf,)
OTHER_VCT, OTHER_DOCTYPE = "urn:mapae:kr:other:1", "org.example.other"
NONCE = "n-" + dice.token(16)


def just_now() -> datetime:
    """For what a peer dated by its own clock, however long after the tests were collected."""
    return datetime.now(UTC)


def ask(**changes: Any) -> Ask:
    return world.ask(WHO, nonce=NONCE, **changes)


def trusted(**changes: Any) -> Trusted:
    """The issuer may issue what is asked for, and one type more."""
    issuer = AUTHORITY.issuer(vcts=frozenset({VCT, OTHER_VCT}), doctypes=frozenset({DOCTYPE, OTHER_DOCTYPE}))
    return world.trusted(issuer, good_until=NOW + timedelta(hours=1), **changes)


# What everybody issues. Nested, recursive and array disclosures are in the SD-JWT only.
PERSON: dict[str, Any] = {
    "name": "김지수",
    "birth_date": "2001-03-09",
    "adult_by_year": True,
    "address": {"region": "세종", "street": {"name": "도움6로", "number": 11}},
    "nationalities": ["KOR", "FRA", "DEU"],
    "score": 3.5,
    "nothing": None,
}


def open_claims(holder: Pair = HOLDER, **changes: Any) -> dict[str, Any]:
    """What an SD-JWT VC says in the open."""
    claims = {
        "iss": "http://mapae.test/issuer",
        "vct": VCT,
        "iat": int(TODAY.timestamp()),
        "nbf": int(TODAY.timestamp()),
        "exp": int(LATER.timestamp()),
        "cnf": {"jwk": holder.public},
        "status": PLACE.claim(),
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def x5c() -> list[str]:
    return jose.x5c_header(CHAIN)


def transcript(asked: Ask) -> bytes:
    return world.transcript(asked)


def transcript_words(asked: Ask, **changes: Any) -> dict[str, Any]:
    """The same for a peer that makes it from its parts (OpenID4VP 1.0 B.2.6.1)."""
    words = {
        "kind": "openid4vp",
        "clientId": asked.client_id,
        "nonce": asked.nonce,
        "responseUri": asked.response_uri,
        "thumbprint": b64u(asked.key_thumbprint),
    }
    return {**words, **changes}


# --- parties of the protocols -----------------------------------------------------------------------------------------

WALLETS = Authority("Their wallets", TODAY - timedelta(days=30), TODAY + timedelta(days=300))
PROVIDER = Pair.new()
ASKERS = Authority("Their verifiers", TODAY - timedelta(days=30), TODAY + timedelta(days=300))
ASKER = Pair.new()
SHORT = {"name": "Kim Jisoo", "birth_date": "2001-03-09", "adult_by_year": True}


def provider_words(key: Pair = PROVIDER, chain: tuple[bytes, ...] = ()) -> dict[str, Any]:
    """Who vouches for their wallet."""
    chain = chain or (WALLETS.certify(Profile.WALLET_PROVIDER, key.signer),)
    client = "https://wallet.elsewhere.example"
    return {"key": key.private, "x5c": jose.x5c_header(chain), "issuer": client, "clientId": f"{client}/app"}


def issuer_words(**changes: Any) -> dict[str, Any]:
    """What their issuer is started with."""
    iso = "%Y-%m-%dT%H:%M:%SZ"
    validity = {"signed": TODAY.strftime(iso), "validFrom": TODAY.strftime(iso), "validUntil": LATER.strftime(iso)}
    words = {
        "key": ISSUER.private, "x5c": x5c(), "anchors": [b64u(WALLETS.root)], "vct": VCT, "doctype": DOCTYPE,
        "namespace": NAMESPACE, "claims": SHORT, "validity": validity, "dpopNonce": True,
    }  # fmt: skip
    return {**words, **changes}


def verifier_words(**changes: Any) -> dict[str, Any]:
    """What their verifier is started with."""
    leaf = ASKERS.certify(Profile.ACCESS, ASKER.signer)
    words = {
        "key": ASKER.private, "x5c": jose.x5c_header([leaf]), "issuerKey": ISSUER.public,
        "anchors": [b64u(AUTHORITY.root)],
    }  # fmt: skip
    return {**words, **changes}


QUERY = {
    "credentials": [
        {"id": "sd", "format": "dc+sd-jwt", "meta": {"vct_values": [VCT]}, "claims": [{"path": ["name"]}]},
        {
            "id": "mdoc", "format": "mso_mdoc", "meta": {"doctype_value": DOCTYPE},
            "claims": [{"path": [NAMESPACE, "name"]}],
        },
    ],
}  # fmt: skip
