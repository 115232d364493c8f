"""Replayed, doubled, stale and misdirected messages where people prove who they are and what they hold: identity check,
phone registration, phone requests and the shop's question."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest

from abuse import Alley, Listened, codes, refusal
from abuse import alley as alley
from mapae.clock import MovableClock
from mapae.errors import Code, Refused
from mapae.formats.jose import b64u, encode_json, sign_jws
from mapae.formats.jwe import encrypt
from mapae.formats.sd_jwt import SdJwt
from mapae.keys import Signer
from strangers import Apart
from town import BASE, Till

MINUTES = (-600, 600)


# --- identity check -------------------------------------------------------------------------------------------------


def test_an_identity_code_at_once_twice_gives_one_assertion(alley: Alley) -> None:
    """One statement of who somebody is for one text message."""
    check, code = alley.code(alley.stranger())
    path = f"/identity/checks/{check}/code"
    answers = alley.at_once(*((path, {}, {"json": {"code": code}}) for _ in range(4)))
    assert codes(answers) == [(200, ""), *[(410, "code_spent")] * 3]
    assert refusal(alley.post(path, {}, json={"code": code})) == (410, "code_spent")


def test_five_wrong_codes_at_once_are_five_tries(alley: Alley) -> None:
    """Racing does not buy a sixth try; the right code comes too late."""
    check, code = alley.code(alley.stranger())
    path, wrong = f"/identity/checks/{check}/code", f"{(int(code) + 1) % 10**6:06}"
    answers = alley.at_once(*((path, {}, {"json": {"code": wrong}}) for _ in range(8)))
    assert sorted(codes(answers))[:5] == [(403, "wrong_code")] * 5
    assert codes(answers)[5:] == [(410, "code_spent")] * 3
    assert refusal(alley.post(path, {}, json={"code": code})) == (410, "code_spent")


def _assertion(alley: Alley, citizen: Listened) -> str:
    check, code = alley.code(citizen)
    return str(alley.post(f"/identity/checks/{check}/code", {}, json={"code": code}).json()["assertion"])


def _proof(alley: Alley, key: Signer, assertion: str, *, seconds: int = 0, **changed: Any) -> str:
    claims = {
        "aud": f"{BASE}/wallet-provider", "iat": int(alley.town.clock.now().timestamp()) + seconds,
        "jti": "registration-1", "ath": b64u(hashlib.sha256(assertion.encode()).digest()), **changed,
    }  # fmt: skip
    return sign_jws(key, {"typ": "mapae-device-proof+jwt", "jwk": key.jwk}, claims)


def _register(alley: Alley, key: Signer, assertion: str, **changed: Any) -> tuple[str, dict[str, str], dict[str, Any]]:
    body = {"assertion": assertion, "proof": _proof(alley, key, assertion, **changed)}
    return "/wallet-provider/devices", {}, {"json": body}


def test_an_assertion_registers_one_phone_even_at_once(alley: Alley) -> None:
    assertion = _assertion(alley, alley.stranger())
    keys = [Signer.ephemeral() for _ in range(3)]
    answers = alley.at_once(*(_register(alley, key, assertion) for key in keys))
    assert codes(answers) == [(201, ""), (410, "code_spent"), (410, "code_spent")]


def test_the_same_registration_at_once_twice_is_one_phone(alley: Alley) -> None:
    """A lost answer may be asked for again by the same key."""
    key, assertion = Signer.ephemeral(), _assertion(alley, alley.stranger())
    answers = alley.at_once(_register(alley, key, assertion), _register(alley, key, assertion))
    assert codes(answers) == [(201, ""), (201, "")]
    assert answers[0].json()["device_id"] == answers[1].json()["device_id"]


def test_an_assertion_for_somebody_else_too_old_or_with_another_proof_is_refused(alley: Alley) -> None:
    citizen, key = alley.stranger(), Signer.ephemeral()
    who = citizen.named.resident
    alley.town.clock.advance(seconds=2)
    asked = {
        "name": who.name, "resident_number": who.number.written, "phone": citizen.number, "audience": "issuer"
    }  # fmt: skip
    check = alley.post("/identity/checks", {}, json=asked).json()["check_id"]
    code = {"code": alley.town.code_sent_to(citizen.number)}
    portals = alley.post(f"/identity/checks/{check}/code", {}, json=code).json()["assertion"]
    assert refusal(alley.at_once(_register(alley, key, portals))[0]) == (400, "wrong_audience")

    good = _assertion(alley, citizen)
    other_ath = _register(alley, key, good, ath=b64u(hashlib.sha256(portals.encode()).digest()))
    assert refusal(alley.at_once(other_ath)[0]) == (400, "invalid_proof")
    assert refusal(alley.at_once(_register(alley, key, good, aud="https://elsewhere"))[0]) == (400, "wrong_audience")
    assert refusal(alley.at_once(_register(alley, key, good, seconds=600))[0]) == (400, "not_yet_valid")
    assert refusal(alley.at_once(_register(alley, key, good, seconds=-600))[0]) == (400, "expired")
    alley.town.clock.advance(minutes=7)
    assert refusal(alley.at_once(_register(alley, key, good))[0]) == (410, "code_expired")


@pytest.mark.parametrize("seconds", MINUTES)
def test_a_phone_whose_clock_is_ten_minutes_off_is_told_so(alley: Alley, seconds: int) -> None:
    """The holder's own code, on a wrong clock: refused by name, and it enrols once the clock is right."""
    citizen = alley.stranger()
    citizen.clock = MovableClock(alley.town.clock.now() + timedelta(seconds=seconds))
    citizen.restart()
    with pytest.raises(Refused) as refused:
        citizen.enrol()
    assert refused.value.code is (Code.NOT_YET_VALID if seconds > 0 else Code.EXPIRED)
    citizen.clock = None
    citizen.restart()
    alley.town.clock.advance(seconds=2)
    assert citizen.enrol() == "active"


