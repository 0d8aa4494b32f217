"""Ends of sessions: the statements that end those of a request, of a user, or beyond a limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Text,
    and_,
    bindparam,
    cast,
    column,
    delete,
    func,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.sessions import EndedSession, Method, SecretHash
from service.storage.sessions import NOW
from service.storage.tables import device, session

# The ids of sessions with the hashes of their secrets, from tokens.
CarriedSecrets: TypeAlias = Sequence[tuple[UUID, SecretHash]]

# The order in which all statements lock sessions, so that no two of them wait in a circle. It is
# that of the index, in which a foreign key deletes those of a user as well.
LOCK_ORDER = (session.c.user_id, session.c.created_at, session.c.id)

# The sessions whose tokens a request carries, by the ids and the hashes of the secrets.
#
# They are sent as text: for arrays of other types asyncpg queries the catalogue, once on each
# connection.
_carried = (
    func.unnest(
        cast(bindparam("carried_ids", type_=ARRAY(Text)), ARRAY(session.c.id.type)),
        cast(bindparam("carried_hashes", type_=ARRAY(Text)), ARRAY(session.c.secret_hash.type)),
    )
    .table_valued(
        column("id", session.c.id.type),
        column("secret_hash", session.c.secret_hash.type),
        name="carried",
    )
    .render_derived(name="carried")
)
CARRIED_LIVE_SESSIONS = (
    select(session.c.id)
    .join(
        _carried,
        and_(session.c.id == _carried.c.id, session.c.secret_hash == _carried.c.secret_hash),
    )
    .where(session.c.idle_expires_at > NOW)
    .order_by(*LOCK_ORDER)
    .with_for_update()
)

END_CARRIED_SESSIONS = (
    delete(session)
    .where(session.c.id.in_(CARRIED_LIVE_SESSIONS))
    .returning(session.c.id, session.c.user_id)
)


async def end_carried_sessions(
    connection: AsyncConnection, carried: CarriedSecrets
) -> list[EndedSession]:
    """Delete the live sessions whose ids and secret hashes match. Returns those deleted.

    They are dead in every process once this returns.
    """
    result = await connection.execute(END_CARRIED_SESSIONS, carried_parameters(carried))
    return [EndedSession(row.id, row.user_id) for row in result]


END_SESSION_OF_USER = delete(session).where(
    session.c.id == bindparam("session_id"),
    session.c.user_id == bindparam("owner_id"),
    session.c.idle_expires_at > NOW,
)


async def end_session_of_user(connection: AsyncConnection, session_id: UUID, user_id: UUID) -> bool:
    """Delete a live session if it belongs to the user. Returns whether it did."""
    result = await connection.execute(
        END_SESSION_OF_USER, {"session_id": session_id, "owner_id": user_id}
    )
    return result.rowcount == 1


_kept_device = (
    select(session.c.device_hash).where(session.c.id == bindparam("kept_id")).scalar_subquery()
)
# The one that is kept is locked too: a password change goes on to change its secret.
_live_sessions_of_user = (
    select(session.c.id)
    .where(session.c.user_id == bindparam("owner_id"), session.c.idle_expires_at > NOW)
    .order_by(*LOCK_ORDER)
    .with_for_update()
)
_other_devices = (
    delete(device)
    .where(device.c.user_id == bindparam("owner_id"), device.c.hash.is_distinct_from(_kept_device))
    .cte("forgotten")
)
END_OTHER_SESSIONS = (
    delete(session)
    .where(session.c.id.in_(_live_sessions_of_user), session.c.id != bindparam("kept_id"))
    .add_cte(_other_devices)
)


async def end_other_sessions(connection: AsyncConnection, user_id: UUID, kept_id: UUID) -> int:
    """Delete all live sessions of a user but one, and all devices but that one's.

    Returns how many sessions.
    """
    result = await connection.execute(END_OTHER_SESSIONS, {"owner_id": user_id, "kept_id": kept_id})
    return result.rowcount


# Those, but the one that is kept, in which a method has proven the user that is gone now.
END_SESSIONS_PROVEN_BY = delete(session).where(
    session.c.id.in_(_live_sessions_of_user),
    session.c.id.is_distinct_from(bindparam("kept_id", type_=session.c.id.type)),
    session.c.methods.has_key(bindparam("method", type_=Text)),
)


async def end_sessions_proven_by(
    connection: AsyncConnection, user_id: UUID, method: Method, kept_id: UUID | None
) -> int:
    """Delete the live sessions of a user that a method has proven, but one. Returns how many."""
    parameters = {"owner_id": user_id, "method": method.value, "kept_id": kept_id}
    return (await connection.execute(END_SESSIONS_PROVEN_BY, parameters)).rowcount


# What is no method of one of these providers: theirs may have another name by now.
_OF_OTHER_PROVIDERS = """
    SELECT method FROM jsonb_object_keys(session.methods) AS method
    WHERE method LIKE 'oidc:%' AND method <> ALL (:kept_methods)
