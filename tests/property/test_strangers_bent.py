"""Real messages of a real wallet, bent in one place, and nonsense signed with its real keys: refused in the shape of
the door, never our own mistake, on both engines."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from abuse import CREDENTIAL, NOTIFY, TOKEN, Alley, Sent
from mapae.keys import Signer
from mapae.ui.http import Door, doors
from strangers import Apart, Heard, Knock, json_values, knock, must_be_civil, tokens, words
from town import BASE, Town

EXAMPLES = {"sqlite": 1.0, "postgresql": 0.25}
SENT_ONCE = ("content-length", "host", "connection", "accept", "accept-encoding", "user-agent")


class Line:
    """A wallet's whole life, recorded, and two phones in somebody else's hands: one before its card, one with it."""

    def __init__(self, town: Town, engine: str) -> None:
        self.town, self.engine = town, engine
        self.alley = Alley(town, 60)
        self.doors = [door for door in doors(town.house.site.routes) if "{name:path}" not in door.path]
        citizen, self.holder = self.alley.carded()
        self.till = town.till()
        citizen.show(self.till.ask("alcohol_tobacco", "sd_jwt"))
        citizen.show(self.till.ask("name_birth_date", "mdoc"))
        town.call(citizen.wallet.documents)
        town.call(citizen.wallet.standing)
        self.sent = [one for one in citizen.tap.sent if self.door(one.method, one.path) is not None]
        _, self.waiting = self.alley.before(CREDENTIAL)

    def door(self, method: str, path: str) -> Door | None:
        for door in self.doors:
            if method in (door.methods or ()) and door.path_regex.match(unquote(path)):
                return door
        return None

    def send(self, method: str, path: str, headers: list[tuple[bytes, bytes]], body: bytes) -> Heard:
        door = self.door(method, path)
        assert door is not None, (method, path)
        sent = Knock(method, path, b"", headers, (body,))
        heard = self.town.call(knock, self.town.house.site, sent)
        must_be_civil(door, sent, heard)
        return heard

    def examples(self, share: float) -> Any:
        most = max(10, int(settings.default.max_examples * share * EXAMPLES[self.engine]))  # type: ignore[union-attr]
        return settings(
            max_examples=most, deadline=None, suppress_health_check=list(HealthCheck), database=None,
            phases=[Phase.explicit, Phase.generate],
        )  # fmt: skip


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def line(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    data, database = tmp_path_factory.mktemp("line") / "var", ""
    seeded = "postgres_template" if request.param == "postgresql" else "template"
    shutil.copytree(request.getfixturevalue(seeded), data)
    if request.param == "postgresql":
        database = request.getfixturevalue("cluster").create("line", "seeded")
    with start_blocking_portal() as portal:
        town = Town.open(portal, data, database=database)
        yield Line(town, request.param)
        town.close()
    if database:
        request.getfixturevalue("cluster").drop("line")


@st.composite
def bends(draw: st.DrawFn) -> tuple[str, float, bytes]:
    """What is done, where (as a share of the length), and with which bytes."""
    what = draw(st.sampled_from(["flip", "cut", "insert", "double", "swap", "drop"]))
    put = draw(
        st.binary(max_size=8) | st.sampled_from([b".", b"..", b'"', b"}", b"=", b"&", b"~", b"\xff", b"e30", b"-"])
    )
    return what, draw(st.floats(0, 1)), put


def bent(raw: bytes, bend: tuple[str, float, bytes]) -> bytes:
    what, share, put = bend
    at = min(int(share * len(raw)), max(0, len(raw) - 1))
    match what:
        case "flip" if raw:
            return raw[:at] + bytes([raw[at] ^ 1 << len(put) % 8]) + raw[at + 1 :]
        case "cut":
            return raw[:at]
        case "insert":
            return raw[:at] + put + raw[at:]
        case "double":
            return raw[:at] + raw
        case "swap":
            return raw[at:] + raw[:at]
        case _:
            return raw[:at] + raw[at + 1 + len(put) :]


def test_a_real_message_bent_in_one_place_is_refused_civilly(line: Line) -> None:
    @line.examples(1.0)
    @given(bend=bends(), which=st.integers(0, 30))
    def run(bend: tuple[str, float, bytes], which: int) -> None:
        for one in line.sent:
            parts = [name for name, _ in one.headers if name not in SENT_ONCE]
            place = which % (len(parts) + 1)
            headers = [
                (name.encode(), bent(value.encode(), bend) if name in parts[place : place + 1] else value.encode())
                for name, value in one.headers
                if name not in ("content-length", "host")
            ]
            body = bent(one.body, bend) if place == len(parts) else one.body
            line.send(one.method, one.path, headers, body)

    run()


claims = st.dictionaries(
    st.sampled_from(["iss", "aud", "iat", "exp", "nbf", "jti", "htm", "htu", "nonce", "ath", "bod", "sub", "x"]),
    json_values | tokens | st.sampled_from([1e308, -1, 2**63, float("inf"), 0.5, True, [BASE + "/issuer"], "\ud800"]),
    min_size=1, max_size=3,
)  # fmt: skip


def headers_of(*given_: dict[str, str]) -> list[tuple[bytes, bytes]]:
    merged = {name.lower(): value for each in given_ for name, value in each.items()}
    return [(name.encode(), value.encode()) for name, value in merged.items()]


def signable(changed: dict[str, Any]) -> dict[str, Any]:
    """What our own encoder can write; the rest no wallet could have signed with it."""
    from mapae.errors import Refused
    from mapae.formats.jose import encode_json

    kept = {}
    for name, value in changed.items():
        try:
            encode_json(value)
        except (Refused, ValueError):
            continue
        kept[name] = value
    return kept


JSON, FORM = {"Content-Type": "application/json"}, {"Content-Type": "application/x-www-form-urlencoded"}


def test_nonsense_under_a_real_signature_is_refused_civilly(line: Line) -> None:
    """DPoP, attestation PoP, phone requests and key proofs whose signature is right and whose claims are not."""

    @line.examples(1.0)
    @given(changed=claims, other=claims)
    def run(changed: dict[str, Any], other: dict[str, Any]) -> None:
        changed, other = signable(changed), signable(other)
        phone, token = line.waiting, line.waiting.order.access_token
        line.town.call(phone.c_nonce)
        grant = b"grant_type=refresh_token&refresh_token=unknown"  # so that the token stays the one we hold
        for client, dpop in ((changed, {}), ({}, changed), (changed, other)):
            headers = headers_of(FORM, phone.client(**client), phone.dpop(TOKEN, **dpop))
            line.send("POST", TOKEN, headers, grant)
        line.send("POST", CREDENTIAL, headers_of(JSON, phone.dpop(CREDENTIAL, token, **changed)), b"{}")
        line.send("POST", NOTIFY, headers_of(JSON, phone.dpop(NOTIFY, token, **changed)), b"{}")
        line.send("GET", "/issuer/documents", headers_of(phone.client(**changed)), b"")
        for path in ("/wallet-provider/attestations", "/wallet-provider/key-attestations"):
            line.send("POST", path, headers_of(JSON, phone.device("POST", path, b"{}", **changed)), b"{}")

    run()


def test_a_real_key_proof_with_odd_claims_or_company_is_refused_civilly(line: Line) -> None:
    """Everything around the proof is right: token, DPoP, nonce, key attestation."""

    heard: set[bytes] = set()

    @line.examples(0.5)
    @given(changed=st.just({}) | claims, company=json_values | st.lists(tokens, max_size=3), odd=words)
    def run(changed: dict[str, Any], company: Any, odd: str) -> None:
        phone = line.waiting
        keys = [Signer.ephemeral()]

        async def body() -> dict[str, Any]:
            return await phone.proofs(keys, await phone.c_nonce(), **signable(changed))

        try:
            proofs = line.town.call(body)
        except AssertionError:  # too many attestations from this phone for now
            line.town.clock.advance(minutes=6)
            return
        for sent in ({"jwt": proofs["jwt"] + [company]}, {"jwt": company}, {**proofs, odd: company}, proofs, company):
            message = {"credential_configuration_id": "resident_card_sd_jwt", "proofs": sent}
            try:
                raw = msgspec.json.encode(message)
            except (TypeError, ValueError, UnicodeEncodeError):
                continue
            headers = headers_of(JSON, phone.dpop(CREDENTIAL, phone.order.access_token))
            answer = line.send("POST", CREDENTIAL, headers, raw)
            heard.update(re.findall(rb"invalid_proof|invalid_nonce|invalid_token|notification_id", answer.body))

    run()
    assert {b"invalid_proof", b"notification_id"} <= heard, heard


def test_after_all_that_both_wallets_end_well(line: Line) -> None:
    phone: Apart = line.waiting
    citizen = phone.citizen
    citizen.restart()
    line.town.call(citizen.wallet.resume)
    assert sorted(len(card.copies) for card in citizen.wallet.cards) == [10, 10]
    assert line.till.check(citizen, "alcohol_tobacco")["outcome"] == "accepted"
    assert all(isinstance(one, Sent) for one in line.sent)
    assert len({re.sub(r"[\w-]{16,}", "*", one.path) for one in line.sent}) > 12
