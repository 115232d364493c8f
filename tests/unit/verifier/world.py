"""A small world for the verifier's tests: an issuer with its chain, a holder with a card, a shop that asks.

Cards are made with `formats` alone, so that each test can spoil exactly one thing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from mapae.catalog import Country, parse_country
from mapae.clock import SeededDice
from mapae.config import country_tree
from mapae.formats import jose, jwe, mdoc, sd_jwt, status, x509
from mapae.formats.x509 import Anchors, Profile, Subject
from mapae.keys import Signer
from mapae.verifier.checking.check import Ask, Format, Issuer, Item, Listed, Shown, Trusted

NOW = datetime(2026, 11, 21, 3, 0, 30, tzinfo=UTC)
TODAY = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
VCT = "urn:mapae:kr:resident-card:1"
DOCTYPE = NAMESPACE = "kr.mapae.resident.1"
STATUS_PREFIX = "http://mapae.test/issuer/status/"
LIST = STATUS_PREFIX + "list-1"
CLAIMS: dict[str, Any] = {
    "name": "김지수", "birth_date": "2001-03-09", "address": "세종특별자치시",
    "adult_by_year": True, "age_over_19": True,
}  # fmt: skip
ADULT = (Item("adult_by_year", "yes_no"),)
WHO = (Item("name", "text"), Item("birth_date", "date"))
PLACE = status.StatusRef(LIST, 7)
FORMATS = (Format.SD_JWT, Format.MDOC)


@dataclass(eq=False)
class Authority:
    """A CA with one signer of each kind under it."""

    name: str = "Demo"
    start: datetime = TODAY - timedelta(days=30)
    end: datetime = TODAY + timedelta(days=300)
    ca: Signer = field(default_factory=Signer.ephemeral)
    signer: Signer = field(default_factory=Signer.ephemeral)
    status_signer: Signer = field(default_factory=Signer.ephemeral)
    access_signer: Signer = field(default_factory=Signer.ephemeral)

    def __post_init__(self) -> None:
        self.root = x509.root(
            Subject(f"{self.name} CA"), self.ca, serial=_serial(), not_before=self.start - timedelta(days=1),
            not_after=self.end + timedelta(days=3000),
        )  # fmt: skip
        self.leaf = self.certify(Profile.DOCUMENT_SIGNER, self.signer)
        self.status_leaf = self.certify(Profile.STATUS_SIGNER, self.status_signer)
        self.access_leaf = self.certify(Profile.ACCESS, self.access_signer)

    def certify(
        self, profile: Profile, key: Signer, start: datetime | None = None, end: datetime | None = None,
        dns: tuple[str, ...] = (),
    ) -> bytes:  # fmt: skip
        return x509.leaf(
            profile, Subject(f"{self.name} {profile.name}"), jose.PublicKey.from_jwk(key.jwk), ca=self.ca,
            ca_der=self.root, serial=_serial(), not_before=start or self.start, not_after=end or self.end,
            dns=dns,
        )  # fmt: skip

    def issuer(self, **changes: Any) -> Issuer:
        entry = Issuer("demo-issuer", Anchors([self.root]), frozenset({VCT}), frozenset({DOCTYPE}), STATUS_PREFIX)
        return replace(entry, **changes)


_dice = SeededDice("verifier tests")


def _serial() -> int:
    return x509.serial_number(_dice.bytes(16))


AUTHORITY = Authority()
STRANGER = Authority("Stranger")
HOLDER = Signer.ephemeral()
ENCRYPTION = jwe.private_jwk(_dice.bytes(48), "key-1")
THUMBPRINT = jose.PublicKey.from_jwk(jwe.public_jwk(ENCRYPTION)).thumbprint_raw


def country() -> Country:
    return parse_country(country_tree("kr"))


def ask(items: tuple[Item, ...] = ADULT, **changes: Any) -> Ask:
    asked = Ask(
        items, VCT, DOCTYPE, NAMESPACE, "x509_hash:shop", "a-nonce-of-this-question", "http://mapae.test/verifier/responses/1",
        THUMBPRINT,
    )  # fmt: skip
    return replace(asked, **changes)


def trusted(*issuers: Issuer, standing: int = status.VALID, good_until: datetime = NOW, uri: str = LIST) -> Trusted:
    listed = Listed(status.StatusList.of(2, 64, [(7, standing)]), good_until)
    return Trusted(issuers or (AUTHORITY.issuer(),), {uri: listed})


@dataclass(frozen=True)
class Card:
    """What an issuer would sign; spoil a field to make a bad one."""

    authority: Authority = AUTHORITY
    x5c: tuple[bytes, ...] | None = None
    signer: Signer | None = None
    claims: Mapping[str, Any] = field(default_factory=lambda: dict(CLAIMS))
    vct: str = VCT
    doctype: str = DOCTYPE
    namespace: str = NAMESPACE
    starts: datetime = TODAY
    ends: datetime = TODAY + timedelta(days=14)
    signed: datetime = TODAY
    reference: status.StatusRef | None = PLACE
    holder: Signer = HOLDER

    def sd_jwt(self) -> sd_jwt.SdJwt:
        claims: dict[str, Any] = {
            "iss": "http://mapae.test/issuer", "vct": self.vct, "iat": int(self.signed.timestamp()),
            "nbf": int(self.starts.timestamp()), "exp": int(self.ends.timestamp()), "cnf": {"jwk": self.holder.jwk},
        }  # fmt: skip
        if self.reference is not None:
            claims["status"] = self.reference.claim()
        claims |= {name: sd_jwt.Hidden(value) for name, value in self.claims.items()}
        draft = sd_jwt.draft({"typ": "dc+sd-jwt", "x5c": jose.x5c_header(self.chain)}, claims, entropy=_dice.bytes)
        return sd_jwt.SdJwt.parse(draft.complete(self.key.sign(draft.signing_input)))

    def mdoc(self) -> mdoc.IssuerSigned:
        elements = {name: _element(name, value) for name, value in self.claims.items()}
        draft = mdoc.draft(
            self.doctype, {self.namespace: elements}, device_key=jose.PublicKey.from_jwk(self.holder.jwk),
            validity=mdoc.Validity(self.signed, self.starts, self.ends), x5chain=self.chain, status=self.reference,
            entropy=_dice.bytes,
        )  # fmt: skip
        return mdoc.IssuerSigned.parse(draft.complete(self.key.sign(draft.signing_input)))

    @property
    def chain(self) -> tuple[bytes, ...]:
        return self.x5c if self.x5c is not None else (self.authority.leaf,)

    @property
    def key(self) -> Signer:
        return self.signer or self.authority.signer

    def show(
        self, format: Format, asked: Ask, *, items: tuple[str, ...] | None = None, at: datetime = NOW,
        holder: Signer | None = None,
    ) -> Shown:  # fmt: skip
        """Present to this question, disclosing what it asks (or `items`)."""
        names = items if items is not None else tuple(item.name for item in asked.items)
        key = holder or self.holder
        if format is Format.SD_JWT:
            disclosed = self.sd_jwt().disclose([[name] for name in names])
            return Shown(format, disclosed.bind(key, nonce=asked.nonce, audience=asked.client_id, now=at))
        signed = self.mdoc().disclose({self.namespace: names})
        return Shown(format, jose.b64u(mdoc.present(signed, session_transcript=transcript(asked), holder=key)))


def transcript(asked: Ask) -> bytes:
    return mdoc.openid4vp_transcript(
        client_id=asked.client_id, nonce=asked.nonce, response_uri=asked.response_uri, thumbprint=asked.key_thumbprint
    )


def _element(name: str, value: Any) -> Any:
    return date.fromisoformat(value) if name == "birth_date" and isinstance(value, str) else value
