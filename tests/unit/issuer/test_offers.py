"""How an offer may be fetched: transaction codes, wallets of other providers, part of what is offered."""

from __future__ import annotations

import asyncio
import json

import pytest

from issuing import BASE, MDOC, SD_JWT, Hall, Phone, Provider, must_be_whole
from mapae.db import Db
from mapae.issuer.oid4vci import PRE_AUTHORIZED
from mapae.issuer.order import Terms, Wallets, Way

ANY = Terms(wallets=Wallets.ATTESTED)
WITH_CODE = Terms(tx_code=True)


@pytest.fixture
def hall(issuer_db: Db) -> Hall:
    return Hall(issuer_db)


@pytest.fixture
def abroad(hall: Hall) -> Provider:
    """Somebody else's wallet provider, on the trust list."""
    provider = Provider(hall.clock, id="abroad")
    hall.trusted.append(provider.entry)
    return provider


def foreign(hall: Hall, provider: Provider) -> Phone:
    phone = Phone(hall, "nobody", provider=provider)
    provider.phones.clear()  # nobody can be asked after it
    return phone


# --- transaction codes (OpenID4VCI 4.1.1, 6.3, 13.6.3) ----------------------------------------------------------------


async def redeem(phone: Phone, code: str, **more: str) -> str:
    answer = await phone.ask_token({"grant_type": PRE_AUTHORIZED, "pre-authorized_code": code, **more})
    return "ok" if answer.status_code == 200 else str(answer.json()["error"])


async def test_an_offer_says_what_its_transaction_code_looks_like_in_the_holders_language(hall: Hall) -> None:
    offer = await hall.offer(terms=WITH_CODE)
    said = {}
    for language in ("ko", "en"):
        answer = await hall.http.get(f"/issuer/offers/{offer.id}", headers={"Accept-Language": language})
        wanted = answer.json()["grants"][PRE_AUTHORIZED]["tx_code"]
        assert (wanted["input_mode"], wanted["length"]) == ("numeric", len(offer.tx_code))
        said[language] = wanted["description"]
    assert said["ko"] != said["en"] and max(map(len, said.values())) <= 300
    assert offer.tx_code.isdigit() and offer.tx_code not in json.dumps(said)


async def test_the_right_transaction_code_is_asked_for_and_nothing_else_will_do(hall: Hall) -> None:
    """OpenID4VCI 6.3: missing or not expected is invalid_request, wrong is invalid_grant."""
    offer, phone = await hall.offer(terms=WITH_CODE), Phone(hall, "jisoo")
    code = await phone.scan(offer)
    wrong = str((int(offer.tx_code) + 1) % 1_000_000).zfill(6)
    assert await redeem(phone, code) == "invalid_request"
    for guess in (wrong, "", "x" * 65, offer.tx_code + "0"):
        assert await redeem(phone, code, tx_code=guess) == "invalid_grant"
    assert await redeem(phone, code, tx_code=offer.tx_code) == "ok"
    assert (await hall.told()).count("refused_tx_code") == 3  # the overlong one was no try
    plain = Phone(hall, "minho")
    code = await plain.scan(await hall.offer("minho", "case-2"))
    assert await redeem(plain, code, tx_code="123456") == "invalid_request"


async def test_five_wrong_transaction_codes_end_the_offer(hall: Hall) -> None:
    """OpenID4VCI 13.6.3 (errata). At the same moment, too, nobody gets more than five tries."""
    offer, phone = await hall.offer(terms=WITH_CODE), Phone(hall, "jisoo")
    code = await phone.scan(offer)
    wrong = str((int(offer.tx_code) + 1) % 1_000_000).zfill(6)
    tried = await asyncio.gather(*(redeem(phone, code, tx_code=wrong) for _ in range(8)))
    assert set(tried) == {"invalid_grant"}
    assert await redeem(phone, code, tx_code=offer.tx_code) == "invalid_grant"
    assert (await hall.http.get(f"/issuer/offers/{offer.id}")).status_code == 404
    again = await hall.offer(terms=WITH_CODE)
    assert await redeem(phone, await phone.scan(again), tx_code=again.tx_code) == "ok"


