"""The trust role is killed (SIGKILL) in the middle of its work, on real files: the log is whole, nothing acknowledged
is lost, and no witness has cosigned anything the log does not have. 20 times; 200 with MAPAE_SOAK=1."""

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

TIMES = 200 if os.environ.get("MAPAE_SOAK") else 20
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


def test_killed_in_the_middle_of_an_append_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), *filter(None, sys.path)])}
    nursery = subprocess.Popen(
        [sys.executable, str(HERE / "ledger_process.py"), str(tmp_path)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, env=environment, text=True,
    )  # fmt: skip
    assert nursery.stdin is not None and nursery.stdout is not None
    books, dice, busy = Books(tmp_path), SeededDice("kill"), 0
    try:
        for _ in range(TIMES):
            before = books.acknowledged
            nursery.stdin.write("go\n")
            nursery.stdin.flush()
            pid = int(nursery.stdout.readline())
            time.sleep(dice.below(150) / 1000)  # from before it has opened anything to the middle of its work
            os.kill(pid, signal.SIGKILL)
            end = time.monotonic() + 10
            while Path(f"/proc/{pid}/stat").exists() and time.monotonic() < end:
                if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                    break
                time.sleep(0.001)
            books.must_hold()
            busy += books.acknowledged > before
    finally:
        nursery.kill()
        nursery.communicate()
    books.must_follow_the_rules()
    assert busy > TIMES // 4, f"only {busy} of {TIMES} were at work when they were killed"
    assert books.acknowledged > TIMES and books.cosigned > 0
