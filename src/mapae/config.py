"""TOML in, frozen settings out.

Promises: a settings file or a country pack is read once, whole, and either every key is known and of the right type
or nothing starts. Trusts: the file system. Keeps: nothing. Refuses: unknown keys, wrong types, a missing pack.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import tomllib
from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from .errors import Code, Refused

T = TypeVar("T")

_KEY = re.compile(r"[a-z][a-z0-9_-]*/[a-z0-9][a-z0-9_-]{0,62}")
_WITNESS = re.compile(r"[a-z][a-z0-9-]{0,31}")
_EVM = re.compile(r"evm:https?://[^\s#]+#0x[0-9a-fA-F]{40}(@[0-9]{1,18})?")
ISSUING_CA, ELSEWHERE = "issuer/issuing-ca", "elsewhere:"  # the one key that may be on no machine of ours
OUTSIDE = ("sms_url", "factory_url", "post_url", "payment_url", "fingerprint_url")  # who is not one of our roles
ROLES = ("registers", "trust", "wallet_provider", "issuer", "verifier")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one installation decides. Every field has a default that runs the demo country on a laptop."""

    base_url: str = "http://localhost:8080"
    """Where the public reaches this installation; no slash at the end."""

    country: str = "kr"
    """A pack that ships with mapae, or a path to a folder of TOML files."""

    data: str = "var"
    """Folder for SQLite files and encrypted keys."""

    database: str = ""
    """URL with {role} in it, for PostgreSQL; empty: one SQLite file a role below `data`."""

    roles: tuple[str, ...] = ROLES
    """The roles this process runs."""

    role_urls: dict[str, str] = {}
    """Where the other processes reach a role (an address of your own network); one not named answers under base_url."""

    relying_parties: tuple[str, ...] = ()
    """Ids of the trust registry on whose behalf this process's verifier asks."""

    relay_url: str = ""
    """The relay where this verifier meets phones that show a code, if it has no address that phones reach; empty: our
    own, below base_url, and answers come straight."""

    gateway_services: dict[str, str] = {}
    """Service codes that relying parties of the Korean message family use, each with our purpose; one that is not here
    is the purpose's own id."""

    push_services: tuple[str, ...] = (
        "fcm.googleapis.com", "updates.push.services.mozilla.com", "web.push.apple.com", "*.notify.windows.com",
    )  # fmt: skip
    """Hosts of the push services that wake phones, or "*." and the end of their names; none: no phone is woken, and
    wallets look into their mailbox while they are open."""

    push_contact: str = ""
    """Whom a push service writes to about our pushes, an https: or mailto: address; empty: base_url."""

    sms_url: str = ""
    """Where text messages are handed in; empty: the simulated carrier, and an inbox anybody can read."""

    factory_url: str = ""
    """The factory of physical cards; empty: in a demo the simulated one, else no cards are ordered."""

    post_url: str = ""
    """Registered mail and couriers; empty: in a demo the simulated post, else nothing is sent."""

    payment_url: str = ""
    """The payment company; empty: in a demo the simulated one, else nobody pays by card."""

    fingerprint_url: str = ""
    """What compares a finger at an office with the register; empty: in a demo a simulated reader, else none."""

    keys: dict[str, str] = {}
    """Role and key to URI, for P-256 keys that are not in an encrypted file: pkcs11:token=mapae;object=issuing-ca."""

    engine: str = "cryptography"
    """Who computes ECDSA: cryptography, or awslc when the extra of that name is installed."""

    batch_engine: str = ""
    """Who verifies several signatures at a time: crypto_mb when that library is there; empty: the engine, in turn."""

    face_verifier: str = "dlib"
    """Who compares faces: dlib (the reference, not accredited), none, or somebody's own as module:attribute."""

    ledger: str = "embedded"
    """The engine of the trust log: embedded, or evm:RPC-URL#CONTRACT as `mapae ledger deploy` prints it."""

    ledger_blocks: str = "finalized"
    """Which blocks of the ledger's network count: finalized, or latest where every block is final at once."""

    witnesses: dict[str, str] = {}
    """Who cosigns the log's checkpoints, when it is founded: a name, and "VKEY URL" as `mapae witness key` prints it.
    Empty: in a demo three of our own, else none."""

    admission_delay: int = 0
    """Seconds between two governors' agreement on a party and its first act, when the log is founded."""

    epoch: int = 300
    """Seconds between two anchors of a publisher's status lists in the log."""

    digital_credentials: bool = False
    """Offer the browser's Digital Credentials API on the pages of shops and of the log-in; it is young, the links are
    always there."""

    metrics_port: int = 0
    """Port of Prometheus metrics, on this machine only; 0: none."""

    demo: bool = False
    """Run as the demo country: seeded people, simulators, software authenticator. Never for real people."""

    def database_url(self, role: str) -> str:
        return self.database.replace("{role}", role) if self.database else f"sqlite:///{self.data}/{role}.db"

    def url_of(self, role: str) -> str:
        return self.role_urls.get(role, self.base_url)


