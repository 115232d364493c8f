"""A wallet of oid4vc-ts, vouched for by a wallet provider of its own, before our issuer over HTTP: the cards it gets
are read by other libraries as well, and what it does wrongly is refused with the error code the specification names."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography import x509

from browserless import Page
from conformance.country import Country
from conformance.peers import Node, PeerRefused, deviates
from conformance.world import STRANGER, provider_words
from mapae.formats.jose import Jws, PublicKey, b64u, unb64u
from mapae.formats.mdoc import IssuerSigned
from mapae.formats.sd_jwt import SdJwt
from mapae.formats.status import StatusToken
from mapae.formats.x509 import Anchors, check_chain
from town import CODE

SD, MDOC = "resident_card_sd_jwt", "resident_card_mdoc"
BACK = "https://elsewhere.example/back"


@pytest.fixture(scope="module")
def provider(country: Country) -> dict[str, Any]:
    words = country.wallet_provider("elsewhere")
    time.sleep(5.5)  # an issuer looks at the trust list every five seconds
    return words


class Wallet:
    """`wallet.redeem(txCode=...)` is one step of peers/wallet.mjs."""

    def __init__(self, node: Node, provider: dict[str, Any]) -> None:
        self._node, self._id = node, node.wallet.make(provider=provider)

    def __getattr__(self, name: str) -> Any:
        def step(**args: Any) -> Any:
            given = {name: value for name, value in args.items() if value is not None}
            return self._node.wallet.step(id=self._id, name=name, args=given)

        return step

    def seen(self) -> list[dict[str, Any]]:
        return list(self._node.wallet.seen(id=self._id))


def ready(node: Node, country: Country, provider: dict[str, Any], **offer: Any) -> Wallet:
    """A wallet with an access token, by pre-authorized code."""
    wallet, made = Wallet(node, provider), country.offer(**offer)
    wallet.open(offer=made["offer"])
    wallet.redeem(txCode=made.get("tx_code"))
    return wallet


def sign_in(country: Country, url: str, who: dict[str, Any]) -> str:
    """What a person does in her browser, script or not; where it is sent back to."""
    browser = httpx.Client(base_url=country.base, trust_env=False)

    def follow(answer: httpx.Response) -> httpx.Response:
        while answer.is_redirect and answer.headers["location"].startswith(("/", country.base)):
            answer = browser.get(answer.headers["location"])
        return answer

    def send(answer: httpx.Response, ends: str, **typed: str) -> httpx.Response:
        form = Page(answer).form(ends)
        return follow(browser.post(form.action, data={**form.fields, **typed}, headers={"Origin": country.base}))

    def inbox() -> list[str]:
        return [message["text"] for message in browser.get(who["inbox"]).json()["messages"]]

    before, page = inbox(), follow(browser.get(url))
    page = send(page, "/check", name=who["name"], number=who["number"], phone=who["phone"])
    (message,) = [text for text in inbox() if text not in before]
    code = re.search(CODE, message)
    assert code
    page = send(send(page, "/code", code=code[1]), "/approve")
    return str(page.headers["location"])


# --- right ------------------------------------------------------------------------------------------------------------


def credentials(response: dict[str, Any]) -> list[str]:
    return [one["credential"] for one in response["credentials"]]


@pytest.mark.parametrize("proof", ["jwt", "attestation"])
@pytest.mark.parametrize("grant", ["pre-authorized", "authorization-code"])
def test_their_wallet_gets_both_cards_in_batches(
    grant: str, proof: str, node: Node, country: Country, provider: dict[str, Any]
) -> None:
    """OpenID4VCI 1.0 and HAIP 1.0 4: both grants, attested client, DPoP with nonce, both proof types, batches of three,
    acknowledged, renewed. Two other libraries read the cards, and the status list they point at."""
    if grant == "pre-authorized":
        wallet = ready(node, country, provider, tx_code=True)
    else:
        wallet, offer = Wallet(node, provider), country.offer(grant=grant)
        wallet.open(offer=offer["offer"])
        where = wallet.authorize(redirectUri=BACK, scope=f"{SD} {MDOC}", state="state-1")
        back = sign_in(country, where["url"], offer["sign_in"])
        query = parse_qs(urlsplit(back).query)
        assert back.startswith(BACK)
        assert (query["iss"], query["state"]) == ([f"{country.base}/issuer"], ["state-1"])
        wallet.returned(url=back)
    for configuration in (SD, MDOC):
        got = wallet.credentials(configuration=configuration, count=3, proof=proof)
        cards = credentials(got["response"])
        assert len(cards) == 3
        for card, key in zip(cards, got["keys"], strict=True):
            read_by_others(node, country, card, key)
        wallet.notify(notificationId=got["response"]["notification_id"])
    assert wallet.renew()["refresh_token"]


def read_by_others(node: Node, country: Country, card: str, key: dict[str, Any]) -> None:
    now = int(datetime.now(UTC).timestamp())
    if "~" in card:
        ours = SdJwt.parse(card)
        claims = ours.peek()
        status = claims["status"]["status_list"]
        token = country.http.get(status["uri"])
        assert token.headers["content-type"] == "application/statuslist+jwt"
        listed = StatusToken.parse(token.text)
        read = node.sd_jwt.verify(
            card=card, issuerKey=leaf_key(ours.x5c[0]), now=now, statusToken=token.text,
            statusKey=leaf_key(listed.x5c[0]),
        )  # fmt: skip
        assert read["payload"] == claims
        assert {name: key[name] for name in ("x", "y")} == {name: claims["cnf"]["jwk"][name] for name in ("x", "y")}
        assert claims["iss"] == f"{country.base}/issuer"
    else:
        anchors = [b64u(der) for der in country.anchors("issuers")]
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert node.owf.check(card=card, trusted=anchors, now=moment)
        device = IssuerSigned.parse(unb64u(card)).mso.device_key.jwk
        assert (device["x"], device["y"]) == (key["x"], key["y"])


def leaf_key(der: bytes) -> dict[str, str]:
    return PublicKey.from_crypto(x509.load_der_x509_certificate(der).public_key()).jwk


def test_a_batch_cannot_be_linked(node: Node, country: Country, provider: dict[str, Any]) -> None:
    """OpenID4VCI 1.0 15.4.1, HAIP 1.0 6: keys, salts, digests and status entries differ; dates say nothing."""
    wallet = ready(node, country, provider)
    got = wallet.credentials(configuration=SD, count=3)
    opened = [SdJwt.parse(card) for card in credentials(got["response"])]
    claims = [card.peek() for card in opened]
    assert len({one["cnf"]["jwk"]["x"] for one in claims}) == 3
    assert len({one["status"]["status_list"]["idx"] for one in claims}) == 3
    salts = [item[0] for card in opened for item in card.items]
    assert len(set(salts)) == len(salts)
    assert all(len(salt) >= 22 for salt in salts), "128 bits in base64url"
    digests = [digest for card in opened for digest in card.jws.claims()["_sd"]]
    assert len(set(digests)) == len(digests)
    for name in ("iat", "nbf", "exp"):
        values = {one[name] for one in claims if name in one}
        assert len(values) <= 1
        assert all(value % 3600 == 0 for value in values), f"{name} is rounded"
    cards = credentials(wallet.credentials(configuration=MDOC, count=3)["response"])
    signed = [IssuerSigned.parse(unb64u(card)) for card in cards]
    assert len({one.mso.device_key.thumbprint for one in signed}) == 3
    assert len({one.mso.status.index for one in signed if one.mso.status}) == 3
    assert len({(one.mso.validity.signed, one.mso.validity.valid_from) for one in signed}) == 1
    assert signed[0].mso.validity.signed.minute == signed[0].mso.validity.signed.second == 0


def test_their_wallet_shows_our_cards_to_both_verifiers(node: Node, country: Country, provider: dict[str, Any]) -> None:
    """The whole way round with nothing of ours in the holder's hand."""
    wallet = ready(node, country, provider)
    cards = []
    for configuration, format, type in (
        (SD, "dc+sd-jwt", "urn:mapae:kr:resident-card:1"), (MDOC, "mso_mdoc", "kr.mapae.resident.1"),
    ):  # fmt: skip
        got = wallet.credentials(configuration=configuration)
        wallet.notify(notificationId=got["response"]["notification_id"])
        credential, key = credentials(got["response"])[0], got["keys"][0]
        cards.append({"format": format, "type": type, "credential": credential, "key": key})
        wallet.renew()
    shop = country.facts()["shops"][0]
    for form in ("sd_jwt", "mdoc", "either"):
        asked = country.ask(purpose=shop["purposes"][0], form=form)
        assert node.presenter.present(uri=asked.uri, cards=cards)["status"] == 200
        verdict = asked.verdict()
        assert verdict["outcome"] == "accepted", verdict