async def test_a_stranger_cannot_use_up_the_tries(hall: Hall) -> None:
    offer, phone, stranger = await hall.offer(terms=WITH_CODE), Phone(hall, "jisoo"), Phone(hall, "minho")
    code = await phone.scan(offer)
    for _ in range(6):
        assert await redeem(stranger, code, tx_code="000000") == "invalid_grant"
    assert await redeem(phone, code, tx_code=offer.tx_code) == "ok"


async def test_no_transaction_code_is_at_rest(hall: Hall) -> None:
    offer = await hall.offer(terms=WITH_CODE)
    rows = await hall.db.all("SELECT * FROM issue_offer")
    assert offer.tx_code.encode() not in b"".join(bytes(v) for row in rows for v in tuple(row) if isinstance(v, bytes))


# --- wallets of other providers ---------------------------------------------------------------------------------------


async def test_any_trusted_wallet_may_fetch_where_the_offer_says_so(hall: Hall, abroad: Provider) -> None:
    """HAIP 1.0 4.4.1: a wallet attested by a provider on the trust list is a wallet. It is a device of its own."""
    phone = foreign(hall, abroad)
    assert (await phone.redeem(await phone.scan(await hall.offer(terms=ANY)))).status_code == 200
    answer = await phone.fetch()
    assert answer.status_code == 200, answer.text
    assert (await phone.tell(answer.json()["notification_id"])).status_code == 204
    assert (await phone.renew()).status_code == 200
    assert [path for path, _ in hall.provider.asked if path.endswith("/standing")] == []
    device = (await hall.db.all("SELECT device FROM issue_order"))[0]["device"]
    assert device.startswith("attested:")
    await must_be_whole(hall, hall.db)


async def test_an_offer_of_the_counter_stays_with_the_registered_phone(hall: Hall, abroad: Provider) -> None:
    phone, offer = foreign(hall, abroad), await hall.offer()
    assert (await phone.redeem(await phone.scan(offer))).json()["error"] == "invalid_grant"
    assert (await hall.told())[-1] == "refused_other_wallet"
    own = Phone(hall, "jisoo")
    assert (await own.redeem(await own.scan(offer))).status_code == 200


async def test_an_open_offer_is_not_for_somebody_elses_registered_phone(hall: Hall) -> None:
    minho = Phone(hall, "minho")
    assert (await minho.redeem(await minho.scan(await hall.offer(terms=ANY)))).json()["error"] == "invalid_grant"


async def test_the_card_moves_to_the_newer_wallet_and_a_lock_stops_it_there(hall: Hall, abroad: Provider) -> None:
    own = await hall.carded()
    phone = foreign(hall, abroad)
    await phone.redeem(await phone.scan(await hall.offer(case="case-2", terms=ANY)))
    assert (await phone.fetch()).status_code == 200
    assert sorted(one.state for one in await hall.issuer.holdings("jisoo")) == ["ended", "valid"]
    assert (await own.renew()).json()["error"] == "invalid_grant"
    assert await hall.issuer.lock("jisoo", "lost", "portal") == 2
    assert (await phone.renew()).json()["error"] == "invalid_grant"
    assert (await phone.fetch()).json()["error"] == "invalid_token"


async def test_a_provider_that_is_struck_off_takes_its_wallets_along(hall: Hall, abroad: Provider) -> None:
    phone = foreign(hall, abroad)
    await phone.redeem(await phone.scan(await hall.offer(terms=ANY)))
    hall.trusted.remove(abroad.entry)
    assert (await phone.renew()).json()["error"] == "invalid_client"


