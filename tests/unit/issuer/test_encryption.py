"""Requests and responses under encryption of their own (OpenID4VCI 1.0 section 10), and the metadata about it."""

from __future__ import annotations

import json
import zlib
from typing import Any

import httpx
import pytest

from issuing import MDOC, SD_JWT, Hall, Phone
from mapae.clock import MovableClock
from mapae.db import Db
from mapae.formats.jose import encode_json
from mapae.formats.jwe import DecryptionKey, decrypt, encrypt, private_jwk, public_jwk
from mapae.issuer.encryption import LIMIT, PERIOD, RequestKeys
from mapae.issuer.order import Terms
from mapae.keys import Signer, Vault

OURS = private_jwk(b"the wallet's key for answers, of forty-eight bytes!!", "answer")
SEALED = {"jwk": public_jwk(OURS), "enc": "A256GCM"}


@pytest.fixture
def hall(issuer_db: Db) -> Hall:
    return Hall(issuer_db)


async def metadata(hall: Hall) -> dict[str, Any]:
    said: dict[str, Any] = (await hall.http.get("/.well-known/openid-credential-issuer/issuer")).json()
    return said


async def send(phone: Phone, body: bytes | str, path: str = "/issuer/credential") -> httpx.Response:
    headers = {**phone.dpop(path, phone.access), "Content-Type": "application/jwt"}
    return await phone.hall.http.post(path, content=body, headers=headers)


async def phone_with_token(hall: Hall, terms: Terms | None = None) -> Phone:
    phone = Phone(hall, "jisoo")
    await phone.redeem(await phone.scan(await hall.offer(terms=terms)))
    return phone


async def request(phone: Phone, **more: Any) -> bytes:
    proofs = await phone.proofs([Signer.ephemeral(), Signer.ephemeral()])
    return encode_json({"credential_configuration_id": SD_JWT, "proofs": proofs, **more})


async def test_the_metadata_says_how(hall: Hall) -> None:
    """12.2.4: each JWK has a kid and an alg; encryption is offered, not demanded."""
    said = await metadata(hall)
    (key,) = said["credential_request_encryption"]["jwks"]["keys"]
    assert key["kid"] and key["alg"] == "ECDH-ES" and key["use"] == "enc" and "d" not in key
    for name in ("credential_request_encryption", "credential_response_encryption"):
        assert said[name]["enc_values_supported"] == ["A128GCM", "A256GCM"]
        assert said[name]["zip_values_supported"] == ["DEF"] and said[name]["encryption_required"] is False
    assert said["credential_response_encryption"]["alg_values_supported"] == ["ECDH-ES"]


@pytest.mark.parametrize("enc", ["A128GCM", "A256GCM"])
@pytest.mark.parametrize("deflate", [False, True])
async def test_both_ways_sealed(hall: Hall, enc: str, deflate: bool) -> None:
    phone = await phone_with_token(hall)
    (key,) = (await metadata(hall))["credential_request_encryption"]["jwks"]["keys"]
    asked = {**SEALED, "enc": enc, **({"zip": "DEF"} if deflate else {})}
    body = await request(phone, credential_response_encryption=asked)
    answer = await send(phone, encrypt(body, key, enc=enc, deflate=deflate))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/jwt"), answer.text
    opened = decrypt(answer.text, DecryptionKey.from_jwk(OURS), limit=2**20, inflate=deflate)
    assert (opened.header["enc"], opened.header["kid"], "zip" in opened.header) == (enc, "answer", deflate)
    assert len(opened.claims()["credentials"]) == 2
    assert (await phone.tell(opened.claims()["notification_id"])).status_code == 204


async def test_a_sealed_request_may_be_answered_in_the_clear(hall: Hall) -> None:
    phone = await phone_with_token(hall)
    (key,) = (await metadata(hall))["credential_request_encryption"]["jwks"]["keys"]
    answer = await send(phone, encrypt(await request(phone), key))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")


async def test_deferred_answers_are_sealed_with_what_is_asked_then(hall: Hall) -> None:
    """9.1: the object of the deferred request counts, whatever the first one said; regardless of the content."""
    phone = await phone_with_token(hall, Terms(second_look=60))
    (key,) = (await metadata(hall))["credential_request_encryption"]["jwks"]["keys"]
    body = await request(phone, credential_response_encryption=SEALED)
    first = await send(phone, encrypt(body, key))
    assert (first.status_code, first.headers["content-type"]) == (202, "application/jwt")
    id = decrypt(first.text, DecryptionKey.from_jwk(OURS)).claims()["transaction_id"]
    other = private_jwk(b"another key of the wallet, for the later answer only", "later")
    asked = {"transaction_id": id, "credential_response_encryption": {"jwk": public_jwk(other), "enc": "A128GCM"}}
    waits = await send(phone, encrypt(encode_json(asked), key), "/issuer/deferred")
    assert waits.status_code == 202
    assert decrypt(waits.text, DecryptionKey.from_jwk(other)).claims()["transaction_id"] == id
    hall.clock.advance(seconds=60)
    done = await send(phone, encrypt(encode_json({"transaction_id": id}), key), "/issuer/deferred")
    assert (done.status_code, done.headers["content-type"]) == (200, "application/json")


