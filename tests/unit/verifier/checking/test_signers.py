"""Certificates the trust log revoked: refused at the step that meets them, for cards, status lists and tills."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from mapae.clock import MovableClock
from mapae.errors import Code, Refused
from mapae.formats.x509 import x509_hash
from mapae.trust.signers import Purpose, Reason, Signer, Signers
from mapae.verifier.checking.check import Format, Trusted, check
from mapae.verifier.checking.standing import StatusLists
from mapae.verifier.till.kiosk import Ended
from unit.verifier.shop import Lists, Shop, trust_list
from unit.verifier.world import AUTHORITY, FORMATS, LIST, NOW, PLACE, STRANGER, TODAY, Card, ask, trusted

both = pytest.mark.parametrize("format", FORMATS)
PARTY = "issuer:demo-issuer"


def entered(leaf: bytes, purpose: Purpose = Purpose.DOCUMENT_SIGNER, **changes: Any) -> Signer:
    given: dict[str, Any] = {
        "starts": int((TODAY - timedelta(days=30)).timestamp()), "ends": int((TODAY + timedelta(days=300)).timestamp()),
    }  # fmt: skip
    return Signer(issuer=PARTY, x5t=x509_hash(leaf), purpose=purpose, **given, **changes)


def revoked(reason: Reason, since: datetime, leaf: bytes = AUTHORITY.leaf, **changes: Any) -> Signer:
    at = int(NOW.timestamp())
    return entered(leaf, revoked_at=at, since=int(since.timestamp()), reason=reason, **changes)


def logged(*signers: Signer) -> Trusted:
    return trusted(AUTHORITY.issuer(signers=Signers(signers)))


def outcome(card: Card, format: Format, trust: Trusted) -> tuple[str | None, Code] | str:
    try:
        return check(card.show(format, ask()), ask(), trust, NOW).issuer
    except Refused as refused:
        return refused.step, refused.code


REFUSED = ("issuer", Code.SIGNER_REVOKED)


@both
def test_a_card_of_an_entered_signer_passes(format: Format) -> None:
    assert outcome(Card(), format, logged(entered(AUTHORITY.leaf))) == "demo-issuer"


@both
def test_a_signer_that_was_never_entered_is_refused_though_the_authority_certified_it(format: Format) -> None:
    assert outcome(Card(), format, logged()) == REFUSED
    assert outcome(Card(), format, logged(entered(STRANGER.leaf))) == REFUSED
    assert outcome(Card(), format, logged(entered(AUTHORITY.leaf, Purpose.STATUS_SIGNER))) == REFUSED


@both
def test_a_stolen_signers_cards_are_refused_whatever_date_they_name(format: Format) -> None:
    stolen = logged(revoked(Reason.COMPROMISED, NOW - timedelta(hours=1)))
    for signed in (TODAY - timedelta(days=20), TODAY):
        assert outcome(Card(signed=signed), format, stolen) == REFUSED


@both
@pytest.mark.parametrize("reason", [Reason.SUPERSEDED, Reason.CEASED, Reason.WITHDRAWN])
def test_otherwise_cards_from_before_stand_until_their_own_end(format: Format, reason: Reason) -> None:
    since = TODAY - timedelta(days=2)
    trust = logged(revoked(reason, since))
    assert outcome(Card(signed=since - timedelta(seconds=1)), format, trust) == "demo-issuer"
    for signed in (since, TODAY):
        assert outcome(Card(signed=signed), format, trust) == REFUSED


@both
def test_a_forged_date_is_believed_only_behind_the_seal(format: Format) -> None:
    """A card that would be refused by its date and has a bad seal is refused for the seal: nobody signed that date."""
    trust = logged(revoked(Reason.SUPERSEDED, TODAY))
    assert outcome(Card(signer=STRANGER.signer), format, trust) == ("seal", Code.BAD_SIGNATURE)


@both
def test_one_revoked_signer_leaves_the_next_alone(format: Format) -> None:
    trust = logged(revoked(Reason.COMPROMISED, NOW, STRANGER.leaf), entered(AUTHORITY.leaf))
    assert outcome(Card(), format, trust) == "demo-issuer"


# --- status lists -----------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Lists:
    return Lists(MovableClock(NOW))


@pytest.fixture
async def lists(server: Lists) -> AsyncIterator[StatusLists]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(server.answer)) as http:
        yield StatusLists(http, server.clock)


async def test_a_status_list_ends_with_its_signer_even_the_one_we_hold(lists: StatusLists, server: Lists) -> None:
    signer = entered(AUTHORITY.status_leaf, Purpose.STATUS_SIGNER)
    held = await lists.listed(PLACE, AUTHORITY.issuer(signers=Signers([signer])))
    assert held[LIST].list.read(PLACE.index) == 0
    gone = revoked(Reason.SUPERSEDED, NOW, AUTHORITY.status_leaf)
    gone = msgspec.structs.replace(gone, purpose=Purpose.STATUS_SIGNER)
    with pytest.raises(Refused) as refused:
        await lists.listed(PLACE, AUTHORITY.issuer(signers=Signers([gone])))
    assert refused.value.code is Code.STATUS_UNKNOWN and "signer_revoked" in refused.value.detail
    assert server.asked == 2  # asked again, not answered from what was held


async def test_a_document_signer_signs_no_status_lists(lists: StatusLists, server: Lists) -> None:
    with pytest.raises(Refused) as refused:
        await lists.listed(PLACE, AUTHORITY.issuer(signers=Signers([entered(AUTHORITY.status_leaf)])))
    assert refused.value.code is Code.STATUS_UNKNOWN


# --- at the till ------------------------------------------------------------------------------------------------------


async def verdict(shop: Shop) -> tuple[str, str | None, str | None]:
    till = await shop.till()
    id = await shop.verifier.open(till, "alcohol_tobacco")
    await shop.verifier.answer(id, await shop.reply(id, Card()))
    look = await shop.verifier.look(till, id)
    assert isinstance(look, Ended)
    return look.verdict.outcome.value, look.verdict.step, look.verdict.code


async def test_the_till_refuses_from_the_next_trust_list_on(shop: Shop) -> None:
    entries = trust_list()
    [issuer] = entries.issuers
    both = (entered(AUTHORITY.leaf), entered(AUTHORITY.status_leaf, Purpose.STATUS_SIGNER))
    listed = msgspec.structs.replace(entries, issuers=(msgspec.structs.replace(issuer, logged=True),), signers=both)
    shop.trust.append(listed)
    assert await verdict(shop) == ("accepted", None, None)
    stolen = revoked(Reason.COMPROMISED, NOW - timedelta(days=1))
    shop.trust.append(msgspec.structs.replace(listed, signers=(stolen, both[1]), seq=2))
    assert await verdict(shop) == ("refused", "issuer", "signer_revoked")
