"""What may be asked, by whom, for which purpose; decided before a citizen sees anything.

Promises: a question holds exactly the items of one purpose of the country pack, and only when the trust list says that
this relying party may ask all of them for that purpose. Trusts: the pack and the checked trust list. Keeps: nothing.
Refuses: a purpose the relying party has not registered, an item the pack says may never be asked (a resident number),
a format the document does not have.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mapae.catalog import Country
from mapae.errors import Code, Refused
from mapae.verifier.check import Ask, Format, Item


class Form(StrEnum):
    """Which format the shop will take. Either is the rule; one alone is for tests and odd wallets."""

    EITHER = "either"
    SD_JWT = "sd_jwt"
    MDOC = "mdoc"


@dataclass(frozen=True, slots=True)
class Question:
    """What a purpose asks for, in the words of each format. A format that is not asked for has None."""

    purpose: str
    items: tuple[Item, ...]
    vct: str | None
    doctype: str | None
    namespace: str | None

    @property
    def formats(self) -> frozenset[Format]:
        wanted = {Format.SD_JWT: self.vct, Format.MDOC: self.doctype}
        return frozenset(format for format, type_ in wanted.items() if type_ is not None)

    @property
    def yes_or_no(self) -> bool:
        """Whether the answer is a plain yes or no, so that nothing about the person need be shown."""
        return all(item.kind == "yes_no" for item in self.items)

    def dcql(self) -> dict[str, Any]:
        """OpenID4VP 1.0 section 6. Never `values`: a wallet should not learn which answer we hope for."""
        credentials: list[dict[str, Any]] = []
        if self.vct is not None:
            paths: list[list[str]] = [[item.name] for item in self.items]
            credentials.append(_query(Format.SD_JWT, "dc+sd-jwt", {"vct_values": [self.vct]}, paths))
        if self.doctype is not None and self.namespace is not None:
            paths = [[self.namespace, item.name] for item in self.items]
            credentials.append(_query(Format.MDOC, "mso_mdoc", {"doctype_value": self.doctype}, paths))
        query: dict[str, Any] = {"credentials": credentials}
        if len(credentials) > 1:  # one of them is enough; without this all would be asked for (section 6.4.2)
            query["credential_sets"] = [{"options": [[credential["id"]] for credential in credentials]}]
        return query

    def ask(self, *, client_id: str, nonce: str, response_uri: str, key_thumbprint: bytes) -> Ask:
        """The question as put once: what an answer is checked against."""
        return Ask(self.items, self.vct, self.doctype, self.namespace, client_id, nonce, response_uri, key_thumbprint)


def question(country: Country, registered: Mapping[str, Collection[str]], purpose: str, form: Form) -> Question:
    """The question of this purpose. `registered`: the relying party's purposes on the trust list, each with its items.

    Raises Refused(NOT_FOUND) for a purpose the pack does not know, OVER_ASKING for more than may be asked,
    UNSUPPORTED for a format the document does not have.
    """
    asked = country.purposes.get(purpose)
    if asked is None:
        raise Refused(Code.NOT_FOUND, "there is no such purpose")
    if purpose not in registered:
        raise Refused(Code.OVER_ASKING, "this relying party has not registered this purpose")
    document = country.documents[asked.document]
    items = frozenset(asked.items)
    if not items or not items <= frozenset(registered[purpose]) or not items <= document.may_be_asked:
        raise Refused(Code.OVER_ASKING, "more is asked than this relying party may ask")
    sd_jwt = document.formats.sd_jwt if document.formats is not None and form is not Form.MDOC else None
    mdoc = document.formats.mdoc if document.formats is not None and form is not Form.SD_JWT else None
    if sd_jwt is None and mdoc is None:
        raise Refused(Code.UNSUPPORTED, "the document does not come in this format")
    return Question(
        purpose,
        tuple(Item(name, document.claim(name).kind) for name in asked.items),
        sd_jwt.vct if sd_jwt is not None else None,
        mdoc.doctype if mdoc is not None else None,
        mdoc.namespace if mdoc is not None else None,
    )


def _query(id: Format, format: str, meta: dict[str, Any], paths: list[list[str]]) -> dict[str, Any]:
    return {"id": id.value, "format": format, "meta": meta, "claims": [{"path": path} for path in paths]}
