"""The trust role is killed (SIGKILL) in the middle of its work, on real files: the log is whole, nothing acknowledged
is lost, and no witness has cosigned anything the log does not have. 10 times; 200 with MAPAE_SOAK=1."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from mapae.clock import SeededDice
from mapae.trust.log.entry import Entry, Log
from mapae.trust.log.note import Note
from mapae.trust.log.policy import Policy
from mapae.trust.log.rules import State
from mapae.trust.log.tree import Tree, leaf_hash

TIMES = 200 if os.environ.get("MAPAE_SOAK") else 10
HERE = Path(__file__).parent
WITNESSES = ("w1", "w2")


def look(path: Path, table: str, more: str = "") -> list[sqlite3.Row]:
    """Nothing where the kill came before the table was made."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as db:
        db.row_factory = sqlite3.Row
        if not db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchall():
            return []
        return db.execute(f"SELECT * FROM {table} {more}").fetchall()


class Books:
    """What was there after the kills so far."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._trees = {log: Tree() for log in Log}
        self._entries: dict[Log, list[bytes]] = {log: [] for log in Log}
        self._read = 0
        self.acknowledged = self.cosigned = 0

    def must_hold(self) -> None:
        """1 whole  2 only longer than before  3 all that was acknowledged  4 all that was signed and cosigned."""
        for log in Log:
            rows = look(self._folder / "trust.db", "ledger_entry", f"WHERE log = {int(log)} ORDER BY idx")
            entries = [bytes(row["entry"]) for row in rows]
            assert [row["idx"] for row in rows] == list(range(len(rows))), "a gap"
            assert [Entry.parse(entry).index for entry in entries] == list(range(len(rows)))
            known = len(self._entries[log])
            assert entries[:known] == self._entries[log], "an entry changed or went away"
            self._trees[log].extend(leaf_hash(entry) for entry in entries[known:])
            self._entries[log] = entries
        self._must_be_acknowledged()
        for row in look(self._folder / "trust.db", "ledger_head"):
            assert self._trees[Log(row["log"])].root(row["size"]) == bytes(row["root"]), "a head nobody can prove"
        for name in WITNESSES:
            for row in look(self._folder / f"{name}.db", "witness_checkpoint"):
                log = Log.ANCHORS if row["origin"].endswith("/anchors") else Log.REGISTRY
                assert row["size"] <= self._trees[log].size, "a witness has seen what is gone"
                assert self._trees[log].root(row["size"]) == bytes(row["root"]), "a witness has seen another history"
                self.cosigned += 1
            assert look(self._folder / f"{name}.db", "witness_evidence") == []

    def _must_be_acknowledged(self) -> None:
        path = self._folder / "acknowledged"
        lines = path.read_text().splitlines() if path.exists() else []
        for line in lines[self._read :]:
            kind, number, value = line.split()
            if kind == "entry":
                assert Entry.parse(self._entries[Log.ANCHORS][int(number)]).statement.hex() == value, "lost"
                self.acknowledged += 1
            else:
                assert self._trees[Log.ANCHORS].root(int(number)).hex() == value, "published, and not so"
        self._read = len(lines)

    def must_follow_the_rules(self) -> None:
        state = State()
        for log in Log:
            for entry in self._entries[log]:
                state.fold(log, entry)
        policy = Policy.parse((self._folder / "policy").read_bytes())
        for row in look(self._folder / "trust.db", "ledger_head", "WHERE note IS NOT NULL"):
            policy.met(Note.parse(row["note"].encode()))


class Nursery:
    """Forks trust roles; starting Python for each would take longer than what it does."""

    def __init__(self, folder: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), *filter(None, sys.path)])}
        self._acknowledged = folder / "acknowledged"
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "ledger_process.py"), str(folder)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, env=environment, text=True,
        )  # fmt: skip

    def born(self) -> int:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def at_work(self) -> float:
        """How long the first one takes here until it has acknowledged something: the kills are spread over that."""
        began, pid = time.monotonic(), self.born()
        while not self._acknowledged.exists() or not self._acknowledged.read_bytes().count(b"\n") > 3:
            assert time.monotonic() - began < 60, "it never began"
            time.sleep(0.002)
        took = time.monotonic() - began
        self.kill(pid)
        return took

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        stat, end = Path(f"/proc/{pid}/stat"), time.monotonic() + 10
        while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z" and time.monotonic() < end:
            time.sleep(0.001)  # it may still be inside a system call

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


def test_killed_in_the_middle_of_an_append_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    nursery, books, dice, busy = Nursery(tmp_path), Books(tmp_path), SeededDice("kill"), 0
    try:
        whole = nursery.at_work()
        books.must_hold()
        for _ in range(TIMES):
            before = books.acknowledged
            pid = nursery.born()
            time.sleep(dice.below(2500) / 1000 * whole)  # before it has opened anything, or in the middle of its work
            nursery.kill(pid)
            books.must_hold()
            busy += books.acknowledged > before
    finally:
        nursery.close()
    books.must_follow_the_rules()
    assert busy > TIMES // 10, f"only {busy} of {TIMES} were at work when they were killed"
    assert books.acknowledged > TIMES and books.cosigned > 0
