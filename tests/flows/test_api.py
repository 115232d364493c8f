"""Checks over HTTP: a shop's own server, its page, and the visitor's wallet."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import jsonschema
import pytest
import zxingcpp
from openapi_spec_validator import validate
from PIL import Image

from mapae.errors import Code, Refused
from mapae.ui.http import doors
from town import BASE, Citizen, Town

HERE = "shop-session-1"
HIGH = "confirm_payment"


class Server:
    """A relying party's own server: what it sends over HTTP, every answer held against the OpenAPI document."""

    def __init__(self, town: Town, party: str | None) -> None:
        self.town = town
        self.key = town.call(town.house.api.make_key, party, "tests")[1] if party is not None else None
        self.document = town.get_json("/v1/openapi.json")

    def call(
        self, method: str, path: str, body: Any = None, *, door: str = "", token: str | None = None, **headers: str
    ) -> httpx.Response:
        """`door`: the path in the document."""
        token = token or self.key
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            told["Authorization"] = f"Bearer {token}"
        http = self.town.house.foundation.http
        answer = self.town.call(lambda: http.request(method, BASE + path, json=body, headers=told))
        self._must_be_documented(answer, method, door or path.partition("?")[0])
        return answer

    def _must_be_documented(self, answer: httpx.Response, method: str, door: str) -> None:
        responses = self.document["paths"][door][method.lower()]["responses"]
        said = responses.get(str(answer.status_code))
        assert said is not None, f"{method} {door} answered {answer.status_code}: {answer.text}"
        schema = said["content"]["application/json"]["schema"]
        whole = {**schema, "components": self.document["components"]}
        jsonschema.validate(answer.json(), whole, cls=jsonschema.Draft202012Validator)

    def start(self, purpose: str = "alcohol_tobacco", **more: Any) -> dict[str, Any]:
        answer = self.call("POST", "/v1/checks", {"purpose": purpose, **more})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def look(self, id: str, wait: int = 0) -> httpx.Response:
        return self.call("GET", f"/v1/checks/{id}?wait={wait}", door="/v1/checks/{id}")

    def watch(self, started: dict[str, Any]) -> httpx.Response:
        path = f"/v1/pages/{started['id']}"
        return self.call("GET", path, door="/v1/pages/{id}", token=started["page"])

    def redeem(self, id: str, code: str, session: str = HERE) -> httpx.Response:
        body = {"code": code, "session": session}
        return self.call("POST", f"/v1/checks/{id}/redeem", body, door="/v1/checks/{id}/redeem")


@pytest.fixture(scope="module")
def town(shared_town: Town) -> Town:
    return shared_town


@pytest.fixture(scope="module")
def shop(town: Town) -> Server:
    return Server(town, "guest_house")


def refused(answer: httpx.Response, code: Code) -> bool:
    assert answer.json()["error"] == code.value, answer.text
    return True


def test_the_document_is_openapi_and_names_every_public_door(town: Town) -> None:
    """OpenAPI 3.1.0; the document and the doors are one list, so this can only fail where a door stands outside it."""
    document = town.get_json("/v1/openapi.json")
    validate(document)
    there = {(path, method) for path, doors in document["paths"].items() for method in doors}
    ours = {
        (door.path, method.lower())
        for door in doors(town.house.site.routes[0].routes)
        if door.path.startswith("/v1/")
        for method in door.methods - {"OPTIONS", "HEAD"}
    }
    assert ours <= there


def test_a_server_asks_and_reads_yes(shop: Server, jisoo: Citizen) -> None:
    started = shop.start()
    assert started["page"] is None
    assert started["purpose"]["items"]
    assert shop.look(started["id"]).json()["state"] == "open"
    jisoo.show(started["link"])
    looked = shop.look(started["id"]).json()
    assert (looked["state"], looked["values"]) == ("accepted", {})
    assert set(looked["words"]) == {"ko", "en"}


def test_the_code_is_of_the_link(shop: Server) -> None:
    """Drawn as `qr` says: another reader's path, filled in, and read by a scanner."""
    started = shop.start()
    svg = unquote(started["qr"])
    side = int(re.search(r"width='(\d+)'", svg)[1]) // 4  # type: ignore[index]
    picture = Image.new("L", (side, side), 255)
    x = y = 4  # the quiet zone
    for right, down, run in re.findall(r"m(-?\d+) (\d+)h(\d+)", svg):
        x, y = x + int(right), y + int(down)
        picture.paste(0, (x, y, x := x + int(run), y + 1))
    [read] = zxingcpp.read_barcodes(picture.resize((side * 4, side * 4)))
    assert read.text == started["link"]


