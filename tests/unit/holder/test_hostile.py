"""An issuer or a network that misbehaves: the wallet keeps nothing it should not, and says why."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from mapae.errors import Code, Refused
from mapae.verifier.asking.ask import Form
from unit.holder.conftest import MDOC, SD_JWT, Country

METADATA = "/.well-known/openid-credential-issuer/issuer"


def changing(country: Country, path: str, change: Callable[[Any], Any]) -> list[str]:
    """An issuer whose answers at `path` are changed, and that neither signs its metadata nor encrypts, so that they can
    be; what was sent to its notification endpoint."""
    told: list[str] = []

    async def watch(request: httpx.Request, send: Any) -> httpx.Response:
        if request.url.path == "/issuer/notification":
            told.append(json.loads(request.content)["event"])
        described = request.url.path == METADATA
        if described:
            request.headers["accept"] = "application/json"
        answer: httpx.Response = await send(request)
        if request.url.path != path and not described:
            return answer
        changed = json.loads(await answer.aread())
        if described:
            changed = {name: value for name, value in changed.items() if not name.endswith("_encryption")}
        if request.url.path == path:
            changed = change(changed)
        kept = {name: value for name, value in answer.headers.items() if name not in ("content-length", "content-type")}
        return httpx.Response(answer.status_code, json=changed, headers=kept)

    country.line.watch = watch
    return told


async def refused_receiving(country: Country, path: str, change: Callable[[Any], Any]) -> tuple[Refused, list[str]]:
    citizen = await country.citizen()
    offer = await country.offer(citizen.person)
    told = changing(country, path, change)
    with pytest.raises(Refused) as refused:
        await citizen.wallet.receive(offer)
    assert citizen.wallet.cards == ()
    return refused.value, told


def twice(answer: Any) -> Any:
    return {**answer, "credentials": [answer["credentials"][0], *answer["credentials"][:9]]}


def truncated(answer: Any) -> Any:
    return {**answer, "credentials": [{"credential": one["credential"][:-9] + "~"} for one in answer["credentials"]]}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (twice, Code.BAD_HOLDER_PROOF),
        (lambda answer: {**answer, "credentials": []}, Code.NOT_WHAT_WAS_ASKED),
        (lambda answer: {**answer, "credentials": [{}]}, Code.MALFORMED),
        (lambda answer: {"transaction_id": "later", "interval": 5}, Code.MALFORMED),  # with 200
        (lambda answer: {**answer, "credentials": [{"credential": "x.y.z~"}]}, Code.MALFORMED),
    ],
)
async def test_a_batch_that_is_wrong_is_not_kept_and_the_issuer_is_told(
    country: Any, change: Callable[[Any], Any], code: Code
) -> None:
    refusal, told = await refused_receiving(country, "/issuer/credential", change)
    assert refusal.code is code
    assert told == (
        ["credential_failure"] if "notification_id" in change({"notification_id": "", "credentials": [{}]}) else []
    )


async def test_a_truncated_credential_is_not_kept(country: Any) -> None:
    refusal, _ = await refused_receiving(country, "/issuer/credential", truncated)
    assert refusal.code in (Code.MALFORMED, Code.BAD_DIGEST, Code.BAD_SIGNATURE)


async def test_metadata_of_another_issuer_stops_before_anything_is_sent(country: Any) -> None:
    refusal, _ = await refused_receiving(
        country, METADATA, lambda m: {**m, "credential_issuer": "https://evil.example"}
    )
    assert refusal.code is Code.INVALID_REQUEST
    assert "POST /issuer/token" not in country.line.sent


async def test_an_issuer_nobody_lists_learns_nothing(country: Any) -> None:
    citizen = await country.citizen()
    offer = {
        "credential_issuer": "https://evil.example",
        "credential_configuration_ids": ["card"],
        "grants": {"urn:ietf:params:oauth:grant-type:pre-authorized_code": {"pre-authorized_code": "x"}},
    }
    country.line.sent.clear()
    with pytest.raises(Refused) as refused:
        await citizen.wallet.receive(
            str(httpx.URL("openid-credential-offer://", params={"credential_offer": json.dumps(offer)}))
        )
    assert refused.value.code is Code.UNTRUSTED_ISSUER
    assert [line for line in country.line.sent if not line.endswith("/trust/list")] == []


async def test_a_token_without_key_binding_is_refused(country: Any) -> None:
    refusal, _ = await refused_receiving(country, "/issuer/token", lambda t: {**t, "token_type": "Bearer"})
    assert refusal.code is Code.MALFORMED


async def test_a_redirect_is_not_followed(country: Any) -> None:
    citizen = await country.citizen()
    offer = await country.offer(citizen.person)

    async def elsewhere(request: httpx.Request, send: Any) -> httpx.Response:
        if request.url.path.startswith("/issuer/offers/"):
            return httpx.Response(302, headers={"Location": "https://evil.example/"})
        answer: httpx.Response = await send(request)
        return answer

    country.line.watch = elsewhere
    with pytest.raises(Refused) as refused:
        await citizen.wallet.receive(offer)
    assert refused.value.code is Code.UNSUPPORTED


async def test_an_endless_answer_is_cut_off(country: Any) -> None:
    citizen = await country.citizen()
    offer = await country.offer(citizen.person)

    async def endless(request: httpx.Request, send: Any) -> httpx.Response:
        if request.url.path.startswith("/issuer/offers/"):
            return httpx.Response(200, content=b" " * 200_000, headers={"Content-Type": "application/json"})
        answer: httpx.Response = await send(request)
        return answer

    country.line.watch = endless
    with pytest.raises(Refused) as refused:
        await citizen.wallet.receive(offer)
    assert refused.value.code is Code.TOO_LARGE


async def test_the_issuer_may_take_the_attestation_proof_instead(country: Any) -> None:
    citizen = await country.citizen()

    def only_attestation(metadata: Any) -> Any:
        for one in metadata["credential_configurations_supported"].values():
            del one["proof_types_supported"]["jwt"]
        return metadata

    changing(country, METADATA, only_attestation)
    await citizen.wallet.receive(await country.offer(citizen.person))
    assert sorted(card.configuration for card in citizen.wallet.cards) == [MDOC, SD_JWT]


async def test_a_request_fetched_by_post_carries_our_nonce(country: Any) -> None:
    wallet = (await country.carded()).wallet
    qr, id = await country.asks("alcohol_tobacco", Form.SD_JWT)
    country.line.sent.clear()
    await wallet.present(await wallet.open_request(qr + "&request_uri_method=post"))
    assert [line.split("/")[0] for line in country.line.sent] == ["POST ", "POST "]
    assert (await country.verdict(id)).outcome.value == "accepted"


async def test_a_spent_question_is_refused_and_noted(country: Any) -> None:
    wallet = (await country.carded()).wallet
    qr, _ = await country.asks("alcohol_tobacco", Form.SD_JWT)
    asked = await wallet.open_request(qr)
    await wallet.present(asked)
    with pytest.raises(Refused):
        await wallet.present(asked)
    assert [line.outcome for line in wallet.history] == ["sent", "failed"]


async def test_a_suspended_phone_gets_no_card(country: Any) -> None:
    citizen = await country.citizen()
    offer = await country.offer(citizen.person)
    await country.house.wallet_provider.suspend(citizen.person, "lost", "officer-1")
    with pytest.raises(Refused) as refused:
        await citizen.wallet.receive(offer)
    assert refused.value.code is Code.DEVICE_SUSPENDED


async def test_a_waiting_phone_gets_no_card_until_it_is_moved(country: Any) -> None:
    old = await country.citizen()
    new = await country.citizen()
    offer = await country.offer(old.person)
    with pytest.raises(Refused):
        await new.wallet.receive(offer)
    await country.house.wallet_provider.move(old.person, new.wallet.device_id, "officer-1", old.wallet.device_id)
    assert len(await new.wallet.receive(await country.offer(old.person))) == 2
    assert (await old.wallet.standing()).must_erase
