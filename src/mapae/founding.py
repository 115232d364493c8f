"""The trust log of a house: its engine, its checkpoints, and in the demo country its witnesses.

Promises: a log that is empty is founded, by three governors of whom two must agree; one that is there is taken up where
it ended. Trusts: the settings for where engine and witnesses are. Keeps: governors' and witnesses' keys, each in a
folder of its own below the data folder. Refuses: an engine it does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

import structlog

from .config import passphrase
from .db import Tx, connect, migrate
from .errors import Code, Refused
from .formats.jose import unb64u
from .house import INSIDE, Foundation, House
from .keys import KeyStore, NoteKind, NoteSigner, Signer
from .onchain import account_of, open_evm
from .trust import ledger_store
from .trust.checkpoints import NAMES, Checkpoints, log_origin, origin
from .trust.engine import Ledger
from .trust.engine.embedded import EmbeddedLedger, Founding
from .trust.entering import Voice
from .trust.entries import Entry
from .trust.log import statement
from .trust.log.entry import Log
from .trust.log.note import VerifierKey
from .trust.log.policy import Policy
from .trust.registry import Governor
from .trust.schemas import MEDIA, schemas
from .trust.witness import Witness

_log = structlog.get_logger("mapae.founding")
GOVERNORS = ("governor-1", "governor-2", "governor-3")
THRESHOLD = 2
OUR_WITNESSES = ("witness-1", "witness-2", "witness-3")


async def open_log(house: House) -> None:
    """`house.ledger`, `house.checkpoints` and `house.witnesses`."""
    f = house.foundation
    signers = await _signers_and_witnesses(house)
    house.ledger = await _engine(house, signers)
    house.checkpoints = Checkpoints(
        db=await f.database("trust"), ledger=house.ledger, signers=signers, http=f.http, clock=f.clock,
        urls={name: f"{INSIDE}/witness/{name}" for name in house.witnesses}
        | {name: value.partition(" ")[2] for name, value in f.settings.witnesses.items()},
    )  # fmt: skip


async def _signers_and_witnesses(house: House) -> dict[Log, NoteSigner[VerifierKey]]:
    f = house.foundation
    signers = {log: log_signer(f, log) for log in NAMES}
    if f.settings.demo and not f.settings.witnesses:
        keys = [signer.vkey for signer in signers.values()]
        house.witnesses = {name: await _witness(f, name, keys) for name in OUR_WITNESSES}
    return signers


async def founding_on_chain(house: House) -> Founding:
    """As `open_log` would found a log here, but for governors who have accounts on a chain."""
    f, signers = house.foundation, await _signers_and_witnesses(house)
    policy = await _policy(house, [signer.vkey for signer in signers.values()])
    return _founding(f, policy.encode(), lambda key: account_of(f, voice_of(key)).address)


async def first_checkpoint(house: House) -> None:
    """A country that was founded this moment shows its log from the start."""
    if await house.checkpoints.published(Log.REGISTRY) is None:
        await house.checkpoints.round()


def log_signer(f: Foundation, log: Log) -> NoteSigner[VerifierKey]:
    """The key that signs the heads of one of the logs."""
    name = log_origin(f.settings.base_url, log)
    return f.keys("trust").note_signer(f"file:log-{NAMES[log]}", name, NoteKind.LOG, VerifierKey.parse)


def governor(f: Foundation, name: str) -> Signer:
    """A governor's key. In the demo country they lie in one data folder; anywhere else each has his own."""
    return f.signer(name, "voice")


def governors(f: Foundation) -> list[Governor]:
    """Those of the founding, with the keys they have here."""
    return [Governor(name, governor(f, name)) for name in GOVERNORS]


async def found_registry(house: House, entries: Sequence[Entry]) -> None:
    """Our own entries, by the first two governors. Where their keys have left this machine they propose changes to our
    entries themselves."""
    lacking = await house.registry.lacks(entries)
    try:
        if lacking:  # else nobody's keys are opened
            await house.registry.ensure(lacking, *governors(house.foundation))
    except Refused as refused:
        if refused.code is not Code.NOT_ALLOWED:
            raise
        _log.warning("our entries in the registry differ from what runs here: governors have to propose them")


