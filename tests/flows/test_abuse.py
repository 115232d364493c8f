"""Replayed, doubled, stale and misdirected messages at the issuer, made by the Python holder or signed with its keys:
each is refused in the protocol's own words, and the honest wallet still ends well."""

from __future__ import annotations

from typing import Any

import pytest

from abuse import CREDENTIAL, NOTIFY, TOKEN, Alley, codes, refusal
from abuse import alley as alley
from mapae.keys import Signer
from strangers import Apart
from town import BASE

GRANT = "urn:ietf:params:oauth:grant-type:pre-authorized_code"
SD_JWT = "resident_card_sd_jwt"
MINUTES = (-600, 600)  # a clock ten minutes slow, and ten minutes fast


def redeem(phone: Apart, **changed: str) -> dict[str, str]:
    code = phone.order.code
    assert code is not None
    return {"grant_type": GRANT, "pre-authorized_code": code, "client_id": f"{BASE}/wallet/", **changed}


def request_for(alley: Alley, phone: Apart, keys: list[Signer], **changed: Any) -> dict[str, Any]:
    async def make() -> dict[str, Any]:
        proofs = await phone.proofs(keys, await phone.c_nonce(), **changed)
        return {"credential_configuration_id": SD_JWT, "proofs": proofs}

    return alley.town.call(make)


def fetch(alley: Alley, phone: Apart, body: dict[str, Any]) -> Any:
    return alley.post(CREDENTIAL, phone.dpop(CREDENTIAL, phone.order.access_token), json=body)


def new_keys(count: int = 2) -> list[Signer]:
    return [Signer.ephemeral() for _ in range(count)]


# --- token endpoint -------------------------------------------------------------------------------------------------


def test_the_same_token_request_twice_at_once_gives_one_token(alley: Alley) -> None:
    """RFC 9449 11.1: a jti is accepted once. OpenID4VCI 1.0 4.1.1: the code is for one use."""
    citizen = alley.enrolled()
    citizen.tap.twice = {TOKEN}
    citizen.receive(alley.officer.offer_for(citizen))
    assert codes(citizen.tap.heard) == [(200, ""), (400, "invalid_dpop_proof")]
    assert sorted(len(card.copies) for card in citizen.wallet.cards) == [10, 10]
    assert refusal(alley.again(citizen, citizen.tap.last(TOKEN))) == (400, "invalid_dpop_proof")


def test_a_replayed_token_request_is_stale_once_its_nonce_is(alley: Alley) -> None:
    """RFC 9449 8: the server's nonce bounds the life of a proof, whatever its jti."""
    citizen, _ = alley.carded()
    sent = citizen.tap.last(TOKEN)
    alley.town.clock.advance(minutes=6)
    answer = alley.again(citizen, sent)
    assert refusal(answer) == (400, "use_dpop_nonce") or refusal(answer) == (401, "invalid_client")


def test_a_client_attestation_pop_is_good_for_one_request(alley: Alley) -> None:
    """Attestation-based client authentication, draft-07 12.1: witnessed jti values are kept; RFC 6749 5.2."""
    _, phone = alley.before(TOKEN)
    pop = phone.client()
    assert alley.post(TOKEN, {**pop, **phone.dpop(TOKEN)}, data=redeem(phone)).status_code == 200
    assert refusal(alley.post(TOKEN, {**pop, **phone.dpop(TOKEN)}, data=redeem(phone))) == (401, "invalid_client")


def test_one_client_attestation_pop_at_once_in_two_requests_serves_one(alley: Alley) -> None:
    _, phone = alley.before(TOKEN)
    pop = phone.client()
    answers = alley.at_once(*((TOKEN, {**pop, **phone.dpop(TOKEN)}, {"data": redeem(phone)}) for _ in range(2)))
    assert codes(answers) == [(200, ""), (401, "invalid_client")]


def test_of_two_keys_with_one_code_at_once_one_is_served_and_the_officer_sees_the_other(alley: Alley) -> None:
    """OpenID4VCI 1.0 13.6.1 and 6.3: a code replayed from elsewhere is invalid_grant."""
    _, phone = alley.before(TOKEN)
    other = Signer.ephemeral()
    answers = alley.at_once(
        (TOKEN, {**phone.client(), **phone.dpop(TOKEN)}, {"data": redeem(phone)}),
        (TOKEN, {**phone.client(), **phone.dpop(TOKEN, key=other)}, {"data": redeem(phone)}),
    )
    assert codes(answers) == [(200, ""), (400, "invalid_grant")]
    assert 'data-event="refused_second_scan"' in alley.told()


