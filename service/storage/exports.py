"""The statements that read everything that is kept about a user."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import Any

from msgspec import UNSET
from sqlalchemy import BindParameter, Text, bindparam, cast, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.exports import (
    AccountExport,
    ExportedChallenge,
    ExportedDevice,
    ExportedIdentity,
    ExportedKey,
    ExportedPasskey,
    ExportedSession,
    ExportedTOTP,
)
from service.model.sessions import proven_methods
from service.model.users import User
from service.storage.factors.recovery_codes import count_recovery_codes
from service.storage.sessions import decode_methods
from service.storage.tables import (
    challenge,
    device,
    identity,
    key,
    passkey,
    session,
    totp,
    totp_failure,
)

_OWNER: BindParameter[Any] = bindparam("owner_id")

EXPORT_KEYS = (
    select(
        key.c.provider,
        key.c.display_name,
        key.c.password_hash.is_not(None).label("has_password"),
        key.c.verified_at,
        key.c.created_at,
    )
    .where(key.c.user_id == _OWNER)
    .order_by(key.c.created_at, key.c.provider, key.c.name)
)
EXPORT_IDENTITIES = (
    select(identity.c.issuer, identity.c.subject, identity.c.created_at, identity.c.last_used_at)
    .where(identity.c.user_id == _OWNER)
    .order_by(identity.c.created_at, identity.c.id)
)
EXPORT_SESSIONS = (
    select(
        session.c.id,
        session.c.device_name,
        session.c.user_agent,
        session.c.address,
        cast(session.c.methods, Text).label("methods"),
        session.c.created_at,
        session.c.renewed_at,
        session.c.idle_expires_at,
    )
    .where(session.c.user_id == _OWNER)
    .order_by(session.c.created_at.desc(), session.c.id.desc())
)
EXPORT_DEVICES = (
    select(device.c.last_seen)
    .where(device.c.user_id == _OWNER)
    .order_by(device.c.last_seen.desc(), device.c.hash)
)
EXPORT_CHALLENGES = (
    select(
        challenge.c.purpose,
        challenge.c.display_address,
        challenge.c.created_at,
        challenge.c.expires_at,
    )
    .where(challenge.c.user_id == _OWNER)
    .order_by(challenge.c.created_at.desc(), challenge.c.id)
)
EXPORT_TOTP = select(totp.c.created_at, totp.c.confirmed_at, totp.c.last_used_at).where(
    totp.c.user_id == _OWNER
)
EXPORT_FAILURES = (
    select(totp_failure.c.failed_at)
    .where(totp_failure.c.user_id == _OWNER)
    .order_by(totp_failure.c.failed_at.desc())
)
EXPORT_PASSKEYS = (
    select(passkey).where(passkey.c.user_id == _OWNER).order_by(passkey.c.created_at, passkey.c.id)
)
EXPORTED_AT = select(func.now())


async def export_user(connection: AsyncConnection, user: User) -> AccountExport:
    """Return what is kept about a user."""
    owner = {"owner_id": user.id}
    exported_at = (await connection.execute(EXPORTED_AT)).scalar_one()
    keys = await connection.execute(EXPORT_KEYS, owner)
    identities = await connection.execute(EXPORT_IDENTITIES, owner)
    sessions = await connection.execute(EXPORT_SESSIONS, owner)
    devices = await connection.execute(EXPORT_DEVICES, owner)
    challenges = await connection.execute(EXPORT_CHALLENGES, owner)
    app = (await connection.execute(EXPORT_TOTP, owner)).one_or_none()
    failures = (await connection.execute(EXPORT_FAILURES, owner)).scalars()
    passkeys = await connection.execute(EXPORT_PASSKEYS, owner)
    return AccountExport(
        exported_at=exported_at,
        user=user,
        keys=[
            ExportedKey(
                provider=row.provider,
                name=row.display_name,
                has_password=row.has_password,
                verified_at=row.verified_at,
                created_at=row.created_at,
            )
            for row in keys
        ],
        identities=[
            ExportedIdentity(
                issuer=row.issuer,
                subject=row.subject,
                created_at=row.created_at,
                last_used_at=row.last_used_at,
            )
            for row in identities
        ],
        sessions=[
            ExportedSession(
                id=row.id,
                device_name=row.device_name,
                user_agent=row.user_agent,
                address=None if row.address is None else str(row.address),
                methods=proven_methods(decode_methods(row.methods)),
                created_at=row.created_at,
                renewed_at=row.renewed_at,
                ends_at=row.idle_expires_at,
            )
            for row in sessions
        ],
        devices=[ExportedDevice(last_seen=row.last_seen) for row in devices],
        totp=UNSET
        if app is None
        else ExportedTOTP(
            created_at=app.created_at,
            confirmed_at=app.confirmed_at,
            last_used_at=app.last_used_at,
            failures=[*failures],
        ),
        passkeys=[
            ExportedPasskey(
                id=row.id,
                name=row.name,
                rp_id=row.rp_id,
                credential_id=urlsafe_b64encode(row.credential_id).decode().rstrip("="),
                aaguid=row.aaguid,
                transports=row.transports,
                sign_count=row.sign_count,
                backed_up=row.is_backed_up,
                created_at=row.created_at,
                last_used_at=row.last_used_at,
            )
            for row in passkeys
        ],
        recovery_codes_left=await count_recovery_codes(connection, user.id),
        challenges=[
            ExportedChallenge(
                purpose=row.purpose,
                address=row.display_address,
                created_at=row.created_at,
                expires_at=row.expires_at,
            )
            for row in challenges
        ],
    )
