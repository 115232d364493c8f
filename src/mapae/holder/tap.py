"""The wallet's side of a tap: wish for a card, hand on the link, follow, and say yes.

Promises: the key the card's tokens will be bound to is made first and named in the wish. Trusts: the issuer of its own
country for how far the chip is. Keeps: nothing; whoever holds a `TapBegun` may go on with it. Refuses: answers of
another shape.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mapae.errors import Code, Refused

from .dpop import ClientHeaders
from .wire import Wire


@dataclass(frozen=True, slots=True)
class TapBegun:
    """`link` goes to whoever has a card reader; `code` is shown here and there, to compare."""

    session: str
    link: str
    code: str
    dpop_key: str


@dataclass(frozen=True, slots=True)
class TapSaid:
    """How a tap stands. `reason` of a failed one is a code."""

    state: str
    reason: str
    step: str
    offer: str
    needs: tuple[str, ...]


class Tapping:
    """`headers` makes the wallet's attestation headers, fresh at each call."""

    def __init__(self, wire: Wire, issuer: str, headers: Callable[[], Awaitable[ClientHeaders | None]]) -> None:
        self._wire, self._issuer, self._headers = wire, issuer, headers

    async def open(self, dpop_key: str, dpop_jkt: str, document: str = "") -> TapBegun:
        said = await self._ask("", {"dpop_jkt": dpop_jkt, "document": document})
        return TapBegun(_text(said, "session"), _text(said, "link"), _text(said, "code"), dpop_key)

    async def state(self, session: str) -> TapSaid:
        return _said(await self._ask(f"/{session}/state", {}))

    async def confirm(self, session: str) -> TapSaid:
        return _said(await self._ask(f"/{session}/confirm", {}))

    async def cancel(self, session: str) -> TapSaid:
        return _said(await self._ask(f"/{session}/cancel", {}))

    async def _ask(self, what: str, message: Mapping[str, Any]) -> dict[str, Any]:
        made = await self._headers()
        proof = {} if made is None else made(None)
        return (await self._wire.post_json(f"{self._issuer}/tap/sessions{what}", message, proof)).json()


def _said(answer: Mapping[str, Any]) -> TapSaid:
    needs = answer.get("needs")
    if not isinstance(needs, list) or not all(isinstance(one, str) for one in needs):
        raise Refused(Code.MALFORMED, "needs is a list of names")
    reason, step, offer = (str(answer.get(name) or "") for name in ("reason", "step", "offer"))
    return TapSaid(_text(answer, "state"), reason, step, offer, tuple(needs))


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    if not isinstance(value, str) or not value:
        raise Refused(Code.MALFORMED, f"{name} is missing")
    return value
