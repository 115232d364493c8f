"""The wallet provider's doors: phones, the issuer, the wallet's own files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mapae.errors import Code, Refused
from mapae.formats.jose import Jws, encode_json
from mapae.formats.x509 import Anchors, Profile, check_chain
from mapae.keys import Signer
from unit.wallet_provider.conftest import BASE, refusal

ME = "/wallet-provider/devices/me"


async def registered(house: Any, person: str = "person-1") -> Any:
    phone = house.phone()
    assertion = house.registers.assertion(person)
    body = {"assertion": assertion, "proof": phone.proof(assertion)}
    answer = await house.http.post("/wallet-provider/devices", json=body)
    assert answer.status_code == 201, answer.text
    return phone


def opened(house: Any, token: str, typ: str) -> dict[str, Any]:
    jws = Jws.parse(token, typ=typ)
    assert house.anchor not in jws.x5c
    jws.verify(check_chain(jws.x5c, Anchors([house.anchor]), house.clock.now(), Profile.WALLET_PROVIDER).key)
    return jws.claims()


async def test_a_phone_registers_and_asks_how_it_stands(house: Any) -> None:
    phone = await registered(house)
    answer = await house.send(phone, ME)
    assert answer.json() | {"device_id": ""} == {
        "device_id": "",
        "state": "active",
        "reason": None,
        "since": int(house.clock.now().timestamp()),
    }
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_a_wallet_attestation_has_the_shape_of_haip(house: Any) -> None:
    phone, client = await registered(house), Signer.ephemeral()
    answer = await house.send(phone, "/wallet-provider/attestations", {"client_jwk": client.jwk})
    claims = opened(house, answer.json()["wallet_attestation"], "oauth-client-attestation+jwt")
    assert claims["sub"] == f"{BASE}/wallet/"
    assert claims["cnf"] == {"jwk": client.jwk}
    assert claims["exp"] - claims["iat"] == answer.json()["expires_in"] <= 3600
    standing = await house.issuer.call("wallet_provider", "/wallet-provider/peer/standing", {"jkt": client.kid})
    assert (standing["person"], standing["state"], standing["platform"]) == ("person-1", "active", "web")


async def test_two_phones_attestations_say_nothing_that_tells_them_apart(house: Any) -> None:
    claims = []
    for person in ("person-1", "person-2"):
        phone = await registered(house, person)
        answer = await house.send(phone, "/wallet-provider/attestations", {"client_jwk": Signer.ephemeral().jwk})
        token = answer.json()["wallet_attestation"]
        claims.append({**opened(house, token, "oauth-client-attestation+jwt"), "cnf": None})
    assert claims[0] == claims[1]


async def test_a_key_attestation_names_every_key(house: Any) -> None:
    phone, keys = await registered(house), [Signer.ephemeral().jwk for _ in range(10)]
    answer = await house.send(phone, "/wallet-provider/key-attestations", {"keys": keys, "nonce": "n" * 22})
    claims = opened(house, answer.json()["key_attestation"], "key-attestation+jwt")
    assert (claims["attested_keys"], claims["nonce"]) == (keys, "n" * 22)
    assert claims["key_storage"] == claims["user_authentication"] == ["iso_18045_basic"]
    assert claims["exp"] > claims["iat"]


@pytest.mark.parametrize("count", [0, 21])
async def test_a_batch_has_between_one_and_twenty_keys(house: Any, count: int) -> None:
    phone = await registered(house)
    keys = [Signer.ephemeral().jwk for _ in range(count)]
    answer = await house.send(phone, "/wallet-provider/key-attestations", {"keys": keys})
    assert refusal(answer) == (400, "invalid_request")


async def test_the_same_key_is_not_attested_twice(house: Any) -> None:
    phone, key = await registered(house), Signer.ephemeral().jwk
    answer = await house.send(phone, "/wallet-provider/key-attestations", {"keys": [key, key]})
    assert refusal(answer) == (400, "invalid_request")


async def test_a_private_key_is_refused(house: Any) -> None:
    phone, key = await registered(house), {**Signer.ephemeral().jwk, "d": "A" * 43}
    for path, body in (("attestations", {"client_jwk": key}), ("key-attestations", {"keys": [key]})):
        assert refusal(await house.send(phone, f"/wallet-provider/{path}", body)) == (400, "malformed")


async def test_what_each_state_may_have_attested(house: Any) -> None:
    first, second = await registered(house), await registered(house)
    client, keys = {"client_jwk": Signer.ephemeral().jwk}, {"keys": [Signer.ephemeral().jwk]}
    # A waiting phone may ask what it could be issued; it is not issued anything.
    assert (await house.send(second, "/wallet-provider/attestations", client)).status_code == 200
    assert refusal(await house.send(second, "/wallet-provider/key-attestations", keys)) == (409, "phone_already_active")
    await house.provider.suspend("person-1", "lost", "issuer")
    client = {"client_jwk": Signer.ephemeral().jwk}
    for path, body in (("attestations", client), ("key-attestations", keys)):
        assert refusal(await house.send(first, f"/wallet-provider/{path}", body)) == (403, "device_suspended")
    assert (await house.send(first, ME)).json()["reason"] == "lost"
    await house.provider.end("person-1", "deceased", "issuer")
    for path, body in (("attestations", client), ("key-attestations", keys)):
        assert refusal(await house.send(first, f"/wallet-provider/{path}", body)) == (403, "device_ended")
    assert (await house.send(first, ME)).json()["state"] == "ended"


async def test_a_client_key_belongs_to_one_phone(house: Any) -> None:
    first, second = await registered(house), await registered(house, "person-2")
    body = {"client_jwk": Signer.ephemeral().jwk}
    for _ in range(2):
        assert (await house.send(first, "/wallet-provider/attestations", body)).status_code == 200
    assert refusal(await house.send(second, "/wallet-provider/attestations", body)) == (409, "conflict")


async def test_a_signature_is_for_one_body(house: Any) -> None:
    phone, path = await registered(house), "/wallet-provider/attestations"
    header = phone.header("POST", path, encode_json({"client_jwk": Signer.ephemeral().jwk}))
    answer = await house.http.post(path, json={"client_jwk": Signer.ephemeral().jwk}, headers={"Mapae-Device": header})
    assert refusal(answer) == (400, "invalid_proof")


async def test_a_phone_without_a_signature_is_not_signed_in(house: Any) -> None:
    phone = await registered(house)
    assert refusal(await house.http.get(ME)) == (401, "not_signed_in")
    twice = [("Mapae-Device", phone.header("GET", ME)), ("Mapae-Device", phone.header("GET", ME))]
    assert refusal(await house.http.get(ME, headers=twice)) == (401, "not_signed_in")


async def test_the_holder_gives_the_phone_up(house: Any) -> None:
    phone = await registered(house)
    assert (await house.send(phone, f"{ME}/end", {})).json()["state"] == "ended"
    assert (await house.send(phone, f"{ME}/end", {})).json()["state"] == "ended"
    assert (await house.provider.active("person-1")).live is None


async def test_oversized_bodies_are_refused_before_parsing(house: Any) -> None:
    for path in ("devices", "attestations", "key-attestations", "devices/me/end"):
        answer = await house.http.post(f"/wallet-provider/{path}", content=b"[" * 20000)
        assert refusal(answer) == (413, "too_large"), path


async def test_the_issuer_decides_and_nobody_else(house: Any) -> None:
    await registered(house)
    paths = ("standing", "active", "suspend", "release", "move", "end", "ended")
    for path in paths:
        with pytest.raises(Refused) as refused:
            await house.stranger.call("wallet_provider", f"/wallet-provider/peer/{path}", {})
        assert refused.value.code is Code.NOT_ALLOWED
        assert refusal(await house.http.post(f"/wallet-provider/peer/{path}", json={})) == (401, "not_signed_in")


async def test_a_lost_phone_is_moved_to_a_new_one_by_peer_calls(house: Any) -> None:
    async def call(path: str, **message: Any) -> dict[str, Any]:
        answer: dict[str, Any] = await house.issuer.call("wallet_provider", f"/wallet-provider/peer/{path}", message)
        return answer

    assert await call("active", person="person-1") == {
        "device_id": None, "state": None, "reason": None, "since": None, "platform": None, "waiting": [],
    }  # fmt: skip
    assert (await call("suspend", person="person-1", reason="lost"))["device_id"] is None
    old, new = await registered(house), await registered(house)
    assert (await call("suspend", person="person-1", reason="lost", actor="officer-7"))["state"] == "suspended"
    assert (await call("release", person="person-1", actor="officer-7"))["state"] == "active"
    seen = await call("active", person="person-1")
    target = seen["waiting"][0]["device_id"]
    moved = await call("move", person="person-1", device_id=target, old=seen["device_id"], actor="officer-7")
    assert moved == {"device_id": target, "ended": seen["device_id"]}
    assert (await house.send(old, ME)).json()["state"] == "ended"
    assert (await house.send(new, ME)).json()["state"] == "active"
    ended = await call("ended", after=0)
    told = [(device["device_id"], device["reason"], device["number"]) for device in ended["devices"]]
    assert told == [(seen["device_id"], "moved", 1)]
    assert await call("ended", after=1) == {"devices": [], "last": 1}
    assert (await call("end", person="person-1", reason="deceased"))["ended"] == [target]


async def test_an_unknown_client_key_is_nobodys(house: Any) -> None:
    with pytest.raises(Refused) as refused:
        await house.issuer.call("wallet_provider", "/wallet-provider/peer/standing", {"jkt": "nothing"})
    assert refused.value.code is Code.NOT_FOUND


@pytest.mark.parametrize("after", [-1, 10**30, "0", 1.5, None])
async def test_a_number_that_is_none_is_malformed(house: Any, after: Any) -> None:
    with pytest.raises(Refused) as refused:
        await house.issuer.call("wallet_provider", "/wallet-provider/peer/ended", {"after": after})
    assert refused.value.code is Code.MALFORMED


# --- the wallet's own files -------------------------------------------------------------------------------------------


@pytest.fixture
def built(tmp_path: Path) -> Path:
    folder = tmp_path / "static"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>wallet</title>")
    (folder / "sw.js").write_text("self.skipWaiting()")
    (folder / "manifest.webmanifest").write_text("{}")
    (folder / "assets" / "index-abc123.js").write_text("export {}")
    (folder / "assets" / "argon2-abc123.wasm").write_bytes(b"\0asm")
    (folder / ".secret.txt").write_text("no")
    (tmp_path / "outside.txt").write_text("no")
    return folder


async def test_a_server_without_a_wallet_says_so_in_both_languages(house: Any) -> None:
    for language, words in (("en", "not here yet"), ("ko", "준비되지 않았습니다")):
        answer = await house.http.get("/wallet/", headers={"Accept-Language": language})
        assert answer.status_code == 503
        assert words in answer.text


@pytest.mark.usefixtures("built")
async def test_every_screen_of_the_wallet_is_the_one_page(house: Any) -> None:
    for path in ("/wallet/", "/wallet/history", "/wallet/cards/abc"):
        answer = await house.http.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert answer.headers["cache-control"] == "no-cache"
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self' 'wasm-unsafe-eval'" in policy
        assert "unsafe-inline" not in policy
        assert "camera=(self)" in answer.headers["permissions-policy"]
    moved = await house.http.get("/wallet")
    assert (moved.status_code, moved.headers["location"]) == (308, "/wallet/")


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize(
    ("name", "kind", "cache"),
    [
        ("sw.js", "text/javascript; charset=utf-8", "no-cache"),
        ("manifest.webmanifest", "application/manifest+json", "no-cache"),
        ("assets/index-abc123.js", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"),
        ("assets/argon2-abc123.wasm", "application/wasm", "public, max-age=31536000, immutable"),
    ],
)
async def test_each_file_has_its_type_and_its_life(house: Any, name: str, kind: str, cache: str) -> None:
    answer = await house.http.get(f"/wallet/{name}")
    assert (answer.status_code, answer.headers["content-type"], answer.headers["cache-control"]) == (200, kind, cache)
    assert (answer.headers.get("service-worker-allowed") == "/wallet/") == (name == "sw.js")
    again = await house.http.get(f"/wallet/{name}", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize(
    "name",
    ["../outside.txt", "%2e%2e/outside.txt", "..%2foutside.txt", ".secret.txt", "assets/nothing.js", "/etc/hosts.txt"],
)
async def test_nothing_outside_the_built_wallet_is_served(house: Any, name: str) -> None:
    assert (await house.http.get(f"/wallet/{name}")).status_code == 404
