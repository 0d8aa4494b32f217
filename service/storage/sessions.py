"""Sessions: every statement on the table."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Interval,
    Row,
    Text,
    Uuid,
    any_,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model import (
    Device,
    Key,
    ListedSession,
    SecretHash,
    Session,
    SessionPeriods,
    SessionState,
)
from service.storage.tables import key, session, user
from service.storage.users import DISPLAY_NAME

NOW = func.now()
ACTIVE_PERIOD = bindparam("active_period", type_=Interval)
LIVE_PERIOD = bindparam("live_period", type_=Interval)
LIFETIME = bindparam("lifetime", type_=Interval)

SESSION_COLUMNS = (
    session.c.id,
    session.c.user_id,
    session.c.created_at,
    session.c.renewed_at,
    session.c.active_expires_at,
    session.c.idle_expires_at,
)

_LIVE_SESSIONS = (
    select(
        *SESSION_COLUMNS,
        session.c.secret_hash,
        (session.c.active_expires_at > NOW).label("is_active"),
        DISPLAY_NAME.label("username"),
        user.c.created_at.label("joined_at"),
    )
    .join_from(session, user)
    .where(session.c.idle_expires_at > NOW)
)

FIND_LIVE_SESSION = _LIVE_SESSIONS.where(session.c.id == bindparam("session_id"))

FIND_LIVE_SESSIONS = _LIVE_SESSIONS.where(
    session.c.id == any_(bindparam("session_ids", type_=ARRAY(Uuid)))
)

# Simultaneous requests wait for the first one's row lock, and then find nothing left to renew.
RENEW_SESSION = (
    update(session)
    .where(
        session.c.id == bindparam("session_id"),
        session.c.active_expires_at <= NOW,
        session.c.idle_expires_at > NOW,
    )
    .values(
        renewed_at=NOW,
        active_expires_at=func.least(NOW + ACTIVE_PERIOD, session.c.absolute_expires_at),
        idle_expires_at=func.least(NOW + LIVE_PERIOD, session.c.absolute_expires_at),
    )
    .returning(*SESSION_COLUMNS)
)

# The key is locked and its hash compared once more, so that no session comes of a password that
# was replaced while it was being verified. A session that the request carried ends with it.
_opened = (
    insert(session)
    .from_select(
        [
            session.c.id,
            session.c.secret_hash,
            session.c.user_id,
            session.c.active_expires_at,
            session.c.idle_expires_at,
            session.c.absolute_expires_at,
            session.c.user_agent,
            session.c.address,
        ],
        select(
            bindparam("id", type_=session.c.id.type),
            bindparam("secret_hash", type_=session.c.secret_hash.type),
            key.c.user_id,
            NOW + func.least(ACTIVE_PERIOD, LIFETIME),
            NOW + func.least(LIVE_PERIOD, LIFETIME),
            NOW + LIFETIME,
            bindparam("user_agent", type_=session.c.user_agent.type),
            bindparam("address", type_=session.c.address.type),
        )
        .where(
            key.c.provider == bindparam("key_provider"),
            key.c.name == bindparam("key_name"),
            key.c.password_hash == bindparam("verified_hash"),
        )
        .with_for_update(read=True),
    )
    .returning(*SESSION_COLUMNS)
    .cte("opened")
)
_ended = (
    delete(session)
    .where(
        session.c.id == bindparam("replaced_id", type_=session.c.id.type),
        session.c.secret_hash == bindparam("replaced_hash", type_=session.c.secret_hash.type),
        select(_opened.c.id).exists(),
    )
    .cte("ended")
)
OPEN_SESSION = select(_opened).add_cte(_ended)

END_SESSION = delete(session).where(session.c.id == bindparam("session_id"))

LIST_SESSIONS = (
    select(
        *SESSION_COLUMNS,
        (session.c.active_expires_at > NOW).label("is_active"),
        session.c.user_agent,
        session.c.address,
    )
    .where(session.c.user_id == bindparam("owner_id"), session.c.idle_expires_at > NOW)
    .order_by(session.c.created_at.desc(), session.c.id.desc())
    .limit(bindparam("how_many"))
)

LIST_OLDER_SESSIONS = LIST_SESSIONS.where(
    tuple_(session.c.created_at, session.c.id)
    < tuple_(
        bindparam("last_created_at", type_=session.c.created_at.type),
        bindparam("last_id", type_=session.c.id.type),
    )
)

END_SESSION_OF_USER = delete(session).where(
    session.c.id == bindparam("session_id"),
    session.c.user_id == bindparam("owner_id"),
    session.c.idle_expires_at > NOW,
)

END_OTHER_SESSIONS = delete(session).where(
    session.c.user_id == bindparam("owner_id"),
    session.c.id != bindparam("kept_id"),
    session.c.idle_expires_at > NOW,
)

END_ALL_SESSIONS = delete(session).where(session.c.user_id == bindparam("owner_id"))

CHANGE_SECRET = (
    update(session)
    .where(session.c.id == bindparam("session_id"), session.c.idle_expires_at > NOW)
    .values(secret_hash=bindparam("new_secret_hash"))
    .returning(*SESSION_COLUMNS)
)

# A stretch of the table's pages at a time: there is no index on the times, which renewals move.
# Who holds a row has a reason; its turn comes the next time.
SWEEP_PAGES = text(
    """
    DELETE FROM session WHERE id IN (
        SELECT id FROM session
        WHERE ctid >= CAST(:first AS tid) AND ctid < CAST(:beyond AS tid)
          AND idle_expires_at <= now()
        FOR UPDATE SKIP LOCKED
    )
    """
).bindparams(bindparam("first", type_=Text), bindparam("beyond", type_=Text))

COUNT_PAGES = text(
    "SELECT pg_relation_size('session') / CAST(current_setting('block_size') AS bigint)"
)

# One process sweeps at a time; "sweep" in hexadecimal.
SWEEP_LOCK = 0x7377656570
LOCK_SWEEP = text("SELECT pg_try_advisory_xact_lock(:lock)")


async def renew_session(
    connection: AsyncConnection, session_id: UUID, periods: SessionPeriods
) -> Session | None:
    """Move both times of an idle session; nothing if it is active (somebody was faster) or dead."""
    result = await connection.execute(
        RENEW_SESSION, {"session_id": session_id, **_period_parameters(periods)}
    )
    row = result.one_or_none()
    return None if row is None else _session(row)


async def open_session(  # noqa: PLR0913
    connection: AsyncConnection,
    *,
    session_id: UUID,
    secret_hash: SecretHash,
    key: Key,
    device: Device,
    periods: SessionPeriods,
    replaced_id: UUID | None = None,
    replaced_hash: SecretHash | None = None,
) -> Session | None:
    """Make a session for the owner of ``key``; nothing if the key is gone or has a new password.

    The session ``replaced_id`` ends, if ``replaced_hash`` is the hash of its secret.
    """
    result = await connection.execute(
        OPEN_SESSION,
        {
            "id": session_id,
            "secret_hash": secret_hash,
            "key_provider": key.provider,
            "key_name": key.name,
            "verified_hash": key.password_hash,
            "user_agent": device.user_agent,
            "address": device.address,
            "replaced_id": replaced_id,
            "replaced_hash": replaced_hash,
            **_period_parameters(periods),
            "lifetime": timedelta(seconds=periods.lifetime),
        },
    )
    row = result.one_or_none()
    return None if row is None else _session(row)


async def end_session(connection: AsyncConnection, session_id: UUID) -> None:
    """Delete the session; it is dead for every process once this returns."""
    await connection.execute(END_SESSION, {"session_id": session_id})


async def list_sessions(
    connection: AsyncConnection,
    user_id: UUID,
    how_many: int,
    older_than: tuple[datetime, UUID] | None = None,
) -> list[ListedSession]:
    """The live sessions of a user, newest first; ``older_than`` is the last one of a page."""
    parameters: dict[str, Any] = {"owner_id": user_id, "how_many": how_many}
    statement = LIST_SESSIONS
    if older_than is not None:
        statement = LIST_OLDER_SESSIONS
        parameters["last_created_at"], parameters["last_id"] = older_than
    result = await connection.execute(statement, parameters)
    return [
        ListedSession(
            session=_session(row),
            state=SessionState.ACTIVE if row.is_active else SessionState.IDLE,
            device=Device(user_agent=row.user_agent, address=row.address),
        )
        for row in result
    ]


async def end_session_of_user(connection: AsyncConnection, session_id: UUID, user_id: UUID) -> bool:
    """End a live session if it is that user's; tell whether it was."""
    result = await connection.execute(
        END_SESSION_OF_USER, {"session_id": session_id, "owner_id": user_id}
    )
    return result.rowcount == 1


