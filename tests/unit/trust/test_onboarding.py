"""From an application to a registration in the log: one state machine, two governors, nothing lost on the way."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import pytest

from cutting import Cut, Failing
from mapae.audit import events_about, first_broken_link
from mapae.catalog import parse_country
from mapae.clock import MovableClock, SeededDice
from mapae.config import country_tree
from mapae.db import Db, connect, migrate
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey
from mapae.formats.x509 import Anchors, Profile, check_chain, leaf_key, life_of, x509_hash
from mapae.keys import Signer
from mapae.outbox import Outbox
from mapae.rules import Words
from mapae.trust.application import Application, check
from mapae.trust.entries import AccessAuthority, Purpose, RelyingParty
from mapae.trust.lint import ItemRule, rules_of
from mapae.trust.onboarding import MOST_OPEN, Onboarding
from mapae.trust.onboarding_moves import LATELY, MOVES, UNANSWERED
from mapae.trust.onboarding_store import Stage
from mapae.trust.registry import Agreed, Governor, Registry
from mapae.trust.request import make_access
from trusting import ACCESS_CA, ONE, OTHER, START, STRANGER, THIRD, Away, founded, refusal
from trusting import registry as registry_on

KR = parse_country(country_tree("kr"))
RULES = rules_of(country_tree("kr", "lint"))
TILL = Signer.ephemeral()
T = TypeVar("T")


def shop(*, id: str = "corner", name: str = "Corner", ready: str = "alcohol_tobacco", **more: Any) -> Application:
    return check({"id": id, "name": name, "number": "123-45-67890", "contact": "https://corner.example/privacy",
                  "purposes": [{"ready": ready}] if ready else [], **more})  # fmt: skip


SHOP = RelyingParty(id="x", name=Words(ko="가", en="A"), x509_hash="B" * 42 + "A", purposes=(
    Purpose(id="age", name=Words(ko="가", en="A"), why=Words(ko="가", en="A"), legal_basis=Words(ko="가", en="A"),
            items=("adult_by_year",), retention=Words(ko="가", en="A")),))  # fmt: skip


class World:
    """A country with a registry, and somebody who wants to be in it."""

    def __init__(self, db: Db, registry: Registry, clock: MovableClock, access_ca: bytes, ledger: Away) -> None:
        self.ledger = ledger
        self.db, self.registry, self.clock, self.dice = db, registry, clock, SeededDice(7)
        self.asked: list[str] = []
        self.let_go: list[str] = []
        self.vouched: datetime | None = None
        self.onboarding = self.at(db)
        self.access_ca = access_ca

    def at(self, db: Db) -> Onboarding:
        async def hosted(party: str, case: str) -> dict[str, str]:
            self.asked.append(party)
            return dict(TILL.jwk)

        async def let_go(case: str) -> None:
            self.let_go.append(case)

        return Onboarding(
            db=db, clock=self.clock, dice=self.dice, country=KR, rules=RULES, registry=self.registry, hosted=hosted,
            let_go=let_go, hosts=("id.example",), vouched=self._vouched,
        )  # fmt: skip

    async def _vouched(self) -> datetime | None:
        return self.vouched

    async def kept(self) -> list[str]:
        """Keep every promise that is due; the cases whose keys were destroyed so far."""
        await Outbox(self.db, self.clock, self.onboarding.promises() | self.registry.promises()).run_once()
        return self.let_go

    async def handed_in(self, made: Application | None = None) -> tuple[str, str]:
        """Id and token of an application that waits."""
        case, token = await self.onboarding.begin(made or shop(), "192.0.2.7")
        await self.onboarding.submit(token)
        return case.id, token

    async def registered(self, made: Application | None = None) -> tuple[str, str]:
        id, token = await self.handed_in(made)
        await self.onboarding.approve(id, ONE)
        await self.onboarding.approve(id, OTHER)
        return id, token

    async def parties(self) -> dict[str, RelyingParty]:
        return {entry.id: entry for entry in await self.registry.entries() if isinstance(entry, RelyingParty)}


async def _world(db: Db, registry_db: Db | None = None) -> World:
    clock = MovableClock(START)
    ledger = Away(await founded(db, clock))
    items = {item for document in KR.documents.values() for item in document.may_be_asked}
    registry = registry_on(registry_db or db, clock, ledger, may_be_asked=sorted(items))
    entry = AccessAuthority(id="access", name=Words(ko="접근", en="Access"), ca=(ACCESS_CA.der,),
                            voice=ACCESS_CA.voice.kid)  # fmt: skip
    await registry.ensure([entry], ONE, OTHER)
    return World(db, registry, clock, ACCESS_CA.der, ledger)


@pytest.fixture
async def world(db: Db) -> World:
    return await _world(db)


@pytest.fixture
async def lone(tmp_path: Any) -> World:
    """On SQLite alone: where the SQL is not what the test is about."""
    db = await connect(f"sqlite:///{tmp_path}/trust.db")
    await migrate(db, "trust")
    return await _world(db)


async def test_a_shop_applies_two_governors_agree_and_it_stands_on_the_list(world: World) -> None:
    case, token = await world.onboarding.begin(shop(), "192.0.2.7")
    assert case.stage is Stage.LINTED and await world.onboarding.waiting() == []
    assert (await world.onboarding.submit(token)).case.stage is Stage.WAITING
    assert world.asked == ["corner"]
    assert await world.onboarding.approve(case.id, ONE) == Agreed(1)
    assert "corner" not in await world.parties()  # one governor alone registers nobody
    assert await world.onboarding.approve(case.id, OTHER) == Agreed(0, holds=True)

    party = (await world.parties())["corner"]
    assert party.contact == "https://corner.example/privacy" and [p.id for p in party.purposes] == ["alcohol_tobacco"]
    seen = await world.onboarding.of(token)
    assert seen.case.stage is Stage.APPROVED and seen.certificate is not None
    assert x509_hash(seen.certificate) == party.x509_hash == seen.case.x509_hash
    checked = check_chain((seen.certificate,), Anchors((world.access_ca,)), world.clock.now(), Profile.ACCESS)
    assert checked.key.thumbprint == PublicKey.from_jwk(TILL.jwk).thumbprint and checked.dns == ("id.example",)
    start, end = life_of(seen.certificate)
    assert (end - start).days == 365
    said = [one.event.action for one in await events_about(world.db, "corner")]
    assert [word for word in said if word in ("begun", "submitted", "pinned", "approved", "issued", "entered")] == [
        "begun", "submitted", "issued", "pinned", "approved", "entered", "approved"]  # fmt: skip
    assert await first_broken_link(world.db) is None


async def test_what_asks_for_too_much_is_kept_and_explained_and_cannot_be_handed_in(world: World) -> None:
    made = shop(ready="", purposes=[{"ready": "alcohol_tobacco", "items": ["name"]}])
    case, token = await world.onboarding.begin(made, "192.0.2.7")
    assert case.stage is Stage.DRAFT
    with pytest.raises(Refused) as refused:
        await world.onboarding.submit(token)
    assert (refused.value.code, refused.value.step) == (Code.EXCESSIVE, "beyond_minimum")
    answered = msgspec.structs.replace(made.purposes[0], basis={"name": "Liquor Tax Act, article 9"})
    assert (await world.onboarding.save(token, msgspec.structs.replace(made, purposes=(answered,)))).case.stage is (
        Stage.LINTED
    )
    assert (await world.onboarding.submit(token)).case.stage is Stage.WAITING


async def test_a_governor_agrees_to_what_he_has_read_and_to_nothing_that_came_after(lone: World) -> None:
    """An applicant who holds the link may change a waiting application, and hand it in again, at any moment."""
    id, token = await lone.handed_in()
    read = (await lone.onboarding.look(id)).reading
    await lone.onboarding.save(token, shop(name="Corner Bank"))
    await lone.onboarding.submit(token)
    assert await refusal(lone.onboarding.approve(read, ONE)) is Code.CONFLICT
    assert (await lone.onboarding.look(id)).case.proposal is None
    read = (await lone.onboarding.look(id)).reading
    assert await lone.onboarding.approve(read, ONE) == Agreed(1)
    assert (await lone.onboarding.look(id)).reading == read  # the other one may have read it before the first agreed
    assert await lone.onboarding.approve(read, OTHER) == Agreed(0, holds=True)


async def test_who_is_called_as_an_authority_of_the_country_is_shown_to_the_reviewers(lone: World) -> None:
    """The registry of the test has an authority called Access."""
    for name, found in (("Acces", {"name_alike"}), ("Corner", set())):
        id, _ = await lone.handed_in(shop(id=name.lower(), name=name))
        assert {one.rule for one in await lone.onboarding.about(await lone.onboarding.look(id))} == found


async def test_of_two_governors_at_once_the_one_who_read_another_version_does_not_agree(lone: World) -> None:
    id, token = await lone.handed_in()
    old = (await lone.onboarding.look(id)).reading
    await lone.onboarding.save(token, shop(name="Corner Bank"))
    await lone.onboarding.submit(token)
    new = (await lone.onboarding.look(id)).reading
    await asyncio.gather(
        lone.onboarding.approve(old, ONE), lone.onboarding.approve(new, OTHER), return_exceptions=True
    )  # fmt: skip
    assert "corner" not in await lone.parties()


async def test_returned_with_words_changed_handed_in_again_and_refused(lone: World) -> None:
    id, token = await lone.handed_in()
    assert await refusal(lone.onboarding.send_back(id, ONE, "  ")) is Code.MALFORMED
    assert await refusal(lone.onboarding.send_back(id, STRANGER, "no")) is Code.NOT_ALLOWED
    await lone.onboarding.send_back(id, ONE, "Which of your shops is it?")
    seen = await lone.onboarding.of(token)
    assert (seen.case.stage, seen.case.note, seen.case.noted_by) == (
        Stage.RETURNED, "Which of your shops is it?", "governor-1")  # fmt: skip
    assert await refusal(lone.onboarding.approve(id, OTHER)) is Code.CONFLICT
    await lone.onboarding.save(token, shop(name="Corner, Main Street"))
    await lone.onboarding.submit(token)
    await lone.onboarding.refuse(id, OTHER, "We know of no such shop.")
    assert (await lone.onboarding.of(token)).case.stage is Stage.REFUSED
    assert await refusal(lone.onboarding.save(token, shop())) is Code.CONFLICT
    assert await refusal(lone.onboarding.submit(token)) is Code.CONFLICT
    await lone.handed_in()  # the id is free again


async def test_a_change_takes_a_waiting_application_back_and_none_is_possible_once_a_governor_agreed(
    lone: World,
) -> None:
    id, token = await lone.handed_in()
    assert (await lone.onboarding.save(token, shop(name="Other"))).case.stage is Stage.LINTED
    await lone.onboarding.submit(token)
    await lone.onboarding.approve(id, ONE)
    for late in (lone.onboarding.save(token, shop(name="Bank")), lone.onboarding.withdraw(token)):
        assert await refusal(late) is Code.CONFLICT
    await lone.onboarding.approve(id, OTHER)
    assert (await lone.parties())["corner"].name.en == "Other"


async def test_withdrawn_is_over_and_a_draft_nobody_hands_in_is_forgotten(lone: World) -> None:
    _, token = await lone.handed_in()
    assert (await lone.onboarding.withdraw(token)).case.stage is Stage.WITHDRAWN
    _, draft = await lone.onboarding.begin(shop(id="other"), "192.0.2.7")
    lone.clock.advance(days=29)
    await lone.onboarding.round()
    assert (await lone.onboarding.of(token)).case.stage is Stage.WITHDRAWN
    lone.clock.advance(days=2)
    await lone.onboarding.round()
    for gone in (draft, token):
        assert await refusal(lone.onboarding.of(gone)) is Code.NOT_FOUND


async def test_nobody_approves_his_own_twice_or_without_governing(lone: World) -> None:
    own = shop(key=dict(PublicKey.from_jwk(ONE.signer.jwk).jwk), proof=make_access(ONE.signer, START))
    case, token = await lone.onboarding.begin(own, "192.0.2.7")
    await lone.onboarding.submit(token)
    assert await refusal(lone.onboarding.approve(case.id, ONE)) is Code.NOT_ALLOWED  # it is for this very key
    await lone.onboarding.withdraw(token)
    case, token = await lone.onboarding.begin(shop(), "192.0.2.7", "governor-2")
    await lone.onboarding.submit(token)
    assert await refusal(lone.onboarding.approve(case.id, OTHER)) is Code.NOT_ALLOWED  # he filed it
    assert await refusal(lone.onboarding.approve(case.id, STRANGER)) is Code.NOT_ALLOWED
    await lone.onboarding.approve(case.id, ONE)
    assert await refusal(lone.onboarding.approve(case.id, ONE)) is Code.NOT_ALLOWED
    assert await refusal(lone.onboarding.approve(case.id, STRANGER)) is Code.NOT_ALLOWED
    await lone.onboarding.approve(case.id, THIRD)
    assert await refusal(lone.onboarding.approve(case.id, OTHER)) is Code.CONFLICT  # an approval is of no use twice
    assert len(await lone.registry.certificates_of("corner")) == 1


async def test_two_governors_at_the_same_moment_are_two_that_agree(world: World) -> None:
    id, token = await world.handed_in()
    said = await asyncio.gather(
        world.onboarding.approve(id, ONE), world.onboarding.approve(id, OTHER), return_exceptions=True
    )
    for _ in range(3):
        if "corner" in await world.parties():
            break
        for governor in (ONE, OTHER):  # one may have been told to look again
            await asyncio.gather(world.onboarding.approve(id, governor), return_exceptions=True)
    assert "corner" in await world.parties(), said
    assert (await world.onboarding.of(token)).case.stage is Stage.APPROVED
    assert await world.registry.waiting() == []


async def test_an_id_is_one_applicants_and_never_that_of_a_registered_party(world: World) -> None:
    await world.registered()
    assert await refusal(world.onboarding.begin(shop(), "198.51.100.1")) is Code.CONFLICT
    _, token = await world.onboarding.begin(shop(id="other"), "198.51.100.1")
    assert await refusal(world.onboarding.save(token, shop(id="corner"))) is Code.CONFLICT


async def test_a_draft_holds_no_id_and_what_was_handed_in_does(world: World) -> None:
    """Else whoever begins a draft with a shop's name keeps that shop out for a month, and again with each change."""
    _, squatter = await world.onboarding.begin(shop(), "198.51.100.1")
    _, token = await world.handed_in(shop(name="The Corner Itself"))
    assert await refusal(world.onboarding.submit(squatter)) is Code.CONFLICT
    assert await refusal(world.onboarding.begin(shop(), "203.0.113.5")) is Code.CONFLICT
    assert (await world.onboarding.of(token)).case.stage is Stage.WAITING


