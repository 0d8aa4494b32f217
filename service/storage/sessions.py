"""Sessions: the statements that renew and list them, and change their secrets."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import (
    Boolean,
    ColumnElement,
    Interval,
    Text,
    bindparam,
    case,
    cast,
    func,
    literal_column,
    not_,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.devices import DeviceHash
from service.model.request_context import Device
from service.model.sessions import (
    FACTOR_METHODS,
    ListedSession,
    Method,
    SecretHash,
    Session,
    SessionState,
)
from service.settings.sessions import SessionSettings
from service.storage.factors.existing import has_factor
from service.storage.tables import TIMESTAMP, session, user

NOW = func.now()
ACTIVE_PERIOD = bindparam("active_period", type_=Interval)
LIVE_PERIOD = bindparam("live_period", type_=Interval)

SESSION_COLUMNS = (
    session.c.id,
    session.c.user_id,
    session.c.created_at,
    session.c.renewed_at,
    session.c.active_expires_at,
    session.c.idle_expires_at,
    session.c.absolute_expires_at,
    func.coalesce(session.c.authenticated_at, session.c.created_at).label("authenticated_at"),
    cast(session.c.methods, Text).label("methods"),
)

_NOW_IN_JSON = func.to_char(
    func.timezone(literal_column("'UTC'"), NOW),
    literal_column("""'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'"""),
)
# A method that proves the user now.
PROVEN_NOW: ColumnElement[Any] = func.jsonb_build_object(
    bindparam("method", type_=Text), _NOW_IN_JSON, type_=JSONB
)

_decode_methods = msgspec.json.Decoder(dict[str, datetime]).decode

# Simultaneous requests wait for the row lock of the first one, and then find nothing to renew.
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


async def renew_session(
    connection: AsyncConnection, session_id: UUID, settings: SessionSettings
) -> Session | None:
    """Extend an idle session. Returns ``None`` if it is not idle: renewed already, or dead."""
    result = await connection.execute(
        RENEW_SESSION, {"session_id": session_id, **periods(settings)}
    )
    row = result.one_or_none()
    return None if row is None else session_of_row(row)


# Nothing but a factor renews step-up for a user who has one.
_PROVEN_AT = case(
    (
        or_(bindparam("by_factor", type_=Boolean), not_(has_factor(session.c.user_id))),
        func.least(NOW, bindparam("proven_at", type_=TIMESTAMP)),
    ),
    else_=func.coalesce(session.c.authenticated_at, session.c.created_at),
)
PROVE_AGAIN = (
    update(session)
    .where(session.c.id == bindparam("session_id"), session.c.idle_expires_at > NOW)
    .values(
        secret_hash=bindparam("new_secret_hash"),
        authenticated_at=_PROVEN_AT,
        methods=session.c.methods.op("||")(PROVEN_NOW),
    )
    .returning(*SESSION_COLUMNS, NOW.label("changed_at"))
)


async def prove_again(
    connection: AsyncConnection,
    session_id: UUID,
    secret_hash: SecretHash,
    method: str,
    proven_at: datetime | None = None,
) -> tuple[Session, datetime] | None:
    """Replace the secret of a live session whose user was proven again, and remember that.

    ``proven_at`` is when, if that may be before now. Returns it and the time, or ``None`` if it is
    dead.
    """
    result = await connection.execute(
        PROVE_AGAIN,
        {
            "session_id": session_id,
            "new_secret_hash": secret_hash,
            "method": str(method),
            "by_factor": method in FACTOR_METHODS,
            "proven_at": proven_at,
        },
    )
    row = result.one_or_none()
    return None if row is None else (session_of_row(row), row.changed_at)


ADD_METHOD = (
    update(session)
    .where(session.c.id == bindparam("session_id"), session.c.idle_expires_at > NOW)
    .values(authenticated_at=NOW, methods=session.c.methods.op("||")(PROVEN_NOW))
)


async def add_factor_method(connection: AsyncConnection, session_id: UUID, method: Method) -> bool:
    """Remember that a new factor has proven the user of a live session; the token stays.

    Returns whether the session is live.
    """
    parameters = {"session_id": session_id, "method": method.value}
    return (await connection.execute(ADD_METHOD, parameters)).rowcount == 1


REMOVE_METHOD = (
    update(session)
    .where(session.c.user_id == bindparam("owner_id"))
    .values(methods=session.c.methods.op("-")(bindparam("method", type_=Text)))
)


async def remove_method(connection: AsyncConnection, user_id: UUID, method: Method) -> None:
    """Forget that a method, which is gone, has proven a user in the sessions that are left."""
    parameters = {"owner_id": user_id, "method": method.value}
    await connection.execute(REMOVE_METHOD, parameters)


# The user first, as in `lock_user`.
LOCK_SESSION = (
    select(user.c.security_version)
    .join_from(user, session, session.c.user_id == user.c.id)
    .where(session.c.id == bindparam("session_id"), session.c.idle_expires_at > NOW)
    .with_for_update(key_share=True)
)


async def lock_session(connection: AsyncConnection, session_id: UUID) -> int | None:
    """Lock a live session and its user until the transaction ends, before its challenges.

    Returns the security version of the user; ``None`` if the session is dead.
    """
    result = await connection.execute(LOCK_SESSION, {"session_id": session_id})
    version: int | None = result.scalar_one_or_none()
    return version


IS_LIVE = select(
    select(session.c.id)
    .where(session.c.id == bindparam("session_id"), session.c.idle_expires_at > NOW)
    .exists()
)


async def is_live(connection: AsyncConnection, session_id: UUID) -> bool:
    """Return whether a session is live."""
    live: bool = (await connection.execute(IS_LIVE, {"session_id": session_id})).scalar_one()
    return live


FIND_DEVICE = select(session.c.device_hash).where(session.c.id == bindparam("session_id"))


async def find_device(connection: AsyncConnection, session_id: UUID) -> DeviceHash | None:
    """Return the hash of the device on which a session was opened, if that is known."""
    result = await connection.execute(FIND_DEVICE, {"session_id": session_id})
    found: bytes | None = result.scalar_one_or_none()
    return None if found is None else DeviceHash(found)


WAS_PROVEN_WITHIN = select(
    func.coalesce(session.c.authenticated_at, session.c.created_at)
    > NOW - bindparam("period", type_=Interval)
).where(session.c.id == bindparam("session_id"), session.c.idle_expires_at > NOW)


async def was_proven_within(
    connection: AsyncConnection, session_id: UUID, seconds: float
) -> bool | None:
    """Return whether a session was proven within so many seconds; ``None`` if it is dead."""
    result = await connection.execute(
        WAS_PROVEN_WITHIN, {"session_id": session_id, "period": timedelta(seconds=seconds)}
    )
    return result.scalar_one_or_none()


COUNT_SESSIONS = (
    select(func.count())
    .select_from(session)
    .where(session.c.user_id == bindparam("owner_id"), session.c.idle_expires_at > NOW)
)


async def count_sessions(connection: AsyncConnection, user_id: UUID) -> int:
    """Return the number of a user's live sessions."""
    count: int = (await connection.execute(COUNT_SESSIONS, {"owner_id": user_id})).scalar_one()
    return count


