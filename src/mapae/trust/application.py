"""What a relying party applies with: who it is, which purposes, which items, on which legal basis.

Promises: an `Application` that parses has plain words, an https contact and a free-standing id; `entry` writes the very
registration it stands for, and nothing of its own making. Trusts: the country pack for ready purposes. Keeps: nothing.
Refuses: control and format characters, HTML is plain text here and everywhere, an id that is no address, surplus
members. Whether it asks for too much is for `lint`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from mapae.catalog import Country, Document
from mapae.catalog import Purpose as Ready
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey, decode_json
from mapae.rules import Words
from mapae.trust import request
from mapae.trust.entries import AskedOf, Purpose, RelyingParty, is_seen, must_be_sound
from mapae.ui.words import LANGUAGES, say

LIMIT: Final = 32 * 1024  # bytes of a whole application
PURPOSES: Final = 8
ITEMS: Final = 24
DAYS: Final = (0, 1, 7, 30, 90, 365, 1825)  # what the page offers
LONGEST: Final = 36_500
Risk = Literal["low", "medium", "high"]
_ID = re.compile(r"[a-z][a-z0-9_]{2,31}")
# What the platform calls others: a receipt of `anyone` is nobody's, and the audit trail says `wallet` and `operator`.
_RESERVED: Final = frozenset({
    "anyone", "applicant", "citizen", "governor", "helper", "issuer", "machine", "mapae", "officer", "operator",
    "registers", "registry", "sandbox", "simulators", "till", "trust", "verifier", "visitor", "wallet",
    "wallet_provider",
})  # fmt: skip
_SLUG = re.compile(r"[a-z][a-z0-9_]{2,23}")
_ITEM = re.compile(r"[a-z][a-z0-9_]{0,63}")
_NUMBER = re.compile(r"[0-9A-Za-z][0-9A-Za-z .-]{2,29}")
_NAME_LENGTH = 60
_WORDS_LENGTH = 300


class Asking(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One purpose. `ready`: that of the pack, whose words, items and retention hold; `items` are then what is asked
    beyond its minimum. Otherwise its own: everything below.

    `basis`: for an item (or "retention") the law that wants just this, by which an objection of the linter is answered.
    """

    ready: str = ""
    id: str = ""
    document: str = ""
    name: Words | None = None
    why: Words | None = None
    legal_basis: Words | None = None
    items: tuple[str, ...] = ()
    days: int = 0
    risk: Risk = "low"
    basis: dict[str, str] = {}


