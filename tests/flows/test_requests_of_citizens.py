"""From the phone's log to the shop's answer, and to whoever watches over the shops: over HTTP, as phones do it."""

from __future__ import annotations

from typing import Any

import pytest

from mapae.errors import Refused
from mapae.formats.jose import b64u, sign_jws, x5c_header
from mapae.trust.complaints import TYPE
from town import BASE, Town

TOKEN = {"Authorization": f"Bearer {b64u(b'token of a phone' * 2)}"}


def test_a_request_reaches_the_shop_and_its_answer_the_phone(town: Town) -> None:
    contact = town.call(town.house.foundation.trust).relying_party("library").contact
    assert contact == f"{BASE}/privacy/library/requests"
    http, at = town.house.foundation.http, int(town.clock.now().timestamp())
    wish: dict[str, Any] = {
        "kind": "erasure", "purpose": "library_card", "items": ["name", "address"], "shown_at": at,
        "words": "지워 주세요 <script>alert(1)</script>",
    }  # fmt: skip
    sent = town.call(lambda: http.post(contact, json=wish, headers=TOKEN))
    assert sent.status_code == 201 and sent.json()["state"] == "received"
    library, bank = town.till("library"), town.till("bank")
    page = library.go("/checker/requests")
    assert "<script>alert" not in page.html and "&lt;script&gt;" in page.html and sent.json()["number"] in page.text
    id = next(tag.attributes["value"] for tag in page.tags if tag.attributes.get("name") == "id")
    assert sent.json()["number"] not in bank.go("/checker/requests").text
    library.do("/checker/requests", id=id, outcome="explained", words="")
    assert library.page is not None and "why" in library.page.text  # an explanation needs its words
    library.do("/checker/requests", id=id, outcome="nothing_kept", words="We keep nothing.")
    said = town.call(lambda: http.get(contact, headers=TOKEN)).json()
    assert (said["state"], said["outcome"], said["reply"]) == ("answered", "nothing_kept", "We keep nothing.")
    other = {"Authorization": f"Bearer {b64u(b'another phone' * 2)}"}
    assert town.call(lambda: http.get(contact, headers=other)).status_code == 404
    assert town.call(lambda: http.get(contact)).status_code == 400
    assert town.call(lambda: http.post(contact, json={**wish, "name": "한지수"}, headers=other)).status_code == 400


def test_over_asking_is_reported_with_the_partys_own_signature(town: Town) -> None:
    f = town.house.foundation
    key = f.signer("verifier", "access-library")
    x5c = f.certificates.usable("access-library", key)
    assert x5c is not None
    query = {"credentials": [{"id": "c", "format": "dc+sd-jwt", "meta": {"vct_values": ["urn:x"]},
                              "claims": [{"path": ["portrait"]}]}]}  # fmt: skip
    claims = {"dcql_query": query, "mapae_purpose": "library_card", "exp": int(town.clock.now().timestamp()) + 60}
    evidence = sign_jws(key, {"typ": TYPE, "x5c": x5c_header(x5c)}, claims)
    told = town.call(lambda: f.http.post(f"{BASE}/trust/complaints", json={"evidence": evidence}))
    assert (told.status_code, told.json()) == (201, {"purpose": "library_card", "items": ["portrait"]})
    who = {"evidence": evidence, "name": "한지수"}
    assert town.call(lambda: f.http.post(f"{BASE}/trust/complaints", json=who)).status_code == 400  # no person goes in


def test_a_phone_learns_which_office_looked_and_nobody_elses(town: Town) -> None:
    jisoo, minjae = town.citizen("jisoo"), town.citizen("minjae")
    assert jisoo.enrol() == minjae.enrol() == "active"
    officer = town.officer(town.office_of(jisoo))
    officer.find(jisoo, "enquiry")
    seen = town.call(jisoo.wallet.looks)
    assert [(one["act"], one["why"]) for one in seen] == [("looked_at", "enquiry"), ("found", "enquiry")]
    name = town.house.country.offices[town.office_of(jisoo)].name
    assert all(one["office"] == {"ko": name.ko, "en": name.en} and set(one) == {"at", "act", "why", "office"}
               for one in seen)  # fmt: skip
    assert town.call(minjae.wallet.looks) == []
    http = town.house.foundation.http
    assert town.call(lambda: http.get(f"{BASE}/issuer/looks")).status_code == 401
    jisoo.report_phone_lost()
    with pytest.raises(Refused):  # whoever found the phone learns nothing
        town.call(jisoo.wallet.looks)
