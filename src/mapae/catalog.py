"""What a country issues, to whom, and what may be asked of it: parsed from its pack, decided by pure functions.

Promises: a `Country` that parses is whole: every claim comes from a register field, a named derivation or the card's
own dates, every purpose asks only for what may be asked, every office lies in a known municipality. Trusts: the pack's
author for the law, its callers for `today` (`Country.today`, the civil date in the country's own time zone). Keeps:
nothing. Refuses: unknown keys and anything that does not tie up, with BAD_CONFIG naming the place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final, Literal, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from .ages import adult_by_year, age_over, birthday_in, years_after
from .entitlements import WARD, WARD_FIELDS, Record, holds, value_of
from .errors import Code, Refused
from .rules import (
    Ages,
    ChipRules,
    Data,
    FaceRules,
    Fee,
    IdentityRules,
    Issuance,
    NumberScheme,
    PinRules,
    PrivacyRules,
    Words,
)

ClaimValue = str | bool | date | bytes


# --- the country ------------------------------------------------------------------------------------------------------


class Municipality(Data, frozen=True):
    name: Words
    authority: Words
    """Who signs for its residents' cards (the mayor)."""
    address: Words
    weight: int = 1
    """How many of the made-up people live here, relative to the others."""
    id: str = ""


class Office(Data, frozen=True):
    name: Words
    municipality: str
    address: Words
    id: str = ""


class Phase(Data, frozen=True):
    """From when to when, and for whom, applications are taken."""

    name: Words
    starts: date
    ends: date | None = None
    municipalities: tuple[str, ...] = ()
    """Empty: everywhere."""
    own_municipality_only: bool = False


# --- documents and purposes -------------------------------------------------------------------------------------------


class Validity(Data, frozen=True):
    years: int
    renewal_days: int


class Eligibility(Data, frozen=True):
    min_age: int
    citizens_only: bool
    physical_card: bool
    photo_max_age_years: int
    record: str = ""
    """What another register must say of the person and not be over: this document's own, or `ward`."""


class Claim(Data, frozen=True):
    """One item of a document, and where it comes from: exactly one of `register`, `record`, `derive` and `card`."""

    name: str
    label: Words
    kind: Literal["text", "date", "image", "yes_no", "code"]
    may_be_asked: bool = False
    register: str = ""
    record: str = ""
    """Like `driving_licence.classes`: a field of the record that the document's eligibility asks for."""
    derive: str = ""
    years: int = 0
    card: str = ""


class SdJwtFormat(Data, frozen=True):
    configuration_id: str
    vct: str


class MdocFormat(Data, frozen=True):
    configuration_id: str
    doctype: str
    namespace: str


class Formats(Data, frozen=True):
    sd_jwt: SdJwtFormat | None = None
    mdoc: MdocFormat | None = None


class Display(Data, frozen=True):
    background_color: str
    text_color: str
    accent_color: str
    emblem: str


class Document(Data, frozen=True):
    name: Words
    description: Words
    legal_basis: Words
    where: Words
    bring: tuple[Words, ...]
    display: Display
    order: int
    issued_here: bool = False
    fee: Fee | None = None
    validity: Validity | None = None
    eligibility: Eligibility | None = None
    formats: Formats | None = None
    key_attestation: bool = True  # False: copies are bound to keys whose storage nobody has vouched for
    claims: tuple[Claim, ...] = ()
    id: str = ""

    def claim(self, name: str) -> Claim:
        """Raises Refused(NOT_FOUND)."""
        for claim in self.claims:
            if claim.name == name:
                return claim
        raise Refused(Code.NOT_FOUND, "the document has no such item")

    @property
    def record(self) -> str:
        """Of which other register's record it speaks; empty: of none."""
        return self.eligibility.record if self.eligibility else ""

    @property
    def may_be_asked(self) -> frozenset[str]:
        return frozenset(claim.name for claim in self.claims if claim.may_be_asked)

    @property
    def login_item(self) -> str | None:
        """The item by which the country's log-in bridge knows a person again; no relying party ever sees its value."""
        return next((claim.name for claim in self.claims if claim.derive == "login_id"), None)


class Offline(Data, frozen=True):
    """How old an offline pack may be for a purpose, in hours: to count in full; to count with a mark on the verdict
    (risk low or medium); to count for young copies only (risk low). Beyond that it does not count."""

    full: int = 24
    marked: int = 168
    last: int = 720


class Purpose(Data, frozen=True):
    """Why a relying party may ask, for which items, on which legal basis, and how long it keeps them.

    `risk` is what a wrong yes would cost, `offline` how long a checker without a network may give one. `anyone`:
    whoever wants may ask, without certificate or account, for the items are yes or no only; `by_holder`: a holder may
    show it unasked, as a code on the phone's screen.
    """

    document: str
    name: Words
    why: Words
    legal_basis: Words
    items: tuple[str, ...]
    retention: Words
    risk: Literal["low", "medium", "high"] = "high"
    offline: Offline = Offline()
    anyone: bool = False
    by_holder: bool = False
    id: str = ""


