"""A private PostgreSQL cluster for one test run: made by initdb in a temporary folder, reached over a socket only."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

CANNOT_BE_ROOT = "postgres"  # the account Debian's package makes; initdb refuses to run as root
DONE = "-- done"


def binaries() -> Path | None:
    """Where initdb and pg_ctl are: where Debian puts them (newest version), or on the PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: float(p.parts[-3]))
    if versions:
        return versions[-1].parent
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found else None


class Cluster:
    """Started on construction; `stop()` leaves nothing behind."""

    def __init__(self, folder: Path, bin: Path) -> None:
        self._folder, self._bin = folder, bin
        self._as: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            account = pwd.getpwnam(CANNOT_BE_ROOT)
            os.chown(folder, account.pw_uid, account.pw_gid)
            for parent in folder.parents:  # the account must be able to walk to the folder
                if parent.stat().st_uid == 0 and str(parent).startswith(str(Path(os.environ.get("TMPDIR", "/tmp")))):
                    parent.chmod(parent.stat().st_mode | 0o011)
            self._as = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
        data = str(folder / "data")
        self._run("initdb", "-D", data, "-U", "mapae", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8")
        # This cluster dies with the test run, and where it lives is dear: as little log as can be.
        durable = "-c fsync=off -c full_page_writes=off -c wal_level=minimal -c max_wal_senders=0 -c max_wal_size=64MB"
        quick = "-c autovacuum=off -c jit=off"  # nothing here lives long enough for either to be worth it
        options = f"-k {folder} -c listen_addresses='' -c max_connections=400 -c shared_buffers=64MB {durable} {quick}"
        self._run("pg_ctl", "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
        # From version 15 on; before that there was no other way. A third of the work of writing it all to the log too.
        self._copying = " STRATEGY file_copy" if int((folder / "data" / "PG_VERSION").read_text()) >= 15 else ""
        # One session for the whole run: a thousand times createdb and dropdb cost more than what they ask for.
        self._session = subprocess.Popen(
            [*self._as, str(bin / "psql"), "-XqAt", "-h", str(folder), "-U", "mapae", "-d", "postgres"], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder,
        )  # fmt: skip
        self.create("empty", "template1")

    def create(self, database: str, template: str = "empty") -> str:
        """A copy of a database ; its URL template with {role} in it, for one schema a role."""
        self._ask(f'CREATE DATABASE "{database}" TEMPLATE "{template}"{self._copying}')
        return f"postgresql://mapae@/{database}?host={self._folder}&search_path={{role}}"

    def drop(self, database: str) -> None:
        self._ask(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def stop(self) -> None:
        self._session.communicate("\\q\n")
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "-w", "stop")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _ask(self, statement: str) -> None:
        """Raises what the server says: a statement that went well says nothing."""
        assert self._session.stdin is not None and self._session.stdout is not None
        self._session.stdin.write(f"{statement};\n\\echo {DONE}\n")
        self._session.stdin.flush()
        wrong: list[str] = []
        while (line := self._session.stdout.readline()) != f"{DONE}\n":
            if not line:
                raise RuntimeError(f"{statement}: psql has ended. {''.join(wrong)}")
            if not line.startswith("NOTICE:"):
                wrong.append(line)
        if wrong:
            raise RuntimeError(f"{statement}: {''.join(wrong)}")

    def _run(self, program: str, *args: str) -> None:
        done = subprocess.run(
            [*self._as, str(self._bin / program), *args], capture_output=True, text=True, cwd=self._folder, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stderr.strip() or done.stdout.strip()}")
