"""How the demo's commands hear the running country: its answer, or its refusal as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpx

from .errors import Code, Refused

HEADERS: Final = {"Content-Type": "application/json"}


@contextmanager
def answering(url: object) -> Iterator[None]:
    """Nobody there, or somebody else, is said so with what to do next."""
    try:
        yield
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError):
        why = f"no demo country answers at {url}: start one with `mapae demo up`, or name it with --url"
        raise Refused(Code.UNAVAILABLE, why) from None


def heard(answer: httpx.Response) -> dict[str, Any]:
    """The JSON it gave. Raises the country's own Refused; ValueError for what is no JSON."""
    said: dict[str, Any] = answer.json()
    if answer.is_success:
        return said
    try:
        code = Code(said.get("error", ""))
    except ValueError:
        code = Code.UNAVAILABLE
    raise Refused(code, str(said.get("detail", "")))
