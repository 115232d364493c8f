"""What every test may use: both database engines, and no network but this machine's own."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, settings

import postgres
import tokens
from mapae.db import Db, connect, migrate
from soak import SOAK
from town import Town

_slow_is_fine = [HealthCheck.too_slow]
# The quick profile draws the same examples every time, so that a red run is somebody's change; `make soak` draws anew.
settings.register_profile(
    "quick", deadline=None, max_examples=60 if SOAK else 40, derandomize=True, database=None,
    suppress_health_check=_slow_is_fine,
)  # fmt: skip
settings.register_profile("thorough", deadline=None, max_examples=2000, suppress_health_check=_slow_is_fine)
settings.load_profile(os.environ.get("MAPAE_HYPOTHESIS", "quick"))

ROOM = 4 * 1024**3  # bytes: three workers' databases and the towns of tests that failed take less than half


def pytest_configure() -> None:
    """Where there is room, tests keep their files in memory: they make and drop a thousand databases, which on a disk
    takes longer than the tests. A process that is killed leaves as much behind there as on a disk."""
    memory = Path("/dev/shm")
    if "TMPDIR" not in os.environ and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM:
        os.environ["TMPDIR"] = tempfile.tempdir = str(memory)


FIRST = ("stories", "faults", "chain")
"""The folders whose single tests take longest."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long begins first, so that nobody waits for it alone at the end."""
    here = Path(__file__).parent
    items.sort(key=lambda item: item.path.relative_to(here).parts[0] not in FIRST)


SHARED = Path(__file__).resolve().parents[2] / "shared"
_serial = itertools.count()


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """A test that reaches beyond loopback is a bug in the test."""
    real = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and str(address[0]) not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a test tried to reach {address[0]}")
        real(self, address)  # type: ignore[arg-type]

    socket.socket.connect = guarded  # type: ignore[method-assign]
    yield
    socket.socket.connect = real  # type: ignore[method-assign]


@pytest.fixture(scope="session")
def cluster() -> Iterator[postgres.Cluster]:
    """One private PostgreSQL cluster for this worker."""
    bin = postgres.binaries()
    if bin is None:
        pytest.fail("PostgreSQL is not installed; `make setup` installs it or says how (apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="mapae-pg-"))
    running = postgres.Cluster(folder, bin)
    yield running
    running.stop()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A URL template with {role} in it, for each engine in turn."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/{{role}}.db"
        return
    running: postgres.Cluster = request.getfixturevalue("cluster")
    name = f"t{next(_serial)}"
    yield running.create(name)
    running.drop(name)


Migrated = Callable[[str], Awaitable[Db]]


@pytest.fixture(scope="session")
def drawers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this worker keeps one database a role, up to date and empty, to copy."""
    return tmp_path_factory.mktemp("drawers")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def migrated(request: pytest.FixtureRequest, tmp_path: Path, drawers: Path) -> AsyncIterator[Migrated]:
    """Opens a role's own database on each engine in turn, up to date: a copy, for migrating takes longer than most
    tests."""
    opened: list[Db] = []
    names: list[str] = []
    running: postgres.Cluster | None = None
    if request.param == "postgresql":
        running = request.getfixturevalue("cluster")

    async def open_role(role: str) -> Db:
        made = drawers / f"{role}.{request.param}"
        if running is None:
            url = f"sqlite:///{tmp_path}/{role}.db"
            if not made.exists():
                await _made(f"sqlite:///{made}", role)
            shutil.copyfile(made, tmp_path / f"{role}.db")
        else:
            if not made.exists():
                await _made(running.create(f"made_{role}").replace("{role}", role), role)
                made.touch()
            names.append(f"t{next(_serial)}")
            url = running.create(names[-1], f"made_{role}").replace("{role}", role)
        opened.append(await connect(url))
        return opened[-1]

    yield open_role
    for one in opened:
        await one.close()
    if running is not None:
        for name in names:
            running.drop(name)


async def _made(url: str, role: str) -> None:
    db = await connect(url)
    await migrate(db, role)
    await db.close()


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Db]:
    """An empty database on each engine; `migrate` it for the role the test is about."""
    opened = await connect(database_url.replace("{role}", "plain"))
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def vectors() -> Path:
    """Public test vectors beside the project; tests that need them skip, saying so, where the folder is absent."""
    folder = SHARED / "vectors"
    if not folder.is_dir():
        pytest.skip("the public vectors are not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def soft_token(tmp_path_factory: pytest.TempPathFactory) -> tokens.SoftToken:
    """One token for this worker: the module reads its settings once a process."""
    module = tokens.module()
    if module is None:
        pytest.fail("SoftHSM is not installed; `make setup` installs it or says how (apt-get install softhsm2)")
    return tokens.SoftToken(tmp_path_factory.mktemp("softhsm"), module)


@pytest.fixture
def token(soft_token: tokens.SoftToken, monkeypatch: pytest.MonkeyPatch) -> Iterator[tokens.SoftToken]:
    """A PKCS #11 token that is plugged in, and its PIN in the environment."""
    for name, value in soft_token.environment.items():
        monkeypatch.setenv(name, value)
    yield soft_token
    soft_token.plug()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A seeded town's data folder on SQLite, made once for this worker and copied for each test."""
    data = tmp_path_factory.mktemp("template") / "var"
    with start_blocking_portal() as portal:
        Town.open(portal, data).close()
    return data


@pytest.fixture(scope="module")
def shared_town(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """One town for a whole file on SQLite: for tests that leave its people as they found them."""
    folder = tmp_path_factory.mktemp("shared") / "var"
    shutil.copytree(template, folder)
    with start_blocking_portal() as portal:
        opened = Town.open(portal, folder)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def postgres_template(cluster: postgres.Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same on PostgreSQL: the data folder, and a database named `seeded` to copy."""
    data = tmp_path_factory.mktemp("postgres-template") / "var"
    url = cluster.create("seeded")
    with start_blocking_portal() as portal:
        Town.open(portal, data, database=url).close()
    return data


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def town(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Town]:
    """A whole country on each engine; SQLite files or a PostgreSQL database of its own."""
    database, drop = "", None
    if request.param == "postgresql":
        running: postgres.Cluster = request.getfixturevalue("cluster")
        shutil.copytree(request.getfixturevalue("postgres_template"), tmp_path / "var")
        name = f"t{next(_serial)}"
        database, drop = running.create(name, "seeded"), lambda: running.drop(name)
    else:
        shutil.copytree(request.getfixturevalue("template"), tmp_path / "var")
    with start_blocking_portal() as portal:
        opened = Town.open(portal, tmp_path / "var", database=database)
        yield opened
        opened.close()
    if drop is not None:
        drop()
