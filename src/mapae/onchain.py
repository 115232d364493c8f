"""The trust log of a house on an EVM network: who has which account there, the engine, and a first contract.

Promises: every voice that speaks from this machine has one account, made on first use; a contract is deployed with the
governors who signed for it, and their papers are kept. Trusts: the settings for node and contract. Keeps: the accounts'
keys, in the trust role's folder. Refuses: a second log beside one that is there.
"""

from __future__ import annotations

from hashlib import sha256

from .db import Tx
from .errors import Code, Refused
from .formats.jose import unb64u
from .house import Foundation
from .keys import Account, Signer
from .trust import ledger_store
from .trust.checkpoints import origin
from .trust.engine.chain import Chain, Place, deploy
from .trust.engine.contract import Genesis, deployment
from .trust.engine.embedded import Founding, keep_papers
from .trust.engine.evm import EvmLedger
from .trust.engine.rpc import Node
from .trust.log import statement
from .trust.log.entry import Log

PATIENCE = 8.0  # less than those who ask us wait for an answer: they are told to ask again, and find it done


SPEAKERS = ("issuer", "wallet_provider", "trust")  # our own roles that are parties of the log


def voice(f: Foundation, role: str) -> bytes:
    return unb64u(f.signer(role, "voice").kid)


def _uri(voice: bytes) -> str:
    return f"file:account-{voice.hex()[:40]}"


def account_of(f: Foundation, voice: bytes) -> Account:
    """The account that acts for this voice, made on first use."""
    keys = f.keys("trust")
    keys.create_account(_uri(voice))
    made = keys.account(_uri(voice))
    if made is None:
        raise Refused(Code.BAD_CONFIG, "an account's key is gone from the data folder")
    return made


def account_named(f: Foundation, signer: Signer) -> str:
    """As a registry entry names it: in hexadecimal, or empty where the log is not on a chain."""
    return "" if f.settings.ledger == "embedded" else account_of(f, unb64u(signer.kid)).address.hex()


async def open_evm(f: Foundation) -> EvmLedger:
    place, keys = Place.parse(f.settings.ledger), f.keys("trust")
    chain = Chain(Node(f.http, place.url), place, f.settings.ledger_blocks)
    return EvmLedger(
        await f.database("trust"), f.clock, origin(f.settings.base_url), chain, lambda voice: keys.account(_uri(voice)),
        patience=PATIENCE,
    )  # fmt: skip


def genesis_of(founding: Founding) -> Genesis:
    return Genesis(
        tuple(founding.governors), founding.threshold, founding.delay, sha256(founding.policy).digest(),
        statement.digest(founding.signed),
    )  # fmt: skip


async def must_be_new(f: Foundation) -> None:
    if await ledger_store.size(await f.database("trust"), Log.REGISTRY):
        raise Refused(Code.BAD_CONFIG, "this installation has a log already; another one needs another data folder")


async def price(f: Foundation, url: str, founding: Founding, payer: Account) -> int:
    """Gas that the contract would cost. Raises UNAVAILABLE when the node, or the network, would not have it."""
    chain = Chain(Node(f.http, url), Place(url, bytes(20)), "latest")
    return await chain.gas(payer, deployment(genesis_of(founding)))


async def deploy_log(f: Foundation, url: str, founding: Founding, payer: Account) -> Place:
    """The papers first: a contract whose statement nobody has would be worth nothing."""
    now = int(f.clock.now().timestamp())

    async def keep(tx: Tx) -> None:
        await keep_papers(tx, founding, now)

    await (await f.database("trust")).write(keep)
    return await deploy(Node(f.http, url), payer, genesis_of(founding))


async def blocks_of(f: Foundation, url: str) -> str:
    """Which blocks count on this network, as far as its node tells: those of BFT validators are final at once."""
    chain = Chain(Node(f.http, url), Place(url, bytes(20)), "latest")
    return "latest" if await chain.validators() else "finalized"
