"""Openings of sessions: the one statement that inserts a session, and all that goes with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import (
    CTE,
    Boolean,
    ColumnElement,
    Interval,
    Select,
    Text,
    bindparam,
    cast,
    column,
    delete,
    false,
    func,
    literal_column,
    not_,
    or_,
    select,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import JSONB, insert

from service.model.devices import DeviceHash
from service.model.proofs import Proof
from service.model.request_context import Device
from service.model.sessions import EndedSession, InsertedSession, SecretHash
from service.model.users import Key
from service.settings.sessions import SessionSettings
from service.storage.direct import AnyConnection, DirectStatement
from service.storage.factors.existing import has_factor
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
from service.storage.tables import TIMESTAMP, device, key, session, user

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

# Whoever has a factor was proven by one, whether it works today or not.
_STILL_PROVEN = (
    user.c.disabled_at.is_(None),
    user.c.id == bindparam("owner_id"),
    user.c.security_version == bindparam("security_version"),
    or_(bindparam("by_factor", type_=Boolean), not_(has_factor(user.c.id))),
)

# The user and the key are locked, in this order, and compared again: neither a password that was
# replaced while it was being verified, nor any proof of before a change of what protects the user,
# opens a session.
_WITH_PASSWORD = (
    select(user.c.id)
    .join_from(user, key)
    .where(
        key.c.provider == bindparam("key_provider"),
        key.c.name == bindparam("key_name"),
        key.c.password_hash == bindparam("verified_hash"),
        *_STILL_PROVEN,
    )
    .with_for_update(read=True)
)
_WITHOUT_PASSWORD = (
    select(user.c.id).select_from(user).where(*_STILL_PROVEN).with_for_update(read=True)
)

_VALUES: dict[str, ColumnElement[Any]] = {
    "id": bindparam("id", type_=session.c.id.type),
    "secret_hash": bindparam("secret_hash", type_=session.c.secret_hash.type),
    "user_id": user.c.id,
    "active_expires_at": NOW + func.least(ACTIVE_PERIOD, MAX_LIFETIME),
    "idle_expires_at": NOW + func.least(LIVE_PERIOD, MAX_LIFETIME),
    "absolute_expires_at": NOW + MAX_LIFETIME,
    "user_agent": bindparam("user_agent", type_=session.c.user_agent.type),
    "address": bindparam("address", type_=session.c.address.type),
    "device_name": bindparam("device_name", type_=session.c.device_name.type),
    "legacy_cookie": false(),
    "device_hash": func.coalesce(_issued_device, bindparam("new_device", type_=device.c.hash.type)),
    "authenticated_at": func.least(NOW, bindparam("proven_at", type_=TIMESTAMP)),
    "methods": cast(bindparam("earlier_methods", type_=Text), JSONB).op("||")(PROVEN_NOW),
}


def _opening(guard: Select[tuple[UUID]]) -> Select[Any]:
    """Return the statement that opens a session of the user whom ``guard`` finds, if it does."""
    opened = (
        insert(session)
        .from_select(list(_VALUES), guard.with_only_columns(*_VALUES.values()))
        .returning(*SESSION_COLUMNS, session.c.device_hash)
        .cte("opened")
    )
    replaced = (
        delete(session)
        .where(session.c.id.in_(CARRIED_LIVE_SESSIONS.where(select(opened.c.id).exists())))
        .returning(session.c.id, session.c.user_id)
        .cte("replaced")
    )
    # As many as matter are counted. The new session is not among them: a statement does not see
    # its own rows.
    earlier = (
        select(session.c.id)
        .where(session.c.user_id == bindparam("owner_id"), session.c.idle_expires_at > NOW)
        .limit(bindparam("max_counted"))
        .subquery("earlier")
    )
    settled = (
        text(settling("AND EXISTS (SELECT FROM opened)") + "RETURNING true AS settled")
        .bindparams(*CHARGE_TYPES)
        .columns(column("settled"))
        .cte("settled")
    )
    return (
        select(
            opened,
            replaced.c.id.label("replaced_id"),
            replaced.c.user_id.label("replaced_user_id"),
            select(func.count()).select_from(earlier).scalar_subquery().label("earlier"),
        )
        .select_from(opened.outerjoin(replaced, true()))
        .add_cte(_remembered(opened), _trimmed(opened), settled)
    )


def _remembered(opened: CTE) -> CTE:
    """Return the part of the statement by which the device is known to the user."""
    inserted = insert(device).from_select(
        [device.c.hash, device.c.user_id], select(opened.c.device_hash, opened.c.user_id)
    )
    return inserted.on_conflict_do_update(
        index_elements=[device.c.hash, device.c.user_id],
        set_={device.c.last_seen: inserted.excluded.last_seen},
    ).cte("remembered")


def _trimmed(opened: CTE) -> CTE:
    """Return the part of the statement by which the oldest of too many devices are forgotten.

    A client that keeps no device token has a new one for every log-in.
    """
    of_user = device.c.user_id == select(opened.c.user_id).scalar_subquery()
    surplus = (
        select(device.c.hash)
        .where(of_user, device.c.hash != select(opened.c.device_hash).scalar_subquery())
        .order_by(device.c.last_seen.desc())
        .offset(literal_column(f"{MAX_DEVICES - 1}"))
    )
    return delete(device).where(of_user, device.c.hash.in_(surplus)).cte("trimmed")


OPEN_SESSION = _opening(_WITH_PASSWORD)
_OPEN_WITH_PASSWORD = DirectStatement(OPEN_SESSION)
_OPEN_WITHOUT_PASSWORD = DirectStatement(_opening(_WITHOUT_PASSWORD))


async def open_session(  # noqa: PLR0913
    connection: AnyConnection,
    *,
    session_id: UUID,
    secret_hash: SecretHash,
    proof: Proof,
    device: Device,
    settings: SessionSettings,
    presented_device: DeviceHash | None,
    new_device: DeviceHash,
    carried: CarriedSecrets = (),
    max_counted: int = 0,
    settles: Sequence[Charge] = (),
) -> InsertedSession | None:
    """Insert a session for the user of ``proof``, and end the live sessions that it replaces.

    Those of ``carried`` end whose ids and secret hashes match. Up to ``max_counted`` earlier
    sessions of the user are counted. The device is known from now on as ``presented_device``, if
    that was issued, or as ``new_device``; the user's oldest beyond `MAX_DEVICES` is forgotten. The
    charges of an attempt are settled. Returns ``None``, and does nothing, if the key no longer
    exists or has another password hash, if the security version of the user has moved, if they have
    a factor and the proof is without one, or if they are disabled.
    """
    key = proof.key
    statement = _OPEN_WITHOUT_PASSWORD if key is None else _OPEN_WITH_PASSWORD
    rows = await statement.all(
        connection,
        {
            "id": session_id,
            "secret_hash": secret_hash,
            "owner_id": proof.user.id,
            **({} if key is None else _key_parameters(key)),
            "security_version": proof.security_version,
            "by_factor": proof.has_factor,
            "method": str(proof.method),
            "proven_at": proof.proven_at,
            "earlier_methods": _methods_in_json(proof.earlier),
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


IS_REFUSED_AS_DISABLED = select(
    select(user.c.id)
    .where(
        user.c.id == bindparam("owner_id"),
        user.c.disabled_at.is_not(None),
        or_(bindparam("by_factor", type_=Boolean), not_(has_factor(user.c.id))),
    )
    .exists()
    .label("is_refused")
)
_IS_REFUSED_AS_DISABLED = DirectStatement(IS_REFUSED_AS_DISABLED)


async def is_refused_as_disabled(connection: AnyConnection, proof: Proof) -> bool:
    """Return whether a user is disabled who gave everything that a log-in asks for."""
    parameters = {"owner_id": proof.user.id, "by_factor": proof.has_factor}
    (row,) = await _IS_REFUSED_AS_DISABLED.all(connection, parameters)
    refused: bool = row.is_refused
    return refused


def _key_parameters(key: Key) -> dict[str, str | None]:
    return {
        "key_provider": key.provider,
        "key_name": key.name,
        "verified_hash": None if key.password_hash is None else key.password_hash.text,
    }


def _methods_in_json(methods: dict[str, datetime]) -> str:
    """Return methods with their times, as they are in the column ``methods``."""
    return msgspec.json.encode(methods).decode()
