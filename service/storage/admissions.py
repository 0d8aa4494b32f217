"""Admissions: the statements by which a sign-up uses an invitation."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.invitations import Invitation
from service.model.sessions import SecretHash
from service.storage.tables import invitation

IS_LIVE = invitation.c.expires_at > func.now()

FIND = select(invitation).where(invitation.c.id == bindparam("invitation_id"), IS_LIVE)


async def find_invitation(connection: AsyncConnection, invitation_id: UUID) -> Invitation | None:
    """Find an invitation that has not expired."""
    row = (await connection.execute(FIND, {"invitation_id": invitation_id})).one_or_none()
    return None if row is None else invitation_of_row(row)


CLAIM = (
    delete(invitation)
    .where(
        invitation.c.id == bindparam("invitation_id"),
        IS_LIVE,
        or_(
            invitation.c.address.is_(None),
            invitation.c.address == bindparam("claimant", type_=invitation.c.address.type),
        ),
    )
    .returning(invitation)
)


async def claim_invitation(
    connection: AsyncConnection, invitation_id: UUID, address: str | None
) -> Invitation | None:
    """Use an invitation up, in the transaction that creates the user with this address or none.

    Of simultaneous claims the others wait for the first, and find nothing once it is committed.
    """
    parameters = {"invitation_id": invitation_id, "claimant": address}
    row = (await connection.execute(CLAIM, parameters)).one_or_none()
    return None if row is None else invitation_of_row(row)


def invitation_of_row(row: Row[Any]) -> Invitation:
    """Return the invitation in a row."""
    return Invitation(
        id=row.id,
        secret_hash=SecretHash(row.secret_hash),
        address=row.address,
        display_address=row.display_address,
        roles=row.roles,
        service_token_id=row.service_token_id,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
