"""Pushes at the wallet provider: mailboxes, subscriptions, waking over RFC 8030, and what a stranger cannot do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest

from mapae.clock import SeededDice
from mapae.db import connect
from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey, b64u
from mapae.house import _guard
from mapae.keys import KeyStore, Signer, Vault
from mapae.outbox import Outbox
from mapae.peers import Gate, Peers
from mapae.simulators.push import SimulatedPushService
from mapae.ui.http import Caller
from mapae.ui.site import application
from mapae.wallet_provider import push_web, web, webpush
from mapae.wallet_provider.push import ALL, EACH, KEPT, WAKE, Posted, Pushes, Services
from pushed import UserAgent
from unit.wallet_provider.conftest import BASE, House, Phone, open_house, refusal

JISOO = ("Kim Jisoo", date(2001, 3, 9), "010-1234-5678")
LINK = "openid4vp://?client_id=x509_hash%3Aabc&request_uri=http%3A%2F%2Flocalhost%3A8080%2Fverifier%2Frequests%2F1"
BOX = "/wallet-provider/mailbox"


@dataclass
class World:
    """The provider with its pushes, a push service, and a register of one person."""

    house: House
    pushes: Pushes
    service: SimulatedPushService
    http: httpx.AsyncClient
    verifier: Peers
    issuer: Peers
    away: bool = False
    known: dict[tuple[str, date, str], str] = field(default_factory=lambda: {JISOO: "person-jisoo"})
    outbox: Any = None

    async def named(self, name: str, birth_date: date, phone: str) -> str | None:
        if self.away:
            raise Refused(Code.UNAVAILABLE, "registers does not answer")
        return self.known.get((name, birth_date, phone))

    async def phone(self, person: str = "person-jisoo") -> Phone:
        phone = self.house.phone()
        await self.house.register(phone, person)
        return phone

    async def send(self, phone: Phone, path: str, message: Any = None) -> httpx.Response:
        self.house.http = self.http
        return await self.house.send(phone, path, message)

    async def look(self, phone: Phone) -> dict[str, Any]:
        answer = await self.send(phone, BOX)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def subscribe(self, phone: Phone, agent: UserAgent, name: str = "") -> str:
        name = name or self.service.subscribe()
        keys = {"p256dh": agent.p256dh, "auth": b64u(agent.auth)}
        answer = await self.send(
            phone, "/wallet-provider/push/subscription", {"endpoint": self.service.address(name), **keys}
        )
        assert answer.status_code == 201, answer.text
        return name

    def posted(self, id: str = "q1", **changes: Any) -> Posted:
        name, birth, number = JISOO
        at = int(self.house.clock.now().timestamp())
        whole = {"id": id, "party": "bank", "purpose": "adult", "text": LINK, "name": name, "birth_date": birth,
                 "phone": number, "expires": at + 120} | changes  # fmt: skip
        return Posted(**whole)

    async def post(self, id: str = "q1", **changes: Any) -> None:
        await self.pushes.post(self.posted(id, **changes))

    async def wake(self) -> int:
        return int(await self.outbox.run_once())


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    return KeyStore(tmp_path_factory.mktemp("keys"), b"secret").vault("file:push")


@asynccontextmanager
async def opened(house: House, vault: Vault, folder: Path) -> AsyncIterator[World]:
    clock = house.clock
    service = SimulatedPushService(clock, SeededDice("push"), BASE)
    world = World(house, None, service, None, None, None)  # type: ignore[arg-type]
    late = _Late()
    world.http = httpx.AsyncClient(transport=httpx.ASGITransport(late), base_url=BASE)
    world.pushes = Pushes(
        db=house.db, clock=clock, vault=vault, provider=house.provider, signer=Signer.ephemeral(),
        http=world.http, services=Services(("fcm.googleapis.com",), BASE, f"{BASE}/demo/push/to/"), named=world.named,
    )  # fmt: skip
    world.outbox = Outbox(house.db, clock, world.pushes.promises())
    signers = {"issuer": Signer.ephemeral(), "verifier": Signer.ephemeral()}
    doors = [*web.routes(house.provider, folder), *push_web.routes(world.pushes), *service.doors()]
    for route in doors:
        if route.caller is Caller.PEER:
            _guard(route, Gate("wallet_provider", lambda name: PublicKey.from_jwk(signers[name].jwk), clock))
    late.app = application(doors, clock=clock, rates=False)
    world.verifier, world.issuer = [
        Peers(name, signers[name], lambda _: BASE, world.http, clock) for name in ("verifier", "issuer")
    ]
    yield world
    await world.http.aclose()


@pytest.fixture
async def world(vault: Vault, tmp_path: Path) -> AsyncIterator[World]:
    """On SQLite: the statements are plain, and one test below runs them on each engine."""
    async with open_house(await connect(f"sqlite:///{tmp_path}/wallet_provider.db"), tmp_path) as house:
        async with opened(house, vault, tmp_path) as world:
            yield world
        await house.db.close()


class _Late:
    """The application, which needs the client that reaches it."""

    app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


async def test_the_whole_way_on_each_engine(house: House, vault: Vault, tmp_path: Path) -> None:
    async with opened(house, vault, tmp_path) as world:
        phone, agent = await world.phone(), UserAgent()
        name = await world.subscribe(phone, agent)
        await world.subscribe(phone, agent, name)  # again, after a lost answer
        await world.post("q1")
        await world.post("q1")
        await world.send(phone, f"{BOX}/mute", {"parties": ["mart"]})
        await world.post("q2", party="mart")
        assert await world.wake() == 1
        assert len(world.service.take(name)) == 1
        box = await world.look(phone)
        assert ([one["id"] for one in box["requests"]], [one["id"] for one in box["tried"]]) == (["q1"], ["q2"])
        await world.send(phone, f"{BOX}/q1/end", {})
        world.house.clock.advance(days=2)
        await world.pushes.sweep()
        assert await rows(world, "SELECT id FROM push_mail") == []
        await world.house.provider.end("person-jisoo", "died", "desk")
        assert await rows(world, "SELECT device_id FROM push_subscription") == []


# --- what waits -------------------------------------------------------------------------------------------------------


async def test_a_request_waits_for_the_phone_and_wakes_it_without_a_word(world: World) -> None:
    phone, agent = await world.phone(), UserAgent()
    name = await world.subscribe(phone, agent)
    await world.post()
    assert await world.wake() == 1
    [message] = world.service.take(name)
    assert (agent.open(message.body), message.topic, message.urgency) == (WAKE, "mapae", "high")
    for said in (b"bank", b"adult", LINK.encode(), JISOO[0].encode()):
        assert said not in message.body
    box = await world.look(phone)
    [waiting] = box["requests"]
    assert (waiting["party"], waiting["purpose"], waiting["text"]) == ("bank", "adult", LINK)
    assert (box["tried"], box["subscribed"]) == ([], True)


async def test_a_phone_that_cannot_be_woken_finds_it_when_it_looks(world: World) -> None:
    phone = await world.phone()
    await world.post()
    assert await world.wake() == 0
    assert len((await world.look(phone))["requests"]) == 1


async def test_a_request_that_is_over_is_only_said_to_have_been(world: World) -> None:
    phone = await world.phone()
    await world.post()
    world.house.clock.advance(seconds=121)
    await world.pushes.sweep()
    box = await world.look(phone)
    assert box["requests"] == []
    assert [(one["party"], one["muted"]) for one in box["tried"]] == [("bank", False)]
    assert await rows(world, "SELECT sealed FROM push_mail") == [(None,)]
    await world.send(phone, f"{BOX}/q1/end", {})
    assert (await world.look(phone))["tried"] == []


async def test_nobody_keeps_who_tried_for_ever(world: World) -> None:
    phone = await world.phone()
    await world.post("told")
    await world.post("untold", party="mart")
    await world.send(phone, f"{BOX}/told/end", {})
    world.house.clock.advance(seconds=120 + 3600)
    await world.pushes.sweep()
    assert await rows(world, "SELECT id FROM push_mail") == [("untold",)]
    world.house.clock.advance(seconds=KEPT)
    await world.pushes.sweep()
    assert await rows(world, "SELECT id FROM push_mail") == []


async def test_what_a_request_says_is_sealed_where_it_waits(world: World) -> None:
    phone = await world.phone()
    await world.subscribe(phone, UserAgent())
    await world.post()
    kept = str(await rows(world, "SELECT sealed FROM push_mail UNION ALL SELECT sealed FROM push_subscription"))
    assert "openid4vp" not in kept
    assert "demo/push" not in kept


# --- whoever asks learns nothing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["person", "nobody", "no_phone", "muted", "lost", "too_often"])
async def test_the_verifier_is_told_the_same_whomever_it_names(world: World, case: str) -> None:
    if case != "no_phone":
        phone = await world.phone()
        if case == "muted":
            await world.send(phone, f"{BOX}/mute", {"parties": [""]})
        if case == "lost":
            await world.house.provider.suspend("person-jisoo", "lost", "issuer")
        if case == "too_often":
            for place in range(EACH):
                await world.post(f"before-{place}")
    message = {"id": "q9", "party": "bank", "purpose": "adult", "text": LINK, "name": JISOO[0],
               "birth_date": JISOO[1].isoformat(), "phone": JISOO[2] if case != "nobody" else "010-0000-0000",
               "expires": int(world.house.clock.now().timestamp()) + 120}  # fmt: skip
    assert await world.verifier.call("wallet_provider", "/wallet-provider/peer/push", message) == {}


async def test_only_the_verifier_hands_requests_in(world: World) -> None:
    with pytest.raises(Refused) as refused:
        await world.issuer.call("wallet_provider", "/wallet-provider/peer/push", {})
    assert refused.value.code is Code.NOT_ALLOWED
    answer = await world.http.post("/wallet-provider/peer/push", json={})
    assert refusal(answer) == (401, "not_signed_in")


@pytest.mark.parametrize(
    "changes",
    [{"text": "https://evil.example/"}, {"text": "openid4vp://" + "x" * 5000}, {"id": "a/b"}, {"party": "A b"},
     {"purpose": ""}],
    ids=["link", "size", "id", "party", "purpose"],
)  # fmt: skip
async def test_nothing_but_a_request_is_handed_in(world: World, changes: dict[str, str]) -> None:
    phone = await world.phone()
    with pytest.raises(Refused) as refused:
        await world.post(**changes)
    assert refused.value.code is Code.MALFORMED
    assert (await world.look(phone))["requests"] == []


async def test_a_register_that_is_away_is_asked_again(world: World) -> None:
    phone = await world.phone()
    world.away = True
    with pytest.raises(Refused) as refused:
        await world.post()
    assert refused.value.code is Code.UNAVAILABLE
    world.away = False
    await world.post()
    await world.post()  # the answer was lost on the way
    assert len((await world.look(phone))["requests"]) == 1


# --- too much ---------------------------------------------------------------------------------------------------------


async def test_a_flood_reaches_nobody(world: World) -> None:
    """`EACH` of one party, `ALL` of everybody, in silence; and of those waiting one wake-up waits."""
    phone, agent = await world.phone(), UserAgent()
    name = await world.subscribe(phone, agent)
    for place in range(20):
        await world.post(f"bank-{place}")
    assert len((await world.look(phone))["requests"]) == EACH
    for place in range(30):
        await world.post(f"many-{place}", party=f"shop-{place}")
    assert len((await world.look(phone))["requests"]) == ALL
    await world.wake()
    assert len(world.service.take(name)) == 1
    world.house.clock.advance(hours=1, seconds=1)
    await world.post("later")
    assert [one["id"] for one in (await world.look(phone))["requests"]] == ["later"]


async def test_a_flood_while_the_clock_was_ahead_closes_no_mailbox(world: World) -> None:
    phone = await world.phone()
    world.house.clock.advance(days=365)
    for place in range(ALL):
        await world.post(f"ahead-{place}", party=f"shop-{place}")
    world.house.clock.advance(days=-365)
    await world.post("now")
    assert "now" in [one["id"] for one in (await world.look(phone))["requests"]]


async def test_a_request_waits_minutes_whatever_its_asker_wants(world: World) -> None:
    phone = await world.phone()
    await world.post(expires=2**40)
    world.house.clock.advance(seconds=601)
    assert (await world.look(phone))["requests"] == []


async def test_what_is_over_already_is_not_taken(world: World) -> None:
    phone = await world.phone()
    await world.post(expires=5)
    assert (await world.look(phone))["tried"] == []


# --- the holder's wish ------------------------------------------------------------------------------------------------


async def test_a_muted_party_is_heard_of_in_the_history_alone(world: World) -> None:
    phone, agent = await world.phone(), UserAgent()
    name = await world.subscribe(phone, agent)
    await world.post("q1")
    await world.send(phone, f"{BOX}/mute", {"parties": ["bank"]})
    await world.post("q2")
    await world.post("q3", party="mart")
    await world.wake()
    box = await world.look(phone)
    assert ([one["id"] for one in box["requests"]], box["muted"]) == (["q3"], ["bank"])
    assert {one["id"]: one["muted"] for one in box["tried"]} == {"q1": False, "q2": True}
    assert len(world.service.take(name)) == 1
    await world.send(phone, f"{BOX}/mute", {"parties": []})
    assert (await world.look(phone))["muted"] == []


async def test_a_mute_names_parties(world: World) -> None:
    phone = await world.phone()
    for parties in (["A B"], ["x" * 65], [f"p{place}" for place in range(201)]):
        answer = await world.send(phone, f"{BOX}/mute", {"parties": parties})
        assert answer.status_code == 400


# --- other people's phones --------------------------------------------------------------------------------------------


async def test_a_phone_sees_its_own_mailbox_alone(world: World) -> None:
    phone, other = await world.phone(), await world.phone("person-mallory")
    await world.post()
    assert (await world.look(other))["requests"] == []
    assert (await world.send(other, f"{BOX}/q1/end", {})).status_code == 200  # nothing happens
    await world.send(other, f"{BOX}/mute", {"parties": ["bank"]})
    assert len((await world.look(phone))["requests"]) == 1


async def test_a_phone_that_is_not_registered_sees_nothing(world: World) -> None:
    assert refusal(await world.send(world.house.phone(), BOX)) == (403, "unknown_device")
    answer = await world.http.get(BOX)
    assert refusal(answer) == (401, "not_signed_in")


async def test_a_signed_look_is_good_once(world: World) -> None:
    phone = await world.phone()
    headers = {"Mapae-Device": phone.header("GET", BOX)}
    assert (await world.http.get(BOX, headers=headers)).status_code == 200
    assert refusal(await world.http.get(BOX, headers=headers)) == (400, "invalid_proof")
    stolen = {"Mapae-Device": phone.header("GET", "/wallet-provider/devices/me")}
    assert refusal(await world.http.get(BOX, headers=stolen)) == (400, "invalid_proof")


async def test_an_address_is_one_phones(world: World) -> None:
    """Whoever learned somebody's push address cannot have it: neither take it over nor be woken there."""
    phone, other = await world.phone(), await world.phone("person-mallory")
    name = await world.subscribe(phone, UserAgent())
    keys = {"p256dh": UserAgent().p256dh, "auth": b64u(bytes(16))}
    answer = await world.send(
        other, "/wallet-provider/push/subscription", {"endpoint": world.service.address(name), **keys}
    )
    assert refusal(answer) == (409, "conflict")
    assert (await world.look(phone))["subscribed"] is True


