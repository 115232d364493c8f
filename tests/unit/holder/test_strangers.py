"""A wallet of no country: cards of issuers and questions of verifiers that no trust list of ours has ever seen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from hands import Hand
from mapae.clock import MovableClock, SeededDice
from mapae.errors import Code, Refused
from mapae.formats import jwe, mdoc
from mapae.formats.jose import PublicKey, sign_jws, x5c_header
from mapae.holder import AnchorTrust, MemoryStore, ProviderAttester, Wallet
from mapae.holder.store import Card
from mapae.holder.trusted import Chain, Party
from mapae.keys import Signer
from mapae.rules import Words
from mapae.trust.publish import Purpose
from unit.holder.conftest import BASE, Killed
from unit.holder.stranger import DOCTYPE, ISSUER, SERVER, VCT, VERIFIER, Abroad, Authority, Terms

START = datetime(2027, 3, 2, 3, 0, tzinfo=UTC)
BACK = "https://wallet.example/back"
STUDENT = {"id": "card", "format": "dc+sd-jwt", "meta": {"vct_values": [VCT]}, "claims": [{"path": ["name"]}]}
MEMBER = {
    "id": "m", "format": "mso_mdoc", "meta": {"doctype_value": DOCTYPE}, "claims": [{"path": [DOCTYPE, "level"]}],
}  # fmt: skip


def abroad(**terms: Any) -> Abroad:
    return Abroad(MovableClock(START), Terms(**terms))


def wallet(place: Abroad, store: MemoryStore | None = None, trust: AnchorTrust | None = None, **given: Any) -> Wallet:
    trust = trust or AnchorTrust(issuers=[place.ca.root], verifiers=[place.readers.root])
    return Wallet(place.http, trust=trust, store=store, clock=place.clock, dice=SeededDice("me"), **given)


def attester(place: Abroad) -> ProviderAttester:
    provider = Authority(place.clock, "Provider")
    key = Signer.ephemeral()
    return ProviderAttester(key, [provider.leaf(key, "Provider")], "https://wallets.example/one", clock=place.clock)


async def refusal(do: Callable[[], Any]) -> tuple[Code, str | None]:
    with pytest.raises(Refused) as refused:
        await do()
    return refused.value.code, refused.value.step


@pytest.fixture
async def place() -> AsyncIterator[Abroad]:
    made = abroad()
    yield made
    await made.http.aclose()


# --- receiving: every option an issuer has ----------------------------------------------------------------------------

TERMS = {
    "as HAIP wants it": {},
    "attested wallets": {"attested": True},
    "attested with a challenge": {"attested": True, "challenges": True},
    "attested keys": {"attested": True, "key_attestation": True},
    "no DPoP": {"dpop": False},
    "no nonce endpoint": {"nonces": False},
    "no batch": {"batch": 1},
    "encrypted requests": {"encrypts": "request"},
    "encrypted both ways": {"encrypts": "both"},
    "encrypted and compressed": {"encrypts": "both", "deflates": True},
    "later": {"later": 2},
    "later and encrypted": {"later": 1, "encrypts": "both"},
    "another server": {"own_server": False},
    "signed metadata": {"signed_metadata": True},
    "several datasets": {"datasets": ("arts", "law")},
    "no end": {"exp": False},
    "no refresh": {"refreshes": False},
}


async def received(place: Abroad, me: Wallet, by_code: bool) -> list[Card]:
    if by_code:
        sign_in = await me.authorize(place.offer_by_code("student"), BACK)
        await me.redeem(place.signs_in(sign_in.url))
    else:
        await me.receive(place.offer("student"))
    for _ in range(3):
        if me.ask_again_at is not None:
            place.clock.advance(seconds=61)
            await me.resume()
    return list(me.cards)


@pytest.mark.parametrize("by_code", [False, True], ids=["pre-authorized", "by code"])
@pytest.mark.parametrize("terms", TERMS.values(), ids=TERMS.keys())
async def test_a_card_on_each_of_an_issuers_terms(terms: dict[str, Any], by_code: bool) -> None:
    """OpenID4VCI 1.0: what an issuer may ask, alone; the card is kept, acknowledged and can be shown."""
    place = abroad(**terms)
    me = wallet(place, attester=attester(place) if place.terms.attested else None)
    cards = await received(place, me, by_code)
    assert len(cards) == max(1, len(place.terms.datasets))
    for card in cards:
        assert (card.kind, card.standing, card.name) == (VCT, "anchored", {"en": "Student"})
        assert len(card.copies) == place.terms.batch
    assert place.told == ["credential_accepted"] * len(cards)
    asked = await me.open_request(place.ask({"credentials": [STUDENT]}))
    await me.present(asked)
    (presentation,) = place.opened(place.answers[-1])["vp_token"]["card"]
    assert place.check(presentation, place.client_id)["name"] == "Ada"
    await place.http.aclose()


@pytest.mark.parametrize("how", [{"par": False}, {"scope": False}, {"scope": False, "own_server": False}])
async def test_signing_in_where_haip_is_not_kept(how: dict[str, Any]) -> None:
    """OpenID4VCI 1.0 5.1.1, 5.1.4: plain authorization requests, details with locations instead of scopes."""
    place = abroad(**how)
    me = wallet(place)
    sign_in = await me.authorize(place.offer_by_code("student", "member"), BACK)
    query = dict(parse_qsl(urlsplit(sign_in.url).query))
    pushed = query if "par" in how else next(iter(place.pushed.values()))
    assert ("authorization_details" in pushed) is ("scope" in how)
    assert (ISSUER in pushed.get("authorization_details", "")) is ("own_server" in how)
    await me.redeem(place.signs_in(sign_in.url))
    assert sorted(card.kind for card in me.cards) == sorted([VCT, DOCTYPE])
    await place.http.aclose()


# --- what an issuer leaves open ---------------------------------------------------------------------------------------


class Registering(AnchorTrust):
    """Whoever it knows has registered one purpose with these items."""

    def __init__(self, place: Abroad, *items: str) -> None:
        super().__init__(issuers=[place.ca.root], verifiers=[place.readers.root])
        word = Words(ko="가", en="a")
        self._purpose = Purpose(id="p", name=word, why=word, legal_basis=word, items=items, retention=word)

    def party(self, chain: Chain, now: datetime) -> Party:
        return replace(super().party(chain, now), standing="listed", purposes=(self._purpose,))


async def test_claims_in_the_open_are_on_the_consent_screen_and_in_the_history() -> None:
    """The issuer hides the name and the courses, and leaves the programme open: whoever is shown one learns it."""
    place = abroad(datasets=("arts",))
    me = wallet(place)
    await me.receive(place.offer("student"))
    asked = await me.open_request(place.ask({"credentials": [STUDENT]}))
    shown = await me.present(asked)
    (presentation,) = place.opened(place.answers[-1])["vp_token"]["card"]
    told = place.check(presentation, place.client_id)
    assert (told["name"], told["programme"], told["courses"]) == ("Ada", "arts", [])
    assert asked.items == shown.items == ["name", "programme"]
    await place.http.aclose()


@pytest.mark.parametrize(("items", "taken"), [(("name",), False), (("name", "programme"), True)])
async def test_a_registered_shop_gets_no_card_that_tells_more_than_its_purpose_covers(
    items: tuple[str, ...], taken: bool
) -> None:
    place = abroad(datasets=("arts",))
    me = wallet(place, trust=Registering(place, *items))
    await me.receive(place.offer("student"))
    text = place.ask({"credentials": [STUDENT]}, mapae_purpose="p", nonce="n" * 22)
    if taken:
        assert (await me.open_request(text)).items == ["name", "programme"]
    else:
        assert await refusal(lambda: me.open_request(text)) == (Code.OVER_ASKING, "purpose")
    await place.http.aclose()


async def test_two_issuers_never_see_the_same_attestation() -> None:
    """HAIP 1.0 4.4.1: not even when one authorization server serves both."""
    place = abroad(attested=True)
    me = wallet(place, attester=attester(place))
    await me.receive(place.offer("student"))
    place.codes["pre-1"] = {}
    place.server, place.terms.own_server = SERVER, False
    await me.receive(place.offer("member"))
    first, second = place.attestations[ISSUER], place.attestations[SERVER]
    assert len(first) == len(second) == 1 and first.isdisjoint(second)
    await place.http.aclose()


async def test_who_nobody_vouches_for_is_told_so(place: Abroad) -> None:
    place.terms.attested = True
    code, _ = await refusal(lambda: wallet(place).receive(place.offer()))
    assert code is Code.UNSUPPORTED
    assert "POST /tenant/token" not in place.sent


async def test_a_card_without_a_key(place: Abroad) -> None:
    """OpenID4VCI 1.0 12.2.4: no binding method, no proof; shown only to who takes it without one (OpenID4VP 5.4)."""
    place.terms.bound, place.terms.batch = False, 1
    me = wallet(place)
    (card,) = await me.receive(place.offer())
    assert card.copies[0].key == ""
    bound = await me.open_request(place.ask({"credentials": [STUDENT]}))
    assert bound.options == ()
    asked = await me.open_request(
        place.ask({"credentials": [{**STUDENT, "require_cryptographic_holder_binding": False}]})
    )
    await me.present(asked)
    (presentation,) = place.opened(place.answers[-1])["vp_token"]["card"]
    assert presentation.endswith("~")


async def test_one_copy_is_shown_again_and_again_and_the_holder_knows(place: Abroad) -> None:
    """An issuer without batches gives one copy; a wallet that showed it once only would be of no use."""
    place.terms.batch, place.terms.refreshes = 1, False
    me = wallet(place)
    (card,) = await me.receive(place.offer())
    for _ in range(2):
        asked = await me.open_request(place.ask({"credentials": [STUDENT]}))
        assert asked.reusable == {card.id}
        await me.present(asked)
    assert me.copies_left(card) == 1


async def test_a_card_without_copies_left_is_the_last_to_be_offered(place: Abroad) -> None:
    """OpenID4VP 1.0 6.4.2: any option of a set answers it, so the one that still can comes first."""
    either = {"credentials": [STUDENT, MEMBER], "credential_sets": [{"options": [["card"], ["m"]]}]}
    place.terms.batch = 2
    me = wallet(place)
    await me.receive(place.offer("student", "member"))
    seen = []
    for _ in range(4):
        asked = await me.open_request(place.ask(either))
        seen += [match.format for match in asked.options[0]]
        assert len(asked.options) == 2
        await me.present(asked)
    assert seen == ["dc+sd-jwt", "dc+sd-jwt", "mso_mdoc", "mso_mdoc"]
    asked = await me.open_request(place.ask(either))
    with pytest.raises(Refused, match="renewed"):
        await me.present(asked)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "terms", [{"later": 1, "encrypts": "both"}, {"datasets": ("arts", "law")}], ids=["later", "two"]
)
async def test_killed_at_each_request(terms: dict[str, Any], after: bool) -> None:
    """A deferred and encrypted card, and two datasets: after a kill at any request every card arrives, once."""
    place = abroad(**terms)
    await received(place, wallet(place), by_code=False)
    total = len(place.sent)
    for number in range(1, total + 1):
        place, store = abroad(**terms), MemoryStore()
        place.codes["pre-1"] = {}

        def dies(line: str, place: Abroad = place, number: int = number) -> None:
            if len(place.sent) == number:
                raise Killed

        if after:
            inner = place._answer

            def answers(
                request: Any, path: str, inner: Any = inner, place: Abroad = place, number: int = number
            ) -> Any:
                given = inner(request, path)
                if len(place.sent) == number:
                    raise Killed
                return given

            place._answer = answers
        else:
            place.watch = dies
        me = wallet(place, store)
        with suppress(Killed):
            await received(place, me, by_code=False)
        place.watch = lambda line: None
        me = wallet(place, store)
        for _ in range(4):
            try:
                await me.resume()
            except Refused as refused:
                assert refused.code is Code.INVALID_GRANT  # a stranger's code is gone with the lost answer
            if me.ask_again_at is not None:
                place.clock.advance(seconds=61)
        if not me.cards:
            place.codes["pre-1"] = {}
            await received(place, me, by_code=False)
        assert len(me.cards) == max(1, len(place.terms.datasets)), number
        assert len({copy.key for card in me.cards for copy in card.copies}) == 3 * len(me.cards)
        await place.http.aclose()


# --- receiving: an issuer that does wrong -----------------------------------------------------------------------------


LATER = {"transaction_id": "t", "interval": 60}


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({**LATER, "interval": 0}, Code.MALFORMED), ({**LATER, "interval": "60"}, Code.MALFORMED),
        ({"transaction_id": "t"}, Code.MALFORMED), ({**LATER, "transaction_id": 1}, Code.MALFORMED),
        ({**LATER, "credentials": []}, Code.MALFORMED), ({**LATER, "notification_id": "n"}, Code.MALFORMED),
    ],
)  # fmt: skip
async def test_a_deferral_that_is_none_is_refused(place: Abroad, answer: Any, code: Code) -> None:
    """OpenID4VCI 1.0 8.3: transaction_id with a positive interval, and nothing beside them."""
    place.terms.later = 1
    place.bend = lambda path, body: answer if path == "/tenant/credential" else body
    assert (await refusal(lambda: wallet(place).receive(place.offer())))[0] is code


async def test_the_issuer_may_not_change_the_transaction(place: Abroad) -> None:
    """OpenID4VCI 1.0 9.2: the transaction_id stays the same."""
    place.terms.later = 2
    place.bend = lambda path, body: {**body, "transaction_id": "x"} if path == "/tenant/deferred" else body
    me = wallet(place)
    await me.receive(place.offer())
    place.clock.advance(seconds=61)
    assert (await refusal(me.resume))[0] is Code.INVALID_TRANSACTION_ID


async def test_a_transaction_the_issuer_forgot_is_begun_anew(place: Abroad) -> None:
    place.terms.later = 1
    me = wallet(place)
    await me.receive(place.offer())
    place.waiting.clear()
    place.terms.later = 0
    place.clock.advance(seconds=61)
    await me.resume()
    assert len(me.cards) == 1


async def test_a_card_that_is_denied_later_is_waited_for_no_longer(place: Abroad) -> None:
    """OpenID4VCI 1.0 9.3: credential_request_denied ends it."""
    place.terms.later = 1
    me = wallet(place)
    await me.receive(place.offer())
    denied = httpx.Response(400, json={"error": "credential_request_denied"})
    place.bend = lambda path, body: denied if path == "/tenant/deferred" else body
    place.clock.advance(seconds=61)
    assert (await refusal(me.resume))[0] is Code.CREDENTIAL_REQUEST_DENIED
    assert me.ask_again_at is None


async def test_an_answer_in_the_open_where_it_should_be_encrypted_is_not_read(place: Abroad) -> None:
    """OpenID4VCI 1.0 10."""
    place.terms.encrypts = "both"
    first = place._first
    place._credential = lambda request, path: first({"credential_configuration_id": "student", "proofs": {}})
    assert (await refusal(lambda: wallet(place).receive(place.offer())))[0] is Code.INVALID_ENCRYPTION_PARAMETERS


async def test_what_unfolds_beyond_measure_is_cut_off(place: Abroad) -> None:
    """OpenID4VCI 1.0 10 with zip: a small answer that would fill the memory."""
    place.terms.encrypts, place.terms.deflates = "both", True
    place.bend = lambda path, body: {**body, "x": "0" * 6_000_000} if path == "/tenant/credential" else body
    assert (await refusal(lambda: wallet(place).receive(place.offer())))[0] is Code.TOO_LARGE


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"sub": "https://other.example"}, Code.INVALID_REQUEST),
        ({"iat": int(START.timestamp()) + 3600}, Code.NOT_YET_VALID),
        ({"exp": int(START.timestamp()) - 3600}, Code.EXPIRED),
    ],
)
async def test_signed_metadata_that_does_not_hold_is_refused(place: Abroad, changes: Any, code: Code) -> None:
    """OpenID4VCI 1.0 12.2.3."""
    place.terms.signed_metadata = True
    place.bend = lambda path, body: {**body, **changes} if path == "signed metadata" else body
    assert await refusal(lambda: wallet(place).receive(place.offer())) == (code, "metadata")


async def test_metadata_signed_by_somebody_else_is_refused(place: Abroad) -> None:
    place.terms.signed_metadata = True
    other = Authority(place.clock, "Other")
    place.chain = (other.leaf(place.key, "Registry"),)
    assert await refusal(lambda: wallet(place).receive(place.offer())) == (Code.UNTRUSTED_ISSUER, "metadata")


async def test_a_bearer_token_from_a_server_that_can_bind_is_refused(place: Abroad) -> None:
    """RFC 9449 5: a wallet that sent a proof does not take less."""
    place.bend = lambda path, body: {**body, "token_type": "Bearer"} if path == "/tenant/token" else body
    assert (await refusal(lambda: wallet(place).receive(place.offer())))[0] is Code.MALFORMED


async def test_only_the_authorities_that_were_named_are_believed(place: Abroad) -> None:
    """The policy seam: an issuer under another authority is refused, or called unknown where the holder decides."""
    nobody = AnchorTrust(issuers=[Authority(place.clock, "Other").root])
    assert await refusal(lambda: wallet(place, trust=nobody).receive(place.offer())) == (
        Code.UNTRUSTED_ISSUER, "issuer",
    )  # fmt: skip
    assert place.told == ["credential_failure"]
    place.codes["pre-1"] = {}
    (card,) = await wallet(place, trust=AnchorTrust(strangers=True)).receive(place.offer())
    assert card.standing == "unknown"


@pytest.mark.parametrize("error", ["use_dpop_nonce", "use_attestation_challenge"])
async def test_a_server_that_keeps_asking_is_asked_twice_and_no_more(place: Abroad, error: str) -> None:
    """RFC 9449 8, draft-07 6.2: once again with what it wanted, then its refusal stands."""
    again = httpx.Response(400, json={"error": error}, headers={"DPoP-Nonce": "x"})
    place.bend = lambda path, body: again if path == "/tenant/token" else body
    with pytest.raises(Refused):
        await wallet(place).receive(place.offer())
    assert place.sent.count("POST /tenant/token") == 2


async def test_an_attestation_that_is_not_fresh_enough_is_made_anew(place: Abroad) -> None:
    """draft-07 6.2, use_fresh_attestation."""
    place.terms.attested = True
    stale = httpx.Response(400, json={"error": "use_fresh_attestation"})
    left = [1]
    place.bend = lambda path, body: stale if path == "/tenant/token" and left and left.pop() else body
    with suppress(Refused):  # this server spent its code on the first try
        await wallet(place, attester=attester(place)).receive(place.offer())
    assert len(place.attestations[ISSUER]) == 2


async def test_a_wallet_of_no_country_must_know_whom_to_believe(place: Abroad) -> None:
    with pytest.raises(Refused) as refused:
        Wallet(place.http)
    assert refused.value.code is Code.BAD_CONFIG
    code, _ = await refusal(wallet(place).standing)
    assert code is Code.BAD_CONFIG


# --- showing ----------------------------------------------------------------------------------------------------------


async def test_both_formats_to_a_stranger(place: Abroad) -> None:
    """OpenID4VP 1.0 8.3, B.2.6, B.3.6: payload of vp_token and state only, KB-JWT for the whole client_id."""
    me = wallet(place)
    await me.receive(place.offer("student", "member"))
    asked = await me.open_request(place.ask({"credentials": [STUDENT, MEMBER]}, post=False))
    assert (asked.standing, asked.registered, asked.who) == ("anchored", False, {"": "Shop abroad"})
    assert asked.items == ["name", "level"]
    shown = await me.present(asked)
    assert shown.redirect_uri is not None and shown.redirect_uri.startswith(f"{VERIFIER}/done#")
    answer = place.opened(place.answers[-1])
    assert answer.keys() == {"vp_token", "state"} and answer["state"] == "s-9"
    claims = place.check(answer["vp_token"]["card"][0], place.client_id)
    assert (claims["name"], claims["courses"]) == ("Ada", [])  # only what was asked
    transcript = mdoc.openid4vp_transcript(
        client_id=place.client_id, nonce="n-0S6_WzA2Mj", response_uri=f"{VERIFIER}/answer",
        thumbprint=PublicKey.from_jwk(jwe.public_jwk(place.answer_key)).thumbprint_raw,
    )  # fmt: skip
    assert place.check_mdoc(answer["vp_token"]["m"][0], transcript) == {DOCTYPE: {"level": 3}}


async def test_one_element_of_a_list(place: Abroad) -> None:
    """OpenID4VP 1.0 7.1, 6.4.1: by index, and by value."""
    me = wallet(place)
    await me.receive(place.offer())
    for claim in ({"path": ["courses", 1]}, {"path": ["courses", None], "values": ["music"]}):
        await me.present(await me.open_request(place.ask({"credentials": [{**STUDENT, "claims": [claim]}]})))
        (presentation,) = place.opened(place.answers[-1])["vp_token"]["card"]
        claims = place.check(presentation, place.client_id)
        assert claims["courses"] == ["music"] and "name" not in claims


async def test_an_x509_san_dns_client(place: Abroad) -> None:
    """OpenID4VP 1.0 5.9.3: the certificate names the host, and the answer goes there only."""
    me = wallet(place)
    await me.receive(place.offer())
    query, client = {"credentials": [STUDENT]}, "x509_san_dns:shop.abroad.example"
    await me.present(await me.open_request(place.ask(query, client_id=client)))
    place.check(place.opened(place.answers[-1])["vp_token"]["card"][0], client)
    for changes, code, step in (
        ({"client_id": "x509_san_dns:other.example"}, Code.BAD_CERTIFICATE, "client"),
        ({"client_id": client, "response_uri": "https://elsewhere.example/a"}, Code.INVALID_REQUEST, "answer"),
        ({"client_id": "redirect_uri:https://shop.abroad.example"}, Code.UNSUPPORTED, "client"),
        ({"client_id": "origin:https://shop.abroad.example"}, Code.UNSUPPORTED, "client"),
        ({"client_id": "decentralized_identifier:did:web:shop"}, Code.UNSUPPORTED, "client"),
    ):
        qr = place.ask(query, **changes)
        assert await refusal(lambda qr=qr: me.open_request(qr)) == (code, step)


async def test_a_verifier_nobody_knows(place: Abroad) -> None:
    me = wallet(place, trust=AnchorTrust(issuers=[place.ca.root]))
    await me.receive(place.offer())
    qr = place.ask({"credentials": [STUDENT]})
    assert await refusal(lambda: me.open_request(qr)) == (Code.UNKNOWN_RELYING_PARTY, "client")
    open_minded = wallet(place, trust=AnchorTrust(strangers=True))
    assert (await open_minded.open_request(qr)).standing == "unknown"
    wrong = place.ask({"credentials": [STUDENT]}, transaction_data=["e30"])
    assert (await refusal(lambda: open_minded.open_request(wrong)))[0] is Code.INVALID_TRANSACTION_DATA
    assert place.answers == []  # an error goes to those somebody vouches for


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_mode": "direct_post"}, None),  # it left no address an answer may go to
        ({"client_metadata": {}}, "invalid_request"),
        ({"nonce": None}, "invalid_request"),
        ({"nonce": "with space"}, "invalid_request"),
        ({"dcql_query": None}, "invalid_request"),
        ({"scope": "student"}, "invalid_request"),
        ({"dcql_query": {"credentials": []}}, "invalid_request"),
        ({"dcql_query": {"credentials": [{"id": "a", "format": "ldp_vc", "meta": {}}]}}, "vp_formats_not_supported"),
        ({"transaction_data": ["e30"]}, "invalid_transaction_data"),
        ({"aud": "https://other.example"}, None),  # perhaps a replay: nobody is told anything
        ({"exp": int(START.timestamp()) - 3600}, None),
    ],
)
async def test_a_verifier_that_asks_wrongly_is_told_once_it_is_known(
    place: Abroad, changes: dict[str, Any], error: str | None
) -> None:
    """OpenID4VP 1.0 8.5. Nothing about cards is in it: the wallet has none."""
    me = wallet(place)
    with pytest.raises(Refused):
        await me.open_request(place.ask({"credentials": [STUDENT]}, **changes))
    assert place.answers == ([] if error is None else [{"error": error, "state": "s-9"}])


async def test_a_forged_request_gets_no_answer_at_all(place: Abroad) -> None:
    me = wallet(place)
    qr = place.ask({"credentials": [STUDENT]})
    claims = place.request({"credentials": [STUDENT]}, client_id=place.client_id, transaction_data=["e30"])
    header = {"typ": "oauth-authz-req+jwt", "x5c": x5c_header(place.reader_chain)}
    place.requests["/requests/1"] = sign_jws(Hand("forger"), header, claims).encode()
    assert await refusal(lambda: me.open_request(qr)) == (Code.BAD_SIGNATURE, "seal")
    assert place.answers == []


async def test_the_digital_credentials_api_for_strangers(place: Abroad) -> None:
    """Appendix A: unsigned where the holder decides; in the clear when dc_api says so; the transcript of the API."""
    me = wallet(place, trust=AnchorTrust(strangers=True))
    await me.receive(place.offer("student", "member"))
    asking = place.request(
        {"credentials": [STUDENT, MEMBER]}, response_mode="dc_api", client_metadata=None, response_uri=None, state=None,
        client_id="ignored", expected_origins=["https://evil.example"],
    )  # fmt: skip
    asked = await me.open_browser_request("openid4vp-v1-unsigned", asking, VERIFIER)
    assert (asked.standing, asked.who) == ("unknown", {"": VERIFIER})
    _, data = me.present_in_browser(asked)
    assert data.keys() == {"vp_token"}
    place.check(data["vp_token"]["card"][0], f"origin:{VERIFIER}")
    transcript = mdoc.openid4vp_dc_api_transcript(origin=VERIFIER, nonce="n-0S6_WzA2Mj", thumbprint=None)
    assert place.check_mdoc(data["vp_token"]["m"][0], transcript) == {DOCTYPE: {"level": 3}}


@pytest.mark.parametrize(
    "uri", ["javascript:alert(1)", "file:///etc/passwd", "http://shop.abroad.example/", "https://a@b.example/", 7, "x"]
)
async def test_a_way_back_that_leads_astray_is_not_handed_on(place: Abroad, uri: Any) -> None:
    """OpenID4VP 1.0 8.2: the answer was sent all the same."""
    me = wallet(place)
    await me.receive(place.offer())
    place.bend = lambda path, body: {"redirect_uri": uri} if path == "/answer" else body
    shown = await me.present(await me.open_request(place.ask({"credentials": [STUDENT]})))
    assert (shown.outcome, shown.redirect_uri) == ("sent", None)


async def test_a_verifier_that_redirects_gets_no_second_answer(place: Abroad) -> None:
    """OpenID4VP 1.0 14.8: the answer does not travel on; that copy stays used."""
    me = wallet(place)
    (card,) = await me.receive(place.offer())
    place.bend = lambda path, body: httpx.Response(307, headers={"Location": "https://evil.example/"})
    asked = await me.open_request(place.ask({"credentials": [STUDENT]}))
    assert await refusal(lambda: me.present(asked)) == (Code.UNSUPPORTED, None)
    assert (me.copies_left(card), [line.outcome for line in me.history]) == (2, ["failed"])
    assert place.sent.count("POST /answer") == 1


class _Both(httpx.AsyncBaseTransport):
    """Our country and the world beside it."""

    def __init__(self, country: Any, place: Abroad) -> None:
        self._country, self._place = country, place

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "localhost":
            return await self._country.line.handle_async_request(request)
        return await self._place.http._transport.handle_async_request(request)


async def test_a_citizen_may_widen_her_trust_and_stays_strict_at_home(country: Any) -> None:
    """Cards and questions of strangers beside her own; a listed shop still asks for no more than it registered."""
    place = Abroad(country.clock)
    place.terms.attested = True  # vouched for by her own country's wallet provider
    http = httpx.AsyncClient(transport=_Both(country, place))
    citizen = await country.carded()
    strict = Wallet(http, BASE, store=citizen.store, clock=country.clock, trust_key=country.house.registry.key)
    assert await refusal(lambda: strict.receive(place.offer())) == (Code.UNTRUSTED_ISSUER, None)
    me = Wallet(
        http, BASE, store=citizen.store, clock=country.clock, trust_key=country.house.registry.key,
        also=AnchorTrust(strangers=True),
    )  # fmt: skip
    (card,) = await me.receive(place.offer())
    assert card.standing == "unknown"
    assert {one.standing for one in me.cards} == {"listed", "unknown"}
    asked = await me.open_request(place.ask({"credentials": [STUDENT]}))
    assert (asked.standing, asked.registered) == ("unknown", False)
    assert (await me.present(asked)).standing == "unknown"
    qr, id = await country.asks()
    asked = await me.open_request(qr)
    assert (asked.standing, asked.registered) == ("listed", True)
    await me.present(asked)
    assert (await country.verdict(id)).outcome.value == "accepted"
    await http.aclose()
