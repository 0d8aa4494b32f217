"""Sealed secrets: the statements on the table."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.sealed_secrets import Sealed, SealedSecret
from service.storage.tables import sealed_secret

ADD = insert(sealed_secret)


async def add_sealed_secret(
    connection: AsyncConnection, secret: SealedSecret, user_id: UUID | None = None
) -> None:
    """Insert a sealed secret, of a user or of the service."""
    values = {
        "id": secret.id,
        "purpose": secret.purpose,
        "key_id": secret.sealed.key_id,
        "ciphertext": secret.sealed.ciphertext,
        "user_id": user_id,
    }
    await connection.execute(ADD, values)


COLUMNS = (
    sealed_secret.c.id,
    sealed_secret.c.purpose,
    sealed_secret.c.key_id,
    sealed_secret.c.ciphertext,
)
FIND = select(*COLUMNS).where(sealed_secret.c.id == bindparam("secret_id"))


async def find_sealed_secret(connection: AsyncConnection, secret_id: UUID) -> SealedSecret | None:
    """Find a sealed secret by id."""
    row = (await connection.execute(FIND, {"secret_id": secret_id})).one_or_none()
    return None if row is None else _sealed_secret(row)


COUNT_BY_KEY = select(sealed_secret.c.key_id, func.count()).group_by(sealed_secret.c.key_id)


async def count_by_key(connection: AsyncConnection) -> dict[str, int]:
    """Return the number of secrets that each key has sealed, by the key's id."""
    return {row[0]: row[1] for row in await connection.execute(COUNT_BY_KEY)}


SEALED_OTHERWISE = (
    select(*COLUMNS)
    .where(
        sealed_secret.c.key_id != bindparam("current_id"),
        sealed_secret.c.key_id.in_(bindparam("openable", expanding=True)),
    )
    .limit(bindparam("max_rows"))
    .with_for_update(skip_locked=True)
)


async def lock_sealed_otherwise(
    connection: AsyncConnection, current_id: str, openable: list[str], max_rows: int
) -> list[SealedSecret]:
    """Lock secrets that a key other than the current one has sealed, in a transaction.

    Those whose key is not ``openable``, and those that another process has locked, are left.
    """
    parameters = {"current_id": current_id, "openable": openable, "max_rows": max_rows}
    return [_sealed_secret(row) for row in await connection.execute(SEALED_OTHERWISE, parameters)]


REPLACE = (
    update(sealed_secret)
    .where(sealed_secret.c.id == bindparam("secret_id"))
    .values(key_id=bindparam("new_key_id"), ciphertext=bindparam("new_ciphertext"))
)


async def replace_sealed(connection: AsyncConnection, secret_id: UUID, sealed: Sealed) -> None:
    """Replace the sealed form of a secret, whose row is locked."""
    parameters = {
        "secret_id": secret_id,
        "new_key_id": sealed.key_id,
        "new_ciphertext": sealed.ciphertext,
    }
    await connection.execute(REPLACE, parameters)


FORGET = delete(sealed_secret).where(sealed_secret.c.key_id == bindparam("key_id"))


async def delete_sealed_by(connection: AsyncConnection, key_id: str) -> int:
    """Delete the secrets that a key has sealed. Returns how many."""
    return (await connection.execute(FORGET, {"key_id": key_id})).rowcount


def _sealed_secret(row: Row[*tuple[Any, ...]]) -> SealedSecret:
    return SealedSecret(
        id=row.id,
        purpose=row.purpose,
        sealed=Sealed(key_id=row.key_id, ciphertext=row.ciphertext),
    )
