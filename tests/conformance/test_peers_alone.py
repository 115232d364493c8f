"""The npm peers among themselves, over HTTP: when this holds, what fails in the other files is ours, or a known bug.

It also is what their servers and wallet in `peers/` are measured by: nothing of ours takes part.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from conformance.peers import Node, PeerRefused, deviates
from conformance.world import (
    ASKERS,
    DOCTYPE,
    NAMESPACE,
    QUERY,
    SHORT,
    VCT,
    issuer_words,
    provider_words,
    verifier_words,
)
from mapae.formats.jose import b64u

KINDS = {"sd_jwt": ("dc+sd-jwt", VCT), "mdoc": ("mso_mdoc", DOCTYPE)}


def step(node: Node, wallet: str, name: str, **args: Any) -> Any:
    return node.wallet.step(id=wallet, name=name, args=args)


def opened(node: Node, issuer: dict[str, Any], **offer: Any) -> str:
    wallet = str(node.wallet.make(provider=provider_words()))
    step(node, wallet, "open", offer=node.issuer.offer(id=issuer["id"], **offer))
    return wallet


def cards_of(node: Node, wallet: str) -> list[dict[str, Any]]:
    cards = []
    for configuration, (format, type) in KINDS.items():
        got = step(node, wallet, "credentials", configuration=configuration)
        credential = got["response"]["credentials"][0]["credential"]
        cards.append({"format": format, "type": type, "credential": credential, "key": got["keys"][0]})
    return cards


@pytest.mark.parametrize("grant", ["pre", "code"])
def test_their_wallet_gets_cards_from_their_issuer_and_shows_them_to_their_verifier(grant: str, node: Node) -> None:
    issuer = node.issuer.start(**issuer_words())
    wallet = opened(node, issuer, grant=grant, txCode="1234" if grant == "pre" else None)
    if grant == "pre":
        step(node, wallet, "redeem", txCode="1234")
    else:
        where = step(node, wallet, "authorize", redirectUri="http://localhost:1/back", scope="sd_jwt mdoc", state="s-1")
        back = httpx.get(where["url"], follow_redirects=False).headers["location"]
        assert parse_qs(urlsplit(back).query)["state"] == ["s-1"]
        step(node, wallet, "returned", url=back)
    batch = step(node, wallet, "credentials", configuration="mdoc", count=4, proof="attestation")["response"]
    assert len(batch["credentials"]) == 4
    step(node, wallet, "notify", notificationId=batch["notification_id"])
    assert node.issuer.events(id=issuer["id"])[0]["event"] == "credential_accepted"
    step(node, wallet, "renew")

    verifier = node.verifier.start(**verifier_words())
    asked = node.verifier.ask(id=verifier["id"], query=QUERY)
    cards = cards_of(node, wallet)
    answer = node.presenter.present(uri=asked["uri"], anchors=[b64u(ASKERS.root)], cards=cards)
    assert answer["status"] == 200
    shown = node.verifier.outcome(id=verifier["id"], asked=asked["id"])["shown"]
    assert shown["mdoc"] == [{NAMESPACE: {"name": SHORT["name"]}}]
    assert shown["sd"][0]["name"] == SHORT["name"]
    assert "birth_date" not in shown["sd"][0]


def test_their_wallet_waits_for_a_deferred_card(node: Node) -> None:
    issuer = node.issuer.start(**issuer_words(deferred=True))
    wallet = opened(node, issuer)
    step(node, wallet, "redeem")
    later = step(node, wallet, "credentials", configuration="sd_jwt")["response"]
    assert step(node, wallet, "deferred", transactionId=later["transaction_id"])["interval"] == 1
    assert step(node, wallet, "deferred", transactionId=later["transaction_id"])["credentials"]


@deviates("OpenID4VCI 1.0 9.2, 8.3", "refuses notification_id beside credentials in a deferred response")
def test_a_deferred_response_may_carry_a_notification_id(node: Node) -> None:
    issuer = node.issuer.start(**issuer_words(deferred=True, spoil={"notified": True}))
    wallet = opened(node, issuer)
    step(node, wallet, "redeem")
    later = step(node, wallet, "credentials", configuration="sd_jwt")["response"]
    step(node, wallet, "deferred", transactionId=later["transaction_id"])
    assert step(node, wallet, "deferred", transactionId=later["transaction_id"])["notification_id"]


def test_their_issuer_refuses_a_wallet_nobody_vouches_for(node: Node) -> None:
    issuer = node.issuer.start(**issuer_words(anchors=[b64u(ASKERS.root)]))
    wallet = opened(node, issuer)
    with pytest.raises(PeerRefused, match="invalid_client"):
        step(node, wallet, "redeem")
