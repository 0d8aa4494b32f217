"""Connections to PostgreSQL."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from service.settings.values import Duration


class DatabaseOptions(Struct, frozen=True, kw_only=True):
    """The connections of one process, and their timeouts in seconds."""

    prefix: ClassVar[str] = "DATABASE_"

    pool_size: Annotated[
        int,
        Meta(
            description="Connections of the pool, for each worker; there is one more for "
            "look-ups of sessions, another while that one is stuck, as many for those of service "
            "tokens once a program has asked, and one for `GET /readyz`.",
            ge=1,
            le=200,
        ),
    ] = 8
    pool_timeout: Annotated[
        Duration, Meta(description="Maximum time to wait for a free connection of the pool.")
    ] = Duration.parse("2s")
    connect_timeout: Annotated[
        Duration,
        Meta(
            description="Maximum time to open a connection; the hosts of `DATABASE_URL`, if there "
            "are several, share it."
        ),
    ] = Duration.parse("5s")
    statement_timeout: Annotated[
        Duration, Meta(description="Maximum time of one SQL statement.")
    ] = Duration.parse("5s")
    wait: Annotated[
        Duration | None,
        Meta(
            description="How long `ostiary serve` and `ostiary migrate` wait for a PostgreSQL that "
            "does not accept connections yet. Default: not at all."
        ),
    ] = None
    pgbouncer: Annotated[
        bool,
        Meta(
            description="`true` if `DATABASE_URL` is a PgBouncer in transaction mode. Slower: "
            "every statement runs in a transaction, and none is prepared."
        ),
    ] = False