def test_their_wallet_waits_for_a_card_somebody_looks_at(
    node: Node, country: Country, provider: dict[str, Any]
) -> None:
    """OpenID4VCI 1.0 9: 202 with a transaction until the card is there; another transaction is nobody's."""
    wallet = ready(node, country, provider, deferred=2)
    later = wallet.credentials(configuration=MDOC, count=2)["response"]
    assert set(later) == {"transaction_id", "interval"}
    again = wallet.deferred(transactionId=later["transaction_id"])
    assert again["transaction_id"] == later["transaction_id"]
    with pytest.raises(PeerRefused, match="invalid_transaction_id"):
        wallet.deferred(transactionId="another")
    time.sleep(max(2, again["interval"]))
    try:
        came = wallet.deferred(transactionId=later["transaction_id"])
    except PeerRefused as refused:  # the bug that test_peers_alone.py knows: it shows what it refuses
        assert "notification_id" in str(refused)
    else:
        assert len(credentials(came)) == 2


def test_their_wallet_reads_our_signed_metadata(node: Node, country: Country, provider: dict[str, Any]) -> None:
    """OpenID4VCI 1.0 12.2.3, HAIP 1.0 4.1: by content negotiation, with a chain that leads to our issuers' anchor."""
    opened = Wallet(node, provider).open(offer=country.offer()["offer"], accept="application/jwt")
    signed = Jws.parse(opened["signed"], typ="openidvci-issuer-metadata+jwt")
    check_chain(signed.x5c, Anchors(country.anchors("issuers")), datetime.now(UTC), None)
    plain = country.http.get("/.well-known/openid-credential-issuer/issuer").json()
    assert plain.items() <= signed.claims().items()


