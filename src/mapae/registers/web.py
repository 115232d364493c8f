"""The registers' doors: for the issuer the population register, for everybody the identity check.

Promises: only the issuer gets past the register's doors, and only signed; the wallet provider learns whose a name, a
birthday and a phone are together, and nothing else; the identity check answers any wallet or
page, and tells anybody how numbers, phones and codes are written here. Trusts: the gate in front of peer doors for
`request.state.peer`; the issuer to say from which address a citizen came to its own pages. Keeps: nothing. Refuses:
other roles, other shapes of message.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from ..errors import Code, Refused
from ..ui.http import PROTOCOL, Answer, Caller, Csrf, door, json_answer, json_body
from ..ui.rate import Rate, network
from .identity import Ask, IdentityCheck, WrongCode, parse_phone
from .population import Population
from .telling import Notice, Telling
from .values import CardState, Changed, Compared, PhysicalCard, Whose

FORM_CACHE = {"Cache-Control": "public, max-age=300"}
READERS: Mapping[str, frozenset[str]] = {
    "search": frozenset({"issuer"}),
    "get": frozenset({"issuer"}),
    "claims": frozenset({"issuer"}),
    "check": frozenset({"issuer"}),
    "document": frozenset({"issuer"}),
    "photo": frozenset({"issuer"}),
    "card": frozenset({"issuer"}),
    "card-state": frozenset({"issuer"}),
    "tell": frozenset({"issuer"}),
    "named": frozenset({"wallet_provider"}),
}
PHOTO_BODY = 768 * 1024  # a photo in base64


class Search(msgspec.Struct):
    name: str = ""
    birth_date: date | None = None
    resident_number: str = ""


class Named(msgspec.Struct):
    name: str
    birth_date: date
    phone: str


class Which(msgspec.Struct):
    person: str


class OtherDocument(msgspec.Struct):
    person: str
    kind: str
    number: str


class NewPhoto(msgspec.Struct):
    person: str
    photo: bytes
    taken: date


class NewCard(msgspec.Struct):
    person: str
    card: PhysicalCard


class NewCardState(msgspec.Struct):
    person: str
    number: str
    state: CardState


class StartCheck(msgspec.Struct):
    name: str
    resident_number: str
    phone: str
    audience: str
    language: str = "ko"


class StartCheckFor(msgspec.Struct):
    name: str
    resident_number: str
    phone: str
    language: str
    client: str


class EnterCode(msgspec.Struct):
    code: str


class Tell(msgspec.Struct):
    id: str
    person: str
    kind: str
    terms: dict[str, str]
    language: str = ""


def routes(population: Population, identity: IdentityCheck) -> list[BaseRoute]:
    return [*_register_doors(population), *_identity_doors(identity)]


def telling_routes(telling: Telling) -> list[BaseRoute]:
    async def tell(request: Request) -> Response:
        asker = _reader(request, "tell")
        sent = await json_body(request, Tell)
        notice = Notice(sent.id, sent.person, sent.kind, sent.terms, sent.language)
        return json_answer({"numbers": await telling.tell(notice, asker)})

    return [door("POST", "/registers/persons/tell", tell, caller=Caller.PEER, answer=Answer.JSON, limit=4096)]


def _register_doors(population: Population) -> list[BaseRoute]:
    async def search(request: Request) -> Response:
        reader = _reader(request, "search")
        ask = await json_body(request, Search)
        found = await population.search(
            name=ask.name, birth_date=ask.birth_date, resident_number=ask.resident_number, asked_by=reader
        )
        return json_answer(found)

    async def get(request: Request) -> Response:
        reader = _reader(request, "get")
        return json_answer(await population.get((await json_body(request, Which)).person, asked_by=reader))

    async def claims(request: Request) -> Response:
        reader = _reader(request, "claims")
        return json_answer(await population.claims((await json_body(request, Which)).person, asked_by=reader))

    async def document(request: Request) -> Response:
        reader = _reader(request, "document")
        ask = await json_body(request, OtherDocument)
        matches = await population.document_matches(ask.person, ask.kind, ask.number, asked_by=reader)
        return json_answer(Compared(matches=matches))

    found = {"search": search, "get": get, "claims": claims, "document": document}
    return [
        *(
            door("POST", f"/registers/persons/{name}", handler, caller=Caller.PEER, answer=Answer.JSON)
            for name, handler in found.items()
        ),
        *_card_doors(population),
    ]


def naming_routes(population: Population, phone_layout: str) -> list[BaseRoute]:
    """For whoever sends to the phone of a person that a relying party names."""

    async def named(request: Request) -> Response:
        reader = _reader(request, "named")
        ask = await json_body(request, Named)
        phone = parse_phone(phone_layout, ask.phone)
        return json_answer(Whose(person=await population.named(ask.name, ask.birth_date, phone, asked_by=reader)))

    return [door("POST", "/registers/persons/named", named, caller=Caller.PEER, answer=Answer.JSON, limit=4096)]


def _card_doors(population: Population) -> list[BaseRoute]:
    """What the office of cards changes: the photo on record, the card, and whether it is lost or handed in."""

    async def photo(request: Request) -> Response:
        writer = _reader(request, "photo")
        sent = await json_body(request, NewPhoto)
        changed = await population.put_photo(sent.person, sent.photo, sent.taken, asked_by=writer)
        return json_answer(Changed(changed=changed))

    async def card(request: Request) -> Response:
        writer = _reader(request, "card")
        sent = await json_body(request, NewCard)
        return json_answer(Changed(changed=await population.put_card(sent.person, sent.card, asked_by=writer)))

    async def card_state(request: Request) -> Response:
        writer = _reader(request, "card-state")
        sent = await json_body(request, NewCardState)
        changed = await population.mark_card(sent.person, sent.number, sent.state, asked_by=writer)
        return json_answer(Changed(changed=changed))

    path, peer, json_ = "/registers/persons/", Caller.PEER, Answer.JSON
    return [
        door("POST", path + "photo", photo, caller=peer, answer=json_, limit=PHOTO_BODY),
        door("POST", path + "card", card, caller=peer, answer=json_, limit=4096),
        door("POST", path + "card-state", card_state, caller=peer, answer=json_, limit=4096),
    ]


def _reader(request: Request, what: str) -> str:
    role = str(getattr(request.state, "peer", ""))
    if role not in READERS[what]:
        raise Refused(Code.NOT_ALLOWED, "this role may not use the register so")
    return role


def _identity_doors(identity: IdentityCheck) -> list[BaseRoute]:
    async def shape(request: Request) -> Response:
        return json_answer(identity.form(), headers=FORM_CACHE)

    async def start(request: Request) -> Response:
        sent = await json_body(request, StartCheck)
        client = request.client.host if request.client else ""
        ask = Ask(sent.name, sent.resident_number, sent.phone, sent.audience, sent.language)
        return json_answer(await identity.start(ask, network(client)), status=201)

    async def start_for(request: Request) -> Response:
        """For a page of that role. Knocks count for the citizen's own address: the role's would be everybody's."""
        reader = _reader(request, "check")
        sent = await json_body(request, StartCheckFor)
        ask = Ask(sent.name, sent.resident_number, sent.phone, reader, sent.language)
        return json_answer(await identity.start(ask, network(sent.client)), status=201)

    async def confirm(request: Request) -> Response:
        sent = await json_body(request, EnterCode)
        try:
            return json_answer(await identity.confirm(request.path_params["id"], sent.code))
        except WrongCode as wrong:  # the page must say how many tries are left
            answer = {"error": wrong.code.value, "detail": wrong.detail, "tries_left": wrong.tries_left}
            return json_answer(answer, status=PROTOCOL[wrong.code][0])

    # A code comes also by way of the issuer, whose address is the whole country's: its bound is the tries of a check.
    public = (("/identity/checks", start, Rate(300, 60)), ("/identity/checks/{id}/code", confirm, None))
    return [
        door("GET", "/identity/form", shape, caller=Caller.ANYONE, answer=Answer.JSON, limit=0, cors=True),
        door("POST", "/registers/checks", start_for, caller=Caller.PEER, answer=Answer.JSON, limit=4096),
        *(
            door("POST", path, handler, caller=Caller.ANYONE, answer=Answer.JSON, csrf=Csrf.NONE, limit=4096, cors=True,
                 rate=rate)
            for path, handler, rate in public
        ),
    ]  # fmt: skip
