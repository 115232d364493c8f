"""How a house is closed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from structlog.testing import capture_logs

from mapae.house import House


async def test_one_part_that_does_not_end_well_keeps_no_database_open() -> None:
    ended: list[str] = []

    def ending(name: str, trouble: Exception | None = None) -> Any:
        async def end() -> None:
            ended.append(name)
            if trouble is not None:
                raise trouble

        return end

    foundation = SimpleNamespace(
        http=SimpleNamespace(aclose=ending("http")), databases={"issuer": SimpleNamespace(close=ending("database"))}
    )
    house: Any = SimpleNamespace(
        _tasks=[], endings=[ending("worker", RuntimeError("somebody's name")), ending("next")], foundation=foundation
    )
    with capture_logs() as logs:
        await House.close(house)
    assert ended == ["worker", "next", "http", "database"]
    assert [one["kind"] for one in logs] == ["RuntimeError"] and "name" not in str(logs)
