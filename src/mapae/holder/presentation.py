"""Showing a card: OpenID4VP 1.0 with direct_post.jwt or through the Digital Credentials API, HAIP 1.0.

Promises: what leaves is what the holder saw and agreed to, encrypted to whoever asked; a copy is marked as used, on
disk, before it leaves, so it leaves once. Trusts: `request.py` for who asks. Keeps: the history. Refuses: to answer a
question no card fits, and to show a copy a second time. A verifier that is known and asks wrongly is told (section
8.5); one that is not known learns nothing.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, assert_never
from urllib.parse import urlencode

from mapae.errors import Code, Refused
from mapae.formats.dcql import MDOC
from mapae.formats.jose import Jws, PublicKey, Signing, b64u, encode_json, unb64u
from mapae.formats.jwe import encrypt
from mapae.formats.mdoc import IssuerSigned, openid4vp_dc_api_transcript, openid4vp_transcript, present
from mapae.formats.sd_jwt import SdJwt

from . import browser, request, unsigned
from .choose import Candidate, Match, Matches, Option, accepts, answers, matches, within
from .client import FORM
from .pocket import Pocket
from .received import candidate
from .request import PREFIXES, TYPE, Authentic, Browser, DirectPost, Link, Request, Unsigned, read_link
from .sealing import ENCS
from .store import Card, Copy, Shown, Standing
from .transaction import Payment
from .trusted import LOGIN_ID, Trust, by_language
from .wire import Reply, Wire, must_be_safe

ACCEPT: Final = f"application/{TYPE}"
MAX_URI: Final = 4096


@dataclass(frozen=True, slots=True)
class Asked:
    """A checked request and the ways to answer it: what the consent screen shows."""

    request: Request
    matches: Matches
    options: tuple[Option, ...]
    reusable: frozenset[str]  # cards of which there is one copy, so that showing it twice can be noticed

    @property
    def who(self) -> dict[str, str]:
        return dict(self.request.party.name)

    @property
    def standing(self) -> Standing:
        """How far whoever asks is known: `unknown` must be told to the holder, who decides."""
        return self.request.party.standing

    @property
    def known_at(self) -> int | None:
        """When the list that names whoever asks was signed, where none in date can be had; must be told as well."""
        return self.request.party.known_at

    @property
    def registered(self) -> bool:
        """Whether the purpose is one on the country's list. Strangers may ask for anything, without saying why."""
        return self.request.purpose is not None and self.standing == "listed"

    @property
    def anyone(self) -> bool:
        """Whoever asks is not registered and need not be: all it can learn is a yes or a no. Must be told."""
        return self.request.purpose is not None and self.standing == "unknown"

    @property
    def purpose(self) -> dict[str, str]:
        return by_language(self.request.purpose.name) if self.request.purpose is not None else {}

    @property
    def why(self) -> dict[str, str]:
        return by_language(self.request.purpose.why) if self.request.purpose is not None else {}

    @property
    def retention(self) -> dict[str, str]:
        return by_language(self.request.purpose.retention) if self.request.purpose is not None else {}

    @property
    def items(self) -> list[str]:
        """The claims the preferred answer discloses, those that its issuer left open for everybody among them."""
        return items_of(self.options[0]) if self.options else []

    @property
    def payments(self) -> tuple[Payment, ...]:
        """What the answer authorizes besides (section 8.4). Must be on the same screen."""
        return tuple(one.payment for one in self.request.transactions)


