"""Password resets: the statements on the requests for a link."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.tables import reset_request


class ResetRequest(Struct, frozen=True, kw_only=True):
    """Whom a link was requested for: a user name, an address or both, each prepared."""

    username: str | None
    address: str | None


ADD_REQUEST = insert(reset_request)


async def add_reset_request(connection: AsyncConnection, request: ResetRequest) -> None:
    """Insert a request."""
    values = {"username": request.username, "address": request.address}
    await connection.execute(ADD_REQUEST, values)


# Of simultaneous statements each skips what another has locked.
TAKE_REQUEST = (
    delete(reset_request)
    .where(
        reset_request.c.id
        == select(reset_request.c.id)
        .order_by(reset_request.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    .returning(reset_request.c.username, reset_request.c.address)
)


async def take_reset_request(connection: AsyncConnection) -> ResetRequest | None:
    """Delete the oldest request, in the transaction that answers it; ``None`` without one."""
    row = (await connection.execute(TAKE_REQUEST)).one_or_none()
    return None if row is None else ResetRequest(username=row.username, address=row.address)