"""
_KEPT_METHODS = bindparam("kept_methods", type_=ARRAY(Text))
END_SESSIONS_OF_OTHER_PROVIDERS = delete(session).where(
    session.c.id.in_(_live_sessions_of_user),
    session.c.id != bindparam("kept_id"),
    text(f"EXISTS ({_OF_OTHER_PROVIDERS})").bindparams(_KEPT_METHODS),
)
FORGET_OTHER_PROVIDERS = (
    update(session)
    .where(session.c.user_id == bindparam("owner_id"))
    .values(
        methods=session.c.methods.op("-")(
            text(f"ARRAY({_OF_OTHER_PROVIDERS})").bindparams(_KEPT_METHODS)
        )
    )
)


async def end_sessions_of_other_providers(
    connection: AsyncConnection, user_id: UUID, kept_methods: Sequence[str], kept_id: UUID
) -> int:
    """Delete the live sessions of a user, but one, that other providers have proven.

    ``kept_methods`` are those of the providers whose sessions stay. In the sessions that are left
    nothing of the others remains. Returns how many ended.
    """
    parameters: dict[str, Any] = {"owner_id": user_id, "kept_methods": [*kept_methods]}
    ended = await connection.execute(
        END_SESSIONS_OF_OTHER_PROVIDERS, {**parameters, "kept_id": kept_id}
    )
    await connection.execute(FORGET_OTHER_PROVIDERS, parameters)
    return ended.rowcount


_all_devices = delete(device).where(device.c.user_id == bindparam("owner_id")).cte("forgotten")
END_ALL_SESSIONS = (
    delete(session).where(session.c.id.in_(_live_sessions_of_user)).add_cte(_all_devices)
)


async def end_all_sessions(connection: AsyncConnection, user_id: UUID) -> int:
    """Delete all live sessions of a user, and all devices. Returns how many sessions."""
    result = await connection.execute(END_ALL_SESSIONS, {"owner_id": user_id})
    return result.rowcount


# A batch at a time, for the time limit of a statement. Not in a subquery: PostgreSQL may execute
# one with LIMIT and FOR UPDATE more than once, and find other rows each time.
_any_sessions = (
    select(session.c.id)
    .order_by(*LOCK_ORDER)
    .limit(bindparam("max_rows"))
    .with_for_update()
    .cte("any_sessions")
)
END_ANY_SESSIONS = delete(session).where(session.c.id == _any_sessions.c.id)


async def end_any_sessions(connection: AsyncConnection, max_rows: int) -> int:
    """Delete up to ``max_rows`` sessions, of any users, live or dead. Returns how many."""
    return (await connection.execute(END_ANY_SESSIONS, {"max_rows": max_rows})).rowcount


# Sent after the session that is one too many was committed: of simultaneous log-ins the last one
# sees the sessions of all.
_beyond_the_newest = (
    select(session.c.id)
    .where(session.c.user_id == bindparam("owner_id"), session.c.idle_expires_at > NOW)
    .order_by(session.c.created_at.desc(), session.c.id.desc())
    .offset(bindparam("max_sessions"))
)
END_OLDEST_SESSIONS = (
    delete(session)
    .where(
        session.c.id.in_(
            select(session.c.id)
            .where(session.c.id.in_(_beyond_the_newest))
            .order_by(*LOCK_ORDER)
            .with_for_update()
        )
    )
    .returning(session.c.id, session.c.user_id)
)


async def end_oldest_sessions(
    connection: AsyncConnection, user_id: UUID, max_sessions: int
) -> list[EndedSession]:
    """Delete the live sessions of a user but the ``max_sessions`` newest. Returns those deleted."""
    result = await connection.execute(
        END_OLDEST_SESSIONS, {"owner_id": user_id, "max_sessions": max_sessions}
    )
    return [EndedSession(row.id, row.user_id) for row in result]


def carried_parameters(carried: CarriedSecrets) -> dict[str, Any]:
    """Return the parameters of `CARRIED_LIVE_SESSIONS`."""
    return {
        "carried_ids": [str(session_id) for session_id, _ in carried],
        "carried_hashes": [rf"\x{secret_hash.hex()}" for _, secret_hash in carried],
    }
