"""What the fields of the application's page make of an application. Pure, but for the date of a key request.

Promises: each deed changes just what its form shows; what comes out is as plain as `application.check` wants it.
Trusts: the country pack for purposes and items. Keeps: nothing. Refuses: MALFORMED with the field as its step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from mapae.catalog import Country
from mapae.clock import Clock
from mapae.errors import Code, Refused
from mapae.trust import application, request
from mapae.trust.application import Application, Asking


class Fields:
    def __init__(self, country: Country, clock: Clock) -> None:
        self._country, self._clock = country, clock

    def changed(self, deed: str, made: Application, fields: Mapping[str, str]) -> Application:
        match deed:
            case "organisation":
                return self.organisation(fields, made.purposes, made)
            case "ready":
                own = [one for one in made.purposes if not one.ready]
                return self._with(made, [*self.chosen(fields, made), *own])
            case "purpose":
                added = self._own(fields)
                others = [one for one in made.purposes if one.id != added.id or one.ready]
                return self._with(made, [*others, added])
            case "remove":
                return self._with(made, [one for one in made.purposes if (one.ready or one.id) != fields.get("which")])
            case _:
                return self._with(made, [self._based(place, one, fields) for place, one in enumerate(made.purposes)])

    def organisation(
        self, fields: Mapping[str, str], purposes: Sequence[Asking], before: Application | None = None
    ) -> Application:  # fmt: skip
        key, proof = (before.key, before.proof) if before is not None else (None, "")
        if fields.get("key", "").strip():
            proof = "".join(fields["key"].split())
            try:
                key = request.read_access(proof, self._clock.now()).jwk
            except Refused:
                raise Refused(Code.MALFORMED, "this is no key request", step="key") from None
        elif fields.get("hosted") == "yes":
            key, proof = None, ""
        said = {
            "id": fields.get("id", "").strip(), "number": fields.get("number", "").strip(),
            "contact": fields.get("contact", "").strip(), "purposes": [msgspec.to_builtins(one) for one in purposes],
            "name": {"ko": fields.get("name_ko", "").strip(), "en": fields.get("name_en", "").strip()},
        }  # fmt: skip
        return application.check(said | ({"key": key, "proof": proof} if key is not None else {}))

    def chosen(self, fields: Mapping[str, str], made: Application | None = None) -> list[Asking]:
        there = {one.ready: one for one in made.purposes if one.ready} if made is not None else {}
        return [there.get(id, Asking(ready=id)) for id in self._country.purposes if fields.get(f"ready_{id}") == "yes"]

    def _own(self, fields: Mapping[str, str]) -> Asking:
        document, days = fields.get("document", ""), fields.get("days", "0")
        found = self._country.documents.get(document)
        claims = found.claims if found is not None else ()
        said = {
            "id": fields.get("id", "").strip(), "document": document, "risk": fields.get("risk", "low"),
            "days": int(days) if days.isascii() and days.isdigit() and len(days) < 6 else -1,
            "items": [claim.name for claim in claims if fields.get(f"item_{claim.name}") == "yes"],
        } | {
            name: {"ko": fields.get(f"{name}_ko", "").strip(), "en": fields.get(f"{name}_en", "").strip()}
            for name in ("name", "why", "legal_basis")
        }  # fmt: skip
        return application.check_purpose(said)

    def _based(self, place: int, asking: Asking, fields: Mapping[str, str]) -> Asking:
        prefix = f"basis_{place}_"
        given = {name.removeprefix(prefix): text.strip() for name, text in fields.items() if name.startswith(prefix)}
        basis = {**asking.basis, **given}
        return msgspec.structs.replace(asking, basis={item: text for item, text in basis.items() if text})

    def _with(self, made: Application, purposes: Sequence[Asking]) -> Application:
        found = msgspec.structs.replace(made, purposes=tuple(purposes))
        application.must_be_plain(found)
        return found