class Country(Data, frozen=True):
    code: str
    name: Words
    languages: tuple[str, ...]
    timezone: str
    ages: Ages
    phases: tuple[Phase, ...]
    municipalities: dict[str, Municipality]
    offices: dict[str, Office]
    number: NumberScheme
    identity: IdentityRules
    issuance: Issuance
    pin: PinRules
    fees: dict[str, Fee]
    documents: dict[str, Document]
    purposes: dict[str, Purpose]
    face: FaceRules | None = None
    chip: ChipRules | None = None
    privacy: PrivacyRules = PrivacyRules()

    def today(self, now: datetime) -> date:
        """The civil date in the country. Ages are counted on this one, never on the UTC date."""
        return now.astimezone(ZoneInfo(self.timezone)).date()

    def logs_in(self, purpose: Purpose) -> bool:
        """Whether only the log-in bridge may ask for this purpose."""
        return self.documents[purpose.document].login_item in purpose.items

    def phase_on(self, today: date) -> Phase | None:
        return next((one for one in self.phases if one.starts <= today <= (one.ends or date.max)), None)


# --- parsing and the self-check ---------------------------------------------------------------------------------------


READ_ELSEWHERE: Final = frozenset({"generator", "lint", "officers", "people", "shops"})  # by registers, trust and demo


def parse_country(tree: Mapping[str, Any]) -> Country:
    """Parse a pack read with tomllib: file stem -> its table, folder name -> {file stem -> table}.

    Raises Refused(BAD_CONFIG) naming what is wrong.
    """
    rest = dict(tree)
    head = rest.pop("country", {})
    documents = {stem: {**table, "id": stem} for stem, table in rest.pop("credentials", {}).items()}
    ranked = sorted(documents.items(), key=lambda item: (item[1].get("order", 0), item[0]))
    whole = {
        **head,
        "documents": dict(ranked),
        "purposes": _with_ids(rest.pop("purposes", {})),
        "municipalities": _with_ids(head.get("municipalities", {})),
        "offices": _with_ids(head.get("offices", {})),
    }
    surplus = set(rest) - READ_ELSEWHERE
    if surplus:
        raise Refused(Code.BAD_CONFIG, f"the pack has a file that nothing reads: {min(surplus)}")
    try:
        country = msgspec.convert(whole, Country)
    except msgspec.ValidationError as error:
        raise Refused(Code.BAD_CONFIG, f"country pack: {error}") from None
    for complaint in _complaints(country):
        raise Refused(Code.BAD_CONFIG, f"country pack: {complaint}")
    return country


def _with_ids(tables: Mapping[str, Any]) -> dict[str, Any]:
    return {id: {**table, "id": id} for id, table in tables.items()}


# What a population register knows of a person that may enter a document; a test ties it to registers.values.ClaimSet.
REGISTER_FIELDS: Final = frozenset(
    {"name", "name_latin", "birth_date", "sex", "nationality", "resident_number", "address", "portrait"}
)
DERIVATIONS: Final = frozenset({"age_over", "adult_by_year", "issuing_authority", "issuing_country", "login_id"})
CARD_FACTS: Final = frozenset({"document_number", "issue_date", "expiry_date"})
_AGE_TESTS: Final = frozenset({"age_over", "adult_by_year"})
LONGEST_OFFLINE: Final = 720  # hours; copies live no longer than that (decision 4), so a pack need not either


def _complaints(country: Country) -> Iterable[str]:
    yield from _place_complaints(country)
    yield from _number_complaints(country.number)
    yield from _identity_proofing_complaints(country)
    for document in country.documents.values():
        yield from _document_complaints(document)
    for purpose in country.purposes.values():
        if purpose.document not in country.documents:
            yield f"purpose {purpose.id} is about a document that is not there"
        elif not purpose.items or not set(purpose.items) <= country.documents[purpose.document].may_be_asked:
            yield f"purpose {purpose.id} asks for nothing, or for an item that may not be asked"
        elif purpose.anyone and not all(
            country.documents[purpose.document].claim(item).kind == "yes_no" for item in purpose.items
        ):
            yield f"purpose {purpose.id} is for anyone, and asks for more than yes or no"
        elif country.logs_in(purpose) and (purpose.by_holder or purpose.risk != "high"):
            yield f"purpose {purpose.id} logs in: its risk is high, and no holder shows it unasked"
        if purpose.by_holder and purpose.risk == "high":
            yield f"purpose {purpose.id} is shown by the holder alone, and a wrong yes would cost much"
        limits = purpose.offline
        if not 0 <= limits.full <= limits.marked <= limits.last <= LONGEST_OFFLINE:
            yield f"purpose {purpose.id} has offline limits that do not grow, or are over {LONGEST_OFFLINE} hours"


