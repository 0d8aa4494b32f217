"""Users of a file, converted to rows of the tables, after everything in them was checked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from service.auth.admin.metadata import require_size, require_storable
from service.auth.errors import InvalidField
from service.auth.hashing.schemes import is_verifiable, parse_password_hash
from service.auth.roles import parse_roles
from service.auth.secret_keys import Keyring
from service.auth.usernames import NOT_STORABLE
from service.model.users import Provider
from service.settings.passwords import Argon2Cost
from service.storage.transfer.rows import LoadedKey, LoadedUser
from service.transfer.factor_rows import (
    handle_of,
    passkey_rows,
    recovery_code_rows,
    totp_row,
)
from service.transfer.format import KeyRow, UserRow
from service.transfer.names import name_of
from service.transfer.rejections import RowRejected
from service.transfer.strict_json import parse_object
from service.transfer.user_ids import key_id_of, user_id_of

StructT = TypeVar("StructT", bound=Struct)

# Some systems keep the year 1, or 1900, for a time that they do not know; and asyncpg (0.32) takes
# the beginning of the year 1 for minus infinity.
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)

# By how much the clock of the other system may be ahead.
MAX_AHEAD = timedelta(days=1)


class ConvertedUser(Struct, frozen=True, kw_only=True):
    """The rows of a user, and what is told about them: where sign-up would refuse a name."""

    rows: LoadedUser
    remarks: list[str]


class UserRows:
    """Converts users of a file. Secrets of apps are sealed with the newest key of ``keyring``."""

    def __init__(self, keyring: Keyring, cost: Argon2Cost) -> None:
        self._keyring = keyring
        self._cost = cost
        self._latest = datetime.now(UTC) + MAX_AHEAD

    def convert(self, row: UserRow) -> ConvertedUser:
        """Return the rows of a user. Raises `RowRejected`."""
        row = self._checked_times(row)
        user_id = user_id_of(_storable(row.id, "id"))
        keys, remarks = self._keys(row.keys, user_id)
        totp = None if row.totp is None else totp_row(row.totp, self._keyring, self._latest)
        handle = handle_of(row)
        passkeys = passkey_rows(row.passkeys)
        if row.recovery_codes and totp is None and not passkeys:
            raise RowRejected("it has recovery codes without a factor")
        rows = LoadedUser(
            id=user_id,
            created_at=row.created_at,
            roles=_roles(row.roles),
            metadata=_metadata(bytes(row.metadata)),
            disabled_at=row.disabled_at,
            disabled_reason=_reason(row),
            version=row.version,
            security_version=row.security_version,
            security_changed_at=row.security_changed_at,
            passkey_handle=handle,
            keys=keys,
            totp=totp,
            passkeys=passkeys,
            recovery_codes=recovery_code_rows(row.recovery_codes),
        )
        return ConvertedUser(rows=rows, remarks=remarks)

    def _checked_times(self, row: UserRow) -> UserRow:
        """Return the row with all times in UTC. Raises `RowRejected`."""
        return self._in_utc(
            replace(
                row,
                keys=[self._in_utc(each) for each in row.keys],
                passkeys=[self._in_utc(each) for each in row.passkeys],
                recovery_codes=[self._in_utc(each) for each in row.recovery_codes],
                totp=None if row.totp is None else self._in_utc(row.totp),
            )
        )

    def _in_utc(self, part: StructT) -> StructT:
        times = {}
        for name in part.__struct_fields__:
            value = getattr(part, name)
            if isinstance(value, datetime):
                times[name] = self._time(value, name)
        return replace(part, **times)

    def _time(self, time: datetime, name: str) -> datetime:
        try:
            converted = time.astimezone(UTC)
        except OverflowError as error:
            raise RowRejected(f"its {name} is out of range") from error
        if converted < EARLIEST:
            raise RowRejected(f"its {name} is before 1970: leave out what is not known")
        if converted > self._latest:
            raise RowRejected(f"its {name} is in the future")
        return converted

    def _keys(self, rows: list[KeyRow], user_id: UUID) -> tuple[list[LoadedKey], list[str]]:
        keys: dict[tuple[str, str], LoadedKey] = {}
        remarks = []
        for each in rows:
            key, remark = self._key(each, user_id)
            if (key.provider, key.name) in keys:
                raise RowRejected("it has a name twice")
            keys[key.provider, key.name] = key
            if remark is not None:
                remarks.append(remark)
        return list(keys.values()), remarks

    def _key(self, row: KeyRow, user_id: UUID) -> tuple[LoadedKey, str | None]:
        name = name_of(_storable(row.provider, "provider"), _storable(row.name, "name"))
        if row.verified_at is not None and row.provider != Provider.EMAIL:
            raise RowRejected("verified_at is of addresses only")
        if row.password_hash is None:
            text = scheme = None
        else:
            parsed = parse_password_hash(row.password_hash)
            if not is_verifiable(parsed.text, self._cost):
                raise RowRejected(
                    "its password hash has an unknown form, or costs too much to verify"
                )
            text, scheme = parsed.text, parsed.scheme
        key = LoadedKey(
            id=key_id_of(row.provider, row.name),
            provider=row.provider,
            name=name.name,
            user_id=user_id,
            display_name=name.display_name,
            password_hash=text,
            password_scheme=scheme,
            verified_at=row.verified_at,
            created_at=row.created_at,
        )
        return key, name.refusal


def _storable(text: str, member: str) -> str:
    if NOT_STORABLE.search(text):
        raise RowRejected(f"its {member} has a character that PostgreSQL cannot store")
    return text


def _roles(roles: list[str]) -> list[str]:
    try:
        return [*parse_roles(roles)]
    except InvalidField as error:
        raise RowRejected(error.message) from error


def _metadata(text: bytes) -> str:
    """Return metadata as it was written, for PostgreSQL keeps the digits of numbers."""
    metadata = parse_object(text)
    try:
        require_storable(metadata, any_number=True)
        require_size(metadata)
    except InvalidField as error:
        raise RowRejected(error.message) from error
    return text.decode()


def _reason(row: UserRow) -> str | None:
    if row.disabled_reason is None:
        return None
    if row.disabled_at is None:
        raise RowRejected("it has a disabled_reason without disabled_at")
    return _storable(row.disabled_reason, "disabled_reason")
