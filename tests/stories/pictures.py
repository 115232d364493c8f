"""Which pictures docs/screens holds. Everything else is looked at by axe only."""

from __future__ import annotations

KEPT = frozenset(f"{name}.png".removesuffix(".png") for name in [])