def test_values_are_read_once(shop: Server, jisoo: Citizen) -> None:
    started = shop.start("name_birth_date")
    jisoo.show(started["link"])
    first, second = shop.look(started["id"]).json(), shop.look(started["id"]).json()
    assert first["values"]["name"] == jisoo.named.resident.name
    assert (second["state"], second["values"]) == ("accepted", {})


def test_a_look_may_wait_for_news(shop: Server, town: Town, jisoo: Citizen) -> None:
    """The look begins before the wallet has even read the question, and ends with the first change."""
    started = shop.start()
    http = town.house.foundation.http
    headers = {"Authorization": f"Bearer {shop.key}"}

    async def both() -> str:
        import anyio

        states: list[str] = []

        async def wait() -> None:
            answer = await http.get(f"{BASE}/v1/checks/{started['id']}?wait=5", headers=headers)
            states.append(answer.json()["state"])

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await anyio.sleep(0.1)
            await jisoo.wallet.open_request(started["link"])
        return states[0]

    assert town.call(both) == "seen"


def test_the_answer_counts_in_the_session_that_asked(shop: Server, jisoo: Citizen) -> None:
    started = shop.start("name_birth_date", session=HERE)
    assert shop.watch(started).json()["result_code"] is None
    jisoo.show(started["link"])
    assert shop.look(started["id"]).json() == {
        "id": started["id"], "state": "answered", "seconds_left": shop.look(started["id"]).json()["seconds_left"],
        "step": None, "code": None, "words": None, "note": None, "format": None, "offline": None, "values": {},
    }  # fmt: skip
    watched = shop.watch(started).json()
    assert watched["state"] == "accepted"
    assert "values" not in watched
    told = shop.redeem(started["id"], watched["result_code"]).json()
    assert told["values"]["name"] == jisoo.named.resident.name
    assert refused(shop.redeem(started["id"], watched["result_code"]), Code.CODE_SPENT)


def test_an_answer_in_another_visitors_session_counts_for_nobody(shop: Server, jisoo: Citizen) -> None:
    """OpenID4VP 1.0 14.2, for a page: whoever brings another's id and code is turned away, and so is the owner."""
    started = shop.start(session=HERE)
    jisoo.show(started["link"])
    code = shop.watch(started).json()["result_code"]
    assert refused(shop.redeem(started["id"], code, "another-session"), Code.WRONG_BROWSER)
    assert refused(shop.redeem(started["id"], code), Code.CODE_SPENT)


def test_a_code_is_good_for_its_own_check_only(shop: Server, jisoo: Citizen) -> None:
    theirs, mine = shop.start(session="theirs"), shop.start(session=HERE)
    jisoo.show(theirs["link"])
    code = shop.watch(theirs).json()["result_code"]
    assert refused(shop.redeem(mine["id"], code), Code.WRONG_CODE)


def test_nobody_comes_for_an_answer_for_ever(shop: Server, town: Town, jisoo: Citizen) -> None:
    started = shop.start(session=HERE)
    jisoo.show(started["link"])
    code = shop.watch(started).json()["result_code"]
    town.clock.advance(minutes=6)
    assert refused(shop.redeem(started["id"], code), Code.CODE_SPENT)


def test_on_the_same_device_the_wallet_leads_back_to_the_shop(shop: Server, town: Town, jisoo: Citizen) -> None:
    """HAIP 1.0 5.1: the answer counts once the browser that asked is back with its code."""
    page = "https://shop.example/age?basket=7"
    started = shop.start("name_birth_date", session=HERE, same_device=True, return_to=page)
    shown = jisoo.show(started["link"])
    back = town.call(lambda: town.house.foundation.http.get(shown.redirect_uri))
    there = httpx.URL(back.headers["location"])
    assert back.status_code == 303
    assert str(there).startswith(page + "&")
    assert there.params["mapae_check"] == started["id"]
    told = shop.redeem(started["id"], there.params["mapae_code"]).json()
    assert told["values"]["name"] == jisoo.named.resident.name


def test_led_back_in_another_session_the_answer_is_erased(shop: Server, town: Town, jisoo: Citizen) -> None:
    started = shop.start("name_birth_date", session=HERE, same_device=True, return_to="https://shop.example/")
    shown = jisoo.show(started["link"])
    code = httpx.URL(shown.redirect_uri).params["response_code"]
    assert refused(shop.redeem(started["id"], code, "another-session"), Code.WRONG_BROWSER)
    assert shop.watch(started).json()["code"] == Code.WRONG_BROWSER.value
    assert shop.redeem(started["id"], code).status_code >= 400


