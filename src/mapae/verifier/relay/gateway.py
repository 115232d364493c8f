"""The gateway for relying parties that speak the Korean message family: their front ends stay as they are.

What travels are the published messages (`formats/mip.py`); what is asked and shown is ours: the profile's proof is the
signed request object of OpenID4VP 1.0, and `vp.data` of M400 its encrypted answer, which goes through the six steps.

Promises: a transaction has its own code, nonce and question, goes through the published states by compare-and-swap, is
answered once and ends after its life; a relying party sees its own transactions only, and values once. A message that
fails a check changes nothing. Trusts: `Questions`, and its caller for which relying party speaks. Keeps: codes, states
and times for `REMEMBER`. Refuses: a service that is no registered purpose, a VP of another kind, another nonce, a VP
before its profile, a second VP. There is no CI in this country's cards: `ci` is always false.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, assert_never
from zoneinfo import ZoneInfo

from mapae.clock import Clock, Dice
from mapae.db import Db, epoch
from mapae.errors import Code, Refused
from mapae.formats import mip
from mapae.formats.jose import Jws, encode_json
from mapae.formats.mip import DIRECT, INDIRECT, M200, PROXY, Vp, refuse
from mapae.verifier.asking import oid4vp
from mapae.verifier.asking.ask import PLAIN, Manner
from mapae.verifier.asking.questions import REMEMBER, Questions
from mapae.verifier.asking.store import Outcome, Session
from mapae.verifier.relay import gateway_store as store
from mapae.verifier.relay.gateway_store import OVER, State, Trx

LIFE: Final = timedelta(seconds=180)  # of a transaction: a push has to arrive, and a phone to be found
PATH: Final = "/gateway"
MOST_TEXT: Final = 60  # characters of what a front end says about itself
_LONGER: Final = {"svcCode": 64}  # a purpose of one's own has the party's id in its own
QR_MPM, QR_CPM, APP, PUSH = "qrmpm", "qrcpm", "app2app", "push"

# No fault of whoever sent a VP: told as what they are (99999, or an incident).
_OURS: Final = frozenset({Code.UNAVAILABLE, Code.BAD_CONFIG})
# To a named person's phone: name, birth (YYYYMMDD), telno, M200. False: there is nobody of that number.
Push = Callable[[str, str, str, str], Awaitable[bool]]


class Gateway:
    """One object a process; all state is in the database. `services`: a relying party's service code to our purpose;
    one that is not there is the purpose's own id."""

    def __init__(
        self, *, db: Db, clock: Clock, dice: Dice, questions: Questions, services: Mapping[str, str],
        push: Push | None = None,
    ) -> None:  # fmt: skip
        self._db, self._clock, self._dice = db, clock, dice
        self._questions, self._services = questions, dict(services)
        self.push = push
        self.host = f"{questions.base}{PATH}"
        self.proxy = f"{questions.base.replace('http', 'ws', 1)}{PATH}/proxy"

    # --- the relying party's front end --------------------------------------------------------------------------------

    async def scan_me(self, party: str, said: Mapping[str, Any]) -> dict[str, Any]:
        """T510, QR-MPM: what the till shows."""
        mode = _mode(said, DIRECT, PROXY)
        for name in ("svcCode", "branchName", "deviceId"):
            _text(said, name)
        trx = await self._open(party, said, QR_MPM, mode)
        return {**said, "m200Base64": (await self._m200(trx)).encode()}

    async def open_app(self, party: str, said: Mapping[str, Any]) -> dict[str, Any]:
        """T530, app to app: what the relying party's app hands to the wallet."""
        mode = _mode(said, DIRECT, INDIRECT)
        service = _text(said, "svcCode") or ""
        purpose = await self._questions.purpose(party, self._services.get(service, service))
        # These messages bind an answer to no session: whoever hands the code to somebody else's phone would have the
        # answer. At a counter (T510 names branch and device) somebody stands there; here nobody does.
        if purpose is not None and purpose.risk == "high":
            raise refuse("data", "svcCode: a purpose of high risk is asked at a counter, by OpenID Connect or by /v1")
        trx = await self._open(party, said, APP, mode)
        return {**said, "m200Base64": (await self._m200(trx, profile=said.get("includeProfile") is True)).encode()}

    async def push_to(self, party: str, said: Mapping[str, Any]) -> dict[str, Any]:
        """T540: to the phone of a named person."""
        mode = _mode(said, DIRECT)
        telno = _text(said, "telno") or ""
        name, birth = _text(said, "name", needed=False) or "", _text(said, "birth", needed=False) or ""
        service = _text(said, "svcCode") or ""
        purpose = await self._questions.purpose(party, self._services.get(service, service))
        if purpose is not None and purpose.risk == "high":
            # The family has no session and nothing to type: whoever knows a number could act in its holder's name.
            raise refuse("data", "svcCode")
        trx = await self._open(party, said, PUSH, mode)
        m200 = (await self._m200(trx)).encode()
        try:
            if not await self.pushed(party, name, birth, telno, m200):
                raise refuse("receive")
        except Refused:
            await self._cancel(trx, "push")
            raise
        return {**said, "m200Base64": m200}

    async def pushed(self, party: str, name: str, birth: str, telno: str, data: str) -> bool:
        """Hand an M200 of this relying party to the push. The message itself must be one (2.2.2.2: no profile in it).
        Nobody has another party's question sent to a person of his choice."""
        said = M200.parse(data)
        if said.profile is not None:
            raise refuse("data", "profile")
        trx = await store.find(self._db, said.trxcode)
        if trx is None or trx.relying_party != party:
            return False
        try:
            return self.push is not None and await self.push(name, birth, telno, data)
        except Refused:
            raise refuse("insert") from None

    async def to_push(self, data: str) -> Session | None:
        """The question of an M200 that T540 made, while it is open. None: no such thing."""
        trx = await store.find(self._db, M200.parse(data).trxcode)
        if trx is None or trx.interface != PUSH or trx.state in OVER or self._over(trx) or trx.question is None:
            return None
        return await self._questions.of(_asker(trx.trxcode), trx.question)

    async def read_code(self, party: str, said: Mapping[str, Any]) -> str:
        """T520, QR-CPM: the till has read a phone's M120. Its transaction code."""
        code = said.get("m120Base64")
        if type(code) is not str or not code:
            raise refuse("mandatory", "m120Base64")
        shown = mip.M120.parse(code)
        service = _text(said, "svcCode")
        if shown.host != self.proxy:  # somebody else's relay: nothing of ours waits there
            raise refuse("data", "host")
        trx = await store.find(self._db, shown.trxcode)
        if trx is None or trx.interface != QR_CPM:
            raise refuse("trxcode")
        if self._over(trx):
            raise refuse("timeout")
        now = self._clock.now()
        # Claimed before anything is asked: whoever comes second must not touch the question of the first.
        won = trx.state is State.OFFERED and await store.claim(
            self._db, shown.trxcode, party=party, svc_code=service or "", now=epoch(now),
            branch_name=_text(said, "branchName", needed=False), device_id=_text(said, "deviceId", needed=False),
        )  # fmt: skip
        if not won:
            raise refuse("sequence", "the code has been read")
        try:
            asked = await self._ask(party, shown.trxcode, service or "")
        except Refused as refused:
            error = _told(mip.ERRORS["profile"][0], refused.detail)
            await store.end(self._db, shown.trxcode, State.FAILED, self._clock, error=error)
            raise
        await store.ask(
            self._db, shown.trxcode, question=asked.id, nonce=asked.nonce, now=epoch(now), ends_at=epoch(now + LIFE)
        )
        return shown.trxcode

    async def status(self, party: str, trxcode: Any) -> dict[str, Any]:
        """How a transaction stands, as the open sample's `trxsts` says it."""
        trx = await self._own(party, trxcode)
        return {
            "trxcode": trx.trxcode, "svcCode": trx.svc_code, "mode": trx.mode, "deviceId": trx.device_id,
            "branchName": trx.branch_name, "nonce": trx.nonce, "vpVerifyResult": trx.result or "N",
            "trxStsCode": trx.state.value, "profileSendDt": self._said_at(trx.profile_at),
            "imgSendDt": self._said_at(trx.image_at), "vpReceptDt": self._said_at(trx.vp_at), "errorCn": trx.error,
            "regDt": self._said_at(trx.made_at), "udtDt": self._said_at(trx.changed_at),
        }  # fmt: skip

    async def values(self, party: str, trxcode: Any) -> dict[str, Any]:
        """What was shown, once; of a question of yes or no, the answers."""
        trx = await self._own(party, trxcode)
        if trx.state is not State.DONE or trx.question is None:
            raise refuse("sequence", "no VP has been verified")
        session = await self._questions.of(_asker(trx.trxcode), trx.question)
        shown = self._questions.reveal(session)
        await self._questions.erase(_asker(trx.trxcode), trx.question)
        if shown:
            return shown
        purpose = await self._questions.about(session)
        documents = self._questions.country.documents
        # One that ended, and whose items nobody here knows any more, has none to be told again.
        if not purpose.items or any(documents[purpose.document].claim(name).kind != "yes_no" for name in purpose.items):
            raise refuse("sequence", "the values have been read")
        if trx.result != "Y" and len(purpose.items) > 1:  # at least one is: of nobody is more said than is known
            raise refuse("sequence", "the answer is no; to which of the questions, nobody has kept")
        return dict.fromkeys(purpose.items, trx.result == "Y")

    # --- the phone ----------------------------------------------------------------------------------------------------

    async def offer(self) -> str:
        """QR-CPM: a phone asks for a transaction code to show, and waits at the proxy."""
        trx = await self._made(None, None, QR_CPM, PROXY, State.OFFERED, {})
        return trx.trxcode

    async def profile(self, trxcode: str) -> dict[str, Any]:
        """M310: the profile. The same again until a VP has come."""
        trx = await self._live(trxcode)
        if trx.state not in (State.ASKED, State.PROFILE) or trx.question is None:
            raise refuse("sequence")
        try:
            profile = await self._profile(trx)
        except Refused as refused:
            if refused.code is Code.SESSION_SPENT:
                raise refuse("timeout") from None
            raise refuse("profile") from None
        now = epoch(self._clock.now())
        if not await store.move(self._db, trxcode, (State.ASKED, State.PROFILE), State.PROFILE, now):
            raise refuse("sequence")
        return {"trxcode": trxcode, "profile": mip.encode(profile)}

    async def image(self, trxcode: str) -> dict[str, Any]:
        """M320: there is no picture; the trust list names who asks."""
        await self._live(trxcode)
        if not await store.picture(self._db, trxcode, epoch(self._clock.now())):
            raise refuse("sequence")
        return {"trxcode": trxcode}

    async def present(self, trxcode: str, vp: Vp) -> None:
        """M400. Raises Refused with the step that failed; what is no answer to this question changes nothing."""
        trx = await self._live(trxcode)
        if vp.nonce != trx.nonce:  # the very characters
            raise refuse("nonce")
        if trx.state not in (State.PROFILE, State.CHECKING) or trx.question is None:
            raise refuse("sequence")
        await store.move(self._db, trxcode, (State.PROFILE,), State.CHECKING, epoch(self._clock.now()))
        try:
            await self._questions.answer(trx.question, {"response": vp.data.decode("ascii", "replace")})
        except Refused as refused:
            if refused.code is Code.SESSION_SPENT:
                await self._settled(trx)
                raise refuse("sequence") from None
            await store.back_to_profile(self._db, trxcode, epoch(self._clock.now()))
            if refused.code in _OURS:
                raise
            raise refuse("data", "vp.data") from None
        ended = await self._settled(trx)
        if ended.state is State.FAILED:
            raise refuse("data", ended.error or "")

    async def failed(self, trxcode: str, errcode: int, errmsg: str) -> None:
        """M900 from the phone: the person said no, or the app could not. The transaction ends."""
        trx = await self._live(trxcode)
        if trx.state in OVER:
            raise refuse("sequence")
        if trx.question is not None:
            await self._questions.cancel(_asker(trxcode), trx.question)
        await store.end(self._db, trxcode, State.FAILED, self._clock, error=_told(errcode, errmsg))

    async def stands(self, trxcode: str) -> State:
        """For the phone that waits at the proxy."""
        trx = await store.find(self._db, trxcode)
        return State.FAILED if trx is None or self._over(trx) else trx.state

    async def sweep(self) -> None:
        now = epoch(self._clock.now())
        for trx in await store.open_ones(self._db, now):
            await self._settled(trx)
        await store.forget(self._db, epoch(self._clock.surely() - REMEMBER))

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _open(self, party: str, said: Mapping[str, Any], interface: str, mode: str) -> Trx:
        service = _text(said, "svcCode") or ""
        return await self._made(party, service, interface, mode, State.ASKED, said)

    async def _made(
        self, party: str | None, service: str | None, interface: str, mode: str, state: State, said: Mapping[str, Any]
    ) -> Trx:  # fmt: skip
        now = self._clock.now()
        local = now.astimezone(ZoneInfo(self._questions.country.timezone))
        # The sample's form, moment and chance; with 64 bits of chance, for who guesses a code may answer in its place.
        trxcode = f"{local:%Y%m%d%H%M%S}{local.microsecond // 1000:03}{self._dice.bytes(8).hex().upper()}"
        asked = None
        if party is not None and service is not None:
            asked = await self._ask(party, trxcode, service, Manner(pushed=interface == PUSH))
        trx = Trx(
            trxcode, party, service, interface, mode, _text(said, "branchName", needed=False),
            _text(said, "deviceId", needed=False), asked.id if asked else None, asked.nonce if asked else None, state,
            None, None, None, None, None, epoch(now), epoch(now), epoch(now + LIFE),
        )  # fmt: skip
        if not await store.add(self._db, trx, self._clock):
            raise refuse("unknown", "the transaction code is taken")
        return trx

    async def _ask(self, party: str, trxcode: str, service: str, manner: Manner = PLAIN) -> Session:
        """Raises Refused at step `data` for a service this relying party may not ask by."""
        try:
            purpose = self._services.get(service, service)
            id = await self._questions.put(_asker(trxcode), party, purpose, manner=manner, life=LIFE)
        except Refused as refused:
            if refused.code in (Code.NOT_FOUND, Code.OVER_ASKING, Code.UNSUPPORTED):
                raise refuse("data", "svcCode") from None
            raise
        return await self._questions.of(_asker(trxcode), id)

    async def _m200(self, trx: Trx, *, profile: bool = False) -> M200:
        host = self.proxy if trx.mode == PROXY else self.host
        whole = (await self.profile(trx.trxcode))["profile"] if profile else None
        return M200(trx.trxcode, trx.mode, host, whole)

    async def _profile(self, trx: Trx) -> dict[str, Any]:
        """In the published shape. `proof` signs it: the request object, by the relying party's access key."""
        request = await self._questions.request_object(trx.question or "")
        claims = Jws.parse(request, typ=oid4vp.TYP).claims()
        session = await self._questions.of(_asker(trx.trxcode), trx.question or "")
        country = self._questions.country
        purpose = await self._questions.about(session)
        document = country.documents[purpose.document]
        party = self._questions.party(await self._questions.trust(), session.relying_party)
        key = encode_json(claims["client_metadata"]["jwks"]["keys"][0]).decode()
        made = session.opened_at.astimezone(ZoneInfo(country.timezone))
        hours = int((made.utcoffset() or timedelta()).total_seconds()) // 3600
        name = f"{party.name.ko}-{trx.branch_name}" if trx.branch_name else party.name.ko
        return {
            "encoding": "UTF-8", "id": claims["client_id"], "language": country.code,
            "profile": {
                "authType": ["pin"], "callBackUrl": f"{self.host}/mip/vp", "encryptType": mip.AES_256,
                "filter": {
                    "allowIssuerList": [],
                    "requiredAssertionList": [{"id": document.id, "name": document.name.ko, "type": document.id}],
                    "requiredPrivacyList": list(purpose.items),
                },
                "keyType": mip.SECP256R1, "name": name, "nonce": claims["nonce"], "presentType": mip.DID_VP,
                "publicKey": key, "spCode": session.relying_party, "svcCode": trx.svc_code, "type": mip.VERIFY,
            },
            "proof": {
                "created": f"{made:%Y-%m-%dT%H:%M:%S}", "creator": claims["client_id"], "nonce": claims["nonce"],
                "signatureValue": request, "type": oid4vp.TYP,
            },
            "timezone": f"UTC{hours:+d}", "version": "3.0",
        }  # fmt: skip

    async def _live(self, trxcode: str) -> Trx:
        trx = await store.find(self._db, trxcode)
        if trx is None:
            raise refuse("trxcode")
        if trx.state not in OVER and self._over(trx):
            await self._settled(trx)
            raise refuse("timeout")
        return trx

    async def _own(self, party: str, trxcode: Any) -> Trx:
        trx = await store.find(self._db, mip.trxcode(trxcode))
        if trx is None or trx.relying_party != party:
            raise refuse("trxcode")
        return await self._settled(trx)

    async def _settled(self, trx: Trx) -> Trx:
        """What its question says, written down: also after a kill between the answer and the state, and for one that
        was answered at the verifier's own door."""
        if trx.state in OVER:
            return trx
        state, result, error = await self._by_question(trx)
        if state is not None:
            await store.end(self._db, trx.trxcode, state, self._clock, result=result, error=error)
        return await store.find(self._db, trx.trxcode) or trx

    async def _by_question(self, trx: Trx) -> tuple[State | None, str | None, str | None]:
        late = (State.FAILED, None, _told(*mip.ERRORS["timeout"]))
        if trx.question is None:
            return late if self._over(trx) else (None, None, None)
        try:
            session = await self._questions.of(_asker(trx.trxcode), trx.question)
        except Refused:
            return late
        verdict = session.verdict
        if verdict is None:
            return late if self._over(trx) else (None, None, None)
        match verdict.outcome:
            case Outcome.ACCEPTED:
                return State.DONE, "Y", None
            case Outcome.NO:
                return State.DONE, "N", None
            case Outcome.REFUSED:
                return State.FAILED, "N", _told(mip.ERRORS["data"][0], f"{verdict.step}: {verdict.code}")
            case Outcome.DECLINED | Outcome.CANCELLED:
                return State.FAILED, None, _told(mip.CANCELLED, "cancel by user")
            case Outcome.EXPIRED:
                return late
            case _:
                assert_never(verdict.outcome)

    async def _cancel(self, trx: Trx, why: str) -> None:
        await self._questions.cancel(_asker(trx.trxcode), trx.question or "")
        await store.end(self._db, trx.trxcode, State.FAILED, self._clock, error=_told(*mip.ERRORS[why]))

    def _over(self, trx: Trx) -> bool:
        return epoch(self._clock.now()) >= trx.ends_at

    def _said_at(self, epoch: int | None) -> str | None:
        if epoch is None:
            return None
        return f"{datetime.fromtimestamp(epoch, ZoneInfo(self._questions.country.timezone)):%Y-%m-%d %H:%M:%S}"


def _asker(trxcode: str) -> str:
    return f"mip-{trxcode}"


def _mode(said: Mapping[str, Any], *known: str) -> str:
    mode = said.get("mode")
    if mode in (None, ""):
        raise refuse("mandatory", "mode")
    if mode not in known:
        raise refuse("data", "mode")
    return str(mode)


def _text(said: Mapping[str, Any], name: str, *, needed: bool = True) -> str | None:
    value = said.get(name)
    if value in (None, ""):
        if needed:
            raise refuse("mandatory", name)
        return None
    if type(value) is not str or len(value) > _LONGER.get(name, MOST_TEXT) or not value.isprintable():
        raise refuse("data", name)
    return value


def _told(number: int, words: str) -> str:
    """What a stranger's app says is shown to clerks: no more than a line of it."""
    return f"{number} {''.join(c for c in words[:MOST_TEXT] if c.isprintable())}"