def load_toml(path: Path, type_: type[T]) -> T:
    """Read one TOML file into a msgspec type. Raises Refused(BAD_CONFIG) naming the file and the field."""
    try:
        return msgspec.convert(read_toml(path), type_)
    except msgspec.ValidationError as error:
        raise Refused(Code.BAD_CONFIG, f"{path.name}: {error}; docs/operate.md lists every setting") from None


def read_toml(path: Path) -> dict[str, Any]:
    """Raises Refused(BAD_CONFIG) when the file is missing or is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Refused(Code.BAD_CONFIG, f"there is no file {path}: check the path, or make the file") from None
    except OSError as error:
        raise Refused(Code.BAD_CONFIG, f"{path} cannot be read: {error.strerror}; give a TOML file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refused(Code.BAD_CONFIG, f"{path.name} is not TOML: {error}; mend that line") from None


def load_settings(path: Path | None = None) -> Settings:
    """Settings from `path`, or from the file MAPAE_CONFIG names, or the defaults."""
    chosen = path or (Path(os.environ["MAPAE_CONFIG"]) if os.environ.get("MAPAE_CONFIG") else None)
    if chosen is None:
        return Settings()
    try:
        return checked(load_toml(chosen, Settings))
    except Refused as refused:
        said = refused.detail if chosen.name in refused.detail else f"{chosen.name}: {refused.detail}"
        raise Refused(refused.code, said) from None


def checked(settings: Settings) -> Settings:
    """The same settings. Raises Refused(BAD_CONFIG) naming the field that cannot be right and what to write instead."""
    outside = {field: getattr(settings, field) for field in OUTSIDE}
    for field, url in {
        "base_url": settings.base_url, **{field: url or "http://none" for field, url in outside.items()},
        **{f"role_urls.{role}": url for role, url in settings.role_urls.items()},
    }.items():  # fmt: skip
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise Refused(Code.BAD_CONFIG, f"{field} must be an address such as https://id.example.org")
        if url.endswith("/"):
            raise Refused(Code.BAD_CONFIG, f"{field} must not end with a slash: write {url.rstrip('/')}")
    for field, roles in {"roles": settings.roles, "role_urls": tuple(settings.role_urls)}.items():
        unknown = sorted(set(roles) - set(ROLES))
        if unknown:
            raise Refused(Code.BAD_CONFIG, f"{field}: there is no role {unknown[0]}; the roles are {', '.join(ROLES)}")
    for name, uri in settings.keys.items():
        if not _KEY.fullmatch(name):
            raise Refused(Code.BAD_CONFIG, "keys: a name is a role and its key, such as issuer/issuing-ca")
        if not uri.startswith(("file:", "pkcs11:")) and (name, uri) != (ISSUING_CA, ELSEWHERE):
            raise Refused(
                Code.BAD_CONFIG, f"keys.{name}: a key's URI begins with file: or pkcs11:; only {ISSUING_CA} may be"
                f" {ELSEWHERE}"
            )  # fmt: skip
    _must_be_trustworthy(settings)
    if settings.database and "{role}" not in settings.database:
        raise Refused(
            Code.BAD_CONFIG, "database must hold {role}, each role has its own: postgresql:///mapae?search_path={role}"
        )
    return settings


def _must_be_trustworthy(settings: Settings) -> None:
    """What the settings say of the trust log."""
    if settings.ledger != "embedded" and not _EVM.fullmatch(settings.ledger):
        raise Refused(
            Code.BAD_CONFIG, "ledger is embedded, or evm:http://127.0.0.1:8545#0x... with the contract's address"
        )
    if settings.ledger_blocks not in ("finalized", "latest"):
        raise Refused(Code.BAD_CONFIG, "ledger_blocks is finalized or latest")
    for name, value in settings.witnesses.items():
        vkey, _, url = value.partition(" ")
        if not _WITNESS.fullmatch(name):
            raise Refused(Code.BAD_CONFIG, "witnesses: a name is small letters, digits and hyphens")
        if vkey.count("+") < 2 or urlsplit(url).scheme not in ("http", "https") or url.endswith("/"):
            raise Refused(Code.BAD_CONFIG, f"witnesses.{name}: write what `mapae witness key` prints there: VKEY URL")
    if not 0 <= settings.admission_delay <= 7_776_000:
        raise Refused(Code.BAD_CONFIG, "admission_delay is seconds, 90 days at the most")
    if settings.epoch < 1 or not 0 <= settings.metrics_port < 65536:
        raise Refused(Code.BAD_CONFIG, "epoch is a number of seconds, metrics_port a port")


def country_tree(name: str, *only: str) -> dict[str, Any]:
    """A pack as one tree: each TOML file under its stem, each folder as a dict of its files. `only`: these parts of it.

    Raises Refused(BAD_CONFIG) when there is no such pack.
    """
    shipped = Path(__file__).parent / "country" / name
    root = shipped if shipped.is_dir() else Path(name)
    if not (root / "country.toml").is_file():
        shipped_packs = ", ".join(sorted(path.name for path in shipped.parent.iterdir() if path.is_dir()))
        raise Refused(
            Code.BAD_CONFIG,
            f"country: there is no pack {name}; there are {shipped_packs}, or name a folder that holds a country.toml",
        )
    return deepcopy(_shipped(root, only)) if root == shipped else _tree(root, only)


@lru_cache(maxsize=8)
def _shipped(root: Path, only: tuple[str, ...]) -> dict[str, Any]:
    """Read once a process: nobody edits what is installed, and a demo asks for it half a dozen times."""
    return _tree(root, only)


def _tree(folder: Path, only: tuple[str, ...] = ()) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in sorted(folder.iterdir()):
        if only and path.stem not in only:
            continue
        if path.is_dir():
            found[path.name] = _tree(path)
        elif path.suffix == ".toml":
            found[path.stem] = read_toml(path)
    return found


def passphrase(data: Path) -> bytes:
    """What the key files are encrypted under: MAPAE_PASSPHRASE, or a secret made once in the data folder."""
    return (os.environ.get("MAPAE_PASSPHRASE") or _secret(data / "passphrase")).encode()


def sms_key(data: Path) -> str:
    """What the carrier knows us by: MAPAE_SMS_KEY, or a secret made once in the data folder."""
    return service_key(data, "sms")


def service_key(data: Path, service: str) -> str:
    """What a service outside knows us by: MAPAE_<SERVICE>_KEY, or a secret made once in the data folder."""
    return os.environ.get(f"MAPAE_{service.upper()}_KEY") or _secret(data / f"{service}-key")


def _secret(path: Path) -> str:
    """Made once: of processes that start together the first one's stands, and nobody reads half of it."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_text(encoding="ascii")
