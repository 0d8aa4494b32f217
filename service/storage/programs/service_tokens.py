"""Service tokens: the statements on the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from msgspec import Struct
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Interval,
    Text,
    Uuid,
    any_,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    not_,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.service_tokens import NewServiceToken, ServiceToken
from service.storage.tables import service_token

UNIQUE_VIOLATION = "23505"

NOW = func.now()

SERVICE_TOKEN_COLUMNS = (
    service_token.c.id,
    service_token.c.name,
    service_token.c.scopes,
    service_token.c.created_at,
    service_token.c.expires_at,
    service_token.c.last_used_at,
    service_token.c.suspended_at,
)

# The last use is exact to a minute: each request of a program would write a row.
USED_LATELY: ColumnElement[bool] = func.coalesce(
    service_token.c.last_used_at > NOW - literal_column("interval '1 minute'"),
    literal_column("false"),
)

COUNT = select(func.count()).select_from(service_token).scalar_subquery()

ADD = (
    insert(service_token)
    .from_select(
        ["id", "name", "secret_hash", "scopes", "expires_at"],
        select(
            bindparam("token_id", type_=Uuid),
            bindparam("name", type_=Text),
            bindparam("secret_hash", type_=service_token.c.secret_hash.type),
            bindparam("scopes", type_=ARRAY(Text)),
            NOW + bindparam("lifetime", type_=Interval),
        ).where(bindparam("max_tokens") > COUNT),
    )
    .returning(*SERVICE_TOKEN_COLUMNS)
)


class NameInUse(Exception):
    """There is a service token with that name."""


async def add_service_token(
    connection: AsyncConnection, token: NewServiceToken, max_tokens: int
) -> ServiceToken | None:
    """Insert a service token. Returns ``None`` if there are ``max_tokens`` already.

    Some more can be there if they are inserted at once. Raises `NameInUse`.
    """
    parameters = {
        "token_id": token.id,
        "name": token.name,
        "secret_hash": token.secret_hash,
        "scopes": sorted(token.scopes),
        "lifetime": token.lifetime,
        "max_tokens": max_tokens,
    }
    try:
        row = (await connection.execute(ADD, parameters)).one_or_none()
    except IntegrityError as error:
        if getattr(error.orig, "sqlstate", None) != UNIQUE_VIOLATION:
            raise
        raise NameInUse from error
    return None if row is None else _service_token(row)


LIST = select(*SERVICE_TOKEN_COLUMNS, (service_token.c.expires_at <= NOW).label("is_expired"))
LIST = LIST.order_by(service_token.c.created_at, service_token.c.id)


async def list_service_tokens(connection: AsyncConnection) -> list[tuple[ServiceToken, bool]]:
    """Return all service tokens, oldest first, each with whether it has expired."""
    rows = await connection.execute(LIST)
    return [(_service_token(row), row.is_expired) for row in rows]


class NameOrID(Struct, frozen=True):
    """What names a service token: its name, or its id."""

    name: str | None = None
    id: UUID | None = None


NAMED = or_(
    service_token.c.name == bindparam("token_name", type_=Text),
    service_token.c.id == bindparam("token_id", type_=Uuid),
)

DELETE = delete(service_token).where(NAMED).returning(*SERVICE_TOKEN_COLUMNS)


async def delete_service_token(connection: AsyncConnection, named: NameOrID) -> ServiceToken | None:
    """Delete a service token; return it, or ``None`` if there is none."""
    parameters = {"token_name": named.name, "token_id": named.id}
    row = (await connection.execute(DELETE, parameters)).one_or_none()
    return None if row is None else _service_token(row)


# One that is not suspended is confirmed already.
CONFIRM = (
    update(service_token).where(NAMED).values(suspended_at=None).returning(*SERVICE_TOKEN_COLUMNS)
)


async def confirm_service_token(
    connection: AsyncConnection, named: NameOrID
) -> ServiceToken | None:
    """Let a suspended service token be used again; return it, or ``None`` if there is none."""
    parameters = {"token_name": named.name, "token_id": named.id}
    row = (await connection.execute(CONFIRM, parameters)).one_or_none()
    return None if row is None else _service_token(row)


SUSPENDED = service_token.c.suspended_at.is_not(None)

CONFIRM_ALL = (
    update(service_token)
    .where(SUSPENDED)
    .values(suspended_at=None)
    .returning(*SERVICE_TOKEN_COLUMNS)
)


async def confirm_service_tokens(connection: AsyncConnection) -> list[ServiceToken]:
    """Let all suspended service tokens be used again; return them."""
    return [_service_token(row) for row in await connection.execute(CONFIRM_ALL)]


SUSPEND = update(service_token).values(suspended_at=NOW).where(not_(SUSPENDED))


async def suspend_service_tokens(connection: AsyncConnection) -> int:
    """Let no service token be used until it is confirmed. Returns how many were suspended."""
    return (await connection.execute(SUSPEND)).rowcount


RECORD_USE = (
    update(service_token)
    .values(last_used_at=NOW)
    .where(
        service_token.c.id == any_(bindparam("token_ids", type_=ARRAY(Uuid))),
        USED_LATELY.is_not(true()),
    )
)


async def record_use(connection: AsyncConnection, token_ids: Sequence[UUID]) -> None:
    """Record that service tokens were used now, unless it was recorded in the last minute."""
    await connection.execute(RECORD_USE, {"token_ids": list(token_ids)})


def _service_token(row: Any) -> ServiceToken:
    return ServiceToken(
        id=row.id,
        name=row.name,
        scopes=frozenset(row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        suspended_at=row.suspended_at,
    )
