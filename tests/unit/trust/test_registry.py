"""Two people behind every change, each with his own signature, and a list that says exactly what the log has."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import msgspec
import pytest

from mapae.audit import events_about, first_broken_link
from mapae.clock import MovableClock, SeededDice
from mapae.db import Body, Db, Row, Tx, Value
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey, b64u
from mapae.formats.x509 import Anchors, Profile, Subject, check_chain, x509_hash
from mapae.keys import Signer
from mapae.rules import Words
from mapae.trust import ledger_store, store
from mapae.trust.entering import Voice
from mapae.trust.entries import document
from mapae.trust.log import statement
from mapae.trust.log.entry import Entry as LogEntry
from mapae.trust.log.entry import Kind, Log, Reason
from mapae.trust.registry import (
    AccessAuthority,
    Agreed,
    Entry,
    Governor,
    Issuer,
    Purpose,
    Registry,
    RelyingParty,
    TrustList,
    WalletProvider,
)  # fmt: skip
from mapae.trust.signers import Purpose as Use
from mapae.trust.signers import Reason as Why
from mapae.trust.store import Proposal, Vote
from trusting import (
    ACCESS_CA,
    ONE,
    ORIGIN,
    OTHER,
    START,
    STRANGER,
    THIRD,
    Away,
    authority,
    founded,
    refusal,
)  # fmt: skip
from trusting import (
    registry as registry_on,
)

T = TypeVar("T")
HASH = b64u(b"s" * 32)
HOLDS = Agreed(0, holds=True)


def words(text: str) -> Words:
    return Words(ko=text, en=text)


CA = authority(Signer.ephemeral())


def purpose(*items: str, id: str = "alcohol_tobacco") -> Purpose:
    return Purpose(id=id, name=words("Alcohol"), why=words("Age"), legal_basis=words("Act 1"), items=items,
                   retention=words("None"))  # fmt: skip


def shop(id: str = "shop", hash: str = HASH, *purposes: Purpose) -> RelyingParty:
    return RelyingParty(id=id, name=words(id), x509_hash=hash, purposes=purposes or (purpose("adult_by_year"),))


ISSUER = Issuer(id="issuer", name=words("City"), ca=(CA,), vcts=("urn:x",), doctypes=("kr.x",),
                status_prefix="https://a.test/status/")  # fmt: skip
PROVIDER = WalletProvider(id="wallet", name=words("Wallet"), ca=(CA,))
ACCESS = AccessAuthority(id="access", name=words("Access"), ca=(ACCESS_CA.der,), voice=ACCESS_CA.voice.kid)
PARTIES: list[Entry] = [ISSUER, PROVIDER, ACCESS]


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock(START)


@pytest.fixture
async def ledger(db: Db, clock: MovableClock) -> Away:
    return Away(await founded(db, clock))


@pytest.fixture
async def registry(db: Db, clock: MovableClock, ledger: Away) -> Registry:
    """With its access authority, who speaks for relying parties."""
    made = registry_on(db, clock, ledger)
    await made.ensure([ACCESS], ONE, OTHER)
    return made


async def shops(registry: Registry) -> list[RelyingParty]:
    return [entry for entry in await registry.entries() if isinstance(entry, RelyingParty)]


async def log(ledger: Away, which: Log) -> list[LogEntry]:
    return [LogEntry.parse(raw) for raw in await ledger.entries(which, 0, 1000)]


async def kinds(ledger: Away, which: Log) -> list[Kind]:
    return [entry.kind for entry in await log(ledger, which)]


async def test_a_change_holds_when_a_second_governor_approves(registry: Registry, db: Db) -> None:
    proposal = await registry.propose(shop(), ONE)
    assert await shops(registry) == []
    assert await refusal(registry.approve(proposal, ONE)) is Code.NOT_ALLOWED
    assert await registry.approve(proposal, OTHER) == HOLDS
    assert await shops(registry) == [shop()]
    assert await refusal(registry.approve(proposal, THIRD)) is Code.CONFLICT
    assert await refusal(registry.approve("nothing", THIRD)) is Code.NOT_FOUND
    assert [e.event.action for e in await events_about(db, "shop")] == ["proposed", "approved", "entered"]
    assert await first_broken_link(db) is None


async def test_a_governor_is_who_the_log_says_by_key_and_not_by_name(registry: Registry) -> None:
    assert await refusal(registry.propose(shop(), STRANGER)) is Code.NOT_ALLOWED
    proposal = await registry.propose(shop(), ONE)
    for act in (registry.approve(proposal, STRANGER), registry.reject(proposal, STRANGER)):
        assert await refusal(act) is Code.NOT_ALLOWED
    renamed = Governor("somebody-else", ONE.signer)
    assert await refusal(registry.approve(proposal, renamed)) is Code.NOT_ALLOWED
    assert await refusal(registry.certify("shop", PublicKey.from_jwk(ONE.signer.jwk), Subject("S"), STRANGER)) is (
        Code.NOT_ALLOWED
    )
    for name in ("Kim", "kim ", "", "k" * 65, "김"):
        assert await refusal(registry.propose(shop(), Governor(name, ONE.signer))) is Code.MALFORMED


async def test_a_party_enters_the_log_by_both_governors_own_signatures(
    registry: Registry, ledger: Away, db: Db
) -> None:
    """Not even the operator could have made them: what the log names is the proposer's statement, which the other
    approved, over the very act."""
    proposal = await registry.propose(ISSUER, ONE)
    await registry.approve(proposal, OTHER)
    entry = (await log(ledger, Log.REGISTRY))[-1]
    assert entry.kind is Kind.PARTY
    signed = await ledger_store.statement(db, entry.statement)
    assert signed is not None and statement.read(signed, ORIGIN).voice == ONE.voice
    _, (first, second) = await registry.proposal(proposal)
    assert first.signed == signed and statement.read_approval(second.signed).voice == OTHER.voice
    assert statement.read_approval(second.signed).statement == entry.statement
    kept = await ledger_store.document(db, (await ledger.state()).parties[entry.subject].document)
    assert kept is not None and kept.body == document(ISSUER, proposal)


async def test_a_relying_party_enters_the_log_in_the_access_authoritys_voice(
    registry: Registry, ledger: Away, db: Db
) -> None:
    await registry.ensure([shop()], ONE, OTHER)
    entry = (await log(ledger, Log.ANCHORS))[-1]
    signed = await ledger_store.statement(db, entry.statement)
    assert entry.kind is Kind.READER and signed is not None
    assert statement.read(signed, ORIGIN).voice == Governor("access", ACCESS_CA.voice).voice


async def test_relying_parties_wait_for_an_access_authority(db: Db, clock: MovableClock, ledger: Away) -> None:
    bare = registry_on(db, clock, ledger)
    assert await refusal(bare.propose(shop(), ONE)) is Code.CONFLICT


async def test_as_many_governors_agree_as_the_log_asks_for(db: Db, clock: MovableClock) -> None:
    made = registry_on(db, clock, await founded(db, clock, threshold=3))
    proposal = await made.propose(ISSUER, ONE)
    assert await made.approve(proposal, OTHER) == Agreed(1)
    assert await refusal(made.approve(proposal, OTHER)) is Code.CONFLICT
    assert await made.entries() == ()
    assert await made.approve(proposal, THIRD) == HOLDS
    assert await made.entries() == (ISSUER,)


async def test_two_people_stand_behind_a_change_also_where_the_log_is_content_with_one(
    db: Db, clock: MovableClock
) -> None:
    made = registry_on(db, clock, await founded(db, clock, threshold=1))
    proposal = await made.propose(ISSUER, ONE)
    assert await refusal(made.approve(proposal, ONE)) is Code.NOT_ALLOWED
    assert await made.entries() == ()
    assert await made.approve(proposal, OTHER) == HOLDS


async def test_a_rejected_proposal_never_holds(registry: Registry) -> None:
    proposal = await registry.propose(shop(), ONE)
    await registry.reject(proposal, ONE)
    assert await refusal(registry.approve(proposal, OTHER)) is Code.CONFLICT
    assert (await shops(registry), await registry.waiting()) == ([], [])


async def test_a_proposal_made_against_an_older_state_is_refused(registry: Registry) -> None:
    await registry.ensure([shop()], ONE, OTHER)
    narrow = await registry.propose(shop("shop", b64u(b"n" * 32)), ONE)
    wide = await registry.propose(shop("shop", b64u(b"w" * 32)), ONE)
    await registry.approve(narrow, OTHER)
    assert await refusal(registry.approve(wide, OTHER)) is Code.CONFLICT
    assert await shops(registry) == [shop("shop", b64u(b"n" * 32))]


def as_json(entry: object) -> str:
    return msgspec.json.encode(entry).decode()


SHOWN = {
    "a shop, not a governor": ("relying_party", "shop", as_json(shop()), "governor"),
    "a shop, not another certificate": ("relying_party", "shop", as_json(shop(hash=b64u(bytes(31) + b"2"))), "shop"),
    "one shop by the name of another": ("relying_party", "other", as_json(shop()), "shop"),
    "a governor, not another": ("governor", "kim", as_json(THIRD.signer.kid), "governor"),
    "a policy, not another": ("policy", "policy", as_json("quorum none\n\n"), "policy"),
    "the end of an issuer, not a beginning": ("issuer", "issuer", None, "issuer"),
    "a key's end, not a policy": ("key", b64u(bytes(32)), None, "policy"),
}


@pytest.mark.parametrize("what", SHOWN)
async def test_nobody_approves_something_else_than_is_shown(registry: Registry, db: Db, what: str) -> None:
    """Whoever writes the registry's tables, or has a program of his own, may show one thing and have signed another."""
    kind, subject, entry, signed = SHOWN[what]
    made = {
        "governor": lambda: registry.propose_governor("kim", PublicKey.from_jwk(STRANGER.signer.jwk), ONE),
        "policy": lambda: registry.propose_policy("quorum none\n", 2, 0, ONE),
        "shop": lambda: registry.propose(shop(), ONE),
        "issuer": lambda: registry.propose(ISSUER, ONE),
    }
    true, [vote] = await registry.proposal(await made[signed]())
    await db.write(lambda tx: put_in(tx, Proposal("false", kind, subject, entry, 0, ONE.id, START), vote))
    assert await refusal(registry.approve("false", OTHER)) is Code.NOT_ALLOWED
    assert await registry.approve(true.id, OTHER) == HOLDS


