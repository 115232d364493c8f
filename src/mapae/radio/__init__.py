"""Bluetooth Low Energy between a reader and a device: a link that carries whole messages, over whatever radio there is.

    async with bluez.radio() as radio:                       # `bleak`: the reader seeks, the device serves
        link = await meet(radio, engagement)
        await link.send(message); answer = await link.receive(30)

Promises: a link carries whole messages in order, each at most `formats.proximity.MAX_MESSAGE`; once the other device
has said its end or gone away, nothing waits for ever. Trusts: nobody: what a message is worth is for the session inside
to say. Keeps: what has come and was not taken, `QUEUE` messages at the most. Refuses: a reader (in the mode where it
serves) that cannot say who it is, an engagement without a way this radio has.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import uuid
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from mapae.errors import Code, Refused
from mapae.formats import ble
from mapae.formats.ble import DEVICE_SERVES, READER_SERVES, Joiner, Mode
from mapae.formats.proximity import Ble, DeviceEngagement

PATIENCE: Final = 20.0  # seconds to find each other
GRACE: Final = 2.0  # seconds the other device has to hear the end
STALL: Final = 10.0  # seconds it has to take one piece: a radio can be kept alive and take nothing, for ever
QUEUE: Final = 4
Heard = Callable[[bytes], None]


class Client(Protocol):
    """A radio's connection to one GATT server. `gone` is called once, when the connection is lost."""

    @property
    def mtu(self) -> int: ...

    async def subscribe(self, characteristic: str, heard: Heard) -> None: ...

    async def read(self, characteristic: str) -> bytes: ...

    async def write(self, characteristic: str, value: bytes) -> None:
        """Without response."""
        ...

    def on_gone(self, gone: Callable[[], None]) -> None: ...

    async def close(self) -> None: ...


class Server(Protocol):
    """A radio that serves one client, once one has come."""

    @property
    def mtu(self) -> int: ...

    def on_written(self, characteristic: str, heard: Heard) -> None: ...

    async def notify(self, characteristic: str, value: bytes) -> None: ...

    def on_gone(self, gone: Callable[[], None]) -> None: ...

    async def close(self) -> None: ...


class Radio(Protocol):
    async def find(self, service: str, patience: float) -> Client:
        """Connect to whoever advertises this service. Raises Refused(TRANSPORT_LOST), UNSUPPORTED where it cannot."""
        ...

    async def serve(self, service: str, mode: Mode, ident: bytes) -> Server:
        """Advertise this service. Raises Refused(UNSUPPORTED) where the radio cannot."""
        ...


class Link:
    """Whole messages over one connection."""

    def __init__(
        self, say_end: Callable[[], Awaitable[None]], hang_up: Callable[[], Awaitable[None]],
        write: Callable[[bytes], Awaitable[None]], mtu: Callable[[], int], *,
        stall: float = STALL, grace: float = GRACE,
    ) -> None:  # fmt: skip
        """`stall`: seconds the other device has to take a piece; `grace`: to hear the end."""
        self._stall, self._grace = stall, grace
        self._say_end, self._hang_up, self._write, self._mtu = say_end, hang_up, write, mtu
        self._joiner = Joiner()
        self._come: asyncio.Queue[bytes | Refused] = asyncio.Queue()
        self._over = False  # nothing more is sent or heard
        self._other_ended = asyncio.Event()

    async def send(self, message: bytes) -> None:
        """Raises Refused(TRANSPORT_LOST)."""
        for piece in ble.pieces(message, self._mtu()):
            if self._over:
                raise _lost()
            try:
                async with asyncio.timeout(self._stall):
                    await self._write(piece)
            except TimeoutError:
                self.gone()
                raise _lost() from None

    async def receive(self, patience: float) -> bytes:
        """The next message. Raises Refused(TRANSPORT_LOST, MALFORMED, TOO_LARGE)."""
        try:
            async with asyncio.timeout(patience):
                found = await self._come.get()
        except TimeoutError:
            raise Refused(Code.TRANSPORT_LOST, "the other device does not answer") from None
        if isinstance(found, Refused):
            self._come.put_nowait(found)  # for whoever asks again
            raise found
        return found

    async def close(self) -> None:
        """Say the end, and hang up once the other device has heard it: what was written may still be on its way."""
        over, self._over = self._over, True
        try:
            if not over:
                with contextlib.suppress(Refused, TimeoutError):  # gone already, or it does not listen
                    async with asyncio.timeout(self._grace):
                        await self._say_end()
                        await self._other_ended.wait()
        finally:
            await _hung_up(self._hang_up, self._grace)

    # --- what the radio says ------------------------------------------------------------------------------------------

    def heard(self, piece: bytes) -> None:
        if self._over:
            return
        try:
            message = self._joiner.add(piece)
        except Refused as refused:
            self._stop(refused)
            return
        if message is None:
            return
        if self._come.qsize() >= QUEUE:
            self._stop(Refused(Code.TOO_LARGE, "the other device says more than anybody reads"))
        else:
            self._come.put_nowait(message)

    def state(self, value: bytes) -> None:
        if value == ble.END:
            self.gone()

    def gone(self) -> None:
        self._other_ended.set()
        self._stop(_lost())

    def _stop(self, why: Refused) -> None:
        if not self._over:
            self._over = True
            self._come.put_nowait(why)


