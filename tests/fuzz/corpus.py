"""The corpus: a text file a target, a base64 line a case, sorted. Small on purpose: what adds coverage, and every
case that once broke something."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent / "corpus"
LARGEST = 4096  # bytes of one case: a parser's ways are short
MOST = 60  # cases of one target, the shortest that cover its code


def cases(target: str) -> list[bytes]:
    path = HERE / f"{target}.txt"
    if not path.exists():
        return []
    return [base64.b64decode(line, validate=True) for line in path.read_text(encoding="ascii").splitlines()]


def keep(target: str, found: Iterable[bytes]) -> None:
    lines = sorted({base64.b64encode(case).decode() for case in found})
    HERE.mkdir(exist_ok=True)
    (HERE / f"{target}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")


def unpacked(target: str, folder: Path, more: Iterable[bytes] = ()) -> Path:
    """As files, which is how the fuzzer reads them."""
    place = folder / target
    place.mkdir(parents=True, exist_ok=True)
    for at, case in enumerate([*cases(target), *more]):
        (place / f"case-{at}").write_bytes(case)
    return place
