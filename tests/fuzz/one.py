"""One target under atheris: `python -m fuzz.one TARGET [libFuzzer's arguments]`. Started by `python -m fuzz`."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["mapae"], enable_loader_override=False):
    from fuzz import targets

name = sys.argv.pop(1)
sys.argv[0] = f"{sys.executable} -m fuzz.one {name}"  # how libFuzzer starts itself again to merge
atheris.Setup(sys.argv, lambda data: targets.run(name, bytes(data)))
atheris.Fuzz()
