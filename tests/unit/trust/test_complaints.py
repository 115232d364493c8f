"""A complaint stands on what the relying party signed itself, and on nothing about the person who was asked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from mapae.clock import MovableClock
from mapae.db import Db
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey, b64u, sign_jws, unb64u, x5c_header
from mapae.formats.x509 import Profile, Subject, leaf, root, x509_hash
from mapae.keys import Signer
from mapae.rules import Words
from mapae.trust.complaints import KINDS, MORE, OLD, TYPE, Complaints, beyond
from mapae.trust.entries import AskedOf
from mapae.trust.publish import AccessAuthority, Purpose, RelyingParty, TrustList

START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
AT = int(START.timestamp())
BOTH = Words(ko="가", en="a")
CA, READER, STRANGER = Signer.ephemeral(), Signer.ephemeral(), Signer.ephemeral()


def authority(key: Signer) -> bytes:
    day, soon = START - timedelta(days=1), START + timedelta(days=99)
    return root(Subject("CA"), key, serial=1, not_before=day, not_after=soon)


def certificate(key: Signer, serial: int) -> bytes:
    day, soon = START - timedelta(days=1), START + timedelta(days=99)
    who = Subject("Shop", organization="Shop", country="KR")
    return leaf(Profile.ACCESS, who, PublicKey.from_jwk(key.jwk), ca=CA, ca_der=CA_DER, serial=serial, not_before=day,
                not_after=soon)  # fmt: skip


CA_DER = authority(CA)
DER = certificate(READER, 2)
SHOP = RelyingParty(id="shop", name=BOTH, x509_hash=x509_hash(DER), purposes=(
    Purpose(id="adult", name=BOTH, why=BOTH, legal_basis=BOTH, items=("adult_by_year",), retention=BOTH),
))  # fmt: skip
LIST = TrustList.of([SHOP, AccessAuthority(id="access", name=BOTH, ca=(CA_DER,))], seq=1, now=START,
                    life=timedelta(days=1))  # fmt: skip


def asked(*items: str, signer: Signer = READER, typ: str = TYPE, der: bytes = DER, **changes: Any) -> str:
    query = {"credentials": [{"id": "c", "format": "dc+sd-jwt", "meta": {"vct_values": ["urn:x"]},
                              "claims": [{"path": [item]} for item in items]}]}  # fmt: skip
    claims = {"dcql_query": query, "mapae_purpose": "adult", "exp": AT + 300, "nonce": "n" * 22, **changes}
    said = {name: value for name, value in claims.items() if value is not None}
    return sign_jws(signer, {"typ": typ, "x5c": x5c_header((der,))}, said)


@pytest.mark.parametrize(
    ("evidence", "found"),
    [
        (asked("adult_by_year", "name"), ("adult", ("name",))),
        (asked("name\x1b[2J"), ("adult", ("name?[2J",))),
        (asked("name", mapae_purpose="curiosity"), ("curiosity", ())),
        (asked("name", mapae_purpose=None), ("", ("name",))),
        (asked("name", mapae_purpose="<b>"), ("", ("name",))),
    ],
    ids=["an item", "an item that clears a terminal", "a purpose", "no purpose named", "a purpose that is no word"],
)  # fmt: skip
def test_what_goes_beyond_the_registration_is_found_again_here(evidence: str, found: tuple[str, Any]) -> None:
    assert beyond(evidence, LIST, START) == ("shop", *found)


REFUSED: dict[str, tuple[str, Code]] = {
    "no more than is registered": (asked("adult_by_year"), Code.NOT_FOUND),
    "signed by somebody else": (asked("name", signer=STRANGER), Code.BAD_SIGNATURE),
    "nobody on the list": (asked("name", signer=STRANGER, der=certificate(STRANGER, 3)), Code.UNKNOWN_RELYING_PARTY),
    "another type": (asked("name", typ="JWT"), Code.MALFORMED),
    "long over": (asked("name", exp=AT - int(OLD.total_seconds()) - 1), Code.EXPIRED),
    "no end": (asked("name", exp=None), Code.EXPIRED),
    "an end that is none": (asked("name", exp=True), Code.EXPIRED),
    "no query": (asked("name", dcql_query=None), Code.MALFORMED),
}


@pytest.mark.parametrize("what", sorted(REFUSED))
def test_nobody_is_slandered(what: str) -> None:
    evidence, code = REFUSED[what]
    with pytest.raises(Refused) as refused:
        beyond(evidence, LIST, START)
    assert refused.value.code is code


def test_items_of_a_document_that_is_not_registered_go_beyond_it_too() -> None:
    """A card of another type has a name as well: which document was agreed to is part of the registration."""
    named = replace(SHOP, purposes=(replace(SHOP.purposes[0], document=AskedOf(vct="urn:y")),))
    listed = replace(LIST, relying_parties=(named,))
    assert beyond(asked("adult_by_year"), listed, START) == ("shop", "adult", ("adult_by_year",))
    bare = {"credentials": [{"id": "c", "format": "dc+sd-jwt", "meta": {"vct_values": ["urn:x"]}}]}
    assert beyond(asked(dcql_query=bare), listed, START) == ("shop", "adult", ("*",)), "whether there is such a card"
    same = replace(named, purposes=(replace(named.purposes[0], document=AskedOf(vct="urn:x")),))
    with pytest.raises(Refused) as refused:
        beyond(asked("adult_by_year"), replace(LIST, relying_parties=(same,)), START)
    assert refused.value.code is Code.NOT_FOUND


async def test_the_same_request_counts_once_and_another_again(migrated: Callable[[str], Any]) -> None:
    db: Db = await migrated("trust")
    clock = MovableClock(START)

    async def listed() -> TrustList:
        return LIST

    desk = Complaints(db, clock, listed)
    first, second = asked("adult_by_year", "name"), asked("adult_by_year", "name", nonce="m" * 22)
    assert await desk.report(first) == ("adult", ("name",))
    await desk.report(first)
    assert [one.reports for one in await desk.all()] == [1]
    clock.advance(days=1)
    await desk.report(second)
    [kept] = await desk.all()
    assert (kept.party, kept.reports, kept.evidence) == ("shop", 2, first)
    assert (kept.last_at - kept.first_at).days == 1


def desk_on(db: Db, clock: MovableClock) -> Complaints:
    async def listed() -> TrustList:
        return LIST

    return Complaints(db, clock, listed)


async def test_a_second_signature_over_the_same_request_counts_nothing(migrated: Callable[[str], Any]) -> None:
    """Of an ECDSA signature (r, s) anybody makes (r, n - s), which is as good: strangers would double a count."""
    desk, evidence = desk_on(await migrated("trust"), MovableClock(START)), asked("name")
    signed, _, signature = evidence.rpartition(".")
    raw = unb64u(signature)
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    turned = raw[:32] + (order - int.from_bytes(raw[32:])).to_bytes(32)
    for one in (evidence, f"{signed}.{b64u(turned)}"):
        assert await desk.report(one) == ("adult", ("name",))
    assert [one.reports for one in await desk.all()] == [1]


async def test_a_party_that_floods_its_own_list_hides_nothing(migrated: Callable[[str], Any]) -> None:
    """It signs as many kinds of requests as it likes; then nothing was counted any more, also no kind there was."""
    desk = desk_on(await migrated("trust"), MovableClock(START))
    for number in range(KINDS):
        await desk.report(asked(f"item_{number}"))
    await desk.report(asked("item_0", nonce="m" * 22))
    for name in ("name", "address"):
        await desk.report(asked(name))
    found = {one.items: one.reports for one in await desk.all()}
    assert len(found) == KINDS + 1 and found[("item_0",)] == 2 and found[MORE] == 2
