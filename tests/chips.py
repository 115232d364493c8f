"""A state that signs chips, and what is in one: for tests that need a card's files and somebody who signed them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from hands import Hand
from mapae.clock import SeededDice
from mapae.formats.x509 import Subject
from mapae.issuer.ic_card import infos, lds, pki
from mapae.issuer.ic_card.ec import Pair
from mapae.issuer.ic_card.mrz import Mrz
from mapae.issuer.ic_card.passive import Anchors
from mapae.issuer.ic_card.pki import Periods, Places
from mapae.issuer.ic_card.profile import PROFILE_A
from mapae.issuer.ic_card.sod import hashes, make_sod

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
PLACES = Places("KOR", "https://csca.example.go.kr", "https://csca.example.go.kr/list.crl")


def portrait(width: int = 120, height: int = 152) -> bytes:
    """All grey, but a JPEG (ITU-T T.81), the same everywhere: each block says "as before" and "nothing more"."""

    def segment(marker: int, content: bytes) -> bytes:
        return bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2, "big") + content

    blocks = -(-width // 8) * -(-height // 8)
    word = b"\x01" + bytes(15) + b"\x00"  # one code of one bit, for nought
    frame = b"\x08" + height.to_bytes(2, "big") + width.to_bytes(2, "big") + b"\x01\x01\x11\x00"
    scan = int("0" * 2 * blocks + "1" * (-2 * blocks % 8), 2).to_bytes(-(-2 * blocks // 8), "big")
    return (
        b"\xff\xd8" + segment(0xDB, b"\x00" + b"\x01" * 64) + segment(0xC0, frame)
        + segment(0xC4, b"\x00" + word + b"\x10" + word) + segment(0xDA, b"\x01\x01\x00\x00\x3f\x00") + scan
        + b"\xff\xd9"
    )  # fmt: skip


PORTRAIT = portrait()
MRZ = Mrz.of(
    state="KOR", number="K12345678", birth=date(2001, 3, 9), sex="female", expires=date(2036, 11, 2),
    nationality="KOR", name_latin="Han Jisoo",
)  # fmt: skip
DETAILS = lds.Details("한지수", date(2001, 3, 9), "세종특별자치시 한누리대로 2130")


def groups(pair: Pair, mrz: Mrz = MRZ, details: lds.Details = DETAILS, jpeg: bytes = PORTRAIT) -> dict[int, bytes]:
    return {1: lds.dg1(mrz), 2: lds.dg2(jpeg), 11: details.encode(), 14: infos.dg14(pair.public)}


def chip_key(word: str = "chip") -> Pair:
    return PROFILE_A.curve.pair(SeededDice(word))


@dataclass
class State:
    """A CSCA and one document signer below it."""

    word: str = "kor"
    start: datetime = START
    periods: Periods = field(default_factory=Periods)
    document_types: tuple[str, ...] = ("I",)

    def __post_init__(self) -> None:
        self.authority, self.signer = Hand(f"csca {self.word}"), Hand(f"ds {self.word}")
        self.csca = pki.authority(
            Subject("CSCA", "State", "KR"), self.authority, PLACES, serial=1, start=self.start, periods=self.periods
        )
        self.ds = self.certify(self.signer)

    def certify(self, signer: Hand, *, serial: int = 2, start: datetime | None = None) -> bytes:
        return pki.document_signer(
            Subject("Document Signer", "State", "KR"), signer.key, PLACES, by=self.authority, by_der=self.csca,
            serial=serial, start=start or self.start, document_types=self.document_types, periods=self.periods,
        )  # fmt: skip

    def list(self, *serials: int, at: datetime | None = None) -> bytes:
        at = at or self.start
        return pki.revocation_list(
            self.authority, self.csca, [(serial, at) for serial in serials], number=1, at=at, periods=self.periods
        )

    def anchors(self, *serials: int, at: datetime | None = None) -> Anchors:
        return Anchors([self.csca], [self.list(*serials, at=at)])

    def sod(self, files: dict[int, bytes], at: datetime | None = None) -> bytes:
        return make_sod(hashes(files), at or self.start + timedelta(days=1), self.signer.sign, self.ds)
