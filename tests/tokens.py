"""A real PKCS #11 token in software (SoftHSM2, Debian's softhsm2), in a folder of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

PIN = "271828"


def module() -> str | None:
    """Where Debian puts it; other systems name the processor in the path."""
    folders = sorted([Path("/usr/lib"), *Path("/usr/lib").glob("*-linux-gnu"), Path("/usr/lib64")])
    found = [folder / "softhsm/libsofthsm2.so" for folder in folders]
    return next((str(path) for path in found if path.exists()), None) if shutil.which("softhsm2-util") else None


class SoftToken:
    """One token labelled `mapae`. `unplug` and `plug` do what a hand would."""

    def __init__(self, folder: Path, module: str) -> None:
        self.module = module
        self._tokens, self._drawer = folder / "tokens", folder / "drawer"
        self._tokens.mkdir(parents=True)
        config = folder / "softhsm2.conf"
        config.write_text(f"directories.tokendir = {self._tokens}\nlog.level = ERROR\n", encoding="ascii")
        self.environment = {
            "SOFTHSM2_CONF": str(config), "MAPAE_PKCS11_MODULE": module, "MAPAE_PKCS11_PIN": PIN,
        }  # fmt: skip
        subprocess.run(
            ["softhsm2-util", "--init-token", "--free", "--label", "mapae", "--pin", PIN, "--so-pin", "31415926"],
            check=True, capture_output=True, env=self.environment,
        )  # fmt: skip

    def unplug(self) -> None:
        self._tokens.rename(self._drawer)
        self._tokens.mkdir()

    def plug(self) -> None:
        if self._drawer.exists():
            self._tokens.rmdir()
            self._drawer.rename(self._tokens)
