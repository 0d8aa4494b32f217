"""Sessions: the statements that open, renew, list and end them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Interval,
    Row,
    bindparam,
    column,
    delete,
    func,
    literal_column,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.devices import DeviceHash
from service.model.request_context import Device
from service.model.sessions import ListedSession, SecretHash, Session, SessionState
from service.model.users import Key
from service.settings.sessions import SessionSettings
from service.storage.rate_limits import CHARGE_TYPES, Charge, charge_parameters, settling
from service.storage.tables import device, key, session

# How many devices of a user are known.
MAX_DEVICES = 100

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
)

# The presented token's hash, if that token was issued, to whichever user: several users of one
# browser share it. One that was forgotten, or that a stranger planted, is replaced.
_issued_device = (
    select(device.c.hash)
    .where(device.c.hash == bindparam("presented_device", type_=device.c.hash.type))
    .limit(literal_column("1"))
    .scalar_subquery()
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
            session.c.device_hash,
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
            func.coalesce(_issued_device, bindparam("new_device", type_=device.c.hash.type)),
        )
        .where(
            key.c.provider == bindparam("key_provider"),
            key.c.name == bindparam("key_name"),
            key.c.password_hash == bindparam("verified_hash"),
        )
        .with_for_update(read=True),
    )
    .returning(*SESSION_COLUMNS, session.c.device_hash)
    .cte("opened")
)
_replaced = (
    delete(session)
    .where(
        session.c.id == bindparam("replaced_id", type_=session.c.id.type),
        session.c.secret_hash == bindparam("replaced_hash", type_=session.c.secret_hash.type),
        select(_opened.c.id).exists(),
    )
    .cte("replaced")
)
_inserted_device = insert(device).from_select(
    [device.c.hash, device.c.user_id], select(_opened.c.device_hash, _opened.c.user_id)
)
_remembered = _inserted_device.on_conflict_do_update(
    index_elements=[device.c.hash, device.c.user_id],
    set_={device.c.last_seen: _inserted_device.excluded.last_seen},
).cte("remembered")
# A client that keeps no device token has a new one for every log-in.
_surplus = (
    select(device.c.hash)
    .where(
        device.c.user_id == select(_opened.c.user_id).scalar_subquery(),
        device.c.hash != select(_opened.c.device_hash).scalar_subquery(),
    )
    .order_by(device.c.last_seen.desc())
    .offset(literal_column(f"{MAX_DEVICES - 1}"))
)
_trimmed = (
    delete(device)
    .where(
        device.c.user_id == select(_opened.c.user_id).scalar_subquery(),
        device.c.hash.in_(_surplus),
    )
    .cte("trimmed")
)
OPEN_SESSION = select(_opened).add_cte(_replaced, _remembered, _trimmed)


_settled = (
    text(settling("AND EXISTS (SELECT FROM opened)") + "RETURNING true AS settled")
    .bindparams(*CHARGE_TYPES)
    .columns(column("settled"))
    .cte("settled")
)
OPEN_SESSION_AND_SETTLE = OPEN_SESSION.add_cte(_settled)


async def open_session(  # noqa: PLR0913
    connection: AsyncConnection,
    *,
    session_id: UUID,
    secret_hash: SecretHash,
    key: Key,
    device: Device,
    settings: SessionSettings,
    presented_device: DeviceHash | None,
    new_device: DeviceHash,
    replaced_id: UUID | None = None,
    replaced_hash: SecretHash | None = None,
    settles: Sequence[Charge] = (),
) -> tuple[Session, DeviceHash] | None:
    """Insert a session for the user of ``key``, and end the session that it replaces.

    The session ``replaced_id`` ends if ``replaced_hash`` is the hash of its secret. The device is
    known from now on as ``presented_device``, if that was issued, or as ``new_device``; the user's
    oldest beyond `MAX_DEVICES` is forgotten. The charges of an attempt are settled. Returns the
    session and the device's hash, or ``None`` if the key no longer exists or has another password
    hash.
    """
    result = await connection.execute(
        OPEN_SESSION_AND_SETTLE if settles else OPEN_SESSION,
        {
            **(charge_parameters(settles) if settles else {}),
            "presented_device": presented_device,
            "new_device": new_device,
            "id": session_id,
            "secret_hash": secret_hash,
            "key_provider": key.provider,
            "key_name": key.name,
            "verified_hash": None if key.password_hash is None else key.password_hash.text,
            "user_agent": device.user_agent,
            "address": device.address,
            "replaced_id": replaced_id,
            "replaced_hash": replaced_hash,
            **_periods(settings),
            "max_lifetime": timedelta(seconds=settings.max_lifetime),
        },
    )
    row = result.one_or_none()
    return None if row is None else (_session(row), DeviceHash(row.device_hash))


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
    .returning(*SESSION_COLUMNS)
)


async def change_secret(
    connection: AsyncConnection, session_id: UUID, secret_hash: SecretHash
) -> Session | None:
    """Replace the secret of a live session. Returns ``None`` if it is dead."""
    result = await connection.execute(
        CHANGE_SECRET, {"session_id": session_id, "new_secret_hash": secret_hash}
    )
    return _session_or_none(result.one_or_none())


END_SESSION = delete(session).where(session.c.id == bindparam("session_id"))


async def end_session(connection: AsyncConnection, session_id: UUID) -> None:
    """Delete a session; it is dead in every process once this returns."""
    await connection.execute(END_SESSION, {"session_id": session_id})


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
_other_devices = (
    delete(device)
    .where(device.c.user_id == bindparam("owner_id"), device.c.hash.is_distinct_from(_kept_device))
    .cte("forgotten")
)
END_OTHER_SESSIONS = (
    delete(session)
    .where(
        session.c.user_id == bindparam("owner_id"),
        session.c.id != bindparam("kept_id"),
        session.c.idle_expires_at > NOW,
    )
    .add_cte(_other_devices)
)


async def end_other_sessions(connection: AsyncConnection, user_id: UUID, kept_id: UUID) -> int:
    """Delete all live sessions of a user but one, and all devices but that one's.

    Returns how many sessions.
    """
    result = await connection.execute(END_OTHER_SESSIONS, {"owner_id": user_id, "kept_id": kept_id})
    return result.rowcount


_all_devices = delete(device).where(device.c.user_id == bindparam("owner_id")).cte("forgotten")
END_ALL_SESSIONS = (
    delete(session).where(session.c.user_id == bindparam("owner_id")).add_cte(_all_devices)
)


async def end_all_sessions(connection: AsyncConnection, user_id: UUID) -> int:
    """Delete all sessions of a user, live or dead, and all devices. Returns how many sessions."""
    result = await connection.execute(END_ALL_SESSIONS, {"owner_id": user_id})
    return result.rowcount


LIST_SESSIONS = (
    select(
        *SESSION_COLUMNS,
        (session.c.active_expires_at > NOW).label("is_active"),
        session.c.user_agent,
        session.c.address,
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
            device=Device(user_agent=row.user_agent, address=row.address),
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
    )