@pytest.mark.parametrize(
    "changed",
    [
        {"jwk": None}, {"jwk": 7}, {"jwk": {}}, {"enc": None}, {"enc": "A256CBC-HS512"}, {"zip": "GZIP"}, {"zip": None},
        {"jwk": {**public_jwk(OURS), "alg": "RSA-OAEP"}}, {"jwk": {**public_jwk(OURS), "use": "sig"}},
        {"jwk": {name: value for name, value in public_jwk(OURS).items() if name != "alg"}}, {"jwk": OURS},
        {"jwk": {**public_jwk(OURS), "x": public_jwk(OURS)["y"]}}, {"jwk": {**public_jwk(OURS), "kid": 7}},
    ],
)  # fmt: skip
async def test_each_thing_wrong_with_the_parameters_is_named(hall: Hall, changed: dict[str, Any]) -> None:
    """8.3.1.2 invalid_encryption_parameters; errors are never encrypted, and nothing is spent."""
    phone = await phone_with_token(hall)
    (key,) = (await metadata(hall))["credential_request_encryption"]["jwks"]["keys"]
    asked = {name: value for name, value in {**SEALED, **changed}.items() if value is not None or name == "zip"}
    answer = await send(phone, encrypt(await request(phone, credential_response_encryption=asked), key))
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_encryption_parameters")
    assert (await phone.fetch()).status_code == 200


async def test_an_encrypted_response_to_an_open_request_is_refused(hall: Hall) -> None:
    """8.2: otherwise an attacker could put in another key."""
    phone = await phone_with_token(hall)
    body = json.loads(await request(phone, credential_response_encryption=SEALED))
    assert (await phone.fetch(body=body)).json()["error"] == "invalid_encryption_parameters"


async def test_requests_that_cannot_be_opened(hall: Hall) -> None:
    phone = await phone_with_token(hall)
    (key,) = (await metadata(hall))["credential_request_encryption"]["jwks"]["keys"]
    good = encrypt(await request(phone), key)
    nameless = {name: value for name, value in key.items() if name != "kid"}
    bomb = encrypt(b" " * (LIMIT + 1), key, deflate=True)
    assert len(bomb) < 2000
    for body in ("x", "", "ä".encode(), good[:-4], good + ".x", good.replace(".", "", 1), bomb,
                 encrypt(await request(phone), public_jwk(OURS)), encrypt(await request(phone), nameless)):  # fmt: skip
        answer = await send(phone, body)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_encryption_parameters"), body
    for inside in (b"", b"[]", b"{", zlib.compress(b"{}"), b'{"proofs": 7}'):
        answer = await send(phone, encrypt(inside, key))
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_credential_request"), inside


async def test_the_key_before_still_opens_and_the_one_before_that_does_not(hall: Hall) -> None:
    """Wallets may hold on to metadata; every process and every restart has the same keys."""
    clock = MovableClock(hall.clock.now())
    keys = RequestKeys(Vault(bytes(32)), clock)
    old = keys.public
    clock.advance(PERIOD)
    assert keys.public["kid"] != old["kid"]
    assert RequestKeys(Vault(bytes(32)), clock).public == keys.public
    assert keys.open(encrypt(b"{}", old).encode()) == b"{}"
    clock.advance(PERIOD)
    with pytest.raises(Exception, match="invalid_encryption_parameters"):
        keys.open(encrypt(b"{}", old).encode())


async def test_the_other_format_travels_sealed_too(hall: Hall) -> None:
    phone = await phone_with_token(hall)
    (key,) = (await metadata(hall))["credential_request_encryption"]["jwks"]["keys"]
    proofs = await phone.proofs([Signer.ephemeral()])
    body = {"credential_configuration_id": MDOC, "proofs": proofs, "credential_response_encryption": SEALED}
    answer = await send(phone, encrypt(encode_json(body), key))
    assert len(decrypt(answer.text, DecryptionKey.from_jwk(OURS)).claims()["credentials"]) == 1
