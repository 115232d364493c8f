"""Our Python wallet against an issuer and a verifier of oid4vc-ts over HTTP: what they do right is taken, what they do
wrong is refused, and the holder is told why."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from conformance.peers import Node, deviates
from conformance.world import (
    ASKERS,
    AUTHORITY,
    NAMESPACE,
    PROVIDER,
    QUERY,
    SHORT,
    STRANGER,
    WALLETS,
    issuer_words,
    verifier_words,
)
from mapae.clock import Clock, MovableClock, SystemClock
from mapae.errors import Code, Refused
from mapae.formats.jose import b64u, x5c_header
from mapae.formats.x509 import Profile
from mapae.holder import AnchorTrust, ProviderAttester, Wallet

CLIENT = "https://wallet.elsewhere.example/app"
BACK = "https://wallet.elsewhere.example/back"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


def wallet_of(
    http: httpx.AsyncClient, *, issuers: tuple[bytes, ...] = (AUTHORITY.root,), clock: Clock | None = None
) -> Wallet:
    chain = [WALLETS.certify(Profile.WALLET_PROVIDER, PROVIDER.signer)]
    attester = ProviderAttester(PROVIDER.signer, chain, CLIENT, clock=SystemClock())
    return Wallet(http, trust=AnchorTrust(issuers=issuers, verifiers=[ASKERS.root]), attester=attester, clock=clock)


async def received(node: Node, http: httpx.AsyncClient, **words: Any) -> tuple[Wallet, dict[str, Any]]:
    """A wallet with the cards of a pre-authorized offer."""
    issuer = node.issuer.start(**issuer_words(popEnds=False, **words))
    wallet = wallet_of(http)
    await wallet.receive(node.issuer.offer(id=issuer["id"]))
    return wallet, issuer


# --- their issuer -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reference", [True, False], ids=["by reference", "by value"])
@pytest.mark.parametrize("nonces", [True, False], ids=["with DPoP nonces", "without"])
async def test_cards_come_by_pre_authorized_code(
    reference: bool, nonces: bool, node: Node, http: httpx.AsyncClient
) -> None:
    """OpenID4VCI 1.0 4.1, 6, 8; HAIP 1.0 4: attested client, DPoP, a batch in each format, acknowledged."""
    issuer = node.issuer.start(**issuer_words(popEnds=False, dpopNonce=nonces))
    wallet = wallet_of(http)
    text = node.issuer.offer(id=issuer["id"], txCode="493536", reference=reference)
    offer = await wallet.offer(text)
    assert offer.pre_authorized is not None
    cards = await wallet.receive(text, "493536")
    assert {card.configuration for card in cards} == {"sd_jwt", "mdoc"}
    for card in cards:
        claims = wallet.claims(card)
        assert {name: str(claims[name]) for name in SHORT} == {name: str(value) for name, value in SHORT.items()}
        assert wallet.copies_left(card) == 5, "a batch is as large as the issuer allows"
    events = node.issuer.events(id=issuer["id"])
    assert [event["event"] for event in events] == ["credential_accepted"] * 2


@deviates("client attestation draft-07 5.2", "demands exp in the proof of possession, which draft-06 took out")
async def test_their_server_takes_our_client_attestation(node: Node, http: httpx.AsyncClient) -> None:
    issuer = node.issuer.start(**issuer_words(popEnds=True))
    try:
        await wallet_of(http).receive(node.issuer.offer(id=issuer["id"]))
    except Refused as refused:
        raise AssertionError(refused.detail) from None


async def test_a_wrong_transaction_code_is_told_apart(node: Node, http: httpx.AsyncClient) -> None:
    """OpenID4VCI 1.0 6.3: invalid_grant."""
    issuer = node.issuer.start(**issuer_words(popEnds=False))
    with pytest.raises(Refused) as refused:
        await wallet_of(http).receive(node.issuer.offer(id=issuer["id"], txCode="493536"), "000000")
    assert refused.value.code is Code.INVALID_GRANT


async def sign_in(wallet: Wallet, http: httpx.AsyncClient, offer: str) -> str:
    """The browser's part: where it is sent back to."""
    begun = await wallet.authorize(offer, BACK)
    answer = await http.get(begun.url, follow_redirects=False)
    assert answer.status_code == 302, answer.text
    return str(answer.headers["location"])


