"""The whole offline check: the texts of a phone's QR codes to the verdict, against the raw verifies it cannot do
without, beside libraries of others that verify the same presentation.

Two of them: the issuer's seal and the holder's proof. On top come base45, unfolding, CBOR, the certificate chain
(looked up: an issuer's signer is the same all day), the status in the pack's list, and the memory of spent codes. The
pack is open already, as it is at a till; reading the picture is a camera's work and not in here. The peers are handed
what our check finds in the codes, for none of them reads codes, packs or status lists.
"""

from __future__ import annotations

import sys
from datetime import timedelta

from bench import ROOT
from bench.harness import Action, Candidate, Effort, Figure, Raw
from bench.library import DOCTYPE, NOW, TODAY, VCT, Bench, Row
from bench.rivals import PRESENTATIONS, Verifying
from mapae.formats import jose, mdoc, qr, sd_jwt, status
from mapae.formats.dcql import MDOC, SD_JWT
from mapae.trust.pack.verify import open_pack
from mapae.verifier.checking import kit
from mapae.verifier.checking.check import Ask, Format, Shown
from mapae.verifier.checking.spent import Remembered

sys.path.append(str(ROOT / "tests"))  # the nation that the tests pack

from packed import small
from unit.verifier.world import LIST, Authority, country

NONCE = b"the phone's own!"
MADE = int(NOW.timestamp())
AGAINST = "2 raw verifies"
ADULT, WHO = "alcohol_tobacco", "name_birth_date"
FORMATS = {Format.SD_JWT: ("SD-JWT VC", SD_JWT), Format.MDOC: ("mdoc", MDOC)}


class Till(Bench):
    """A till with the pack of a nation, and a phone that shows it codes unasked. Peers take it for any verifier."""

    def __init__(self) -> None:
        super().__init__()
        start, end = TODAY - timedelta(days=30), TODAY + timedelta(days=300)
        authority = Authority("Bench", start, end, signer=self.signer.signer)
        self.anchor, self.x5c = authority.root, (authority.leaf,)
        self.header = {"typ": "dc+sd-jwt", "x5c": jose.x5c_header(self.x5c)}
        self.place = status.StatusRef(LIST, 7)
        nation = small(now=NOW - timedelta(minutes=5), authority=authority)
        self.pack = kit.Pack.of(open_pack(nation.pack().encode(), nation.pinned))
        self.wanted = {name: kit.Wanted.of(country(), name) for name in (ADULT, WHO)}
        self.ask = Ask(self.wanted[WHO].items, VCT, DOCTYPE, DOCTYPE, qr.OPEN, jose.b64u(NONCE), "", b"")

    def transcript(self) -> bytes:
        return qr.transcript(qr.OPEN, NONCE, MADE)

    def handover(self) -> dict[str, str]:
        return {"name": "MapaeQrHandover", "digest": jose.b64u(self.transcript()[-32:])}

    def present(self, form: Format, leave_out: frozenset[str] = frozenset(), purpose: str = WHO) -> Shown:
        names = [item.name for item in self.wanted[purpose].items]
        if form is Format.SD_JWT:
            card = sd_jwt.SdJwt.parse(self.issue_sd_jwt(leave_out)).disclose([[name] for name in names])
            return Shown(form, card.bind(self.holder.signer, nonce=self.ask.nonce, audience=qr.OPEN, now=NOW))
        signed = mdoc.IssuerSigned.parse(self.issue_mdoc()).disclose({DOCTYPE: names})
        response = mdoc.present(signed, session_transcript=self.transcript(), holder=self.holder.signer)
        return Shown(form, jose.b64u(response))

    def codes(self, form: Format, purpose: str) -> qr.Show:
        text = self.present(form, purpose=purpose).presentation
        return qr.Show(format=FORMATS[form][1], made=MADE, nonce=NONCE, purpose=purpose, presentation=text)

    def verifying(self, shown: list[qr.Show], purpose: str) -> Action:
        """Each call checks another copy, at a checker that has not seen its code."""
        texts, turn, wanted = [show.frames() for show in shown], iter(range(10**9)), self.wanted[purpose]

        def run() -> None:
            verdict = kit.verify(texts[next(turn) % len(texts)], wanted, self.pack, now=NOW, spent=Remembered())
            if verdict.outcome != "accepted":
                raise AssertionError(f"the check refuses: {verdict.detail}")

        return run


def figures(raw: Raw, effort: Effort) -> list[Figure]:
    till = Till()
    return [_row(raw, till, form, purpose).measured(effort) for form in Format for purpose in (WHO, ADULT)]


def _row(raw: Raw, till: Till, form: Format, purpose: str) -> Row:
    shown = [till.codes(form, purpose) for _ in range(PRESENTATIONS)]
    size, asked = len(qr.fold(shown[0].encode())), "name and birth date" if purpose == WHO else "adult or not"
    note = f"{len(shown[0].frames())} codes, {size:,} bytes folded; the peers get the presentation out of them"
    return Row(
        f"QR texts to verdict, {FORMATS[form][0]}, {asked}", AGAINST, raw.work(verifies=2),
        till.verifying(shown, purpose), note if purpose == WHO else note.partition(";")[0], group="offline",
        rivals=_rivals(till, form) if purpose == WHO else (),
    )  # fmt: skip


def _rivals(till: Till, form: Format) -> tuple[tuple[str, Candidate, float | None], ...]:
    peers = Verifying(till, form)
    if form is Format.SD_JWT:
        return (("sd-jwt", peers.sd_jwt(), None), ("sd-jwt-js", peers.sd_jwt_js(), None))
    return (
        ("@owf/mdoc", peers.owf(), None), ("@auth0/mdl", peers.auth0(), None), ("pymdoccbor", peers.pymdoccbor(), None)
    )  # fmt: skip
