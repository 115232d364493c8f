"""What may be asked, by whom, for which purpose; decided before a citizen sees anything.

Promises: a question holds exactly the items of one purpose that its asker may ask (`purposes.py`), of its document.
Trusts: the pack and who found the purpose. Keeps: nothing. Refuses: an item the pack says may never be asked (a
resident number), a format the document does not have, a transaction in a format that cannot carry one, a query whose
answer we could not check. A query of one's own, outside every purpose, is for the demo country alone: `own_question`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import msgspec

from mapae.catalog import Country, Purpose
from mapae.errors import Code, Refused
from mapae.formats import dcql
from mapae.formats.dcql import Dcql
from mapae.formats.jose import decode_json
from mapae.verifier.checking.check import Asked, Format, Item, Tie, Transaction, either, must_be_askable

OWN = "own_query"  # the purpose of a question outside every purpose


class Form(StrEnum):
    """Which format the shop will take. Either is the rule; one alone is for tests and odd wallets."""

    EITHER = "either"
    SD_JWT = "sd_jwt"
    MDOC = "mdoc"


class Manner(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How a question is put; as it stands, as a till puts it. Kept with the question."""

    prefix: Literal["x509_hash", "x509_san_dns"] = "x509_hash"
    method: Literal["get", "post"] = "get"
    same_device: bool = False  # the answer counts when the browser that asked comes back with its code
    transactions: tuple[str, ...] = ()
    reveal: bool = False  # to whoever asked: the claims themselves, also of a yes-or-no question
    query: str = ""  # DCQL of one's own, as JSON
    anchors: tuple[bytes, ...] = ()  # further authorities to believe, for this question alone
    # The answer may come from another device: it counts once the code its browser shows is typed where it was asked.
    typed_back: bool = False
    log_in: bool = False  # the log-in bridge asks: nobody else may ask for the number it knows people by
    pushed: bool = False  # to a named person's phone: whoever asks must not learn that there is one before it answers
    relay: str = ""  # where the answer is fetched, when the wallet has no way to us (`meet.py`)


PLAIN = Manner()


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: `query` to check the answer, `dcql` the same as it goes into the request."""

    purpose: str
    items: tuple[Item, ...]
    query: Dcql
    dcql: Mapping[str, Any]
    transactions: tuple[Transaction, ...] = ()
    about: Purpose | None = None  # as the asker may ask it; None: a query of one's own

    @property
    def yes_or_no(self) -> bool:
        """Whether the answer is a plain yes or no, so that nothing about the person need be shown."""
        return bool(self.items) and all(item.kind == "yes_no" for item in self.items)

    def asked(self, tie: Tie) -> Asked:
        """The question as put once: what an answer is checked against."""
        return Asked(self.query, tie, self.transactions)


def question(country: Country, asked: Purpose, form: Form, manner: Manner = PLAIN) -> Question:
    """The question of this purpose, which the asker may ask (`purposes.find`).

    Raises Refused(OVER_ASKING) for more than may be asked of anybody, UNSUPPORTED for a format the document does not
    have or that carries no transaction.
    """
    if country.logs_in(asked) != manner.log_in:
        raise Refused(Code.OVER_ASKING, "the log-in bridge asks for log-ins, and only it, and nothing else")
    document = country.documents[asked.document]
    if not asked.items or not document.may_be_asked.issuperset(asked.items):
        raise Refused(Code.OVER_ASKING, "more is asked than this relying party may ask")
    if manner.transactions:
        if form is Form.MDOC:
            raise Refused(Code.UNSUPPORTED, "a document in this format authorizes no transaction")
        form = Form.SD_JWT
    sd_jwt = document.formats.sd_jwt if document.formats is not None and form is not Form.MDOC else None
    mdoc = document.formats.mdoc if document.formats is not None and form is not Form.SD_JWT else None
    if sd_jwt is None and mdoc is None:
        raise Refused(Code.UNSUPPORTED, "the document does not come in this format")
    wanted = tuple(Item(name, document.claim(name).kind) for name in asked.items)
    vct = sd_jwt.vct if sd_jwt is not None else None
    doctype, namespace = (mdoc.doctype, mdoc.namespace) if mdoc is not None else (None, None)
    query = either(wanted, vct, doctype, namespace)
    return _askable(Question(asked.id, wanted, query, written(query), _transactions(manner), asked))


def own_question(manner: Manner) -> Question:
    """A DCQL query as somebody wrote it. Raises Refused(MALFORMED, UNSUPPORTED, TOO_LARGE)."""
    raw = decode_json(manner.query)
    return _askable(Question(OWN, (), dcql.parse(raw), raw, _transactions(manner)))


def written(query: Dcql) -> dict[str, Any]:
    """OpenID4VP 1.0 section 6, of a query made by `either`."""
    credentials: list[dict[str, Any]] = []
    for one in query.queries:
        [kind] = one.kinds
        meta: dict[str, Any] = {"vct_values": [kind]} if one.id == Format.SD_JWT else {"doctype_value": kind}
        claims = [{"path": list(claim.path)} for claim in one.claims]
        credentials.append({"id": one.id, "format": one.format, "meta": meta, "claims": claims})
    whole: dict[str, Any] = {"credentials": credentials}
    if query.sets:
        whole["credential_sets"] = [{"options": [list(option) for option in one.options]} for one in query.sets]
    return whole


def _transactions(manner: Manner) -> tuple[Transaction, ...]:
    return tuple([Transaction.parse(text) for text in manner.transactions])


def _askable(question: Question) -> Question:
    must_be_askable(question.query, question.transactions)
    return question
