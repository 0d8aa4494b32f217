"""Identities: the statements on the accounts of users at OpenID providers."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.identities import Identity
from service.storage.tables import identity

_OF_ACCOUNT = (
    identity.c.issuer == bindparam("by_issuer"),
    identity.c.subject == bindparam("by_subject"),
)
FIND_IDENTITY = select(*identity.c).where(*_OF_ACCOUNT)


async def find_identity(connection: AsyncConnection, issuer: str, subject: str) -> Identity | None:
    """Find the identity that an account at a provider is."""
    parameters = {"by_issuer": issuer, "by_subject": subject}
    row = (await connection.execute(FIND_IDENTITY, parameters)).one_or_none()
    return None if row is None else _identity(row)


LIST_IDENTITIES = (
    select(*identity.c)
    .where(identity.c.user_id == bindparam("owner_id"))
    .order_by(identity.c.created_at, identity.c.id)
)


async def list_identities(connection: AsyncConnection, user_id: UUID) -> list[Identity]:
    """Return the identities of a user, oldest first."""
    rows = await connection.execute(LIST_IDENTITIES, {"owner_id": user_id})
    return [_identity(row) for row in rows]


ADD_IDENTITY = (
    insert(identity)
    .on_conflict_do_nothing(index_elements=[identity.c.issuer, identity.c.subject])
    .returning(*identity.c)
)


async def add_identity(
    connection: AsyncConnection, user_id: UUID, issuer: str, subject: str
) -> Identity | None:
    """Insert an identity of a user. Returns ``None`` if the account is somebody's already."""
    values = {"id": uuid4(), "user_id": user_id, "issuer": issuer, "subject": subject}
    row = (await connection.execute(ADD_IDENTITY, values)).one_or_none()
    return None if row is None else _identity(row)


USE_IDENTITY = (
    update(identity)
    .where(identity.c.id == bindparam("identity_id"))
    .values(last_used_at=func.clock_timestamp())
)


async def use_identity(connection: AsyncConnection, identity_id: UUID) -> None:
    """Remember that a user was proven by an identity now."""
    await connection.execute(USE_IDENTITY, {"identity_id": identity_id})


REMOVE_IDENTITY = (
    delete(identity)
    .where(identity.c.id == bindparam("identity_id"), identity.c.user_id == bindparam("owner_id"))
    .returning(*identity.c)
)


async def remove_identity(
    connection: AsyncConnection, user_id: UUID, identity_id: UUID
) -> Identity | None:
    """Remove an identity of a user. Returns it, or ``None`` if the user has none of that id."""
    parameters = {"owner_id": user_id, "identity_id": identity_id}
    row = (await connection.execute(REMOVE_IDENTITY, parameters)).one_or_none()
    return None if row is None else _identity(row)


REMOVE_IDENTITIES_SINCE = delete(identity).where(
    identity.c.user_id == bindparam("owner_id"), identity.c.created_at >= bindparam("since")
)


async def remove_identities_since(
    connection: AsyncConnection, user_id: UUID, since: datetime
) -> None:
    """Remove the identities of a user that were linked at a time or later."""
    parameters = {"owner_id": user_id, "since": since}
    await connection.execute(REMOVE_IDENTITIES_SINCE, parameters)


def _identity(row: Any) -> Identity:
    return Identity(
        id=row.id,
        user_id=row.user_id,
        issuer=row.issuer,
        subject=row.subject,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
    )
