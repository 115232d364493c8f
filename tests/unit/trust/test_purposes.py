"""What a phone keeps of the country's law: signed, in date, and never more than yes or no for just anyone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from mapae.catalog import parse_country
from mapae.clock import MovableClock
from mapae.config import country_tree
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey, sign_jws
from mapae.keys import Signer
from mapae.trust.purposes import TYPE, Purposes, PurposesDocument
from mapae.trust.purposes_web import routes
from mapae.ui.site import application

START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
KEY = Signer.ephemeral()
PINNED = PublicKey.from_jwk(KEY.jwk)
KR = parse_country(country_tree("kr"))


def parse(token: str, now: datetime = START) -> PurposesDocument:
    return PurposesDocument.parse(token, PINNED, now)


@pytest.mark.parametrize("country", ["kr", "demo"])
def test_every_purpose_of_a_pack_that_phones_can_answer_is_in_it(country: str) -> None:
    pack = parse_country(country_tree(country))
    read = parse(PurposesDocument.of(pack, START).sign(KEY))
    answerable = {id for id, one in pack.purposes.items() if pack.documents[one.document].formats is not None}
    assert {one.id for one in read.purposes} == answerable
    for one in read.purposes:
        behind = pack.purposes[one.id]
        assert (one.items, one.anyone, one.by_holder, one.risk) == (
            behind.items, behind.anyone, behind.by_holder, behind.risk
        )  # fmt: skip
        assert set(one.kinds) == set(one.labels) == set(one.items) and one.document.id == behind.document


def test_it_holds_for_thirty_days_from_the_days_start() -> None:
    read = parse(PurposesDocument.of(KR, START).sign(KEY))
    assert (read.iat, read.exp - read.iat) == (int(START.replace(hour=0).timestamp()), 30 * 86400)
    assert read.purpose("alcohol_tobacco").kinds == {"adult_by_year": "yes_no"}
    with pytest.raises(Refused) as refused:
        read.purpose("curiosity")
    assert refused.value.code is Code.NOT_FOUND


def _claims(purpose: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = msgspec.to_builtins(PurposesDocument.of(KR, START))
    adult = next(one for one in made["purposes"] if one["id"] == "alcohol_tobacco")
    return {**made, "purposes": [adult | (purpose or {})], **changes}


def _token(purpose: dict[str, Any] | None = None, **changes: Any) -> str:
    return sign_jws(KEY, {"typ": TYPE}, _claims(purpose, **changes))


WORDS = {"ko": "이름", "en": "Name"}
BENT: dict[str, tuple[str, Code]] = {
    "another key": (PurposesDocument.of(KR, START).sign(Signer.ephemeral()), Code.BAD_SIGNATURE),
    "another type": (sign_jws(KEY, {"typ": "mapae-trust-list+jwt"}, _claims()), Code.MALFORMED),
    "over": (_token(exp=int(START.timestamp()) - 61), Code.EXPIRED),
    "of tomorrow": (_token(iat=int(START.timestamp()) + 3600), Code.NOT_YET_VALID),
    "without an end": (_token(exp=None), Code.MALFORMED),
    "a purpose twice": (_token(purposes=_claims()["purposes"] * 2), Code.MALFORMED),
    "a name for anyone": (_token({"items": ["name"], "kinds": {"name": "text"}, "labels": {"name": WORDS}}),
                          Code.MALFORMED),
    "high risk, unasked": (_token({"risk": "high"}), Code.MALFORMED),
    "no item": (_token({"items": [], "kinds": {}, "labels": {}}), Code.MALFORMED),
    "an item without words": (_token({"labels": {}}), Code.MALFORMED),
    "a kind too many": (_token({"kinds": {"adult_by_year": "yes_no", "name": "text"}}), Code.MALFORMED),
    "a kind nobody knows": (_token({"kinds": {"adult_by_year": "boolean"}}), Code.MALFORMED),
    "a document of no format": (_token({"document": {"id": "x", "name": WORDS}}), Code.MALFORMED),
}  # fmt: skip


@pytest.mark.parametrize("what", sorted(BENT))
def test_a_bent_document_is_refused(what: str) -> None:
    assert parse(_token()).purposes[0].id == "alcohol_tobacco"  # the unbent one passes
    token, code = BENT[what]
    with pytest.raises(Refused) as refused:
        parse(token)
    assert refused.value.code is code


async def test_the_door_gives_it_to_anyone_and_says_when_nothing_changed() -> None:
    clock = MovableClock(START)
    app = application(routes(Purposes(KR, KEY, clock)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://mapae.test") as web:
        answer = await web.get("/trust/purposes")
        assert answer.headers["content-type"] == "application/jwt"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert parse(answer.text) == PurposesDocument.of(KR, START)
        known = {"If-None-Match": answer.headers["etag"]}
        again = await web.get("/trust/purposes", headers=known)
        assert (again.status_code, again.content) == (304, b"")
        other = application(routes(Purposes(KR, KEY, clock)))  # another process: signed anew, the same said
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=other), base_url="http://mapae.test") as second:
            assert (await second.get("/trust/purposes", headers=known)).status_code == 304
        clock.advance(days=1)
        tomorrow = await web.get("/trust/purposes", headers=known)
        assert tomorrow.status_code == 200
        assert parse(tomorrow.text, clock.now()).iat == int((START + timedelta(days=1)).replace(hour=0).timestamp())
