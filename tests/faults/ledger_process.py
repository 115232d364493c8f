"""A trust role that can be shot: it appends, acknowledges and has its heads cosigned as fast as it can. Run with a
folder; each line on stdin forks a new process on the same data, and its id is printed."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import httpx

from ledgers import BASE, START, Cast, digest, note_key
from mapae.clock import MovableClock
from mapae.db import connect, migrate
from mapae.keys import NoteKind, NoteSigner
from mapae.trust import witness_web
from mapae.trust.checkpoints import Checkpoints, log_origin
from mapae.trust.log.entry import Log
from mapae.trust.log.note import VerifierKey
from mapae.trust.log.policy import Policy
from mapae.trust.witness import Witness
from mapae.ui.site import application

CAST = Cast()
SIGNERS = {log: note_key(log_origin(BASE, log), NoteKind.LOG) for log in Log}
PENS: dict[str, NoteSigner[VerifierKey]] = {name: note_key(f"{name}.example/w") for name in ("w1", "w2")}


def policy() -> Policy:
    witnesses = [(name, pen.vkey, f"{BASE}/witness/{name}") for name, pen in PENS.items()]
    return Policy.of([signer.vkey for signer in SIGNERS.values()], witnesses, 2)


async def work(folder: Path) -> None:
    """Anchors without end; a line in `acknowledged` for each receipt, and for each head that was published."""
    file = os.open(folder / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    clock = MovableClock(START)
    db = await connect(f"sqlite:///{folder}/trust.db")
    await migrate(db, "trust")
    witnesses = {}
    for name, pen in PENS.items():
        own = await connect(f"sqlite:///{folder}/{name}.db")
        await migrate(own, "witness")
        keys = [signer.vkey for signer in SIGNERS.values()]
        witnesses[name] = Witness(name=name, db=own, clock=clock, logs=keys, pen=lambda pen=pen: pen)
    site = application(witness_web.routes(witnesses), clock=clock, rates=False)
    http = httpx.AsyncClient(transport=httpx.ASGITransport(site))
    ledger = await CAST.ledger(db, clock, policy().encode())
    if CAST.name not in (await ledger.state()).parties:
        await CAST.admit(ledger)
    checkpoints = Checkpoints(db=db, ledger=ledger, signers=SIGNERS, http=http, clock=clock)
    nursery = os.getppid()
    while os.getppid() == nursery:  # a test run that was killed itself kills nobody
        last = (await ledger.state()).anchors.get((CAST.name, digest("status")))
        seq = last.seq + 1 if last is not None else 1
        act, signed = CAST.anchor(seq)
        receipt = await ledger.submit(act, signed)
        os.write(file, f"entry {receipt.index} {act.statement.hex()}\n".encode())
        if seq % 3 == 0:
            await checkpoints.round()
            head = await checkpoints.published(Log.ANCHORS)
            if head is not None:
                os.write(file, f"head {head.size} {head.root.hex()}\n".encode())


def main() -> None:
    folder = Path(sys.argv[1])
    (folder / "policy").write_bytes(policy().encode())
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(work(folder))
            os._exit(0)
        print(child, flush=True)


if __name__ == "__main__":
    main()