class Presentation:
    def __init__(self, pocket: Pocket, wire: Wire, trust: Trust, home: str | None = None) -> None:
        """`home`: the address of the holder's own country, where its log-in bridge is."""
        self._home = home
        self._pocket = pocket
        self._wire = wire
        self._trust = trust
        self._candidates: dict[str, tuple[str, Candidate]] = {}

    async def open(self, text: str) -> Asked:
        """Fetch and check the request behind a QR text. Nothing about the holder is sent."""
        link = read_link(text)
        if isinstance(link, Unsigned):
            return self._asked(unsigned.open_request(link, await self._trust.purposes()))
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
        view = await self._trust.for_showing()
        asked = request.authenticate(reply.body, link, nonce, view, self._pocket.now())
        try:
            return self._asked(request.read(asked))
        except Refused as refused:
            await self._complain(asked, refused)
            raise

    async def open_relayed(self, raw: bytes, nonce: str) -> Asked:
        """Check a request that came over a relay. `nonce` is that of the code it must have been signed for: there is no
        link that says who asks, so the request says it itself, and its certificate proves it."""
        made = await self._proven(raw, nonce)
        assert isinstance(made.way, DirectPost)  # `read` makes no other
        return self._asked(replace(made, way=replace(made.way, relayed=True)))

    async def open_proven(self, raw: bytes) -> Asked:
        """Check a request that other messages carry as their proof (`family.py`). Its answer goes where those say."""
        made = await self._proven(raw, None)
        self._only_the_bridge(made, carried=True)
        return self._asked(made)

    async def _proven(self, raw: bytes, nonce: str | None) -> Request:
        client = Jws.parse(raw, typ=TYPE).claims().get("client_id")
        link = Link(client if isinstance(client, str) else "", "", False)
        view = await self._trust.for_showing()
        return request.read(request.authenticate(raw, link, nonce, view, self._pocket.now()))

    async def open_browser(self, protocol: str, data: Mapping[str, Any], origin: str) -> Asked:
        """Check what the Digital Credentials API handed over. `origin` is the platform's word for who asks."""
        view = await self._trust.for_showing()
        return self._asked(browser.open_request(protocol, data, origin, view, self._pocket.now()))

    async def answer(self, asked: Asked, option: Option | None = None) -> Shown:
        """Show one copy of each chosen card. Used copies and a line of history are on disk before anything leaves."""
        match asked.request.way:
            case DirectPost(uri, _):
                shown, fields = self._prepare(asked, option)
                return await self._deliver(shown, uri, fields)
            case Browser():
                raise Refused(Code.UNSUPPORTED, "this answer goes back through the browser")
            case _:
                assert_never(asked.request.way)

    def answer_browser(self, asked: Asked, option: Option | None = None) -> tuple[Shown, dict[str, Any]]:
        """The same for the Digital Credentials API: the object that goes back through it (appendix A.4)."""
        if not isinstance(asked.request.way, Browser):
            raise Refused(Code.UNSUPPORTED, "this answer does not go through a browser")
        shown, fields = self._prepare(asked, option)
        shown.outcome = "sent"
        self._pocket.save()
        return shown, fields

    async def answer_through(
        self, asked: Asked, send: Callable[[Mapping[str, Any]], Awaitable[None]], option: Option | None = None
    ) -> Shown:
        """The same where other messages carry the answer: `send` gives its fields away."""
        shown, fields = self._prepare(asked, option)
        try:
            await send(fields)
        except Refused as refused:
            shown.outcome = "unknown" if refused.code is Code.UNAVAILABLE else "failed"
            self._pocket.save()
            raise
        shown.outcome = "sent"
        self._pocket.save()
        return shown

    def note_refusal(self, asked: Asked) -> Shown:
        """The holder says no, and somebody else says so."""
        shown = self._note(asked, (), "refused")
        self._pocket.save()
        return shown

    async def refuse(self, asked: Asked) -> Shown:
        """The holder says no (section 8.5). No card is touched."""
        shown = self.note_refusal(asked)
        if isinstance(asked.request.way, DirectPost):
            fields = _error("access_denied", asked.request.state)
            if asked.request.way.relayed and asked.request.key is not None:
                fields = {"response": encrypt(encode_json(fields), asked.request.key, enc=asked.request.enc)}
            await self._post(asked.request.way.uri, fields)
        return shown

    def settle(self) -> None:
        """After a restart: whether an answer under way arrived, nobody knows. Its copies stay used."""
        changed = False
        for shown in self._pocket.state.history:
            if shown.outcome == "sending":
                shown.outcome, changed = "unknown", True
        if changed:
            self._pocket.save()

    # --- what fits ---

    def _asked(self, made: Request) -> Asked:
        """A card without a copy left is still offered, so that the holder hears it must be renewed; but last. One that
        tells everybody more than the purpose covers is not; raises Refused(OVER_ASKING) where there is no other."""
        self._only_the_bridge(made)
        cards, at = self._pocket.state.cards, self._pocket.at()
        spent = {card.id for card in cards.values() if not usable(card, at)}
        there = sorted((card for card in cards.values() if card.copies), key=lambda card: card.id in spent)
        every = matches(made.query, [self._candidate(card) for card in there])
        found = every if made.purpose is None else within(every, made.purpose.items)
        if answers(made.query, every) and not answers(made.query, found):
            raise Refused(Code.OVER_ASKING, "the card tells more to everybody than this purpose allows", step="purpose")
        options = sorted(answers(made.query, found), key=lambda option: any(match.card in spent for match in option))
        reusable = frozenset(card.id for card in cards.values() if card.reusable)
        return Asked(made, found, tuple(options), reusable)

    def _only_the_bridge(self, made: Request, *, carried: bool = False) -> None:
        """The log-in number goes to the bridge of our own country and to nobody else, whatever they have registered: a
        site that had it could compare notes with every other one. One plain segment, for `..` and `%2f` lead from that
        address to another door of the same country, which may be anybody's mailbox. Raises Refused(OVER_ASKING)."""
        way = made.way
        there = re.escape(f"{self._home}/verifier/responses/") + "[A-Za-z0-9_-]+"
        bridge = way.origin == self._home if isinstance(way, Browser) else bool(re.fullmatch(there, way.uri))
        if (carried or not bridge) and any(LOGIN_ID in query.names for query in made.query.queries):
            raise Refused(Code.OVER_ASKING, "only the country's log-in asks for this number", step="purpose")

    def _candidate(self, card: Card) -> Candidate:
        """Read once for each batch: all copies say the same."""
        first = card.copies[0].id
        known = self._candidates.get(card.id)
        if known is None or known[0] != first:
            known = self._candidates[card.id] = (first, candidate(card))
        return known[1]

    # --- the answer ---

    def _prepare(self, asked: Asked, option: Option | None) -> tuple[Shown, dict[str, Any]]:
        """The fields of the answer; what they cost is on disk before they are made."""
        if not asked.options:
            raise Refused(Code.NOT_WHAT_WAS_ASKED, "no card fits what is asked")
        chosen = option if option is not None else asked.options[0]
        if not accepts(asked.request.query, asked.matches, chosen):
            raise Refused(Code.NOT_WHAT_WAS_ASKED, "that is not an answer to this request")
        made, at = asked.request, self._pocket.at()
        authorized = _authorized(made, chosen)
        copies = {id: self._unused(id) for id in dict.fromkeys(match.card for match in chosen)}
        for copy in copies.values():
            copy.used = at
        shown = self._note(asked, chosen, "sending")
        self._pocket.save()
        token: dict[str, list[str]] = {}
        for place, match in enumerate(chosen):
            presentation = self._present(made, match, copies[match.card], authorized.get(place, ()))
            token.setdefault(match.query, []).append(presentation)
        payload: dict[str, Any] = {"vp_token": token}
        if made.state is not None:
            payload["state"] = made.state
        if made.key is None:
            return shown, payload
        return shown, {"response": encrypt(encode_json(payload), made.key, enc=made.enc)}

    def _unused(self, card_id: str) -> Copy:
        card = self._pocket.state.cards.get(card_id)
        at = self._pocket.at()
        for copy in card.copies if card is not None else []:
            if copy.expires > at and (not copy.used or (card is not None and card.reusable)):
                return copy
        raise Refused(Code.EXPIRED, "no unused copy of this card is left; it must be renewed first")

    def _present(self, made: Request, match: Match, copy: Copy, transactions: Sequence[str]) -> str:
        key = self._pocket.keys.signer(copy.key) if copy.key else None
        if match.format == MDOC:
            return self._mdoc(made, match, copy, key)
        disclosed = SdJwt.parse(copy.raw).disclose(match.paths)
        if key is None:  # section 5.4: whoever asks said that it takes a card without a proof
            return disclosed.encode()
        return disclosed.bind(
            key, nonce=made.nonce, audience=made.audience, now=self._pocket.now(), transaction_data=transactions
        )

    def _mdoc(self, made: Request, match: Match, copy: Copy, key: Signing | None) -> str:
        """HAIP 1.0 5.3.1: a DeviceResponse of its own for each document."""
        if key is None:
            raise Refused(Code.BAD_HOLDER_PROOF, "an mdoc is shown with its key only")
        wanted: dict[str, list[str]] = {}
        for space, element in match.paths:
            wanted.setdefault(str(space), []).append(str(element))
        # Appendix B.2.6: the transcript binds the key the answer is encrypted to.
        thumbprint = None if made.key is None else PublicKey.from_jwk(made.key).thumbprint_raw
        match made.way:
            case DirectPost(uri, _):
                transcript = openid4vp_transcript(
                    client_id=made.client_id, nonce=made.nonce, response_uri=uri, thumbprint=thumbprint
                )
            case Browser(origin):
                transcript = openid4vp_dc_api_transcript(origin=origin, nonce=made.nonce, thumbprint=thumbprint)
            case _:
                assert_never(made.way)
        signed = IssuerSigned.parse(unb64u(copy.raw)).disclose(wanted)
        return b64u(present(signed, session_transcript=transcript, holder=key))

    def _note(self, asked: Asked, chosen: Sequence[Match], outcome: Any) -> Shown:
        party, purpose = asked.request.party, asked.request.purpose
        payments = [f"{one.amount} {one.currency} {one.payee}" for one in asked.payments]
        shown = Shown(
            self._pocket.dice.token(8), self._pocket.at(), party.id, dict(party.name),
            "" if purpose is None else purpose.id, asked.purpose, items_of(chosen), [match.card for match in chosen],
            outcome, standing=party.standing, payments=payments if chosen else [],
        )  # fmt: skip
        self._pocket.state.history.append(shown)
        return shown

    # --- over our own connection ---

    async def _deliver(self, shown: Shown, uri: str, fields: Mapping[str, str]) -> Shown:
        try:
            answer = (await self._post(uri, fields)).json()
        except Refused as refused:
            shown.outcome = "unknown" if refused.code is Code.UNAVAILABLE else "failed"
            self._pocket.save()
            raise
        shown.outcome, shown.redirect_uri = "sent", _way_back(answer.get("redirect_uri"))
        self._pocket.save()
        return shown

    async def _complain(self, asked: Authentic, refused: Refused) -> None:
        """Section 8.5: somebody we know asked in a way we cannot answer. Says nothing about the holder's cards."""
        if asked.party.standing == "unknown":
            return  # section 15.9: whom nobody vouches for learns nothing before the holder has seen who asks
        try:
            uri = request.response_uri(asked)
        except Refused:
            return  # it left no address
        state = asked.claims.get("state")
        try:
            await self._post(uri, _error(_error_code(refused), state if isinstance(state, str) else None))
        except Refused:
            return  # the holder is told why her wallet refuses; that it could not be delivered changes nothing

    async def _post(self, uri: str, fields: Mapping[str, str]) -> Reply:
        body = urlencode(fields).encode()
        return await self._wire.post(uri, body, FORM, {"Accept": "application/json"}, limit=65536)


