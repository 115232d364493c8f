"""The radio of this machine by way of `bleak`, which speaks to the operating system's Bluetooth (extra `mapae[ble]`).

Promises: finds and connects; nothing of a connection is left when it is closed. Trusts: the operating system. Keeps:
nothing. Refuses: to serve, for `bleak` cannot; a device that only seeks readers needs a controller of one's own
(`controller.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from mapae.errors import Code, Refused
from mapae.formats.ble import Mode
from mapae.radio import Client, Heard, Server


class Bluez:
    """A `Radio`."""

    async def find(self, service: str, patience: float) -> Client:
        bleak = _bleak()
        try:
            found = await bleak.BleakScanner.find_device_by_filter(
                lambda device, said: service in said.service_uuids, timeout=patience, service_uuids=[service]
            )
            if found is None:
                raise Refused(Code.TRANSPORT_LOST, "no device with this code is near")
            connected = _Connected()
            connected.client = bleak.BleakClient(found, disconnected_callback=connected.lost, services=[service])
            await connected.client.connect()
        except (bleak.exc.BleakError, OSError, TimeoutError) as trouble:
            raise Refused(Code.TRANSPORT_LOST, f"Bluetooth does not work here: {type(trouble).__name__}") from None
        return connected

    async def serve(self, service: str, mode: Mode, ident: bytes) -> Server:
        raise Refused(Code.UNSUPPORTED, "the phone seeks a reader, and this radio cannot be found: use --controller")


class _Connected:
    client: Any

    def __init__(self) -> None:
        self._gone: Callable[[], None] | None = None
        self._is_gone = False

    @property
    def mtu(self) -> int:
        return int(self.client.mtu_size)

    async def subscribe(self, characteristic: str, heard: Heard) -> None:
        await self._try(self.client.start_notify(characteristic, lambda _, value: heard(bytes(value))))

    async def read(self, characteristic: str) -> bytes:
        return bytes(await self._try(self.client.read_gatt_char(characteristic)))

    async def write(self, characteristic: str, value: bytes) -> None:
        await self._try(self.client.write_gatt_char(characteristic, value, response=False))

    def on_gone(self, gone: Callable[[], None]) -> None:
        self._gone = gone
        if self._is_gone:
            gone()

    def lost(self, _: Any) -> None:
        self._is_gone = True
        if self._gone is not None:
            self._gone()

    async def close(self) -> None:
        await self._try(self.client.disconnect())

    async def _try(self, work: Any) -> Any:
        bleak = _bleak()
        try:
            return await work
        except (bleak.exc.BleakError, OSError):
            raise Refused(Code.TRANSPORT_LOST, "the other device has gone away") from None


def _bleak() -> Any:
    try:
        import bleak
        import bleak.exc
    except ImportError:
        _missing()
    return bleak


def _missing() -> NoReturn:
    raise Refused(Code.UNSUPPORTED, "Bluetooth needs the extra: pip install 'mapae[ble]'")