def test_two_peoples_wallets_scan_one_offer_at_the_same_instant(alley: Alley) -> None:
    """The offer is for one person's active phone; the stranger's scan is shown to the officer."""
    stranger, theirs = alley.before(TOKEN)
    _, phone = alley.before(TOKEN)
    answers = alley.at_once(
        (TOKEN, {**theirs.client(), **theirs.dpop(TOKEN, nonce=phone.nonce)}, {"data": redeem(phone)}),
        (TOKEN, {**phone.client(), **phone.dpop(TOKEN)}, {"data": redeem(phone)}),
    )
    assert codes(answers) == [(200, ""), (400, "invalid_grant")]
    assert answers[1].status_code == 200
    assert 'data-event="refused_' in alley.told()
    stranger.restart()
    alley.town.call(stranger.wallet.resume)  # whose own offer is untouched
    assert len(stranger.wallet.cards) == 2


@pytest.mark.parametrize("seconds", MINUTES)
def test_a_client_whose_clock_is_ten_minutes_off_is_told_which_proof(alley: Alley, seconds: int) -> None:
    """RFC 9449 4.3 step 11 and draft-07 6.2: a proof made too early or too late is refused."""
    _, phone = alley.before(TOKEN)
    late_pop = {**phone.client(seconds), **phone.dpop(TOKEN)}
    assert refusal(alley.post(TOKEN, late_pop, data=redeem(phone))) == (401, "invalid_client")
    late_dpop = {**phone.client(), **phone.dpop(TOKEN, seconds=seconds)}
    assert refusal(alley.post(TOKEN, late_dpop, data=redeem(phone))) == (400, "invalid_dpop_proof")
    assert alley.post(TOKEN, {**phone.client(), **phone.dpop(TOKEN)}, data=redeem(phone)).status_code == 200


def test_proofs_meant_for_somebody_else_are_refused_by_name(alley: Alley) -> None:
    """Draft-07 5.2 (aud), RFC 9449 4.3 steps 8 to 10 (htm, htu, nonce)."""
    _, phone = alley.before(TOKEN)

    def with_(client: dict[str, str], dpop: dict[str, str], **form: str) -> tuple[int, str]:
        return refusal(alley.post(TOKEN, {**client, **dpop}, data=redeem(phone, **form)))

    assert with_(phone.client(aud="https://elsewhere.example"), phone.dpop(TOKEN)) == (401, "invalid_client")
    assert with_(phone.client(iss="https://elsewhere.example"), phone.dpop(TOKEN)) == (401, "invalid_client")
    assert with_(phone.client(), phone.dpop(TOKEN), client_id="https://elsewhere.example") == (401, "invalid_client")
    assert with_({}, phone.dpop(TOKEN)) == (401, "invalid_client")
    assert with_(phone.client(), {}) == (400, "invalid_dpop_proof")
    assert with_(phone.client(), phone.dpop(CREDENTIAL)) == (400, "invalid_dpop_proof")
    assert with_(phone.client(), phone.dpop(TOKEN, htm="GET")) == (400, "invalid_dpop_proof")
    assert with_(phone.client(), phone.dpop(TOKEN, nonce="AAAA")) == (400, "use_dpop_nonce")
    assert with_(phone.client(), phone.dpop(TOKEN), tx_code="1234") == (400, "invalid_request")
    assert with_(phone.client(), phone.dpop(TOKEN), grant_type="password") == (400, "unsupported_grant_type")
    unknown = {"pre-authorized_code": "A" * 43}
    assert with_(phone.client(), phone.dpop(TOKEN), **unknown) == (400, "invalid_grant")


def test_a_refresh_token_is_worth_nothing_without_both_its_keys(alley: Alley) -> None:
    """FAPI 2.0 5.3.2.1: it does not rotate, for a copy of it is worth nothing; a lost answer is asked for again."""
    _, phone = alley.carded()
    alley.town.call(phone.c_nonce)

    def renew(token: str, **changed: Any) -> Any:
        form = {"grant_type": "refresh_token", "refresh_token": token}
        return alley.post(TOKEN, {**phone.client(), **phone.dpop(TOKEN, **changed)}, data=form)

    first = phone.order.refresh_token
    assert first is not None
    assert renew(first).json()["refresh_token"] == first
    assert renew(first).status_code == 200
    assert refusal(renew(first, key=Signer.ephemeral())) == (400, "invalid_grant")
    assert refusal(renew("A" * 43)) == (400, "invalid_grant")


