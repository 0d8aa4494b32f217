"""Sessions: the statements that open, renew and list them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Interval,
    Row,
    bindparam,
    delete,
    false,
    func,
    insert,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.request_context import Device
from service.model.sessions import (
    EndedSession,
    InsertedSession,
    ListedSession,
    SecretHash,
    Session,
    SessionState,
)
from service.model.users import Key
from service.settings.sessions import SessionSettings
from service.storage.direct import DirectStatement
from service.storage.session_endings import (
    CARRIED_LIVE_SESSIONS,
    CarriedSecrets,
    carried_parameters,
)
from service.storage.tables import key, session

NOW = func.now()
ACTIVE_PERIOD = bindparam("active_period", type_=Interval)
LIVE_PERIOD = bindparam("live_period", type_=Interval)
MAX_LIFETIME = bindparam("max_lifetime", type_=Interval)

SESSION_COLUMNS = (
    session.c.id,
    session.c.user_id,
    session.c.created_at,
    session.c.renewed_at,
    session.c.active_expires_at,
    session.c.idle_expires_at,
    session.c.absolute_expires_at,
)

# The key is locked and its hash compared again: a password that was replaced while it was being
# verified opens no session.
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
            session.c.device_name,
            session.c.legacy_cookie,
        ],
        select(
            bindparam("id", type_=session.c.id.type),
            bindparam("secret_hash", type_=session.c.secret_hash.type),
            key.c.user_id,
            NOW + func.least(ACTIVE_PERIOD, MAX_LIFETIME),
            NOW + func.least(LIVE_PERIOD, MAX_LIFETIME),
            NOW + MAX_LIFETIME,
            bindparam("user_agent", type_=session.c.user_agent.type),
            bindparam("address", type_=session.c.address.type),
            bindparam("device_name", type_=session.c.device_name.type),
            false(),
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
_replaced = (
    delete(session)
    .where(session.c.id.in_(CARRIED_LIVE_SESSIONS.where(select(_opened.c.id).exists())))
    .returning(session.c.id, session.c.user_id)
    .cte("replaced")
)
# As many as matter are counted. The new session is not among them: a statement does not see its own
# rows.
_earlier = (
    select(session.c.id)
    .where(session.c.user_id == bindparam("owner_id"), session.c.idle_expires_at > NOW)
    .limit(bindparam("max_counted"))
    .subquery("earlier")
)
OPEN_SESSION = select(
    _opened,
    _replaced.c.id.label("replaced_id"),
    _replaced.c.user_id.label("replaced_user_id"),
    select(func.count()).select_from(_earlier).scalar_subquery().label("earlier"),
).select_from(_opened.outerjoin(_replaced, true()))
_OPEN_SESSION = DirectStatement(OPEN_SESSION)


async def open_session(  # noqa: PLR0913
    connection: AsyncConnection,
    *,
    session_id: UUID,
    secret_hash: SecretHash,
    key: Key,
    device: Device,
    settings: SessionSettings,
    carried: CarriedSecrets = (),
    max_counted: int = 0,
) -> InsertedSession | None:
    """Insert a session for the user of ``key``, and end the live sessions that it replaces.

    Those of ``carried`` end whose ids and secret hashes match. Up to ``max_counted`` earlier
    sessions of the user are counted. Returns ``None`` if the key no longer exists or has another
    password hash.
    """
    rows = await _OPEN_SESSION.all(
        connection,
        {
            "id": session_id,
            "secret_hash": secret_hash,
            "owner_id": key.user.id,
            "key_provider": key.provider,
            "key_name": key.name,
            "verified_hash": None if key.password_hash is None else key.password_hash.text,
            "user_agent": device.user_agent,
            "address": device.address,
            "device_name": device.name,
            "max_counted": max_counted,
            **carried_parameters(carried),
            **_periods(settings),
            "max_lifetime": timedelta(seconds=settings.max_lifetime),
        },
    )
    if not rows:
        return None
    return InsertedSession(
        session=_session(rows[0]),
        replaced=[
            EndedSession(row.replaced_id, row.replaced_user_id)
            for row in rows
            if row.replaced_id is not None
        ],
        earlier=rows[0].earlier,
    )


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
        RENEW_SESSION, {"session_id": session_id, **_periods(settings)}
    )
    return _session_or_none(result.one_or_none())


CHANGE_SECRET = (
    update(session)
    .where(session.c.id == bindparam("session_id"), session.c.idle_expires_at > NOW)
    .values(secret_hash=bindparam("new_secret_hash"))
    .returning(*SESSION_COLUMNS, NOW.label("changed_at"))
)


async def change_secret(
    connection: AsyncConnection, session_id: UUID, secret_hash: SecretHash
) -> tuple[Session, datetime] | None:
    """Replace the secret of a live session. Returns it and the time, or ``None`` if it is dead."""
    result = await connection.execute(
        CHANGE_SECRET, {"session_id": session_id, "new_secret_hash": secret_hash}
    )
    row = result.one_or_none()
    return None if row is None else (_session(row), row.changed_at)


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
            session=_session(row),
            state=SessionState.ACTIVE if row.is_active else SessionState.IDLE,
            device=Device(user_agent=row.user_agent, address=row.address, name=row.device_name),
        )
        for row in result
    ]


def _periods(settings: SessionSettings) -> dict[str, timedelta]:
    return {
        "active_period": timedelta(seconds=settings.active_period),
        "live_period": timedelta(seconds=settings.active_period + settings.idle_period),
    }


def _session_or_none(row: Row[Any] | None) -> Session | None:
    return None if row is None else _session(row)


def _session(row: Row[Any]) -> Session:
    return Session(
        id=row.id,
        user_id=row.user_id,
        created_at=row.created_at,
        renewed_at=row.renewed_at,
        active_expires_at=row.active_expires_at,
        idle_expires_at=row.idle_expires_at,
        absolute_expires_at=row.absolute_expires_at,
    )