async def publish_schemas(house: House, voice: Voice) -> None:
    """Each type of the pack once; the documents first, then their digests in the log."""
    f = house.foundation
    db, state = await f.database("trust"), await house.ledger.state()
    missing: dict[str, bytes] = {}
    for name, schema in schemas(f.country).items():
        known = state.schemas.get(sha256(name.encode()).digest())
        if known is None:
            missing[name] = schema
        elif known.digest != sha256(schema).digest():
            _log.warning("a type has another schema than the log: give the type a new name", type=name)
    if not missing:
        return
    now = int(f.clock.now().timestamp())

    async def keep(tx: Tx) -> None:
        for schema in missing.values():
            await ledger_store.add_document(tx, schema, MEDIA, now)

    await db.write(keep)
    for name, schema in missing.items():
        try:
            await voice.publish_schema(name, schema)
        except Refused as refused:  # the log is away, or the issuer is not live yet: at the next start
            _log.warning("a schema is not in the trust log yet", type=name, why=refused.detail)


def voice_of(signer: Signer) -> bytes:
    return unb64u(signer.kid)


def address_of(signer: Signer) -> bytes:
    """The embedded engine's: the last 20 bytes of the voice."""
    return voice_of(signer)[-20:]


async def _engine(house: House, signers: dict[Log, NoteSigner[VerifierKey]]) -> Ledger:
    f = house.foundation
    if f.settings.ledger != "embedded":
        return await open_evm(f)

    async def found() -> Founding:
        policy = await _policy(house, [signer.vkey for signer in signers.values()])
        return _founding(f, policy.encode())

    return await EmbeddedLedger.open(await f.database("trust"), f.clock, origin(f.settings.base_url), found)


def _founding(f: Foundation, policy: bytes, address: Callable[[Signer], bytes] = address_of) -> Founding:
    """The first governor states the policy, the others approve: each founder has signed."""
    keys = [governor(f, name) for name in GOVERNORS]
    now, delay = int(f.clock.now().timestamp()), f.settings.admission_delay
    args = {"document": sha256(policy).hexdigest(), "threshold": THRESHOLD, "delay": delay}
    signed = statement.make("put_policy", args, origin(f.settings.base_url), keys[0], now)
    approvals = [statement.approve(statement.digest(signed), key, now) for key in keys[1:]]
    return Founding([(address(key), voice_of(key)) for key in keys], THRESHOLD, delay, policy, signed, approvals)


async def _policy(house: House, logs: list[VerifierKey]) -> Policy:
    """C2SP tlog-policy: both logs, and more than half of the witnesses."""
    base, settings = house.settings.base_url, house.settings
    named = [
        (name, await witness.vkey(), f"{base}/witness/{name}") for name, witness in house.witnesses.items()
    ]  # fmt: skip
    for name, value in settings.witnesses.items():
        vkey, _, url = value.partition(" ")
        named.append((name, VerifierKey.parse(vkey), url))
    return Policy.of(logs, named, len(named) // 2 + 1 if named else 0)


async def _witness(f: Foundation, name: str, logs: list[VerifierKey]) -> Witness:
    """As somebody else would run it: own folder, own passphrase, own database."""
    folder = f.data / name
    own = f"sqlite:///{folder}/witness.db"
    db = f.databases[name] = await connect(f.settings.database_url(witness_role(name)) if f.settings.database else own)
    await migrate(db, "witness")
    called = f"{f.settings.base_url.partition('://')[2]}/witness/{name}"
    return Witness(name=called, db=db, clock=f.clock, logs=logs, pen=witness_pen(folder, called))


def witness_role(name: str) -> str:
    """What stands for {role} in the database URL of one of our witnesses."""
    return name.replace("-", "_")


def witness_pen(folder: Path, name: str, kind: NoteKind = NoteKind.COSIGNER) -> Callable[[], NoteSigner[VerifierKey]]:
    """Opens the witness's key, made on first use."""

    def pen() -> NoteSigner[VerifierKey]:
        keys = KeyStore(folder / "keys", passphrase(folder))
        return keys.note_signer("file:witness", name, kind, VerifierKey.parse)

    return pen