async def put_in(tx: Tx, proposed: Proposal, vote: Vote) -> None:
    await store.add_proposal(tx, proposed)
    await store.add_vote(tx, proposed.id, 0, vote, START)


async def test_two_approvals_at_once_decide_once(registry: Registry, ledger: Away) -> None:
    proposal = await registry.propose(shop(), ONE)
    outcomes = await asyncio.gather(
        *(registry.approve(proposal, by) for by in (OTHER, THIRD, OTHER)), return_exceptions=True
    )
    assert sorted(type(o).__name__ for o in outcomes) == ["Agreed", "Refused", "Refused"]
    assert len(await registry.history()) == 2  # with the access authority's
    assert await kinds(ledger, Log.ANCHORS) == [Kind.READER]


async def test_one_certificate_is_one_relying_party(registry: Registry) -> None:
    await registry.ensure([shop("one")], ONE, OTHER)
    other = await registry.propose(shop("two"), ONE)
    assert await refusal(registry.approve(other, OTHER)) is Code.CONFLICT


@pytest.mark.parametrize("address", ["https://a.test/status/", "https://a.test/", "https://a.test/status/of/two/"])
async def test_below_one_address_lie_one_issuers_status_lists(registry: Registry, address: str) -> None:
    """Else checkers would refuse every pack from then on: nobody could say whose a list is."""
    await registry.ensure([ISSUER], ONE, OTHER)
    other = await registry.propose(msgspec.structs.replace(ISSUER, id="two", status_prefix=address), ONE)
    assert await refusal(registry.approve(other, OTHER)) is Code.CONFLICT
    fine = msgspec.structs.replace(ISSUER, id="two", status_prefix="https://a.test/status-of-two/")
    assert await registry.ensure([fine], ONE, OTHER) == 1