async def end_other_sessions(connection: AsyncConnection, user_id: UUID, kept_id: UUID) -> int:
    """End the user's live sessions but one; tell how many that were."""
    result = await connection.execute(END_OTHER_SESSIONS, {"owner_id": user_id, "kept_id": kept_id})
    return result.rowcount


async def end_all_sessions(connection: AsyncConnection, user_id: UUID) -> int:
    """Delete all sessions of a user, dead ones too; tell how many that were."""
    result = await connection.execute(END_ALL_SESSIONS, {"owner_id": user_id})
    return result.rowcount


async def change_secret(
    connection: AsyncConnection, session_id: UUID, secret_hash: SecretHash
) -> Session | None:
    """Have another token open the session; nothing if it is dead by now."""
    result = await connection.execute(
        CHANGE_SECRET, {"session_id": session_id, "new_secret_hash": secret_hash}
    )
    row = result.one_or_none()
    return None if row is None else _session(row)


async def count_pages(connection: AsyncConnection) -> int:
    """How many pages the table has, for `sweep_pages` to walk over."""
    pages: int = (await connection.execute(COUNT_PAGES)).scalar_one()
    return pages


async def sweep_pages(connection: AsyncConnection, first: int, beyond: int) -> int | None:
    """Delete the dead sessions on some pages; nothing if another process is sweeping.

    To be called in a transaction, which holds the lock. Tells how many there were.
    """
    if not (await connection.execute(LOCK_SWEEP, {"lock": SWEEP_LOCK})).scalar_one():
        return None
    result = await connection.execute(
        SWEEP_PAGES, {"first": f"({first},0)", "beyond": f"({beyond},0)"}
    )
    return result.rowcount


def _period_parameters(periods: SessionPeriods) -> dict[str, timedelta]:
    return {
        "active_period": timedelta(seconds=periods.active),
        "live_period": timedelta(seconds=periods.active + periods.idle),
    }


def _session(row: Row[Any]) -> Session:
    return Session(
        id=row.id,
        user_id=row.user_id,
        created_at=row.created_at,
        renewed_at=row.renewed_at,
        active_expires_at=row.active_expires_at,
        idle_expires_at=row.idle_expires_at,
    )
