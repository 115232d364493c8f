"""The page on which an organisation applies, and the doors of `mapae rp`.

Promises: everything works without script, by keyboard and in both languages; the secret link alone leads to an
application; what the linter says is on the page before anything is handed in. Trusts: `onboarding` for every rule.
Keeps: nothing. Refuses: a form from another site, many applications from one address, a body over its limit. Whatever
an applicant writes is text: it is escaped, and no address in it is ever opened by us.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mapae.clock import Clock
from mapae.errors import Code, Refused
from mapae.formats.x509 import life_of
from mapae.rules import Words
from mapae.trust import application, request
from mapae.trust.application import DAYS, LIMIT, Application, Asking, document_of, items_of, ready_of
from mapae.trust.lint import RETENTION, RISKS, Finding
from mapae.trust.onboarding import CHANGEABLE, Onboarding, Seen
from mapae.trust.onboarding_store import Stage
from mapae.trust.registry import Governor
from mapae.ui.http import Answer, Caller, Csrf, Door, Rate, door, form, json_answer, json_body, raw_body, see_other
from mapae.ui.pages import page
from mapae.ui.rate import network

START: Final = "/rp/"
Given = Callable[[str], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class OnBehalf:
    """What a hosted party is given: a code for a till, a key of the HTTP interface."""

    till: Given
    api_key: Given


class _Nothing(msgspec.Struct, forbid_unknown_fields=True):
    pass


def routes(
    onboarding: Onboarding, clock: Clock, on_behalf: OnBehalf | None = None, governors: Sequence[Governor] = ()
) -> list[Door]:  # fmt: skip
    """`governors`: those of the demo country, whose keys lie here, to be pressed for."""
    site, doors = _Site(onboarding, clock, on_behalf, bool(governors)), _Json(onboarding, on_behalf)
    see = partial(door, "GET", caller=Caller.ANYONE, answer=Answer.PAGE, rate=Rate(120, 60))
    do = partial(
        door, "POST", caller=Caller.ANYONE, answer=Answer.PAGE, csrf=Csrf.TOKEN, limit=LIMIT, rate=Rate(60, 60)
    )  # fmt: skip
    hear = partial(door, caller=Caller.ANYONE, answer=Answer.JSON, limit=LIMIT)
    found = [
        see(START, site.start),
        do(START, site.begin),
        see("/rp/a/{token}", site.case),
        *(do(f"/rp/a/{{token}}/{name}", partial(site.deed, name)) for name in _Site.DEEDS),
        hear("POST", "/rp/lint", doors.lint, rate=Rate(120, 60)),
        hear("POST", "/rp/applications", doors.begin, rate=Rate(30, 600)),
        hear("GET", "/rp/applications/{token}", doors.look, rate=Rate(120, 60)),
        *(hear("POST", f"/rp/applications/{{token}}/{name}", partial(doors.deed, name), rate=Rate(60, 60))
          for name in _Json.DEEDS),
    ]  # fmt: skip
    if governors:
        pressed = _Pressed(onboarding, governors)
        found += [see("/rp/governors", pressed.show), do("/rp/governors/{id}", pressed.press)]
    return found


# --- pages ------------------------------------------------------------------------------------------------------------


class _Site:
    DEEDS: Final = ("organisation", "ready", "purpose", "remove", "basis", "submit", "withdraw", "till", "key")

    def __init__(self, onboarding: Onboarding, clock: Clock, on_behalf: OnBehalf | None, demo: bool) -> None:
        self._onboarding, self._clock, self._on_behalf, self._demo = onboarding, clock, on_behalf, demo
        self._country = onboarding.country

    async def start(self, request_: Request) -> Response:
        return self._start(request_, {}, "")

    def _start(self, request_: Request, typed: Mapping[str, str], wrong: str) -> Response:
        return page(
            request_, "rp/start.html", status=422 if wrong else 200, wrong=wrong, typed=_typed(typed),
            chosen=[id for id in self._country.purposes if typed.get(f"ready_{id}") == "yes"],
            ready=[self._offered(id) for id in self._country.purposes],
        )  # fmt: skip

    async def begin(self, request_: Request) -> Response:
        fields = await form(request_)
        try:
            made = self._organisation(fields, self._chosen(fields))
            source = network(request_.client.host) if request_.client else ""
            _, token = await self._onboarding.begin(made, source)
        except Refused as refused:
            if (wrong := _wrong(refused)) is None:
                raise
            return self._start(request_, fields, wrong)
        return see_other(f"/rp/a/{token}")

    async def case(self, request_: Request) -> Response:
        return await self._case(request_)

    async def deed(self, name: str, request_: Request) -> Response:
        token, fields = request_.path_params["token"], await form(request_)
        seen = await self._onboarding.of(token)
        given: dict[str, str] = {}
        try:
            match name:
                case "submit":
                    await self._onboarding.submit(token)
                case "withdraw":
                    await self._onboarding.withdraw(token)
                case "till" | "key":
                    given = {name: await _given(seen, self._on_behalf, name)}
                case _:
                    await self._onboarding.save(token, self._changed(name, seen.made, fields))
        except Refused as refused:
            if refused.code is Code.EXCESSIVE:  # the page says which item, why, and what to do
                return await self._case(request_, excessive=True)
            if (wrong := _wrong(refused)) is None:
                raise
            return await self._case(request_, wrong, fields)
        return await self._case(request_, given=given) if given else see_other(f"/rp/a/{token}")

    async def _case(
        self, request_: Request, wrong: str = "", typed: Mapping[str, str] | None = None,
        given: Mapping[str, str] | None = None, excessive: bool = False,
    ) -> Response:  # fmt: skip
        token = request_.path_params["token"]
        seen = await self._onboarding.of(token)
        here = request_.url
        certificate = seen.certificate
        return page(
            request_, "rp/case.html", status=422 if wrong or excessive else 200, token=token, wrong=wrong,
            excessive=excessive, typed=_typed(typed or {}),
            given=given or {}, link=f"{here.scheme}://{here.netloc}/rp/a/{token}", demo_governors=self._demo,
            changeable=seen.case.stage in CHANGEABLE and seen.case.proposal is None, seen=seen,
            pinned=seen.case.proposal is not None and seen.case.stage is Stage.WAITING,
            stops=any(one.stops for one in seen.findings), findings=self._findings(seen),
            purposes=[self._purpose(one) for one in seen.made.purposes], needing=self._needing(seen),
            ready=[self._offered(id) for id in self._country.purposes], documents=self._documents(), days=DAYS,
            retention=application.retention, risks=RISKS,
            pem=ssl.DER_cert_to_PEM_cert(certificate) if certificate is not None else "",
            until=life_of(certificate)[1] if certificate is not None else None,
        )  # fmt: skip

    # --- what fields make -------------------------------------------------------------------------------------------

    def _changed(self, deed: str, made: Application, fields: Mapping[str, str]) -> Application:
        match deed:
            case "organisation":
                return self._organisation(fields, made.purposes, made)
            case "ready":
                own = [one for one in made.purposes if not one.ready]
                return self._with(made, [*self._chosen(fields, made), *own])
            case "purpose":
                added = self._own(fields)
                others = [one for one in made.purposes if one.id != added.id or one.ready]
                return self._with(made, [*others, added])
            case "remove":
                return self._with(made, [one for one in made.purposes if (one.ready or one.id) != fields.get("which")])
            case _:
                return self._with(made, [self._based(place, one, fields) for place, one in enumerate(made.purposes)])

    def _organisation(
        self, fields: Mapping[str, str], purposes: Sequence[Asking], before: Application | None = None
    ) -> Application:  # fmt: skip
        key = before.key if before is not None else None
        if fields.get("key", "").strip():
            try:
                key = request.read_access(fields["key"], self._clock.now()).jwk
            except Refused:
                raise Refused(Code.MALFORMED, "this is no key request", step="key") from None
        elif fields.get("hosted") == "yes":
            key = None
        said = {
            "id": fields.get("id", "").strip(), "number": fields.get("number", "").strip(),
            "contact": fields.get("contact", "").strip(), "purposes": [msgspec.to_builtins(one) for one in purposes],
            "name": {"ko": fields.get("name_ko", "").strip(), "en": fields.get("name_en", "").strip()},
        }  # fmt: skip
        return application.check(said | ({"key": key} if key is not None else {}))

    def _chosen(self, fields: Mapping[str, str], made: Application | None = None) -> list[Asking]:
        there = {one.ready: one for one in made.purposes if one.ready} if made is not None else {}
        return [there.get(id, Asking(ready=id)) for id in self._country.purposes if fields.get(f"ready_{id}") == "yes"]

    def _own(self, fields: Mapping[str, str]) -> Asking:
        document, days = fields.get("document", ""), fields.get("days", "0")
        said = {
            "id": fields.get("id", "").strip(), "document": document, "risk": fields.get("risk", "low"),
            "days": int(days) if days.isascii() and days.isdigit() and len(days) < 6 else -1,
            "items": [claim.name for claim in self._claims(document) if fields.get(f"item_{claim.name}") == "yes"],
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

    # --- what the page shows ------------------------------------------------------------------------------------------

    def _claims(self, document: str) -> Sequence[Any]:
        found = self._country.documents.get(document)
        return found.claims if found is not None else ()

    def _documents(self) -> list[dict[str, Any]]:
        return [
            {"id": id, "name": document.name, "claims": [c for c in document.claims if c.may_be_asked]}
            for id, document in self._country.documents.items() if document.claims
        ]  # fmt: skip

    def _offered(self, id: str) -> dict[str, Any]:
        purpose = self._country.purposes[id]
        document = self._country.documents[purpose.document]
        labels = [document.claim(item).label for item in purpose.items]
        return {"id": id, "name": purpose.name, "why": purpose.why, "labels": labels}

    def _purpose(self, asking: Asking) -> dict[str, Any]:
        ready, document = ready_of(asking, self._country), document_of(asking, self._country)
        labels = {claim.name: claim.label for claim in document.claims} if document is not None else {}
        minimum = set(ready.items) if ready is not None else set()
        return {
            "which": asking.ready or asking.id, "name": self._called(asking),
            "why": ready.why if ready is not None else asking.why,
            "legal_basis": ready.legal_basis if ready is not None else asking.legal_basis,
            "retention": ready.retention if ready is not None else application.retention(asking.days),
            "labels": [(labels.get(item, Words(ko=item, en=item)), bool(minimum) and item not in minimum)
                       for item in items_of(asking, self._country)],
        }  # fmt: skip

    def _called(self, asking: Asking) -> Words:
        ready = ready_of(asking, self._country)
        return ready.name if ready is not None else asking.name or Words(ko=asking.id, en=asking.id)

    def _findings(self, seen: Seen) -> list[dict[str, Any]]:
        return [
            {"rule": one.rule, "kind": "answered" if one.answer else one.level, "says": one.says, "do": one.do,
             "answer": one.answer, "stops": one.stops,
             "purpose": self._called(seen.made.purposes[one.place]) if one.place is not None else None}
            for one in seen.findings
        ]  # fmt: skip

    def _needing(self, seen: Seen) -> list[dict[str, Any]]:
        """Where a legal basis for one item may be written."""
        found = []
        for one in seen.findings:
            if one.level == "basis" and one.place is not None:
                asking = seen.made.purposes[one.place]
                document = document_of(asking, self._country)
                label = None if one.item == RETENTION or document is None else document.claim(one.item).label
                found.append({"field": f"basis_{one.place}_{one.item}", "purpose": self._called(asking),
                              "label": label, "text": one.answer})  # fmt: skip
        return found


async def _given(seen: Seen, on_behalf: OnBehalf | None, what: str) -> str:
    if on_behalf is None or not seen.made.hosted or seen.case.stage is not Stage.APPROVED:
        raise Refused(Code.NOT_ALLOWED, "this is for an approved party that asks through the country's checker")
    return await (on_behalf.till if what == "till" else on_behalf.api_key)(seen.case.party)


def _typed(fields: Mapping[str, str]) -> dict[str, str]:
    """What stands in the organisation's fields again."""
    return {name: fields.get(name, "") for name in ("name_en", "name_ko", "id", "number", "contact", "key")}