async def test_a_stolen_certificate_is_never_registered_again(registry: Registry) -> None:
    """Whoever stole its key would ask in the relying party's name once more."""
    await registry.ensure([shop()], ONE, OTHER)
    stolen = await registry.propose_removal("relying_party", "shop", ONE, Reason.COMPROMISED)
    await registry.approve(stolen, OTHER)
    assert await refusal(registry.propose(shop(), ONE)) is Code.CONFLICT
    await registry.ensure([shop(hash=b64u(bytes(31) + b"1"))], ONE, OTHER)


async def test_a_replaced_registration_is_taken_back_in_the_log(registry: Registry, ledger: Away) -> None:
    """Its document is not believed any more; the certificate, which stays the same, goes on being its shop's."""
    await registry.ensure([shop()], ONE, OTHER)
    wider = shop("shop", HASH, purpose("adult_by_year", "name"))
    await registry.ensure([wider], ONE, OTHER)
    assert await kinds(ledger, Log.ANCHORS) == [Kind.READER, Kind.READER]
    [gone] = (await registry.published()).list.revoked_readers
    assert (gone.x509_hash, gone.reason) == (HASH, Why.SUPERSEDED)
    assert (await registry.published()).list.asker(HASH) == wider


async def test_a_relying_party_can_be_struck_off_and_come_back(registry: Registry, ledger: Away) -> None:
    assert await refusal(registry.propose_removal("relying_party", "shop", ONE)) is Code.NOT_FOUND
    assert await refusal(registry.propose_removal("king", "shop", ONE)) is Code.MALFORMED
    await registry.ensure([shop()], ONE, OTHER)
    proposal = await registry.propose_removal("relying_party", "shop", ONE, Reason.WITHDRAWN)
    assert await registry.approve(proposal, OTHER) == HOLDS
    assert await shops(registry) == []
    assert await kinds(ledger, Log.REGISTRY) == [Kind.GOVERNOR] * 3 + [Kind.POLICY, Kind.PARTY, Kind.READER_REVOKED]
    listed = (await registry.published()).list
    with pytest.raises(Refused) as caught:
        listed.asker(HASH)
    assert caught.value.code is Code.SIGNER_REVOKED
    await registry.ensure([shop()], ONE, OTHER)
    assert await shops(registry) == [shop()]


