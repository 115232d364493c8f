"""The exact error of each thing that can be wrong at the token, credential, deferred and notification doors.

OpenID4VCI 1.0: 6.3 token, 8.3.1 credential, 9.3 deferred, 11.3 notification; RFC 6749 5.2, RFC 6750 3, RFC 9449 5, 7.
Every answer is JSON, not to be cached, and has no member but `error` and `error_description` (printable ASCII).
"""

from __future__ import annotations

import json
import re
from typing import Any

import httpx
import pytest

from issuing import SD_JWT, Hall, Phone
from mapae.db import Db
from mapae.issuer.oid4vci import PRE_AUTHORIZED
from mapae.keys import Signer

CREDENTIAL, DEFERRED, NOTIFICATION = "/issuer/credential", "/issuer/deferred", "/issuer/notification"
TEXT = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]*")


@pytest.fixture
def hall(issuer_db: Db) -> Hall:
    return Hall(issuer_db)


async def ready(hall: Hall) -> Phone:
    phone = Phone(hall, "jisoo")
    await phone.redeem(await phone.scan(await hall.offer()))
    return phone


def is_exactly(answer: httpx.Response, status: int, error: str) -> None:
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.json()) <= {"error", "error_description"}
    assert TEXT.fullmatch(answer.json().get("error_description", ""))


TOKEN = [
    ({}, 400, "invalid_request"),
    ({"grant_type": ""}, 400, "invalid_request"),
    ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ({"grant_type": PRE_AUTHORIZED}, 400, "invalid_request"),
    ({"grant_type": PRE_AUTHORIZED, "pre-authorized_code": "wrong"}, 400, "invalid_grant"),
    ({"grant_type": "authorization_code", "code": "x"}, 400, "invalid_request"),
    ({"grant_type": "refresh_token"}, 400, "invalid_request"),
    ({"grant_type": "refresh_token", "refresh_token": "wrong"}, 400, "invalid_grant"),
    ({"grant_type": "refresh_token", "refresh_token": "x", "client_id": "another"}, 401, "invalid_client"),
]


@pytest.mark.parametrize(("form", "status", "error"), TOKEN)
async def test_at_the_token_door(hall: Hall, form: dict[str, str], status: int, error: str) -> None:
    is_exactly(await Phone(hall, "jisoo").ask_token(form), status, error)