def test_where_much_is_at_stake_the_phones_code_is_typed_into_the_page(town: Town, jisoo: Citizen) -> None:
    """OpenID4VP 1.0 14.2: a QR code relayed to somebody else's phone brings whoever relayed it no answer."""
    shop = Server(town, "online_shop")
    assert refused(shop.call("POST", "/v1/checks", {"purpose": HIGH}), Code.NOT_ALLOWED)
    assert shop.start(HIGH, in_person=True)["typed_back"] is False
    assert refused(shop.call("POST", "/v1/checks", {"purpose": HIGH, "session": HERE}), Code.MALFORMED)
    started = shop.start(HIGH, session=HERE, return_to="https://shop.example/pay")
    assert started["typed_back"] is True
    shown = jisoo.show(started["link"])
    phone = town.browser()
    page = town.call(phone.get, shown.redirect_uri.removeprefix(BASE))
    assert shop.watch(started).json()["state"] == "answered"
    path, door = f"/v1/pages/{started['id']}/code", "/v1/pages/{id}/code"
    assert refused(shop.call("POST", path, {"code": "?"}, door=door, token=started["page"]), Code.MALFORMED)
    wrong = shop.call("POST", path, {"code": "000000"}, door=door, token=started["page"])
    assert wrong.json() == {"tries_left": 2}
    code = page["to-type"].attributes["data-code"]
    assert "shop.example" in page.text
    assert shop.call("POST", path, {"code": code}, door=door, token=started["page"]).json() == {"tries_left": 0}
    watched = shop.watch(started).json()
    assert shop.redeem(started["id"], watched["result_code"]).json()["state"] == "accepted"


@pytest.mark.parametrize(
    "return_to",
    ["http://shop.example/", "javascript:alert(1)", "https://shop.example/#there", "https://a b/", "//shop.example/"],
)
def test_a_way_back_is_an_https_address(shop: Server, return_to: str) -> None:
    body = {"purpose": "alcohol_tobacco", "session": HERE, "same_device": True, "return_to": return_to}
    assert refused(shop.call("POST", "/v1/checks", body), Code.MALFORMED)


def test_the_same_call_again_finds_the_same_check(shop: Server) -> None:
    body = {"purpose": "alcohol_tobacco", "session": HERE}
    first, again = [shop.call("POST", "/v1/checks", body, Idempotency_Key="order-7").json() for _ in range(2)]
    assert first == again
    other = shop.call("POST", "/v1/checks", {"purpose": "name_birth_date"}, Idempotency_Key="order-7")
    assert refused(other, Code.CONFLICT)


def test_a_key_asks_for_its_partys_purposes_only(town: Town) -> None:
    corner = Server(town, "corner_store")
    assert refused(corner.call("POST", "/v1/checks", {"purpose": "name_birth_date"}), Code.OVER_ASKING)
    assert refused(corner.call("POST", "/v1/checks", {"purpose": "no_such_thing"}), Code.NOT_FOUND)


def test_a_check_is_seen_by_the_party_that_put_it_only(shop: Server, town: Town) -> None:
    started = shop.start(session=HERE)
    corner = Server(town, "corner_store")
    assert refused(corner.look(started["id"]), Code.NOT_FOUND)
    cancelled = corner.call("POST", f"/v1/checks/{started['id']}/cancel", {}, door="/v1/checks/{id}/cancel")
    assert refused(cancelled, Code.NOT_FOUND)
    assert refused(corner.redeem(started["id"], "x" * 43), Code.NOT_FOUND)


def test_an_id_alone_says_nothing(shop: Server) -> None:
    """Neither without a page token nor with another check's."""
    one, other = shop.start(session=HERE), shop.start(session=HERE)
    path, http = f"/v1/pages/{one['id']}", shop.town.house.foundation.http
    for token in ("", "x", other["page"], "é"):
        headers = {"Authorization": f"Bearer {token}".encode()}
        answer = shop.town.call(lambda headers=headers: http.get(BASE + path, headers=headers))
        assert refused(answer, Code.NOT_FOUND)


@pytest.mark.parametrize("key", ["", "mapae_", "mapae_" + "x" * 43, "x" * 200])
def test_a_key_is_not_guessed(shop: Server, key: str) -> None:
    http = shop.town.house.foundation.http
    body = {"purpose": "alcohol_tobacco"}
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    answer = shop.town.call(lambda: http.post(f"{BASE}/v1/checks", json=body, headers=headers))
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_an_ended_key_is_over_at_once(town: Town) -> None:
    from mapae.verifier.site import api_store

    shop = Server(town, "guest_house")

    async def end() -> bool:
        db = await town.house.foundation.database("verifier")
        key = await town.house.api.key(f"Bearer {shop.key}")
        return await api_store.end_key(db, key.id, town.clock.now())

    assert town.call(end)
    assert refused(shop.call("POST", "/v1/checks", {"purpose": "alcohol_tobacco"}), Code.NOT_SIGNED_IN)


