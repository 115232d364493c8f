"""Library calls: verify one presentation, issue one credential, and a batch as the issuer makes it.

The limit of a verification is two raw ECDSA verifications (the issuer's seal and the holder's proof), of an issuance
one raw signature. The peer is `sd-jwt`, the Python library of the SD-JWT working group's authors; it is given the keys,
and checks no certificate chain, dates or status.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from jwcrypto.jwk import JWK  # type: ignore[import-untyped]
from sd_jwt.common import SDObj
from sd_jwt.issuer import SDJWTIssuer
from sd_jwt.verifier import SDJWTVerifier

from bench.harness import Action, Effort, Figure, Raw, in_turn
from bench.profile import profile, shares
from mapae.catalog import Country, parse_country
from mapae.clock import SystemDice
from mapae.config import country_tree
from mapae.formats import jose, mdoc, sd_jwt, status, x509
from mapae.formats.x509 import Anchors, Profile, Subject
from mapae.issuer.draft import Life, Place, draft_batch, midnight
from mapae.issuer.lint import lint
from mapae.issuer.metadata import configurations
from mapae.keys import Signer, Ticket
from mapae.registers.portraits import portrait
from mapae.verifier.check import Ask, Format, Issuer, Item, Listed, Shown, Trusted, check

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

    def __init__(self) -> None:
        self.signer, self.holder = _signer(), _signer()
        ca = _signer()
        start, end = TODAY - timedelta(days=30), TODAY + timedelta(days=300)
        anchor = x509.root(Subject("Bench CA"), ca.signer, serial=_serial(), not_before=start, not_after=end)
        self.x5c = (
            x509.leaf(
                Profile.DOCUMENT_SIGNER, Subject("Bench"), self.signer.key, ca=ca.signer, ca_der=anchor,
                serial=_serial(), not_before=start, not_after=end,
            ),
        )  # fmt: skip
        self.place = status.StatusRef(LIST, 7)
        listed = Listed(status.StatusList.of(2, 2**20, [(7, status.VALID)]), NOW + timedelta(hours=1))
        self.trusted = Trusted(
            (Issuer("bench", Anchors([anchor]), frozenset({VCT}), frozenset({DOCTYPE}), f"{ISSUER}/status/"),),
            {LIST: listed},
        )
        self.ask = Ask(
            ITEMS, VCT, DOCTYPE, DOCTYPE, "x509_hash:" + "A" * 43, jose.b64u(_dice.bytes(24)),
            "https://shop.example/responses/1", _dice.bytes(32),
        )  # fmt: skip
        self.header = {"typ": "dc+sd-jwt", "x5c": jose.x5c_header(self.x5c)}
        self.elements = {name: _element(name, value) for name, value in TWELVE.items()}
        self.validity = mdoc.Validity(TODAY, TODAY, TODAY + timedelta(days=14))

    # --- issuing ---

    def claims(self) -> dict[str, Any]:
        return {
            "iss": ISSUER, "vct": VCT, "iat": int(TODAY.timestamp()),
            "exp": int((TODAY + timedelta(days=14)).timestamp()), "cnf": {"jwk": self.holder.signer.jwk},
            "status": self.place.claim(),
        }  # fmt: skip

    def issue_sd_jwt(self) -> str:
        claims = self.claims() | {name: sd_jwt.Hidden(value) for name, value in TWELVE.items()}
        draft = sd_jwt.draft(self.header, claims, entropy=_dice.bytes)
        return draft.complete(self.signer.signer.sign(draft.signing_input))

    def issue_mdoc(self) -> bytes:
        draft = mdoc.draft(
            DOCTYPE, {DOCTYPE: self.elements}, device_key=self.holder.key, validity=self.validity,
            x5chain=self.x5c, status=self.place, entropy=_dice.bytes,
        )  # fmt: skip
        return draft.complete(self.signer.signer.sign(draft.signing_input))

    # --- verifying ---

    def present(self, form: Format) -> Shown:
        names = [item.name for item in ITEMS]
        if form is Format.SD_JWT:
            card = sd_jwt.SdJwt.parse(self.issue_sd_jwt()).disclose([[name] for name in names])
            proof = card.bind(self.holder.signer, nonce=self.ask.nonce, audience=self.ask.client_id, now=NOW)
            return Shown(form, proof)
        transcript = mdoc.openid4vp_transcript(
            client_id=self.ask.client_id, nonce=self.ask.nonce, response_uri=self.ask.response_uri,
            thumbprint=self.ask.key_thumbprint,
        )  # fmt: skip
        signed = mdoc.IssuerSigned.parse(self.issue_mdoc()).disclose({DOCTYPE: names})
        return Shown(form, jose.b64u(mdoc.present(signed, session_transcript=transcript, holder=self.holder.signer)))

    def checking(self, form: Format, copies: int = 64) -> Action:
        """Each call checks another copy: other keys would be other holders, but no answer is ever the same bytes."""
        shown = [self.present(form) for _ in range(copies)]
        turn = iter(range(10**9))

        def run() -> None:
            claims = check(shown[next(turn) % copies], self.ask, self.trusted, NOW).claims
            if claims["name"] != TWELVE["name"]:
                raise AssertionError("the check let something else through")

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


# --- the peer ---------------------------------------------------------------------------------------------------------


def peer_issue(bench: Bench) -> Action:
    def run() -> str:
        claims = bench.claims() | {SDObj(name): value for name, value in TWELVE.items()}
        issued = SDJWTIssuer(claims, bench.signer.peer, sign_alg="ES256", extra_header_parameters=bench.header)
        return str(issued.sd_jwt_issuance)

    return run


def peer_check(bench: Bench) -> Action:
    shown = bench.present(Format.SD_JWT).presentation
    public = JWK.from_json(bench.signer.peer.export_public())

    def run() -> None:
        verifier = SDJWTVerifier(shown, lambda issuer, header: public, bench.ask.client_id, bench.ask.nonce)
        if verifier.get_verified_payload()["name"] != TWELVE["name"]:
            raise AssertionError("the peer let something else through")

    return run


# --- a batch, as the issuer makes it ----------------------------------------------------------------------------------


def batches(country: Country, bench: Bench) -> dict[str, Callable[[], list[str]]]:
    """Draft, lint and sign ten copies of the whole resident card with its portrait, per configuration."""
    return {id: _batch(country, bench, id) for id in ("resident_card_sd_jwt", "resident_card_mdoc")}


def _batch(country: Country, bench: Bench, id: str) -> Callable[[], list[str]]:
    configuration = configurations(country)[id]
    today = country.today(NOW)
    values: dict[str, Any] = bench.elements | {
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


def figures(raw: Raw, effort: Effort) -> list[Figure]:
    bench = Bench()
    return [
        *_verify(raw, bench, effort),
        *_issue(raw, bench, effort),
        *_issue_batches(raw, bench, effort),
    ]


def _figure(
    name: str,
    raw_work: Action,
    against: str,
    action: Action,
    effort: Effort,
    peer: Action | None = None,
    *,
    note: str = "",
) -> Figure:
    candidates = {"ours": action} | ({"sd-jwt": peer} if peer is not None else {})
    limit, measured = in_turn(raw_work, candidates, effort)
    ours, rival = measured["ours"], measured.get("sd-jwt")
    said = ""
    if rival is not None:
        said = f"sd-jwt {rival.ratio.middle:.2f}, ours is {ours.ratio.middle / rival.ratio.middle:.1f}x as fast"
    parts = shares(profile(action, effort.times), raw=min(ours.ratio.middle, 1.0))
    return Figure("library", name, ours.ratio, against, limit, ours.cost, peer=said, note=note, parts=parts)


def _verify(raw: Raw, bench: Bench, effort: Effort) -> list[Figure]:
    limit, against = raw.work(verifies=2), "2 raw verifies"
    return [
        _figure(
            "verify one SD-JWT VC presentation", limit, against, bench.checking(Format.SD_JWT), effort,
            peer_check(bench), note="verifier.check, all six steps, 2 of 12 items shown, key binding",
        ),
        _figure(
            "verify one mdoc DeviceResponse", limit, against, bench.checking(Format.MDOC), effort,
            note="verifier.check, all six steps, 2 of 12 items shown, device signature",
        ),
    ]  # fmt: skip


def _issue(raw: Raw, bench: Bench, effort: Effort) -> list[Figure]:
    limit, against = raw.work(signs=1), "1 raw sign"
    return [
        _figure("issue one SD-JWT VC", limit, against, bench.issue_sd_jwt, effort, peer_issue(bench), note="12 items"),
        _figure("issue one mdoc", limit, against, bench.issue_mdoc, effort, note="12 items"),
    ]


def _issue_batches(raw: Raw, bench: Bench, effort: Effort) -> list[Figure]:
    country = parse_country(country_tree("kr"))
    fewer = Effort(rounds=effort.rounds, times=max(1, effort.times // 15))
    size = country.issuance.batch_size
    return [
        _figure(
            f"draft, lint and sign a batch, {'SD-JWT VC' if 'sd_jwt' in id else 'mdoc'}", raw.work(signs=size),
            f"{size} raw signs", action, fewer, note="the whole card: 15 items with portrait, lint included",
        )
        for id, action in batches(country, bench).items()
    ]  # fmt: skip
