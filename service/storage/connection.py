"""Opening connections to PostgreSQL: to which host, in what time, with which limits."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import asyncpg
from msgspec.structs import replace

from service.settings.database import DatabaseOptions
from service.settings.values import Duration
from service.storage.errors import DatabaseUnavailable, reason_of, sqlstate_of

if TYPE_CHECKING:
    PlainConnection = asyncpg.Connection[asyncpg.Record]
else:
    PlainConnection = asyncpg.Connection

# For work that no request waits for: migrations, imports.
ADMIN_TIMEOUTS = DatabaseOptions(
    pool_size=1,
    pool_timeout=Duration.parse("10s"),
    connect_timeout=Duration.parse("10s"),
    statement_timeout=Duration.parse("10m"),
)

# Maximum time to cancel a statement and close its connection, in seconds.
CLOSE_TIMEOUT = 2.0

FAILURES = (
    OSError,
    TimeoutError,
    # Of asyncpg and Python: a host, a port or an option that cannot be one.
    ValueError,
    OverflowError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)

# The role or its password is wrong, the database does not exist: waiting does not help.
PERMANENT_SQLSTATES = ("28", "3D")

# The host that answered last is tried first: each silent one before it would cost its share.
_last_used: dict[str, str] = {}

_closing: set[asyncio.Task[None]] = set()


class Connection(PlainConnection):
    """A connection that is closed in the background, if a time limit for closing is given."""

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Cancel the statement under way, if any, and close.

        With a time limit, as SQLAlchemy gives for a connection that it discards, this does not
        wait: the statement was abandoned because the time of its request is over.
        """
        if timeout is None:
            await super().close(timeout=CLOSE_TIMEOUT)
        else:
            close_in_background(self)


def close_in_background(connection: Connection) -> None:
    """Cancel the statement under way, if any, and close, without waiting for it."""
    task = asyncio.get_running_loop().create_task(_close(connection))
    _closing.add(task)
    task.add_done_callback(_closing.discard)


async def wait_for_closing() -> None:
    """Wait for connections of all pools that are being closed in the background.

    Each has `CLOSE_TIMEOUT` at the most.
    """
    # Of this event loop: the tests have several.
    if closing := _closing & asyncio.all_tasks():
        await asyncio.wait(closing)


async def _close(connection: Connection) -> None:
    with suppress(*FAILURES):
        await connection.close()


async def connect(url: str, options: DatabaseOptions, seconds: float = inf) -> Connection:
    """Open a connection, to the first host of ``url`` that is the primary.

    The hosts share ``seconds``, or the connect timeout if it is shorter. Raises
    `DatabaseUnavailable`.
    """
    urls = _hosts_in_order(url)
    deadline = monotonic() + min(options.connect_timeout, seconds)
    reasons: list[str] = []
    for position, each in enumerate(urls):
        share = (deadline - monotonic()) / (len(urls) - position)
        try:
            connection = await _open(each, options, share)
        except FAILURES as error:
            reasons.append(reason_of(error))
            failure = error
        else:
            _last_used[url] = each
            return connection
    message = "; ".join(dict.fromkeys(reasons))
    raise DatabaseUnavailable(message, sqlstate=sqlstate_of(failure)) from failure


async def wait_for_server(url: str, options: DatabaseOptions, seconds: float) -> None:
    """Wait until the server accepts connections, for at most ``seconds``.

    Raises `DatabaseUnavailable`: at once, if waiting does not help.
    """
    deadline = monotonic() + seconds
    while True:
        try:
            connection = await connect(url, options, max(1.0, deadline - monotonic()))
        except DatabaseUnavailable as error:
            if error.sqlstate.startswith(PERMANENT_SQLSTATES) or monotonic() >= deadline:
                raise
            await asyncio.sleep(min(1.0, max(0.0, deadline - monotonic())))
        else:
            await connection.close()
            return


def admin_options(options: DatabaseOptions) -> DatabaseOptions:
    """Return the options of commands, with PgBouncer if the service is behind one."""
    return replace(ADMIN_TIMEOUTS, pgbouncer=options.pgbouncer)


def may_be_intercepted(url: str) -> bool:
    """Return whether connections leave this machine without TLS that verifies the server."""
    return any(map(_may_be_intercepted, host_urls(url)))


def _may_be_intercepted(url: str) -> bool:
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    host = parts.hostname or query.get("host", "")
    is_local = not host or host == "localhost" or host.startswith("/") or _is_loopback(host)
    mode = query.get("sslmode") or os.environ.get("PGSSLMODE")
    return not is_local and mode != "verify-full"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


async def _open(url: str, options: DatabaseOptions, seconds: float) -> Connection:
    connection: Connection = await asyncpg.connect(
        url,
        timeout=seconds,
        command_timeout=options.statement_timeout,
        connection_class=Connection,
        target_session_attrs=_target_of(url, options),
        **(_pgbouncer_options() if options.pgbouncer else _postgresql_options(options)),
    )
    return connection


def _target_of(url: str, options: DatabaseOptions) -> Any:
    """Return which servers will do: a session that ended on the primary may live on a standby.

    ``None`` leaves it to the URL or the environment. PgBouncer's servers are in its configuration.
    """
    is_given = "target_session_attrs=" in url or "PGTARGETSESSIONATTRS" in os.environ
    return None if is_given or options.pgbouncer else "primary"


def _hosts_in_order(url: str) -> list[str]:
    urls = list(host_urls(url))
    first = _last_used.get(url)
    return sorted(urls, key=lambda each: each != first)


def host_urls(url: str) -> Iterator[str]:
    """Yield a URL for each host of ``url``, which may name several, as those of libpq."""
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    query = dict(parse_qsl(parts.query))
    if hosts:
        for host in hosts.split(","):
            yield parts._replace(netloc=f"{login}{at}{host}").geturl()
        return
    names = query.get("host", "").split(",")
    if len(names) == 1:
        yield url
        return
    ports = query.get("port", "").split(",")
    for position, name in enumerate(names):
        port = ports[position] if len(ports) == len(names) else ports[0]
        one = {**query, "host": name, **({"port": port} if port else {})}
        yield parts._replace(query=urlencode(one)).geturl()


# In a time zone with summer time a day of an interval has 23 to 25 hours: what expires after three
# days was then not made 72 hours before.
_SETTINGS = {"application_name": "ostiary", "timezone": "UTC"}


def _postgresql_options(options: DatabaseOptions) -> dict[str, Any]:
    return {
        "server_settings": {
            **_SETTINGS,
            "statement_timeout": f"{options.statement_timeout * 1000:.0f}",
            "idle_in_transaction_session_timeout": f"{options.statement_timeout * 2000:.0f}",
        }
    }


def _pgbouncer_options() -> dict[str, Any]:
    """Leave out what PgBouncer refuses (unknown settings) or mixes up (prepared statements)."""
    return {"server_settings": _SETTINGS, "statement_cache_size": 0}
