"""Library calls: verify one presentation, issue one credential, and a batch as the issuer makes it.

The limit of a verification is two raw ECDSA verifications (the issuer's seal and the holder's proof), of an issuance
one raw signature. The peer is `sd-jwt`, the Python library of the SD-JWT working group's authors; it is given the keys,
and checks no certificate chain, dates or status.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from jwcrypto.jwk import JWK  # type: ignore[import-untyped]

from bench.harness import (
    Action,
    Candidate,
    Effort,
    Figure,
    Here,
    Raw,
    Rival,
    Spread,
    in_turn,
    on_two_cores,
    rounds_of,
)
from bench.profile import profile, shares
from bench.rivals import Issuing, Verifying
from mapae.catalog import Country, parse_country
from mapae.clock import SystemDice
from mapae.config import country_tree
from mapae.errors import Refused
from mapae.formats import jose, mdoc, p256, sd_jwt, status, x509
from mapae.formats.x509 import Anchors, Profile, Subject
from mapae.issuer.draft import Life, Place, draft_batch, midnight
from mapae.issuer.lint import lint
from mapae.issuer.metadata import configurations
from mapae.keys import Signer, Ticket
from mapae.registers.portraits import portrait
from mapae.verifier.checking.check import Ask, Format, Issuer, Item, Listed, Shown, Trusted, check, check_many

NOW = datetime.now(UTC).replace(microsecond=0)
TODAY = NOW.replace(hour=0, minute=0, second=0)
VCT, DOCTYPE = "urn:mapae:kr:resident-card:1", "kr.mapae.resident.1"
ISSUER = "https://card.example/issuer"
LIST = f"{ISSUER}/status/list-1"
ITEMS = (Item("name", "text"), Item("birth_date", "date"))
TWELVE: dict[str, str | bool] = {
    "name": "김지수", "name_latin": "KIM JISOO", "birth_date": "2001-03-09", "sex": "female",
    "resident_number": "010309-4234567", "address": "세종특별자치시 도움6로 11, 101동 1001호",
    "document_number": "M-2026-00012345", "issue_date": "2026-03-02", "expiry_date": "2029-03-01",
    "issuing_authority": "세종특별자치시장", "age_over_19": True, "adult_by_year": True,
}  # fmt: skip
_dice = SystemDice()


class Bench:
    """An issuer with its chain, a holder, and a verifier that trusts the issuer."""

    doctype, twelve, name, now = DOCTYPE, TWELVE, TWELVE["name"], NOW

    def __init__(self) -> None:
        self.signer, self.holder = _signer(), _signer()
        ca = _signer()
        start, end = TODAY - timedelta(days=30), TODAY + timedelta(days=300)
        self.anchor = x509.root(Subject("Bench CA"), ca.signer, serial=_serial(), not_before=start, not_after=end)
        self.x5c = (
            x509.leaf(
                Profile.DOCUMENT_SIGNER, Subject("Bench"), self.signer.key, ca=ca.signer, ca_der=self.anchor,
                serial=_serial(), not_before=start, not_after=end,
            ),
        )  # fmt: skip
        self.end = TODAY + timedelta(days=14)
        self.place = status.StatusRef(LIST, 7)
        listed = Listed(status.StatusList.of(2, 2**20, [(7, status.VALID)]), NOW + timedelta(hours=1))
        self.trusted = Trusted(
            (Issuer("bench", Anchors([self.anchor]), frozenset({VCT}), frozenset({DOCTYPE}), f"{ISSUER}/status/"),),
            {LIST: listed},
        )
        self.ask = Ask(
            ITEMS, VCT, DOCTYPE, DOCTYPE, "x509_hash:" + "A" * 43, jose.b64u(_dice.bytes(24)),
            "https://shop.example/responses/1", _dice.bytes(32),
        )  # fmt: skip
        self.header = {"typ": "dc+sd-jwt", "x5c": jose.x5c_header(self.x5c)}
        self.elements = {name: _element(name, value) for name, value in TWELVE.items()}
        self.validity = mdoc.Validity(TODAY, TODAY, self.end)

    # --- issuing ---

    def claims(self) -> dict[str, Any]:
        return {
            "iss": ISSUER, "vct": VCT, "iat": int(TODAY.timestamp()),
            "exp": int(self.end.timestamp()), "cnf": {"jwk": self.holder.signer.jwk},
            "status": self.place.claim(),
        }  # fmt: skip

    def issue_sd_jwt(self, leave_out: frozenset[str] = frozenset()) -> str:
        said = {name: value for name, value in self.claims().items() if name not in leave_out}
        claims = said | {name: sd_jwt.Hidden(value) for name, value in TWELVE.items()}
        draft = sd_jwt.draft(self.header, claims, entropy=_dice.bytes)
        return draft.complete(self.signer.signer.sign(draft.signing_input))

    def issue_mdoc(self) -> bytes:
        draft = mdoc.draft(
            DOCTYPE, {DOCTYPE: self.elements}, device_key=self.holder.key, validity=self.validity,
            x5chain=self.x5c, status=self.place, entropy=_dice.bytes,
        )  # fmt: skip
        return draft.complete(self.signer.signer.sign(draft.signing_input))

    # --- verifying ---

    def handover(self) -> dict[str, str]:
        """The transcript's, for a peer that makes it from its parts."""
        return {
            "clientId": self.ask.client_id, "nonce": self.ask.nonce, "responseUri": self.ask.response_uri,
            "jwkThumbprint": jose.b64u(self.ask.key_thumbprint),
        }  # fmt: skip

    def present(self, form: Format, leave_out: frozenset[str] = frozenset()) -> Shown:
        names = [item.name for item in ITEMS]
        if form is Format.SD_JWT:
            card = sd_jwt.SdJwt.parse(self.issue_sd_jwt(leave_out)).disclose([[name] for name in names])
            proof = card.bind(self.holder.signer, nonce=self.ask.nonce, audience=self.ask.client_id, now=NOW)
            return Shown(form, proof)
        signed = mdoc.IssuerSigned.parse(self.issue_mdoc()).disclose({DOCTYPE: names})
        response = mdoc.present(signed, session_transcript=self.transcript(), holder=self.holder.signer)
        return Shown(form, jose.b64u(response))

    def transcript(self) -> bytes:
        return mdoc.openid4vp_transcript(
            client_id=self.ask.client_id, nonce=self.ask.nonce, response_uri=self.ask.response_uri,
            thumbprint=self.ask.key_thumbprint,
        )  # fmt: skip

    def checking(self, form: Format, copies: int = 64) -> Action:
        """Each call checks another copy: other keys would be other holders, but no answer is ever the same bytes."""
        shown = [self.present(form) for _ in range(copies)]
        turn = iter(range(10**9))

        def run() -> None:
            claims = check(shown[next(turn) % copies], self.ask, self.trusted, NOW).claims
            if claims["name"] != TWELVE["name"]:
                raise AssertionError("the check let something else through")

        return run

    def checking_many(self, form: Format, size: int, copies: int = 64) -> Action:
        """The same, so many presentations at a time."""
        shown = [(self.present(form), self.ask) for _ in range(copies)]
        turn = iter(range(10**9))

        def run() -> None:
            at = next(turn) * size % copies
            for outcome in check_many(shown[at : at + size], self.trusted, NOW):
                if isinstance(outcome, Refused) or outcome.claims["name"] != TWELVE["name"]:
                    raise AssertionError("the check let something else through, or refuses")

        return run


