"""The pages of the simulated services: paying, following a parcel, the letter with the PIN, and how they misbehave.

Promises: every page says that it is a simulator, and works without script. Trusts: whoever has a payment's or a
parcel's link; anybody for the orders to misbehave, for none of this stands outside a demo. Keeps: nothing. Refuses: a
form from another site, the letter of a card that has not left the factory.
"""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from mapae.errors import Code, Refused
from mapae.simulators.payment import DEMO
from mapae.simulators.post import events, state_of
from mapae.simulators.web import Simulators
from mapae.ui.http import Answer, Caller, Csrf, Door, door, form, see_other
from mapae.ui.pages import page, referer


def pages(simulators: Simulators) -> list[Door]:
    view = _Pages(simulators)
    see = partial(door, "GET", caller=Caller.ANYONE, answer=Answer.PAGE)
    do = partial(door, "POST", caller=Caller.ANYONE, answer=Answer.PAGE, csrf=Csrf.TOKEN, limit=4096)
    return [
        see("/simulators/", view.overview),
        do("/simulators/{service}/faults", view.misbehave),
        see("/factory/letters/{card}", view.letter),
        see("/post/track/{number}", view.track),
        see("/payment/pay/{id}", view.payment),
        do("/payment/pay/{id}", view.pay),
        do("/payment/pay/{id}/confirm", view.confirm),
    ]


class _Pages:
    def __init__(self, simulators: Simulators) -> None:
        self._simulators = simulators

    async def overview(self, request: Request) -> Response:
        these = self._simulators
        told = {name: await service.told() for name, service in these.services.items()}
        now = these.post.now()
        return page(
            request, "simulators/overview.html", told=told,
            modes={name: service.modes for name, service in these.services.items()},
            orders=await these.factory.newest(),
            parcels=[(one, state_of(one, now)[0]) for one in await these.post.newest()],
            payments=await these.payments.newest(),
        )  # fmt: skip

    async def misbehave(self, request: Request) -> Response:
        service = self._simulators.services.get(request.path_params["service"])
        if service is None:
            raise Refused(Code.NOT_FOUND, "there is no such simulator")
        sent = await form(request)
        count = sent.get("count", "1")
        if not (count.isascii() and count.isdigit() and len(count) <= 4):
            raise Refused(Code.MALFORMED, "how often is a number")
        mode = sent.get("mode", "none")
        await service.misbehave(mode, 5 if mode == "slow" else 0, int(count))
        return see_other("/simulators/")

    async def letter(self, request: Request) -> Response:
        card = request.path_params["card"]
        return page(request, "simulators/letter.html", card=card, letter=await self._simulators.factory.letter(card))

    async def track(self, request: Request) -> Response:
        post = self._simulators.post
        parcel = await post.parcel(request.path_params["number"])
        now = post.now()
        return page(
            request, "simulators/track.html", parcel=parcel, state=state_of(parcel, now)[0], events=events(parcel, now)
        )

    async def payment(self, request: Request) -> Response:
        came_from = referer(request)
        ours = came_from.netloc == request.url.netloc and came_from.path.startswith(("/portal/", "/desk/"))
        if ours and len(came_from.path) <= 200:
            await self._simulators.payments.came_from(request.path_params["id"], came_from.path)
        return await self._payment(request)

    async def _payment(self, request: Request, *, wrong: bool = False) -> Response:
        row = await self._simulators.payments.payment(request.path_params["id"])
        cards = [(" ".join(number[at : at + 4] for at in range(0, 16, 4)), card.value) for number, card in DEMO.items()]
        return page(
            request, "simulators/payment.html", status=422 if wrong else 200, payment=row, wrong=wrong, cards=cards
        )

    async def pay(self, request: Request) -> Response:
        id = request.path_params["id"]
        sent = await form(request)
        try:
            await self._simulators.payments.pay(id, sent.get("card", ""))
        except Refused as refused:
            if refused.code is not Code.MALFORMED:
                raise
            return await self._payment(request, wrong=True)
        return see_other(f"/payment/pay/{id}")

    async def confirm(self, request: Request) -> Response:
        id = request.path_params["id"]
        sent = await form(request)
        await self._simulators.payments.confirm(id, sent.get("yes") == "yes")
        return see_other(f"/payment/pay/{id}")