async def test_two_who_hand_in_the_same_id_at_once_are_one_and_one_that_chooses_another(world: World) -> None:
    tokens = [(await world.onboarding.begin(shop(), f"198.51.100.{at}"))[1] for at in range(3)]
    done = await asyncio.gather(*[world.onboarding.submit(token) for token in tokens], return_exceptions=True)
    refused = [one for one in done if isinstance(one, Refused)]
    assert [(one.code, one.step) for one in refused] == [(Code.CONFLICT, "id")] * 2


async def test_many_drafts_from_one_address_are_stopped(lone: World) -> None:
    """Those handed in as well: each is work for reviewers, and a key of the hosted checker."""
    for number in range(MOST_OPEN):
        _, token = await lone.onboarding.begin(shop(id=f"spam_{number}"), "192.0.2.7")
        if number % 2:
            await lone.onboarding.submit(token)
    assert await refusal(lone.onboarding.begin(shop(id="more"), "192.0.2.7")) is Code.TOO_OFTEN
    await lone.onboarding.begin(shop(id="more"), "192.0.2.8")


async def test_a_draft_changed_a_thousand_times_does_not_make_the_audit_trail_longer(lone: World) -> None:
    _, token = await lone.onboarding.begin(shop(), "192.0.2.7")
    before = len(await events_about(lone.db, "corner"))
    for number in range(5):
        await lone.onboarding.save(token, shop(name=f"Corner {number}"))
    assert len(await events_about(lone.db, "corner")) == before
    await lone.onboarding.submit(token)
    await lone.onboarding.save(token, shop(name="Corner"))  # taken back from those who have seen it
    assert [one.event.action for one in await events_about(lone.db, "corner")][before:] == [
        "hosted", "submitted", "changed"]  # fmt: skip