@dataclass(frozen=True)
class _Party:
    signer: Signer
    key: jose.PublicKey
    peer: JWK


def _signer() -> _Party:
    peer = JWK.generate(kty="EC", crv="P-256")
    key = peer.get_op_key("sign")
    return _Party(Signer(key), jose.PublicKey.from_crypto(key.public_key()), peer)


def _serial() -> int:
    return x509.serial_number(_dice.bytes(16))


def _element(name: str, value: str | bool) -> Any:
    return date.fromisoformat(value) if isinstance(value, str) and name.endswith("_date") else value


# --- a batch, as the issuer makes it ----------------------------------------------------------------------------------


def batches(country: Country, bench: Bench) -> dict[str, Callable[[], list[str]]]:
    """Draft, lint and sign ten copies of the whole resident card with its portrait, per configuration."""
    return {id: _batch(country, bench, id) for id in ("resident_card_sd_jwt", "resident_card_mdoc")}


def _batch(country: Country, bench: Bench, id: str) -> Callable[[], list[str]]:
    configuration = configurations(country)[id]
    today = country.today(NOW)
    values: dict[str, Any] = bench.elements | {
        "login_id": "A" * 32,
        "portrait": portrait("bench", age=25, sex="female"), "issuing_country": country.code, "nationality": "KOR",
        "issue_date": today, "expiry_date": today.replace(year=today.year + 3, day=1),
    }  # fmt: skip
    values = {claim.name: values[claim.name] for claim in configuration.document.claims}
    life = Life(midnight(country, today), midnight(country, today + timedelta(days=14)))
    keys = [_signer().key for _ in range(country.issuance.batch_size)]

    def run() -> list[str]:
        places = [Place(_dice.token(16), key, status.StatusRef(LIST, _dice.below(2**20))) for key in keys]
        draft = draft_batch(configuration, values, life, places, issuer=ISSUER, x5c=bench.x5c, entropy=_dice.bytes)
        lint(draft, country, issuer=ISSUER, now=NOW)
        signer = bench.signer.signer
        return [copy.complete(signer.sign_once(Ticket(copy.ticket), copy.signing_input)) for copy in draft.copies]

    return run