def test_a_page_cannot_use_a_key_from_another_origin(town: Town, shop: Server) -> None:
    """The keyed doors answer no page: a shop that put its key into a page would see it fail at once."""
    http = town.house.foundation.http
    preflight = town.call(lambda: http.request("OPTIONS", f"{BASE}/v1/checks", headers={"Origin": "https://a.example"}))
    assert "access-control-allow-origin" not in preflight.headers
    page = town.call(lambda: http.request("OPTIONS", f"{BASE}/v1/anyone/checks"))
    assert page.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in page.headers


def test_a_question_can_be_taken_back(shop: Server, jisoo: Citizen) -> None:
    started = shop.start(session=HERE)
    path = f"/v1/pages/{started['id']}/cancel"
    assert shop.call("POST", path, {}, door="/v1/pages/{id}/cancel", token=started["page"]).json() == {}
    assert shop.watch(started).json()["state"] == "cancelled"
    with pytest.raises(Refused):
        jisoo.show(started["link"])


def test_nothing_of_a_person_or_a_key_stays(shop: Server, town: Town, jisoo: Citizen) -> None:
    started = shop.start("name_birth_date", session="a-cookie-of-the-shop")
    jisoo.show(started["link"])
    shop.redeem(started["id"], shop.watch(started).json()["result_code"], "a-cookie-of-the-shop")
    town.clock.advance(minutes=20)
    town.settle()
    town.call(town.house.api.sweep)
    raw = b"".join(path.read_bytes() for path in town.house.foundation.data.glob("verifier.db*"))
    assert shop.key is not None
    for secret in (jisoo.named.resident.name, shop.key, "a-cookie-of-the-shop", started["page"]):
        assert secret.encode() not in raw


def test_keys_are_made_listed_and_ended_from_the_command_line(tmp_path: Path) -> None:
    """The key itself is alone on stdout and in no list."""
    from typer.testing import CliRunner

    from mapae.cli import app

    settings = tmp_path / "mapae.toml"
    settings.write_text(f'data = "{tmp_path}/var"\nrelying_parties = ["corner_store"]\n')
    runner, config = CliRunner(), ["--config", str(settings)]
    key = runner.invoke(app, ["api", "key", "add", "corner_store", "--label", "web", *config]).stdout.strip()
    assert key.startswith("mapae_")
    listed = runner.invoke(app, ["api", "key", "list", *config]).stdout
    assert "corner_store" in listed
    assert "live" in listed
    assert key not in listed
    id = listed.split()[0]
    assert runner.invoke(app, ["api", "key", "end", id, *config]).exit_code == 0
    assert "ended" in runner.invoke(app, ["api", "key", "list", *config]).stdout
    assert runner.invoke(app, ["api", "key", "end", id, *config]).exit_code != 0
    assert runner.invoke(app, ["api", "key", "add", "nobody", *config]).exit_code != 0


# --- for anyone -------------------------------------------------------------------------------------------------------


class Nobody(Server):
    """A page of anybody's, without a key and without an account."""

    def __init__(self, town: Town) -> None:
        super().__init__(town, None)

    def ask(self, purpose: str = "alcohol_tobacco", **more: Any) -> dict[str, Any]:
        answer = self.call("POST", "/v1/anyone/checks", {"purpose": purpose, **more})
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def redeem(self, id: str, code: str, session: str = HERE) -> httpx.Response:
        body = {"code": code, "session": session}
        path = f"/v1/anyone/checks/{id}/redeem"
        return self.call("POST", path, body, door="/v1/anyone/checks/{id}/redeem")


@pytest.fixture(scope="module")
def nobody(town: Town) -> Nobody:
    return Nobody(town)


@pytest.mark.parametrize("form", ["either", "sd_jwt", "mdoc"])
def test_whoever_wants_may_ask_for_yes_or_no(nobody: Nobody, town: Town, jisoo: Citizen, form: str) -> None:
    started = nobody.ask(form=form)
    asked = town.call(jisoo.wallet.open_request, started["link"])
    assert (asked.anyone, asked.registered, asked.who) == (True, False, {"": "localhost:8080"})
    town.call(jisoo.wallet.present, asked)
    watched = nobody.watch(started).json()
    assert (watched["state"], watched["result_code"]) == ("accepted", None)
    assert jisoo.wallet.history[-1].standing == "unknown"


