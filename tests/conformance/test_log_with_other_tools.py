"""Our log under other people's checker, their log under our witness: Tessera's tools, where MAPAE_TLOG_TOOLS has them.

GOBIN=/opt/tlog go install github.com/transparency-dev/tessera/cmd/fsck@v1.0.4
GOBIN=/opt/tlog go install github.com/transparency-dev/tessera/cmd/examples/posix-oneshot@v1.0.4
"""

from __future__ import annotations

import asyncio
import os
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import pytest
import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledgers import BASE, Country, new_witness, note_key
from mapae.clock import SystemClock
from mapae.keys import NoteKind
from mapae.serving import bind
from mapae.trust.checkpoints import NAMES
from mapae.trust.log import tiles
from mapae.trust.log.entry import Log
from mapae.trust.log.note import ED25519, Note, VerifierKey, cosigned_at, open_checkpoint
from mapae.trust.witness import Witness
from mapae.trust.witness_web import routes
from mapae.ui.site import application

TOOLS = Path(os.environ.get("MAPAE_TLOG_TOOLS", "/nowhere"))
pytestmark = pytest.mark.skipif(
    not all((TOOLS / name).is_file() for name in ("fsck", "posix-oneshot")), reason="needs Tessera's tools"
)


async def run(tool: str, *arguments: str) -> str:
    made = await asyncio.create_subprocess_exec(
        TOOLS / tool, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(made.communicate(), 60)
    assert made.returncode == 0, said.decode()
    return said.decode()


async def test_tesseras_checker_finds_nothing_wrong_with_our_log(tmp_path: Path) -> None:
    """As static files, with one full tile and two levels."""
    country = await Country.open(tmp_path)
    try:
        await country.cast.admit(country.ledger)
        for seq in range(1, 301):
            await country.ledger.submit(*country.cast.anchor(seq))
        await country.checkpoints.tick()
        site = tmp_path / "site"
        log = f"{BASE}/trust/log/{NAMES[Log.ANCHORS]}"
        for path in ("checkpoint", "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000",
                     "tile/entries/001.p/44"):  # fmt: skip
            got = await country.http.get(f"{log}/{path}")
            assert got.status_code == 200
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).write_bytes(got.content)
        (tmp_path / "key").write_text(country.signers[Log.ANCHORS].vkey.encode())
        asked = ("--ui=false", f"--storage_url=file://{site}/", f"--public_key={tmp_path / 'key'}")
        assert "Successfully fsck'd log with size 300" in await run("fsck", *asked)
    finally:
        await country.close()


def tesseras_key() -> tuple[str, VerifierKey]:
    """golang.org/x/mod/sumdb/note, PRIVATE+KEY+name+hash+base64."""
    private = Ed25519PrivateKey.generate()
    vkey = VerifierKey("tessera.example/log", ED25519, private.public_key().public_bytes_raw())
    seed = b64encode(bytes([ED25519]) + private.private_bytes_raw()).decode()
    return f"PRIVATE+KEY+{vkey.name}+{vkey.id.hex()}+{seed}", vkey


@asynccontextmanager
async def at_a_door(witness: Witness) -> AsyncIterator[str]:
    """The witness on a port of this machine."""
    with bind("127.0.0.1", 0) as listening:
        site = application(routes({"w": witness}), clock=SystemClock())
        server = uvicorn.Server(uvicorn.Config(site, log_level="error"))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/witness/w"
        server.should_exit = True
        await serving


async def test_tesseras_log_is_cosigned_by_our_witness_as_it_grows(tmp_path: Path) -> None:
    """And is published only then; its tiles amount to its root here as well."""
    private, log = tesseras_key()
    witness = await new_witness(tmp_path, "w", [log], SystemClock(), key=note_key("w.example/w", NoteKind.COSIGNER))
    (tmp_path / "key").write_text(private)
    data, leaves = tmp_path / "log", tmp_path / "leaves"
    data.mkdir()
    leaves.mkdir()
    async with at_a_door(witness) as url:
        (tmp_path / "policy").write_text(f"witness w {(await witness.vkey()).encode()} {url}\nquorum w\n")
        for start, end in ((0, 10), (10, 300)):
            for at in range(start, end):
                (leaves / f"{start}-{at}").write_text(f"leaf {at}")
            await run(
                "posix-oneshot", f"--storage_dir={data}", f"--entries={leaves}/{start}-*",
                f"--private_key={tmp_path / 'key'}", f"--witness_policy_file={tmp_path / 'policy'}",
            )  # fmt: skip
            note = Note.parse((data / "checkpoint").read_bytes())
            head = open_checkpoint(note, log)
            assert head.size == end and cosigned_at(note, await witness.vkey()) > 0
    bundles = [(data / "tile/entries/000").read_bytes(), (data / "tile/entries/001.p/44").read_bytes()]
    hashes = b"".join(
        sha256(b"\0" + entry).digest() for bundle, width in zip(bundles, (256, 44), strict=True)
        for entry in tiles.unbundle(bundle, width)
    )  # fmt: skip
    assert hashes == (data / "tile/0/000").read_bytes() + (data / "tile/0/001.p/44").read_bytes()
    await witness.close()
