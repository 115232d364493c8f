"""mapae: an open, self-hostable national mobile identity and digital public-service platform.

For who checks cards there is `mapae.verify`; docs/library.md has all of it. Importing this loads nothing yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mapae.verifier.checking.kit import (
        AskCode,
        Pack,
        Put,
        Verdict,
        Wanted,
        ask_code,
        open_pack,
        purpose,
        receipt_of,
        verify,
    )

__version__ = "0.5.0"
__all__ = [
    "AskCode", "Pack", "Put", "Verdict", "Wanted", "__version__", "ask_code", "open_pack", "purpose", "receipt_of",
    "verify",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """PEP 562."""
    if name not in __all__:
        raise AttributeError(f"module 'mapae' has no attribute {name!r}")
    from mapae.verifier.checking import kit

    return getattr(kit, name)