LIST_SESSIONS = (
    select(
        *SESSION_COLUMNS,
        (session.c.active_expires_at > NOW).label("is_active"),
        session.c.user_agent,
        session.c.address,
        session.c.device_name,
    )
    .where(session.c.user_id == bindparam("owner_id"), session.c.idle_expires_at > NOW)
    .order_by(session.c.created_at.desc(), session.c.id.desc())
    .limit(bindparam("max_rows"))
)
LIST_OLDER_SESSIONS = LIST_SESSIONS.where(
    tuple_(session.c.created_at, session.c.id)
    < tuple_(
        bindparam("last_created_at", type_=session.c.created_at.type),
        bindparam("last_id", type_=session.c.id.type),
    )
)


async def list_sessions(
    connection: AsyncConnection,
    user_id: UUID,
    max_rows: int,
    older_than: tuple[datetime, UUID] | None = None,
) -> list[ListedSession]:
    """Return a page of a user's live sessions, newest first (keyset pagination).

    ``older_than`` is the creation time and id of the last session of the page before.
    """
    parameters: dict[str, Any] = {"owner_id": user_id, "max_rows": max_rows}
    statement = LIST_SESSIONS
    if older_than is not None:
        statement = LIST_OLDER_SESSIONS
        parameters["last_created_at"], parameters["last_id"] = older_than
    result = await connection.execute(statement, parameters)
    return [
        ListedSession(
            session=session_of_row(row),
            state=SessionState.ACTIVE if row.is_active else SessionState.IDLE,
            device=Device(user_agent=row.user_agent, address=row.address, name=row.device_name),
        )
        for row in result
    ]


def periods(settings: SessionSettings) -> dict[str, timedelta]:
    """Return the values of `ACTIVE_PERIOD` and `LIVE_PERIOD`."""
    return {
        "active_period": timedelta(seconds=settings.active_period),
        "live_period": timedelta(seconds=settings.active_period + settings.idle_period),
    }


def session_of_row(row: Any) -> Session:
    """Convert a row of `SESSION_COLUMNS`."""
    return Session(
        id=row.id,
        user_id=row.user_id,
        created_at=row.created_at,
        renewed_at=row.renewed_at,
        active_expires_at=row.active_expires_at,
        idle_expires_at=row.idle_expires_at,
        absolute_expires_at=row.absolute_expires_at,
        authenticated_at=row.authenticated_at,
        methods=decode_methods(row.methods),
    )


def decode_methods(text: str) -> dict[str, datetime]:
    """Convert the column ``methods``, oldest first: PostgreSQL orders the members of an object."""
    found = _decode_methods(text)
    return dict(sorted(found.items(), key=lambda each: each[1])) if len(found) > 1 else found
