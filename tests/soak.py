"""What takes long: `.ci/run` runs it before anything lands (MAPAE_SOAK=1), `make test` leaves it out."""

from __future__ import annotations

import os

import pytest

SOAK = bool(os.environ.get("MAPAE_SOAK"))
long = pytest.mark.skipif(not SOAK, reason="long: with MAPAE_SOAK=1, as .ci/run sets it")
KOREAN_TOO = [pytest.param("ko", marks=long), "en"]
"""Languages of a long story: what is special in Korean is looked at by the short ones as well."""