async def seek(radio: Radio, service: str, mode: Mode, ident: bytes | None = None, patience: float = PATIENCE) -> Link:
    """As the GATT client. `ident`: what the server must say of itself, in the mode where a reader serves."""
    client = await radio.find(service, patience)

    link = Link(
        lambda: client.write(mode.state, ble.END), client.close, lambda piece: client.write(mode.to_server, piece),
        lambda: client.mtu,
    )  # fmt: skip
    try:
        async with asyncio.timeout(patience):
            client.on_gone(link.gone)
            if ident is not None and mode.ident is not None:
                said = await client.read(mode.ident)
                if not hmac.compare_digest(said, ident):  # 8.3.3.1.1.3: another reader's service
                    raise Refused(Code.TRANSPORT_LOST, "the reader is not the one that saw the code")
            await client.subscribe(mode.state, link.state)
            await client.subscribe(mode.to_client, link.heard)
            await client.write(mode.state, ble.START)
    except TimeoutError:
        await _hung_up(client.close)
        raise _lost() from None
    except BaseException:
        await _hung_up(client.close)
        raise
    return link


async def serve(radio: Radio, service: str, mode: Mode, ident: bytes = b"", patience: float = PATIENCE) -> Link:
    """As the GATT server: until a client says that it starts."""
    server = await radio.serve(service, mode, ident)
    started = asyncio.Event()

    link = Link(
        lambda: server.notify(mode.state, ble.END), server.close, lambda piece: server.notify(mode.to_client, piece),
        lambda: server.mtu,
    )  # fmt: skip

    def state(value: bytes) -> None:
        if value == ble.START:
            started.set()
        link.state(value)

    server.on_gone(link.gone)
    server.on_written(mode.state, state)
    server.on_written(mode.to_server, link.heard)
    try:
        async with asyncio.timeout(patience):
            await started.wait()
    except TimeoutError:
        await _hung_up(server.close)
        raise Refused(Code.TRANSPORT_LOST, "no device has connected") from None
    except BaseException:
        await _hung_up(server.close)
        raise
    return link


async def meet(radio: Radio, engagement: DeviceEngagement, patience: float = PATIENCE) -> Link:
    """The reader's way to the device behind an engagement: where the device serves, or else where the reader does.

    Raises Refused(UNSUPPORTED) when there is no way that this radio has, TRANSPORT_LOST when nobody is found.
    """
    ways = [method for method in engagement.methods if isinstance(method, Ble)]
    served = next((way.peripheral_uuid for way in ways if way.peripheral and way.peripheral_uuid), None)
    sought = next((way.central_uuid for way in ways if way.central and way.central_uuid), None)
    if served is not None:
        return await seek(radio, str(uuid.UUID(bytes=served)), DEVICE_SERVES, patience=patience)
    if sought is not None:
        service = str(uuid.UUID(bytes=sought))
        return await serve(radio, service, READER_SERVES, ble.ident(engagement.key_raw), patience)
    raise Refused(Code.UNSUPPORTED, "the device offers no Bluetooth Low Energy")


async def _hung_up(hang_up: Callable[[], Awaitable[None]], grace: float = GRACE) -> None:
    """What was heard counts, whether or not the other device lets go nicely."""
    with contextlib.suppress(Refused, TimeoutError):
        async with asyncio.timeout(grace):
            await hang_up()


def _lost() -> Refused:
    return Refused(Code.TRANSPORT_LOST, "the other device has gone away")
