"""A cut line is a dead network."""

from __future__ import annotations

import httpx
import pytest

from mapae.drill import Finding, Report
from mapae.drill_lines import DARK, Lines, Part, part_of


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("/issuer/credential", Part.ISSUER), ("/desk/", Part.ISSUER), ("/portal/lost", Part.ISSUER),
        ("/.well-known/openid-credential-issuer/issuer", Part.ISSUER), ("/issuer/status/abc", Part.STATUS),
        ("/issuer/status-epoch/3", Part.STATUS), ("/trust/pack", Part.LOG),
        ("/witness/witness-1/add-checkpoint", Part.WITNESSES), ("/verifier/requests/1", Part.REST),
        ("/wallet-provider/devices", Part.REST),
    ],
)  # fmt: skip
def test_every_address_is_of_one_part(path: str, part: Part) -> None:
    assert part_of(path) is part


async def fate(lines: Lines, source: Part, path: str) -> str:
    async with httpx.AsyncClient(transport=lines.of(source), base_url="http://country.test") as http:
        try:
            await http.get(path)
        except httpx.ConnectError as error:
            return str(error)
    return "answered"


async def test_nothing_goes_into_or_comes_out_of_a_part_that_is_cut_off() -> None:
    lines = Lines()
    lines.cut(DARK)
    for source, path in (
        (Part.PEOPLE, "/portal/"), (Part.REST, "/trust/pack"), (Part.ISSUER, "/trust/submit"),
        (Part.ISSUER, "/registers/search"), (Part.LOG, "/witness/witness-1/add-checkpoint"),
    ):  # fmt: skip
        assert await fate(lines, source, path) == "no route to host"
    assert await fate(lines, Part.ISSUER, "/desk/") == "nobody listens"  # its own network; no process in this test
    assert await fate(lines, Part.PEOPLE, "/verifier/requests/1") == "nobody listens"
    assert lines.failed == 5
    lines.restore()
    assert await fate(lines, Part.PEOPLE, "/portal/") == "nobody listens"


async def test_one_line_can_be_cut_alone() -> None:
    lines = Lines()
    lines.cut_between(Part.REST, (Part.LOG,))
    assert await fate(lines, Part.REST, "/trust/pack") == "no route to host"
    assert await fate(lines, Part.PEOPLE, "/trust/pack") == "nobody listens"


def test_one_broken_promise_fails_the_drill() -> None:
    kept, broken = Finding("dark", "shop", "accepts"), Finding("dark", "shop", "accepts a locked card", good=False)
    assert Report("kr", [kept]).good
    assert not Report("kr", [kept, broken]).good