async def test_drafts_begun_all_at_once_are_counted_one_after_the_other(world: World) -> None:
    begun = [world.onboarding.begin(shop(id=f"spam_{at}"), "192.0.2.7") for at in range(MOST_OPEN + 5)]
    done = await asyncio.gather(*begun, return_exceptions=True)
    assert len([one for one in done if not isinstance(one, BaseException)]) == MOST_OPEN


async def test_begun_and_withdrawn_over_and_over_is_counted_and_forgotten(lone: World) -> None:
    """Each is up to 32 KiB: a loop of both would fill the disk."""
    for number in range(MOST_OPEN):
        _, token = await lone.handed_in(shop(id=f"spam_{number}"))
        await lone.onboarding.withdraw(token)
    assert await refusal(lone.onboarding.begin(shop(), "192.0.2.7")) is Code.TOO_OFTEN
    assert len(await lone.kept()) == MOST_OPEN  # and no key of the hosted checker is left
    lone.clock.advance(seconds=int(LATELY.total_seconds()) + 1)
    await lone.onboarding.begin(shop(), "192.0.2.7")
    await lone.onboarding.round()
    addresses = await lone.db.all("SELECT source, state FROM rp_application ORDER BY state")
    assert [row["source"] for row in addresses if row["state"] == "withdrawn"] == [""] * MOST_OPEN
    lone.clock.advance(days=32)
    await lone.onboarding.round()
    assert await lone.db.all("SELECT id FROM rp_application") == []


