"""The whole offline check: the texts of a phone's QR codes to the verdict, against the raw verifies it cannot do
without.

Two of them: the issuer's seal and the holder's proof. On top come base45, unfolding, CBOR, the certificate chain
(looked up: an issuer's signer is the same all day), the status in the pack's list, and the memory of spent codes. The
pack is open already, as it is at a till; reading the picture is a camera's work and not in here.
"""

from __future__ import annotations

import sys

from bench import ROOT
from bench.harness import Effort, Figure, Here, Measured, Raw, in_turn
from mapae.formats import qr
from mapae.formats.dcql import MDOC, SD_JWT
from mapae.trust.pack.verify import open_pack
from mapae.verifier.checking import kit
from mapae.verifier.checking.spent import Remembered

sys.path.append(str(ROOT / "tests"))  # the nation that the tests pack, and their cards

from packed import small
from unit.verifier.checking.test_kit import BAR, WHO, show
from unit.verifier.world import NOW

VERIFIES = 2
QUESTIONS = {"adult or not": BAR, "name and birth date": WHO}


def figures(raw: Raw, effort: Effort) -> list[Figure]:
    nation = small()
    pack = kit.Pack.of(open_pack(nation.pack(), nation.pinned))
    return [
        _figure(raw, effort, pack, format, asked, wanted)
        for format in (SD_JWT, MDOC)
        for asked, wanted in QUESTIONS.items()
    ]


def _figure(raw: Raw, effort: Effort, pack: kit.Pack, format: str, asked: str, wanted: kit.Wanted) -> Figure:
    shown = show(format, wanted)
    texts = shown.frames()

    def once() -> None:
        verdict = kit.verify(texts, wanted, pack, now=NOW, spent=Remembered())
        assert verdict.outcome == "accepted", verdict

    rounds = in_turn(raw.work(verifies=VERIFIES), {"ours": Here(once)}, effort)
    measured = Measured.of(rounds["limit"], rounds["ours"])
    name = "SD-JWT" if format == SD_JWT else "mdoc"
    return Figure(
        "offline", f"QR texts to verdict: {name}, {asked}", measured.ratio, f"{VERIFIES} raw verifies",
        sorted(rounds["limit"])[len(rounds["limit"]) // 2], measured.cost,
        note=f"{len(texts)} codes, {len(qr.fold(shown.encode())):,} bytes folded",
    )  # fmt: skip
