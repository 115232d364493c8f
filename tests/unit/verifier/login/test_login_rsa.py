"""RSA keys of sites, as RFC 7517 and 7518 6.3 write them."""

from __future__ import annotations

from typing import Any

import pytest

from mapae.errors import Code, Refused
from mapae.formats.jose import b64u
from mapae.keys import RsaSigner
from mapae.verifier.login.rsa import RsaKey
from unit.verifier.login.login_world import rsa


def test_a_key_is_read_has_its_name_and_verifies_what_it_signed() -> None:
    signer = RsaSigner(rsa())
    key = RsaKey.from_jwk({**signer.jwk, "alg": "RS256", "use": "sig", "kid": "any", "x5t": "passed over"})
    assert RsaKey.from_jwk(key.jwk) == key and key.jwk == signer.jwk and key.thumbprint == signer.kid
    key.verify(signer.sign(b"said"), b"said")
    for signature, message in ((signer.sign(b"said"), b"else"), (b"", b"said"), (signer.sign(b"said")[:-1], b"said")):
        with pytest.raises(Refused) as refused:
            key.verify(signature, message)
        assert refused.value.code is Code.BAD_SIGNATURE


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"d": "AQAB"}, Code.MALFORMED), ({"p": "AQAB"}, Code.MALFORMED), ({"n": None}, Code.MALFORMED),
        ({"n": ""}, Code.MALFORMED), ({"e": 65537}, Code.MALFORMED), ({"n": "AA" + "A" * 340}, Code.MALFORMED),
        ({"e": "AAEAAQ"}, Code.MALFORMED), ({"n": b64u(b"\xff" * 128)}, Code.UNSUPPORTED),
        ({"n": b64u(b"\xff" * 1025)}, Code.UNSUPPORTED), ({"n": b64u(b"\xff" * 255 + b"\xfe")}, Code.UNSUPPORTED),
        ({"e": "AQ"}, Code.UNSUPPORTED), ({"e": "Ag"}, Code.UNSUPPORTED), ({"e": b64u(b"\x01" * 5)}, Code.UNSUPPORTED),
        ({"alg": "PS256"}, Code.UNSUPPORTED), ({"use": "enc"}, Code.UNSUPPORTED), ({"kty": "oct"}, Code.UNSUPPORTED),
    ],
    ids=range(16),
)  # fmt: skip
def test_what_is_no_public_rsa_key_of_ours_to_use_is_refused(changes: dict[str, Any], code: Code) -> None:
    """Private parts, too small, too large to check quickly, even, an exponent of one, leading zeros, another use."""
    with pytest.raises(Refused) as refused:
        RsaKey.from_jwk({**RsaSigner(rsa()).jwk, **changes})
    assert refused.value.code is code
