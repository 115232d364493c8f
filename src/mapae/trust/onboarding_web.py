"""The page on which an organisation applies, and sees and ends what it has once it may ask.

Promises: everything works without script, by keyboard and in both languages; the secret link alone leads to an
application; what the linter says is on the page before anything is handed in; nothing is ended before it was asked once
more. Trusts: `onboarding` for every rule. Keeps: nothing. Refuses: a form from another site, many applications from one
address, a body over its limit. Whatever an applicant writes is text: it is escaped, and no address in it is ever opened
by us.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from mapae.clock import Clock
from mapae.errors import Code, Refused
from mapae.rules import Words
from mapae.trust import application, onboarding_json
from mapae.trust.application import DAYS, LIMIT, Asking, document_of, items_of, ready_of
from mapae.trust.lint import RETENTION, RISKS
from mapae.trust.on_behalf import OnBehalf
from mapae.trust.onboarding import Onboarding, Seen
from mapae.trust.onboarding_demo import Pressed
from mapae.trust.onboarding_form import Fields
from mapae.trust.onboarding_moves import CHANGEABLE
from mapae.trust.onboarding_store import OVER, Stage
from mapae.trust.registry import Governor
from mapae.ui.http import Answer, Caller, Csrf, Door, Rate, door, form, see_other
from mapae.ui.pages import page
from mapae.ui.rate import network

START: Final = "/rp/"


def routes(
    onboarding: Onboarding, clock: Clock, on_behalf: OnBehalf, base: str, governors: Sequence[Governor] = ()
) -> list[Door]:  # fmt: skip
    """`base`: under which address links lead here. `governors`: those of the demo country, whose keys lie here, to be
    pressed for."""
    site = _Site(onboarding, clock, on_behalf, base, demo=bool(governors))
    see = partial(door, "GET", caller=Caller.ANYONE, answer=Answer.PAGE, rate=Rate(120, 60))
    do = partial(
        door, "POST", caller=Caller.ANYONE, answer=Answer.PAGE, csrf=Csrf.TOKEN, limit=LIMIT, rate=Rate(60, 60)
    )  # fmt: skip
    found = [
        see(START, site.start),
        do(START, site.begin, rate=Rate(30, 600)),
        see("/rp/a/{token}", site.case),
        *(do(f"/rp/a/{{token}}/{name}", partial(site.deed, name)) for name in _Site.DEEDS),
        *onboarding_json.routes(onboarding, on_behalf),
    ]
    if governors:
        pressed = Pressed(onboarding, governors)
        found += [see("/rp/governors", pressed.show), do("/rp/governors/{id}", pressed.press)]
    return found


class _Site:
    DEEDS: Final = (
        "organisation", "ready", "purpose", "remove", "basis", "submit", "withdraw", "till", "key", "end", "link",
    )  # fmt: skip

    def __init__(self, onboarding: Onboarding, clock: Clock, on_behalf: OnBehalf, base: str, *, demo: bool) -> None:
        self._onboarding, self._on_behalf, self._base, self._demo = onboarding, on_behalf, base.rstrip("/"), demo
        self._country, self._fields = onboarding.country, Fields(onboarding.country, clock)

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
            made = self._fields.organisation(fields, self._fields.chosen(fields))
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
        try:
            match name:
                case "submit":
                    await self._onboarding.submit(token)
                case "till":
                    return await self._case(request_, given={name: await self._on_behalf.till(seen)})
                case "key":
                    label = fields.get("label", "").strip()[:60]
                    return await self._case(request_, given={name: await self._on_behalf.api_key(seen, label)})
                case "end" | "link" | "withdraw" if fields.get("sure") != "yes":
                    return await self._sure(request_, seen, name, fields)
                case "withdraw":
                    await self._onboarding.withdraw(token)
                case "end":
                    await self._on_behalf.end(seen, fields.get("kind", ""), fields.get("id", ""))
                case "link":
                    token = await self._onboarding.relink(token)
                case _:
                    await self._onboarding.save(token, self._fields.changed(name, seen.made, fields))
        except Refused as refused:
            if refused.code is Code.EXCESSIVE:  # the page says which item, why, and what to do
                return await self._case(request_, excessive=True)
            if (wrong := _wrong(refused)) is None:
                raise
            return await self._case(request_, wrong, fields)
        return see_other(f"/rp/a/{token}" + ("?new=1" if name == "link" else "#holdings" if name == "end" else ""))

    async def _sure(self, request_: Request, seen: Seen, deed: str, fields: Mapping[str, str]) -> Response:
        """What it would end, and once more: do it?"""
        which = (fields.get("kind", ""), fields.get("id", ""))
        there = await self._on_behalf.holdings(seen) if deed == "end" else []
        if there is None:
            raise Refused(Code.UNAVAILABLE, "the checker does not answer; nothing has ended, try again")
        found = [one for one in there if (one.kind, one.id) == which]
        if deed == "end" and not found:
            raise Refused(Code.NOT_FOUND, "there is no such thing, or it has ended")
        return page(request_, "rp/sure.html", here=f"/rp/a/{request_.path_params['token']}", deed=deed, seen=seen,
                    one=found[0] if found else None)  # fmt: skip

    async def _case(
        self, request_: Request, wrong: str = "", typed: Mapping[str, str] | None = None,
        given: Mapping[str, str] | None = None, excessive: bool = False,
    ) -> Response:  # fmt: skip
        token = request_.path_params["token"]
        seen = await self._onboarding.of(token)
        certificate, left = seen.certificate, self._onboarding.left(seen)
        return page(
            request_, "rp/case.html", status=422 if wrong or excessive else 200, token=token, wrong=wrong,
            excessive=excessive, typed=_typed(typed or {}),
            given=given or {}, link=f"{self._base}/rp/a/{token}", demo_governors=self._demo,
            changeable=seen.case.stage in CHANGEABLE and seen.case.proposal is None, seen=seen,
            pinned=seen.case.proposal is not None and seen.case.stage is Stage.WAITING,
            stops=any(one.stops for one in seen.findings), findings=self._findings(seen),
            purposes=[self._purpose(one) for one in seen.made.purposes], needing=self._needing(seen),
            ready=[self._offered(id) for id in self._country.purposes], documents=self._documents(), days=DAYS,
            retention=application.retention, risks=RISKS, left=left, holdings=await self._on_behalf.holdings(seen),
            relinked=request_.query_params.get("new") == "1", over=seen.case.stage in OVER,
            pem=ssl.DER_cert_to_PEM_cert(certificate) if certificate is not None else "",
        )  # fmt: skip

    # --- what the page shows ------------------------------------------------------------------------------------------

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


def _typed(fields: Mapping[str, str]) -> dict[str, str]:
    """What stands in the organisation's fields again."""
    return {name: fields.get(name, "") for name in ("name_en", "name_ko", "id", "number", "contact", "key")}


def _wrong(refused: Refused) -> str | None:
    """The word of the field that is to be mended; None: it is no matter of a field."""
    if refused.code is Code.CONFLICT and refused.step == "id":
        return "taken"
    if refused.code is Code.TOO_OFTEN and refused.step is not None:
        return "full"
    if refused.code in (Code.MALFORMED, Code.UNSUPPORTED) and refused.step is not None:
        return refused.step
    return None