def _wrong(refused: Refused) -> str | None:
    """The word of the field that is to be mended; None: it is no matter of a field."""
    if refused.code is Code.CONFLICT and refused.step == "id":
        return "taken"
    if refused.code in (Code.MALFORMED, Code.UNSUPPORTED) and refused.step is not None:
        return refused.step
    return None


# --- for `mapae rp` and whoever scripts it ----------------------------------------------------------------------------


def said(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule, "level": finding.level, "stops": finding.stops, "purpose": finding.place,
        "item": finding.item, "says": finding.says, "do": finding.do, "answer": finding.answer,
    }  # fmt: skip


class _Json:
    DEEDS: Final = ("submit", "withdraw", "change", "till", "key")

    def __init__(self, onboarding: Onboarding, on_behalf: OnBehalf | None) -> None:
        self._onboarding, self._on_behalf = onboarding, on_behalf

    async def lint(self, request_: Request) -> Response:
        made = application.read(await _json(request_))
        return json_answer({"findings": [said(one) for one in self._onboarding.lint(made)]})

    async def begin(self, request_: Request) -> Response:
        made = application.read(await _json(request_))
        filer = request_.headers.get("mapae-filer", "")[:64]
        source = network(request_.client.host) if request_.client else ""
        _, token = await self._onboarding.begin(made, source, filer if filer.isascii() and filer.isprintable() else "")
        return json_answer(self._seen(await self._onboarding.of(token)) | {"token": token}, 201)

    async def look(self, request_: Request) -> Response:
        return json_answer(self._seen(await self._onboarding.of(request_.path_params["token"])))

    async def deed(self, name: str, request_: Request) -> Response:
        token = request_.path_params["token"]
        match name:
            case "change":
                return json_answer(
                    self._seen(await self._onboarding.save(token, application.read(await _json(request_))))
                )
            case "submit" | "withdraw":
                await json_body(request_, _Nothing)
                act = self._onboarding.submit if name == "submit" else self._onboarding.withdraw
                return json_answer(self._seen(await act(token)))
            case _:
                await json_body(request_, _Nothing)
                return json_answer({name: await _given(await self._onboarding.of(token), self._on_behalf, name)})

    def _seen(self, seen: Seen) -> dict[str, Any]:
        certificate = ssl.DER_cert_to_PEM_cert(seen.certificate) if seen.certificate is not None else None
        return {
            "id": seen.case.id, "party": seen.case.party, "stage": seen.case.stage.value, "note": seen.case.note,
            "agreed": seen.case.proposal is not None, "findings": [said(one) for one in seen.findings],
            "certificate": certificate, "x509_hash": seen.case.x509_hash, "application": seen.made,
        }  # fmt: skip


