"""The wallet provider over HTTP: doors for phones, doors for the issuer, and the wallet itself.

Promises: the doors of docs and nothing else; phones are known by the key they sign with, the issuer by its peer token.
Trusts: `ui.http` for limits, CORS and refusals. Keeps: nothing. Refuses: a request without the signature of its phone,
a peer other than the issuer, a file outside the built wallet.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mapae.errors import Code, Refused
from mapae.ui.files import send_file
from mapae.ui.http import Answer, Caller, Door, Rate, door, json_answer, json_body, raw_body
from mapae.ui.pages import page
from mapae.ui.site import content_policy

from .devices import Attestation, WalletProvider
from .proofs import SignedRequest
from .store import Device

T = TypeVar("T")

HEADER: Final = "mapae-device"
STATIC: Final = Path(__file__).parent / "static"
PEERS: Final = frozenset({"issuer"})
NEVER_STORED: Final = frozenset({"index.html", "sw.js", "manifest.webmanifest"})


class Registration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    assertion: str
    proof: str
    platform: str = "web"


class ClientKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    client_jwk: dict[str, Any]


class BatchKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keys: list[dict[str, Any]]
    nonce: str | None = None


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class AboutKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    jkt: str


class AboutPerson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    person: str


class Decision(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    person: str
    reason: str
    actor: str = "issuer"


class Suspension(Decision, frozen=True, forbid_unknown_fields=True):
    waiting: bool = False


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    person: str
    actor: str = "issuer"


class Move(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    person: str
    device_id: str
    old: str | None = None
    actor: str = "issuer"


class After(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    after: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    limit: int = 100


def routes(provider: WalletProvider, static: Path = STATIC) -> list[Door]:
    """Every door of the wallet provider. `static` is the folder of the built wallet."""
    return [*_wallet_doors(provider), *_peer_doors(provider), *_files(static, wallet_policy(provider.urls.base))]


# --- phones -----------------------------------------------------------------------------------------------------------


def phone(
    method: str, path: str, handler: Callable[[Request], Awaitable[Response]], limit: int, rate: Rate | None = None
) -> Door:
    """A door for phones, whose pages may be of another origin."""
    return door(
        method, f"/wallet-provider/{path}", handler, caller=Caller.WALLET, answer=Answer.JSON, limit=limit,
        cors=True, rate=rate,
    )  # fmt: skip


def _wallet_doors(provider: WalletProvider) -> list[Door]:
    async def register(request: Request) -> Response:
        asked = await json_body(request, Registration)
        device = await provider.register(asked.assertion, asked.proof, asked.platform)
        return json_answer(_own(device), 201)

    async def me(request: Request) -> Response:
        return json_answer(_own(await provider.me(await signed(provider, request))))

    async def give_up(request: Request) -> Response:
        await json_body(request, Nothing)
        return json_answer(_own(await provider.give_up(await signed(provider, request))))

    async def attest(request: Request) -> Response:
        asked = await json_body(request, ClientKey)
        made = await provider.attest(await signed(provider, request), asked.client_jwk)
        return _attested("wallet_attestation", made)

    async def attest_keys(request: Request) -> Response:
        asked = await json_body(request, BatchKeys)
        made = await provider.attest_keys(await signed(provider, request), asked.keys, asked.nonce)
        return _attested("key_attestation", made)

    return [
        # Behind one address there may be a whole country (carrier NAT), so the real bounds are per person and phone.
        phone("POST", "devices", register, 16384, Rate(60, 60)),
        phone("GET", "devices/me", me, 0),
        phone("POST", "devices/me/end", give_up, 64),
        phone("POST", "attestations", attest, 4096),
        phone("POST", "key-attestations", attest_keys, 16384),
    ]


async def signed(provider: WalletProvider, request: Request) -> SignedRequest:
    """What stands in the header, with the request it has to fit."""
    tokens = request.headers.getlist(HEADER)
    if len(tokens) != 1:
        raise Refused(Code.NOT_SIGNED_IN, "one Mapae-Device header is needed")
    return SignedRequest(
        tokens[0], request.method, provider.urls.base + request.url.path, await raw_body(request)
    )  # fmt: skip


def _own(device: Device) -> dict[str, Any]:
    return {
        "device_id": device.device_id,
        "state": device.state.value,
        "reason": device.reason or None,
        "since": device.since,
    }


def _attested(name: str, made: Attestation) -> Response:
    return json_answer({name: made.token, "expires_in": made.expires_in})


# --- the issuer -------------------------------------------------------------------------------------------------------


def _peer_doors(provider: WalletProvider) -> list[Door]:
    async def standing(request: Request) -> Response:
        asked = await _from_issuer(request, AboutKey)
        return json_answer(_full(await provider.standing(asked.jkt)))

    async def active(request: Request) -> Response:
        asked = await _from_issuer(request, AboutPerson)
        binding = await provider.active(asked.person)
        waiting = [{"device_id": d.device_id, "platform": d.platform, "since": d.since} for d in binding.waiting]
        return json_answer({**_live(binding.live), "waiting": waiting})

    async def suspend(request: Request) -> Response:
        asked = await _from_issuer(request, Suspension)
        stopped = await provider.suspend(asked.person, asked.reason, asked.actor, waiting=asked.waiting)
        return json_answer(_live(stopped))

    async def release(request: Request) -> Response:
        asked = await _from_issuer(request, Release)
        return json_answer(_live(await provider.release(asked.person, asked.actor)))

    async def move(request: Request) -> Response:
        asked = await _from_issuer(request, Move)
        moved = await provider.move(asked.person, asked.device_id, asked.actor, asked.old)
        return json_answer({"device_id": moved.device_id, "ended": moved.ended})

    async def end(request: Request) -> Response:
        asked = await _from_issuer(request, Decision)
        return json_answer({"ended": await provider.end(asked.person, asked.reason, asked.actor)})

    async def ended(request: Request) -> Response:
        asked = await _from_issuer(request, After)
        found = await provider.ended(asked.after, asked.limit)
        devices = [{**_full(device), "number": number} for number, device in found]
        return json_answer({"devices": devices, "last": await provider.last_end()})

    handlers = (standing, active, suspend, release, move, end, ended)
    return [
        door("POST", f"/wallet-provider/peer/{handler.__name__}", handler, caller=Caller.PEER, answer=Answer.JSON,
             limit=4096)
        for handler in handlers
    ]  # fmt: skip


async def _from_issuer(request: Request, type_: type[T]) -> T:
    peer = getattr(request.state, "peer", None)
    if peer is None:
        raise Refused(Code.NOT_SIGNED_IN, "this door is for other roles of the platform")
    if peer not in PEERS:
        raise Refused(Code.NOT_ALLOWED, "only the issuer decides about phones")
    return await json_body(request, type_)


def _full(device: Device) -> dict[str, Any]:
    return {**_own(device), "person": device.person, "platform": device.platform}


def _live(device: Device | None) -> dict[str, Any]:
    if device is None:
        return {"device_id": None, "state": None, "reason": None, "since": None, "platform": None}
    return {**_own(device), "platform": device.platform}


# --- the wallet itself ------------------------------------------------------------------------------------------------


def _files(static: Path, policy: str) -> list[Door]:
    async def file(request: Request) -> Response:
        name = request.path_params.get("name", "") or "index.html"
        if not (static / "index.html").is_file():
            return page(request, "wallet_not_built.html", status=503)
        app_route = "." not in name.rpartition("/")[2]  # /wallet/history is a screen of the wallet, not a file
        if app_route:
            name = "index.html"
        answer = send_file(request, static, name, for_ever=name.startswith("assets/"))
        if name in NEVER_STORED:
            answer.headers["Cache-Control"] = "no-cache"
        if name == "sw.js":
            answer.headers["Service-Worker-Allowed"] = "/wallet/"
        if name in ("index.html", "sw.js"):
            answer.headers["Content-Security-Policy"] = policy
        return answer

    async def without_slash(request: Request) -> Response:
        return Response(status_code=308, headers={"Location": "/wallet/", "Cache-Control": "no-cache"})

    def public(path: str, handler: Callable[[Request], Awaitable[Response]]) -> Door:
        return door("GET", path, handler, caller=Caller.ANYONE, answer=Answer.PAGE, limit=0, camera=True)

    return [public("/wallet", without_slash), public("/wallet/{name:path}", file)]


def wallet_policy(base: str) -> str:
    """Argon2id needs WebAssembly; and a wallet talks to whatever issuer or verifier its holder meets, over TLS, and
    shows the issuer's picture. A wallet that itself comes without TLS (the demo country) also talks to its machine."""
    beyond = "https:" if base.startswith("https:") else "https: http://localhost:* http://127.0.0.1:*"
    policy = content_policy(wasm=True).replace("img-src 'self' data: blob:", "img-src 'self' data: blob: https:")
    return policy.replace("connect-src 'self'", f"connect-src 'self' {beyond}")
