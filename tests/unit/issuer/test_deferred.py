"""Deferred issuance (OpenID4VCI 1.0 section 9): accepted now, answered later, over any restart in between."""

from __future__ import annotations

from datetime import date
from typing import Any

import httpx
import pytest

from issuing import MDOC, SD_JWT, Hall, Phone, must_be_whole
from mapae.db import Db
from mapae.issuer.order import Terms
from mapae.keys import Signer

LOOK = Terms(second_look=60)


@pytest.fixture
def hall(issuer_db: Db) -> Hall:
    return Hall(issuer_db)


async def phone_with_token(hall: Hall, terms: Terms = LOOK, case: str = "case-1") -> Phone:
    phone = Phone(hall, "jisoo")
    assert (await phone.redeem(await phone.scan(await hall.offer(case=case, terms=terms)))).status_code == 200
    return phone


async def collect(phone: Phone, id: Any, **more: Any) -> httpx.Response:
    headers = phone.dpop("/issuer/deferred", phone.access)
    return await phone.hall.http.post("/issuer/deferred", json={"transaction_id": id, **more}, headers=headers)


async def test_a_second_look_takes_its_time_and_then_the_card_comes_once(hall: Hall) -> None:
    """8.3, 9.2: 202 with transaction_id and interval, the same id while it takes longer, 200 once, then no more."""
    phone = await phone_with_token(hall)
    keys = [Signer.ephemeral() for _ in range(3)]
    answer = await phone.fetch(keys=keys)
    assert answer.status_code == 202 and set(answer.json()) == {"transaction_id", "interval"}
    assert answer.headers["cache-control"] == "no-store"
    id = answer.json()["transaction_id"]
    assert answer.json()["interval"] == 60
    hall.clock.advance(seconds=20)
    again = await collect(phone, id)
    assert (again.status_code, again.json()) == (202, {"transaction_id": id, "interval": 40})
    hall.clock.advance(seconds=40)
    done = await collect(phone, id, unknown=1)
    assert done.status_code == 200 and set(done.json()) == {"credentials", "notification_id"}
    assert len(done.json()["credentials"]) == 3
    rows = await hall.db.all("SELECT key_thumbprint FROM ticket ORDER BY place")
    assert [row["key_thumbprint"] for row in rows] == [key.kid for key in keys]
    assert (await collect(phone, id)).json()["error"] == "invalid_transaction_id"
    assert (await phone.tell(done.json()["notification_id"])).status_code == 204
    assert (await hall.told())[-3:] == ["deferred", "issued", "accepted"]
    await must_be_whole(hall, hall.db)


async def test_a_transaction_survives_a_restart_and_a_refresh(hall: Hall) -> None:
    phone = await phone_with_token(hall)
    ids = [(await phone.fetch(configuration)).json()["transaction_id"] for configuration in (SD_JWT, MDOC)]
    hall.opened(hall.db)
    hall.clock.advance(minutes=15)
    await phone.c_nonce()
    assert (await collect(phone, ids[0])).json()["error"] == "invalid_token"
    assert (await phone.renew()).status_code == 200
    for id in ids:
        answer = await collect(phone, id)
        assert answer.status_code == 200, answer.text
        assert (await phone.tell(answer.json()["notification_id"])).status_code == 204


async def test_only_the_first_issuance_is_looked_at_twice(hall: Hall) -> None:
    phone = await phone_with_token(hall)
    id = (await phone.fetch()).json()["transaction_id"]
    hall.clock.advance(seconds=60)
    done = await collect(phone, id)
    await phone.tell(done.json()["notification_id"])
    await phone.renew()
    assert (await phone.fetch()).status_code == 200


