"""`pip install mapae` is enough for formats, checks and the wallet engine; what docs/library.md shows runs."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
# What the six dependencies bring along themselves.
INDIRECT = {"cffi", "_cffi_backend", "pycparser", "typing_extensions"}
GUARD = """
import sys
allowed = {allowed!r}
class Guard:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        own = top == "mapae" or top in sys.stdlib_module_names or top.startswith("_sysconfigdata")
        if not own and top not in allowed:
            raise ImportError(f"{{name}} is not among what `pip install mapae` brings")
sys.meta_path.insert(0, Guard())
"""
MODULES = sorted(
    str(path.relative_to(ROOT / "src").with_suffix("")).replace("/", ".").removesuffix(".__init__")
    for path in [
        *(ROOT / "src" / "mapae" / "formats").rglob("*.py"),
        *(ROOT / "src" / "mapae" / "trust" / "log").rglob("*.py"),
        ROOT / "src" / "mapae" / "holder" / "__init__.py",
        ROOT / "src" / "mapae" / "verifier" / "checking" / "check.py",
        ROOT / "src" / "mapae" / "verifier" / "checking" / "kit.py",
        ROOT / "src" / "mapae" / "verifier" / "till" / "notebook_store.py",
    ]
)


def alone(code: str) -> subprocess.CompletedProcess[str]:
    """Run it where nothing but the standard library and the plain installation can be imported."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    direct = {re.split(r"[<>=]", one)[0] for one in project["dependencies"]}
    return subprocess.run(
        [sys.executable, "-c", GUARD.format(allowed=direct | INDIRECT) + code], cwd=ROOT, text=True, check=False,
        capture_output=True, timeout=60,
    )  # fmt: skip


def test_the_guard_keeps_out_what_is_an_extra() -> None:
    done = alone("import starlette")
    assert done.returncode == 1 and "not among what" in done.stderr


def test_the_library_modules_need_the_plain_installation_only() -> None:
    done = alone("\n".join(f"import {module}" for module in MODULES))
    assert done.returncode == 0, done.stderr


def brought_by(extra: str) -> set[str]:
    """What can be imported once `pip install 'mapae[extra]'` has brought its packages and all that these need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed, due = set[str](), list(project["optional-dependencies"][extra])
    while due:
        name = re.split(r"[^A-Za-z0-9._-]", due.pop())[0].lower().replace("_", "-")
        if name not in needed:
            needed.add(name)
            with contextlib.suppress(metadata.PackageNotFoundError):  # for another system, or an older Python
                due += [one for one in metadata.requires(name) or () if "extra ==" not in one]
    found = metadata.packages_distributions().items()
    return {module for module, names in found if any(one.lower().replace("_", "-") in needed for one in names)}


def test_the_extra_for_checks_is_enough_for_the_till_at_a_terminal() -> None:
    command = "import sys; sys.argv = ['mapae', 'check', 'purposes']; from mapae.cli import main; main()"
    told = alone(f"allowed |= {brought_by('check')!r}\n{command}")
    assert "alcohol_tobacco" in told.stdout, told.stderr[-2000:]


def test_the_examples_of_the_library_page_run() -> None:
    page = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    blocks = BLOCK.findall(page)
    assert len(blocks) == 6
    done = alone("\n".join(blocks))
    assert done.returncode == 0, done.stderr