@pytest.mark.parametrize("enc", ["A128GCM", "A256GCM"])
@pytest.mark.parametrize("zip", [None, "DEF"])
def test_requests_and_answers_under_encryption_are_understood(
    enc: str, zip: str | None, node: Node, country: Country, provider: dict[str, Any]
) -> None:
    """OpenID4VCI 1.0 8.2, 8.3, 10: by another JWE library; the answer is encrypted to the wallet's key as it asked."""
    wallet = ready(node, country, provider)
    answer = wallet.sealed(configuration=SD, enc=enc, zip=zip)
    assert answer["status"] == 200, answer["body"]
    assert answer["headers"]["content-type"] == "application/jwt"
    assert (answer["header"]["alg"], answer["header"]["enc"], answer["header"]["kid"]) == ("ECDH-ES", enc, "ours")
    assert len(answer["response"]["credentials"]) == 1


# --- wrong ------------------------------------------------------------------------------------------------------------


def proof(**claims: Any) -> dict[str, Any]:
    return {"proof": claims}


def attested(**claims: Any) -> dict[str, Any]:
    return {"attestation": claims}


def sent(**members: Any) -> dict[str, Any]:
    return {"members": members}


WRONG_REQUESTS: dict[str, tuple[dict[str, Any], int, str]] = {
    # OpenID4VCI 1.0 8.3.1.2, Appendix F.1: the proof
    "a nonce of somebody else's": (proof(nonce="another"), 400, "invalid_nonce"),
    "no nonce": (proof(nonce=None), 400, "invalid_proof"),
    "another issuer": (proof(aud="https://other.example"), 400, "invalid_proof"),
    "another client": (proof(iss="https://other.example"), 400, "invalid_proof"),
    "a proof of long ago": (proof(iat=1_767_225_600), 400, "invalid_proof"),
    "a proof of tomorrow": (proof(iat=4_102_444_800), 400, "invalid_proof"),
    "a proof of no time": (proof(iat=None), 400, "invalid_proof"),
    "a proof of another type": ({"header": {"typ": "jwt"}}, 400, "invalid_proof"),
    "a proof that names no key": ({"header": {"jwk": None}}, 400, "invalid_proof"),
    "a proof that names two": ({"header": {"kid": "0"}}, 400, "invalid_proof"),
    "a key nobody attested": ({"otherKey": True}, 400, "invalid_proof"),
    "no key attestation": ({"header": {"key_attestation": None}}, 400, "invalid_proof"),
    "no JWT at all": ({"text": "x.y.z"}, 400, "invalid_proof"),
    # Appendix D.1: the key attestation
    "another nonce in the attestation": ({"attestationNonce": "another"}, 400, "invalid_nonce"),
    "an attestation past its end": (attested(exp=1_700_000_000), 400, "invalid_proof"),
    "an attestation without an end": (attested(exp=None), 400, "invalid_proof"),
    "an attestation of no keys": (attested(attested_keys=[]), 400, "invalid_proof"),
    "a level nobody accepts": (attested(key_storage=["none"]), 400, "invalid_proof"),
    # 8.2: the request
    "no proofs": (sent(proofs=None), 400, "invalid_proof"),
    "two kinds of proof": (sent(proofs={"jwt": ["a"], "attestation": ["b"]}), 400, "invalid_proof"),
    "a kind of proof we do not read": (sent(proofs={"di_vp": [{}]}), 400, "invalid_proof"),
    "a proof as drafts had it": (sent(proofs=None, proof={"proof_type": "jwt", "jwt": "a"}), 400, "invalid_proof"),
    "a configuration there is not": (
        sent(credential_configuration_id="other"), 400, "unknown_credential_configuration",
    ),
    "an identifier nobody gave out": (
        sent(credential_configuration_id=None, credential_identifier="x"), 400, "unknown_credential_identifier",
    ),
    "an identifier and a configuration": (sent(credential_identifier="x"), 400, "invalid_credential_request"),
    "neither": (sent(credential_configuration_id=None), 400, "invalid_credential_request"),
    "no JSON": ({"body": "{"}, 400, "invalid_credential_request"),
    "a form": ({"body": "a=b", "type": "application/x-www-form-urlencoded"}, 400, "invalid_credential_request"),
    # 8.3.1.1, RFC 6750 3.1, RFC 9449 7.1
    "another access token": ({"accessToken": "another"}, 401, "invalid_token"),
    "a token in the address": ({"query": "?access_token=x"}, 400, "invalid_request"),
}  # fmt: skip


