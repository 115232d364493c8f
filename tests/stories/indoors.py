"""A country that runs in a thread of this process, on a clock that can be moved on, with its doors on a real port.

It is `mapae demo up` without the process around it: real HTTP and WebSockets, so that browsers see no difference, and
the register can be told what photo it has of somebody.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
import uvicorn
from anyio.from_thread import start_blocking_portal

from mapae.app import open_house
from mapae.clock import MovableClock
from mapae.demo import Demo, demo_settings, found
from mapae.ui.head import BoundedHead
from running import free_port
from stories.country import Country, Resident, until

T = TypeVar("T")


class Indoors(Country):
    """Opens on construction. `behind`: how far its clock is behind the real one at first; it runs by itself."""

    def __init__(self, folder: Path, behind: timedelta = timedelta(0)) -> None:
        port = free_port()
        self.base = f"http://localhost:{port}"
        self.data = folder / "var"
        self.clock = MovableClock(datetime.now(UTC) - behind, running=True)
        self.http = httpx.Client(base_url=self.base, trust_env=False, timeout=20)
        self._stores = {}
        self._opened = start_blocking_portal()
        self._portal = self._opened.__enter__()
        settings = demo_settings(base_url=self.base, data=str(self.data), country="kr")
        self.house = self.do(
            lambda: open_house(
                settings, clock=self.clock, founding=found, more=lambda house: Demo(house).routes(), rates=False
            )
        )
        self.do(lambda: Demo(self.house).seed(residents=0))
        config = uvicorn.Config(
            self.house.site, port=port, lifespan="off", log_level="warning", http=BoundedHead,
            ws="websockets-sansio", timeout_graceful_shutdown=2,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._served = self._portal.start_task_soon(self._server.serve)
        until(lambda: self._server.started or None, 20, "the country to open")
        self._portal.call(self.house.start)
        self.facts = self.http.get("/demo.json").json()

    def do(self, deed: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return self._portal.call(deed)

    def close(self) -> None:
        self.http.close()
        self._server.should_exit = True
        self._served.result(20)
        self.do(self.house.close)
        self._opened.__exit__(None, None, None)

    # --- time -------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> datetime:
        return self.clock.now()

    def live(self, **parts: float) -> None:
        """Time passes, and everybody does what is due."""
        self.clock.advance(**parts)
        self.do(self.house.turn)

    def catch_up(self) -> None:
        """To the real present, which browsers live in."""
        self.clock.set(datetime.now(UTC))
        self.do(self.house.turn)

    # --- people -----------------------------------------------------------------------------------------------------

    def photographed(self, who: Resident, jpeg: bytes) -> None:
        """An office took this photo of her today: it is the one on record."""

        async def put() -> None:
            hits = await self.house.population.search(resident_number=who.number)
            today = self.house.country.today(self.clock.now())
            await self.house.population.put_photo(hits.hits[0].person, jpeg, today)

        self.do(put)

    def files(self) -> dict[Path, bytes]:
        """Everything the country has on its disk, with what it has not written down yet."""
        return {path: path.read_bytes() for path in sorted(self.data.rglob("*")) if path.is_file()}
