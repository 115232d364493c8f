"""A running demo country, as anybody would run it: `mapae demo up` in a process of its own, on a free port."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from base64 import b64decode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from mapae.formats.jose import decode_json, unb64u

PATIENCE = 90.0  # seconds for a new country to be made on a busy machine


@dataclass
class Asked:
    """A question that was put by the door `mapae demo ask` uses."""

    http: httpx.Client
    id: str
    token: str
    uri: str
    browser: str = ""

    def look(self) -> dict[str, Any]:
        answer = self.http.post(f"/demo/asks/{self.id}/look", json={"token": self.token})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def verdict(self) -> dict[str, Any]:
        """Once the answer has been posted it is there: the response endpoint answers after the check."""
        look = self.look()
        assert look["state"] == "ended", look
        return {name: look[name] for name in ("outcome", "step", "code") if look.get(name)} | {"claims": look["claims"]}


@dataclass
class Country:
    data: Path
    port: int
    process: subprocess.Popen[bytes] = field(init=False)
    http: httpx.Client = field(init=False)

    @classmethod
    def up(cls, data: Path) -> Country:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        country = cls(data, port)
        country.http = httpx.Client(base_url=country.base, timeout=20, trust_env=False)
        arguments = ["demo", "up", "--data", str(data), "--port", str(port), "--residents", "0"]
        with (data.parent / "country.log").open("wb") as log:
            country.process = subprocess.Popen(
                [sys.executable, "-m", "mapae", *arguments], stdout=log, stderr=log, env=os.environ.copy()
            )
        until = time.monotonic() + PATIENCE
        while True:
            assert country.process.poll() is None, (data.parent / "country.log").read_text()
            assert time.monotonic() < until, "the demo country did not come up"
            try:
                if country.http.get("/demo.json").status_code == 200:
                    return country
            except httpx.HTTPError:
                time.sleep(0.1)

    @property
    def base(self) -> str:
        return f"http://localhost:{self.port}"

    def down(self) -> None:
        self.http.close()
        self.process.terminate()
        self.process.wait(20)

    def facts(self) -> dict[str, Any]:
        return dict(self.http.get("/demo.json").json())

    def wallet_provider(self, name: str) -> dict[str, Any]:
        """A wallet provider on the country's trust list, in the words of peers/wallet.mjs."""
        answer = self.http.post("/demo/wallet-providers", json={"name": name})
        assert answer.status_code == 200, answer.text
        made = answer.json()
        client = f"https://{name}.example"
        return {"key": made["private_jwk"], "x5c": made["x5c"], "issuer": client, "clientId": f"{client}/app"}

    def offer(self, **wanted: Any) -> dict[str, Any]:
        answer = self.http.post("/demo/offers", json=wanted)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def anchors(self, kind: str) -> list[bytes]:
        """The authorities of `issuers`, `wallet_providers` or `relying_parties` on the country's trust list."""
        listed = decode_json(unb64u(self.http.get("/trust/list").text.split(".")[1]))
        return [b64decode(der) for entry in listed[kind] for der in entry.get("ca", [])]

    def ask(self, **wanted: Any) -> Asked:
        answer = self.http.post("/demo/asks", json=wanted)
        assert answer.status_code == 201, answer.text
        put = answer.json()
        return Asked(self.http, put["id"], put["token"], put["request_uri"], put.get("browser", ""))
