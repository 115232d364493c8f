"""How mapae measures: candidate and yardstick in turn in one run, medians of ratios, never an absolute time.

The yardstick is the raw P-256 work of this machine through the same library: what no implementation on it can beat
without another engine. Times are CPU times unless a figure says wall: another program on the same core then costs
less truth.
"""

from __future__ import annotations

import importlib.metadata
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from bench import node
from mapae.formats import p256

ECDSA = ec.ECDSA(SHA256())
MESSAGE = b"m" * 256
OURS = ("cryptography", "awscrt", "cbor2", "orjson", "msgspec", "pybase64", "starlette", "uvicorn", "uvloop")
PEERS = ("sd-jwt", "pymdoccbor", "aiosqlite")

Action = Callable[[], object]


@dataclass(frozen=True)
class Effort:
    """How long to measure. `quick` shows that a script works; its ratios mean little."""

    cores: int = 2
    rounds: int = 15
    times: int = 300
    http_rounds: int = 7
    visits: int = 12
    starts: int = 5
    tokens: int = 4000
    residents: int = 1500
    lists: int = 104
    list_size: int = 1 << 20
    tickets: int = 2_000_000


QUICK = Effort(rounds=2, times=3, http_rounds=2, visits=1, starts=1, tokens=64, residents=60, lists=8, tickets=20_000)


@dataclass(frozen=True)
class Spread:
    """A median and its quartiles."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        return cls(*statistics.quantiles(values, n=4, method="inclusive"))


@dataclass(frozen=True)
class Rival:
    """A peer in the same rounds."""

    name: str
    ratio: Spread
    faster: Spread
    """How many times as fast ours is, round by round."""
    two: Spread | None = None
    wanted: float | None = None
    """At least so many times as fast was the aim."""


@dataclass(frozen=True)
class Figure:
    """A ratio against a limit, with the limit's own measured time beside it. Times are seconds for one candidate."""

    group: str
    name: str
    ratio: Spread
    against: str
    limit: float
    ours: float
    clock: str = "CPU"
    peers: tuple[Rival, ...] = ()
    note: str = ""
    parts: tuple[tuple[str, float], ...] = ()
    """Where the time goes: (what, share of the whole)."""
    two: Spread | None = None
    """The ratio with both cores at it: two processes of ours against two of the limit, by the wall clock."""
    target: float | None = None

    @property
    def reached(self) -> bool:
        """Whether every aim of this row was."""
        near = self.target is None or self.ratio.middle >= self.target
        return near and all(peer.wanted is None or peer.faster.middle >= peer.wanted for peer in self.peers)


class Raw:
    """Raw P-256 on this machine, through `cryptography`."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._public = self._key.public_key()
        self._signature = self._key.sign(MESSAGE, ECDSA)
        self._other = ec.generate_private_key(ec.SECP256R1()).public_key()

    def sign(self) -> None:
        self._key.sign(MESSAGE, ECDSA)

    def verify(self) -> None:
        self._public.verify(self._signature, MESSAGE, ECDSA)

    def agree(self) -> None:
        self._key.exchange(ec.ECDH(), self._other)

    def work(self, *, signs: int = 0, verifies: int = 0, agreements: int = 0) -> Action:
        def run() -> None:
            for _ in range(signs):
                self.sign()
            for _ in range(verifies):
                self.verify()
            for _ in range(agreements):
                self.agree()

        return run

    def times(self, effort: Effort) -> dict[str, Spread]:
        """Seconds of one sign, one verify, one ECDH."""
        kinds: dict[str, Action] = {"sign": self.sign, "verify": self.verify, "ECDH": self.agree}
        return {
            kind: Spread.of([cpu_of(work, effort.times) for _ in range(effort.rounds)]) for kind, work in kinds.items()
        }


def cpu_of(action: Action, times: int) -> float:
    """CPU seconds of this process for one call."""
    started = time.process_time()
    for _ in range(times):
        action()
    return max(time.process_time() - started, 1e-9) / times


def cpu_of_process(pid: int) -> float:
    """CPU seconds another process has used so far, all its threads: its own clock, finer than /proc's ticks."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # Linux: CPUCLOCK_SCHED of that process
    except OSError:
        user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


class Candidate(Protocol):
    """Something that can be run so many times."""

    def cpu(self, times: int) -> float:
        """CPU seconds of one call."""
        ...

    def start(self) -> Candidate:
        """The same in another process, for two at once; `close` ends it."""
        ...

    def begin(self, times: int) -> None: ...

    def end(self) -> float:
        """CPU seconds of one call."""
        ...

    def close(self) -> None: ...