@pytest.mark.parametrize(
    "endpoint",
    ["https://127.0.0.1/x", "https://registers.internal/x", "http://fcm.googleapis.com/x", f"{BASE}/wallet-provider/x",
     "https://fcm.googleapis.com:22/x"],
)  # fmt: skip
async def test_a_phone_cannot_send_us_into_our_own_network(world: World, endpoint: str) -> None:
    phone, agent = await world.phone(), UserAgent()
    message = {"endpoint": endpoint, "p256dh": agent.p256dh, "auth": b64u(agent.auth)}
    answer = await world.send(phone, "/wallet-provider/push/subscription", message)
    assert refusal(answer) == (403, "not_allowed")
    assert (await world.look(phone))["subscribed"] is False


async def test_a_giant_subscription_is_not_read(world: World) -> None:
    phone = await world.phone()
    message = {"endpoint": "https://fcm.googleapis.com/" + "x" * 9000, "p256dh": "", "auth": ""}
    assert (await world.send(phone, "/wallet-provider/push/subscription", message)).status_code == 413


# --- the push service -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [404, 410])
async def test_a_subscription_the_push_service_has_ended_is_over(world: World, status: int) -> None:
    """RFC 8030 7.3."""
    phone = await world.phone()
    await world.subscribe(phone, UserAgent())
    world.service.fail(status)
    await world.post()
    assert await world.wake() == 1
    box = await world.look(phone)
    assert (box["subscribed"], len(box["requests"])) == (False, 1)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_busy_push_service_is_asked_again_until_the_request_is_over(world: World, status: int) -> None:
    phone, agent = await world.phone(), UserAgent()
    name = await world.subscribe(phone, agent)
    world.service.fail(status, 2)
    await world.post()
    assert await world.wake() == 0
    world.house.clock.advance(seconds=2)
    assert await world.wake() == 0
    world.house.clock.advance(seconds=4)
    assert await world.wake() == 1
    assert len(world.service.take(name)) == 1
    world.service.fail(status, 100)
    await world.post("q2")
    for _ in range(9):
        await world.wake()
        world.house.clock.advance(seconds=30)
    assert await world.outbox.waiting() == 0  # given up
    assert world.service.take(name) == []


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 413])
async def test_what_cannot_succeed_is_not_tried_again(world: World, status: int) -> None:
    """A redirect is not followed either."""
    phone = await world.phone()
    await world.subscribe(phone, UserAgent())
    world.service.fail(status)
    await world.post()
    assert await world.wake() == 1
    assert (await world.look(phone))["subscribed"] is True


