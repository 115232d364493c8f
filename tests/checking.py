"""vectors/checks.json as Python's checker reads it: what it knows, and how a case reaches it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from hands import OUR_VECTORS
from mapae.catalog import Offline
from mapae.errors import Refused
from mapae.formats import dcql, jose, qr
from mapae.formats.status import StatusList
from mapae.trust.entries import Issuer
from mapae.trust.pack.verify import Opened
from mapae.trust.signers import Signer, Signers
from mapae.verifier.checking.check import Asked, ByBrowser, ByRedirect, Format, Item, Tie, check_answer
from mapae.verifier.checking.kit import Ask, AskCode, Pack, Put, Verdict, Wanted, verify
from mapae.verifier.checking.offline import Known
from mapae.verifier.checking.spent import Remembered

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
        shown = given.get("show") or qr.Show(
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
