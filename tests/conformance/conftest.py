from __future__ import annotations

from collections.abc import Iterator

import pytest

from conformance.peers import Node


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    peers = Node()
    yield peers
    peers.close()
