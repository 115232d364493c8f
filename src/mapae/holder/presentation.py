"""Showing a card: OpenID4VP 1.0 with direct_post.jwt, HAIP 1.0.

Promises: what leaves is what the holder saw and agreed to, encrypted to whoever asked; a copy is marked as used, on
disk, before it leaves, so it leaves once. Trusts: `request.py` for who asks. Keeps: the history. Refuses: to answer a
question no card fits, and to show a copy a second time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from mapae.errors import Code, Refused
from mapae.formats.jose import PublicKey, b64u, encode_json, unb64u
from mapae.formats.jwe import encrypt
from mapae.formats.mdoc import IssuerSigned, openid4vp_transcript, present
from mapae.formats.sd_jwt import SdJwt

from .choose import Match, Matches, Option, accepts, answers, matches
from .offer import MDOC
from .pocket import Pocket
from .received import candidate
from .request import TYPE, Request, open_request, read_link
from .store import Card, Copy, Shown
from .trusted import TrustSource, by_language
from .wire import Reply, Wire

FORM: Final = "application/x-www-form-urlencoded"
ACCEPT: Final = f"application/{TYPE}"


@dataclass(frozen=True, slots=True)
class Asked:
    """A checked request and the ways to answer it: what the consent screen shows."""

    request: Request
    matches: Matches
    options: tuple[Option, ...]

    @property
    def who(self) -> dict[str, str]:
        return by_language(self.request.party.name)

    @property
    def purpose(self) -> dict[str, str]:
        return by_language(self.request.purpose.name)

    @property
    def why(self) -> dict[str, str]:
        return by_language(self.request.purpose.why)

    @property
    def retention(self) -> dict[str, str]:
        return by_language(self.request.purpose.retention)

    @property
    def items(self) -> list[str]:
        """The claims the preferred answer discloses."""
        return items_of(self.options[0]) if self.options else []


class Presentation:
    def __init__(self, pocket: Pocket, wire: Wire, trust: TrustSource) -> None:
        self._pocket = pocket
        self._wire = wire
        self._trust = trust

    async def open(self, text: str) -> Asked:
        """Fetch and check the request behind a QR text. Nothing about the holder is sent."""
        link = read_link(text)
        nonce = None
        if link.by_post:
            nonce = self._pocket.dice.token(16)
            fields = urlencode({"wallet_metadata": encode_json(METADATA).decode(), "wallet_nonce": nonce})
            reply = await self._wire.post(link.request_uri, fields.encode(), FORM, {"Accept": ACCEPT}, limit=65536)
        else:
            reply = await self._wire.get(link.request_uri, {"Accept": ACCEPT}, limit=65536)
        reply.must_be_ok()
        if reply.kind != ACCEPT:
            raise Refused(Code.UNSUPPORTED, "the request object is of another type")
        request = open_request(reply.body, link, nonce, await self._trust.get(), self._pocket.now())
        candidates = [candidate(card) for card in self._pocket.state.cards.values()]
        found = matches(request.query, candidates)
        return Asked(request, found, answers(request.query, found))

    async def answer(self, asked: Asked, option: Option | None = None) -> Shown:
        """Show one copy of each chosen card. Used copies and a line of history are on disk before anything leaves."""
        if not asked.options:
            raise Refused(Code.NOT_WHAT_WAS_ASKED, "no card fits what is asked")
        chosen = option if option is not None else asked.options[0]
        if not accepts(asked.request.query, asked.matches, chosen):
            raise Refused(Code.NOT_WHAT_WAS_ASKED, "that is not an answer to this request")
        request, at = asked.request, self._pocket.at()
        taken = [(match, self._unused(match.card)) for match in chosen]
        for _, copy in taken:
            copy.used = at
        shown = self._note(asked, chosen, "sending")
        self._pocket.save()
        token: dict[str, list[str]] = {}
        for match, copy in taken:
            token.setdefault(match.query, []).append(self._present(request, match, copy))
        payload: dict[str, Any] = {"vp_token": token}
        if request.state is not None:
            payload["state"] = request.state
        jwe = encrypt(encode_json(payload), request.key, enc=request.enc)
        return await self._deliver(shown, request, {"response": jwe})

    async def refuse(self, asked: Asked) -> Shown:
        """The holder says no (section 8.5). No card is touched."""
        shown = self._note(asked, (), "refused")
        self._pocket.save()
        fields = {"error": "access_denied"}
        if asked.request.state is not None:
            fields["state"] = asked.request.state
        await self._post(asked.request, fields)
        return shown

    def settle(self) -> None:
        """After a restart: whether an answer under way arrived, nobody knows. Its copies stay used."""
        changed = False
        for shown in self._pocket.state.history:
            if shown.outcome == "sending":
                shown.outcome, changed = "unknown", True
        if changed:
            self._pocket.save()

    async def _deliver(self, shown: Shown, request: Request, fields: Mapping[str, str]) -> Shown:
        try:
            reply = await self._post(request, fields)
            answer = reply.json()
        except Refused as refused:
            shown.outcome = "unknown" if refused.code is Code.UNAVAILABLE else "failed"
            self._pocket.save()
            raise
        uri = answer.get("redirect_uri")
        shown.outcome, shown.redirect_uri = "sent", uri if isinstance(uri, str) else None
        self._pocket.save()
        return shown

    async def _post(self, request: Request, fields: Mapping[str, str]) -> Reply:
        body = urlencode(fields).encode()
        return await self._wire.post(request.response_uri, body, FORM, {"Accept": "application/json"}, limit=65536)

    def _note(self, asked: Asked, chosen: Sequence[Match], outcome: Any) -> Shown:
        party, purpose = asked.request.party, asked.request.purpose
        shown = Shown(
            self._pocket.dice.token(8), self._pocket.at(), party.id, by_language(party.name), purpose.id,
            by_language(purpose.name), items_of(chosen), [match.card for match in chosen], outcome,
        )  # fmt: skip
        self._pocket.state.history.append(shown)
        return shown

    def _unused(self, card_id: str) -> Copy:
        card = self._pocket.state.cards.get(card_id)
        at = self._pocket.at()
        for copy in card.copies if card is not None else []:
            if not copy.used and copy.expires > at:
                return copy
        raise Refused(Code.EXPIRED, "no unused copy of this card is left; it must be renewed first")

    def _present(self, request: Request, match: Match, copy: Copy) -> str:
        key = self._pocket.keys.signer(copy.key)
        if match.format == MDOC:
            wanted: dict[str, list[str]] = {}
            for space, element in match.paths:
                wanted.setdefault(str(space), []).append(str(element))
            # Appendix B.2.6.1: the transcript binds the key the answer is encrypted to.
            transcript = openid4vp_transcript(
                client_id=request.client_id, nonce=request.nonce, response_uri=request.response_uri,
                thumbprint=PublicKey.from_jwk(request.key).thumbprint_raw,
            )  # fmt: skip
            signed = IssuerSigned.parse(unb64u(copy.raw)).disclose(wanted)
            return b64u(present(signed, session_transcript=transcript, holder=key))
        disclosed = SdJwt.parse(copy.raw).disclose(match.paths)
        return disclosed.bind(key, nonce=request.nonce, audience=request.client_id, now=self._pocket.now())


def items_of(option: Sequence[Match]) -> list[str]:
    """The claims an answer discloses, each once."""
    names = [str(match.paths[i][1 if match.format == MDOC else 0]) for match in option for i in range(len(match.paths))]
    return list(dict.fromkeys(names))


def usable(card: Card, at: int) -> int:
    """How many times this card can still be shown before it is renewed."""
    return sum(1 for copy in card.copies if not copy.used and copy.expires > at)


METADATA: Final = {
    "response_types_supported": ["vp_token"],
    "response_modes_supported": ["direct_post.jwt"],
    "client_id_prefixes_supported": ["x509_hash"],
    "request_object_signing_alg_values_supported": ["ES256"],
    "authorization_encryption_alg_values_supported": ["ECDH-ES"],
    "authorization_encryption_enc_values_supported": ["A256GCM", "A128GCM"],
    "vp_formats_supported": {
        "dc+sd-jwt": {"sd-jwt_alg_values": ["ES256"], "kb-jwt_alg_values": ["ES256"]},
        "mso_mdoc": {"issuerauth_alg_values": [-7, -9], "deviceauth_alg_values": [-7, -9]},
    },
}
