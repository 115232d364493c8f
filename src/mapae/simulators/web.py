"""The doors of the simulated services for programs: JSON in and out, with each service's key.

Promises: one address a service (`/factory`, `/post`, `/payment`, `/fingerprint`), so that each can be replaced by its
own setting; every service can be told to misbehave at `/<service>/faults`. Trusts: whoever holds the key. Keeps:
nothing. Refuses: a wrong key before anything else, other shapes of message.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mapae.simulators.factory import CardData, SimulatedFactory, Standing
from mapae.simulators.faults import Service
from mapae.simulators.fingerprint import SimulatedReader
from mapae.simulators.payment import SimulatedPayments
from mapae.simulators.post import Sending, SimulatedPost, state_of
from mapae.simulators.store import ParcelRow, PaymentRow
from mapae.ui.http import Answer, Caller, Door, door, json_answer, json_body

ORDER_LIMIT: Final = 128 * 1024  # a portrait in base64, and the rest


@dataclass(frozen=True, slots=True)
class Simulators:
    """The four services of one process. `base` is where the public reaches their pages."""

    factory: SimulatedFactory
    post: SimulatedPost
    payments: SimulatedPayments
    reader: SimulatedReader
    base: str

    @property
    def services(self) -> dict[str, Service]:
        return {one.service.name: one.service for one in (self.factory, self.post, self.payments, self.reader)}


class NewFault(msgspec.Struct):
    mode: str
    seconds: int = 0
    count: int = 1


class NewOrder(msgspec.Struct):
    order: str
    card: CardData


class Signature(msgspec.Struct):
    sod: bytes


class NewParcel(msgspec.Struct):
    reference: str
    to_name: str
    to_address: str
    personal: bool
    days: tuple[int, int]


class NewPayment(msgspec.Struct):
    reference: str
    amount: int
    currency: str
    back: str = ""


class Comparison(msgspec.Struct):
    person: str
    office: str


Handler = Callable[[Request], Awaitable[Any]]


def routes(simulators: Simulators) -> list[Door]:
    """The JSON doors; the pages are in `pages.py`."""
    return [*_factory(simulators), *_post(simulators), *_payment(simulators), *_fingerprint(simulators)]


def _guarded(service: Service, handler: Handler, status: int = 200) -> Callable[[Request], Awaitable[Response]]:
    async def admitted(request: Request) -> Response:
        service.admit(request.headers.get("authorization"))
        return json_answer(await handler(request), status=status)

    return admitted


def _doors(service: Service) -> tuple[Callable[..., Door], Callable[..., Door], Door]:
    """How a service's doors are made for reading and for deeds, and the one for faults."""

    async def misbehave(request: Request) -> Any:
        fault = await json_body(request, NewFault)
        await service.misbehave(fault.mode, fault.seconds, fault.count)
        return {"mode": fault.mode, "count": fault.count}

    def read(path: str, handler: Handler) -> Door:
        guarded = _guarded(service, handler)
        return door("GET", f"/{service.name}{path}", guarded, caller=Caller.ANYONE, answer=Answer.JSON)

    def do(path: str, handler: Handler, status: int = 200, limit: int = 16384) -> Door:
        guarded = _guarded(service, handler, status)
        return door("POST", f"/{service.name}{path}", guarded, caller=Caller.ANYONE, answer=Answer.JSON, limit=limit)

    return read, do, do("/faults", misbehave, limit=1024)


def _factory(simulators: Simulators) -> list[Door]:
    factory = simulators.factory
    read, do, faults = _doors(factory.service)

    async def order(request: Request) -> Any:
        new = await json_body(request, NewOrder)
        return _standing(await factory.order(new.order, new.card))

    async def state(request: Request) -> Any:
        return _standing(await factory.state(request.path_params["id"]))

    async def sign(request: Request) -> Any:
        signature = await json_body(request, Signature)
        return _standing(await factory.sign(request.path_params["id"], signature.sod))

    async def cancel(request: Request) -> Any:
        return {"cancelled": await factory.cancel(request.path_params["id"])}

    return [
        do("/orders", order, 201, ORDER_LIMIT), read("/orders/{id}", state), do("/orders/{id}/sod", sign),
        do("/orders/{id}/cancel", cancel), faults,
    ]  # fmt: skip


def _standing(standing: Standing) -> dict[str, Any]:
    return {
        "order": standing.id, "state": standing.state, "hashes": standing.hashes, "dg14": standing.dg14,
        "at": standing.at,
    }  # fmt: skip


def _post(simulators: Simulators) -> list[Door]:
    post = simulators.post
    read, do, faults = _doors(post.service)

    def said(parcel: ParcelRow) -> dict[str, Any]:
        state, at = state_of(parcel, post.now())
        url = f"{simulators.base}/post/track/{parcel.number}"
        return {"number": parcel.number, "reference": parcel.reference, "state": state, "at": at, "url": url}

    async def send(request: Request) -> Any:
        new = await json_body(request, NewParcel)
        return said(await post.send(Sending(new.reference, new.to_name, new.to_address, new.personal, new.days)))

    async def track(request: Request) -> Any:
        return said(await post.track(request.path_params["number"]))

    return [do("/parcels", send, 201), read("/parcels/{number}", track), faults]


def _payment(simulators: Simulators) -> list[Door]:
    payments = simulators.payments
    read, do, faults = _doors(payments.service)

    def said(row: PaymentRow) -> dict[str, Any]:
        url = f"{simulators.base}/payment/pay/{row.id}"
        return {
            "id": row.id, "reference": row.reference, "amount": row.amount, "currency": row.currency,
            "state": row.state, "at": row.changed, "url": url,
        }  # fmt: skip

    async def start(request: Request) -> Any:
        new = await json_body(request, NewPayment)
        return said(await payments.start(new.reference, new.amount, new.currency, new.back))

    async def state(request: Request) -> Any:
        return said(await payments.ask(request.path_params["id"]))

    async def refund(request: Request) -> Any:
        return said(await payments.refund(request.path_params["id"]))

    return [do("/payments", start, 201), read("/payments/{id}", state), do("/payments/{id}/refund", refund), faults]


def _fingerprint(simulators: Simulators) -> list[Door]:
    reader = simulators.reader
    _, do, faults = _doors(reader.service)

    async def compare(request: Request) -> Any:
        asked = await json_body(request, Comparison)
        return {"result": await reader.compare(asked.person, asked.office)}

    return [do("/comparisons", compare), faults]
