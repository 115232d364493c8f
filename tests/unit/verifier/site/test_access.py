"""Whom a verifier asks for, as its settings and the certificates it has say."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from mapae.asking import access_of
from mapae.clock import MovableClock, SystemDice
from mapae.config import Settings
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey
from mapae.formats.x509 import Profile, Subject, leaf
from mapae.house import Foundation
from trusting import ACCESS, ACCESS_CA, START


async def test_one_party_whose_certificate_is_over_does_not_keep_all_others_from_being_asked_for(
    tmp_path: Path,
) -> None:
    clock = MovableClock(START)
    settings = Settings(data=str(tmp_path), country="kr", relying_parties=["bakery", "airport"])
    f = Foundation(settings, clock, SystemDice())
    for party, days in (("bakery", 30), ("airport", 365)):
        key = f.signer("verifier", f"access-{party}")
        f.certificates.keep(f"access-{party}", leaf(
            Profile.ACCESS, Subject(party), PublicKey.from_jwk(key.jwk), ca=ACCESS, ca_der=ACCESS_CA.der, serial=days,
            not_before=START, not_after=START + timedelta(days=days),
        ))  # fmt: skip
    assert list(access_of(f)) == ["bakery", "airport"]
    clock.advance(days=31)
    assert list(access_of(f)) == ["airport"]
    (tmp_path / "certificates" / "access-airport.der").unlink()
    with pytest.raises(Refused) as refused:  # never certified: a mistake in the settings
        access_of(f)
    assert refused.value.code is Code.BAD_CONFIG
    await f.http.aclose()
