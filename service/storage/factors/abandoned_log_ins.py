"""Abandoned log-ins: the statement that takes those whose time is over."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from msgspec import Struct
from sqlalchemy import bindparam, cast, delete, func, literal_column, select
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.challenges import Purpose
from service.storage.tables import challenge, session


class AbandonedLogIn(Struct, frozen=True, kw_only=True):
    """A log-in that no second factor has completed.

    ``was_completed``: the user has opened another session since, from the same address.
    """

    user_id: UUID
    data: dict[str, Any]
    was_completed: bool


# Of simultaneous statements each skips what another has locked.
_over = (
    select(challenge.c.id)
    .where(
        challenge.c.purpose == literal_column(f"'{Purpose.SECOND_FACTOR}'"),
        challenge.c.expires_at <= func.now(),
    )
    .limit(bindparam("max_rows"))
    .with_for_update(skip_locked=True)
    .cte("over")
)
_completed = select(session.c.id).where(
    session.c.user_id == challenge.c.user_id,
    session.c.created_at >= challenge.c.created_at,
    session.c.address == cast(challenge.c.data["address"].as_string(), session.c.address.type),
)
TAKE_ABANDONED = (
    delete(challenge)
    .where(challenge.c.id == _over.c.id)
    .returning(challenge.c.user_id, challenge.c.data, _completed.exists().label("was_completed"))
)


async def take_abandoned_log_ins(
    connection: AsyncConnection, max_rows: int
) -> list[AbandonedLogIn]:
    """Delete up to ``max_rows`` log-ins whose time is over, in the transaction that tells of them.

    Returns them.
    """
    return [
        AbandonedLogIn(user_id=row.user_id, data=row.data, was_completed=row.was_completed)
        for row in await connection.execute(TAKE_ABANDONED, {"max_rows": max_rows})
    ]
