"""The export of all users."""

from __future__ import annotations

from base64 import b32encode
from collections.abc import Callable
from typing import Any

import asyncpg
import msgspec
from msgspec import Raw

from service.auth import base64url
from service.auth.secret_keys import KeyPurpose, Keyring
from service.model.sealed_secrets import Sealed
from service.storage.transfer.pages import Page, Snapshot
from service.transfer.format import header, moment
from service.transfer.loading import ProgressReporter


class UserExport:
    """Exports the users of a snapshot. With a ``keyring``, the secrets of their apps too."""

    def __init__(
        self, source: Snapshot, progress: ProgressReporter, keyring: Keyring | None
    ) -> None:
        self._source = source
        self._progress = progress
        self._keyring = keyring

    async def run(self, write: Callable[[bytes], object]) -> int:
        """Write the header and a line for each user. Returns how many users there are.

        Raises `SecretKeyMissing` and `SecretUnreadable` if a secret cannot be opened.
        """
        self._progress.start("user", await self._source.count())
        write(_line(header()))
        users = 0
        async for page in self._source.pages():
            write(b"".join(_line(self._user(each, page)) for each in page.users))
            users += len(page.users)
            self._progress.advance(len(page.users))
        return users

    def _user(self, row: asyncpg.Record, page: Page) -> dict[str, Any]:
        user_id = row["id"]
        handle = row["passkey_handle"]
        return {
            "id": str(user_id),
            "created_at": moment(row["created_at"]),
            "roles": row["roles"],
            "metadata": Raw(row["metadata"].encode()),
            "disabled_at": moment(row["disabled_at"]),
            "disabled_reason": row["disabled_reason"],
            "keys": [_key(each) for each in page.keys.get(user_id, [])],
            "identities": [_identity(each) for each in page.identities.get(user_id, [])],
            "totp": next((self._totp(each) for each in page.totp.get(user_id, [])), None),
            "passkeys": [_passkey(each) for each in page.passkeys.get(user_id, [])],
            "passkey_handle": None if handle is None else base64url.encode(handle),
            "recovery_codes": [
                {"hash": each["hash"].hex(), "created_at": moment(each["created_at"])}
                for each in page.recovery_codes.get(user_id, [])
            ],
            "security_changed_at": moment(row["security_changed_at"]),
            "security_version": row["security_version"],
            "version": row["version"],
        }

    def _totp(self, row: asyncpg.Record) -> dict[str, Any]:
        app = {
            "confirmed_at": moment(row["confirmed_at"]),
            "created_at": moment(row["created_at"]),
            "last_used_at": moment(row["last_used_at"]),
            "last_step": row["last_step"],
        }
        if self._keyring is None:
            return app
        return {**app, "secret": _secret(self._keyring, row)}


def _secret(keyring: Keyring, row: asyncpg.Record) -> str | None:
    """Return the secret of an app in base32, or ``None`` if it was given up."""
    if row["ciphertext"] is None:
        return None
    sealed = Sealed(key_id=row["key_id"], ciphertext=row["ciphertext"])
    secret = keyring.open(KeyPurpose(row["purpose"]), row["secret_id"], sealed)
    return b32encode(secret).decode().rstrip("=")


def _key(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "provider": row["provider"],
        "name": row["display_name"],
        "password_hash": row["password_hash"],
        "verified_at": moment(row["verified_at"]),
        "created_at": moment(row["created_at"]),
    }


def _identity(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "issuer": row["issuer"],
        "subject": row["subject"],
        "created_at": moment(row["created_at"]),
        "last_used_at": moment(row["last_used_at"]),
    }


def _passkey(row: asyncpg.Record) -> dict[str, Any]:
    aaguid = row["aaguid"]
    return {
        "id": str(row["id"]),
        "credential_id": base64url.encode(row["credential_id"]),
        "public_key": base64url.encode(row["public_key"]),
        "rp_id": row["rp_id"],
        "name": row["name"],
        "sign_count": row["sign_count"],
        "transports": Raw(row["transports"].encode()),
        "aaguid": None if aaguid is None else str(aaguid),
        "backup_eligible": row["is_backup_eligible"],
        "backed_up": row["is_backed_up"],
        "created_at": moment(row["created_at"]),
        "last_used_at": moment(row["last_used_at"]),
    }


def _line(value: dict[str, Any]) -> bytes:
    return msgspec.json.encode(value) + b"\n"
