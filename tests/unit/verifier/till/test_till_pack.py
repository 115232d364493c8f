"""What the checker page lives on is what the offline pack says, for a browser; and both languages age it alike."""

from __future__ import annotations

import importlib.util
import json
import sys
import zlib
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from hands import OUR_VECTORS
from mapae.errors import Refused
from mapae.formats.jose import b64u
from mapae.formats.status import INVALID, StatusList
from mapae.trust.pack.verify import Opened, open_pack
from mapae.verifier.till import till_pack
from packed import small
from unit.verifier.world import AUTHORITY, DOCTYPE, LIST, STATUS_PREFIX, VCT, country

NATION = small()
OPENED = open_pack(NATION.pack(), NATION.pinned)
LAND = country()


def read(opened: Opened = OPENED) -> dict[str, Any]:
    return json.loads(till_pack.made(opened, LAND)[1])


def _cases() -> Any:
    sys.path.insert(0, str(OUR_VECTORS))
    try:
        spec = importlib.util.spec_from_file_location("till_cases", OUR_VECTORS / "till_cases.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(OUR_VECTORS))


def test_the_tiers_and_lights_of_the_vectors_are_those_of_the_python_checker() -> None:
    """The page's TypeScript runs the same file: wallet/test/checker.test.ts."""
    cases = json.loads((OUR_VECTORS / "till.json").read_text(encoding="utf-8"))["cases"]
    said = _cases().said
    for case in cases:
        try:
            found: Any = said(case["input"])
        except Refused as refused:
            found = refused.code.value
        assert found == (case["refused"]["code"] if "refused" in case else case["expected"]), case["name"]
    assert len(cases) > 60


def test_the_issuers_are_those_of_the_pack_with_their_signers() -> None:
    [issuer] = read()["issuers"]
    assert (issuer["vcts"], issuer["doctypes"], issuer["status_prefix"]) == ([VCT], [DOCTYPE], STATUS_PREFIX)
    signer = next(one for one in issuer["signers"] if one["purpose"] == "document_signer")
    assert signer["x5t#S256"] == b64u(sha256(AUTHORITY.leaf).digest())
    assert (signer["revoked_at"], signer["reason"]) == (None, None)


def test_a_revoked_signer_is_in_it_with_the_reason() -> None:
    nation = small()
    nation.revoke_key(nation.issuer, sha256(AUTHORITY.leaf).digest(), reason=3)
    [issuer] = read(open_pack(nation.pack(), nation.pinned))["issuers"]
    assert "compromised" in [one["reason"] for one in issuer["signers"]]


def test_an_issuer_that_enters_no_signers_is_told_from_one_that_has_none() -> None:
    nation = small(logged=False)
    assert read(open_pack(nation.pack(), nation.pinned))["issuers"][0]["signers"] is None


def test_a_list_comes_by_the_digest_the_pack_names() -> None:
    [publisher] = read()["publishers"]
    lists = {one["uri"]: one for one in publisher["lists"]}
    raw = zlib.decompress(till_pack.folded(OPENED, sha256(_content(LIST)).digest()) or b"")
    assert b64u(sha256(raw).digest()) == lists[LIST]["digest"]
    assert StatusList(lists[LIST]["bits"], raw).read(3) == INVALID
    assert (publisher["as_of"], publisher["late"]) == (OPENED.statuses[0].as_of, False)


def _content(uri: str) -> bytes:
    found = OPENED.list(uri)
    assert found is not None
    return found.packed


@pytest.mark.parametrize("name", ["policy", "registry.checkpoint"])
def test_no_other_part_of_the_pack_is_given_away_as_a_list(name: str) -> None:
    assert till_pack.folded(OPENED, OPENED.pack.manifest.names[name]) is None
    assert till_pack.folded(OPENED, b"") is None


def test_every_purpose_says_who_may_ask_and_what_a_check_needs() -> None:
    purposes = {one["id"]: one for one in read()["purposes"]}
    assert purposes.keys() == LAND.purposes.keys()
    bar = purposes["alcohol_tobacco"]
    assert (bar["vct"], bar["doctype"], bar["namespace"]) == (VCT, DOCTYPE, DOCTYPE)
    assert [(item["name"], item["kind"]) for item in bar["items"]] == [("adult_by_year", "yes_no")]
    assert (bar["risk"], bar["offline"], bar["anyone"]) == ("low", {"full": 24, "marked": 168, "last": 720}, True)
    assert not purposes["name_birth_date"]["anyone"]


def test_the_same_pack_has_the_same_id_and_another_another() -> None:
    nation = small()
    first = till_pack.made(open_pack(nation.pack(), nation.pinned), LAND)
    assert first == till_pack.made(open_pack(nation.pack(), nation.pinned), LAND)
    nation.later(minutes=1)
    nation.set("list-1", 9)
    nation.anchor()
    assert till_pack.made(open_pack(nation.pack(), nation.pinned), LAND)[0] != first[0]


def test_no_person_and_no_shop_is_in_it() -> None:
    parts = {"version", "as_of", "newest", "issuers", "publishers", "purposes", "registry", "epochs"}
    assert set(read()) == parts
    assert msgspec.json.decode(till_pack.made(OPENED, LAND)[1], type=till_pack.TillPack) == till_pack.of(OPENED, LAND)
