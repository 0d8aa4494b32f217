"""Privileges of the role that serves requests. The role that migrates owns the tables."""

from __future__ import annotations

from sqlalchemy import text

from service.settings.database import DatabaseOptions
from service.storage.connection import ADMIN_TIMEOUTS
from service.storage.schema import connection_to
from service.storage.tables import (
    challenge,
    claimed_nonce,
    device,
    identity,
    invitation,
    key,
    mail,
    passkey,
    rate_limit,
    recovery_code,
    reset_request,
    restore,
    sealed_secret,
    service_token,
    session,
    signing_key,
    totp,
    totp_failure,
    user,
    username_hold,
)

# Only what the statements of this package need: no DDL, no other columns.
PRIVILEGES = {
    user.name: "SELECT, INSERT, DELETE, UPDATE (security_version, security_changed_at, "
    "passkey_handle, roles, metadata, disabled_at, disabled_reason, version)",
    key.name: "SELECT, INSERT, DELETE, UPDATE (name, display_name, password_hash, password_scheme)",
    username_hold.name: "SELECT, INSERT, DELETE, UPDATE (user_id, freed_at)",
    session.name: "SELECT, INSERT, DELETE, UPDATE "
    "(secret_hash, renewed_at, active_expires_at, idle_expires_at, authenticated_at, methods)",
    device.name: "SELECT, INSERT, DELETE, UPDATE (last_seen)",
    rate_limit.name: "SELECT, INSERT, DELETE, UPDATE (tat, reserved, reserved_until)",
    sealed_secret.name: "SELECT, INSERT, DELETE, UPDATE (key_id, ciphertext)",
    challenge.name: "SELECT, INSERT, DELETE, UPDATE (failures)",
    totp.name: "SELECT, INSERT, DELETE, "
    "UPDATE (secret_id, last_step, created_at, confirmed_at, last_used_at)",
    totp_failure.name: "SELECT, INSERT, DELETE",
    recovery_code.name: "SELECT, INSERT, DELETE",
    passkey.name: "SELECT, INSERT, DELETE, UPDATE (name, sign_count, is_backed_up, last_used_at)",
    identity.name: "SELECT, INSERT, DELETE, UPDATE (last_used_at)",
    claimed_nonce.name: "SELECT, INSERT, DELETE",
    # A row is locked before it is deleted, for which a privilege to change one column is needed.
    reset_request.name: "SELECT, INSERT, DELETE, UPDATE (created_at)",
    mail.name: "SELECT, INSERT, DELETE, "
    "UPDATE (attempts, error, expires_at, next_attempt_at, failed_at)",
    service_token.name: "SELECT, INSERT, DELETE, UPDATE (scopes, last_used_at, suspended_at)",
    invitation.name: "SELECT, INSERT, DELETE",
    signing_key.name: "SELECT, INSERT, DELETE, UPDATE (signs_until, revoked_at)",
    restore.name: "SELECT, INSERT, DELETE",
    "alembic_version": "SELECT",
}

FIND_ROLE = text("SELECT quote_ident(rolname) FROM pg_roles WHERE rolname = :role")


class NoSuchRole(Exception):
    """The server has no such role."""


async def grant_to(url: str, role: str, options: DatabaseOptions = ADMIN_TIMEOUTS) -> None:
    """Grant a role these privileges on the tables at ``url``, and revoke all others.

    Raises `DatabaseUnavailable` and `NoSuchRole`.
    """
    async with connection_to(url, options) as connection:
        quoted = (await connection.execute(FIND_ROLE, {"role": role})).scalar_one_or_none()
        if quoted is None:
            raise NoSuchRole(role)
        for table, privileges in PRIVILEGES.items():
            await connection.execute(text(f'REVOKE ALL ON "{table}" FROM {quoted}'))
            await connection.execute(text(f'GRANT {privileges} ON "{table}" TO {quoted}'))
