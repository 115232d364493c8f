"""The demo country's governors, pressed for on a page.

Promises: shows the steps of two governors, and protects nothing: both keys lie in one folder. Trusts: `onboarding`.
Keeps: nothing. Refuses: to agree to a version that nobody has read.
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from mapae.errors import Code, Refused
from mapae.trust import application
from mapae.trust.application import document_of
from mapae.trust.onboarding import Onboarding
from mapae.trust.registry import Governor
from mapae.ui.http import form, see_other
from mapae.ui.pages import page


class Pressed:
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
            names = [one.name if one is not None else None for one in read]
            waiting.append({"seen": seen, "purposes": list(zip(meant.purposes, labels, names, strict=True)),
                            "findings": [*about, *seen.findings],
                            "agreed": await self._onboarding.agreed(seen.case)})  # fmt: skip
        return page(request_, "rp/governors.html", waiting=waiting, governors=list(self._governors),
                    due=await self._onboarding.due(), agreed=request_.query_params.get("agreed") == "1")  # fmt: skip

    async def press(self, request_: Request) -> Response:
        by = self._governors.get((await form(request_)).get("governor", ""))
        if by is None:
            raise Refused(Code.NOT_FOUND, "there is no such governor")
        if "." not in (reading := request_.path_params["id"]):
            raise Refused(Code.MALFORMED, "one agrees to what one has read: which version is that?")
        await self._onboarding.approve(reading, by)
        return see_other("/rp/governors?agreed=1")
