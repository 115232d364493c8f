"""The demo's person "You": whoever sits before the screen gives a portrait, and gets a card with a real face check.

Promises: the portrait goes from the browser into the register, as the photo on record of that one made-up person, dated
today, and nowhere else; it is judged as an office would judge it, with what is wrong drawn in; it is taken out of the
register at a click. Trusts: whoever reaches the demo country. Keeps: nothing; the register keeps the photo as it keeps
every photo. Refuses: to be there unless the pack has such a person and rules for faces; a picture that the face check
could not be held against.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from .errors import Code, Refused
from .house import House
from .issuer.face.values import Flaw, PhotoJudge, PhotoReport
from .registers.people import Named
from .registers.population import PopulationClient
from .registers.portraits import portrait
from .registers.values import Person
from .ui.http import Answer, Caller, Door, Rate, door, json_answer, json_body, media_type, raw_body
from .ui.pages import page
from .ui.words import language, say

KEY: Final = "you"
PATH: Final = "/demo/you"
LARGEST: Final = 2 << 20  # bytes; the page sends some thirty thousand
# A room at home has no plain wall, and nobody is an officer here: these are said, and do not stand in the way.
ADVICE: Final = frozenset({Flaw.BACKGROUND, Flaw.TILTED, Flaw.BLURRED, Flaw.TOO_BRIGHT})


class _Nothing(msgspec.Struct, forbid_unknown_fields=True):
    pass


def you_of(people: Sequence[Named]) -> Named | None:
    return next((named for named in people if named.key == KEY), None)


class DemoYou:
    """The page and what its script asks; where the issuer is, whose worker judges photos."""

    def __init__(self, house: House, people: Sequence[Named]) -> None:
        self._house, self._you = house, you_of(people)
        self._judging: PhotoJudge | None = house.photo_judge

    def routes(self) -> list[Door]:
        if "issuer" not in self._house.roles or self._you is None or self._judging is None:
            return []
        anyone: dict[str, Any] = {"caller": Caller.ANYONE}
        picture: dict[str, Any] = {"answer": Answer.JSON, "limit": LARGEST, "rate": Rate(90, 60), **anyone}
        return [
            door("GET", PATH, self._page, answer=Answer.PAGE, camera=True, **anyone),
            door("POST", f"{PATH}/judge", self._judge, **picture),
            door("POST", f"{PATH}/photo", self._put, **picture),
            door("POST", f"{PATH}/remove", self._remove, answer=Answer.JSON, rate=Rate(30, 60), **anyone),
        ]

    async def _page(self, request: Request) -> Response:
        person = await self._person()
        who = self._named.resident
        return page(
            request, "demo/you.html", person=person, phones=who.phones, number=who.number.written,
            own=person.photo != self._drawn(), base=self._house.settings.base_url,
        )  # fmt: skip

    async def _judge(self, request: Request) -> Response:
        report = await self._report(await _jpeg(request))
        lang = language(request)
        return json_answer({
            "ok": report.ok,
            "usable": usable(report),
            "findings": [
                {"code": one.code.value, "advice": one.code in ADVICE, "words": say(lang, one.words)}
                for one in report.findings
            ],
            "picture": base64.b64encode(report.picture).decode(),
        })  # fmt: skip

    async def _put(self, request: Request) -> Response:
        """Judged again: what the page thinks of a picture is the page's."""
        report = await self._report(await _jpeg(request))
        if not usable(report):
            flaw = next(one.code for one in report.findings if one.code not in ADVICE)
            raise Refused(Code.PHOTO_REFUSED, "this picture cannot be a photo on record", step=flaw.value)
        return json_answer({"taken": await self._keep(report.record)}, 201)

    async def _remove(self, request: Request) -> Response:
        """The drawing is back, and the photo is gone from the register."""
        await json_body(request, _Nothing)
        return json_answer({"taken": await self._keep(self._drawn())})

    async def _report(self, jpeg: bytes) -> PhotoReport:
        assert self._judging is not None  # else there is no door
        return await self._judging.judge(jpeg)

    async def _keep(self, jpeg: bytes) -> str:
        """Of today, or of the day of the one it replaces: the register takes none that is older."""
        person, today = await self._person(), self._house.country.today(self._house.clock.surely())
        taken = max(today, person.photo_taken or today)
        if not await self._register.put_photo(person.person, jpeg, taken) and person.photo != jpeg:
            raise Refused(Code.CONFLICT, "another picture came in between: look again")
        return taken.isoformat()

    async def _person(self) -> Person:
        hits = await self._register.search(resident_number=self._named.resident.number.written)
        if not hits.hits:
            raise Refused(Code.NOT_FOUND, "the register does not know this person")
        return await self._register.get(hits.hits[0].person)

    @property
    def _register(self) -> PopulationClient:
        return PopulationClient(self._house.foundation.peers("issuer"))

    @property
    def _named(self) -> Named:
        assert self._you is not None  # else there is no door
        return self._you

    def _drawn(self) -> bytes:
        """As the register's archive draws it."""
        who = self._named.resident
        assert who.photo_taken is not None  # the pack gives this person a card
        return portrait(who.photo_seed, age=who.photo_taken.year - who.number.birth_date.year, sex=who.number.sex)


def usable(report: PhotoReport) -> bool:
    return bool(report.record) and all(one.code in ADVICE for one in report.findings)


async def _jpeg(request: Request) -> bytes:
    """A form of another site cannot send this type, and no other site is allowed to ask."""
    if media_type(request) != "image/jpeg":
        raise Refused(Code.MALFORMED, "a picture is sent as image/jpeg")
    return await raw_body(request)