async def test_a_party_struck_off_never_comes_back_under_its_id(registry: Registry) -> None:
    await registry.ensure(PARTIES, ONE, OTHER)
    removal = await registry.propose_removal("issuer", "issuer", ONE)
    assert await registry.approve(removal, OTHER) == HOLDS
    assert ISSUER not in await registry.entries()
    with pytest.raises(Refused) as caught:
        await registry.propose(ISSUER, ONE)
    assert caught.value.code is Code.LEDGER_RULE and "new id" in caught.value.detail
    again = msgspec.structs.replace(ISSUER, id="issuer-2")
    await registry.ensure([again], ONE, OTHER)
    assert again in await registry.entries()


async def test_governors_revoke_a_partys_certificate(registry: Registry, ledger: Away, clock: MovableClock) -> None:
    voice = Signer.ephemeral()
    await registry.ensure([msgspec.structs.replace(ISSUER, voice=voice.kid, logged=True)], ONE, OTHER)
    thumbprint = bytes(range(32))
    assert await refusal(registry.propose_key_revocation(thumbprint, ONE, Reason.COMPROMISED)) is Code.NOT_FOUND
    await enter(ledger, clock, voice, thumbprint)
    clock.advance(hours=2)
    since = int(clock.now().timestamp()) - 3600
    proposal = await registry.propose_key_revocation(thumbprint, ONE, Reason.COMPROMISED, since)
    assert await registry.approve(proposal, OTHER) == HOLDS
    [signer] = (await registry.published()).list.signers
    assert (signer.since, signer.reason) == (since, Why.COMPROMISED)
    assert await refusal(registry.propose_key_revocation(thumbprint, ONE, Reason.CEASED)) is Code.CONFLICT


