"""Anybody reads the trust log and checks an entry in the browser; an operator who lies is shown in red."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from mapae.trust.log.proof import TlogProof
from running import mapae
from soak import KOREAN_TOO
from stories.conftest import Stage
from stories.look import SIZES, Album

pytestmark = pytest.mark.browser
FOLDED = ("content-encoding", "content-length")  # what we hand on is neither compressed nor of that length
BOTH = ("phone", "desktop")
AT = 3 * (2 + 7 * 32) + 2  # where it is in its bundle, behind three governors of seven words
ENTRY = "/trust/log/registry/entries/3"  # the founding policy: it names a document
STEPS = ["policy", "checkpoint", "signature", "witnesses", "entry", "path", "earlier", "statement", "document"]


def check(page: Page, outcome: str) -> None:
    """Press the button and wait for the verdict."""
    page.locator("[data-start]").click()
    expect(page.locator(f"[data-outcome={outcome}]")).to_be_visible()


def step_is(page: Page, name: str, state: str) -> None:
    expect(page.locator(f"li[data-step={name}]")).to_have_class(f"proof-{state}")


def look_at_check(album: Album, page: Page, name: str) -> None:
    for size in BOTH:
        page.set_viewport_size(SIZES[size])
        page.locator("[data-verdict]").evaluate("node => node.scrollIntoView()")
        album.look(page, name, size)


@pytest.mark.parametrize("language", KOREAN_TOO)
def test_anybody_follows_the_log_from_the_list_to_a_proof(stage: Stage, language: str) -> None:
    album, page = stage.album(language), stage.tab(language)
    page.goto("/trust/")
    page.locator('a[href="/trust/log/"]').first.click()
    expect(page.locator("h1")).to_be_visible()
    expect(page.locator("tbody").first.locator("tr")).to_have_count(3)  # witnesses
    expect(page.locator("main")).to_contain_text({"ko": "(발급 기관)", "en": "(Issuer)"}[language])
    album.look(page, "log-home", *BOTH)
    page.locator('a[href="/trust/log/registry/entries"]').first.click()
    expect(page.locator(f'a[href="{ENTRY}"]')).to_be_visible()
    album.look(page, "log-entries", *BOTH)
    page.locator(f'a[href="{ENTRY}"]').click()
    expect(page.locator("[data-start]")).to_be_visible()
    album.look(page, "log-entry", *BOTH)

    page.locator("[data-start]").focus()
    page.keyboard.press("Enter")  # by keyboard too
    expect(page.locator("[data-outcome=ok]")).to_be_visible()
    for name in STEPS:
        step_is(page, name, "good")
    expect(page.locator("svg.path-picture")).to_have_attribute("role", "img")
    expect(page.locator(".node-bad")).to_have_count(0)
    look_at_check(album, page, "log-proof")

    page.reload()
    check(page, "ok")  # now against what this browser kept
    page.locator("[data-copy]").first.click()


Lie = Callable[[bytes], bytes]


def _flip(at: int) -> Lie:
    return lambda body: body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


def _last_signature(note: bytes) -> bytes:
    """A witness's signature with another letter in it."""
    cut = note.rindex(b" ") + 30
    return note[:cut] + (b"A" if note[cut : cut + 1] != b"A" else b"B") + note[cut + 1 :]


def _more(note: bytes) -> bytes:
    """A size that nobody signed."""
    origin, size, rest = note.split(b"\n", 2)
    return b"\n".join([origin, b"%d" % (int(size) + 1), rest])


LIES: dict[str, tuple[str, Lie, list[str]]] = {
    "another entry": ("**/registry/tile/entries/**", _flip(AT + 170), ["entry", "path"]),
    "another tree": ("**/registry/tile/0/**", _flip(40), ["path"]),
    "a checkpoint nobody signed": ("**/registry/checkpoint", _more, ["signature"]),
    "a forged cosignature": ("**/registry/checkpoint", _last_signature, ["witnesses"]),
    "another statement": ("**/trust/statements/*", lambda text: text[:-1] + b"_", ["statement"]),
    "another document": ("**/trust/documents/*", lambda body: body + b"#\n", ["document"]),
}


def tampering(change: Lie) -> Callable[[Route], None]:
    def tamper(route: Route) -> None:
        true = route.fetch()
        kept = {name: value for name, value in true.headers.items() if name not in FOLDED}
        route.fulfill(status=true.status, headers=kept, body=change(true.body()))

    return tamper