def _place_complaints(country: Country) -> Iterable[str]:
    try:
        ZoneInfo(country.timezone)
    except (ZoneInfoNotFoundError, ValueError):
        yield "there is no such time zone"
    for office in country.offices.values():
        if office.municipality not in country.municipalities:
            yield f"office {office.id} lies nowhere"
    if not country.identity.limits or any(
        "{code}" not in text for text in (country.identity.sms.ko, country.identity.sms.en)
    ):
        yield "the identity check needs limits, and a text message with {code} in it"
    for phase in country.phases:
        if not set(phase.municipalities) <= set(country.municipalities):
            yield f"phase {phase.name.en} names an unknown municipality"


def _identity_proofing_complaints(country: Country) -> Iterable[str]:
    face, chip = country.face, country.chip
    if face is not None:
        if not 0 < face.threshold <= face.borderline < 1 or min(face.challenge_seconds, face.tries) < 1:
            yield "the face rules need 0 < threshold <= borderline < 1, and at least one second and one try"
        if not set(face.second_documents) <= set(country.documents):
            yield "the face rules name a second document that is not there"
    if chip is not None:
        if not {"physical_reissue", "chip"} <= set(country.fees):
            yield "a card with a chip needs the fees physical_reissue and chip, be they zero"
        if any(low < 0 or high < low for low, high in (chip.production_days, chip.mail_days)):
            yield "production and mail take from so many to so many days"


def _number_complaints(scheme: NumberScheme) -> Iterable[str]:
    digits = [letter for letter in scheme.layout if letter.isalpha()]
    if digits.count("c") != 1 or digits.count("k") != 1 or digits.count("y") not in (2, 4):
        yield "the resident number needs one check digit, one kind digit and a birth year"
    if digits.count("m") != 2 or digits.count("d") != 2 or set(digits) - set("ymdksc"):
        yield "the resident number needs a birth month and day, and no other letters than y m d k s c"
    if len(scheme.weights) != len(digits) - 1 or scheme.modulus < 2:
        yield "the resident number needs one weight a digit, without the check digit, and a modulus"
    if any(len(kind) != 1 or not kind.isdecimal() for kind in scheme.kinds):
        yield "the kinds of resident number are single digits"


def _document_complaints(document: Document) -> Iterable[str]:
    if document.issued_here:
        if not (document.validity and document.eligibility and document.formats and document.claims):
            yield f"{document.id} is issued here and lacks validity, eligibility, formats or claims"
        elif not (document.formats.sd_jwt or document.formats.mdoc):
            yield f"{document.id} has no format"
    record = document.record
    if record not in ("", WARD, document.id):
        yield f"{document.id} wants a record of another document"
    names = [claim.name for claim in document.claims]
    if len(set(names)) != len(names):
        yield f"{document.id} has an item twice"
    for claim in document.claims:
        sources: list[tuple[str, Collection[str]]] = [
            (claim.register, REGISTER_FIELDS), (claim.derive, DERIVATIONS), (claim.card, CARD_FACTS),
            (claim.record, _record_fields(record, claim.record)),
        ]  # fmt: skip
        named = [(source, known) for source, known in sources if source]
        if len(named) != 1 or named[0][0] not in named[0][1]:
            yield f"{document.id}.{claim.name} comes from no register field, derivation or card fact we know"
        elif (claim.years > 0) != (claim.derive in _AGE_TESTS) or (claim.derive in _AGE_TESTS) != (
            claim.kind == "yes_no"
        ):
            yield f"{document.id}.{claim.name}: an age test needs years and answers yes or no, nothing else does"
        elif claim.derive == "login_id" and (claim.kind != "text" or claim.name != document.login_item):
            yield f"{document.id}.{claim.name}: a document has one log-in number, and it is text"


def _record_fields(record: str, source: str) -> Collection[str]:
    """What a claim may take from this record: of a ward what the population register knows, of another register the
    field it names."""
    kind, _, field = source.partition(".")
    if not record or kind != record or not field.isidentifier() or (record == WARD and field not in WARD_FIELDS):
        return ()
    return (source,)


# --- ages -------------------------------------------------------------------------------------------------------------


def _turning_day(country: Country, claim: Claim, birth: date) -> date:
    if claim.derive == "adult_by_year":
        return date(birth.year + claim.years, 1, 1)
    return birthday_in(birth, birth.year + claim.years, country.ages.leap_birthday)


