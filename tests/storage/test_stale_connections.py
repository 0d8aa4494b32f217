"""A connection that ended while it was idle costs nobody an error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import EmulatedDBAPIException
from sqlalchemy.ext.asyncio import AsyncConnection

from service.settings.database import DatabaseOptions
from service.storage.database import Database, _discard_unusable
from service.storage.direct import AnyConnection, DirectStatement
from service.storage.errors import DatabaseUnavailable, translating_errors
from service.storage.session_lookups import SessionLookups
from tests.databases import TERMINATE_ALL_OTHERS, execute
from tests.proxy import Proxy
from tests.services import wait_for


async def one(connection: AsyncConnection) -> int:
    result: int = (await connection.execute(text("SELECT 1"))).scalar_one()
    return result


STATEMENT = DirectStatement(text("SELECT 1 AS one"))


async def one_directly(connection: AnyConnection) -> int:
    found: int = (await STATEMENT.one(connection, {})).one
    return found


async def test_a_look_up_is_tried_again_if_its_connection_was_cut(database_url: str) -> None:
    lookups = SessionLookups(database_url, DatabaseOptions())
    await lookups.find(uuid4())
    # The event loop waits meanwhile: the service cannot know yet.
    execute(database_url, TERMINATE_ALL_OTHERS)
    assert await lookups.find(uuid4()) is None
    await lookups.close()


async def test_a_read_is_tried_again_if_its_connection_was_cut(
    database: Database, database_url: str
) -> None:
    await database.with_retry(one)
    execute(database_url, TERMINATE_ALL_OTHERS)
    assert await database.with_retry(one) == 1


async def test_a_direct_statement_is_tried_again_if_its_connection_was_cut(
    database: Database, database_url: str
) -> None:
    await database.with_retry_direct(one_directly)
    execute(database_url, TERMINATE_ALL_OTHERS)
    assert await database.with_retry_direct(one_directly) == 1


@pytest.mark.parametrize("way", ["statement", "direct", "look-up"])
async def test_a_read_on_a_connection_that_was_ended_is_tried_again_before_its_end_arrives(
    database_url: str, way: str
) -> None:
    """The server tells the reason, and closes the connection a moment later."""
    with Proxy(database_url).running() as proxy:
        database = Database(proxy.url, DatabaseOptions())
        lookups = SessionLookups(proxy.url, DatabaseOptions())
        read: dict[str, Callable[[], Awaitable[object]]] = {
            "statement": lambda: database.with_retry(one),
            "direct": lambda: database.with_retry_direct(one_directly),
            "look-up": lambda: lookups.find(uuid4()),
        }
        expected = await read[way]()
        proxy.keeps_ended = True
        await asyncio.to_thread(execute, database_url, TERMINATE_ALL_OTHERS)
        await asyncio.to_thread(wait_for, lambda: proxy.ended == 1, "the server has closed it")
        assert await read[way]() == expected
        assert proxy.connections == 2
        await lookups.close()
        await database.close()


async def test_a_write_is_not_tried_again(database: Database, database_url: str) -> None:
    """It may have taken effect."""
    await database.with_retry(one)
    execute(database_url, TERMINATE_ALL_OTHERS)
    with pytest.raises(DatabaseUnavailable):
        async with database.connect() as connection:
            await connection.execute(text("DELETE FROM session"))


async def test_a_write_takes_no_connection_that_is_known_to_be_cut(
    database: Database, database_url: str
) -> None:
    async with database.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
    await asyncio.to_thread(execute, database_url, TERMINATE_ALL_OTHERS)
    await asyncio.to_thread(wait_for, driver.is_closed, "the service knows that it is cut")
    async with database.connect() as connection:
        await connection.execute(text("DELETE FROM session"))


async def test_a_connection_to_a_server_that_became_read_only_is_not_used_again(
    database: Database,
) -> None:
    async with database.connect() as connection:
        await connection.execute(text("SET default_transaction_read_only = on"))
    with pytest.raises(DatabaseUnavailable, match="read-only"):
        async with database.connect() as connection:
            await connection.execute(text("DELETE FROM session"))
    async with database.connect() as connection:
        await connection.execute(text("DELETE FROM session"))


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InternalClientError("unexpected protocol state"),
        asyncpg.TooManyConnectionsError("sorry, too many clients already"),
        asyncpg.InsufficientPrivilegeError("permission denied for table session"),
        asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction"),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.CrashShutdownError("terminating connection"),
        asyncpg.LockNotAvailableError("canceling statement due to lock timeout"),
        asyncpg.IdleInTransactionSessionTimeoutError("terminating connection"),
        asyncpg.InvalidCachedStatementError("cached plan must not change result type"),
        EmulatedDBAPIException("unexpected", asyncpg.InternalClientError("unexpected state")),
        EmulatedDBAPIException(
            "lost", asyncpg.ConnectionDoesNotExistError("connection was closed")
        ),
        ConnectionResetError("connection reset by peer"),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_the_service_cannot_help_is_an_unavailable_database(error: Exception) -> None:
    with pytest.raises(DatabaseUnavailable), translating_errors():
        raise error


UNKNOWN_STATE = EmulatedDBAPIException("unexpected", asyncpg.InternalClientError("unexpected"))


@pytest.mark.parametrize("error", [UNKNOWN_STATE, TimeoutError()], ids=["unknown", "unanswered"])
def test_a_connection_whose_state_is_unknown_is_closed_and_no_other(error: Exception) -> None:
    context: Any = SimpleNamespace(
        original_exception=error, is_disconnect=False, invalidate_pool_on_disconnect=True
    )
    _discard_unusable(context)
    assert context.is_disconnect
    assert not context.invalidate_pool_on_disconnect
