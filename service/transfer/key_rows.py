"""Keys of users of a file, converted to rows of the table."""

from __future__ import annotations

from uuid import UUID

from service.auth.hashing.schemes import is_verifiable, parse_password_hash
from service.model.users import PasswordHash, Provider
from service.settings.passwords import Argon2Cost
from service.storage.transfer.rows import LoadedKey
from service.transfer.format import KeyRow
from service.transfer.names import name_of
from service.transfer.rejections import RowRejected, require_storable
from service.transfer.user_ids import key_id_of


def key_rows(
    rows: list[KeyRow], user_id: UUID, cost: Argon2Cost
) -> tuple[list[LoadedKey], list[str]]:
    """Return keys, and why sign-up would refuse the names of some. Raises `RowRejected`."""
    keys: dict[tuple[str, str], LoadedKey] = {}
    remarks = []
    for each in rows:
        key, remark = _key_row(each, user_id, cost)
        if (key.provider, key.name) in keys:
            raise RowRejected("it has a name twice")
        keys[key.provider, key.name] = key
        if remark is not None:
            remarks.append(remark)
    return list(keys.values()), remarks


def _key_row(row: KeyRow, user_id: UUID, cost: Argon2Cost) -> tuple[LoadedKey, str | None]:
    require_storable(row.provider, "provider")
    require_storable(row.name, "name")
    name = name_of(row.provider, row.name)
    if row.verified_at is not None and row.provider != Provider.EMAIL:
        raise RowRejected("verified_at is of addresses only")
    hashed = _password_hash(row.password_hash, cost)
    key = LoadedKey(
        id=key_id_of(row.provider, row.name),
        provider=row.provider,
        name=name.name,
        user_id=user_id,
        display_name=name.display_name,
        password_hash=None if hashed is None else hashed.text,
        password_scheme=None if hashed is None else hashed.scheme,
        verified_at=row.verified_at,
        created_at=row.created_at,
    )
    return key, name.refusal


def _password_hash(text: str | None, cost: Argon2Cost) -> PasswordHash | None:
    if text is None:
        return None
    parsed = parse_password_hash(text)
    if not is_verifiable(parsed.text, cost):
        raise RowRejected("its password hash has an unknown form, or costs too much to verify")
    return parsed