async def test_a_silent_register_defers_and_one_that_says_no_ends_it(hall: Hall) -> None:
    """9.3: what can be issued no longer is credential_request_denied, and the transaction is over."""
    phone = await phone_with_token(hall, Terms())
    hall.register.silent = True
    answer = await phone.fetch()
    assert answer.status_code == 202 and answer.json()["interval"] > 0
    id = answer.json()["transaction_id"]
    hall.clock.advance(seconds=10)
    still = await collect(phone, id)
    assert (still.status_code, still.json()["transaction_id"]) == (202, id)
    hall.register.silent = False
    assert (await collect(phone, id)).status_code == 200
    hall.register.silent = True
    id = (await phone.fetch()).json()["transaction_id"]
    hall.register.silent = False
    hall.register.gone["jisoo"] = date(2026, 3, 1)
    hall.clock.advance(seconds=10)
    assert (await collect(phone, id)).json()["error"] == "credential_request_denied"
    assert (await collect(phone, id)).json()["error"] == "invalid_transaction_id"


async def test_a_later_request_replaces_the_one_that_waits(hall: Hall) -> None:
    phone = await phone_with_token(hall)
    first = (await phone.fetch()).json()["transaction_id"]
    second = (await phone.fetch()).json()["transaction_id"]
    hall.clock.advance(seconds=60)
    assert (await collect(phone, first)).json()["error"] == "invalid_transaction_id"
    assert (await collect(phone, second)).status_code == 200


async def test_keys_that_were_used_meanwhile_end_the_transaction(hall: Hall) -> None:
    phone = await phone_with_token(hall, Terms())
    hall.register.silent = True
    keys = [Signer.ephemeral()]
    id = (await phone.fetch(keys=keys)).json()["transaction_id"]
    hall.register.silent = False
    assert (await phone.fetch(keys=keys)).status_code == 200
    hall.clock.advance(seconds=10)
    assert (await collect(phone, id)).json()["error"] == "credential_request_denied"


async def test_what_was_proven_is_used_up_with_the_acceptance(hall: Hall) -> None:
    phone = await phone_with_token(hall)
    nonce = await phone.c_nonce()
    body = {"credential_configuration_id": SD_JWT, "proofs": await phone.proofs([Signer.ephemeral()], nonce)}
    assert (await phone.fetch(body=body)).status_code == 202
    assert (await phone.fetch(body=body)).json()["error"] == "invalid_nonce"


async def test_a_lock_stops_what_waits(hall: Hall) -> None:
    phone = await phone_with_token(hall)
    id = (await phone.fetch()).json()["transaction_id"]
    await hall.issuer.lock("jisoo", "lost", "portal")
    hall.clock.advance(seconds=60)
    assert (await collect(phone, id)).json()["error"] == "invalid_token"
    assert await hall.db.all("SELECT id FROM ticket") == []


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "invalid_credential_request"),
        ({"transaction_id": 7}, "invalid_credential_request"),
        ({"transaction_id": ""}, "invalid_transaction_id"),
        ({"transaction_id": "nobody's"}, "invalid_transaction_id"),
        ({"transaction_id": "x", "credential_response_encryption": {}}, "invalid_encryption_parameters"),
    ],
)
async def test_deferred_requests_that_make_no_sense(hall: Hall, body: dict[str, Any], error: str) -> None:
    """9.3."""
    phone = await phone_with_token(hall)
    headers = phone.dpop("/issuer/deferred", phone.access)
    answer = await hall.http.post("/issuer/deferred", json=body, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (400, error)


async def test_somebody_elses_transaction_is_none(hall: Hall) -> None:
    phone = await phone_with_token(hall)
    id = (await phone.fetch()).json()["transaction_id"]
    other = Phone(hall, "minho")
    await other.redeem(await other.scan(await hall.offer("minho", "case-2")))
    hall.clock.advance(seconds=60)
    assert (await collect(other, id)).json()["error"] == "invalid_transaction_id"
    bare = await hall.http.post("/issuer/deferred", json={"transaction_id": id})
    assert bare.status_code == 401
    rows = await hall.db.all("SELECT * FROM deferred")
    assert id.encode() not in b"".join(str(tuple(row)).encode() for row in rows)
    hall.clock.advance(days=31)
    await hall.issuer.prune()
    assert await hall.db.all("SELECT state FROM deferred") == []
