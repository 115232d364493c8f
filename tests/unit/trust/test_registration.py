"""A registration certificate says of one party what the list says of it, sealed by the key of the list."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from mapae.clock import MovableClock
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey, b64u, sign_jws
from mapae.keys import Signer
from mapae.rules import Words
from mapae.trust import registration
from mapae.trust.entries import Purpose, RelyingParty
from trusting import START

LIST = Signer.ephemeral()
KEY = PublicKey.from_jwk(LIST.jwk)
WORDS = Words(ko="빵집", en="Bakery")
AGE = Purpose(id="age", name=WORDS, why=WORDS, legal_basis=WORDS, items=("adult_by_year",), retention=WORDS)
PARTY = RelyingParty(
    id="bakery", name=WORDS, x509_hash=b64u(b"h" * 32), contact="https://bakery.example/", purposes=(AGE,)
)
TOKEN = registration.make(PARTY, "https://id.example", LIST, START)


def bent(**more: Any) -> str:
    said = {**msgspec.json.decode(msgspec.json.encode(registration.parse(TOKEN, KEY, START))), **more}
    return sign_jws(LIST, {"typ": registration.TYPE, "kid": LIST.kid}, said)


def test_what_is_made_is_read_again_whole() -> None:
    said = registration.parse(TOKEN, KEY, START + timedelta(days=29), PARTY.x509_hash)
    assert said.party == PARTY and said.iss == "https://id.example" and said.exp - said.iat == 30 * 86400


CASES = {
    "another key": (Code.BAD_SIGNATURE, registration.make(PARTY, "https://id.example", Signer.ephemeral(), START)),
    "another type": (Code.UNSUPPORTED, sign_jws(LIST, {"typ": "mapae-trust-list+jwt"}, {"iat": 0})),
    "a changed name": (Code.BAD_SIGNATURE, TOKEN[:60] + ("A" if TOKEN[60] != "A" else "B") + TOKEN[61:]),
    "over": (Code.EXPIRED, bent(iat=int(START.timestamp()) - 90 * 86400, exp=int(START.timestamp()) - 60 * 86400)),
    "from the future": (Code.NOT_YET_VALID, bent(iat=int(START.timestamp()) + 3600)),
    "too long a life": (Code.MALFORMED, bent(exp=int(START.timestamp()) + 31 * 86400)),
    "no purpose": (Code.MALFORMED, bent(purposes=[])),
    "a contact that is none": (Code.MALFORMED, bent(contact="javascript:alert(1)")),
    "no end": (Code.MALFORMED, bent(exp=None)),
}


@pytest.mark.parametrize(("code", "token"), CASES.values(), ids=list(CASES))
def test_anything_else_is_refused(code: Code, token: str) -> None:
    with pytest.raises(Refused) as refused:
        registration.parse(token, KEY, START)
    assert refused.value.code in (code, Code.MALFORMED)


def test_it_is_no_good_with_another_certificate() -> None:
    with pytest.raises(Refused) as refused:
        registration.parse(TOKEN, KEY, START, b64u(b"x" * 32))
    assert refused.value.code is Code.UNKNOWN_RELYING_PARTY


def test_a_clock_that_runs_ahead_by_a_minute_is_borne() -> None:
    clock = MovableClock(START)
    clock.advance(seconds=-50)
    assert registration.parse(TOKEN, KEY, clock.now()).sub == "bakery"