async def test_returned_and_never_answered_holds_its_id_no_longer(lone: World) -> None:
    id, token = await lone.handed_in()
    await lone.onboarding.send_back(id, ONE, "Which of your shops is it?")
    lone.clock.advance(seconds=int(UNANSWERED.total_seconds()) + 1)
    await lone.onboarding.round()
    assert (await lone.onboarding.of(token)).case.stage is Stage.WITHDRAWN and await lone.kept() == [id]
    await lone.onboarding.begin(shop(), "192.0.2.9")


async def test_a_guessed_link_leads_nowhere_and_the_token_is_not_kept(lone: World) -> None:
    _, token = await lone.onboarding.begin(shop(), "192.0.2.7")
    for guess in ("", token[:-1], token + "A", token.lower() + "x", "\ud800"):
        assert await refusal(lone.onboarding.of(guess)) is Code.NOT_FOUND
    for row in await lone.db.all("SELECT * FROM rp_application"):
        assert token not in str([row[name] for name in ("id", "link", "party", "body", "source")])


async def test_a_registration_is_ended_by_two_and_seen_when_it_was_ended_elsewhere(world: World) -> None:
    id, token = await world.registered()
    assert await world.onboarding.end(id, ONE) == Agreed(1)
    assert (await world.onboarding.of(token)).case.stage is Stage.APPROVED
    assert (await world.onboarding.end(id, OTHER)).holds
    await world.onboarding.round()
    assert (await world.onboarding.of(token)).case.stage is Stage.ENDED and await world.parties() == {}
    id, token = await world.registered()  # a party may come back
    proposal = await world.registry.propose_removal("relying_party", "corner", ONE)
    await world.registry.approve(proposal, OTHER)
    await world.onboarding.round()
    assert (await world.onboarding.of(token)).case.stage is Stage.ENDED


