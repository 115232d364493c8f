"""A reader of ISO/IEC 18013-5: the phone shows a QR code, and the rest goes over whatever link both have.

    reading = Reading(text_of_the_code, urandom(48))          # or Reading(..., ISO), for phones of anywhere
    link = await radio.meet(bluetooth, reading.engagement)                        # or any other `Link`
    response = await reading.ask(link, [Want("org.iso.18013.5.1.mDL", "org.iso.18013.5.1", ("age_over_18",))])
    answer = check_answer({"mdoc": [response]}, reading.asked(want), trusted, now, policy)      # docs/checking.md

Promises: transport-neutral: it needs whole messages sent and received, nothing else; one reading is one session, with
keys of its own, and asks once; what the device says is encrypted to us and tied to this session. Trusts: nobody;
`check_answer` decides. Keeps: nothing. Refuses: another cipher suite, a message that does not open, a device that ends
the session instead of answering.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from msgspec import Struct

from mapae.errors import Code, Refused, step
from mapae.formats import dcql, mdoc, proximity
from mapae.formats.cose import ES256_ONLY, Algorithms
from mapae.formats.jose import PublicKey, Signing, b64u, unb64u
from mapae.formats.proximity import DeviceEngagement, EphemeralKey, Session, SessionData
from mapae.verifier.checking.check import Asked, ByProximity

QUERY: Final = "mdoc"  # the id of the one query
PATIENCE: Final = 60.0  # seconds for the holder to look at the question and agree


class Link(Protocol):
    async def send(self, message: bytes) -> None: ...

    async def receive(self, patience: float) -> bytes: ...

    async def close(self) -> None: ...


class Want(Struct, frozen=True):
    """Elements of one document. `keep`: whether they are to be retained, which the holder is told."""

    doctype: str
    namespace: str
    elements: tuple[str, ...]
    keep: bool = False


class Access(Struct, frozen=True):
    """Who the reader is (9.1.4): its key and its certificates, leaf first."""

    signer: Signing
    x5chain: tuple[bytes, ...]


class Reading:
    """`text` is what the QR code holds (`mdoc:...`), `seed` 48 or more random bytes. `algorithms`: `curves.ISO` also
    takes phones whose session keys are on another curve than P-256 (Table 22), of cipher suite 1 all the same. Raises
    Refused(MALFORMED, UNSUPPORTED, TOO_LARGE)."""

    def __init__(self, text: str, seed: bytes, algorithms: Algorithms = ES256_ONLY) -> None:
        self.engagement = DeviceEngagement.parse(proximity.from_uri(text), algorithms)
        # 9.1.1.4: the reader's key is on the curve of the device's.
        device = self.engagement.key
        self._key = EphemeralKey(seed) if isinstance(device, PublicKey) else device.companion(seed)
        self.transcript = mdoc.qr_transcript(engagement=self.engagement.raw, reader_key=self._key.cose)
        self._asked = False

    async def ask(
        self, link: Link, wants: Sequence[Want], access: Access | None = None, patience: float = PATIENCE
    ) -> str:  # fmt: skip
        """The DeviceResponse, in base64url. The session has ended then, on both sides.

        Raises Refused(TRANSPORT_LOST) when the device went away, ACCESS_DENIED when it ended the session, MALFORMED.
        """
        if self._asked:
            raise Refused(Code.SESSION_SPENT, "this reading has asked already")
        self._asked = True
        try:
            session = Session.of_reader(self._key, self.engagement.key, self.transcript)
            await link.send(proximity.establishment(self._key.cose, session.seal(self._request(wants, access))))
            response, ended = await self._hear(link, session, patience)
            if not ended:
                await _told(link, proximity.TERMINATION)
        finally:
            with suppress(Refused):  # the answer is here, or there is a better reason
                await link.close()
        return b64u(response)

    async def _hear(self, link: Link, session: Session, patience: float) -> tuple[bytes, bool]:
        """The answer, and whether the device has ended the session with it. One that we cannot read or open is told so
        (9.1.1.4, Table 20)."""
        raw, status = await link.receive(patience), proximity.DECODING_ERROR
        try:
            said = SessionData.parse(raw)
            if said.data is not None:
                status = proximity.ENCRYPTION_ERROR
                return session.open(said.data), said.status is not None
        except Refused:
            await _told(link, status)
            raise
        # A status alone ends the session.
        raise Refused(Code.ACCESS_DENIED, f"the device ended the session with status {said.status}")

    def asked(self, want: Want) -> Asked:
        """What an answer to `want` is checked against."""
        query = dcql.parse({"credentials": [{
            "id": QUERY, "format": dcql.MDOC, "meta": {"doctype_value": want.doctype},
            "claims": [{"path": [want.namespace, name]} for name in want.elements],
        }]})  # fmt: skip
        return Asked(query, ByProximity(self.transcript, self._key))

    def _request(self, wants: Sequence[Want], access: Access | None) -> bytes:
        return mdoc.device_request([self._document(want, access) for want in wants])

    def _document(self, want: Want, access: Access | None) -> bytes:
        items = mdoc.items_request(want.doctype, {want.namespace: dict.fromkeys(want.elements, want.keep)})
        if access is None:
            return mdoc.doc_request(items, session_transcript=self.transcript)
        return mdoc.doc_request(items, session_transcript=self.transcript, reader=access.signer, x5chain=access.x5chain)


# --- ages -------------------------------------------------------------------------------------------------------------

_AGE: Final = re.compile(r"age_over_([0-9]{2})")


def nearest(want: Want, response: str, algorithms: Algorithms) -> Want:
    """ISO/IEC 18013-5 7.2.5: asked for an age it has no answer for, a device answers for the nearest. The question as
    it was answered; whether that is an answer `must_say` judges, once it is known who says so."""
    try:
        document = mdoc.DeviceResponse.parse(unb64u(response), algorithms=algorithms).one()
    except Refused:
        return want  # the numbered steps say why
    shown = document.issuer_signed.names.get(want.namespace, ())
    missing = [name for name in want.elements if name not in shown and _AGE.fullmatch(name)]
    others = [name for name in shown if name not in want.elements and _AGE.fullmatch(name)]
    if not missing or not others:
        return want
    elements = (*(name for name in want.elements if name not in missing), *others)
    return Want(want.doctype, want.namespace, elements, want.keep)


def must_say(asked: Want, said: Mapping[str, Any]) -> None:
    """Each age that was asked for follows from one that was said, and none was said that says nothing about it.
    Raises Refused(NOT_WHAT_WAS_ASKED)."""
    missing = [name for name in asked.elements if name not in said]
    others = [name for name in said if name not in asked.elements]
    follows = {(name, other) for name in missing for other in others if _follows(name, other, said[other])}
    if {name for name, _ in follows} != set(missing) or {other for _, other in follows} != set(others):
        with step("request"):
            raise Refused(Code.NOT_WHAT_WAS_ASKED, "the age that was shown says nothing about the one asked for")


def _follows(asked: str, said: str, value: Any) -> bool:
    """Who is over an older age is over this one; who is not over a younger one is not."""
    here, there = _AGE.fullmatch(asked), _AGE.fullmatch(said)
    if here is None or there is None or type(value) is not bool:
        return False
    return int(there[1]) >= int(here[1]) if value else int(there[1]) <= int(here[1])


async def _told(link: Link, status: int) -> None:
    """The device may have gone already: that takes nothing from what it said before."""
    with suppress(Refused):
        await link.send(proximity.session_data(status=status))
