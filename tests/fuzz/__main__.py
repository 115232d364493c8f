"""`python -m fuzz --seconds N`: every target in turn under atheris, coverage guided, N seconds each.

What breaks a parser is written to test-results/fuzz/broken/TARGET-*, and its name is printed with the exception.
`--keep` merges what was found into the committed corpus, as little of it as covers the same code.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from fuzz import corpus, seeds
from fuzz.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / "test-results" / "fuzz"
SLOW, HEAVY = 5, 1024  # seconds and megabytes one case may take, Python and instrumentation included


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=20, help="for each target")
    parser.add_argument("--seed", type=int, default=0, help="the same walk again; 0: a new one each time")
    parser.add_argument("--only", choices=sorted(TARGETS), action="append")
    parser.add_argument("--keep", action="store_true", help="merge what was found into tests/fuzz/corpus")
    given = parser.parse_args()
    broken = WORK / "broken"
    broken.mkdir(parents=True, exist_ok=True)
    failed = [name for name in given.only or TARGETS if not fuzz(name, given.seconds, given.seed, broken)]
    if given.keep:
        for name in given.only or TARGETS:
            merge(name)
    if failed:
        print(f"broken: {', '.join(failed)}; the inputs are in {broken.relative_to(ROOT)}")
    return bool(failed)


def fuzz(name: str, seconds: int, seed: int, broken: Path) -> bool:
    """Whether the target held."""
    place = corpus.unpacked(name, WORK / "found", seeds.SEEDS.get(name, list)())
    ended = _atheris(
        name, str(place), f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={corpus.LARGEST}",
        f"-timeout={SLOW}", f"-rss_limit_mb={HEAVY}", f"-artifact_prefix={broken}/{name}-", "-print_final_stats=1",
        "-verbosity=0", hashes=seed,
    )  # fmt: skip
    runs = [line for line in ended.stderr.splitlines() if "number_of_executed_units" in line]
    said = f"{runs[-1].split()[-1]} runs" if runs else "no runs"
    print(f"{name}: {said}{'' if ended.returncode == 0 else ', BROKEN'}", flush=True)
    if ended.returncode:
        print((ended.stdout + ended.stderr)[-3000:])
    return ended.returncode == 0


def merge(name: str) -> None:
    least, found = WORK / "least" / name, WORK / "found" / name
    shutil.rmtree(least, ignore_errors=True)
    least.mkdir(parents=True)
    _atheris(
        name, "-merge=1", str(least), str(found), f"-timeout={SLOW}", f"-max_len={corpus.LARGEST}",
        f"-artifact_prefix={WORK}/broken/{name}-",
    )  # fmt: skip
    few = sorted((path.read_bytes() for path in least.iterdir()), key=len)
    corpus.keep(name, [*seeds.SEEDS.get(name, list)(), *few[: corpus.MOST]])


def _atheris(name: str, *arguments: str, hashes: int = 0) -> subprocess.CompletedProcess[str]:
    paths = [str(ROOT / "src"), str(ROOT / "tests")]
    # The order of sets is a part of the walk.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONHASHSEED": str(hashes or "random")}
    return subprocess.run(
        [sys.executable, "-m", "fuzz.one", name, *arguments], cwd=ROOT, env=environment, capture_output=True,
        text=True, errors="replace", check=False,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
