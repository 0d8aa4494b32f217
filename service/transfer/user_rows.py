"""Users of a file, converted to rows of the tables, after everything in them was checked."""

from __future__ import annotations

from msgspec import Struct

from service.auth.admin.disabled_reasons import require_reason
from service.auth.admin.metadata import require_metadata
from service.auth.errors import InvalidField
from service.auth.roles import parse_roles
from service.auth.secret_keys import Keyring
from service.settings.passwords import Argon2Cost
from service.storage.transfer.rows import LoadedUser
from service.transfer.factor_rows import (
    handle_of,
    passkey_rows,
    recovery_code_rows,
    totp_row,
)
from service.transfer.format import UserRow
from service.transfer.identity_rows import identity_rows
from service.transfer.key_rows import key_rows
from service.transfer.rejections import RowRejected, require_storable
from service.transfer.strict_json import parse_object
from service.transfer.times import latest_time, with_checked_times
from service.transfer.user_ids import user_id_of


class ConvertedUser(Struct, frozen=True, kw_only=True):
    """The rows of a user, and what is told about them: where sign-up would refuse a name."""

    rows: LoadedUser
    remarks: list[str]


class UserRows:
    """Converts users of a file. Secrets of apps are sealed with the newest key of ``keyring``."""

    def __init__(self, keyring: Keyring, cost: Argon2Cost) -> None:
        self._keyring = keyring
        self._cost = cost
        self._latest = latest_time()

    def convert(self, row: UserRow) -> ConvertedUser:
        """Return the rows of a user. Raises `RowRejected`."""
        row = with_checked_times(row, self._latest)
        require_storable(row.id, "id")
        user_id = user_id_of(row.id)
        keys, remarks = key_rows(row.keys, user_id, self._cost)
        totp = None if row.totp is None else totp_row(row.totp, self._keyring, self._latest)
        passkeys = passkey_rows(row.passkeys)
        if row.recovery_codes and totp is None and not passkeys:
            raise RowRejected("it has recovery codes without a factor")
        rows = LoadedUser(
            id=user_id,
            created_at=row.created_at,
            roles=_roles(row.roles),
            metadata=_metadata(bytes(row.metadata)),
            disabled_at=row.disabled_at,
            disabled_reason=_disabled_reason(row),
            version=row.version,
            security_version=row.security_version,
            security_changed_at=row.security_changed_at,
            passkey_handle=handle_of(row),
            keys=keys,
            identities=identity_rows(row.identities),
            totp=totp,
            passkeys=passkeys,
            recovery_codes=recovery_code_rows(row.recovery_codes),
        )
        return ConvertedUser(rows=rows, remarks=remarks)


def _roles(roles: list[str]) -> list[str]:
    try:
        return [*parse_roles(roles)]
    except InvalidField as error:
        raise RowRejected(error.message) from error


def _metadata(text: bytes) -> str:
    """Return metadata as it was written, for PostgreSQL keeps the digits of numbers."""
    try:
        require_metadata(parse_object(text))
    except InvalidField as error:
        raise RowRejected(error.message) from error
    return text.decode()


def _disabled_reason(row: UserRow) -> str | None:
    if row.disabled_reason is None:
        return None
    if row.disabled_at is None:
        raise RowRejected("it has a disabled_reason without disabled_at")
    try:
        require_reason(row.disabled_reason)
    except InvalidField as error:
        raise RowRejected(error.message) from error
    return row.disabled_reason
