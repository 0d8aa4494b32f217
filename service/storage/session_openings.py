"""Openings of sessions: the one statement that inserts a session, and all that goes with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import (
    Interval,
    bindparam,
    column,
    delete,
    false,
    func,
    literal_column,
    select,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import insert

from service.model.devices import DeviceHash
from service.model.request_context import Device
from service.model.sessions import EndedSession, InsertedSession, Method, SecretHash
from service.model.users import Key
from service.settings.sessions import SessionSettings
from service.storage.direct import AnyConnection, DirectStatement
from service.storage.rate_limits import CHARGE_TYPES, Charge, charge_parameters, settling
from service.storage.session_endings import (
    CARRIED_LIVE_SESSIONS,
    CarriedSecrets,
    carried_parameters,
)
from service.storage.sessions import (
    ACTIVE_PERIOD,
    LIVE_PERIOD,
    NOW,
    PROVEN_NOW,
    SESSION_COLUMNS,
    periods,
    session_of_row,
)
from service.storage.tables import device, key, session, user

# How many devices of a user are known.
MAX_DEVICES = 100

MAX_LIFETIME = bindparam("max_lifetime", type_=Interval)

# The presented token's hash, if that token was issued, to whichever user: several users of one
# browser share it. One that was forgotten, or that a stranger planted, is replaced.
_issued_device = (
    select(device.c.hash)
    .where(device.c.hash == bindparam("presented_device", type_=device.c.hash.type))
    .limit(literal_column("1"))
    .scalar_subquery()
)

# The user and the key are locked, in this order, and compared again: neither a password that was
# replaced while it was being verified, nor any proof of before a change of what protects the user,
# opens a session.
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
            session.c.device_hash,
            session.c.authenticated_at,
            session.c.methods,
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
            func.coalesce(_issued_device, bindparam("new_device", type_=device.c.hash.type)),
            NOW,
            PROVEN_NOW,
        )
        .join_from(user, key)
        .where(
            key.c.provider == bindparam("key_provider"),
            key.c.name == bindparam("key_name"),
            key.c.password_hash == bindparam("verified_hash"),
            user.c.security_version == bindparam("security_version"),
        )
        .with_for_update(read=True),
    )
    .returning(*SESSION_COLUMNS, session.c.device_hash)
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
_settled = (
    text(settling("AND EXISTS (SELECT FROM opened)") + "RETURNING true AS settled")
    .bindparams(*CHARGE_TYPES)
    .columns(column("settled"))
    .cte("settled")
)
OPEN_SESSION = (
    select(
        _opened,
        _replaced.c.id.label("replaced_id"),
        _replaced.c.user_id.label("replaced_user_id"),
        select(func.count()).select_from(_earlier).scalar_subquery().label("earlier"),
    )
    .select_from(_opened.outerjoin(_replaced, true()))
    .add_cte(_remembered, _trimmed, _settled)
)
_OPEN_SESSION = DirectStatement(OPEN_SESSION)


async def open_session(  # noqa: PLR0913
    connection: AnyConnection,
    *,
    session_id: UUID,
    secret_hash: SecretHash,
    key: Key,
    method: Method,
    device: Device,
    settings: SessionSettings,
    presented_device: DeviceHash | None,
    new_device: DeviceHash,
    carried: CarriedSecrets = (),
    max_counted: int = 0,
    settles: Sequence[Charge] = (),
) -> InsertedSession | None:
    """Insert a session for the user of ``key``, and end the live sessions that it replaces.

    ``method`` has proven the user. Those of ``carried`` end whose ids and secret hashes match. Up
    to ``max_counted`` earlier sessions of the user are counted. The device is known from now on as
    ``presented_device``, if that was issued, or as ``new_device``; the user's oldest beyond
    `MAX_DEVICES` is forgotten. The charges of an attempt are settled. Returns ``None``, and does
    nothing, if the key no longer exists or has another password hash, or if the security version of
    its user has moved.
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
            "security_version": key.security_version,
            "method": method.value,
            "user_agent": device.user_agent,
            "address": device.address,
            "device_name": device.name,
            "presented_device": presented_device,
            "new_device": new_device,
            "max_counted": max_counted,
            **carried_parameters(carried),
            **charge_parameters(settles),
            **periods(settings),
            "max_lifetime": timedelta(seconds=settings.max_lifetime),
        },
    )
    if not rows:
        return None
    return InsertedSession(
        session=session_of_row(rows[0]),
        device_hash=DeviceHash(rows[0].device_hash),
        replaced=[
            EndedSession(row.replaced_id, row.replaced_user_id)
            for row in rows
            if row.replaced_id is not None
        ],
        earlier=rows[0].earlier,
    )
