"""vectors/checks.json: each step and each code of docs/checking.md in each format, and every attack by its name.

The browser's checker runs the same file (wallet/test/checks.test.ts).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import msgspec
import pytest

from hands import OUR_VECTORS
from mapae.catalog import Offline
from mapae.clock import MovableClock
from mapae.errors import Refused, step
from mapae.formats import dcql, jose, qr
from mapae.formats.status import StatusList, StatusRef
from mapae.trust.entries import Issuer
from mapae.trust.pack.verify import Opened
from mapae.trust.signers import Signer, Signers
from mapae.verifier.check import Asked, ByBrowser, ByRedirect, Format, Item, Tie, check_answer
from mapae.verifier.kit import Ask, AskCode, Pack, Put, Verdict, Wanted, verify
from mapae.verifier.offline import Known
from mapae.verifier.spent import Remembered
from mapae.verifier.standing import StatusLists

ROOT = Path(__file__).resolve().parents[3]
FILE = json.loads((OUR_VECTORS / "checks.json").read_text(encoding="utf-8"))
CASES: list[dict[str, Any]] = [{**case, "input": FILE["usual"] | case["input"]} for case in FILE["cases"]]
FORMATS = {format.value: name for name, format in ((dcql.SD_JWT, Format.SD_JWT), (dcql.MDOC, Format.MDOC))}
FORMATS_BY_NAME = {name: format for format, name in FORMATS.items()}
ISSUERS = [(one, msgspec.convert({"name": {"ko": "x", "en": "x"}, **one}, Issuer)) for one in FILE["pack"]["issuers"]]
LISTS = {uri: StatusList.decode(one["bits"], one["lst"]) for uri, one in FILE["pack"]["lists"].items()}
PURPOSES = {
    one["id"]: Wanted(
        purpose=one["id"], items=msgspec.convert(one["items"], tuple[Item, ...]), vct=one["vct"],
        doctype=one["doctype"], namespace=one["namespace"], risk=one["risk"], by_holder=one["by_holder"],
        offline=msgspec.convert(one["offline"], Offline),
    )
    for one in FILE["pack"]["purposes"]
}  # fmt: skip


@dataclass
class Told:
    """An opened pack, as far as a checker asks it: what the vectors say, `age` seconds ago."""

    as_of: int
    newest: int = 0

    @property
    def trust_list(self) -> Any:
        entered = {
            id(entry): None if raw["signers"] is None else Signers(msgspec.convert(raw["signers"], list[Signer]))
            for raw, entry in ISSUERS
        }
        return SimpleNamespace(issuers=[entry for _, entry in ISSUERS], signers_of=lambda one: entered[id(one)])

    @property
    def statuses(self) -> list[Any]:
        prefixes = [entry.status_prefix for _, entry in ISSUERS]
        return [SimpleNamespace(prefix=one, as_of=self.as_of, lists=LISTS) for one in prefixes]

    def publisher(self, uri: str) -> Any:
        return next((one for one in self.statuses if uri.startswith(one.prefix)), None)

    def list(self, uri: str) -> StatusList | None:
        return LISTS.get(uri)


def moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def written(format: str, presentation: list[Any]) -> str:
    """Texts, `[text, times]` and `[from, length]` of the format's base. An mdoc is in hexadecimal."""
    text = ""
    for part in presentation:
        match part:
            case str():
                text += part
            case [str(run), times]:
                text += run * times
            case [start, length]:
                text += FILE["base"][format][start : start + length]
    return jose.b64u(bytes.fromhex(text)) if format == "mdoc" else text


def tie_of(given: Mapping[str, Any]) -> Tie:
    tie, thumbprint = given["tie"], bytes.fromhex(given["tie"]["thumbprint"])
    if given["by"] == "browser":
        return ByBrowser(tie["origin"], tie["nonce"], thumbprint)
    return ByRedirect(tie["client_id"], tie["nonce"], tie["response_uri"], thumbprint)


def token_of(given: Mapping[str, Any]) -> dict[str, list[str]]:
    token = given.get("token") or {given["format"]: [given["presentation"]]}
    ways = {id: id if id in FILE["base"] else given["format"] for id in token}
    return {id: [written(ways[id], one) for one in all] for id, all in token.items()}


def judged(given: Mapping[str, Any]) -> Verdict:
    """By the one call that everybody uses."""
    wanted, now = PURPOSES[given["purpose"]], moment(given["now"])
    pack = Pack(Known(cast(Opened, Told(given["now"] - given["age"]))), spent=Remembered())
    ask: Ask = wanted
    shown: Any
    if given["by"] == "code":
        shown = qr.Show(
            format=FORMATS[given["format"]], made=given["made"], nonce=bytes.fromhex(given["nonce"]),
            purpose=given["purpose"], presentation=written(given["format"], given["presentation"]),
        )  # fmt: skip
        if given["asked"] is not None:
            ask = AskCode(wanted, qr.Ask.parse(given["asked"]), given["asked_at"])
    else:
        ask = Put(wanted, tie_of(given))
        shown = token_of(given)
    return verify(shown, ask, pack, now=now)


def outcome(given: Mapping[str, Any]) -> Any:
    """The claims; or step and code."""
    if "query" in given:
        return answered(given)
    verdict = judged(given)
    if verdict.outcome == "refused":
        assert not verdict.items
        assert verdict.code is not None
        return verdict.step, verdict.code.value
    return {name: plain(value) for name, value in verdict.items.items()}


def answered(given: Mapping[str, Any]) -> Any:
    """A query of one's own, for what no purpose asks."""
    now = moment(given["now"])
    trusted = Known(cast(Opened, Told(given["now"]))).trusted(PURPOSES[given["purpose"]], now)
    try:
        answer = check_answer(token_of(given), Asked(dcql.parse(given["query"]), tie_of(given)), trusted, now)
    except Refused as refused:
        return refused.step, refused.code.value
    return {str(path[-1]): plain(value) for one in answer.presented for path, value in one.claims.items()}


def plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    return value.isoformat() if isinstance(value, date) else value


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
    "another type", "a member twice", "nested too deeply", "too large", "sd_jwt: none",
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
