"""A country whose issuer and trust log can be cut off from shops and phones, on a clock that can be moved on.

The parts are those of `mapae drill dark`. Before them stands a proxy, as before any installation in several processes:
where it does not get through it answers 502.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
import uvicorn
from anyio.from_thread import start_blocking_portal
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mapae.clock import MovableClock
from mapae.config import country_tree
from mapae.drill_country import World
from mapae.drill_lines import DARK, Part
from mapae.issuer.desk_store import Task
from mapae.issuer.desk_values import Reason
from mapae.issuer.evidence import Why
from mapae.registers.people import parse_people
from running import free_port
from stories.country import Country, Resident, until

METHODS = ["GET", "POST", "PUT", "DELETE", "OPTIONS"]
T = TypeVar("T")


class Blackout(Country):
    """Runs in a thread of this process; time passes by itself and with `live`."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.base = f"http://localhost:{port}"
        self.http = httpx.Client(base_url=self.base, trust_env=False, timeout=20)
        self._opened = start_blocking_portal()
        self._portal = self._opened.__enter__()
        clock = MovableClock(running=True)
        self.world = self._do(lambda: World.make(str(folder / "var"), "kr", base=self.base, clock=clock))
        today = self.world.country.today(clock.now())
        people = parse_people(country_tree("kr"), self.world.country).named(today)
        self._people = {named.key: named.resident for named in people}
        proxy = Starlette(routes=[Route("/{path:path}", self._hand_on, methods=METHODS)])
        self._server = uvicorn.Server(uvicorn.Config(proxy, port=port, lifespan="off", log_level="warning"))
        self._served = self._portal.start_task_soon(self._server.serve)
        until(lambda: self._server.started or None, 20, "the proxy to listen")

    def _do(self, deed: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return self._portal.call(deed)

    async def _hand_on(self, request: Request) -> Response:
        asked = httpx.Request(
            request.method, str(request.url), headers=request.headers.raw, content=await request.body()
        )
        try:
            got = await self.world.lines.of(Part.PEOPLE).handle_async_request(asked)
        except httpx.ConnectError:
            return Response(status_code=502)
        answer = Response(b"".join([part async for part in got.aiter_raw()]), got.status_code)
        answer.raw_headers = got.headers.raw
        return answer

    def close(self) -> None:
        self.http.close()
        self._server.should_exit = True
        self._served.result(20)
        self._do(self.world.close)
        self._opened.__exit__(None, None, None)

    # --- time and lines -----------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        return self.world.clock.now()

    def live(self, **parts: float) -> None:
        """Time passes, and everybody does what is due."""
        self._do(lambda: self.world.live(timedelta(**parts)))

    def cut(self) -> None:
        self.world.lines.cut(DARK)

    def restore(self) -> None:
        self.world.lines.restore()

    # --- people -------------------------------------------------------------------------------------------------------

    def resident(self, key: str) -> Resident:
        who = self._people[key]
        return Resident(
            key, who.name, who.name_latin, who.number.written, str(who.number.birth_date), who.phones[0],
            who.municipality,
        )  # fmt: skip

    def till_link(self, shop: str) -> str:
        invitation = self._do(lambda: self.world.rest.verifier.invite(shop))
        return f"{self.base}/checker/?code={invitation.code}"

    def offer(self, who: Resident) -> str:
        """The counter, from finding the person to the text of the QR."""
        return self._do(lambda: self._offer(who))

    async def _offer(self, who: Resident) -> str:
        house = self.world.issuer
        offices = house.country.offices.values()
        office = next(one for one in offices if one.municipality == who.municipality)
        officer, second = [one for one in await house.officers.all() if one.office == office.id][:2]
        desk, kind = house.desk, next(one.id for one in house.country.documents.values() if one.issued_here)
        found = await desk.find_by_number(officer, Reason.APPLICATION, who.number)
        case = await desk.open_case(officer, found.people[0].look, Task.ISSUE, kind)
        await desk.record_card(officer, case, number=True, photo=True, undamaged=True)
        await desk.two_officers(officer, case, second, Why.OTHER)
        await desk.file(officer, case)
        await desk.open_offer(officer, case)
        screen = (await desk.live(officer, case)).screen
        assert screen is not None
        return screen.uri

    def lock(self, who: Resident) -> int:
        """She reported the phone lost; how many copies are locked."""

        async def lock() -> int:
            hits = await self.world.rest.population.search(resident_number=who.number)
            return await self.world.issuer.issuer.lock(hits.hits[0].person, "lost", "portal")

        return self._do(lock)