def test_a_tampered_answer_is_red(stage: Stage) -> None:
    page = stage.tab("en")
    page.goto(ENTRY)
    for lie, (where, change, wrong) in LIES.items():
        page.route(where, tampering(change))
        check(page, "refused")
        for name in wrong:
            step_is(page, name, "bad")
        if lie == "another tree":
            expect(page.locator(".node-bad")).to_have_count(1)
            look_at_check(stage.album("en"), page, "log-refused")
        page.unroute(where)
    check(page, "ok")  # it was the lies and nothing else


def test_an_operator_who_changes_his_mind_is_noticed(stage: Stage) -> None:
    """Another policy, a rewritten past, a shorter log than was seen; a policy from elsewhere settles it."""
    page = stage.tab("en")
    page.goto(ENTRY)
    check(page, "ok")
    policy = page.request.get("/trust/policy").text()
    kept = "(change) => { for (const name of Object.keys(localStorage)) if (name.includes('+'))"
    kept += " { const one = JSON.parse(localStorage[name]); Object.assign(one, change);"
    kept += " localStorage[name] = JSON.stringify(one); } }"
    page.evaluate(kept, {"root": "00" * 32})
    check(page, "refused")
    step_is(page, "earlier", "bad")
    page.evaluate(kept, {"size": 1_000_000})
    check(page, "refused")
    step_is(page, "earlier", "bad")
    page.evaluate("() => localStorage.clear()")

    page.evaluate("(text) => localStorage['mapae-log-policy'] = JSON.stringify({ text, at: 1 })", policy + "# mine\n")
    check(page, "refused")
    step_is(page, "policy", "bad")
    page.locator(".own-policy summary").click()
    page.fill("#own-policy", policy)
    check(page, "ok")
    page.fill("#own-policy", policy.replace("quorum ", "quorum nobody"))
    check(page, "refused")


def test_a_log_without_enough_witnesses_is_not_believed(stage: Stage) -> None:
    page = stage.tab("en")

    def alone(route: Route) -> None:
        true = route.fetch()
        text, _, signatures = true.text().rpartition("\n\n")
        route.fulfill(response=true, body=f"{text}\n\n{signatures.splitlines()[0]}\n")

    page.route("**/registry/checkpoint", alone)
    page.goto(ENTRY)
    check(page, "refused")
    step_is(page, "signature", "good")
    step_is(page, "witnesses", "bad")


def test_a_browser_that_lacks_the_algorithm_says_so(stage: Stage) -> None:
    page = stage.tab("en")
    page.add_init_script(
        "const real = crypto.subtle.importKey.bind(crypto.subtle);"
        "crypto.subtle.importKey = (form, key, method, ...more) =>"
        " ['Ed25519', 'ML-DSA-44'].includes(method.name) ? Promise.reject(new DOMException('no')) :"
        " real(form, key, method, ...more);"
    )
    page.goto(ENTRY)
    check(page, "warn")
    step_is(page, "signature", "cannot")
    step_is(page, "path", "good")
    expect(page.locator("[data-outcome=warn]")).to_contain_text("command")
    look_at_check(stage.album("en"), page, "log-cannot")


def test_without_script_the_command_on_the_page_proves_the_entry(stage: Stage, tmp_path: Path) -> None:
    page = stage.tab("ko", script=False)
    page.goto(ENTRY)
    words = page.locator("noscript .command").inner_text().split()
    assert words[0] == "mapae"
    (tmp_path / "policy").write_bytes(page.request.get("/trust/policy").body())
    done = mapae(tmp_path, *words[1:], "--policy", "policy", "--proof", "entry.tlog-proof")
    assert "proven      by your policy" in done.stdout, done.stderr
    assert "needs 2 governors" in done.stdout
    assert TlogProof.parse((tmp_path / "entry.tlog-proof").read_bytes()).index == 3
    (tmp_path / "policy").write_text("quorum none\n")
    refused = mapae(tmp_path, *words[1:], "--policy", "policy")
    assert refused.returncode != 0
    assert "no known log signed this checkpoint" in refused.stderr
    expect(page.locator("[data-start]")).to_be_hidden()
    page.goto("/trust/log/")
    expect(page.locator("h1")).to_be_visible()
