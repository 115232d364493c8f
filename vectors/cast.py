"""Who plays in the vectors, and how a case is written down. `make.py` collects the cases."""

from __future__ import annotations

from typing import Any

from hands import NOW, Hand
from mapae.formats import jose

ISSUER, HOLDER, THIEF, CA = Hand("issuer"), Hand("holder"), Hand("thief"), Hand("ca")
AT = int(NOW.timestamp())
EPHEMERAL, RESPONSE = Hand("ephemeral"), Hand("response encryption")
SECRET = RESPONSE._private.private_numbers().private_value.to_bytes(32, "big")
PRIVATE = {**RESPONSE.jwk, "d": jose.b64u(SECRET), "kid": "1", "alg": "ECDH-ES", "use": "enc"}
NONCE, AUDIENCE = "exc7gBkxjx1rdc9udRrveKvSsJIq80avlXeLHhGwqtA", "x509_hash:uwXjyMHMSrh3HM8I1zHRNg"
Case = dict[str, Any]


def refused(name: str, input_: Any, step: str, code: str) -> Case:
    return {"name": name, "input": input_, "refused": {"step": step, "code": code}}


def taken(name: str, input_: Any, expected: Any) -> Case:
    return {"name": name, "input": input_, "expected": expected}
