"""How mapae measures: candidate and yardstick in turn in one run, medians of ratios, never an absolute time.

The yardstick is the raw P-256 work of this machine through the same library: what no implementation on it can beat
without another engine. Times are CPU times unless a figure says wall: another program on the same core then costs
less truth.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

ECDSA = ec.ECDSA(SHA256())
MESSAGE = b"m" * 256
VERSIONS = ("cryptography", "cbor2", "orjson", "msgspec", "pybase64", "starlette", "uvicorn", "uvloop", "sd-jwt")

Action = Callable[[], object]


@dataclass(frozen=True)
class Effort:
    """How long to measure. `quick` shows that a script works; its ratios mean little."""

    rounds: int = 15
    times: int = 300
    http_rounds: int = 7
    visits: int = 12
    starts: int = 5
    tokens: int = 4000
    residents: int = 1500


QUICK = Effort(rounds=2, times=3, http_rounds=2, visits=1, starts=1, tokens=64, residents=60)


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
class Figure:
    """A ratio against a limit, with the limit's own measured time beside it. Times are seconds for one candidate."""

    group: str
    name: str
    ratio: Spread
    against: str
    limit: float
    ours: float
    clock: str = "CPU"
    peer: str = ""
    note: str = ""
    parts: tuple[tuple[str, float], ...] = ()
    """Where the time goes: (what, share of the whole)."""


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


def in_turn(limit: Action, candidates: Mapping[str, Action], effort: Effort) -> tuple[float, dict[str, Measured]]:
    """Each round measures the limit and then every candidate; the limit's median time, and each candidate's ratio."""
    for action in (limit, *candidates.values()):
        for _ in range(min(20, effort.times)):
            action()
    limits: list[float] = []
    costs: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(effort.rounds):
        limits.append(cpu_of(limit, effort.times))
        for name, action in candidates.items():
            costs[name].append(cpu_of(action, effort.times))
    return statistics.median(limits), {name: Measured.of(limits, some) for name, some in costs.items()}


@dataclass(frozen=True)
class Measured:
    """A candidate's ratio to the limit of the same round, and its median time."""

    ratio: Spread
    cost: float

    @classmethod
    def of(cls, limits: list[float], costs: list[float]) -> Measured:
        ratios = [limit / cost for limit, cost in zip(limits, costs, strict=True)]
        return cls(Spread.of(ratios), statistics.median(costs))


def machine() -> dict[str, str]:
    """What was measured on. No names and no paths."""
    model = "unknown"
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            model = next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    busy = os.getloadavg()[0]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in VERSIONS)
    return {
        "processor": f"{model}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}",
        "libraries": versions,
        "load average at the start": f"{busy:.1f}",
    }