async def test_another_servers_pushes_do_not_reach_a_phone(world: World) -> None:
    """RFC 8292 4.2: the subscription names the key."""
    phone, agent = await world.phone(), UserAgent()
    name = world.service.subscribe(webpush.point(Signer.ephemeral()))
    await world.subscribe(phone, agent, name)
    await world.post()
    await world.wake()
    assert world.service.take(name) == []


async def test_a_killed_process_wakes_later(world: World) -> None:
    """Killed after the request was stored: the promise stands beside it, in the same write."""
    phone, agent = await world.phone(), UserAgent()
    name = await world.subscribe(phone, agent)
    await world.post()
    again = Outbox(world.house.db, world.house.clock, world.pushes.promises())
    assert await again.run_once() == 1
    assert len(world.service.take(name)) == 1


async def test_a_request_that_was_answered_wakes_nobody(world: World) -> None:
    phone, agent = await world.phone(), UserAgent()
    name = await world.subscribe(phone, agent)
    await world.post()
    await world.send(phone, f"{BOX}/q1/end", {})
    await world.wake()
    assert world.service.take(name) == []


# --- lost and moved ---------------------------------------------------------------------------------------------------


async def test_a_lost_phone_is_neither_woken_nor_shown_anything(world: World) -> None:
    phone, agent = await world.phone(), UserAgent()
    name = await world.subscribe(phone, agent)
    await world.post("before")
    await world.house.provider.suspend("person-jisoo", "lost", "issuer")
    await world.post("after")
    await world.wake()
    assert world.service.take(name) == []
    assert refusal(await world.send(phone, BOX)) == (403, "device_suspended")
    await world.house.provider.release("person-jisoo", "issuer")
    assert [one["id"] for one in (await world.look(phone))["requests"]] == ["before"]