async def test_governors_are_replaced_by_governors(registry: Registry, ledger: Away) -> None:
    """So that the founding keys, which lay on one machine, need not govern for ever."""
    newcomer = Governor("kim", Signer.ephemeral())
    assert await refusal(registry.propose(shop(), newcomer)) is Code.NOT_ALLOWED
    key = PublicKey.from_jwk(newcomer.signer.jwk)
    assert await registry.approve(await registry.propose_governor("kim", key, ONE), OTHER) == HOLDS
    await registry.ensure([shop()], newcomer, OTHER)
    gone = await registry.propose_governor("governor-1", PublicKey.from_jwk(ONE.signer.jwk), OTHER, standing=False)
    assert await registry.approve(gone, newcomer) == HOLDS
    assert await refusal(registry.propose(ISSUER, ONE)) is Code.NOT_ALLOWED
    assert (await ledger.state()).standing == 3


async def test_a_governor_is_not_retired_below_the_threshold(db: Db, clock: MovableClock) -> None:
    made = registry_on(db, clock, await founded(db, clock, governors=(ONE, OTHER)))
    proposal = await made.propose_governor("governor-1", PublicKey.from_jwk(ONE.signer.jwk), OTHER, standing=False)
    assert (await made.approve(proposal, ONE)).rule == "governor terms"


async def test_another_policy_is_agreed_on_and_its_text_is_there_before_the_log_names_it(
    registry: Registry, ledger: Away, db: Db
) -> None:
    policy = "# another\nquorum none\n"
    assert await refusal(registry.propose_policy("no policy", 2, 0, ONE)) is Code.MALFORMED
    assert await registry.approve(await registry.propose_policy(policy, 3, 60, ONE), OTHER) == HOLDS
    state = await ledger.state()
    assert (state.threshold, state.delay) == (3, 60)
    kept = await ledger_store.document(db, state.policy.document)
    assert kept is not None and kept.body.decode() == policy
    shop_proposal = await registry.propose(shop(), ONE)
    assert await registry.approve(shop_proposal, OTHER) == Agreed(1)


async def enter(ledger: Away, clock: MovableClock, voice: Signer, thumbprint: bytes) -> None:

    await Voice("issuer:issuer", voice, ORIGIN, ledger.submit, clock).enter_thumbprint(
        thumbprint, Use.DOCUMENT_SIGNER, START.replace(year=2027)
    )


# --- a ledger that is away --------------------------------------------------------------------------------------------


async def test_what_was_agreed_on_while_the_log_was_away_holds_once_it_is_back(
    registry: Registry, ledger: Away
) -> None:
    """The list stays as it is meanwhile, nobody has to sign again, and the order is that of the decisions."""
    before = (await registry.published()).list
    ledger.away = True
    one, two = shop("one"), shop("one", b64u(b"2" * 32))
    for entry in (one, two):
        assert await registry.approve(await registry.propose(entry, ONE), OTHER) == Agreed(0, holds=False)
    assert [change.subject for change in await registry.unsettled()] == ["one", "one"]
    assert (await registry.published()).list.relying_parties == before.relying_parties == ()
    assert await refusal(registry.hand_over()) is Code.UNAVAILABLE
    ledger.away = False
    await registry.hand_over()
    assert await registry.unsettled() == []
    assert await shops(registry) == [two]
    assert await registry.ensure([two], ONE, OTHER) == 0


