"""The device's side of ISO/IEC 18013-5: show a QR code, hear a reader's question, answer it once.

    device = Device(urandom(48), [Ble(peripheral=True, central=False, peripheral_uuid=uuid)])
    show device.text as a QR code; link = await radio.serve(bluetooth, service, DEVICE_SERVES)
    heard = await device.hear(link)                       # heard.request: who asks for which elements
    await device.answer(link, heard, [document])          # or `refuse`

Promises: one session a code, one answer a session, encrypted to the reader and tied to the session; a reader that signs
is checked by `heard.must_be_signed` before its name is shown. Trusts: nobody. Keeps: nothing. Refuses: a message that
does not open, a second question.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from mapae.errors import Code, Refused
from mapae.formats import mdoc, proximity
from mapae.formats.jose import PublicKey, Signing
from mapae.formats.mdoc import DeviceRequest, IssuerSigned, MacKey
from mapae.formats.proximity import EphemeralKey, Establishment, Method, Session

PATIENCE: Final = 60.0


class Link(Protocol):
    async def send(self, message: bytes) -> None: ...

    async def receive(self, patience: float) -> bytes: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Heard:
    """A reader's question. `reader`: its ephemeral key."""

    request: DeviceRequest
    transcript: bytes
    reader: PublicKey
    session: Session

    def must_be_signed(self, at: int, key: PublicKey) -> None:
        """That the reader with this key signed the request at this place (9.1.4). Raises Refused(BAD_SIGNATURE)."""
        self.request.requests[at].check_reader(key, self.transcript)


class Device:
    """`seed`: 48 or more random bytes."""

    def __init__(self, seed: bytes, methods: Sequence[Method]) -> None:
        self._key = EphemeralKey(seed)
        self.engagement = proximity.engagement(self._key.public, methods)
        self._met = False

    @property
    def text(self) -> str:
        """What the QR code holds."""
        return proximity.uri(self.engagement)

    async def hear(self, link: Link, patience: float = PATIENCE) -> Heard:
        """The first message. One that does not open is told so (Table 20), and ends it.

        Raises Refused(MALFORMED, UNSUPPORTED, TOO_LARGE, TRANSPORT_LOST, SESSION_SPENT).
        """
        if self._met:
            raise Refused(Code.SESSION_SPENT, "this code has been used")
        self._met = True
        status = proximity.DECODING_ERROR
        try:
            first = Establishment.parse(await link.receive(patience))
            transcript = mdoc.qr_transcript(engagement=self.engagement, reader_key=first.reader_key_raw)
            session = Session.of_device(self._key, first.reader_key, transcript)
            status = proximity.ENCRYPTION_ERROR
            opened = session.open(first.data)
            status = proximity.DECODING_ERROR
            return Heard(DeviceRequest.parse(opened), transcript, first.reader_key, session)
        except Refused as refused:
            with suppress(Refused):  # whoever sent this may have gone; the reason is the first one
                try:
                    if refused.code is not Code.TRANSPORT_LOST:
                        await link.send(proximity.session_data(status=status))
                finally:
                    await link.close()
            raise

    async def answer(
        self, link: Link, heard: Heard, documents: Sequence[tuple[IssuerSigned, Signing | MacKey]]
    ) -> None:
        """Show these, disclosed as far as the holder agreed, and end the session. Raises Refused(TRANSPORT_LOST)."""
        try:
            shown = [mdoc.show(one, session_transcript=heard.transcript, holder=key) for one, key in documents]
            sealed = heard.session.seal(mdoc.respond(shown))
            await link.send(proximity.session_data(sealed, proximity.TERMINATION))
        finally:
            await link.close()

    async def refuse(self, link: Link) -> None:
        """The holder said no: the session ends and nothing is shown (9.1.1.4)."""
        try:
            await link.send(proximity.session_data(status=proximity.TERMINATION))
        finally:
            await link.close()
