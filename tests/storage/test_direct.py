"""Statements that are sent without SQLAlchemy's execution."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, suppress

import pytest
from sqlalchemy import bindparam, text
from sqlalchemy.schema import CreateTable

from service.settings.database import DatabaseOptions
from service.storage import tables
from service.storage.database import Database
from service.storage.direct import AnyConnection, DirectStatement
from service.storage.errors import DatabaseUnavailable, StatementRefused
from tests.databases import TERMINATE_ALL_OTHERS, execute

ADD = DirectStatement(
    text("INSERT INTO rate_limit VALUES (:bucket, now()) RETURNING bucket").bindparams(
        bindparam("bucket")
    )
)
COUNT = DirectStatement(text("SELECT count(*) AS rows FROM rate_limit"))
SLEEP = DirectStatement(text("SELECT pg_sleep(:seconds)"))
READ_ONLY = DirectStatement(text("SET default_transaction_read_only = on"))
BACKEND = DirectStatement(text("SELECT pg_backend_pid() AS pid"))
DIVIDE = DirectStatement(text("SELECT 1 / CAST(:number AS integer) AS ratio"))


class Single(Database):
    """A pool of one connection; the tests take it with what SQLAlchemy adds, and without."""

    taken: Callable[[], AbstractAsyncContextManager[AnyConnection]]


@pytest.fixture(params=["connect", "direct"])
async def single(database_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Single]:
    single = Single(database_url, DatabaseOptions(pool_size=1))
    single.taken = getattr(single, request.param)
    yield single
    await single.close()


async def rows_in(database: Single) -> int:
    async with database.taken() as connection:
        count: int = (await COUNT.one(connection, {})).rows
    return count


async def backend_of(database: Single) -> int:
    """Return which of PostgreSQL's processes serves the connection."""
    async with database.taken() as connection:
        pid: int = (await BACKEND.one(connection, {})).pid
    return pid


async def test_a_statement_commits_by_itself(single: Single) -> None:
    async with single.taken() as connection:
        assert (await ADD.one(connection, {"bucket": b"x"})).bucket == b"x"
    assert await rows_in(single) == 1


async def test_a_statement_in_a_transaction_is_rolled_back_with_it(single: Single) -> None:
    with pytest.raises(ZeroDivisionError):
        async with single.transaction() as connection:
            await ADD.one(connection, {"bucket": b"x"})
            raise ZeroDivisionError
    assert await rows_in(single) == 0


async def test_a_connection_that_the_server_closed_is_not_kept(
    single: Single, database_url: str
) -> None:
    await rows_in(single)
    await asyncio.to_thread(execute, database_url, TERMINATE_ALL_OTHERS)
    with suppress(DatabaseUnavailable):
        await rows_in(single)
    assert await rows_in(single) == 0


async def test_a_connection_whose_statement_was_abandoned_is_not_kept(single: Single) -> None:
    before = await backend_of(single)
    with pytest.raises(DatabaseUnavailable):
        async with single.taken() as connection, asyncio.timeout(0.01):
            await SLEEP.one(connection, {"seconds": 60.0})
    assert await rows_in(single) == 0
    assert await backend_of(single) != before


async def test_a_connection_to_a_server_that_became_read_only_is_not_kept(single: Single) -> None:
    async with single.taken() as connection:
        await READ_ONLY.all(connection, {})
    with pytest.raises(DatabaseUnavailable, match="read-only"):
        async with single.taken() as connection:
            await ADD.one(connection, {"bucket": b"x"})
    async with single.taken() as connection:
        await ADD.one(connection, {"bucket": b"x"})


async def test_a_refused_statement_keeps_its_connection(single: Single) -> None:
    before = await backend_of(single)
    with pytest.raises(StatementRefused):
        async with single.taken() as connection:
            await DIVIDE.one(connection, {"number": 0})
    assert await rows_in(single) == 0
    assert await backend_of(single) == before


def test_what_has_no_parameters_is_no_direct_statement() -> None:
    with pytest.raises(TypeError, match="not a statement"):
        DirectStatement(CreateTable(tables.device))


async def test_a_statement_without_a_row_returns_none(single: Single) -> None:
    nothing = DirectStatement(text("SELECT 1 AS one WHERE false"))
    async with single.taken() as connection:
        assert await nothing.one_or_none(connection, {}) is None
        with pytest.raises(LookupError):
            await nothing.one(connection, {})