@pytest.fixture(scope="module")
def holder(node: Node, country: Country, provider: dict[str, Any]) -> Wallet:
    """One token for all wrong requests: a refused request costs nothing."""
    return ready(node, country, provider)


@pytest.mark.parametrize("wrong", WRONG_REQUESTS)
def test_their_wrong_request_gets_the_specifications_error(wrong: str, holder: Wallet) -> None:
    """With the members of RFC 6749 5.2 and no others, uncached, and a fresh DPoP nonce for the next try."""
    spoil, status, error = WRONG_REQUESTS[wrong]
    answer = holder.tries(configuration=SD, spoil=spoil)
    assert (answer["status"], answer["body"]["error"]) == (status, error), answer["body"]
    assert set(answer["body"]) <= {"error", "error_description"}
    assert answer["headers"]["cache-control"] == "no-store"
    assert answer["headers"]["content-type"].startswith("application/json")


WRONG_SEALS: dict[str, dict[str, Any]] = {
    "asked for in the open": {"open": True},
    "an enc we do not have": {"wanted": {"enc": "A256CBC-HS512"}},
    "a key we cannot use": {"wanted": {"jwk": {"kty": "RSA"}}},
    "a zip we do not have": {"wanted": {"zip": "other"}},
    "not to a key of ours": {"jwe": {"kid": "another"}},
    "to another key": {"to": STRANGER.public},
}


@pytest.mark.parametrize("wrong", WRONG_SEALS)
def test_wrong_encryption_is_refused(wrong: str, holder: Wallet) -> None:
    """OpenID4VCI 1.0 8.2 (a response may be encrypted only when the request is), 8.3.1.2."""
    answer = holder.sealed(configuration=SD, spoil=WRONG_SEALS[wrong])
    assert answer["status"] == 400
    assert answer["body"]["error"] in ("invalid_encryption_parameters", "invalid_credential_request"), answer["body"]


def test_after_all_that_the_token_is_still_good(holder: Wallet) -> None:
    assert holder.credentials(configuration=SD)["response"]["credentials"]


@deviates("OpenID4VCI 1.0 D.1", "writes typ keyattestation+jwt, as drafts before 16 did")
def test_a_key_attestation_by_their_library_is_taken(holder: Wallet) -> None:
    holder.credentials(configuration=SD, library=True)


def test_a_wallet_whose_provider_is_not_listed_is_refused(node: Node, country: Country) -> None:
    """HAIP 1.0 4.4.1, draft-07 7.1: invalid_client."""
    with pytest.raises(PeerRefused, match=r'"error":"invalid_client"'):
        ready(node, country, provider_words())


def test_a_wrong_transaction_code_is_refused(node: Node, country: Country, provider: dict[str, Any]) -> None:
    """OpenID4VCI 1.0 6.3."""
    wallet, offer = Wallet(node, provider), country.offer(tx_code=True)
    wallet.open(offer=offer["offer"])
    wrong = f"{(int(offer['tx_code']) + 1) % 10 ** len(offer['tx_code']):0{len(offer['tx_code'])}}"
    with pytest.raises(PeerRefused, match=r'"error":"invalid_grant"'):
        wallet.redeem(txCode=wrong)
    assert wallet.redeem(txCode=offer["tx_code"])["access_token"]


def test_a_code_serves_one_wallet(node: Node, country: Country, provider: dict[str, Any]) -> None:
    """RFC 6749 4.1.2: another wallet with the same code gets nothing."""
    offer = country.offer()
    first, second = Wallet(node, provider), Wallet(node, provider)
    first.open(offer=offer["offer"])
    second.open(offer=offer["offer"])
    first.redeem()
    with pytest.raises(PeerRefused, match=r'"error":"invalid_grant"'):
        second.redeem()


def test_a_notification_nobody_gave_out_is_refused(holder: Wallet) -> None:
    """OpenID4VCI 1.0 11.3."""
    with pytest.raises(PeerRefused, match="invalid_notification_id"):
        holder.notify(notificationId="another")
