"""A request for a signer's certificate, carried by hand to where the authority's key is. Pure.

Promises: whoever signs it sees what it asks for, and that the asker holds the key. Trusts: nobody: what is certified is
what the person at the authority reads and agrees to. Keeps: nothing. Refuses: a request that is not in its one form,
whose signature is of another key, that asks for a purpose we have no profile of, or for longer than a signer may live.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec

from mapae.errors import Code, Refused
from mapae.formats.jose import Jws, PublicKey, Signing, check_times, sign_jws
from mapae.formats.x509 import Certifying, Profile, Subject, leaf, life_of

TYP: Final = "mapae-ca-request+jwt"
LIMIT: Final = 8192
PROFILES: Final = {"document-signer": Profile.DOCUMENT_SIGNER, "status-signer": Profile.STATUS_SIGNER}
LONGEST: Final = 457  # days; ISO/IEC 18013-5 table B.3
LIFE: Final = 365


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`name`: what is to be certified, which says the profile."""

    name: str
    common_name: str
    organization: str
    country: str
    days: int
    iat: int

    @property
    def profile(self) -> Profile:
        return PROFILES[self.name]

    @property
    def subject(self) -> Subject:
        return Subject(self.common_name, organization=self.organization, country=self.country)


def make(name: str, subject: Subject, key: Signing, now: datetime, days: int = LIFE) -> str:
    said = Request(name, subject.common_name, subject.organization, subject.country, days, int(now.timestamp()))
    _must_be_possible(said)
    return sign_jws(key, {"typ": TYP, "jwk": PublicKey.from_jwk(key.jwk).jwk}, msgspec.to_builtins(said))


def read(text: str) -> tuple[Request, PublicKey]:
    jws = Jws.parse(text.strip(), typ=TYP, limit=LIMIT)
    key = jws.jwk
    jws.verify(key)
    said = jws.typed(Request)
    _must_be_possible(said)
    return said, key


# --- of a relying party, for its access certificate; sent along with an application -----------------------------------

ACCESS_TYP: Final = "mapae-rp-request+jwt"
ACCESS_LIFE: Final = timedelta(days=30)


def make_access(key: Signing, now: datetime) -> str:
    """Says nothing but that the asker holds the key: who it is stands in the application."""
    return sign_jws(key, {"typ": ACCESS_TYP, "jwk": PublicKey.from_jwk(key.jwk).jwk}, {"iat": int(now.timestamp())})


def read_access(text: str, now: datetime) -> PublicKey:
    jws = Jws.parse("".join(text.split()), typ=ACCESS_TYP, limit=LIMIT)
    key = jws.jwk
    jws.verify(key)
    check_times(jws.claims(), now, need=("iat",), max_age=int(ACCESS_LIFE.total_seconds()))
    return key


def certify(
    said: Request, key: PublicKey, ca: Certifying, ca_der: bytes, serial: int, now: datetime
) -> bytes:  # fmt: skip
    """The certificate, as the request asks for it; it does not outlive its authority."""
    # ISO/IEC 18013-5 9.3.1: `signed`, rounded down to the day, must fall into the certificate's life.
    start = now.replace(microsecond=0) - timedelta(days=1)
    end = min(start + timedelta(days=said.days), life_of(ca_der)[1])
    return leaf(said.profile, said.subject, key, ca=ca, ca_der=ca_der, serial=serial, not_before=start, not_after=end)


def _must_be_possible(said: Request) -> None:
    if said.name not in PROFILES:
        raise Refused(Code.MALFORMED, f"a certificate is asked for one of {', '.join(PROFILES)}")
    if not 1 <= said.days <= LONGEST:
        raise Refused(Code.MALFORMED, f"a signer's certificate lives {LONGEST} days at the most")
    for text in (said.common_name, said.organization):
        # RFC 5280 A.1 ub-common-name. It is read on a terminal by whoever signs: nothing in it may bend the line.
        if len(text) > 64 or not text.isprintable():
            raise Refused(Code.MALFORMED, "the subject's names are of at most 64 letters")
    if not said.common_name or len(said.country) != 2 or not said.country.isalpha() or not said.country.isascii():
        raise Refused(Code.MALFORMED, "the subject has a name, and a country of two letters")
