"""A Bluetooth controller of one's own by way of `bumble`: a USB dongle, a serial port, or a virtual link in tests.

    async with opened("usb:0", dice.bytes(6)) as radio: ...

Unlike what an operating system lets programs do, it both finds and is found, so that a device can be read that only
seeks readers (mdoc central client mode).

Promises: one connection at a time; advertising ends with the first connection. Trusts: the controller. Keeps: nothing.
Refuses: more than one client of a service it serves.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from mapae.errors import Code, Refused
from mapae.formats.ble import Mode
from mapae.radio import GRACE, Client, Heard, Server

OFTEN: Final = 30.0  # milliseconds: the customer is standing there
MTU: Final = 515  # asked for: as ISO/IEC 18013-5 8.3.3.1.1.5 asks


@asynccontextmanager
async def opened(name: str, address: bytes) -> AsyncIterator[Controller]:
    """By the name `bumble` has for it (`usb:0`, `serial:/dev/...`); `address`: six random bytes.

    Raises Refused(UNSUPPORTED, TRANSPORT_LOST).
    """
    try:
        from bumble.device import Device
        from bumble.hci import Address
        from bumble.transport import open_transport
    except ImportError:
        raise Refused(Code.UNSUPPORTED, "Bluetooth needs the extra: pip install 'mapae[ble]'") from None
    # A random static address (Bluetooth Core 6.B 1.3.2.1): another each time, so that a till is no landmark.
    static = bytes((address[0] | 0xC0,)) + address[1:]
    try:
        transport = await open_transport(name)
    except Exception as trouble:  # noqa: BLE001 whatever a driver raises: the radio is not there
        raise Refused(
            Code.TRANSPORT_LOST, f"the Bluetooth controller does not open: {type(trouble).__name__}"
        ) from None
    async with transport:
        device = Device.with_hci("mapae", Address(static.hex(":")), transport.source, transport.sink)
        await device.power_on()
        yield Controller(device)


class Controller:
    """A `Radio` over a `bumble` device that is switched on."""

    def __init__(self, device: Any) -> None:
        self._device = device

    async def find(self, service: str, patience: float) -> Client:
        from bumble.core import AdvertisingData, BaseBumbleError
        from bumble.device import Peer

        seen: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        wanted = uuid.UUID(service).bytes[::-1]  # Bluetooth Core 3.C 1.3.4: least significant byte first

        def look(advertisement: Any) -> None:
            for kind in (
                AdvertisingData.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS,
                AdvertisingData.INCOMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS,
            ):
                for raw in advertisement.data.get_all(kind, raw=True):
                    if wanted in [raw[at : at + 16] for at in range(0, len(raw), 16)] and not seen.done():
                        seen.set_result(advertisement.address)

        self._device.on("advertisement", look)
        connection = None
        try:
            async with asyncio.timeout(patience):
                await self._device.start_scanning()
                address = await seen
                await self._device.stop_scanning()
                connection = await self._device.connect(address)
                peer = Peer(connection)
                await peer.request_mtu(MTU)
                await peer.discover_services()
                [found] = peer.get_services_by_uuid(_uuid(service))
                await found.discover_characteristics()
        except (BaseBumbleError, TimeoutError, ValueError):
            await self._let_go(connection)
            raise Refused(Code.TRANSPORT_LOST, "no device with this code is near") from None
        except BaseException:
            await self._let_go(connection)
            raise
        finally:
            self._device.remove_listener("advertisement", look)
        return _Connected(connection, peer, found)

    async def _let_go(self, connection: Any) -> None:
        """Of a device that called itself by the code's service and has none: neither heard nor held any longer."""
        from bumble.core import BaseBumbleError

        for work in (
            self._device.stop_scanning if self._device.is_scanning else None,
            connection.disconnect if connection is not None else None,
        ):
            with suppress(BaseBumbleError, TimeoutError):
                async with asyncio.timeout(GRACE):
                    if work is not None:
                        await work()

    async def serve(self, service: str, mode: Mode, ident: bytes) -> Server:
        from bumble.core import AdvertisingData
        from bumble.gatt import Characteristic, CharacteristicValue, Service

        serving = _Serving(self._device)
        both = Characteristic.Properties.NOTIFY | Characteristic.Properties.WRITE_WITHOUT_RESPONSE
        ways = [
            (mode.state, both), (mode.to_server, Characteristic.Properties.WRITE_WITHOUT_RESPONSE),
            (mode.to_client, Characteristic.Properties.NOTIFY),
        ]  # fmt: skip
        for name, properties in ways:
            value = CharacteristicValue(write=serving.writer(name))
            permissions = Characteristic.WRITEABLE | Characteristic.READABLE
            serving.characteristics[name] = Characteristic(_uuid(name), properties, permissions, value)
        if mode.ident is not None:
            serving.characteristics[mode.ident] = Characteristic(
                _uuid(mode.ident), Characteristic.Properties.READ, Characteristic.READABLE, ident
            )
        self._device.add_service(Service(_uuid(service), list(serving.characteristics.values())))
        self._device.on("connection", serving.connected)
        data = AdvertisingData(
            [
                (AdvertisingData.FLAGS, b"\x06"),
                (AdvertisingData.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS, uuid.UUID(service).bytes[::-1]),
            ]
        )
        await self._device.start_advertising(
            advertising_data=bytes(data),
            auto_restart=False,
            advertising_interval_min=OFTEN,
            advertising_interval_max=OFTEN,
        )
        return serving