async def test_the_id_of_a_party_that_has_ended_is_nobody_elses_ever(lone: World) -> None:
    """Its tills, API keys and log-in clients still go by that id, and what citizens wrote to it lies there."""
    id, _ = await lone.registered()
    await lone.onboarding.end(id, ONE)
    await lone.onboarding.end(id, OTHER)
    await lone.onboarding.round()
    other = shop(name="Another Shop", number="999-99-99999")
    assert await refusal(lone.onboarding.begin(other, "192.0.2.9")) is Code.CONFLICT
    _, token = await lone.onboarding.begin(shop(number="1234567890"), "192.0.2.9")  # the same, spaced otherwise
    assert await refusal(lone.onboarding.save(token, other)) is Code.CONFLICT
    await lone.onboarding.submit(token)
    [waiting] = await lone.onboarding.waiting()
    assert "id_before" in {one.rule for one in await lone.onboarding.about(waiting)}  # the number is in public books
    await lone.onboarding.withdraw(token)
    entry = msgspec.structs.replace(SHOP, id="direct")  # registered without a case
    assert (await lone.registry.approve(await lone.registry.propose(entry, ONE), OTHER)).holds
    removal = await lone.registry.propose_removal("relying_party", "direct", ONE)
    assert (await lone.registry.approve(removal, OTHER)).holds
    assert await refusal(lone.onboarding.begin(shop(id="direct"), "192.0.2.9")) is Code.CONFLICT


