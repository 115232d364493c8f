"""A party that is too new for the wallet's list brings its registration along (OpenID4VP 1.0 5.11)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from mapae.errors import Code, Refused
from mapae.formats.jose import Jws, PublicKey, sign_jws, x5c_header
from mapae.formats.x509 import Profile, Subject, leaf, x509_hash
from mapae.holder.country import Listed
from mapae.holder.request import identify
from mapae.keys import Signer
from mapae.rules import Words
from mapae.trust import registration
from mapae.trust.publish import Purpose, RelyingParty, TrustList
from mapae.trust.signers import Reason, RevokedReader
from trusting import ACCESS, ACCESS_CA, START

KEY, LIST = Signer.ephemeral(), Signer.ephemeral()
WORDS = Words(ko="빵집", en="Bakery")
AGE = Purpose(id="age", name=WORDS, why=WORDS, legal_basis=WORDS, items=("adult_by_year",), retention=WORDS)
DER = leaf(Profile.ACCESS, Subject("Bakery"), PublicKey.from_jwk(KEY.jwk), ca=ACCESS, ca_der=ACCESS_CA.der, serial=1,
           not_before=START - timedelta(days=1), not_after=START + timedelta(days=365))  # fmt: skip
HASH = x509_hash(DER)
LATER = START + timedelta(minutes=5)


def made(signer: Signer = LIST, hash: str = HASH, at: datetime = LATER) -> str:
    party = RelyingParty(id="bakery", name=WORDS, x509_hash=hash, purposes=(AGE,))
    return registration.make(party, "https://id.example", signer, at)


def view(**more: Any) -> Listed:
    fields = TrustList.of([], seq=1, now=START, life=timedelta(days=1))
    given: Mapping[str, Any] = {name: getattr(fields, name) for name in fields.__struct_fields__}
    return Listed(TrustList(**{**given, "access_ca": (ACCESS_CA.der,), **more}), PublicKey.from_jwk(LIST.jwk))


def asked(info: Any, known: Listed) -> str:
    """Whom the wallet takes it for."""
    token = sign_jws(KEY, {"typ": "oauth-authz-req+jwt", "x5c": x5c_header((DER,))}, {"verifier_info": info})
    return identify(f"x509_hash:{HASH}", Jws.parse(token, typ="oauth-authz-req+jwt"), known, LATER).id


def test_who_is_newer_than_the_list_is_known_by_what_it_brings() -> None:
    assert asked([{"format": registration.TYPE, "data": made()}], view()) == "bakery"
    others = [{"format": "jwt", "data": "x"}, 7, {"format": registration.TYPE, "data": made()}]
    assert asked(others, view()) == "bakery"


def test_of_several_signatures_it_stands_in_the_header_of_its_own() -> None:
    """A.3.2.2."""
    about = [{"format": registration.TYPE, "data": made()}]
    header = {"typ": "oauth-authz-req+jwt", "x5c": x5c_header((DER,)), "verifier_info": about}
    jws = Jws.parse(sign_jws(KEY, header, {}), typ="oauth-authz-req+jwt")
    assert identify(f"x509_hash:{HASH}", jws, view(), LATER).id == "bakery"


REVOKED = RevokedReader(reader="A" * 43, x509_hash=HASH, reason=Reason.CEASED, since=int(START.timestamp()))
CASES: dict[str, tuple[Any, Mapping[str, Any], Code]] = {
    "nothing": (None, {}, Code.UNKNOWN_RELYING_PARTY),
    "no list of statements": ("x", {}, Code.UNKNOWN_RELYING_PARTY),
    "another format": ([{"format": "jwt", "data": made()}], {}, Code.UNKNOWN_RELYING_PARTY),
    "another key": ([{"format": registration.TYPE, "data": made(KEY)}], {}, Code.BAD_SIGNATURE),
    "another certificate's": ([{"format": registration.TYPE, "data": made(hash="A" * 43)}], {},
                              Code.UNKNOWN_RELYING_PARTY),
    "older than the list": ([{"format": registration.TYPE, "data": made(at=START - timedelta(minutes=1))}], {},
                            Code.UNKNOWN_RELYING_PARTY),
    "struck off": ([{"format": registration.TYPE, "data": made()}], {"revoked_readers": (REVOKED,)},
                   Code.SIGNER_REVOKED),
}  # fmt: skip


@pytest.mark.parametrize(("info", "more", "code"), CASES.values(), ids=list(CASES))
def test_nobody_else_is(info: Any, more: Mapping[str, Any], code: Code) -> None:
    with pytest.raises(Refused) as refused:
        asked(info, view(**more))
    assert refused.value.code is code
