"""The trust list from the log itself: what stands there, is live now, and has its document."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from logged import NOW, Country
from mapae.errors import Code, Refused
from mapae.formats.jose import b64u, unb64u
from mapae.formats.x509 import Subject, root
from mapae.keys import Signer as KeySigner
from mapae.rules import Words
from mapae.trust import entries
from mapae.trust.entries import AccessAuthority, Entry, Issuer, Purpose, RelyingParty, WalletProvider
from mapae.trust.log import acts
from mapae.trust.log.entry import Log, Reason, Role
from mapae.trust.log.rules import State
from mapae.trust.publish import TrustList
from mapae.trust.replicated import standing
from mapae.trust.signers import Purpose as Use
from mapae.trust.signers import Reason as Why

WORDS = Words(ko="가", en="A")
AT = datetime.fromtimestamp(NOW, UTC)
CA, SECOND = (
    root(Subject("CA"), KeySigner.ephemeral(), serial=serial, not_before=AT - timedelta(days=1),
         not_after=AT + timedelta(days=99))
    for serial in (1, 2)
)  # fmt: skip
ISSUER = Issuer(id="issuer", name=WORDS, ca=(CA, SECOND), vcts=("urn:x",), doctypes=(), logged=True,
                status_prefix="https://a.test/status/")  # fmt: skip
PROVIDER = WalletProvider(id="wallet", name=WORDS, ca=(CA,))
ACCESS = AccessAuthority(id="access", name=WORDS, ca=(CA,))
ASKS = Purpose(id="age", name=WORDS, why=WORDS, legal_basis=WORDS, items=("adult",), retention=WORDS)
SHOP = RelyingParty(id="shop", name=WORDS, x509_hash=b64u(sha256(b"shop").digest()), purposes=(ASKS,))
LIFE = timedelta(days=1)
ROLES = {Issuer: Role.ISSUER | Role.STATUS, WalletProvider: Role.WALLET_PROVIDER, AccessAuthority: Role.REGISTRAR}


@dataclass
class Land:
    """A log with documents; `put` has the governors admit a party."""

    country: Country = field(default_factory=Country)
    documents: dict[bytes, bytes] = field(default_factory=dict)

    def put(self, entry: Entry, **change: Any) -> str:
        raw = entries.document(entry, "c1")
        self.documents[sha256(raw).digest()] = raw
        name = entries.registry_id(entry)
        terms = {"roles": ROLES[type(entry)], "party": entries.digest_of(name), "document": sha256(raw).digest()}
        self.country.put_party(name, **{**terms, **change})
        return name

    def register(self, shop: RelyingParty, change: str = "c1") -> bytes:
        raw = entries.document(shop, change)
        digest = sha256(raw).digest()
        self.documents[digest] = raw
        registrar, certificate = entries.digest_of("access_ca:access"), unb64u(shop.x509_hash)
        act = acts.PutReader(registrar, digest, certificate, 0, NOW + 500, self.country.statement())
        self.country.apply(act, "access_ca:access")
        return digest

    def revoke_reader(self, reader: bytes, reason: Reason = Reason.WITHDRAWN) -> None:
        statement = self.country.statement()
        act = acts.RevokeReader(entries.digest_of("access_ca:access"), reader, reason, 0, statement)
        self.country.apply(act, "access_ca:access")

    def revoke_key(self, party: str, thumbprint: bytes, reason: Reason, since: int = 0) -> None:
        act = acts.RevokeKey(entries.digest_of(party), thumbprint, reason, since, self.country.statement())
        self.country.apply(act, party)

    def list(self, at: int = NOW) -> TrustList:
        now = datetime.fromtimestamp(at, UTC)
        return TrustList.of_replica(self.country.state, self.documents, now=now, life=LIFE)


@pytest.fixture
def land() -> Land:
    made = Land()
    for entry in (ISSUER, PROVIDER, ACCESS):
        made.put(entry)
    made.register(SHOP)
    return made


def test_what_stands_in_the_log_is_listed(land: Land) -> None:
    made = land.list()
    assert (made.issuers, made.wallet_providers, made.relying_parties) == ((ISSUER,), (PROVIDER,), (SHOP,))
    assert made.access_ca == (CA,)
    assert made.seq == land.country.state.size(Log.REGISTRY) + 1


def test_a_list_from_the_log_can_be_signed_and_read(land: Land) -> None:
    land.country.put_key("issuer:issuer", "ds", thumbprint=sha256(b"ds").digest())
    land.revoke_reader(land.register(msgspec.structs.replace(SHOP, id="gone")))
    signer = KeySigner.ephemeral()
    assert TrustList.parse(land.list().sign(signer), signer.jwk, AT) == land.list()


def test_a_party_without_a_sound_document_of_its_own_is_left_out(land: Land) -> None:
    """The governors may name what nobody handed in; the rest of the country goes on."""
    state = land.country.state
    for break_ in (
        land.documents.pop,
        lambda digest: land.documents.update({digest: b"{}"}),
        lambda digest: land.documents.update({digest: entries.document(PROVIDER, "c1")}),
    ):
        kept = dict(land.documents)
        break_(state.parties[entries.digest_of("issuer:issuer")].document)
        assert (land.list().issuers, land.list().wallet_providers) == ((), (PROVIDER,))
        land.documents = kept


def test_a_party_admitted_for_something_else_is_left_out(land: Land) -> None:
    land.put(msgspec.structs.replace(ISSUER, id="other"), roles=Role.AUDIT)
    assert land.list().issuers == (ISSUER,)


def test_a_party_is_listed_while_it_is_live(land: Land) -> None:
    made = Land(Country(delay=60))
    made.put(ISSUER)
    assert made.list().issuers == ()
    assert made.list(NOW + 60).issuers == (ISSUER,)
    assert made.list(NOW + 1000).issuers == ()


def test_a_party_struck_off_is_gone_and_a_registrar_takes_its_relying_parties_along(land: Land) -> None:
    land.country.vote(acts.RevokeParty(entries.digest_of("access_ca:access"), Reason.CEASED, land.country.statement()))
    assert (land.list().access_ca, land.list().relying_parties) == ((), ())


def test_the_newer_of_two_registrations_counts_and_the_older_once_replaced_is_named(land: Land) -> None:
    wider = msgspec.structs.replace(SHOP, name=Words(ko="나", en="B"))
    first = sha256(entries.document(SHOP, "c1")).digest()
    land.register(wider, "c2")
    assert land.list().relying_parties == (wider,)
    land.revoke_reader(first, Reason.SUPERSEDED)
    made = land.list()
    assert made.relying_parties == (wider,)
    assert [(one.reader, one.reason) for one in made.revoked_readers] == [(b64u(first), Why.SUPERSEDED)]
    assert made.asker(SHOP.x509_hash) == wider


def test_a_revoked_registration_is_told_apart_from_none(land: Land) -> None:
    land.revoke_reader(sha256(entries.document(SHOP, "c1")).digest())
    with pytest.raises(Refused) as refused:
        land.list().asker(SHOP.x509_hash)
    assert refused.value.code is Code.SIGNER_REVOKED


def test_signers_come_with_their_terms_and_their_end(land: Land) -> None:
    for key in ("ds", "old"):
        land.country.put_key("issuer:issuer", key, thumbprint=sha256(key.encode()).digest())
    land.country.put_key("issuer:issuer", "lists", thumbprint=sha256(b"lists").digest(), purpose=3)
    land.revoke_key("issuer:issuer", sha256(b"old").digest(), Reason.COMPROMISED, NOW - 3600)
    listed = {one.x5t: one for one in land.list().signers}
    old = listed[b64u(sha256(b"old").digest())]
    assert (old.since, old.revoked_at, old.reason) == (NOW - 3600, NOW, Why.COMPROMISED)
    assert listed[b64u(sha256(b"ds").digest())].purpose is Use.DOCUMENT_SIGNER
    assert listed[b64u(sha256(b"lists").digest())].purpose is Use.STATUS_SIGNER
    assert land.list(NOW + 500).signers == ()  # over, and so is every certificate of theirs
    assert land.list().signers_of(PROVIDER) is None  # it enters none


@pytest.mark.parametrize(("reason", "left"), [(Reason.COMPROMISED, (SECOND,)), (Reason.SUPERSEDED, (CA, SECOND))])
def test_a_stolen_authority_certifies_nobody_a_superseded_one_still_does(
    land: Land, reason: Reason, left: tuple[bytes, ...]
) -> None:
    land.country.put_key("issuer:issuer", "ca", thumbprint=sha256(CA).digest(), purpose=1)
    land.revoke_key("issuer:issuer", sha256(CA).digest(), reason)
    assert land.list().issuers[0].ca == left


def test_an_issuer_whose_every_authority_is_stolen_is_off_the_list(land: Land) -> None:
    for name, der in (("one", CA), ("two", SECOND)):
        land.country.put_key("issuer:issuer", name, thumbprint=sha256(der).digest(), purpose=1)
        land.revoke_key("issuer:issuer", sha256(der).digest(), Reason.COMPROMISED)
    assert land.list().issuers == ()


def test_a_replica_of_the_registry_log_alone_knows_parties_and_who_may_not_ask(land: Land) -> None:
    gone = sha256(entries.document(SHOP, "c1")).digest()
    land.revoke_reader(gone)
    alone = State()
    for raw in land.country.raw[Log.REGISTRY]:
        alone.fold(Log.REGISTRY, raw)
    made = TrustList.of_replica(alone, land.documents, now=AT, life=LIFE)
    assert (made.issuers, made.relying_parties) == ((ISSUER,), ())
    assert [(one.reader, one.x509_hash) for one in made.revoked_readers] == [(b64u(gone), None)]


def test_the_next_moment_at_which_something_changes_by_itself_is_known(land: Land) -> None:
    assert standing(land.country.state, land.documents, NOW).until == NOW + 500  # the shop's registration
    assert standing(land.country.state, land.documents, NOW + 500).until == NOW + 1000  # the parties
    assert standing(land.country.state, land.documents, NOW + 1000).until is None


@pytest.mark.parametrize("entry", [ISSUER, PROVIDER, ACCESS, SHOP], ids=["issuer", "provider", "access", "shop"])
def test_a_document_has_one_spelling(entry: Entry) -> None:
    raw = entries.document(entry, "c1")
    assert entries.read_document(raw) == entry
    for other in (
        raw + b" ",
        raw.replace(b'"change"', b' "change"'),
        raw.replace(b'"c1"', b"1"),
        b"[]",
        b'{"kind":"x"}',
    ):
        with pytest.raises(Refused):
            entries.read_document(other)