async def test_the_key_with_the_checker_goes_with_the_application_also_when_the_checker_was_away(lone: World) -> None:
    id, _ = await lone.registered()
    refused, _ = await lone.handed_in(shop(id="second"))
    await lone.onboarding.refuse(refused, ONE, "We know of no such shop.")
    assert await lone.kept() == [refused]
    for governor in (ONE, OTHER):
        await lone.onboarding.end(id, governor)
    await lone.onboarding.round()
    assert await lone.kept() == [refused, id]
    await lone.onboarding.round()
    assert await lone.kept() == [refused, id]  # once
    begun, token = await lone.onboarding.begin(shop(id="third", key=dict(PublicKey.from_jwk(TILL.jwk).jwk),
                                                    proof=make_access(TILL, START)), "192.0.2.7")  # fmt: skip
    await lone.onboarding.submit(token)
    await lone.onboarding.withdraw(token)
    assert begun.id not in await lone.kept()  # the checker never had one


async def test_an_authority_that_is_out_does_not_cost_every_party_its_key(lone: World) -> None:
    """Whoever is struck off takes all below along, perhaps by mistake; nobody was struck off by that."""
    _, token = await lone.registered()
    removal = await lone.registry.propose_removal("access_ca", "access", ONE)
    assert (await lone.registry.approve(removal, OTHER)).holds
    await lone.onboarding.round()
    assert await lone.parties() == {} and (await lone.onboarding.of(token)).case.stage is Stage.APPROVED
    assert await lone.kept() == []
    lone.clock.advance(days=366)
    await lone.onboarding.round()
    assert (await lone.onboarding.of(token)).case.stage is Stage.ENDED


async def test_a_clock_far_ahead_ends_nobody_and_forgets_nothing(lone: World) -> None:
    """Keys that are destroyed do not come back with the right time: what others vouch for is waited for."""
    lone.vouched = START
    id, token = await lone.registered()
    _, draft = await lone.onboarding.begin(shop(id="other"), "192.0.2.8")
    lone.clock.advance(days=400)
    for _ in range(3):
        await lone.onboarding.round()
        assert await lone.kept() == []
    lone.clock.advance(days=-400)
    assert (await lone.onboarding.of(token)).case.stage is Stage.APPROVED
    assert (await lone.onboarding.of(draft)).case.stage is not Stage.ENDED
    lone.clock.advance(days=300)
    assert await lone.onboarding.renew(id, ONE) == Agreed(1)
    lone.clock.advance(days=100)
    lone.vouched = lone.clock.now()
    for _ in range(2):
        await lone.onboarding.round()
    assert (await lone.onboarding.of(token)).case.stage is Stage.ENDED


async def test_another_link_ends_the_one_before_and_governors_need_not_read_again(lone: World) -> None:
    id, token = await lone.handed_in()
    read = (await lone.onboarding.look(id)).reading
    new = await lone.onboarding.relink(token)
    assert await refusal(lone.onboarding.of(token)) is Code.NOT_FOUND
    assert await refusal(lone.onboarding.relink(token)) is Code.NOT_FOUND  # a second time
    assert (await lone.onboarding.of(new)).case.id == id
    assert await lone.onboarding.approve(read, ONE) == Agreed(1)
    again = await lone.onboarding.relink_for(id, "operator")  # for whoever lost it
    assert await refusal(lone.onboarding.of(new)) is Code.NOT_FOUND and (await lone.onboarding.of(again)).case.id == id
    said = [(one.event.action, one.event.actor) for one in await events_about(lone.db, "corner")]
    assert ("relinked", "applicant") in said and ("relinked", "operator") in said


async def test_nobody_applies_with_a_key_he_does_not_show_to_hold(lone: World) -> None:
    """A public key is public: that of another party stands in its certificate (RFC 4211 4)."""
    theirs, mine = dict(PublicKey.from_jwk(TILL.jwk).jwk), Signer.ephemeral()
    for proof in ("", make_access(mine, START), "x.y.z"):
        made = shop(key=theirs, proof=proof)
        assert await refusal(lone.onboarding.begin(made, "192.0.2.7")) is Code.MALFORMED
    own = shop(key=dict(PublicKey.from_jwk(mine.jwk).jwk), proof=make_access(mine, START))
    _, token = await lone.onboarding.begin(own, "192.0.2.7")
    assert await refusal(lone.onboarding.save(token, msgspec.structs.replace(own, key=theirs))) is Code.MALFORMED
    lone.clock.advance(days=29)
    await lone.onboarding.save(token, shop(name="New", key=own.key, proof=own.proof))
    lone.clock.advance(days=29)
    await lone.onboarding.save(token, shop(name="Newer", key=own.key, proof=own.proof))  # proven once is proven


