"""Whatever arrives at the desk's and the portal's doors, signed in or not: an answer in words, never a 500."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapae.db import connect, migrate
from mapae.ui.http import doors as doors_of
from unit.issuer.desk_world import DeskWorld
from unit.issuer.test_portal import Town

TYPES = ["application/x-www-form-urlencoded", "application/json", "", "text/plain; charset=x", "multipart/form-data"]
FIELDS = [
    "answer", "officer", "label", "passkey", "reason", "name", "birth_date", "resident_number", "look", "task", "kind",
    "number", "photo", "undamaged", "same", "device", "old", "asked", "ends", "check", "code", "phone", "sure",
]  # fmt: skip
KNOWN = ["yes", "no", "issue", "release", "resident_card", "application", "phone-1", "2001-03-09", "한지수", "{}", ""]
values = st.sampled_from(KNOWN) | st.text(max_size=40)


class Doors:
    """A desk with a case in work, an officer signed in, and a portal."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self.run(self._start(folder))

    async def _start(self, folder: Path) -> None:
        self.db = await connect(f"sqlite:///{folder}/issuer.db")
        await migrate(self.db, "issuer")
        self.world = DeskWorld(self.db)
        await self.world.enrol()
        self.town = Town(self.world)
        self.case = await self.world.checked_case(self.world.kim)
        self.look = await self.world.look(self.world.kim)
        self.desk, self.portal = self.world.browser(), self.town.browser()
        page = await self.desk.get("/desk/sign-in")
        await self.desk.post("/desk/sign-in/demo", data={"csrf": self.token(page), "officer": "officer-kim"})
        self.csrf = self.token(await self.desk.get("/desk/search"))
        self.doors = [
            *((self.desk, each) for each in doors_of(self.world.app.routes) if each.path.startswith("/desk")),
            *((self.portal, each) for each in doors_of(self.town.app.routes) if each.path.startswith("/portal")),
        ]
        for _, each in self.doors:
            each._buckets = None  # the rates are another test's; here everything comes from one address

    @staticmethod
    def token(page: httpx.Response) -> str:
        found = re.search(r'name="csrf" value="([^"]+)"', page.text)
        assert found is not None
        return found[1]

    def run(self, work: Any) -> Any:
        return self._loop.run_until_complete(work)

    def close(self) -> None:
        self.run(self.db.close())
        self._loop.close()


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = Doors(tmp_path_factory.mktemp("desk"))
    yield made
    made.close()


def path_of(doors: Doors, path: str, stranger: str | None) -> str:
    case, look = (doors.case, doors.look) if stranger is None else (quote(stranger, safe=""),) * 2
    return path.replace("{case}", case or "x").replace("{look}", look or "x")


@given(data=st.data(), stranger=st.none() | st.text(max_size=20))
def test_no_door_breaks_on_strange_fields(doors: Doors, data: st.DataObject, stranger: str | None) -> None:
    browser, door = data.draw(st.sampled_from(doors.doors))
    if door.path == "/desk/sign-out":
        return  # it would end the session of the other examples
    sent = data.draw(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=8), values, max_size=6))
    path = path_of(doors, door.path, stranger)
    if "POST" in (door.methods or ()):
        answer = doors.run(browser.post(path, data={"csrf": doors.csrf} | sent))
    else:
        answer = doors.run(browser.get(path, params=sent))
    assert answer.status_code < 500 or answer.status_code == 503, (door.path, sent)


@given(
    data=st.data(), body=st.binary(max_size=200), type_=st.sampled_from(TYPES),
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"]),
)  # fmt: skip
def test_no_door_breaks_on_random_bytes(
    doors: Doors, data: st.DataObject, body: bytes, type_: str, method: str
) -> None:
    browser, door = data.draw(st.sampled_from(doors.doors))
    headers = {"content-type": type_, "x-csrf-token": data.draw(st.sampled_from([doors.csrf, "x"]))}
    if door.path == "/desk/sign-out":
        headers["x-csrf-token"] = "x"
    answer = doors.run(browser.request(method, path_of(doors, door.path, None), content=body, headers=headers))
    assert answer.status_code < 500 or answer.status_code == 503, (door.path, body)


def test_every_door_has_its_limit(doors: Doors) -> None:
    """One byte over the limit is refused with 413 at every post, before anything else is read."""
    posts = [(browser, door) for browser, door in doors.doors if "POST" in (door.methods or ())]
    assert len(posts) > 15
    for browser, door in posts:
        body = b"a=" + b"x" * door.limit
        headers = {"content-type": "application/x-www-form-urlencoded"}
        answer = doors.run(browser.post(path_of(doors, door.path, None), content=body, headers=headers))
        assert answer.status_code == 413, door.path
