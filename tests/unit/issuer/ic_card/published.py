"""The published worked examples, read where they are: ICAO's and BSI's documents are not ours to carry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mapae.clock import SeededDice
from mapae.issuer.ic_card.ec import Curve

FOLDER = Path(__file__).resolve().parents[5] / "shared" / "vectors-ic"
H = bytes.fromhex


def example(name: str) -> dict[str, Any]:
    path = FOLDER / f"{name}.json"
    if not path.exists():
        pytest.skip("the published worked examples (shared/vectors-ic) are not beside this checkout")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


class Told(SeededDice):
    """Dice that fall as an example says: its secret keys, then its nonce."""

    def __init__(self, *secrets: str, nonce: str = "") -> None:
        super().__init__("told")
        self._secrets = [int(secret, 16) for secret in secrets]
        self._nonce = H(nonce)

    def below(self, limit: int) -> int:
        return self._secrets.pop(0) - 1

    def bytes(self, n: int) -> bytes:
        return self._nonce if self._nonce else super().bytes(n)


def public(curve: Curve, secret: str) -> bytes:
    return curve.g.times(int(secret, 16)).encode()
