"""What no credential may be signed with: each rule broken once, named by its step."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest

from issuing import BASE, JPEG, MDOC, SD_JWT, START, korea, pack
from mapae.catalog import CardFacts, claim_values, expiry_date
from mapae.clock import SeededDice
from mapae.errors import Code, Refused
from mapae.formats import mdoc, sd_jwt
from mapae.formats.jose import PublicKey
from mapae.formats.status import StatusRef
from mapae.issuer.draft import Draft, Life, Place, draft_batch, life_of_copies, midnight
from mapae.issuer.lint import PORTRAIT_LIMIT, lint
from mapae.issuer.metadata import configurations
from mapae.keys import Signer
from mapae.registers.values import ClaimSet

ISSUER = f"{BASE}/issuer"
COUNTRY = korea()
TODAY = COUNTRY.today(START)
KEYS = [PublicKey.from_jwk(Signer.ephemeral().jwk) for _ in range(2)]
CARD = CardFacts("KR123456789012", TODAY, date(2029, 3, 1), "l" * 32)
RESIDENT = ClaimSet(
    person="p", name="홍지수", name_latin="HONG JISOO", birth_date=date(2001, 3, 9), sex="female", nationality="KOR",
    citizen=True, deceased_on=None,
    resident_number="010309-4234567", address="세종특별자치시 도움6로 11", portrait=JPEG, photo_taken=None,
    municipality=next(iter(COUNTRY.municipalities)),
    records={
        "driving_licence": {"classes": "1종 보통", "conditions": "없음", "valid_until": "2031-01-01", "number": "11-1"},
        "boat_licence": {"boats": "Sail", "valid_until": "2031-01-01"},
        "ward": {"name": "홍보람", "birth_date": "2018-02-03"},
    },
)  # fmt: skip


def drafted(configuration: str, **changed: Any) -> Draft:
    one = configurations(COUNTRY)[configuration]
    values = claim_values(COUNTRY, one.document, RESIDENT, CARD, TODAY)
    life = life_of_copies(COUNTRY, one.document, RESIDENT.birth_date, CARD.expiry_date, START)
    places = [Place(f"t{n}", key, StatusRef(f"{ISSUER}/status/l{n}", n)) for n, key in enumerate(KEYS)]
    dice = SeededDice(3)
    made: dict[str, Any] = {"values": values, "life": life, "places": places, "entropy": dice.bytes} | changed
    return draft_batch(
        one, made["values"], made["life"], made["places"], issuer=ISSUER, x5c=[b"0"], entropy=made["entropy"]
    )


def broken(draft: Draft) -> str | None:
    with pytest.raises(Refused) as refused:
        lint(draft, COUNTRY, ISSUER, START)
    assert refused.value.code is Code.LINT
    for secret in ("홍지수", "010309", "HONG"):
        assert secret not in refused.value.detail
    return refused.value.step


@pytest.mark.parametrize("configuration", [SD_JWT, MDOC])
def test_a_whole_draft_passes(configuration: str) -> None:
    lint(drafted(configuration), COUNTRY, ISSUER, START)


@pytest.mark.parametrize("name", ["kr", "demo"])
def test_every_document_of_every_pack_can_be_drafted(name: str) -> None:
    """The country is data: another one, in another time zone, passes the same rules."""
    country = pack(name)
    resident = msgspec.structs.replace(RESIDENT, municipality=next(iter(country.municipalities)))
    for one in configurations(country).values():
        today = country.today(START)
        card = CardFacts(f"{country.code}1", today, expiry_date(one.document, today), "l" * 32)
        values = claim_values(country, one.document, resident, card, today)
        life = life_of_copies(country, one.document, resident.birth_date, card.expiry_date, START)
        places = [Place(f"t{n}", key, StatusRef(f"{ISSUER}/status/l{n}", n)) for n, key in enumerate(KEYS)]
        draft = draft_batch(one, values, life, places, issuer=ISSUER, x5c=[b"0"], entropy=SeededDice(3).bytes)
        lint(draft, country, ISSUER, START)


@pytest.mark.parametrize("configuration", [SD_JWT, MDOC])
def test_items_sizes_and_dates(configuration: str) -> None:
    good = drafted(configuration)
    values = dict(good.values)
    for wrong, where in (
        ({k: v for k, v in values.items() if k != "name"}, "lint_items"),
        (values | {"shoe_size": "42"}, "lint_items"),
        (values | {"name": ""}, "lint_items"),
        (values | {"age_over_19": "yes"}, "lint_items"),
        (values | {"portrait": b"GIF89a"}, "lint_sizes"),
        (values | {"portrait": JPEG + bytes(PORTRAIT_LIMIT)}, "lint_sizes"),
        (values | {"address": "a" * 513}, "lint_sizes"),
        (values | {"expiry_date": TODAY + timedelta(days=3)}, "lint_dates"),
    ):
        assert broken(drafted(configuration, values=wrong)) == where
    start, end = good.life.start, good.life.end
    for life in (
        Life(start, start),
        Life(start + timedelta(days=1), end),
        Life(start, end + timedelta(days=1)),
        Life(start, end - timedelta(seconds=1)),
        Life(start + timedelta(minutes=1), end),
    ):
        assert broken(drafted(configuration, life=life)) == "lint_dates"
    assert broken(replace(good, copies=())) == "lint_items"


@pytest.mark.parametrize("configuration", [SD_JWT, MDOC])
def test_what_is_said_must_be_what_is_signed(configuration: str) -> None:
    """The bytes to be signed are read back; the record of a draft cannot differ from them."""
    good = drafted(configuration)
    first, second = good.copies
    assert broken(replace(good, copies=(replace(first, key=second.key), second))) == "lint_key"
    assert broken(replace(good, copies=(replace(first, status=second.status), second))) == "lint_status"
    assert broken(replace(good, values={**good.values, "name": "김민호"})) == "lint_items"
    other = replace(good, life=Life(good.life.start, good.life.end - timedelta(days=1)))
    assert broken(other) == "lint_dates"


@pytest.mark.parametrize("configuration", [SD_JWT, MDOC])
def test_copies_that_share_something_are_refused(configuration: str) -> None:
    good = drafted(configuration)
    same_key = [Place(f"t{n}", KEYS[0], StatusRef(f"{ISSUER}/status/l", n)) for n in range(2)]
    same_index = [Place(f"t{n}", key, StatusRef(f"{ISSUER}/status/l", 1)) for n, key in enumerate(KEYS)]
    for places in (same_key, same_index):
        assert broken(drafted(configuration, places=places)) == "lint_unlinkable"
    assert broken(replace(good, copies=(good.copies[0], good.copies[0]))) == "lint_unlinkable"
    assert broken(drafted(configuration, entropy=bytes)) == "lint_unlinkable"


def with_claims(claims: dict[str, Any]) -> Draft:
    """An SD-JWT draft made by hand, to put into it what our own drafting never would."""
    good = drafted(SD_JWT)
    copy, hidden = good.copies[0], {}
    for name, value in sd_jwt.SdJwt.parse(copy.complete(bytes(64))).peek().items():
        hidden[name] = sd_jwt.Hidden(value) if name in good.values else value
    body = sd_jwt.draft({"typ": "dc+sd-jwt"}, {k: v for k, v in {**hidden, **claims}.items() if v is not None},
                        entropy=SeededDice(9).bytes)  # fmt: skip
    return replace(good, copies=(replace(copy, body=body),))


@pytest.mark.parametrize(
    ("claims", "where"),
    [
        ({"name": "홍지수"}, "lint_open"),
        ({"sub": "p"}, "lint_open"),
        ({"iss": f"{ISSUER}/010309-4234567"}, "lint_open"),
        ({"iss": f"{ISSUER}/0103094234567"}, "lint_open"),
        ({"vct": "urn:other"}, "lint_type"),
        ({"iss": "https://elsewhere.test"}, "lint_type"),
        ({"exp": None}, "lint_dates"),
        ({"iat": int(START.timestamp())}, "lint_dates"),
    ],
)
def test_nothing_of_the_person_stands_in_the_open(claims: dict[str, Any], where: str) -> None:
    assert broken(with_claims(claims)) == where


def test_each_item_has_exactly_one_disclosure_and_each_disclosure_its_digest() -> None:
    """RFC 9901 7.1: a wallet would refuse a disclosure no digest covers, so we do not sign beside one."""
    good = drafted(SD_JWT)
    first, second = good.copies
    assert isinstance(first.body, sd_jwt.Draft) and isinstance(second.body, sd_jwt.Draft)
    mine, others = first.body.disclosures, second.body.disclosures
    for disclosures in (mine[1:], mine[::-1][:-1], (*mine, others[0]), (*mine[:-1], others[-1]), (*mine, mine[0])):
        body = msgspec.structs.replace(first.body, disclosures=disclosures)
        assert broken(replace(good, copies=(replace(first, body=body), second))) == "lint_items"


def test_an_mdoc_with_another_namespace_or_other_elements_is_refused() -> None:
    good = drafted(MDOC)
    copy, form = good.copies[0], good.configuration.format
    elements = dict(good.values)
    for namespaces in (
        {"org.elsewhere": elements},
        {form.namespace: elements, "org.elsewhere": {"name": "x"}},  # type: ignore[union-attr]
        {form.namespace: elements | {"shoe_size": "42"}},  # type: ignore[union-attr]
        {form.namespace: {name: elements[name] for name in list(elements)[1:]}},  # type: ignore[union-attr]
        {form.namespace: elements | {"birth_date": "2001-03-09"}},  # type: ignore[union-attr]
    ):
        body = mdoc.draft(
            form.doctype, namespaces, device_key=copy.key, x5chain=[b"0"], status=copy.status,  # type: ignore[union-attr]
            validity=mdoc.Validity(good.life.start, good.life.start, good.life.end), entropy=SeededDice(1).bytes,
        )  # fmt: skip
        assert broken(replace(good, copies=(replace(copy, body=body),))) == "lint_items"


def test_an_mdoc_without_status_is_refused() -> None:
    good = drafted(MDOC)
    copy = good.copies[0]
    form = good.configuration.format
    body = mdoc.draft(
        form.doctype, {form.namespace: dict(good.values)}, device_key=copy.key,  # type: ignore[union-attr]
        validity=mdoc.Validity(good.life.start, good.life.start, good.life.end), x5chain=[b"0"], status=None,
        entropy=SeededDice(1).bytes,
    )  # fmt: skip
    assert broken(replace(good, copies=(replace(copy, body=body),))) == "lint_status"


@pytest.mark.parametrize(
    ("born", "expires", "end"),
    [
        (date(1990, 1, 1), date(2029, 3, 1), TODAY + timedelta(days=30)),
        (date(2007, 3, 3), date(2029, 3, 1), date(2026, 3, 3)),  # 19 tomorrow
        (date(2007, 3, 2), date(2029, 3, 1), TODAY + timedelta(days=30)),  # 19 today
        (date(1990, 1, 1), date(2026, 3, 4), date(2026, 3, 5)),  # the card's last day is a whole day
        (date(1990, 1, 1), TODAY, TODAY + timedelta(days=1)),
    ],
)
def test_the_life_of_copies(born: date, expires: date, end: date) -> None:
    document = COUNTRY.documents["resident_card"]
    life = life_of_copies(COUNTRY, document, born, expires, START)
    assert life == Life(midnight(COUNTRY, TODAY), midnight(COUNTRY, end))


def test_an_expired_card_gets_no_copies() -> None:
    with pytest.raises(Refused) as refused:
        life_of_copies(
            COUNTRY, COUNTRY.documents["resident_card"], date(1990, 1, 1), TODAY - timedelta(days=1), START
        )  # fmt: skip
    assert refused.value.code is Code.CREDENTIAL_REQUEST_DENIED
