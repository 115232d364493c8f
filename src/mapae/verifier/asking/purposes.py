"""Which purposes a relying party may ask for: the country's ready ones it is registered for, and its own.

Promises: one answer for every surface that asks (till, page, interface, message family, code), made of the party's
registration and the country pack alone; what is asked is what the registration names: its items, of its document, on
its legal basis. Trusts: the checked trust list for the registration, the pack for what items are. Pure. Keeps: nothing.
Refuses: another party's purpose, an item the pack says may never be asked, one that the registration does not name, a
document the registration does not name, the log-in number outside a purpose of the pack.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from mapae.catalog import Country, Document, Purpose
from mapae.errors import Code, Refused
from mapae.rules import Words
from mapae.trust.entries import Purpose as Registered
from mapae.trust.entries import RelyingParty


def of_party(country: Country, party: RelyingParty) -> dict[str, Purpose]:
    """By id: ready ones in the pack's order, then its own in the order of its registration."""
    named = {one.id: one for one in party.purposes}
    ready = {id: _ready(country, one, named[id]) for id, one in country.purposes.items() if id in named}
    own = {id: _own(country, one) for id, one in named.items() if id not in country.purposes}
    return {id: found for id, found in (ready | own).items() if found is not None}


def find(country: Country, party: RelyingParty, id: str, may: Mapping[str, Purpose] | None = None) -> Purpose:
    """`may`: what `of_party` found. Raises Refused(NOT_FOUND) for what neither the pack nor this party knows,
    OVER_ASKING for what this party may not ask."""
    found = (may if may is not None else of_party(country, party)).get(id)
    if found is not None:
        return found
    if any(one.id == id for one in party.purposes):
        raise Refused(Code.OVER_ASKING, "more is asked than this relying party may ask")
    if id in country.purposes:
        raise Refused(Code.OVER_ASKING, "this relying party has not registered this purpose")
    raise Refused(Code.NOT_FOUND, "there is no such purpose")


def bare(id: str) -> Purpose:
    """What is left to say of a purpose that ended and whose words nobody here has: its name in the registration."""
    words = Words(ko=id, en=id)
    return Purpose(document="", name=words, why=words, legal_basis=words, items=(), retention=words, id=id)


def _ready(country: Country, ready: Purpose, registered: Registered) -> Purpose | None:
    document = country.documents[ready.document]
    if not ready.items or not set(ready.items) <= set(registered.items) or not _named(document, registered):
        return None
    more = [one for one in registered.items if one not in ready.items and one in _askable(document)]
    if not more or country.logs_in(ready):  # a site asks for log-ins by scopes, which are those of the pack
        return ready
    # Items were added, each with its legal basis: then it is not the yes or no, or the risk, that the pack speaks of.
    return replace(
        ready, items=(*ready.items, *more), legal_basis=registered.legal_basis, risk=registered.risk or "high",
        anyone=False, by_holder=False,
    )  # fmt: skip


def _own(country: Country, own: Registered) -> Purpose | None:
    """None where the registration names no document of this country, or asks for what may not be asked."""
    document = next((one for one in country.documents.values() if own.document is not None and _named(one, own)), None)
    if document is None or not set(own.items) <= _askable(document):
        return None
    return Purpose(
        document=document.id, name=own.name, why=own.why, legal_basis=own.legal_basis, items=own.items,
        retention=own.retention, risk=own.risk or "high", id=own.id,
    )  # fmt: skip


def _askable(document: Document) -> frozenset[str]:
    """The number people log in by is the bridge's, whatever is registered."""
    return document.may_be_asked - {document.login_item or ""}


def _named(document: Document, registered: Registered) -> bool:
    """Whether the registration is about this document, in every format it comes in here."""
    of, forms = registered.document, document.formats
    if of is None:
        return True
    sd_jwt, mdoc = (forms.sd_jwt, forms.mdoc) if forms is not None else (None, None)
    return (
        (sd_jwt is not None or mdoc is not None)
        and (sd_jwt is None or sd_jwt.vct == of.vct)
        and (mdoc is None or (mdoc.doctype, mdoc.namespace) == (of.doctype, of.namespace))
    )