class Here:
    """Python code, measured in this process; `start` forks it."""

    def __init__(self, action: Action, engine: tuple[str, str] = ("cryptography", "")) -> None:
        self._action, self._engine = action, engine

    def cpu(self, times: int) -> float:
        p256.use(*self._engine)
        try:
            return cpu_of(self._action, times)
        finally:
            p256.use()

    def start(self) -> Candidate:
        return _Forked(self)

    def begin(self, times: int) -> None:
        raise NotImplementedError("only a process of its own can be left alone")

    def end(self) -> float:
        raise NotImplementedError("only a process of its own can be left alone")

    def close(self) -> None:
        pass


class _Forked:
    """A child with the same action. Forked rather than spawned: what was prepared is there already."""

    def __init__(self, here: Here) -> None:
        context = multiprocessing.get_context("fork")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(here, theirs), daemon=True)
        self._process.start()
        theirs.close()

    def cpu(self, times: int) -> float:
        self._pipe.send(times)
        return float(self._pipe.recv())

    def start(self) -> Candidate:
        raise NotImplementedError("a child has no children")

    def begin(self, times: int) -> None:
        self._pipe.send(times)

    def end(self) -> float:
        return float(self._pipe.recv())

    def close(self) -> None:
        self._process.terminate()
        self._process.join()
        self._pipe.close()


def _serve(here: Here, pipe: Any) -> None:
    while True:
        pipe.send(here.cpu(pipe.recv()))


def in_turn(limit: Action, candidates: Mapping[str, Candidate], effort: Effort) -> dict[str, list[float]]:
    """Each round measures the limit and then every candidate: CPU seconds of one call, a list a name, "limit" first."""
    everybody: dict[str, Candidate] = {"limit": Here(limit), **candidates}
    for candidate in everybody.values():
        candidate.cpu(max(1, min(20, effort.times)))
    costs: dict[str, list[float]] = {name: [] for name in everybody}
    for _ in range(effort.rounds):
        for name, candidate in everybody.items():
            costs[name].append(candidate.cpu(effort.times))
    return costs


def on_two_cores(limit: Action, candidates: Mapping[str, Candidate], effort: Effort) -> dict[str, list[float]]:
    """The same with two processes at once, by the wall clock until both are done."""
    costs: dict[str, list[float]] = {}
    everybody = {"limit": Here(limit), **candidates}
    pairs = {name: (candidate.start(), candidate.start()) for name, candidate in everybody.items()}
    try:
        for pair in pairs.values():
            _both(pair, max(1, min(20, effort.times)))
        for _ in range(effort.rounds):
            for name, pair in pairs.items():
                costs.setdefault(name, []).append(_both(pair, effort.times))
    finally:
        for pair in pairs.values():
            for one in pair:
                one.close()
    return costs


def cpu_on_two(action: Action, times: int) -> float:
    """CPU seconds of one call while another process does the same on the other core."""
    pair = (Here(action).start(), Here(action).start())
    try:
        for one in pair:
            one.begin(times)
        return statistics.mean([one.end() for one in pair])
    finally:
        for one in pair:
            one.close()


def wall_on_two(action: Action, times: int) -> float:
    """Seconds by the wall clock in which two processes on two cores have each done one call."""
    pair = (Here(action).start(), Here(action).start())
    try:
        _both(pair, max(1, min(20, times)))
        return _both(pair, times)
    finally:
        for one in pair:
            one.close()


def _both(pair: tuple[Candidate, Candidate], times: int) -> float:
    started = time.perf_counter()
    for one in pair:
        one.begin(times)
    for one in pair:
        one.end()
    return (time.perf_counter() - started) / times


def rounds_of(limits: Sequence[float], costs: Sequence[float]) -> Spread:
    """The ratio of each round."""
    return Spread.of([limit / cost for limit, cost in zip(limits, costs, strict=True)])


@dataclass(frozen=True)
class Measured:
    """A candidate's ratio to the limit of the same round, and its median time."""

    ratio: Spread
    cost: float

    @classmethod
    def of(cls, limits: list[float], costs: list[float]) -> Measured:
        return cls(rounds_of(limits, costs), statistics.median(costs))


def machine() -> dict[str, str]:
    """What was measured on. No names and no paths."""
    model = "unknown"
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            model = next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    busy = os.getloadavg()[0]
    return {
        "processor": f"{model}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}",
        "libraries": ", ".join(f"{name} {importlib.metadata.version(name)}" for name in OURS),
        "peers": ", ".join([*(f"{name} {importlib.metadata.version(name)}" for name in PEERS), *node.versions()]),
        "load average at the start": f"{busy:.1f}",
    }