async def test_cards_come_by_authorization_code(node: Node, http: httpx.AsyncClient) -> None:
    """HAIP 1.0 4: PAR, PKCE, DPoP, RFC 9207; then a renewal by refresh token."""
    issuer = node.issuer.start(**issuer_words(popEnds=False))
    wallet = wallet_of(http)
    cards = await wallet.redeem(await sign_in(wallet, http, node.issuer.offer(id=issuer["id"], grant="code")))
    assert {card.configuration for card in cards} == {"sd_jwt", "mdoc"}
    renewed = await wallet.renew(cards[0])
    assert {card.configuration for card in renewed} == {"sd_jwt", "mdoc"}
    paths = [one.get("path") for one in node.issuer.seen(id=issuer["id"])]
    assert paths.index("/par") < paths.index("/authorize") < paths.index("/token")


async def test_deferred_cards_are_fetched_later(node: Node, http: httpx.AsyncClient) -> None:
    """OpenID4VCI 1.0 9: 202 with a transaction, asked again no sooner than the issuer said."""
    issuer, clock = node.issuer.start(**issuer_words(popEnds=False, deferred=True)), MovableClock(datetime.now(UTC))
    wallet = wallet_of(http, clock=clock)
    assert await wallet.receive(node.issuer.offer(id=issuer["id"])) == []
    assert wallet.ask_again_at is not None
    for _ in range(3):
        clock.advance(seconds=6)
        await wallet.resume()
    assert {card.configuration for card in wallet.cards} == {"sd_jwt", "mdoc"}
    assert wallet.ask_again_at is None


SPOILED_CARDS: dict[str, tuple[dict[str, Any], Code]] = {
    "signed by another key": ({"spoil": {"key": STRANGER.private}}, Code.BAD_SIGNATURE),
    "bound to another key": ({"spoil": {"deviceKey": STRANGER.public}}, Code.BAD_HOLDER_PROOF),
    "of another type": ({"spoil": {"claims": {"vct": "urn:example:other"}}}, Code.NOT_WHAT_WAS_ASKED),
    "expired": ({"spoil": {"claims": {"exp": 1_700_000_000}}}, Code.EXPIRED),
}


@pytest.mark.parametrize("wrong", SPOILED_CARDS)
async def test_their_wrong_card_is_not_kept(wrong: str, node: Node, http: httpx.AsyncClient) -> None:
    words, code = SPOILED_CARDS[wrong]
    issuer = node.issuer.start(**issuer_words(popEnds=False, **words))
    wallet = wallet_of(http)
    with pytest.raises(Refused) as refused:
        await wallet.receive(node.issuer.offer(id=issuer["id"], configurations=["sd_jwt"]))
    assert refused.value.code is code, refused.value.detail
    assert wallet.cards == ()
    assert "credential_failure" in [event["event"] for event in node.issuer.events(id=issuer["id"])]


async def test_an_issuer_nobody_anchored_is_refused(node: Node, http: httpx.AsyncClient) -> None:
    issuer = node.issuer.start(**issuer_words(popEnds=False))
    with pytest.raises(Refused) as refused:
        await wallet_of(http, issuers=(ASKERS.root,)).receive(node.issuer.offer(id=issuer["id"]))
    assert refused.value.code is Code.UNTRUSTED_ISSUER


@pytest.mark.parametrize("spoil", [{"iss": "https://other.example"}, {"iss": None}, {"state": "another"}], ids=str)
async def test_a_mixed_up_sign_in_is_refused(spoil: dict[str, Any], node: Node, http: httpx.AsyncClient) -> None:
    """RFC 9207 2.4, RFC 6749 10.12."""
    issuer = node.issuer.start(**issuer_words(popEnds=False, spoil=spoil))
    wallet = wallet_of(http)
    back = await sign_in(wallet, http, node.issuer.offer(id=issuer["id"], grant="code"))
    with pytest.raises(Refused):
        await wallet.redeem(back)
    assert "/token" not in [one.get("path") for one in node.issuer.seen(id=issuer["id"])]


# --- their verifier ---------------------------------------------------------------------------------------------------

Ask = Callable[..., Awaitable[tuple[Any, dict[str, Any]]]]


@pytest.mark.parametrize("which", ["sd", "mdoc", "both"])
async def test_their_verifier_takes_what_we_show(which: str, node: Node, http: httpx.AsyncClient) -> None:
    """OpenID4VP 1.0 5, 8.3, B.2.6, B.3.5; HAIP 1.0 5: signed request by reference, encrypted answer."""
    wallet, _ = await received(node, http)
    verifier = node.verifier.start(**verifier_words())
    queries = [query for query in QUERY["credentials"] if which in (query["id"], "both")]
    asked = node.verifier.ask(id=verifier["id"], query={"credentials": queries})
    request = await wallet.open_request(asked["uri"])
    shown = await wallet.present(request)
    assert shown.outcome == "sent"
    outcome = node.verifier.outcome(id=verifier["id"], asked=asked["id"])
    assert "refused" not in outcome, outcome
    assert set(outcome["shown"]) == {query["id"] for query in queries}
    for id, presentations in outcome["shown"].items():
        (claims,) = presentations
        assert (claims[NAMESPACE] if id == "mdoc" else claims)["name"] == SHORT["name"]
        assert "birth_date" not in str(claims)


