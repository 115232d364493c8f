"""Whatever arrives at the verifier's doors, and whatever is done to a card on its way: an answer in words, never a 500,
and never a yes that nobody signed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapae.clock import MovableClock
from mapae.db import connect, migrate
from mapae.errors import Code, Refused
from mapae.formats import jose
from mapae.verifier.checking.check import Format, Shown, check
from unit.verifier.shop import BASE, Shop, opened, sealed
from unit.verifier.world import FORMATS, NOW, Card, ask, trusted

PATHS = [
    "/checker/", "/checker/till", "/checker/till/end", "/checker/checks", "/checker/checks/{id}",
    "/checker/checks/{id}/panel", "/checker/checks/{id}/cancel", "/checker/checks/{id}/done",
    "/verifier/requests/{id}", "/verifier/responses/{id}",
]  # fmt: skip
TYPES = ["application/x-www-form-urlencoded", "application/json", "", "text/plain; charset=x", "multipart/form-data"]
words = st.text(max_size=40)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)


class Doors:
    """One shop with an open question, and a wallet that knows no manners."""

    def __init__(self, folder: Path) -> None:
        self._loop = asyncio.new_event_loop()
        self._folder = folder
        self._loop.run_until_complete(self._start())

    async def _start(self) -> None:
        self.db = await connect(f"sqlite:///{self._folder}/verifier.db")
        await migrate(self.db, "verifier")
        self._opened = opened(self.db, MovableClock(NOW))
        self.shop: Shop = await self._opened.__aenter__()
        self.till = await self.shop.till()
        self.id = await self.shop.verifier.open(self.till, "alcohol_tobacco")
        self.request = await self.shop.request(self.id)
        self.site = self.shop.site()

    def send(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self._loop.run_until_complete(self.site.request(method, BASE + path, **more))

    def run(self, work: Any) -> Any:
        return self._loop.run_until_complete(work)

    def close(self) -> None:
        async def end() -> None:
            await self.site.aclose()
            await self._opened.__aexit__(None, None, None)
            await self.db.close()

        self._loop.run_until_complete(end())
        self._loop.close()


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = Doors(tmp_path_factory.mktemp("verifier"))
    yield made
    made.close()


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"]), path=st.sampled_from(PATHS),
    kind=st.sampled_from(TYPES), body=st.binary(max_size=300) | json_values.map(msgspec.json.encode),
    known=st.booleans(),
)  # fmt: skip
def test_no_bytes_at_any_door_make_a_500(
    doors: Doors, method: str, path: str, kind: str, body: bytes, known: bool
) -> None:
    url = path.replace("{id}", doors.id if known else "unknown")
    answer = doors.send(method, url, content=body, headers={"Content-Type": kind})
    assert answer.status_code < 500


@given(fields=st.dictionaries(st.sampled_from(["response", "vp_token", "state", "error", "x"]), words, max_size=4))
def test_no_form_makes_a_500(doors: Doors, fields: dict[str, str]) -> None:
    answer = doors.send("POST", f"/verifier/responses/{doors.id}", data=fields)
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_request"


@given(payload=json_values, inside=st.booleans())
def test_nothing_under_seal_makes_a_500_or_a_yes(doors: Doors, payload: Any, inside: bool) -> None:
    """Each answer that opens and has our state ends the question; none of them is accepted."""
    id = doors.run(doors.shop.verifier.open(doors.till, "alcohol_tobacco"))
    request = doors.run(doors.shop.request(id))
    sent = {"vp_token": payload, "state": request["state"]} if inside else payload
    answer = doors.send("POST", f"/verifier/responses/{id}", data={"response": sealed(request, sent)})
    assert answer.status_code in (200, 400)
    row = doors.run(doors.db.one("SELECT outcome FROM check_session WHERE id = $1", id))
    assert row["outcome"] in (None, "refused", "declined")


SHOWN = {format: Card().show(format, ask()) for format in FORMATS}


@given(format=st.sampled_from(FORMATS), at=st.integers(0, 1 << 20), bit=st.integers(0, 7))
def test_a_flipped_bit_is_never_accepted(format: Format, at: int, bit: int) -> None:
    raw = bytearray(SHOWN[format].presentation.encode())
    raw[at % len(raw)] ^= 1 << bit
    with pytest.raises(Refused) as refused:
        check(Shown(format, raw.decode("latin-1")), ask(), trusted(), NOW)
    assert refused.value.step is not None


@given(at=st.integers(0, 1 << 20), bit=st.integers(0, 7))
def test_a_flipped_bit_inside_an_mdoc_is_never_accepted(at: int, bit: int) -> None:
    raw = bytearray(jose.unb64u(SHOWN[Format.MDOC].presentation))
    raw[at % len(raw)] ^= 1 << bit
    try:
        verified = check(Shown(Format.MDOC, jose.b64u(bytes(raw))), ask(), trusted(), NOW)
    except Refused as refused:
        assert refused.step is not None
    else:  # a bit nobody signs (the version, the status): what was signed is what was read
        assert verified.claims == {"adult_by_year": True}


@given(format=st.sampled_from(FORMATS), raw=st.text(max_size=400) | st.binary(max_size=400).map(jose.b64u))
def test_no_text_is_a_card(format: Format, raw: str) -> None:
    with pytest.raises(Refused) as refused:
        check(Shown(format, raw), ask(), trusted(), NOW)
    assert refused.value.step == "issuer"
    assert refused.value.code in (Code.MALFORMED, Code.UNSUPPORTED, Code.TOO_LARGE)