def test_a_refresh_token_in_another_persons_phone_is_worthless(alley: Alley) -> None:
    """Draft-07 10.3: bound to the client instance's key as well."""
    _, phone = alley.carded()
    _, thief = alley.carded()
    alley.town.call(thief.c_nonce)
    form = {"grant_type": "refresh_token", "refresh_token": phone.order.refresh_token}
    answer = alley.post(TOKEN, {**thief.client(), **thief.dpop(TOKEN, key=phone.dpop_key)}, data=form)
    assert refusal(answer) == (400, "invalid_grant")


# --- credential endpoint --------------------------------------------------------------------------------------------


def test_the_same_credential_request_twice_at_once_gives_one_batch(alley: Alley) -> None:
    """RFC 9449 7.1 and 11.1: 401 with a challenge for the second."""
    citizen = alley.enrolled()
    citizen.tap.twice = {CREDENTIAL}
    citizen.receive(alley.officer.offer_for(citizen))
    assert codes(citizen.tap.heard) == [(200, ""), (401, "invalid_dpop_proof")]
    assert sorted(len(card.copies) for card in citizen.wallet.cards) == [10, 10]
    assert {alley.town.call(citizen.wallet.check_status, card) for card in citizen.wallet.cards} == {"valid"}


def test_a_c_nonce_is_spent_by_its_first_batch(alley: Alley) -> None:
    """OpenID4VCI 1.0 13.8 and 8.3.1.2: a nonce that comes again is invalid_nonce."""
    citizen, phone = alley.before(CREDENTIAL)
    nonce = alley.town.call(phone.c_nonce)

    async def body(keys: list[Signer]) -> dict[str, Any]:
        return {"credential_configuration_id": SD_JWT, "proofs": await phone.proofs(keys, nonce)}

    bodies = [alley.town.call(body, new_keys()) for _ in range(3)]
    token = phone.order.access_token
    answers = alley.at_once(*((CREDENTIAL, phone.dpop(CREDENTIAL, token), {"json": each}) for each in bodies[:2]))
    assert codes(answers) == [(200, ""), (400, "invalid_nonce")]
    assert refusal(fetch(alley, phone, bodies[2])) == (400, "invalid_nonce")
    citizen.restart()
    alley.town.call(citizen.wallet.resume)
    assert sorted(len(card.copies) for card in citizen.wallet.cards) == [10, 10]


def test_a_nonce_too_old_is_invalid_nonce_and_none_is_invalid_proof(alley: Alley) -> None:
    """OpenID4VCI 1.0 8.3.1.2."""
    _, phone = alley.before(CREDENTIAL)
    old = request_for(alley, phone, new_keys())
    alley.town.clock.advance(minutes=5, seconds=1)
    alley.town.call(phone.c_nonce)
    assert refusal(fetch(alley, phone, old)) == (400, "invalid_nonce")
    keys = new_keys()
    attested = alley.town.call(phone.attested_keys, keys, alley.town.call(phone.c_nonce))
    bare = request_for(alley, phone, keys, attested=attested)
    assert refusal(fetch(alley, phone, {**bare, "proofs": {}})) == (400, "invalid_proof")
    assert refusal(fetch(alley, phone, {**bare, "proofs": {"jwt": []}})) == (400, "invalid_proof")
    both = {**bare["proofs"], "attestation": [attested]}
    assert refusal(fetch(alley, phone, {**bare, "proofs": both})) == (400, "invalid_proof")


def test_a_key_is_bound_to_one_copy_for_ever(alley: Alley) -> None:
    """OpenID4VCI 1.0 13.8: no second credential for the same key; copies with one key would be linkable."""
    _, phone = alley.before(CREDENTIAL)
    keys = new_keys()
    assert fetch(alley, phone, request_for(alley, phone, keys)).status_code == 200
    assert refusal(fetch(alley, phone, request_for(alley, phone, keys))) == (400, "invalid_proof")
    _, other = alley.before(CREDENTIAL)
    assert refusal(fetch(alley, other, request_for(alley, other, [*new_keys(1), keys[0]]))) == (400, "invalid_proof")


@pytest.mark.parametrize("changed", [
    {"aud": "https://elsewhere.example"}, {"iss": "https://elsewhere.example"}, {"seconds": -600}, {"seconds": 600},
    {"nonce": ""},
])  # fmt: skip
def test_a_proof_for_another_issuer_client_or_time_is_invalid_proof(alley: Alley, changed: dict[str, Any]) -> None:
    """OpenID4VCI 1.0 appendix F.1 and F.4."""
    _, phone = alley.before(CREDENTIAL)
    assert refusal(fetch(alley, phone, request_for(alley, phone, new_keys(), **changed))) == (400, "invalid_proof")


