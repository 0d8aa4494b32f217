"""Users as operators see them: the statements that read a user, and change one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, Text, bindparam, case, func, null, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.user_records import UserRecord
from service.storage.keys import ADDRESS, USER_COLUMNS, decode_metadata
from service.storage.tables import user

RECORD_COLUMNS = (
    user.c.id.label("user_id"),
    *USER_COLUMNS,
    user.c.disabled_at,
    user.c.disabled_reason,
    user.c.version,
)
FIND_RECORD = (
    select(*RECORD_COLUMNS)
    .select_from(user.outerjoin(ADDRESS, true()))
    .where(user.c.id == bindparam("user_id"))
)


async def find_record(connection: AsyncConnection, user_id: UUID) -> UserRecord | None:
    """Find a user by id."""
    row = (await connection.execute(FIND_RECORD, {"user_id": user_id})).one_or_none()
    return None if row is None else record_of_row(row)


# The time of the lock, not that at which the transaction began: it is later than the log-ins that
# it waited for.
CHANGE_USER = (
    update(user)
    .where(user.c.id == bindparam("changed_id"))
    .values(
        roles=bindparam("new_roles", type_=user.c.roles.type),
        metadata=bindparam("new_metadata", type_=user.c.metadata.type),
        disabled_at=case(
            (
                bindparam("is_disabled", type_=Boolean),
                func.coalesce(user.c.disabled_at, func.clock_timestamp()),
            ),
            else_=null(),
        ),
        disabled_reason=bindparam("new_reason", type_=Text),
        version=user.c.version + 1,
    )
)


async def change_user(  # noqa: PLR0913
    connection: AsyncConnection,
    user_id: UUID,
    *,
    roles: list[str],
    metadata: dict[str, Any],
    is_disabled: bool,
    disabled_reason: str | None,
) -> None:
    """Change a user who is locked, and count the change. One who is disabled remains so since."""
    parameters = {
        "changed_id": user_id,
        "new_roles": roles,
        "new_metadata": metadata,
        "is_disabled": is_disabled,
        "new_reason": disabled_reason,
    }
    await connection.execute(CHANGE_USER, parameters)


def record_of_row(row: Any) -> UserRecord:
    """Convert a row of `RECORD_COLUMNS`."""
    return UserRecord(
        id=row.user_id,
        username=row.username,
        email=row.email,
        email_verified_at=row.email_verified_at,
        roles=row.user_roles,
        metadata=decode_metadata(row.user_metadata),
        disabled_at=row.disabled_at,
        disabled_reason=row.disabled_reason,
        created_at=row.user_created_at,
        version=row.version,
    )