# --- the phone's requests -------------------------------------------------------------------------------------------


def test_a_phones_request_is_good_once_and_for_itself_only(alley: Alley) -> None:
    """Its jti, audience, address, body and time are all signed."""
    citizen = alley.enrolled()
    phone, path = Apart(alley.town, citizen), "/wallet-provider/attestations"
    body = msgspec.json.encode({"client_jwk": Signer.ephemeral().jwk})
    kind = {"Content-Type": "application/json"}

    def send(headers: dict[str, str], content: bytes = body) -> httpx.Response:
        return alley.post(path, {**kind, **headers}, content=content)

    once = phone.device("POST", path, body)
    answers = alley.at_once(*((path, {**kind, **once}, {"content": body}) for _ in range(3)))
    assert codes(answers) == [(200, ""), (400, "invalid_proof"), (400, "invalid_proof")]
    assert refusal(send(once)) == (400, "invalid_proof")
    assert refusal(send(phone.device("POST", path, body, aud="https://elsewhere"))) == (400, "wrong_audience")
    assert refusal(send(phone.device("POST", path + "s", body))) == (400, "invalid_proof")
    assert refusal(send(phone.device("GET", path, body))) == (400, "invalid_proof")
    assert refusal(send(phone.device("POST", path, b"{}"))) == (400, "invalid_proof")
    assert refusal(send(phone.device("POST", path, body, seconds=600))) == (400, "not_yet_valid")
    assert refusal(send(phone.device("POST", path, body, seconds=-600))) == (400, "expired")
    assert refusal(send({})) == (401, "not_signed_in")
    stranger = Signer.ephemeral()
    claims = {"aud": f"{BASE}/wallet-provider", "htm": "POST", "htu": BASE + path, **phone.stamp(),
              "bod": b64u(hashlib.sha256(body).digest())}  # fmt: skip
    unknown = sign_jws(stranger, {"typ": "mapae-device-request+jwt", "jwk": stranger.jwk}, claims)
    assert refusal(send({"Mapae-Device": unknown})) == (403, "unknown_device")


