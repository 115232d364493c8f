"""How long until the first answer: cold start, second start, and importing the formats library.

The limit of a start is a Python that imports the same outside modules and does nothing. CPU times of the whole
process; the wall seconds beside them are what a person waits, on a machine as busy as this one was and on a free core.
"""

from __future__ import annotations

import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import ROOT
from bench.harness import Effort, Figure, Measured, cpu_of_process
from bench.server import free_port, started, wait_for

SERVER = (
    "import mapae.cli, mapae.app, mapae.demo, mapae.holder, uvicorn, uvloop, httptools,"
    " uvicorn.protocols.http.httptools_impl, uvicorn.loops.uvloop"
)
FORMATS = "from mapae.formats import jose, sd_jwt, mdoc, status, x509"
LIST = (
    "; import sys; print('\\n'.join(name for name in sys.modules if name.split('.')[0] not in ('mapae', '__main__')))"
)
IMPORT = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ImportError:
        pass
"""


def outside(imports: str) -> list[str]:
    """Every module outside mapae that these imports load, in the order they load it."""
    listed = subprocess.run(
        [sys.executable, "-c", imports + LIST], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return listed.stdout.split()


def cpu_of_python(*arguments: str) -> float:
    """CPU seconds of one Python process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def figures(effort: Effort) -> list[Figure]:
    return [*_server(effort), formats(effort)]


def _server(effort: Effort) -> list[Figure]:
    modules = outside(SERVER)
    limits: list[float] = []
    cold: list[Waited] = []
    second: list[Waited] = []
    with TemporaryDirectory(prefix="mapae-bench-") as folder:
        data = Path(folder) / "var"
        cpu_of_python("-c", IMPORT, *modules)  # the disk's cache is warm for everybody
        for _ in range(effort.starts):
            shutil.rmtree(data, ignore_errors=True)
            limits.append(cpu_of_python("-c", IMPORT, *modules))
            cold.append(first_answer(data, effort.residents))
            second.append(first_answer(data, effort.residents))
    why = f"Python importing the same {len(modules)} outside modules"
    return [
        _start("cold start, empty folder to the first answer", limits, cold, why,
               f"makes keys, certificates, databases, {effort.residents} residents and the named people"),
        _start("second start", limits, second, why, "opens the same folder; the promise is under 3 seconds"),
    ]  # fmt: skip


@dataclass(frozen=True)
class Waited:
    """Seconds: CPU, on the wall clock, and on the wall clock had a core been free."""

    cpu: float
    wall: float
    alone: float


def first_answer(data: Path, residents: int) -> Waited:
    """`mapae demo up` until its start page answers."""
    port = free_port()
    command = [sys.executable, "-m", "mapae", "demo", "up", "--data", str(data), "--port", str(port)]
    begun = time.perf_counter()
    with started([*command, "--residents", str(residents)]) as process:
        wait_for(f"http://localhost:{port}/", process)
        waited = time.perf_counter() - begun
        return Waited(cpu_of_process(process.pid), waited, waited - _in_line(process.pid))


def _in_line(pid: int) -> float:
    """Seconds the main thread was ready to run while others had the cores."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0


def _start(name: str, limits: list[float], spent: list[Waited], why: str, note: str) -> Figure:
    measured = Measured.of(limits, [one.cpu for one in spent])
    wall, alone = (statistics.median(some) for some in ([one.wall for one in spent], [one.alone for one in spent]))
    waited = f"waited {wall:.1f} s, {alone:.1f} s not counting the time in line for a core that others used"
    return Figure(
        "starting", name, measured.ratio, why, statistics.median(limits), measured.cost, note=f"{note}; {waited}"
    )


def formats(effort: Effort) -> Figure:
    modules = outside(FORMATS)
    limits, costs = [], []
    run: Callable[[str], float] = lambda code: cpu_of_python("-c", code)  # noqa: E731
    run(FORMATS)
    for _ in range(max(effort.starts, 2) * 2):
        limits.append(cpu_of_python("-c", IMPORT, *modules))
        costs.append(run(FORMATS))
    measured = Measured.of(limits, costs)
    against = f"Python importing the same {len(modules)} outside modules"
    return Figure("starting", "import mapae.formats", measured.ratio, against, statistics.median(limits), measured.cost)
