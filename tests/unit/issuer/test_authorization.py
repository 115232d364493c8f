"""Who gets a token: attested wallets, DPoP proofs, one-time codes. Every refusal names its step."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from issuing import BASE, START, Hall, Phone, Provider
from mapae.clock import MovableClock, SeededDice
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.formats.jose import sign_jws
from mapae.formats.x509 import x509_hash
from mapae.issuer.authorization import Attesters, Knock, Nonces, check_client, check_dpop, dpop_token
from mapae.issuer.oid4vci import PRE_AUTHORIZED
from mapae.keys import Signer, Vault
from mapae.trust.publish import TrustList
from mapae.trust.signers import Purpose, Reason
from mapae.trust.signers import Signer as LoggedSigner

AUDIENCE = f"{BASE}/issuer"
URL = f"{AUDIENCE}/token"


@pytest.fixture
def provider() -> Provider:
    return Provider(MovableClock(START))


def trusting(provider: Provider) -> Attesters:
    return Attesters([provider.entry], provider.entry.id)


def knock(provider: Provider, client: Signer, *, attested: dict[str, Any] | None = None, **changed: Any) -> Knock:
    now = int(START.timestamp())
    claims = {"iss": f"{BASE}/wallet/", "aud": AUDIENCE, "iat": now, "jti": "one", **changed}
    pop = sign_jws(client, {"typ": "oauth-client-attestation-pop+jwt"}, claims)
    attestation = provider.attest(client, **(attested or {}))
    return Knock("POST", URL, attestation=(attestation,), attestation_pop=(pop,))


def refused_client(provider: Provider, shown: Knock) -> Refused:
    with pytest.raises(Refused) as refusal:
        check_client(shown, attesters=trusting(provider), audience=AUDIENCE, now=START)
    assert refusal.value.code is Code.INVALID_CLIENT
    return refusal.value


def test_an_attested_wallet_is_known_by_its_key(provider: Provider) -> None:
    client = Signer.ephemeral()
    found = check_client(knock(provider, client), attesters=trusting(provider), audience=AUDIENCE, now=START)
    assert (found.id, found.jkt) == (f"{BASE}/wallet/", client.kid)


def test_an_attester_counts_while_the_trust_log_has_it_standing(provider: Provider) -> None:
    """A provider that enters its attesters: one it never entered, and one it revoked, vouch for nobody."""
    entered = LoggedSigner(
        issuer="wallet_provider:wallet-provider", x5t=x509_hash(provider.leaf), purpose=Purpose.ATTESTER,
        starts=int(START.timestamp()), ends=int(START.timestamp()) + 86400,
    )  # fmt: skip
    now = int(START.timestamp())
    gone = msgspec.structs.replace(entered, revoked_at=now, since=now, reason=Reason.SUPERSEDED)
    shown = knock(provider, Signer.ephemeral())

    def known(*signers: LoggedSigner) -> str | None:
        provider_entry = msgspec.structs.replace(provider.entry, logged=True)
        listed = TrustList.of([provider_entry], seq=1, now=START, life=timedelta(days=1), signers=signers)
        attesters = Attesters.listed(listed, provider.entry.id)
        try:
            return check_client(shown, attesters=attesters, audience=AUDIENCE, now=START).provider.id
        except Refused as refusal:
            assert refusal.code is Code.INVALID_CLIENT
            return refusal.step

    assert known(entered) == "wallet-provider"
    assert known() == known(gone) == "client_provider"


def test_iss_may_be_absent_as_in_newer_drafts(provider: Provider) -> None:
    client, now = Signer.ephemeral(), int(START.timestamp())
    pop = sign_jws(client, {"typ": "oauth-client-attestation-pop+jwt"}, {"aud": AUDIENCE, "iat": now, "jti": "x"})
    claims = {"sub": "w", "cnf": {"jwk": client.jwk}, "exp": now + 60}
    shown = Knock(
        "POST", URL,
        attestation=(provider.sign("oauth-client-attestation+jwt", claims),), attestation_pop=(pop,),
    )  # fmt: skip
    assert check_client(shown, attesters=trusting(provider), audience=AUDIENCE, now=START).id == "w"


@pytest.mark.parametrize(
    ("changed", "attested", "where"),
    [
        ({"aud": "https://elsewhere.test"}, {}, "client_audience"),
        ({"iss": "another client"}, {}, "client_audience"),
        ({"iat": int(START.timestamp()) - 3600}, {}, "client_fresh"),
        ({"jti": 7}, {}, "client_fresh"),
        ({}, {"exp": None}, "client_dates"),
        ({}, {"sub": ""}, "client_key"),
        ({}, {"cnf": {}}, "client_key"),
    ],
)
def test_each_step_of_the_client_check_refuses(
    provider: Provider, changed: dict[str, Any], attested: dict[str, Any], where: str
) -> None:
    assert refused_client(provider, knock(provider, Signer.ephemeral(), attested=attested, **changed)).step == where


def test_a_wallet_whose_attestation_is_too_old_is_told_to_fetch_a_new_one(provider: Provider) -> None:
    """Attestation-based client authentication draft-07, "Errors"; invalid_client would be final for a wallet."""
    old = knock(provider, Signer.ephemeral(), attested={"exp": int(START.timestamp()) - 61})
    with pytest.raises(Refused) as refused:
        check_client(old, attesters=trusting(provider), audience=AUDIENCE, now=START)
    assert (refused.value.code, refused.value.step) == (Code.USE_FRESH_ATTESTATION, "client_dates")


def test_a_wallet_of_an_unknown_provider_is_refused(provider: Provider) -> None:
    shown = knock(Provider(MovableClock(START)), Signer.ephemeral())
    assert refused_client(provider, shown).step == "client_provider"


def test_a_stolen_attestation_without_its_key_is_refused(provider: Provider) -> None:
    stolen, own = knock(provider, Signer.ephemeral()), knock(provider, Signer.ephemeral())
    mixed = Knock("POST", URL, attestation=stolen.attestation, attestation_pop=own.attestation_pop)
    assert refused_client(provider, mixed).step == "client_key"
    assert refused_client(provider, Knock("POST", URL)).step == "client_shape"
    twice = Knock("POST", URL, attestation=own.attestation * 2, attestation_pop=own.attestation_pop)
    assert refused_client(provider, twice).step == "client_shape"


# --- DPoP -------------------------------------------------------------------------------------------------------------


def dpop(key: Signer, **changed: Any) -> Knock:
    claims = {"htm": "POST", "htu": URL, "iat": int(START.timestamp()), "jti": "j", "nonce": "n", **changed}
    return Knock("POST", URL, dpop=(sign_jws(key, {"typ": "dpop+jwt", "jwk": key.jwk}, claims),))


@pytest.mark.parametrize(
    ("changed", "code", "where"),
    [
        ({"htm": "GET"}, Code.INVALID_DPOP_PROOF, "dpop_target"),
        ({"htu": f"{BASE}/issuer/credential"}, Code.INVALID_DPOP_PROOF, "dpop_target"),
        ({"htu": "http://[broken"}, Code.INVALID_DPOP_PROOF, "dpop_target"),
        ({"nonce": None}, Code.USE_DPOP_NONCE, "dpop_nonce"),
        ({"nonce": "other"}, Code.USE_DPOP_NONCE, "dpop_nonce"),
        ({"iat": int(START.timestamp()) - 3600}, Code.INVALID_DPOP_PROOF, "dpop_fresh"),
        ({"jti": ""}, Code.INVALID_DPOP_PROOF, "dpop_fresh"),
        ({"ath": "wrong"}, Code.INVALID_DPOP_PROOF, "dpop_token"),
    ],
)
def test_each_step_of_the_dpop_check_refuses(changed: dict[str, Any], code: Code, where: str) -> None:
    with pytest.raises(Refused) as refusal:
        check_dpop(dpop(Signer.ephemeral(), **changed), nonce_good="n".__eq__, now=START, access_token="t")
    assert (refusal.value.code, refusal.value.step) == (code, where)


def test_the_address_is_compared_without_query_case_or_default_port() -> None:
    """RFC 9449 4.3."""
    key = Signer.ephemeral()
    for htu in (URL + "?a=b#c", URL.replace("mapae.test", "MAPAE.test:80")):
        assert check_dpop(dpop(key, htu=htu), nonce_good="n".__eq__, now=START).jkt == key.kid


def test_a_proof_under_another_key_or_none_is_refused() -> None:
    key, other = Signer.ephemeral(), Signer.ephemeral()
    forged = sign_jws(other, {"typ": "dpop+jwt", "jwk": key.jwk}, {"htm": "POST"})
    for shown, where in (((forged,), "dpop_seal"), ((), "dpop_shape"), ((forged, forged), "dpop_shape")):
        with pytest.raises(Refused) as refusal:
            check_dpop(Knock("POST", URL, dpop=shown), nonce_good="n".__eq__, now=START)
        assert (refusal.value.code, refusal.value.step) == (Code.INVALID_DPOP_PROOF, where)


def test_only_dpop_tokens_are_read() -> None:
    assert dpop_token("DPoP abc") == dpop_token("dpop abc") == "abc"
    for header, code in (("", Code.NOT_SIGNED_IN), ("Bearer abc", Code.INVALID_TOKEN), ("DPoP ", Code.INVALID_TOKEN)):
        with pytest.raises(Refused) as refusal:
            dpop_token(header)
        assert refusal.value.code is code


def test_a_nonce_is_ours_for_one_purpose_and_five_minutes() -> None:
    clock = MovableClock(START)
    nonces = Nonces(Vault(bytes(32)), clock, SeededDice(1))
    nonce = nonces.make("dpop")
    assert nonces.good(nonce, "dpop") and not nonces.good(nonce, "c_nonce")
    assert not Nonces(Vault(b"1" * 32), clock, SeededDice(1)).good(nonce, "dpop")
    for wrong in ("", "x", "ä", nonce[:-1], nonce + "A", nonces.make("dpop")[:27] + nonce[27:]):
        assert not nonces.good(wrong, "dpop")
    clock.advance(minutes=5, seconds=1)
    assert not nonces.good(nonce, "dpop")


# --- redemption over the doors ----------------------------------------------------------------------------------------


@pytest.fixture
def hall(issuer_db: Db) -> Hall:
    return Hall(issuer_db)


async def test_a_second_scan_by_another_phone_is_refused_and_told(hall: Hall) -> None:
    first, second = Phone(hall, "jisoo"), Phone(hall, "jisoo")
    code = await first.scan(await hall.offer())
    assert (await first.redeem(code)).status_code == 200
    answer = await second.redeem(code)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert await hall.told() == ["opened", "scanned", "redeemed", "refused_second_scan"]


async def test_another_persons_wallet_is_refused_and_the_offer_stays_good(hall: Hall) -> None:
    offer = await hall.offer()
    for stranger in (Phone(hall, "minho"), Phone(hall, "jisoo", state="waiting"), Phone(hall, "jisoo", "suspended")):
        answer = await stranger.redeem(await stranger.scan(offer))
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert (await hall.told()).count("refused_other_wallet") == 3
    phone = Phone(hall, "jisoo")
    assert (await phone.redeem(await phone.scan(offer))).status_code == 200


async def test_an_offer_expires_after_the_packs_minutes(hall: Hall) -> None:
    phone = Phone(hall, "jisoo")
    offer = await hall.offer()
    code = await phone.scan(offer)
    hall.clock.advance(timedelta(seconds=180))
    assert (await phone.redeem(code)).json()["error"] == "invalid_grant"
    assert (await hall.http.get(f"/issuer/offers/{offer.id}")).status_code == 410
    assert (await hall.told())[-2:] == ["refused_expired", "refused_expired"]
    again = await hall.offer()  # the officer may show a new one
    assert (await phone.redeem(await phone.scan(again))).status_code == 200


async def test_a_withdrawn_or_replaced_offer_is_gone(hall: Hall) -> None:
    phone = Phone(hall, "jisoo")
    first = await hall.offer()
    code = await phone.scan(first)
    await hall.offer()
    assert (await phone.redeem(code)).json()["error"] == "invalid_grant"
    assert (await hall.http.get(f"/issuer/offers/{first.id}")).status_code == 404
    await hall.issuer.cancel_offer("case-1")
    await hall.issuer.cancel_offer("case-1")
    await hall.issuer.cancel_offer("nothing")
    assert (await hall.told()).count("cancelled") == 2


async def test_the_same_phone_gets_a_new_token_and_the_lost_one_is_dead(hall: Hall) -> None:
    phone = Phone(hall, "jisoo")
    code = await phone.scan(await hall.offer())
    await phone.redeem(code)
    lost = phone.access
    assert (await phone.redeem(code)).status_code == 200
    phone.access, kept = lost, phone.access
    assert (await phone.fetch()).json()["error"] == "invalid_token"
    phone.access = kept
    assert (await phone.fetch()).status_code == 200


async def test_no_code_or_token_is_at_rest(hall: Hall) -> None:
    phone = Phone(hall, "jisoo")
    code = await phone.scan(await hall.offer())
    await phone.redeem(code)
    everything = ""
    row: Any
    for table in ("issue_order", "issue_offer", "wallet_session", "offer_event", "spent", "audit_event"):
        for row in await hall.db.all(f"SELECT * FROM {table}"):
            everything += repr([bytes(v) if isinstance(v, memoryview) else v for v in tuple(row)])
    for secret in (code, phone.access, phone.refresh, "홍지수"):
        assert secret not in everything


async def test_a_refresh_token_stays_and_the_access_token_before_is_dead(hall: Hall) -> None:
    """FAPI 2.0 5.3.2.1: no rotation of refresh tokens that are bound to a key; a lost answer costs nothing."""
    phone = await hall.carded()
    first, lost = phone.refresh, phone.access
    assert (await phone.renew(first)).json()["refresh_token"] == first
    assert (await phone.renew(first)).status_code == 200  # the answer before never arrived
    phone.access, kept = lost, phone.access
    assert (await phone.fetch()).json()["error"] == "invalid_token"
    phone.access = kept
    assert (await phone.fetch()).status_code == 200


async def test_a_refresh_token_is_bound_to_both_keys_and_the_active_phone(hall: Hall) -> None:
    phone = await hall.carded()
    thief = Phone(hall, "jisoo")
    assert (await thief.renew(phone.refresh)).json()["error"] == "invalid_grant"
    thief.client, thief.standing = phone.client, phone.standing
    assert (await thief.renew(phone.refresh)).json()["error"] == "invalid_grant"
    phone.standing["state"] = "suspended"
    assert (await phone.renew()).json()["error"] == "invalid_grant"
    phone.standing["state"] = "active"
    assert (await phone.renew()).status_code == 200


async def test_what_is_used_once_is_used_once(hall: Hall) -> None:
    """The very same token request again: its proofs are spent."""
    phone = Phone(hall, "jisoo")
    code = await phone.scan(await hall.offer())
    await phone.c_nonce()
    headers = {**phone.attestation(), **phone.dpop("/issuer/token")}
    form = {"grant_type": PRE_AUTHORIZED, "pre-authorized_code": code}
    assert (await hall.http.post("/issuer/token", data=form, headers=headers)).status_code == 200
    assert (await hall.http.post("/issuer/token", data=form, headers=headers)).json()["error"] == "invalid_dpop_proof"
    headers |= phone.dpop("/issuer/token")
    assert (await hall.http.post("/issuer/token", data=form, headers=headers)).json()["error"] == "invalid_client"


async def test_housekeeping_forgets_what_is_spent_and_over(hall: Hall) -> None:
    await hall.carded()
    assert await hall.issuer.prune() == 0
    hall.clock.advance(days=40)
    assert await hall.issuer.prune() > 0
    assert await hall.db.all("SELECT hash FROM spent") == []


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": PRE_AUTHORIZED}, "invalid_request"),
        ({"grant_type": PRE_AUTHORIZED, "pre-authorized_code": "x", "tx_code": "1"}, "invalid_grant"),
        ({"grant_type": "authorization_code"}, "invalid_request"),
        ({"grant_type": "authorization_code", "code": "x", "redirect_uri": "https://w.test/cb"}, "invalid_request"),
        (
            {
                "grant_type": "authorization_code",
                "code": "x",
                "redirect_uri": "https://w.test/cb",
                "code_verifier": "v" * 43,
            },
            "invalid_grant",
        ),
        ({"grant_type": PRE_AUTHORIZED, "pre-authorized_code": "x" * 600}, "invalid_grant"),
        ({"grant_type": PRE_AUTHORIZED, "pre-authorized_code": "nonsense"}, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "nonsense"}, "invalid_grant"),
        ({"grant_type": "refresh_token", "refresh_token": "x", "client_id": "another"}, "invalid_client"),
    ],
)
async def test_token_requests_that_make_no_sense(hall: Hall, form: dict[str, str], error: str) -> None:
    assert (await Phone(hall, "jisoo").ask_token(form)).json()["error"] == error


async def test_a_wallet_the_provider_does_not_know_is_refused(hall: Hall) -> None:
    phone = Phone(hall, "jisoo")
    code = await phone.scan(await hall.offer())
    hall.provider.phones.clear()
    answer = await phone.redeem(code)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