def test_the_answer_no_is_no_refusal(nobody: Nobody, town: Town) -> None:
    minor = town.citizen("minorbyyear")
    minor.obtain()
    started = nobody.ask()
    minor.show(started["link"])
    assert nobody.watch(started).json()["state"] == "no"


def test_what_names_a_person_needs_a_registration(nobody: Nobody) -> None:
    answer = nobody.call("POST", "/v1/anyone/checks", {"purpose": "name_birth_date"})
    assert (answer.status_code, refused(answer, Code.NOT_ALLOWED)) == (403, True)
    assert refused(nobody.call("POST", "/v1/anyone/checks", {"purpose": "nothing"}), Code.NOT_FOUND)


def test_an_answer_for_anyone_counts_in_one_session_too(nobody: Nobody, jisoo: Citizen) -> None:
    """The site's server needs no key to redeem: the code and its visitor's session are enough, once."""
    mine, theirs = nobody.ask(session=HERE), nobody.ask(session="theirs")
    jisoo.show(mine["link"])
    jisoo.show(theirs["link"])
    code, other = nobody.watch(mine).json()["result_code"], nobody.watch(theirs).json()["result_code"]
    assert refused(nobody.redeem(mine["id"], other), Code.WRONG_CODE)
    assert nobody.redeem(mine["id"], code).json()["state"] == "accepted"
    assert refused(nobody.redeem(mine["id"], code), Code.CODE_SPENT)
    assert refused(nobody.redeem(theirs["id"], other), Code.WRONG_BROWSER)
    assert refused(nobody.redeem(theirs["id"], other, "theirs"), Code.CODE_SPENT)


def test_a_question_for_anyone_is_answered_once_and_in_time(nobody: Nobody, town: Town, jisoo: Citizen) -> None:
    started = nobody.ask()
    jisoo.show(started["link"])
    with pytest.raises(Refused) as again:
        jisoo.show(started["link"])
    assert again.value.code in (Code.SESSION_SPENT, Code.INVALID_REQUEST)
    late = nobody.ask()
    asked = town.call(jisoo.wallet.open_request, late["link"])
    town.clock.advance(minutes=3)
    with pytest.raises(Refused):
        town.call(jisoo.wallet.present, asked)
    assert nobody.watch(late).json()["state"] == "expired"
    town.call(town.house.api.sweep)
    assert nobody.watch(late).json()["state"] == "expired"


def test_the_holder_may_say_no_to_anyone(nobody: Nobody, town: Town, jisoo: Citizen) -> None:
    started = nobody.ask()
    town.call(jisoo.wallet.refuse, town.call(jisoo.wallet.open_request, started["link"]))
    assert nobody.watch(started).json()["state"] == "declined"


def test_a_page_of_anyones_can_take_its_question_back(nobody: Nobody, jisoo: Citizen) -> None:
    started = nobody.ask()
    path = f"/v1/pages/{started['id']}/cancel"
    nobody.call("POST", path, {}, door="/v1/pages/{id}/cancel", token=started["page"])
    assert nobody.watch(started).json()["state"] == "cancelled"
    with pytest.raises(Refused):
        jisoo.show(started["link"])


def test_an_answer_to_another_question_changes_nothing(nobody: Nobody, town: Town, jisoo: Citizen) -> None:
    """Encrypted to another key, or not at all, or with another state: refused, and the question stays open."""
    started, http = nobody.ask(), town.house.foundation.http
    url = f"{BASE}/verifier/anyone/{started['id']}"
    for fields in ({"response": "a.b.c.d.e"}, {"vp_token": "{}"}, {"error": "access_denied"}, {}):
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = town.call(lambda fields=fields, headers=headers: http.post(url, data=fields, headers=headers))
        assert answer.status_code == 400, answer.text
    for door in ("requests", "responses"):
        other = f"{BASE}/verifier/{door}/{started['id']}"
        assert town.call(lambda other=other: http.post(other, data={"response": "a.b.c.d.e"})).status_code == 404
    jisoo.show(started["link"])
    assert nobody.watch(started).json()["state"] == "accepted"


def test_a_lost_phone_answers_nobody(nobody: Nobody, town: Town) -> None:
    """Status is looked up for a question of anyone's as for any other."""
    person = town.citizen("birthday19today")
    person.obtain()
    started = nobody.ask()
    asked = town.call(person.wallet.open_request, started["link"])
    person.report_phone_lost()
    town.clock.advance(seconds=6)
    town.call(person.wallet.present, asked)
    watched = nobody.watch(started).json()
    assert (watched["state"], watched["step"]) == ("refused", "standing")
