"""Answering the Korean message family: a code or a push holds an M200, the profile is fetched, the VP is given.

Promises: what the profile asks is believed only as far as its proof goes: the signed request object of whoever asks,
checked as any other; the answer is encrypted as any other, and goes to the host of the code that was read. Trusts:
`presentation.py` for who asks. Keeps: the history. Refuses: a profile without a proof, one whose nonce or client is
not its proof's, a host without TLS or of another server than the proof's, a CI (no card here has one).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from mapae.errors import Code, Refused
from mapae.formats import mip
from mapae.formats.mip import INDIRECT, M200

from .choose import Option
from .presentation import Asked, Presentation
from .store import Shown
from .wire import Wire, must_be_safe

PIN: Final = frozenset({"pin"})


@dataclass(frozen=True, slots=True)
class FamilyAsked:
    """Who asks for what, and how its transaction goes on. `host` is empty where a proxy carries everything."""

    asked: Asked
    trxcode: str
    nonce: str
    host: str
    mode: str


class Family:
    def __init__(self, wire: Wire, presentation: Presentation) -> None:
        self._wire, self._presentation = wire, presentation

    async def open(self, text: str) -> FamilyAsked:
        """Of an M200: the profile it holds, or the one its host gives (M310)."""
        said = M200.parse(text)
        if said.ci:
            raise Refused(Code.UNSUPPORTED, "no card here has a CI")
        profile = said.profile
        if profile is None:
            profile = (await self._ask(said.host, "profile", mip.m310(said.trxcode))).get("profile")
        return await self.read(said.trxcode, profile, said.host, said.mode)

    async def read(self, trxcode: str, profile: Any, host: str = "", mode: str = mip.PROXY) -> FamilyAsked:
        if type(profile) is not str:
            raise Refused(Code.MALFORMED, "there is no profile")
        whole = mip.decode(profile)
        inner, proof = whole.get("profile"), whole.get("proof")
        if type(inner) is not dict or type(proof) is not dict or type(proof.get("signatureValue")) is not str:
            raise Refused(Code.BAD_SIGNATURE, "the profile has no proof")
        asked = await self._presentation.open_proven(proof["signatureValue"].encode())
        if inner.get("nonce") != asked.request.nonce:
            raise Refused(Code.WRONG_NONCE, "the profile's nonce is not its proof's")
        if whole.get("id") != asked.request.client_id:
            raise Refused(Code.BAD_SIGNATURE, "the profile is of another client than its proof")
        if host and not _same_server(host, asked.request.way):
            raise Refused(Code.INVALID_REQUEST, "the code leads to another server than the proof", step="answer")
        return FamilyAsked(asked, trxcode, asked.request.nonce, host, mode)

    async def answer(self, of: FamilyAsked, option: Option | None = None) -> Shown:
        """Directly: M400 to the host."""
        if not of.host or of.mode == INDIRECT:
            raise Refused(Code.UNSUPPORTED, "this answer does not go to a host")

        async def send(fields: Mapping[str, Any]) -> None:
            await self._ask(of.host, "vp", mip.m400(of.trxcode, vp(of, fields)))

        return await self._presentation.answer_through(of.asked, send, option)

    async def carry(self, of: FamilyAsked, option: Option | None = None) -> tuple[Shown, dict[str, Any]]:
        """The VP for whoever carries it: an app that asked (indirect), a proxy."""
        found: list[dict[str, Any]] = []

        async def keep(fields: Mapping[str, Any]) -> None:
            found.append(vp(of, fields))

        shown = await self._presentation.answer_through(of.asked, keep, option)
        return shown, found[0]

    async def refuse(self, of: FamilyAsked) -> Shown:
        """M900 20901: the holder says no."""
        shown = self._presentation.note_refusal(of.asked)
        if of.host:
            await self._ask(of.host, "error", mip.m900(of.trxcode, mip.CANCELLED, "cancel by user"))
        return shown

    async def _ask(self, host: str, what: str, message: Mapping[str, Any]) -> dict[str, Any]:
        reply = await self._wire.post_json(
            f"{must_be_safe(host).rstrip('/')}/mip/{what}", {"data": mip.encode(message)}
        )
        said = reply.json()
        data = mip.decode(said["data"]) if type(said.get("data")) is str else {}
        if said.get("result") is not True:
            words = "".join(c for c in str(data.get("errmsg", ""))[:120] if c.isprintable())
            raise Refused(Code.INVALID_REQUEST, f"{data.get('errcode')}: {words}")
        return data


def _same_server(host: str, way: Any) -> bool:
    """Who asks signed where the answer goes: a code by somebody else leads it nowhere else."""
    there, signed = urlsplit(must_be_safe(host)), urlsplit(way.uri)
    return (there.scheme, there.netloc) == (signed.scheme, signed.netloc)


def vp(of: FamilyAsked, fields: Mapping[str, Any]) -> dict[str, Any]:
    response = fields.get("response")
    if type(response) is not str:  # a request over these messages always has a key
        raise Refused(Code.UNSUPPORTED, "the answer would not be encrypted")
    return mip.Vp(of.nonce, response.encode(), PIN).encode()
