"""A revocation in the trust log is felt everywhere within seconds: at tills, in wallets, at the issuer."""

from __future__ import annotations

from hashlib import sha256

import pytest

from mapae.certified import voice_of
from mapae.errors import Code, Refused
from mapae.founding import governors
from mapae.trust.log.entry import Reason as LogReason
from mapae.trust.registry import Agreed
from mapae.trust.signers import Purpose, Reason, Signer
from town import Town

SECONDS = 6  # a trust list is asked for again after five


def certificate(town: Town, name: str) -> bytes:
    return (town.house.foundation.data / "certificates" / f"{name}.der").read_bytes()


def revoke(town: Town, role: str, party: str, name: str, reason: Reason, since: int = 0) -> None:
    """By the party itself."""
    voice = voice_of(town.house, role, party)
    town.call(voice.revoke, sha256(certificate(town, name)).digest(), reason, since)
    town.clock.advance(seconds=SECONDS)


def signers(town: Town) -> dict[str, Signer]:
    found = town.call(town.house.registry.published).list.signers
    return {f"{one.issuer} {one.purpose.value}": one for one in found}


def strike_off(town: Town, shop: str) -> Agreed:
    one, other, _ = governors(town.house.foundation)

    async def both() -> Agreed:
        registry = town.house.registry
        proposal = await registry.propose_removal("relying_party", shop, one, LogReason.WITHDRAWN)
        return await registry.approve(proposal, other)

    return town.call(both)


def test_every_signer_of_the_country_is_in_the_log(town: Town) -> None:
    assert set(signers(town)) == {
        "issuer:issuer anchor", "issuer:issuer document_signer", "issuer:issuer status_signer",
        "wallet_provider:wallet-provider anchor", "wallet_provider:wallet-provider attester",
        "access_ca:access-ca anchor", "access_ca:access-ca list_signer",
    }  # fmt: skip
    state = town.call(town.house.ledger.state)
    for party in state.parties.values():  # and everybody can read who it is
        assert town.get_json(f"/trust/documents/{party.document.hex()}")["entry"]["ca"]
    documents = [document for document in town.house.country.documents.values() if document.formats is not None]
    assert len(state.schemas) == sum(
        (document.formats.sd_jwt is not None) + (document.formats.mdoc is not None)
        for document in documents
        if document.formats is not None
    )


def test_a_stolen_document_signer_is_refused_at_the_till_within_seconds(town: Town) -> None:
    jisoo, till = town.citizen(), town.till()
    jisoo.obtain()
    for form in ("sd_jwt", "mdoc"):
        assert till.check(jisoo, "alcohol_tobacco", form)["outcome"] == "accepted"
    noticed = int(town.clock.now().timestamp()) - 3600
    revoke(town, "issuer", "issuer:issuer", "document-signer", Reason.COMPROMISED, noticed)
    for form in ("sd_jwt", "mdoc"):
        verdict = till.check(jisoo, "alcohol_tobacco", form)
        assert verdict == {"outcome": "refused", "step": "issuer", "code": "signer_revoked"}


def test_cards_of_a_superseded_signer_stand_and_new_ones_of_it_do_not(town: Town) -> None:
    jisoo, till = town.citizen(), town.till()
    jisoo.obtain()
    town.clock.advance(days=1)  # copies say the day they were signed on, not the second
    revoke(town, "issuer", "issuer:issuer", "document-signer", Reason.SUPERSEDED)
    assert till.check(jisoo, "alcohol_tobacco")["outcome"] == "accepted"


def test_a_status_list_of_a_revoked_signer_vouches_for_nobody(town: Town) -> None:
    jisoo, till = town.citizen(), town.till()
    jisoo.obtain()
    assert till.check(jisoo, "alcohol_tobacco")["outcome"] == "accepted"
    revoke(town, "issuer", "issuer:issuer", "status-signer", Reason.CEASED)
    verdict = till.check(jisoo, "alcohol_tobacco")
    assert (verdict["outcome"], verdict["step"], verdict["code"]) == ("refused", "standing", "status_unknown")


def test_a_revoked_attester_gets_no_card_into_a_wallet(town: Town) -> None:
    jisoo = town.citizen()
    jisoo.enrol()
    offer = town.officer(town.office_of(jisoo)).offer_for(jisoo)
    revoke(town, "wallet_provider", "wallet_provider:wallet-provider", "attester", Reason.COMPROMISED)
    with pytest.raises(Refused) as refused:
        jisoo.receive(offer)
    assert refused.value.code in (Code.INVALID_CLIENT, Code.SIGNER_REVOKED)


def test_a_shop_struck_off_gets_no_answer_from_a_wallet(town: Town) -> None:
    """Its till goes by a list of before and still asks; a wallet that looks now does not answer."""
    jisoo, till = town.citizen(), town.till()
    jisoo.obtain()
    qr = till.ask("alcohol_tobacco")
    assert strike_off(town, "guest_house") == Agreed(0, holds=True)
    jisoo.restart()
    with pytest.raises(Refused) as refused:
        jisoo.show(qr)
    assert (refused.value.step, refused.value.code) == ("client", Code.SIGNER_REVOKED)


def test_signers_are_renewed_through_the_log(town: Town) -> None:
    """Three quarters of a year on, a start enters the next certificate and uses it; cards of the old one stand on."""
    before = certificate(town, "document-signer")
    town.clock.advance(days=300)
    town.restart()
    after = certificate(town, "document-signer")
    assert after != before
    entered = town.call(town.house.registry.published).list.signers
    assert sum(one.purpose is Purpose.DOCUMENT_SIGNER for one in entered) == 2
    jisoo = town.citizen()
    jisoo.obtain()
    assert town.till().check(jisoo, "alcohol_tobacco")["outcome"] == "accepted"