async def _json(request_: Request) -> bytes:
    if request_.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(Code.MALFORMED, "the body must be application/json")
    return await raw_body(request_)


# --- the demo country's governors -------------------------------------------------------------------------------------


class _Pressed:
    """Two keys in one folder, pressed for on a page: it shows the steps and protects nothing."""

    def __init__(self, onboarding: Onboarding, governors: Sequence[Governor]) -> None:
        self._onboarding, self._governors = onboarding, {one.id: one for one in governors}

    async def show(self, request_: Request) -> Response:
        waiting = []
        for seen in await self._onboarding.waiting():
            about = await self._onboarding.about(seen)
            meant = application.entry(seen.made, "A" * 43, self._onboarding.country)
            # Two documents may each have a `name`, of another person: an item is called what its own document calls it.
            read = [document_of(asking, self._onboarding.country) for asking in seen.made.purposes]
            labels = [{claim.name: claim.label for claim in one.claims} if one is not None else {} for one in read]
            waiting.append({"seen": seen, "purposes": list(zip(meant.purposes, labels, strict=True)),
                            "findings": [*about, *seen.findings],
                            "agreed": await self._onboarding.agreed(seen.case)})  # fmt: skip
        return page(request_, "rp/governors.html", waiting=waiting, governors=list(self._governors),
                    agreed=request_.query_params.get("agreed") == "1")  # fmt: skip

    async def press(self, request_: Request) -> Response:
        by = self._governors.get((await form(request_)).get("governor", ""))
        if by is None:
            raise Refused(Code.NOT_FOUND, "there is no such governor")
        if "." not in (reading := request_.path_params["id"]):
            raise Refused(Code.MALFORMED, "one agrees to what one has read: which version is that?")
        await self._onboarding.approve(reading, by)
        return see_other("/rp/governors?agreed=1")
