"""From an order and the register's facts to copies that only lack a signature. Pure.

Promises: the copies of a batch say the same about the person and share nothing that could link two of them: keys,
salts and status indexes differ, and their dates are whole days in the country's own time zone. No copy outlives an age
answer in it, its card, or the pack's `copy_days`. Trusts: the facts and the catalogue. Keeps: nothing.
Refuses: a card whose last day is over.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from mapae.catalog import ClaimValue, Country, Document, MdocFormat, SdJwtFormat, next_change
from mapae.errors import Code, Refused
from mapae.formats import mdoc, sd_jwt
from mapae.formats.jose import PublicKey, b64u, x5c_header
from mapae.formats.status import StatusRef
from mapae.issuer.metadata import Configuration


@dataclass(frozen=True, slots=True)
class Life:
    """From the first second of today to the first second of the day on which the copies are no longer good."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy, ready to sign."""

    ticket: str
    key: PublicKey
    status: StatusRef
    body: sd_jwt.Draft | mdoc.Draft

    @property
    def signing_input(self) -> bytes:
        return self.body.signing_input

    @property
    def digest(self) -> bytes:
        """What we write down that we mean to sign."""
        return hashlib.sha256(self.body.signing_input).digest()

    def complete(self, signature: bytes) -> str:
        """The credential as it travels (OpenID4VCI Appendix A.2.4 and A.3.4)."""
        done = self.body.complete(signature)
        return b64u(done) if isinstance(done, bytes) else done


@dataclass(frozen=True, slots=True)
class Draft:
    """A whole batch."""

    configuration: Configuration
    life: Life
    values: Mapping[str, ClaimValue]
    copies: tuple[Copy, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """What one copy is bound to and where its status stands."""

    ticket: str
    key: PublicKey
    status: StatusRef


def life_of_copies(country: Country, document: Document, birth: date, card_expires: date, now: datetime) -> Life:
    """The shortest of: the pack's days, the next day an age answer changes, the day after the card's last."""
    today = country.today(now)
    end = min(today + timedelta(days=country.issuance.copy_days), card_expires + timedelta(days=1))
    change = next_change(country, document, birth, today)
    if change is not None:
        end = min(end, change)
    if end <= today:
        raise Refused(Code.CREDENTIAL_REQUEST_DENIED, "the card has expired")
    return Life(midnight(country, today), midnight(country, end))


def midnight(country: Country, day: date) -> datetime:
    return datetime.combine(day, time(), ZoneInfo(country.timezone)).astimezone(UTC)


def draft_batch(
    configuration: Configuration,
    values: Mapping[str, ClaimValue],
    life: Life,
    places: Sequence[Place],
    *,
    issuer: str,
    x5c: Sequence[bytes],
    entropy: Callable[[int], bytes],
) -> Draft:
    match configuration.format:
        case SdJwtFormat(vct=vct):
            shared = _shared_claims(values, life, vct, issuer)
            header = {"typ": "dc+sd-jwt", "x5c": x5c_header(x5c)}
            bodies: list[sd_jwt.Draft | mdoc.Draft] = [_sd_jwt(shared, header, place, entropy) for place in places]
        case MdocFormat() as form:
            bodies = [_mdoc(values, life, place, form, x5c, entropy) for place in places]
    copies = [Copy(place.ticket, place.key, place.status, body) for place, body in zip(places, bodies, strict=True)]
    return Draft(configuration, life, values, tuple(copies))


def _shared_claims(values: Mapping[str, ClaimValue], life: Life, vct: str, issuer: str) -> dict[str, Any]:
    """What every copy says. Copies differ in salts, key and place in a status list."""
    open_claims = {"iss": issuer, "vct": vct, "iat": int(life.start.timestamp()), "exp": int(life.end.timestamp())}
    return open_claims | {name: sd_jwt.hidden(name, json_value(value)) for name, value in values.items()}


def _sd_jwt(
    shared: Mapping[str, Any], header: Mapping[str, Any], place: Place, entropy: Callable[[int], bytes]
) -> sd_jwt.Draft:
    claims = {**shared, "cnf": {"jwk": place.key.jwk}, "status": place.status.claim()}
    return sd_jwt.draft(header, claims, entropy=entropy)


def json_value(value: ClaimValue) -> str | bool:
    """Dates as YYYY-MM-DD, pictures as standard base64."""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return value.isoformat() if isinstance(value, date) else value


def _mdoc(
    values: Mapping[str, ClaimValue], life: Life, place: Place, form: MdocFormat, x5c: Sequence[bytes],
    entropy: Callable[[int], bytes],
) -> mdoc.Draft:  # fmt: skip
    return mdoc.draft(
        form.doctype,
        {form.namespace: dict(values)},
        device_key=place.key,
        # ISO/IEC 18013-5 9.1.2.4: no fractions of a second; whole days, so that time tells no two copies apart.
        validity=mdoc.Validity(signed=life.start, valid_from=life.start, valid_until=life.end),
        x5chain=x5c,
        status=place.status,
        entropy=entropy,
    )