async def test_a_country_can_be_founded_while_the_log_is_away(registry: Registry, ledger: Away) -> None:
    ledger.away = True
    assert await registry.ensure([ISSUER, PROVIDER, shop()], ONE, OTHER) == 3
    assert await registry.ensure([ISSUER, PROVIDER, shop()], ONE, OTHER) == 0
    ledger.away = False
    await registry.hand_over()
    assert set(await registry.entries()) == {ISSUER, PROVIDER, ACCESS, shop()}


async def test_founding_waits_for_the_access_authority_to_be_final(db: Db, clock: MovableClock, ledger: Away) -> None:
    """A log whose blocks take their time: shops come after who answers for them."""
    ledger.away = True
    made = registry_on(db, clock, ledger)

    async def back() -> None:
        await ledger.asked.wait()
        ledger.away = False

    await asyncio.gather(made.ensure([ACCESS, shop()], ONE, OTHER), back())
    assert await shops(made) == [shop()]


async def test_an_answer_of_the_log_that_was_lost_changes_nothing(registry: Registry, ledger: Away) -> None:
    ledger.lost = ledger.away = True
    assert await registry.approve(await registry.propose(shop(), ONE), OTHER) == Agreed(0, holds=False)
    assert await kinds(ledger, Log.ANCHORS) == [Kind.READER]  # it has it
    ledger.lost = ledger.away = False
    await registry.hand_over()
    assert await kinds(ledger, Log.ANCHORS) == [Kind.READER]
    assert (await shops(registry), await registry.unsettled()) == ([shop()], [])


async def test_a_change_the_log_refuses_says_so_and_holds_up_nobody(
    registry: Registry, ledger: Away, clock: MovableClock, db: Db
) -> None:
    """Agreed on in time, handed over when it had run out: the rules of the log are the last word."""
    ledger.away = True
    late = await registry.propose(shop("late"), ONE)
    await registry.approve(late, OTHER)
    other = await registry.propose(ISSUER, ONE)
    await registry.approve(other, OTHER)
    clock.advance(days=366)
    ledger.away = False
    await registry.hand_over()
    assert await registry.unsettled() == []
    assert (await shops(registry), (await registry.published()).list.issuers) == ([], (ISSUER,))
    change, _ = await registry.proposal(late)
    assert (change.holds, change.rule) == (False, "terms")
    assert [e.event.action for e in await events_about(db, "late")] == ["proposed", "approved", "refused"]
    await registry.ensure([shop("late")], ONE, OTHER)  # and it can be asked for again
    assert await shops(registry) == [shop("late")]


async def test_a_replayed_approval_is_good_for_one_proposal_only(registry: Registry, ledger: Away) -> None:
    """An approval names the statement; handed in for another act the log refuses it."""
    proposal = await registry.propose(ISSUER, ONE)
    await registry.approve(proposal, OTHER)
    approval = (await registry.proposal(proposal))[1][1].signed
    other = await registry.propose(PROVIDER, ONE)
    act = statement.read((await registry.proposal(other))[1][0].signed)
    wanted = act.act(statement.digest((await registry.proposal(other))[1][0].signed))
    assert await refusal(ledger.submit(wanted, approval)) is Code.NOT_ALLOWED


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (shop("shop", HASH, purpose("resident_number")), Code.OVER_ASKING),
        (shop("shop", "short"), Code.MALFORMED),
        (shop("shop", HASH, purpose("name"), purpose("name")), Code.MALFORMED),
        (shop("shop", HASH, purpose()), Code.MALFORMED),
        (shop("Shop One"), Code.MALFORMED),
        (msgspec.structs.replace(shop(), purposes=()), Code.MALFORMED),
        (msgspec.structs.replace(ISSUER, ca=()), Code.BAD_CERTIFICATE),
        (msgspec.structs.replace(ISSUER, ca=(b"no",)), Code.BAD_CERTIFICATE),
        (msgspec.structs.replace(ISSUER, status_prefix="https://a.test/status"), Code.MALFORMED),
        (msgspec.structs.replace(ISSUER, vcts=(), doctypes=()), Code.MALFORMED),
        (msgspec.structs.replace(PROVIDER, ca=(b"no",)), Code.BAD_CERTIFICATE),
    ],
)
async def test_an_unsound_entry_is_not_even_a_proposal(registry: Registry, entry: Entry, code: Code) -> None:
    assert await refusal(registry.propose(entry, ONE)) is code
    assert await registry.waiting() == []