async def test_a_certificate_made_under_an_earlier_name_is_not_taken_for_another(lone: World) -> None:
    """Wallets of other makers show what the certificate says: a bank's name must not come with a bakery's entry."""
    id, token = await lone.handed_in(shop(name="Central Bank"))
    await lone.onboarding.approve(id, ONE)
    await lone.onboarding.send_back(id, OTHER, "You are no bank.")
    await lone.onboarding.save(token, shop(name="Corner"))
    await lone.onboarding.submit(token)
    await lone.onboarding.approve(id, ONE)
    await lone.onboarding.approve(id, OTHER)
    seen = await lone.onboarding.of(token)
    assert seen.certificate is not None
    checked = check_chain((seen.certificate,), Anchors((lone.access_ca,)), lone.clock.now(), Profile.ACCESS)
    assert checked.subject == "Corner"


async def test_what_a_stricter_country_calls_too_much_is_not_renewed(lone: World) -> None:
    id, _ = await lone.registered()
    lone.clock.advance(days=300)
    lone.onboarding.rules = msgspec.structs.replace(RULES, items={"adult_by_year": ItemRule(only=("other",))})
    assert await refusal(lone.onboarding.renew(id, ONE)) is Code.EXCESSIVE


async def test_the_light_says_how_long_and_governors_see_whose_turn_it_is(lone: World) -> None:
    id, token = await lone.registered()
    waiting, other = await lone.handed_in(shop(id="other"))
    lights = []
    for days in (0, 274, 2, 75, 14):
        lone.clock.advance(days=days)
        left = lone.onboarding.left(await lone.onboarding.of(token))
        assert left is not None
        lights.append((left.days, left.light, [seen.case.id for seen, _ in await lone.onboarding.due()]))
    assert lights == [(365, "green", []), (91, "green", []), (89, "yellow", [id]), (14, "red", [id]), (0, "red", [id])]
    assert lone.onboarding.left(await lone.onboarding.of(other)) is None and waiting


async def test_a_renewal_that_waits_for_the_log_is_no_dead_end_when_the_old_certificate_is_over(tmp_path: Any) -> None:
    """The case was ended with its renewal still under way, and every look at any application failed from then on."""
    db = await connect(f"sqlite:///{tmp_path}/trust.db")
    await migrate(db, "trust")
    world = await _world(db)
    id, token = await world.registered()
    world.clock.advance(days=360)
    world.ledger.away = True
    await world.onboarding.renew(id, ONE)
    assert not (await world.onboarding.renew(id, OTHER)).holds
    world.clock.advance(days=10)
    await world.onboarding.round()
    assert (await world.onboarding.of(token)).case.stage is Stage.APPROVED and await world.kept() == []
    world.ledger.away = False
    await world.registry.hand_over()
    await world.onboarding.round()
    seen = await world.onboarding.of(token)
    assert seen.case.stage is Stage.APPROVED and list(await world.parties()) == ["corner"]


async def test_a_renewal_only_one_agreed_to_ends_with_the_certificate_and_stops_nobody(lone: World) -> None:
    id, token = await lone.registered()
    lone.clock.advance(days=300)
    await lone.onboarding.renew(id, ONE)
    lone.clock.advance(days=66)
    await lone.onboarding.round()
    assert (await lone.onboarding.of(token)).case.stage is Stage.ENDED
    [proposed] = await lone.registry.waiting()
    await lone.registry.approve(proposed.id, OTHER)  # late, and by another command
    await lone.onboarding.round()
    assert (await lone.onboarding.of(token)).case.stage is Stage.ENDED and await lone.onboarding.waiting() == []