class Application(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """`key`: the applicant's own, a public JWK, and `proof` that he holds it, as `mapae rp key` printed it; None: the
    country's verifier asks on its behalf (hosted)."""

    id: str
    name: Words
    number: str
    contact: str
    purposes: tuple[Asking, ...] = ()
    key: dict[str, str] | None = None
    proof: str = ""

    @property
    def hosted(self) -> bool:
        return self.key is None

    @property
    def public_key(self) -> PublicKey | None:
        return None if self.key is None else PublicKey.from_jwk(self.key)


def read(raw: bytes) -> Application:
    """JSON, as the page keeps it and `mapae rp` sends it."""
    return check(decode_json(raw, limit=LIMIT))


def check(said: Mapping[str, Any]) -> Application:
    """Of a decoded file. Raises Refused(MALFORMED) naming the member."""
    try:
        made = msgspec.convert(_both_languages(said), Application)
    except msgspec.ValidationError as wrong:
        place = str(wrong).rpartition(" - at `")[2].rstrip("`") or "$"
        raise Refused(Code.MALFORMED, f"the application does not have the expected shape at {place}") from None
    must_be_plain(made)
    return made


def check_purpose(said: Mapping[str, Any]) -> Asking:
    """One purpose by itself, as `check` reads it."""
    whole = {"id": "one", "name": "x", "number": "000", "contact": "https://x.example/", "purposes": [said]}
    return check(whole).purposes[0]


def must_be_plain(made: Application) -> None:
    _require(_ID.fullmatch(made.id) is not None, "the id is 3 to 32 small letters, digits and _", "id")
    _require(made.id not in _RESERVED, "this id is the platform's own word for somebody: choose another", "id")
    for text in (made.name.ko, made.name.en):
        _require(is_seen(text) and len(text.strip()) > 0 and len(text) <= _NAME_LENGTH,
                 f"the name is 1 to {_NAME_LENGTH} characters that can be seen", "name")  # fmt: skip
    _require(_NUMBER.fullmatch(made.number) is not None, "the organisation number is 3 to 30 letters and digits",
             "number")  # fmt: skip
    must_be_reachable(made.contact)
    _require(len(made.purposes) <= PURPOSES, f"at most {PURPOSES} purposes", "purposes")
    ids = [asking.ready or asking.id for asking in made.purposes]
    _require(len(set(ids)) == len(ids), "a purpose is there twice", "purposes")
    for asking in made.purposes:
        _must_be_plain_purpose(asking)
    if made.key is not None:
        PublicKey.from_jwk(made.key)


def must_be_held(made: Application, now: datetime, before: Application | None = None) -> None:
    """Nobody applies with somebody else's key (RFC 4211 4). One that was proven stays so. MALFORMED (key)."""
    if made.key is None or (before is not None and before.key == made.key):
        return
    try:
        proven = request.read_access(made.proof, now)
    except Refused:
        proven = None
    held = proven is not None and proven.jwk == PublicKey.from_jwk(made.key).jwk
    _require(held, "nothing proves that this key is yours: `mapae rp key`, then `mapae rp new --request`", "key")


def _must_be_plain_purpose(asking: Asking) -> None:
    if not asking.ready:
        _require(_SLUG.fullmatch(asking.id) is not None, "a purpose's id is 3 to 24 small letters, digits and _", "id")
    _require(len(asking.items) <= ITEMS and len(set(asking.items)) == len(asking.items), "each item once", "items")
    _require(all(_ITEM.fullmatch(item) for item in (*asking.items, *asking.basis)), "an item is a name", "items")
    _require(0 <= asking.days <= LONGEST, "the retention is a number of days", "retention")
    words = [w for w in (asking.name, asking.why, asking.legal_basis) if w is not None]
    for text in [*(t for w in words for t in (w.ko, w.en)), *asking.basis.values()]:
        _require(is_seen(text) and len(text) <= _WORDS_LENGTH,
                 f"a text is at most {_WORDS_LENGTH} characters that can be seen", "words")  # fmt: skip


def must_be_reachable(contact: str) -> None:
    """Where complaints go. It is shown to people and never fetched by us, so an inner address harms nobody here; that
    it cannot be reached from outside is for the reviewers to see (`lint`)."""
    _require(len(contact) <= 300 and contact.isprintable(), "the contact is an https address", "contact")
    party = RelyingParty(id="x", name=Words(ko="x", en="x"), x509_hash="A" * 43, contact=contact, purposes=(
        Purpose(id="x", name=_X, why=_X, legal_basis=_X, items=("x",), retention=_X),))  # fmt: skip
    _require(contact != "", "complaints must reach you somewhere: give an https address", "contact")
    try:
        must_be_sound(party)
        urlsplit(contact)  # half an IPv6 address is none
    except Refused as refused:
        raise Refused(Code.MALFORMED, refused.detail, step="contact") from None
    except ValueError:
        raise Refused(Code.MALFORMED, "the contact is an https address", step="contact") from None


_X: Final = Words(ko="x", en="x")


# --- what it stands for -----------------------------------------------------------------------------------------------


def document_of(asking: Asking, country: Country) -> Document | None:
    """Whose items these are; the country's first where none is named."""
    ready = country.purposes.get(asking.ready)
    id = ready.document if ready is not None else asking.document
    if id:
        return country.documents.get(id)
    return next((one for one in country.documents.values() if one.issued_here), None)


def ready_of(asking: Asking, country: Country) -> Ready | None:
    return country.purposes.get(asking.ready) if asking.ready else None


def items_of(asking: Asking, country: Country) -> tuple[str, ...]:
    """Everything that would be registered: a ready purpose's minimum, and what is added."""
    ready = ready_of(asking, country)
    return tuple(dict.fromkeys((*(ready.items if ready is not None else ()), *asking.items)))


def risk_of(asking: Asking, country: Country) -> Risk:
    """As it is asked (`verifier.asking.purposes`): with items added a ready purpose is not what the pack speaks of."""
    ready = ready_of(asking, country)
    if ready is None:
        return asking.risk
    return ready.risk if set(asking.items) <= set(ready.items) else "high"


def entry(made: Application, x509_hash: str, country: Country) -> RelyingParty:
    """The registration governors sign for."""
    found = RelyingParty(
        id=made.id, name=made.name, x509_hash=x509_hash, contact=made.contact,
        purposes=tuple(_purpose(made.id, asking, country) for asking in made.purposes),
    )  # fmt: skip
    must_be_sound(found)
    return found


def _purpose(party: str, asking: Asking, country: Country) -> Purpose:
    ready, items = ready_of(asking, country), items_of(asking, country)
    document = _document(asking, country)
    if ready is not None:
        return replace(as_registered(ready, country), items=items, legal_basis=basis_of(asking, country))
    if asking.name is None or asking.why is None or asking.legal_basis is None:
        raise Refused(Code.MALFORMED, "a purpose of one's own has a name, says why, and names its legal basis")
    return Purpose(
        id=own_id(party, asking), name=asking.name, why=asking.why, items=items, retention=retention(asking.days),
        legal_basis=basis_of(asking, country), document=asked_of(document), risk=asking.risk,
    )  # fmt: skip


def as_registered(ready: Ready, country: Country) -> Purpose:
    """A ready purpose as a registration has it, where nothing is added."""
    return Purpose(
        id=ready.id, name=ready.name, why=ready.why, items=ready.items, legal_basis=ready.legal_basis,
        retention=ready.retention, document=asked_of(country.documents[ready.document]),
    )  # fmt: skip


def asked_of(document: Document) -> AskedOf:
    sd_jwt, mdoc = (document.formats.sd_jwt, document.formats.mdoc) if document.formats else (None, None)
    if sd_jwt is None and mdoc is None:
        raise Refused(Code.MALFORMED, "a purpose is about a document that no phone holds")
    return AskedOf(
        vct=sd_jwt.vct if sd_jwt else "", doctype=mdoc.doctype if mdoc else "",
        namespace=mdoc.namespace if mdoc else "",
    )  # fmt: skip


def own_id(party: str, asking: Asking) -> str:
    """Of a purpose of one's own: no ready purpose, and no other of this party, is called so."""
    return f"own_{party}_{asking.id}"


def _document(asking: Asking, country: Country) -> Document:
    found = document_of(asking, country)
    if found is None:
        raise Refused(Code.MALFORMED, "a purpose is about a document that is not there")
    return found


def basis_of(asking: Asking, country: Country) -> Words:
    """The holder reads what each added item rests on, in the same line as the rest. Whether it is too long to be
    registered is for `lint`."""
    ready = ready_of(asking, country)
    general = ready.legal_basis if ready is not None else asking.legal_basis or Words(ko="", en="")
    labels = {claim.name: claim.label for claim in _document(asking, country).claims}

    def one(language: Literal["ko", "en"]) -> str:
        said = [f"{labels[item].pick(language) if item in labels else say(language, 'rp.retention.title')}: {text}"
                for item, text in sorted(asking.basis.items()) if text]  # fmt: skip
        return "; ".join([general.pick(language), *said])

    return Words(ko=one("ko"), en=one("en"))


def retention(days: int) -> Words:
    if days == 0:
        return Words(ko=say("ko", "rp.retention.none"), en=say("en", "rp.retention.none"))
    return Words(ko=say("ko", "rp.retention.days", days=days), en=say("en", "rp.retention.days", days=days))


# --- inside -----------------------------------------------------------------------------------------------------------


def _both_languages(said: Mapping[str, Any]) -> Any:
    """Who writes one language is shown in that one under both: better than nothing to read."""

    def words(value: Any) -> Any:
        if isinstance(value, str):
            value = {"ko": value, "en": value}
        if isinstance(value, Mapping) and set(value) <= set(LANGUAGES):
            some = next((value[lang] for lang in LANGUAGES if value.get(lang)), "")
            return {lang: value.get(lang) or some for lang in LANGUAGES}
        return value

    made = {key: words(value) if key == "name" else value for key, value in said.items()}
    purposes = said.get("purposes", ())
    if isinstance(purposes, list | tuple):
        made["purposes"] = [
            {key: words(value) if key in ("name", "why", "legal_basis") else value for key, value in one.items()}
            if isinstance(one, Mapping) else one
            for one in purposes
        ]  # fmt: skip
    return made


def _require(holds: bool, otherwise: str, step: str) -> None:
    if not holds:
        raise Refused(Code.MALFORMED, otherwise, step=step)
