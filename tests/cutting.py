"""Power cuts: a database under a process that dies at a write."""

from __future__ import annotations

from typing import TypeVar

from mapae.db import Body, Db, Row, Value

T = TypeVar("T")


class Cut(Exception):
    """The process is gone."""


class Over(Db):
    """A database behind which there is a real one; reads go through."""

    def __init__(self, real: Db) -> None:
        self.real, self.engine = real, real.engine

    async def all(self, sql: str, *args: Value) -> list[Row]:
        return await self.real.all(sql, *args)

    async def one(self, sql: str, *args: Value) -> Row | None:
        return await self.real.one(sql, *args)

    async def close(self) -> None:
        await self.real.close()


class Failing(Over):
    """A database under a process that dies at its n-th write: before it, or just after it was kept."""

    def __init__(self, real: Db) -> None:
        super().__init__(real)
        self.left, self.kept, self.writes = -1, False, 0

    async def write(self, body: Body[T]) -> T:
        self.writes += 1
        self.left -= 1
        if self.left == 0 and not self.kept:
            raise Cut
        done = await self.real.write(body)
        if self.left == 0:
            raise Cut
        return done