async def test_a_certificate_is_renewed_in_its_last_days_by_two(lone: World) -> None:
    id, token = await lone.registered()
    old = (await lone.onboarding.of(token)).case.x509_hash
    assert await refusal(lone.onboarding.renew(id, ONE)) is Code.CONFLICT
    lone.clock.advance(days=300)
    assert await lone.onboarding.renew(id, ONE) == Agreed(1)
    assert (await lone.onboarding.renew(id, OTHER)).holds
    seen = await lone.onboarding.of(token)
    assert seen.case.stage is Stage.APPROVED and seen.case.x509_hash != old
    assert (await lone.parties())["corner"].x509_hash == seen.case.x509_hash
    assert seen.certificate is not None and leaf_key(seen.certificate).thumbprint == TILL.kid


async def test_a_proposal_turned_down_elsewhere_leaves_the_application_waiting(lone: World) -> None:
    id, token = await lone.handed_in()
    await lone.onboarding.approve(id, ONE)
    [proposed] = await lone.registry.waiting()
    await lone.registry.reject(proposed.id, OTHER)
    seen = await lone.onboarding.of(token)
    assert (seen.case.stage, seen.case.proposal) == (Stage.WAITING, None)
    await lone.onboarding.save(token, shop(name="Changed"))  # and it may be changed again
    assert await refusal(lone.onboarding.approve(id, OTHER)) is Code.CONFLICT


async def test_a_body_changed_behind_the_governors_back_is_not_approved(lone: World) -> None:
    """Whoever can write the table cannot have the second agree to something else than the first did."""
    id, _ = await lone.handed_in()
    await lone.onboarding.approve(id, ONE)
    other = msgspec.json.encode(shop(name="Central Bank")).decode()
    await lone.db.run("UPDATE rp_application SET body = $1 WHERE id = $2", other, id)
    assert await refusal(lone.onboarding.approve(id, OTHER)) is Code.CONFLICT
    assert await lone.parties() == {}


async def test_somebody_names_for_reviewers_whom_the_name_imitates(lone: World) -> None:
    await lone.registered(shop(name="Hanbit Bank"))
    id, _ = await lone.handed_in(shop(id="second", name="Hаnbit Bank"))  # a Cyrillic а
    seen = await lone.onboarding.look(id)
    assert {one.rule for one in await lone.onboarding.about(seen)} == {"name_alike", "name_mixed"}


# --- power cuts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [False, True], ids=["lost", "kept"])
async def test_a_kill_at_any_write_leaves_a_case_that_the_same_two_commands_finish(tmp_path: Any, kept: bool) -> None:
    """Between certificate, proposal, pin, approval and registration: no second certificate, no proposal left over."""
    for place in range(1, 12):
        db = await connect(f"sqlite:///{tmp_path}/{place}-{kept}.db")
        await migrate(db, "trust")
        failing = Failing(db)
        world = await _world(db, failing)
        world.onboarding = world.at(failing)
        id, token = await world.handed_in()
        failing.left, failing.kept, before = place, kept, failing.writes
        died = False
        for governor in (ONE, OTHER):
            died = await _approved(world, id, governor) or died
        if died:
            failing.left = -1
            for governor in (ONE, OTHER, THIRD):
                if (await world.onboarding.of(token)).case.stage is Stage.WAITING:
                    await _approved(world, id, governor)
            await world.registry.hand_over()
        assert (await world.onboarding.of(token)).case.stage is Stage.APPROVED, place
        assert list(await world.parties()) == ["corner"]
        assert len(await world.registry.certificates_of("corner")) == 1, place
        assert await world.registry.waiting() == [], place
        assert await first_broken_link(db) is None
        await db.close()
        if not died:
            assert failing.writes - before < place  # every write of the whole has been cut once
            return
    raise AssertionError("an approval takes more writes than were cut")


async def _approved(world: World, id: str, governor: Governor) -> bool:
    """Whether the process died."""
    try:
        await world.onboarding.approve(id, governor)
    except Cut:
        return True
    except Refused as refused:
        assert refused.code in (Code.NOT_ALLOWED, Code.CONFLICT), refused
    return False


def test_every_state_is_reached_and_the_ends_are_ends() -> None:
    left = {stage for moves in MOVES.values() for stage in moves}
    assert set(Stage) - left == {Stage.REFUSED, Stage.WITHDRAWN, Stage.ENDED}
    assert {stage for moves in MOVES.values() for stage in moves.values()} | {Stage.DRAFT, Stage.LINTED} == set(Stage)
