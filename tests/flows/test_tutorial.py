"""docs/tutorial.md, followed to the letter by somebody who knows nothing, to the first green check and beyond."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from mapae.ui.words import words
from running import Running
from soak import long

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILES = {"python": "check_age.py", "html": "bar.html", "json": "delivery.json"}
TEN_MINUTES = 600


class Reader:
    """Types each block as it stands, into one shell. Only the port is another, for others test here as well."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        programs = folder / "bin"
        programs.mkdir()
        for name, words_ in (("mapae", "-m mapae "), ("python", "")):
            script = programs / name
            script.write_text(f'#!/bin/sh\nexec {sys.executable} {words_}"$@"\n', encoding="ascii")
            script.chmod(0o755)
        (folder / "mapae.toml").write_text(
            f'demo = true\nbase_url = "http://localhost:{port}"\ndata = "var"\n', encoding="ascii"
        )
        self.environment = {
            **os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "MAPAE_CONFIG": str(folder / "mapae.toml"),
        }  # fmt: skip
        self.said: list[str] = []

    def text(self, block: str) -> str:
        """On port 8080 the commands need no --url, and none stands in the tutorial."""
        block = block.replace("localhost:8080", f"localhost:{self.port}")
        url = f"--url http://localhost:{self.port}"
        return re.sub(r"mapae (rp apply|demo sandbox)", rf"mapae \1 {url}", block)

    def type(self, blocks: list[str]) -> list[str]:
        """What each block printed. They share one shell: a later one uses what an earlier one set."""
        mark = "=== next ==="
        script = f"\necho '{mark}'\n".join(["set -e", *(self.text(block) for block in blocks)])
        done = subprocess.run(
            ["bash", "-c", script], cwd=self.folder, capture_output=True, text=True, timeout=300, check=False,
            env=self.environment,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.split(f"{mark}\n")[1:]


def blocks(kind: str) -> list[str]:
    return [body for found, body in BLOCK.findall(TEXT) if found == kind]


@long
@pytest.mark.skipif(shutil.which("bash") is None, reason="the tutorial is typed into bash")
def test_somebody_who_follows_it_sees_green_within_ten_minutes(tmp_path: Path) -> None:
    started = time.monotonic()
    [up, *rest] = blocks("sh")
    assert up.split() == ["mapae", "demo", "up"]
    country = Running(tmp_path, "demo", "up", "--data", "var").wait()
    try:
        reader = Reader(tmp_path, country.port)
        for kind, name in FILES.items():
            [body] = blocks(kind)
            (tmp_path / name).write_text(reader.text(body), encoding="utf-8")
        new, greedy, apply, agree, till, script, own, wrong = reader.type(rest)
        seconds = time.monotonic() - started
        assert new == "" and "beyond_minimum" in greedy and "not like that" in greedy
        assert "corner_bakery  waiting" in apply and agree.splitlines()[-1].startswith("corner_bakery  approved")
        assert script.splitlines()[-1].strip() == "accepted", script
        assert own.splitlines()[-1].split()[0] == "accepted" and "시" in own.splitlines()[-1], own  # a place
        assert wrong.splitlines()[-1].split() == ["refused", "wrong_nonce"], wrong
        assert seconds < TEN_MINUTES
        print(f"followed in {seconds:.0f} s, the country's first start included")
        with httpx.Client(base_url=country.base, trust_env=False, timeout=30) as http:
            _tablet(http, till.strip())
            _people(http)
            _page(http, (tmp_path / "bar.html").read_text(encoding="utf-8"))
    finally:
        assert country.stop() == 0, country.said


def _tablet(http: httpx.Client, code: str) -> None:
    """As its owner's fingers go, without script; the words in bold stand on the buttons."""
    page = http.get("/checker/", params={"code": code, "lang": "en"})
    page = http.post("/checker/till", data={"csrf": _csrf(page.text), "code": code}, follow_redirects=True)
    asked = http.post(
        "/checker/checks", data={"csrf": _csrf(page.text), "purpose": "alcohol_tobacco"}, follow_redirects=True
    )
    [link] = re.findall(r'data-request="([^"]+)"', asked.text)
    answered = http.post("/sandbox/answers", json={"link": link, "person": "jisoo"}).raise_for_status().json()
    assert answered["wallet"] == "sent"
    assert 'data-outcome="accepted"' in http.get(asked.url.path).text


def _people(http: httpx.Client) -> None:
    """Whose states took years to come about: their wallets were kept when the country was made."""
    for person, seen in {
        "locked": ("refused", "suspended"), "expired": ("refused", "expired"), "renewal": ("accepted", None),
        "twophones": ("accepted", None), "minorbyyear": ("no", "answer_no"),
    }.items():  # fmt: skip
        put = http.post("/demo/asks", json={"purpose": "alcohol_tobacco"}).json()
        said = http.post("/sandbox/answers", json={"link": put["request_uri"], "person": person}).json()
        assert said.get("wallet") == "sent", said
        look = http.post(f"/demo/asks/{put['id']}/look", json={"token": put["token"]}).json()
        assert (look["outcome"], look["code"]) == seen, (person, look)


def _page(http: httpx.Client, page: str) -> None:
    """What the button does when it is pressed."""
    assert "/v1/button.js" in page and http.get("/v1/button.js").status_code == 200
    [purpose] = re.findall(r'data-mapae-purpose="([^"]+)"', page)
    body = {"purpose": purpose, "session": "one-browser"}
    check = http.post("/v1/anyone/checks", json=body).raise_for_status().json()
    answered = http.post("/sandbox/answers", json={"link": check["link"], "person": "jisoo"}).json()
    assert answered.get("wallet") == "sent", answered
    watched = http.get(f"/v1/pages/{check['id']}", headers={"Authorization": f"Bearer {check['page']}"}).json()
    redeem = {"code": watched["result_code"], "session": "one-browser"}
    assert http.post(f"/v1/anyone/checks/{check['id']}/redeem", json=redeem).json()["state"] == "accepted"


def _csrf(page: str) -> str:
    return re.findall(r'name="csrf" value="([^"]+)"', page)[0]


def test_the_words_in_bold_stand_on_the_buttons() -> None:
    said = set(words("en").values()) | set(words("ko").values())
    for bold in re.findall(r"\*\*([^*]+)\*\*", TEXT):
        assert bold in said or bold.endswith("답하기") or bold == "Selling alcohol or tobacco", bold