# --- the figures ------------------------------------------------------------------------------------------------------

AWSLC = ("awslc", "")
LANES = ("cryptography", "crypto_mb")


@dataclass(frozen=True)
class Row:
    """One hot path: its limit, ours, the ratio to reach; the peers, and how many times as fast ours is to be."""

    name: str
    against: str
    limit: Action
    ours: Action
    note: str
    target: float | None = None
    rivals: tuple[tuple[str, Candidate, float | None], ...] = ()
    engine: tuple[str, str] = ("cryptography", "")
    group: str = "library"

    def measured(self, effort: Effort) -> Figure:
        ours = Here(self.ours, self.engine)
        candidates: dict[str, Candidate] = {"ours": ours, **{name: rival for name, rival, _ in self.rivals}}
        try:
            one = in_turn(self.limit, candidates, effort)
            two = on_two_cores(self.limit, candidates, effort) if effort.cores > 1 else {}
        finally:
            for _, rival, _ in self.rivals:
                rival.close()
        ratio = rounds_of(one["limit"], one["ours"])
        parts = shares(profile(lambda: ours.cpu(1), effort.times), raw=min(ratio.middle, 1.0))
        return Figure(
            self.group, self.name, ratio, self.against, statistics.median(one["limit"]), statistics.median(one["ours"]),
            note=self.note, parts=parts if self.engine == ("cryptography", "") else (),
            two=_spread(two, "ours"), target=self.target,
            peers=tuple(
                Rival(name, rounds_of(one["limit"], one[name]), rounds_of(one[name], one["ours"]),
                      _spread(two, name), wanted)
                for name, _, wanted in self.rivals
            ),
        )  # fmt: skip


def _spread(costs: dict[str, list[float]], name: str) -> Spread | None:
    return rounds_of(costs["limit"], costs[name]) if costs else None


def figures(raw: Raw, effort: Effort) -> list[Figure]:
    bench = Bench()
    return [row().measured(part) for row, part in rows(raw, bench, effort)]