def _authorized(made: Request, chosen: Option) -> dict[int, list[str]]:
    """Section 5.1: each transaction is authorized by one of the credentials it names, and only by one."""
    authorized: dict[int, list[str]] = {}
    for transaction in made.transactions:
        for place, match in enumerate(chosen):
            if match.query in transaction.credential_ids:
                authorized.setdefault(place, []).append(transaction.raw)
                break
        else:
            raise Refused(Code.INVALID_TRANSACTION_DATA, "no chosen card can authorize the transaction")
    return authorized


def _way_back(uri: Any) -> str | None:
    """Section 8.2: where the person's browser goes next. Nothing that would run, read a file or leave TLS."""
    if not isinstance(uri, str) or len(uri) > MAX_URI:
        return None
    try:
        must_be_safe(uri.partition("#")[0])  # the fresh value may stand in the fragment
    except Refused:
        return None
    return uri


def _error(code: str, state: str | None) -> dict[str, str]:
    return {"error": code} | ({} if state is None else {"state": state})


def _error_code(refused: Refused) -> str:
    if refused.step == "formats":
        return "vp_formats_not_supported"
    if refused.code is Code.INVALID_TRANSACTION_DATA:
        return "invalid_transaction_data"
    return "access_denied" if refused.code is Code.OVER_ASKING else "invalid_request"


def items_of(option: Sequence[Match]) -> list[str]:
    """The claims an answer tells, each once: those that were asked for, and those that go along."""
    names = [str(path[1 if match.format == MDOC else 0]) for match in option for path in match.paths]
    return list(dict.fromkeys([*names, *(name for match in option for name in match.open)]))


def usable(card: Card, at: int) -> int:
    """How many times this card can still be shown before it is renewed."""
    return sum(1 for copy in card.copies if (card.reusable or not copy.used) and copy.expires > at)


METADATA: Final = {
    "response_types_supported": ["vp_token"],
    "response_modes_supported": ["direct_post.jwt"],
    "client_id_prefixes_supported": [prefix.removesuffix(":") for prefix in PREFIXES],
    "request_object_signing_alg_values_supported": ["ES256"],
    "authorization_encryption_alg_values_supported": ["ECDH-ES"],
    "authorization_encryption_enc_values_supported": list(ENCS),
    "vp_formats_supported": {
        "dc+sd-jwt": {"sd-jwt_alg_values": ["ES256"], "kb-jwt_alg_values": ["ES256"]},
        "mso_mdoc": {"issuerauth_alg_values": [-7, -9], "deviceauth_alg_values": [-7, -9]},
    },
}
