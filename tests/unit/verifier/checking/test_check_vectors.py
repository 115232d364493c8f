"""vectors/checks.json: each step and each code of docs/checking.md in each format, and every attack by its name.

The browser's checker runs the same file (wallet/test/checks.test.ts).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from checking import CASES, FORMATS, FORMATS_BY_NAME, PURPOSES, Told, moment, outcome, written
from hands import OUR_VECTORS
from mapae.clock import MovableClock
from mapae.errors import Refused, step
from mapae.formats.status import StatusRef
from mapae.trust.pack.verify import Opened
from mapae.verifier.checking.offline import Known
from mapae.verifier.checking.standing import StatusLists

ROOT = Path(__file__).resolve().parents[4]


async def fetched(given: Mapping[str, Any]) -> Any:
    """What a status list that arrives says of one place."""
    served = httpx.MockTransport(lambda _: httpx.Response(200, text=written("", given["presentation"])))
    known = Known(cast(Opened, Told(given["now"])))
    [issuer] = [one for one in known.trusted(PURPOSES["adult"], moment(given["now"])).issuers if one.id == "them"]
    async with httpx.AsyncClient(transport=served) as http:
        try:
            with step("standing"):
                listed = await StatusLists(http, MovableClock(moment(given["now"]))).listed(
                    StatusRef(given["uri"], given["place"]), issuer
                )
        except Refused as refused:
            return refused.step, refused.code.value
    return listed[given["uri"]].list.read(given["place"])


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
async def test_a_presentation_is_taken_or_refused_at_its_step(case: dict[str, Any]) -> None:
    said, given = case.get("refused"), case["input"]
    found = await fetched(given) if given["by"] == "list" else outcome(given)
    assert found == ((said["step"], said["code"]) if said is not None else case["expected"])


# --- that nothing of the list is missing --------------------------------------------------------------------------

READ_BEFORE = "an mdoc's security object is read as a whole in step 1"
EXCEPTIONS = {
    ("seal", "unsupported", "mdoc"): READ_BEFORE,
    ("seal", "too_large", "mdoc"): READ_BEFORE,
    ("holder", "malformed", "mdoc"): READ_BEFORE,
    ("dates", "malformed", "mdoc"): READ_BEFORE,
    ("standing", "malformed", "mdoc"): READ_BEFORE,
    ("holder", "wrong_audience", "mdoc"): "nonce, audience and address are one hash: bad_holder_proof",
    ("return", "wrong_browser", "sd_jwt"): "of a browser and no presentation: test_same_device.py",
    ("return", "wrong_browser", "mdoc"): "of a browser and no presentation: test_same_device.py",
}
ROW = re.compile(r"\| [1-6 ]?\s*\| `(\w+)` \|.*\| ([^|]+) \|")
CODE_ROW = re.compile(r"\| `(\w+)` \| ([^|]+) \| [^|]+ \|")


def promised() -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Step and code: of the numbered list, and of what codes add to it."""
    page = (ROOT / "docs" / "checking.md").read_text(encoding="utf-8")
    before, _, codes = page.partition("\n## Codes: ")
    listed = {(step, code) for step, said in ROW.findall(before) for code in re.findall(r"`([a-z_]+)`", said)}
    added = {(step, code) for step, said in CODE_ROW.findall(codes) for code in re.findall(r"`([a-z_]+)`", said)}
    return listed, added


def shown() -> set[tuple[str, str, str]]:
    """Step, code and format of every case that is refused; of codes as a camera reads them (vectors/qr.json) too."""
    found = {
        (case["refused"]["step"], case["refused"]["code"], case["input"]["format"])
        for case in CASES
        if "refused" in case
    }
    for case in json.loads((OUR_VECTORS / "qr.json").read_text(encoding="utf-8"))["cases"]:
        if "refused" in case and "show" in case["input"]:
            step, code = case["refused"]["step"], case["refused"]["code"]
            # Before it is read a code has no format.
            name = FORMATS_BY_NAME.get(case["name"].partition(":")[0])
            found |= {(step, code, format) for format in FORMATS if name in (None, format)}
    return found


def test_each_code_of_the_numbered_list_has_a_presentation_in_each_format() -> None:
    listed, added = promised()
    assert len({step for step, _ in listed}) == 7 and len(listed) > 25 and len(added) > 9
    wanted = {(step, code, format) for step, code in listed | added for format in FORMATS}
    there = shown()
    assert wanted - there == EXCEPTIONS.keys()


def test_no_presentation_gets_a_code_the_list_does_not_name() -> None:
    listed, added = promised()
    assert {(step, code) for step, code, _ in shown()} <= listed | added


ATTACKS = (
    "photographed", "replayed", "relayed", "over-disclosed", "under-disclosed", "a claim nobody asked for",
    "another type", "a member twice", "nested too deeply", "too large", "too many disclosures", "sd_jwt: none",
    "HS256 with the issuer's public key", "RS256",
    "ES384", "crit", "alg twice", "its anchor inside", "self-signed", "for readers", "certificate is over",
    "certificate begins later", "name-constrained", "path too long", "an authority as signer", "in the wrong order",
    "twice the same", "the signer of another issuer", "key binding stripped", "key binding of another presentation",
    "a digest twice", "a decoy's digest", "other digests in the security object", "elements signed by the device alone",
    "docType of the document is not the one signed", "a place outside the list", "list: signed by another key",
    "list: over", "list: of another address", "list: that is a bomb",
)  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_each_attack_we_know_is_there_and_refused(attack: str) -> None:
    named = [case for case in CASES if attack in case["name"]]
    assert named and all("refused" in case for case in named)