def rows(raw: Raw, bench: Bench, effort: Effort) -> list[tuple[Callable[[], Row], Effort]]:
    """Made one after the other, so that no peer's process idles beside another's measurement."""
    fewer = Effort(rounds=effort.rounds, times=max(1, effort.times // 15))
    country = parse_country(country_tree("kr"))
    made: list[tuple[Callable[[], Row], Effort]] = [
        (lambda: _verify_sd_jwt(raw, bench), effort),
        (lambda: _issue_sd_jwt(raw, bench), effort),
        (lambda: _verify_mdoc(raw, bench), effort),
        (lambda: _issue_mdoc(raw, bench), effort),
        (lambda: _with_awslc(raw, bench, Format.SD_JWT), effort),
        (lambda: _with_awslc(raw, bench, Format.MDOC), effort),
    ]
    if lanes_there():
        eighth = Effort(rounds=effort.rounds, times=max(1, effort.times // 8))
        made += [(lambda form=form: _in_eights(raw, bench, form), eighth) for form in Format]  # type: ignore[misc]
    size = country.issuance.batch_size
    for id, action in batches(country, bench).items():
        name = f"draft, lint and sign a batch, {'SD-JWT VC' if 'sd_jwt' in id else 'mdoc'}"
        row = Row(name, f"{size} raw signs", raw.work(signs=size), action, "the whole card: 15 items with portrait")
        made.append((lambda row=row: row, fewer))  # type: ignore[misc]
    return made


def _verify_sd_jwt(raw: Raw, bench: Bench) -> Row:
    peers = Verifying(bench, Format.SD_JWT)
    return Row(
        "SD-JWT VC verify", "2 raw verifies", raw.work(verifies=2), bench.checking(Format.SD_JWT),
        "verifier.check, all six steps, 2 of 12 claims shown, key binding", 0.70,
        (("sd-jwt", peers.sd_jwt(), 2.5), ("sd-jwt-js", peers.sd_jwt_js(), 2.8)),
    )  # fmt: skip


def _issue_sd_jwt(raw: Raw, bench: Bench) -> Row:
    peers = Issuing(bench)
    return Row(
        "SD-JWT VC issue", "1 raw sign", raw.work(signs=1), bench.issue_sd_jwt, "12 claims, each on its own", 0.45,
        (("sd-jwt", peers.sd_jwt(), 4.5), ("sd-jwt-js", peers.sd_jwt_js(), None)),
    )  # fmt: skip


def _verify_mdoc(raw: Raw, bench: Bench) -> Row:
    peers = Verifying(bench, Format.MDOC)
    return Row(
        "mdoc verify", "2 raw verifies", raw.work(verifies=2), bench.checking(Format.MDOC),
        "verifier.check, all six steps, 2 of 12 elements shown, device signature", 0.70,
        (("@owf/mdoc", peers.owf(), 7), ("@auth0/mdl", peers.auth0(), 8), ("pymdoccbor", peers.pymdoccbor(), 11)),
    )  # fmt: skip


def _issue_mdoc(raw: Raw, bench: Bench) -> Row:
    peers = Issuing(bench)
    return Row(
        "mdoc issue", "1 raw sign", raw.work(signs=1), bench.issue_mdoc, "12 elements", 0.37,
        (("@owf/mdoc", peers.owf(), 10), ("@auth0/mdl", peers.auth0(), 10), ("pymdoccbor", peers.pymdoccbor(), 10)),
    )  # fmt: skip


def lanes_there() -> bool:
    """Whether the batch engine is installed: `make lanes` does that, under Intel's licence."""
    try:
        p256.use(*LANES)
    except Refused:
        return False
    p256.use()
    return True


def _in_eights(raw: Raw, bench: Bench, form: Format) -> Row:
    return Row(
        f"{'SD-JWT VC' if form is Format.SD_JWT else 'mdoc'} verify, 8 together, crypto_mb", "16 raw OpenSSL verifies",
        raw.work(verifies=16), bench.checking_many(form, 8), 'verifier.check.check_many, batch_engine = "crypto_mb"',
        1.8, engine=LANES,
    )  # fmt: skip


def _with_awslc(raw: Raw, bench: Bench, form: Format) -> Row:
    return Row(
        f"{'SD-JWT VC' if form is Format.SD_JWT else 'mdoc'} verify with AWS-LC", "2 raw OpenSSL verifies",
        raw.work(verifies=2), bench.checking(form), 'the same check, engine = "awslc"', 0.95, engine=AWSLC,
    )  # fmt: skip