async def test_their_verifier_hears_that_we_decline(node: Node, http: httpx.AsyncClient) -> None:
    """OpenID4VP 1.0 8.5."""
    wallet, _ = await received(node, http)
    verifier = node.verifier.start(**verifier_words())
    asked = node.verifier.ask(id=verifier["id"], query=QUERY)
    await wallet.refuse(await wallet.open_request(asked["uri"]))
    assert node.verifier.outcome(id=verifier["id"], asked=asked["id"]) == {"error": "access_denied"}


def claims(**changes: Any) -> dict[str, Any]:
    return {"claims": changes}


UNKNOWN_TYPE = b64u(b'{"type":"x","credential_ids":["sd"]}')
NO_KEYS = {"vp_formats_supported": {"dc+sd-jwt": {}}}

SPOILED_REQUESTS: dict[str, tuple[dict[str, Any], Code]] = {
    # RFC 9101 with OpenID4VP 1.0 5.8: the request object
    "a signature that does not hold": ({"signature": True}, Code.BAD_SIGNATURE),
    "another audience": (claims(aud="https://wallet.example"), Code.WRONG_AUDIENCE),
    "another type": ({"header": {"typ": "jwt"}}, Code.MALFORMED),
    "from yesterday": (claims(iat=1_700_000_000, exp=1_700_000_300), Code.EXPIRED),
    # OpenID4VP 1.0 5.9.3, HAIP 1.0 5: who asks
    "another client": ({"clientId": f"x509_hash:{b64u(bytes(32))}"}, Code.BAD_CERTIFICATE),
    "a client without prefix": ({"clientId": "shop"}, Code.UNSUPPORTED),
    "not whom the code named": (claims(client_id="x509_hash:other"), Code.BAD_SIGNATURE),
    # 5.2, 5.6, 8.2, 8.3
    "no nonce": (claims(nonce=None), Code.WRONG_NONCE),
    "no response type": (claims(response_type=None), Code.UNSUPPORTED),
    "an answer in the open": (claims(response_mode="direct_post"), Code.UNSUPPORTED),
    "two addresses": (claims(redirect_uri="https://shop.example"), Code.INVALID_REQUEST),
    "no query": (claims(dcql_query=None), Code.UNSUPPORTED),
    "no keys": (claims(client_metadata=NO_KEYS), Code.UNSUPPORTED),
    # 8.4
    "a transaction we do not know": (claims(transaction_data=[UNKNOWN_TYPE]), Code.INVALID_TRANSACTION_DATA),
}


@pytest.mark.parametrize("wrong", SPOILED_REQUESTS)
async def test_their_wrong_request_is_refused(wrong: str, node: Node, http: httpx.AsyncClient) -> None:
    spoil, code = SPOILED_REQUESTS[wrong]
    wallet, _ = await received(node, http)
    verifier = node.verifier.start(**verifier_words(spoil=spoil))
    asked = node.verifier.ask(id=verifier["id"], query=QUERY)
    with pytest.raises(Refused) as refused:
        await wallet.open_request(asked["uri"])
    assert refused.value.code is code, refused.value.detail
    outcome = node.verifier.outcome(id=verifier["id"], asked=asked["id"])
    assert outcome is None or "shown" not in outcome


async def test_a_request_that_was_not_made_for_this_wallet_is_refused(node: Node, http: httpx.AsyncClient) -> None:
    """OpenID4VP 1.0 5.10: fetched by POST with a wallet_nonce, their request object comes without it."""
    wallet, _ = await received(node, http)
    verifier = node.verifier.start(**verifier_words())
    asked = node.verifier.ask(id=verifier["id"], query=QUERY, method="post")
    with pytest.raises(Refused) as refused:
        await wallet.open_request(asked["uri"])
    assert refused.value.code is Code.WRONG_NONCE


async def test_a_verifier_nobody_anchored_is_refused(node: Node, http: httpx.AsyncClient) -> None:
    wallet, _ = await received(node, http)
    words = verifier_words()
    stranger = AUTHORITY.certify(Profile.ACCESS, STRANGER.signer)
    verifier = node.verifier.start(**{**words, "key": STRANGER.private, "x5c": x5c_header([stranger])})
    asked = node.verifier.ask(id=verifier["id"], query=QUERY)
    with pytest.raises(Refused) as refused:
        await wallet.open_request(asked["uri"])
    assert refused.value.code is Code.UNKNOWN_RELYING_PARTY