async def test_setting_up_twice_changes_nothing(registry: Registry) -> None:
    entries: list[Entry] = [*PARTIES, shop()]
    assert await registry.ensure(entries, ONE, OTHER) == 3
    assert await registry.ensure(entries, ONE, OTHER) == 0


async def test_the_signed_list_says_what_holds(registry: Registry, clock: MovableClock) -> None:
    await registry.ensure([*PARTIES, shop()], ONE, OTHER)
    published = await registry.published()
    read = TrustList.parse(published.token, registry.key, clock.now())
    assert (read.issuers, read.wallet_providers, read.relying_parties) == ((ISSUER,), (PROVIDER,), (shop(),))
    assert read.access_ca == (ACCESS_CA.der,)
    assert read.relying_party("shop") == read.asker(HASH) == shop()
    for lookup in (read.relying_party, read.asker):
        with pytest.raises(Refused) as caught:
            lookup("bank")
        assert caught.value.code is Code.UNKNOWN_RELYING_PARTY


async def test_the_list_is_cached_until_a_change_or_an_hour(registry: Registry, clock: MovableClock) -> None:
    first = await registry.published()
    clock.advance(minutes=59)
    assert await registry.published() is first
    await registry.ensure([shop()], ONE, OTHER)
    second = await registry.published()
    assert second.list.seq > first.list.seq and second.etag != first.etag
    clock.advance(hours=1)
    assert (await registry.published()).list.iat > second.list.iat


async def test_what_ends_by_itself_is_off_the_list_at_that_moment(registry: Registry, clock: MovableClock) -> None:
    await registry.ensure([shop()], ONE, OTHER)
    clock.advance(days=364, hours=23, minutes=59)
    assert len((await registry.published()).list.relying_parties) == 1
    clock.advance(minutes=1)
    assert (await registry.published()).list.relying_parties == ()


async def test_an_admission_takes_effect_after_the_logs_delay(db: Db, clock: MovableClock) -> None:
    made = registry_on(db, clock, await founded(db, clock, delay=3600))
    await made.ensure([ISSUER], ONE, OTHER)
    assert (await made.published()).list.issuers == ()
    clock.advance(hours=1)
    assert (await made.published()).list.issuers == (ISSUER,)


async def test_an_access_certificate_chains_to_the_authority(registry: Registry, db: Db, clock: MovableClock) -> None:
    key = Signer.ephemeral()
    der = await registry.certify("shop", PublicKey.from_jwk(key.jwk), Subject("Shop"), ONE)
    checked = check_chain([der], Anchors([ACCESS_CA.der]), clock.now(), Profile.ACCESS)
    assert checked.key.jwk == key.jwk
    row = await db.one("SELECT x509_hash, relying_party FROM access_certificate")
    assert row is not None and (row["x509_hash"], row["relying_party"]) == (x509_hash(der), "shop")


async def test_a_registration_ends_with_its_certificate(registry: Registry, ledger: Away, clock: MovableClock) -> None:
    der = await registry.certify("shop", PublicKey.from_jwk(Signer.ephemeral().jwk), Subject("Shop"), ONE)
    clock.advance(days=100)
    await registry.ensure([shop("shop", x509_hash(der))], ONE, OTHER)
    [reader] = (await ledger.state()).readers.values()
    assert reader.valid_until == int(START.timestamp()) + 365 * 86400


