"""A private PostgreSQL cluster for one test run: made by initdb in a temporary folder, reached over a socket only."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

CANNOT_BE_ROOT = "postgres"  # the account Debian's package makes; initdb refuses to run as root


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
        self._copying: list[str] = []
        self._run("initdb", "-D", data, "-U", "mapae", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C.UTF-8")
        # This cluster dies with the test run, and where it lives is dear: as little log as can be.
        durable = "-c fsync=off -c full_page_writes=off -c wal_level=minimal -c max_wal_senders=0 -c max_wal_size=64MB"
        options = f"-k {folder} -c listen_addresses='' -c max_connections=400 -c shared_buffers=64MB {durable}"
        self._run("pg_ctl", "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
        if int((folder / "data" / "PG_VERSION").read_text()) >= 15:  # before that there is no other way
            self._copying = ["--strategy=file_copy"]  # a third of the work of writing it all to the log as well
        self._run("createdb", "-h", str(folder), "-U", "mapae", "empty")

    def create(self, database: str, template: str = "empty") -> str:
        """A copy of a database ; its URL template with {role} in it, for one schema a role."""
        self._run("createdb", "-h", str(self._folder), "-U", "mapae", "-T", template, *self._copying, database)
        return f"postgresql://mapae@/{database}?host={self._folder}&search_path={{role}}"

    def drop(self, database: str) -> None:
        self._run("dropdb", "-h", str(self._folder), "-U", "mapae", "--force", "--if-exists", database)

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "-w", "stop")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *args: str) -> None:
        done = subprocess.run(
            [*self._as, str(self._bin / program), *args], capture_output=True, text=True, cwd=self._folder, check=False
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stderr.strip() or done.stdout.strip()}")