class _Lost:
    def __init__(self) -> None:
        self._gone: Callable[[], None] | None = None
        self._is_gone = False

    def on_gone(self, gone: Callable[[], None]) -> None:
        self._gone = gone
        if self._is_gone:
            gone()

    def lost(self, *_: Any) -> None:
        self._is_gone = True
        if self._gone is not None:
            self._gone()

    async def _try(self, work: Any) -> Any:
        from bumble.core import BaseBumbleError

        try:
            return await work
        except (BaseBumbleError, TimeoutError):
            raise Refused(Code.TRANSPORT_LOST, "the other device has gone away") from None


class _Connected(_Lost):
    def __init__(self, connection: Any, peer: Any, service: Any) -> None:
        super().__init__()
        self._connection, self._peer, self._service = connection, peer, service
        connection.on("disconnection", self.lost)

    @property
    def mtu(self) -> int:
        return int(self._connection.att_mtu)

    async def subscribe(self, characteristic: str, heard: Heard) -> None:
        await self._try(self._peer.subscribe(self._named(characteristic), lambda value: heard(bytes(value))))

    async def read(self, characteristic: str) -> bytes:
        return bytes(await self._try(self._peer.read_value(self._named(characteristic))))

    async def write(self, characteristic: str, value: bytes) -> None:
        await self._try(self._peer.write_value(self._named(characteristic), value, with_response=False))

    async def close(self) -> None:
        if not self._is_gone:
            await self._try(self._connection.disconnect())

    def _named(self, characteristic: str) -> Any:
        found = self._service.get_characteristics_by_uuid(_uuid(characteristic))
        if not found:
            raise Refused(Code.TRANSPORT_LOST, "the other device lacks a part of its service")
        return found[0]


class _Serving(_Lost):
    def __init__(self, device: Any) -> None:
        super().__init__()
        self._device = device
        self._connection: Any = None
        self._heard: dict[str, Heard] = {}
        self.characteristics: dict[str, Any] = {}

    def connected(self, connection: Any) -> None:
        if self._connection is None:
            self._connection = connection
            connection.on("disconnection", self.lost)

    def writer(self, name: str) -> Callable[[Any, bytes], None]:
        def written(connection: Any, value: bytes) -> None:
            if self._connection is None:
                self.connected(connection)
            if connection is self._connection and name in self._heard:
                self._heard[name](bytes(value))

        return written

    @property
    def mtu(self) -> int:
        return int(self._connection.att_mtu) if self._connection is not None else 0

    def on_written(self, characteristic: str, heard: Heard) -> None:
        self._heard[characteristic] = heard

    async def notify(self, characteristic: str, value: bytes) -> None:
        if self._connection is None or self._is_gone:
            raise Refused(Code.TRANSPORT_LOST, "the other device has gone away")
        subscriber = self._connection, self.characteristics[characteristic]
        await self._try(self._device.notify_subscriber(*subscriber, value))

    async def close(self) -> None:
        if self._device.is_advertising:
            await self._device.stop_advertising()
        if self._connection is not None and not self._is_gone:
            await self._try(self._connection.disconnect())


def _uuid(text: str) -> Any:
    from bumble.core import UUID

    return UUID(text)
