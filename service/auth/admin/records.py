"""Users as operators see them."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.errors import NoSuchUser
from service.model.user_records import UserRecord
from service.storage.admin.users import find_record


async def require_record(connection: AsyncConnection, user_id: UUID) -> UserRecord:
    """Return the record of a user. Raises `NoSuchUser`."""
    found = await find_record(connection, user_id)
    if found is None:
        raise NoSuchUser
    return found