async def test_a_registry_without_an_authority_certifies_nobody(db: Db, clock: MovableClock, ledger: Away) -> None:
    bare = registry_on(db, clock, ledger, access=None)
    key = PublicKey.from_jwk(Signer.ephemeral().jwk)
    assert await refusal(bare.certify("shop", key, Subject("Shop"), ONE)) is Code.UNSUPPORTED


class FailingDb(Db):
    """Fails one write, before it or after it was kept."""

    def __init__(self, real: Db, kept: bool) -> None:
        self._real, self._kept = real, kept

    async def write(self, body: Body[T]) -> T:
        if self._kept:
            await self._real.write(body)
        raise ConnectionError("the database went away")

    async def all(self, sql: str, *args: Value) -> list[Row]:
        return await self._real.all(sql, *args)

    async def one(self, sql: str, *args: Value) -> Row | None:
        return await self._real.one(sql, *args)

    async def close(self) -> None:
        await self._real.close()


async def failing(registry: Registry, kept: bool, deed: Awaitable[object]) -> None:
    real = registry._db
    registry._db = FailingDb(real, kept)
    with pytest.raises(ConnectionError):
        await deed
    registry._db = real


@pytest.mark.parametrize("kept", [False, True])
async def test_a_proposal_that_failed_can_be_made_again(registry: Registry, db: Db, kept: bool) -> None:
    """Kept or not, a second proposal is harmless: only one of the two can be approved."""
    await failing(registry, kept, registry.propose(shop(), ONE))
    assert len(await registry.waiting()) == kept
    await registry.propose(shop(), ONE)
    outcomes = [await _approval(registry, p.id) for p in await registry.waiting()]
    assert outcomes == ([HOLDS, Code.CONFLICT] if kept else [HOLDS])
    assert (await shops(registry), await first_broken_link(db)) == ([shop()], None)


async def _approval(registry: Registry, id: str) -> Agreed | Code:
    try:
        return await registry.approve(id, OTHER)
    except Refused as refused:
        return refused.code


@pytest.mark.parametrize("kept", [False, True])
async def test_an_approval_that_failed_can_be_given_again(registry: Registry, db: Db, kept: bool) -> None:
    """Kept, the second approval says so and changes nothing."""
    proposal = await registry.propose(shop(), ONE)
    await failing(registry, kept, registry.approve(proposal, OTHER))
    assert (await registry.published()).list.relying_parties == ()
    assert await _approval(registry, proposal) == (Code.CONFLICT if kept else HOLDS)
    await registry.hand_over()  # as the outbox does
    assert (await registry.published()).list.relying_parties == (shop(),)
    assert await first_broken_link(db) is None


@pytest.mark.parametrize("kept", [False, True])
async def test_a_certificate_that_failed_counts_for_nothing(registry: Registry, db: Db, kept: bool) -> None:
    """No entry names its hash, so nobody may ask with it; another is issued."""
    key = PublicKey.from_jwk(Signer.ephemeral().jwk)
    await failing(registry, kept, registry.certify("shop", key, Subject("Shop"), ONE))
    assert len(await db.all("SELECT x509_hash FROM access_certificate")) == kept
    assert (await registry.published()).list.relying_parties == ()
    assert await registry.certify("shop", key, Subject("Shop"), ONE)


async def test_processes_that_start_together_set_up_one_country(db: Db, clock: MovableClock) -> None:
    """Each founds the same entries; whoever is second finds them there and starts all the same."""
    ledger, signer = await founded(db, clock), Signer.ephemeral()
    processes = [registry_on(db, clock, ledger, signer=signer, dice=SeededDice(seed)) for seed in range(4)]
    entries = (ISSUER, PROVIDER, ACCESS, shop())
    await asyncio.gather(*(process.ensure(entries, ONE, OTHER) for process in processes))
    assert set(await processes[0].entries()) == set(entries)
    assert len([kind for kind in await kinds(Away(ledger), Log.REGISTRY) if kind is Kind.PARTY]) == 3
    assert await processes[0].waiting() == []
