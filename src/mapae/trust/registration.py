"""The registration certificate: what the trust list says of one relying party, to be carried along with a question.

Promises: `parse` gives a `Registration` only when the pinned key of the trust list signed it and it is in date; it says
exactly what that party's entry on the list says. Trusts: the pinned key. Keeps: nothing. Refuses: another type, another
key, one that is over, an unsound entry, and, where the caller names a certificate, that of another one.

The shape is this country's own; what of ETSI TS 119 475 it corresponds to is in docs/divergences.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import msgspec

from mapae.errors import Code, Refused
from mapae.formats.jose import Jws, PublicKey, Signing, check_times, sign_jws
from mapae.rules import Words
from mapae.trust.entries import Purpose, RelyingParty, must_be_sound

TYPE: Final = "mapae-registration+jwt"
LIFE: Final = timedelta(days=30)
LIMIT: Final = 64 * 1024


class Registration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`sub` is the party's id, `iss` the address of the country, `x509_hash` that of the access certificate."""

    iss: str
    sub: str
    iat: int
    exp: int
    x509_hash: str
    name: Words
    purposes: tuple[Purpose, ...]
    contact: str = ""

    @property
    def party(self) -> RelyingParty:
        """The same as an entry of the list."""
        return RelyingParty(
            id=self.sub, name=self.name, x509_hash=self.x509_hash, purposes=self.purposes, contact=self.contact
        )  # fmt: skip


def make(party: RelyingParty, issuer: str, signer: Signing, now: datetime) -> str:
    issued = int(now.timestamp())
    said = Registration(
        iss=issuer, sub=party.id, iat=issued, exp=issued + int(LIFE.total_seconds()), x509_hash=party.x509_hash,
        name=party.name, purposes=party.purposes, contact=party.contact,
    )  # fmt: skip
    return sign_jws(signer, {"typ": TYPE, "kid": signer.kid}, msgspec.json.encode(said))


def parse(
    token: str | bytes, key: PublicKey | Mapping[str, str], now: datetime, x509_hash: str | None = None
) -> Registration:  # fmt: skip
    """1 its type  2 the pinned key  3 in date  4 a sound entry  5 this certificate's."""
    jws = Jws.parse(token, typ=TYPE, limit=LIMIT)
    jws.verify(key if isinstance(key, PublicKey) else PublicKey.from_jwk(key))
    check_times(jws.claims(), now, need=("iat", "exp"))
    said = jws.typed(Registration)
    if said.exp - said.iat > LIFE.total_seconds():
        raise Refused(Code.MALFORMED, "a registration certificate of a longer life than any has")
    must_be_sound(said.party)
    if x509_hash is not None and said.x509_hash != x509_hash:
        raise Refused(Code.UNKNOWN_RELYING_PARTY, "the registration certificate is another party's")
    return said
