"""A wallet in Python: receive, keep, choose, present."""

from .device import DeviceStanding, Person
from .pocket import OwnKeys, StoredKeys
from .presentation import Asked
from .store import Card, Copy, FileStore, MemoryStore, Shown
from .wallet import Wallet

__all__ = [
    "Asked",
    "Card",
    "Copy",
    "DeviceStanding",
    "FileStore",
    "MemoryStore",
    "OwnKeys",
    "Person",
    "Shown",
    "StoredKeys",
    "Wallet",
]
