"""Errors of the database: what the service cannot help is told from its own defects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from sqlalchemy.exc import DBAPIError, EmulatedDBAPIException, InterfaceError
from sqlalchemy.exc import TimeoutError as NoFreeConnection

# SQLSTATEs, or classes of them, that the client did not cause, so that it may try again
# (PostgreSQL, appendix A): connection exception, invalid transaction state (a read-only server
# too), transaction rollback, insufficient resources, object not in prerequisite state, operator
# intervention (statement timeouts too), system error.
TRANSIENT_SQLSTATES = ("08", "25", "40", "53", "55", "57", "58")

# A prepared statement whose columns a migration changed: it has to be prepared again.
OUTDATED_PLAN = "0A000"
# The role has not been granted what this version needs: `ostiary migrate --grant-to`.
INSUFFICIENT_PRIVILEGE = "42501"

# A table or a column does not exist.
SCHEMA_SQLSTATES = ("42P01", "42703")

READ_ONLY = "25006"

# The server went away, and may be back: connection exceptions, shutdown, crash.
STALE_SQLSTATES = ("08", "57P01", "57P02", OUTDATED_PLAN)


class DatabaseUnavailable(Exception):
    """The database cannot be used at present. Whether the statement took effect is unknown.

    ``sqlstate`` is PostgreSQL's code, if it answered. ``connection_was_stale``: the cause lies
    with the connection; a fresh one may work.
    """

    def __init__(
        self, message: str, *, sqlstate: str = "", connection_was_stale: bool = False
    ) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.connection_was_stale = connection_was_stale


class SchemaBehind(DatabaseUnavailable):
    """The database lacks migrations, or a table or column that this version needs."""

    code = "schema_behind"


class StatementRefused(Exception):
    """PostgreSQL rejected a statement: a defect of the service."""

    def __init__(self, reason: str, statement: str | None = None) -> None:
        super().__init__(reason if statement is None else f"{reason} in: {statement}")
        self.reason = reason


@contextmanager
def translating_errors() -> Iterator[None]:
    """Translate the errors of SQLAlchemy and asyncpg.

    Raises `DatabaseUnavailable` for what is no defect of the service, `SchemaBehind` among it, and
    `StatementRefused` for others. Only the first line of PostgreSQL's message is kept: the details
    may show a row, with a hash in it.
    """
    try:
        yield
    except DBAPIError as error:
        if error.connection_invalidated or isinstance(error, InterfaceError):
            raise DatabaseUnavailable(reason_of(error.orig), connection_was_stale=True) from None
        raise _translated(error.orig, error.statement).with_traceback(error.__traceback__) from None
    except EmulatedDBAPIException as error:
        # SQLAlchemy sends the first statements on a new connection itself. For `Database.direct` it
        # does not wrap their errors in `DBAPIError`.
        raise _translated(error.orig).with_traceback(error.__traceback__) from None
    except asyncpg.PostgresError as error:
        raise _translated(error).with_traceback(error.__traceback__) from None
    except (asyncpg.InterfaceError, asyncpg.InternalClientError, ConnectionError) as error:
        # `InternalClientError`: the server has told that it ends the connection, and has not yet.
        raise DatabaseUnavailable(reason_of(error), connection_was_stale=True) from error
    except (OSError, TimeoutError, NoFreeConnection) as error:
        raise DatabaseUnavailable(reason_of(error)) from error


def _translated(error: BaseException | None, statement: str | None = None) -> Exception:
    sqlstate, reason = sqlstate_of(error), reason_of(error)
    if isinstance(driver_error(error), asyncpg.InternalClientError):
        return DatabaseUnavailable(reason, connection_was_stale=True)
    if sqlstate in SCHEMA_SQLSTATES:
        return SchemaBehind(reason)
    if sqlstate.startswith(TRANSIENT_SQLSTATES) or sqlstate in (
        OUTDATED_PLAN,
        INSUFFICIENT_PRIVILEGE,
    ):
        is_stale = sqlstate.startswith(STALE_SQLSTATES)
        return DatabaseUnavailable(reason, sqlstate=sqlstate, connection_was_stale=is_stale)
    return StatementRefused(reason, statement)


def driver_error(error: BaseException | None) -> BaseException | None:
    """Return the error of asyncpg that one of SQLAlchemy's adapter stands for; or the same."""
    return error.orig if isinstance(error, EmulatedDBAPIException) else error


def sqlstate_of(error: BaseException | None) -> str:
    """Return the SQLSTATE of an error; empty if it is not PostgreSQL's."""
    return getattr(error, "sqlstate", None) or ""


def reason_of(error: BaseException | None) -> str:
    """Return the first line of an error's message."""
    if isinstance(error, TimeoutError) and not str(error):
        return "no answer in time"
    return str(error).partition("\n")[0] or type(error).__name__