def next_change(country: Country, document: Document, birth_date: date, today: date) -> date | None:
    """The next day on which a yes/no answer of this document changes. A copy must not be valid on that day."""
    days = (_turning_day(country, claim, birth_date) for claim in document.claims if claim.kind == "yes_no")
    return min((day for day in days if day > today), default=None)


# --- who may have a document, and what it says ------------------------------------------------------------------------


class ApplicantFacts(Protocol):
    """What `hindrances` reads of a person: registers.values.Person, whose card is a registers.values.PhysicalCard."""

    @property
    def birth_date(self) -> date: ...
    @property
    def citizen(self) -> bool: ...
    @property
    def municipality(self) -> str: ...
    @property
    def deceased_on(self) -> date | None: ...
    @property
    def card(self) -> Any: ...
    @property
    def photo_taken(self) -> date | None: ...
    @property
    def records(self) -> Mapping[str, Record]: ...


class CardFacts(msgspec.Struct, frozen=True):
    """What the issuer decides about one card."""

    document_number: str
    issue_date: date
    expiry_date: date
    login_id: str
    """The person's, not the card's: the same on the next card and the next phone."""


def hindrances(
    country: Country, document: Document, person: ApplicantFacts, today: date, office: Office | None = None
) -> tuple[Code, ...]:
    """Why this person cannot have the document today, the weightiest first; empty when nothing stands in the way.

    1 alive  2 citizen  3 old enough  4 phase and place  5 another register's record  6 physical card  7 photo on record
    """
    rule, found = document.eligibility, list[Code]()
    if rule is None or not document.issued_here:
        return (Code.NOT_STARTED,)
    if person.deceased_on is not None:
        found.append(Code.DECEASED)
    if rule.citizens_only and not person.citizen:
        found.append(Code.NOT_A_CITIZEN)
    if not age_over(person.birth_date, rule.min_age, today, country.ages.leap_birthday):
        found.append(Code.TOO_YOUNG)
    found += _place_hindrances(country.phase_on(today), person.municipality, office)
    if not holds(rule.record, person.records, country.ages, today):
        found.append(Code.NO_RECORD)
    if rule.physical_card and (person.card is None or person.card.state == "returned"):
        found.append(Code.NO_PHYSICAL_CARD)
    elif rule.physical_card and person.card.state == "lost":
        found.append(Code.PHYSICAL_CARD_LOST)
    elif person.photo_taken is None or today > years_after(person.photo_taken, rule.photo_max_age_years):
        found.append(Code.RECORD_PHOTO_TOO_OLD)  # without one there is no face to compare with, whatever the document
    return tuple(found)


def _place_hindrances(phase: Phase | None, municipality: str, office: Office | None) -> list[Code]:
    if phase is None:
        return [Code.NOT_STARTED]
    if phase.municipalities and municipality not in phase.municipalities:
        return [Code.OUTSIDE_PILOT]
    if phase.own_municipality_only and office is not None and office.municipality != municipality:
        return [Code.WRONG_OFFICE]
    return []


def claim_values(
    country: Country, document: Document, resident: Any, card: CardFacts, today: date
) -> dict[str, ClaimValue]:
    """Every item of the document, decided for `resident` (a registers.values.ClaimSet) as of `today`."""
    return {claim.name: _value(country, claim, resident, card, today) for claim in document.claims}


def _value(country: Country, claim: Claim, resident: Any, card: CardFacts, today: date) -> ClaimValue:
    if claim.record:
        said: ClaimValue = value_of(claim.record, resident.records, claim.kind)
        return said
    if claim.register or claim.card:
        value: ClaimValue = getattr(resident if claim.register else card, claim.register or claim.card)
        return value
    derive: dict[str, Callable[[], ClaimValue]] = {
        "age_over": lambda: age_over(resident.birth_date, claim.years, today, country.ages.leap_birthday),
        "adult_by_year": lambda: adult_by_year(resident.birth_date, claim.years, today),
        "issuing_authority": lambda: country.municipalities[resident.municipality].authority.pick(country.languages[0]),
        "issuing_country": lambda: country.code,
        "login_id": lambda: card.login_id,
    }
    return derive[claim.derive]()


def expiry_date(document: Document, issued: date) -> date:
    """The last day on which a card issued on `issued` is valid. The document must be one that is issued here."""
    return years_after(issued, _validity(document).years) - timedelta(days=1)


def renewal_opens(document: Document, expiry: date) -> date:
    """The first day on which a card that ends on `expiry` may be renewed."""
    return expiry - timedelta(days=_validity(document).renewal_days)


def _validity(document: Document) -> Validity:
    if document.validity is None:
        raise Refused(Code.BAD_CONFIG, "the document is not issued here")
    return document.validity
