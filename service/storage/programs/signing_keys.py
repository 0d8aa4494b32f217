"""Signing keys: the statements on the table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Interval, Row, bindparam, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.signing_keys import SigningKey
from service.storage.tables import sealed_secret, signing_key

MOMENT = bindparam("moment", type_=DateTime(timezone=True))

COLUMNS = (
    signing_key.c.id,
    signing_key.c.public_key,
    signing_key.c.created_at,
    signing_key.c.signs_from,
    signing_key.c.signs_until,
    signing_key.c.revoked_at,
)
IS_PUBLISHED = (
    signing_key.c.revoked_at.is_(None),
    or_(
        signing_key.c.signs_until.is_(None),
        signing_key.c.signs_until > func.now() - bindparam("retention", type_=Interval),
    ),
)
IN_ORDER = (signing_key.c.signs_from, signing_key.c.id)
FIND_PUBLISHED = select(*COLUMNS).where(*IS_PUBLISHED).order_by(*IN_ORDER)


async def find_published(connection: AsyncConnection, retention: timedelta) -> list[SigningKey]:
    """Return the keys that verify tokens, or will: until ``retention`` after they signed."""
    rows = await connection.execute(FIND_PUBLISHED, {"retention": retention})
    return [_signing_key(row) for row in rows]


LIST = select(*COLUMNS).order_by(*IN_ORDER)


async def list_signing_keys(connection: AsyncConnection) -> list[SigningKey]:
    """Return all keys, in the order in which they sign."""
    return [_signing_key(row) for row in await connection.execute(LIST)]


# The key of an advisory lock: one process changes the keys at a time. Any constant would do.
SIGNING_KEY_LOCK = 0x7369676E696E67
LOCK = text("SELECT pg_advisory_xact_lock(:lock)")
CLOCK = select(func.clock_timestamp())


async def lock_signing_keys(connection: AsyncConnection) -> datetime:
    """Lock the keys against other changes until the transaction ends. Returns the time then."""
    await connection.execute(LOCK, {"lock": SIGNING_KEY_LOCK})
    return await clock(connection)


async def clock(connection: AsyncConnection) -> datetime:
    """Return the time by the database's clock."""
    now: datetime = (await connection.execute(CLOCK)).scalar_one()
    return now


IS_SIGNING = text(
    """
    SELECT EXISTS (
        SELECT FROM signing_key JOIN sealed_secret ON sealed_secret.id = signing_key.secret_id
        WHERE signing_key.revoked_at IS NULL AND signing_key.signs_from <= :moment
          AND (signing_key.signs_until IS NULL OR signing_key.signs_until > :moment)
    )
    """
).bindparams(MOMENT)


async def does_a_key_sign(connection: AsyncConnection, moment: datetime) -> bool:
    """Return whether there is a key that signs at a moment."""
    found: bool = (await connection.execute(IS_SIGNING, {"moment": moment})).scalar_one()
    return found


NEXT = (
    select(*COLUMNS)
    .select_from(signing_key.join(sealed_secret, sealed_secret.c.id == signing_key.c.secret_id))
    .where(signing_key.c.revoked_at.is_(None), signing_key.c.signs_from > MOMENT)
    .order_by(*IN_ORDER)
)


async def find_next(connection: AsyncConnection, moment: datetime) -> SigningKey | None:
    """Return the key that signs only after a moment, if there is one and its secret is there."""
    row = (await connection.execute(NEXT, {"moment": moment})).first()
    return None if row is None else _signing_key(row)


ADD = insert(signing_key).returning(*COLUMNS)


async def add_signing_key(
    connection: AsyncConnection,
    key_id: UUID,
    secret_id: UUID,
    public_key: Mapping[str, Any],
    signs_from: datetime,
) -> SigningKey:
    """Insert a key, whose sealed secret is in the same transaction."""
    values = {
        "id": key_id,
        "secret_id": secret_id,
        "public_key": public_key,
        "signs_from": signs_from,
    }
    return _signing_key((await connection.execute(ADD, values)).one())


RETIRE = (
    update(signing_key)
    .where(
        signing_key.c.revoked_at.is_(None),
        signing_key.c.signs_from <= MOMENT,
        or_(signing_key.c.signs_until.is_(None), signing_key.c.signs_until > MOMENT),
    )
    .values(signs_until=MOMENT)
)


async def retire(connection: AsyncConnection, moment: datetime) -> None:
    """Let no key sign from a moment on that has signed, or was to sign, before."""
    await connection.execute(RETIRE, {"moment": moment})


REVOKE_ALL = (
    update(signing_key)
    .where(signing_key.c.revoked_at.is_(None))
    .values(revoked_at=func.clock_timestamp())
)


async def revoke_all(connection: AsyncConnection) -> int:
    """Revoke all keys: none of them signs, or is published. Returns how many."""
    return (await connection.execute(REVOKE_ALL)).rowcount


REVOKE_NEXT = REVOKE_ALL.where(signing_key.c.signs_from > MOMENT)


async def revoke_next(connection: AsyncConnection, moment: datetime) -> None:
    """Revoke the keys that would sign only after a moment: there is no token of them."""
    await connection.execute(REVOKE_NEXT, {"moment": moment})


DELETE_SECRETS = text(
    """
    DELETE FROM sealed_secret WHERE id IN (
        SELECT secret_id FROM signing_key WHERE revoked_at IS NOT NULL OR signs_until <= now()
    )
    """
)


async def delete_unused_secrets(connection: AsyncConnection) -> None:
    """Delete the private part of each key that was revoked, or signs no more."""
    await connection.execute(DELETE_SECRETS)


DELETE_OLD = text(
    """
    DELETE FROM signing_key
    WHERE least(revoked_at, signs_until) <= now() - CAST(:retention AS interval)
    """
).bindparams(bindparam("retention", type_=Interval))


async def delete_old_signing_keys(connection: AsyncConnection, retention: timedelta) -> None:
    """Delete the keys that were revoked, or signed for the last time, ``retention`` ago."""
    await connection.execute(DELETE_OLD, {"retention": retention})


def _signing_key(row: Row[*tuple[Any, ...]]) -> SigningKey:
    return SigningKey(
        id=row.id,
        public_key=row.public_key,
        created_at=row.created_at,
        signs_from=row.signs_from,
        signs_until=row.signs_until,
        revoked_at=row.revoked_at,
    )