async def test_the_list_of_documents_is_for_registered_phones(hall: Hall, abroad: Provider) -> None:
    phone = foreign(hall, abroad)
    answer = await hall.http.get("/issuer/documents", headers=phone.attestation())
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_one_key_and_one_proof_do_where_a_wallet_combines_them(hall: Hall) -> None:
    """Attestation-based client authentication draft-10, "DPoP Combined Mode"."""
    phone, other = Phone(hall, "jisoo"), Phone(hall, "jisoo")
    code = await phone.scan(await hall.offer())
    await phone.c_nonce()
    form = {"grant_type": PRE_AUTHORIZED, "pre-authorized_code": code}
    attestation = {"OAuth-Client-Attestation": phone.attestation()["OAuth-Client-Attestation"]}
    wrong = await hall.http.post("/issuer/token", data=form, headers={**attestation, **phone.dpop("/issuer/token")})
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    phone.dpop_key = phone.client
    headers = {**attestation, **phone.dpop("/issuer/token")}
    answer = await hall.http.post("/issuer/token", data=form, headers=headers)
    assert answer.status_code == 200, answer.text
    again = await hall.http.post("/issuer/token", data=form, headers=headers)
    assert again.json()["error"] == "invalid_dpop_proof"
    bare = await hall.http.get("/issuer/documents", headers={**attestation, **other.dpop("/issuer/documents")})
    assert bare.status_code == 401


# --- part of an offer, by identifier (OpenID4VCI 6.1.1, 6.2) ----------------------------------------------------------


def details(*ids: str, **more: object) -> str:
    return json.dumps([{"type": "openid_credential", "credential_configuration_id": id, **more} for id in ids])


async def test_a_token_request_may_ask_for_part_and_gets_identifiers(hall: Hall) -> None:
    phone = Phone(hall, "jisoo")
    code = await phone.scan(await hall.offer())
    form = {"grant_type": PRE_AUTHORIZED, "pre-authorized_code": code, "authorization_details": details(MDOC)}
    answer = (await phone.ask_token(form)).json()
    assert "scope" not in answer
    (one,) = answer["authorization_details"]
    assert (one["type"], one["credential_configuration_id"]) == ("openid_credential", MDOC)
    (identifier,) = one["credential_identifiers"]
    assert identifier != MDOC and "jisoo" not in identifier
    for body, error in (
        ({"credential_configuration_id": MDOC}, "invalid_credential_request"),
        ({"credential_identifier": MDOC}, "unknown_credential_identifier"),
        ({"credential_identifier": identifier, "credential_configuration_id": MDOC}, "invalid_credential_request"),
    ):
        assert (await phone.fetch(body=body)).json()["error"] == error
    fetched = await phone.fetch_identified(identifier)
    assert fetched.status_code == 200, fetched.text
    assert (await phone.renew()).json()["authorization_details"] == answer["authorization_details"]


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ("not json", "invalid_request"),
        ("{}", "invalid_authorization_details"),
        ("[]", "invalid_authorization_details"),
        ("[7]", "invalid_authorization_details"),
        (json.dumps([{"type": "payment"}]), "invalid_authorization_details"),
        (json.dumps([{"type": "openid_credential"}]), "invalid_authorization_details"),
        (details("unknown"), "invalid_authorization_details"),
        (details(SD_JWT, locations=["https://elsewhere.test"]), "invalid_authorization_details"),
        (details(SD_JWT, locations=7), "invalid_authorization_details"),
        (json.dumps([{"type": "openid_credential", "credential_configuration_id": SD_JWT}] * 17),
         "invalid_authorization_details"),
    ],
)  # fmt: skip
async def test_authorization_details_that_make_no_sense(hall: Hall, asked: str, error: str) -> None:
    """RFC 9396 5, OpenID4VCI 5.1.1."""
    phone = Phone(hall, "jisoo")
    code = await phone.scan(await hall.offer())
    form = {"grant_type": PRE_AUTHORIZED, "pre-authorized_code": code, "authorization_details": asked}
    assert (await phone.ask_token(form)).json()["error"] == error
    form["authorization_details"] = details(SD_JWT, locations=[f"{BASE}/issuer"], claims=[{"path": ["name"]}], new=1)
    assert (await phone.ask_token(form)).status_code == 200


async def test_an_issuer_state_is_no_pre_authorized_code(hall: Hall) -> None:
    offer = await hall.offer(terms=Terms(way=Way.AUTHORIZATION_CODE))
    message = (await hall.http.get(f"/issuer/offers/{offer.id}")).json()
    assert list(message["grants"]) == ["authorization_code"]
    state = message["grants"]["authorization_code"]["issuer_state"]
    assert await redeem(Phone(hall, "jisoo"), state) == "invalid_grant"