async def test_at_the_token_door_the_wallet_itself(hall: Hall) -> None:
    """Draft-07 "Errors", RFC 9449 5 and 8."""
    phone = Phone(hall, "jisoo")
    await phone.c_nonce()
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    is_exactly(await hall.http.post("/issuer/token", data=form), 401, "invalid_client")
    bare = await hall.http.post("/issuer/token", data=form, headers=phone.attestation())
    is_exactly(bare, 400, "invalid_dpop_proof")
    old = {**phone.attestation(), "OAuth-Client-Attestation": hall.provider.attest(phone.client, exp=1)}
    is_exactly(await phone.ask_token(form, **old), 400, "use_fresh_attestation")
    is_exactly(await phone.ask_token(form, **phone.dpop("/issuer/token", nonce="x")), 400, "use_dpop_nonce")
    twice = [("grant_type", "refresh_token"), ("grant_type", "password")]
    body = "&".join("=".join(pair) for pair in twice)
    headers = {
        **phone.attestation(),
        **phone.dpop("/issuer/token"),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    is_exactly(await hall.http.post("/issuer/token", content=body, headers=headers), 400, "invalid_request")


CREDENTIAL_BODIES: list[tuple[Any, str]] = [
    ("not json", "invalid_credential_request"),
    ("[]", "invalid_credential_request"),
    ('{"credential_configuration_id": "a", "credential_configuration_id": "b"}', "invalid_credential_request"),
    ({}, "invalid_credential_request"),
    ({"credential_configuration_id": 7}, "invalid_credential_request"),
    ({"credential_configuration_id": SD_JWT, "credential_identifier": "x"}, "invalid_credential_request"),
    ({"credential_configuration_id": "unknown"}, "unknown_credential_configuration"),
    ({"credential_identifier": "unknown"}, "unknown_credential_identifier"),
    ({"credential_configuration_id": SD_JWT}, "invalid_proof"),
    ({"credential_configuration_id": SD_JWT, "proof": {"jwt": "x"}}, "invalid_proof"),  # the draft's spelling
    ({"credential_configuration_id": SD_JWT, "proofs": {}}, "invalid_proof"),
    ({"credential_configuration_id": SD_JWT, "proofs": {"jwt": []}}, "invalid_proof"),
    ({"credential_configuration_id": SD_JWT, "proofs": {"di_vp": [{}]}}, "invalid_proof"),
    ({"credential_configuration_id": SD_JWT, "proofs": {"jwt": ["x"], "attestation": ["x"]}}, "invalid_proof"),
    ({"credential_configuration_id": SD_JWT, "credential_response_encryption": {}}, "invalid_encryption_parameters"),
]


@pytest.mark.parametrize(("body", "error"), CREDENTIAL_BODIES)
async def test_at_the_credential_door(hall: Hall, body: Any, error: str) -> None:
    phone = await ready(hall)
    headers = {**phone.dpop(CREDENTIAL, phone.access), "Content-Type": "application/json"}
    content = body if isinstance(body, str) else json.dumps(body)
    is_exactly(await hall.http.post(CREDENTIAL, content=content, headers=headers), 400, error)


async def test_at_the_credential_door_nonces_and_denials(hall: Hall) -> None:
    """8.3.1.2: no nonce is invalid_proof, one that is not ours or was used is invalid_nonce."""
    phone = await ready(hall)
    keys = [Signer.ephemeral()]
    bare = {"attestation": [hall.provider.attest_keys(keys, None)]}
    answer = await phone.fetch(body={"credential_configuration_id": SD_JWT, "proofs": bare})
    is_exactly(answer, 400, "invalid_proof")
    for nonce in ("made up", hall.issuer.grants.nonces.make("dpop")):
        body = {"credential_configuration_id": SD_JWT, "proofs": await phone.proofs(keys, nonce)}
        is_exactly(await phone.fetch(body=body), 400, "invalid_nonce")
    nonce = await phone.c_nonce()
    body = {"credential_configuration_id": SD_JWT, "proofs": await phone.proofs(keys, nonce)}
    done = await phone.fetch(body=body)
    is_exactly(await phone.fetch(body=body), 400, "invalid_nonce")
    await phone.tell(done.json()["notification_id"])
    is_exactly(await phone.fetch(), 400, "credential_request_denied")


@pytest.mark.parametrize("path", [CREDENTIAL, DEFERRED, NOTIFICATION])
async def test_without_a_good_token_each_protected_door_challenges(hall: Hall, path: str) -> None:
    """RFC 6750 3.1, RFC 9449 7.1: 401 with a DPoP challenge; a token in the address is refused (RFC 9449 7.1)."""
    phone = await ready(hall)
    message = {
        CREDENTIAL: {"credential_configuration_id": SD_JWT},
        DEFERRED: {"transaction_id": "x"},
        NOTIFICATION: {"notification_id": "x", "event": "credential_accepted"},
    }[path]
    good = phone.dpop(path, phone.access)
    for headers, error in (
        ({}, "access_denied"),
        ({"Authorization": f"Bearer {phone.access}", "DPoP": good["DPoP"]}, "invalid_token"),
        ({"Authorization": f"DPoP {phone.access}"}, "invalid_dpop_proof"),
        (phone.dpop(path, phone.access, nonce="old"), "use_dpop_nonce"),
        (phone.dpop(path, "a" * 43), "invalid_token"),
        (phone.dpop(path, phone.access, htm="GET"), "invalid_dpop_proof"),
        (phone.dpop(path, phone.access, ath="x"), "invalid_dpop_proof"),
    ):
        answer = await hall.http.post(path, json=message, headers=headers)
        is_exactly(answer, 401, error)
        challenge = answer.headers["www-authenticate"]
        assert challenge.startswith("DPoP ") and 'algs="ES256"' in challenge
        assert (f'error="{error}"' in challenge) == bool(headers)
    is_exactly(await hall.http.post(f"{path}?access_token={phone.access}", json=message), 400, "invalid_request")


NOTIFICATIONS: list[tuple[dict[str, Any], str]] = [
    ({}, "invalid_notification_request"),
    ({"notification_id": "x"}, "invalid_notification_request"),
    ({"notification_id": "x", "event": "credential_lost"}, "invalid_notification_request"),
    ({"notification_id": 7, "event": "credential_accepted"}, "invalid_notification_request"),
    ({"notification_id": "unknown", "event": "credential_accepted"}, "invalid_notification_id"),
]


@pytest.mark.parametrize(("body", "error"), NOTIFICATIONS)
async def test_at_the_notification_door(hall: Hall, body: dict[str, Any], error: str) -> None:
    phone = await ready(hall)
    answer = await hall.http.post(NOTIFICATION, json=body, headers=phone.dpop(NOTIFICATION, phone.access))
    is_exactly(answer, 400, error)


async def test_saying_the_same_twice_is_fine_and_unknown_members_are_ignored(hall: Hall) -> None:
    """11, 11.1."""
    phone = await ready(hall)
    id = (await phone.fetch()).json()["notification_id"]
    for _ in range(2):
        body = {"notification_id": id, "event": "credential_accepted", "event_description": "stored", "new": 1}
        answer = await hall.http.post(NOTIFICATION, json=body, headers=phone.dpop(NOTIFICATION, phone.access))
        assert (answer.status_code, answer.content) == (204, b"")


async def test_answers_have_no_member_the_specification_does_not_know(hall: Hall) -> None:
    """6.2, 7.2, 8.3."""
    phone = Phone(hall, "jisoo")
    token = await phone.redeem(await phone.scan(await hall.offer()))
    assert set(token.json()) == {"access_token", "token_type", "expires_in", "refresh_token", "scope"}
    assert set((await hall.http.post("/issuer/nonce")).json()) == {"c_nonce"}
    assert set((await phone.fetch()).json()) == {"credentials", "notification_id"}