# --- the shop -------------------------------------------------------------------------------------------------------


def test_the_same_presentation_at_once_twice_gives_one_verdict(alley: Alley) -> None:
    """OpenID4VP 1.0 14.2: a nonce belongs to one transaction, and the transaction to one answer."""
    citizen, _ = alley.carded()
    till = alley.town.till()
    citizen.tap.twice = {"/verifier/responses"}
    citizen.show(till.ask("alcohol_tobacco"))
    assert codes(citizen.tap.heard) == [(200, ""), (400, "invalid_request")]
    assert till.verdict() == {"outcome": "accepted"}
    again = alley.again(citizen, citizen.tap.last("/verifier/responses"))
    assert refusal(again) == (400, "invalid_request")
    assert till.verdict() == {"outcome": "accepted"}


def test_a_presentation_sent_to_another_shops_question_changes_nothing(alley: Alley) -> None:
    """Encrypted to the other question's key: it does not open, and the question stays open."""
    citizen, _ = alley.carded()
    first, second = alley.town.till(), alley.town.till()
    citizen.show(first.ask("alcohol_tobacco"))
    sent = citizen.tap.last("/verifier/responses")
    asked = alley.town.call(citizen.wallet.open_request, second.ask("alcohol_tobacco"))
    path = asked.request.way.uri.removeprefix(BASE)
    answer = alley.post(path, {"Content-Type": "application/x-www-form-urlencoded"}, content=sent.body)
    assert refusal(answer) == (400, "invalid_request")
    alley.town.call(citizen.wallet.present, asked)
    assert second.verdict() == {"outcome": "accepted"}


@pytest.mark.parametrize(("changed", "code"), [
    ({"nonce": "another-nonce-of-a-sufficient-length"}, "wrong_nonce"),
    ({"audience": "x509_hash:somebody-else"}, "wrong_audience"),
    ({"seconds": -600}, None), ({"seconds": 600}, None), ({"key": True}, "bad_holder_proof"), ({}, None),
])  # fmt: skip
def test_a_presentation_made_for_another_moment_is_red(alley: Alley, changed: dict[str, Any], code: str | None) -> None:
    """OpenID4VP 1.0 14.2, RFC 9901 7.3: the shop's screen names the holder step; a no-change control is green."""
    citizen, phone = alley.carded()
    till = alley.town.till()
    verdict = _present(alley, citizen, phone, till, dict(changed))
    if not changed:
        assert verdict == {"outcome": "accepted"}
    else:
        assert (verdict["outcome"], verdict["step"]) == ("refused", "holder")
        assert code is None or verdict["code"] == code


def _present(
    alley: Alley, citizen: Listened, phone: Apart, till: Till, changed: dict[str, Any]
) -> dict[str, str]:  # fmt: skip
    asked = alley.town.call(citizen.wallet.open_request, till.ask("alcohol_tobacco", "sd_jwt"))
    request, match = asked.request, asked.options[0][0]
    copy = citizen.wallet.card("resident_card_sd_jwt").copies[0]
    key = Signer.ephemeral() if changed.pop("key", False) else phone.key(copy.key)
    now = alley.town.clock.now() + timedelta(seconds=changed.pop("seconds", 0))
    bound = {"nonce": request.nonce, "audience": request.client_id, **changed}
    shown = SdJwt.parse(copy.raw).disclose(match.paths).bind(key, now=now, **bound)
    payload = encode_json({"vp_token": {match.query: [shown]}, "state": request.state})
    jwe = encrypt(payload, request.key, enc=request.enc)
    path = request.way.uri.removeprefix(BASE)
    assert alley.post(path, {}, data={"response": jwe}).status_code == 200
    return till.verdict()