@pytest.mark.parametrize("how", ["moved", "ended", "given_up"])
async def test_with_a_phone_everything_about_its_pushes_ends_at_once(world: World, how: str) -> None:
    phone, new = await world.phone(), world.house.phone()
    await world.subscribe(phone, UserAgent())
    await world.send(phone, f"{BOX}/mute", {"parties": ["mart"]})
    await world.post()
    if how == "moved":
        waiting = await world.house.register(new, "person-jisoo")
        await world.house.provider.move("person-jisoo", waiting.device_id, "desk")
        assert (await world.look(new))["requests"] == []
    elif how == "ended":
        await world.house.provider.end("person-jisoo", "died", "desk")
    else:
        await world.send(phone, "/wallet-provider/devices/me/end", {})
    for table in ("push_mail", "push_mute", "push_subscription"):
        assert await rows(world, f"SELECT * FROM {table}") == []
    assert refusal(await world.send(phone, BOX)) == (403, "device_ended")


async def test_a_phone_that_waits_has_no_mailbox(world: World) -> None:
    await world.phone()
    second = await world.phone()
    assert refusal(await world.send(second, BOX)) == (409, "phone_already_active")


async def rows(world: World, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) if hasattr(row, "values") else tuple(row) for row in await world.house.db.all(sql)]
