"""Where the nodes of the BFT tests come from, and when these run at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .network import programs


@pytest.fixture
def nodes() -> tuple[Path, Path]:
    """kcn and homi."""
    if not os.environ.get("MAPAE_BFT"):
        pytest.skip("takes minutes; type: make test-bft")
    found = programs()
    if found is None:
        pytest.skip("kcn and homi are not here; with Go 1.23 or newer type: make .stamps/bft")
    return found
