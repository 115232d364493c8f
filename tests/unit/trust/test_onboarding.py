"""From an application to a registration in the log: one state machine, two governors, nothing lost on the way."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar

import msgspec
import pytest

from mapae.audit import events_about, first_broken_link
from mapae.catalog import parse_country
from mapae.clock import MovableClock, SeededDice
from mapae.config import country_tree
from mapae.db import Body, Db, Row, Value, connect, migrate
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey
from mapae.formats.x509 import Anchors, Profile, check_chain, leaf_key, life_of, x509_hash
from mapae.keys import Signer
from mapae.rules import Words
from mapae.trust.application import Application, check
from mapae.trust.entries import AccessAuthority, Purpose, RelyingParty
from mapae.trust.lint import rules_of
from mapae.trust.onboarding import MOST_OPEN, MOVES, Onboarding
from mapae.trust.onboarding_store import Stage
from mapae.trust.registry import Agreed, Governor, Registry
from trusting import ACCESS_CA, ONE, OTHER, START, STRANGER, THIRD, founded, refusal
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

    def __init__(self, db: Db, registry: Registry, clock: MovableClock, access_ca: bytes) -> None:
        self.db, self.registry, self.clock = db, registry, clock
        self.asked: list[str] = []
        self.onboarding = self.at(db)
        self.access_ca = access_ca

    def at(self, db: Db) -> Onboarding:
        async def hosted(party: str) -> dict[str, str]:
            self.asked.append(party)
            return dict(TILL.jwk)

        return Onboarding(db=db, clock=self.clock, dice=SeededDice(7), country=KR, rules=RULES, registry=self.registry,
                          hosted=hosted, hosts=("id.example",))  # fmt: skip

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
    ledger = await founded(db, clock)
    items = {item for document in KR.documents.values() for item in document.may_be_asked}
    registry = registry_on(registry_db or db, clock, ledger, may_be_asked=sorted(items))
    entry = AccessAuthority(id="access", name=Words(ko="접근", en="Access"), ca=(ACCESS_CA.der,),
                            voice=ACCESS_CA.voice.kid)  # fmt: skip
    await registry.ensure([entry], ONE, OTHER)
    return World(db, registry, clock, ACCESS_CA.der)


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
    lone.clock.advance(days=31)
    await lone.onboarding.round()
    assert await refusal(lone.onboarding.of(draft)) is Code.NOT_FOUND
    assert (await lone.onboarding.of(token)).case.stage is Stage.WITHDRAWN


async def test_nobody_approves_his_own_twice_or_without_governing(lone: World) -> None:
    own = shop(key=dict(PublicKey.from_jwk(ONE.signer.jwk).jwk))
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
    assert await refusal(world.onboarding.begin(shop(id="other"), "203.0.113.5")) is Code.CONFLICT
    assert await refusal(world.onboarding.save(token, shop(id="corner"))) is Code.CONFLICT


async def test_many_drafts_from_one_address_are_stopped(lone: World) -> None:
    """Those handed in as well: each is work for reviewers, and a key of the hosted checker."""
    for number in range(MOST_OPEN):
        _, token = await lone.onboarding.begin(shop(id=f"spam_{number}"), "192.0.2.7")
        if number % 2:
            await lone.onboarding.submit(token)
    assert await refusal(lone.onboarding.begin(shop(id="more"), "192.0.2.7")) is Code.TOO_OFTEN
    await lone.onboarding.begin(shop(id="more"), "192.0.2.8")


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
    entry = msgspec.structs.replace(SHOP, id="direct")  # registered without a case
    assert (await lone.registry.approve(await lone.registry.propose(entry, ONE), OTHER)).holds
    removal = await lone.registry.propose_removal("relying_party", "direct", ONE)
    assert (await lone.registry.approve(removal, OTHER)).holds
    assert await refusal(lone.onboarding.begin(shop(id="direct"), "192.0.2.9")) is Code.CONFLICT


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


class Cut(Exception):
    """The process is gone."""


class Failing(Db):
    """A database under a process that dies at its n-th write: before it, or just after it was kept."""

    def __init__(self, real: Db) -> None:
        self.real, self.left, self.kept, self.writes = real, -1, False, 0

    async def write(self, body: Body[T]) -> T:
        self.writes += 1
        self.left -= 1
        if self.left == 0 and not self.kept:
            raise Cut
        done = await self.real.write(body)
        if self.left == 0:
            raise Cut
        return done

    async def all(self, sql: str, *args: Value) -> list[Row]:
        return await self.real.all(sql, *args)

    async def one(self, sql: str, *args: Value) -> Row | None:
        return await self.real.one(sql, *args)

    async def close(self) -> None:
        await self.real.close()


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
