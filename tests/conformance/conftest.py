from __future__ import annotations

from collections.abc import Iterator

import pytest

from conformance.country import Country
from conformance.peers import Node


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "node" in getattr(item, "fixturenames", ()):
            item.add_marker("node")


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    peers = Node()
    yield peers
    peers.close()


@pytest.fixture(scope="session")
def country(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Country]:
    running = Country.up(tmp_path_factory.mktemp("country") / "var")
    yield running
    running.down()