def test_a_token_is_worth_nothing_to_another_key_or_as_a_bearer_token(alley: Alley) -> None:
    """RFC 9449 7.1 and 7.2; RFC 6750 3.1."""
    _, phone = alley.before(CREDENTIAL)
    _, thief = alley.before(CREDENTIAL)
    body, token = request_for(alley, phone, new_keys()), phone.order.access_token
    assert token is not None

    def with_(headers: dict[str, str], path: str = CREDENTIAL) -> tuple[int, str]:
        return refusal(alley.post(path, headers, json=body))

    stolen = phone.dpop(CREDENTIAL, token, key=thief.dpop_key)
    assert with_(stolen) == (401, "invalid_token")
    other_ath = {**phone.dpop(CREDENTIAL, thief.order.access_token), "Authorization": f"DPoP {token}"}
    assert with_(other_ath) == (401, "invalid_dpop_proof")
    assert with_({**phone.dpop(CREDENTIAL, token), "Authorization": f"Bearer {token}"}) == (401, "invalid_token")
    assert with_(phone.dpop(CREDENTIAL)) == (401, "access_denied")
    assert with_(phone.dpop(CREDENTIAL, "A" * 43)) == (401, "invalid_token")
    assert with_(phone.dpop(CREDENTIAL, token), f"{CREDENTIAL}?access_token={token}") == (400, "invalid_request")
    alley.town.clock.advance(minutes=11)
    alley.town.call(phone.c_nonce)
    assert with_(phone.dpop(CREDENTIAL, token)) == (401, "invalid_token")


def test_a_configuration_nobody_ordered_is_refused_by_its_own_name(alley: Alley) -> None:
    """OpenID4VCI 1.0 8.2 and 8.3.1.2."""
    _, phone = alley.before(CREDENTIAL)
    body = request_for(alley, phone, new_keys())
    unknown = {**body, "credential_configuration_id": "driving_licence"}
    assert refusal(fetch(alley, phone, unknown)) == (400, "unknown_credential_configuration")
    identifier = {"credential_identifier": "x", "proofs": body["proofs"]}
    assert refusal(fetch(alley, phone, identifier)) == (400, "unknown_credential_identifier")
    sealed = {**body, "credential_response_encryption": {"jwk": {}, "enc": "A256GCM"}}
    assert refusal(fetch(alley, phone, sealed)) == (400, "invalid_encryption_parameters")
    assert refusal(fetch(alley, phone, {"proofs": body["proofs"]})) == (400, "invalid_credential_request")
    assert fetch(alley, phone, body).status_code == 200  # nothing above spent the nonce or the keys


# --- notification endpoint ------------------------------------------------------------------------------------------


def test_a_notification_about_somebody_elses_batch_is_refused(alley: Alley) -> None:
    """OpenID4VCI 1.0 11.3; 11.1: the same event may be sent again."""
    _, phone = alley.before(CREDENTIAL)
    _, thief = alley.before(CREDENTIAL)
    batch = fetch(alley, phone, request_for(alley, phone, new_keys())).json()["notification_id"]

    def tell(who: Apart, id: str, event: str = "credential_accepted") -> Any:
        headers = who.dpop(NOTIFY, who.order.access_token)
        return alley.post(NOTIFY, headers, json={"notification_id": id, "event": event})

    assert refusal(tell(thief, batch)) == (400, "invalid_notification_id")
    assert refusal(tell(thief, batch, "credential_deleted")) == (400, "invalid_notification_id")
    assert refusal(tell(phone, "unknown")) == (400, "invalid_notification_id")
    assert refusal(tell(phone, batch, "credential_eaten")) == (400, "invalid_notification_request")
    assert [tell(phone, batch).status_code for _ in range(2)] == [204, 204]


def test_the_same_notification_twice_at_once_counts_once(alley: Alley) -> None:
    citizen = alley.enrolled()
    citizen.tap.twice = {NOTIFY}
    citizen.receive(alley.officer.offer_for(citizen))
    assert codes(citizen.tap.heard) == [(204, ""), (401, "invalid_dpop_proof")]
    assert refusal(alley.again(citizen, citizen.tap.last(NOTIFY))) == (401, "invalid_dpop_proof")
