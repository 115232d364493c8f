"""A wallet in Python: receive, keep, choose, present.

A citizen's wallet names its country: `Wallet(http, "https://mapae.example")`. One of no country names whom it trusts:

    >>> import httpx
    >>> from mapae.holder import AnchorTrust, FileStore, Wallet
    >>> async def show(offer: str, question: str) -> str:
    ...     trust = AnchorTrust(issuers=[issuer_ca], verifiers=[verifier_ca])
    ...     async with httpx.AsyncClient() as http:
    ...         wallet = Wallet(http, trust=trust, store=FileStore(path, b"passphrase"))
    ...         await wallet.receive(offer)  # a credential offer's QR text or link
    ...         asked = await wallet.open_request(question)  # a presentation request's
    ...         print(asked.who, asked.items, asked.standing)
    ...         shown = await wallet.present(asked, asked.options[0])
    ...         return shown.outcome

Where the issuer wants the person to sign in, `wallet.authorize(offer, redirect_uri)` says where, and
`wallet.redeem(address)` takes what her browser brings back; in between the process may end. After a restart, and when
an issuer said *later* (`wallet.ask_again_at`), `wallet.resume()` goes on. An issuer that wants the wallet vouched for
needs an `attester`. The network is httpx's (`pip install mapae[wallet]`); importing this package needs nothing of it.
"""

from .choose import Match, Option
from .client import Attester, ProviderAttester
from .device import DeviceStanding, Person
from .face import FaceAsked, FaceSaid, FaceStanding
from .issuance import SignIn
from .pocket import OwnKeys, StoredKeys
from .presentation import Asked
from .store import Card, Copy, FileStore, MemoryStore, Shown
from .tap import TapBegun, TapSaid
from .trusted import AnchorTrust, Party, Trust
from .wallet import Wallet

__all__ = [
    "AnchorTrust",
    "Asked",
    "Attester",
    "Card",
    "Copy",
    "DeviceStanding",
    "FaceAsked",
    "FaceSaid",
    "FaceStanding",
    "FileStore",
    "Match",
    "MemoryStore",
    "Option",
    "OwnKeys",
    "Party",
    "Person",
    "ProviderAttester",
    "Shown",
    "SignIn",
    "StoredKeys",
    "TapBegun",
    "TapSaid",
    "Trust",
    "Wallet",
]
