"""Authenticator apps: the statements on their rows, and on the wrong codes of a user.

The user is locked before all of them: codes of one user are checked one after another.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import (
    Interval,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.devices import DeviceHash
from service.model.factors import TOTP
from service.model.sealed_secrets import Sealed, SealedSecret
from service.storage.restores import last_step_before_restore
from service.storage.tables import device, sealed_secret, totp, totp_failure

# The period of the codes (RFC 6238).
STEP_SECONDS = 30

_INSERTED = upsert(totp).values(user_id=bindparam("owner_id"), secret_id=bindparam("new_secret"))
PUT_PENDING = _INSERTED.on_conflict_do_update(
    index_elements=[totp.c.user_id],
    set_={
        "secret_id": _INSERTED.excluded.secret_id,
        "created_at": func.now(),
        "last_step": literal_column("0"),
    },
    where=totp.c.confirmed_at.is_(None),
).returning(totp.c.secret_id)


async def put_pending_totp(connection: AsyncConnection, user_id: UUID, secret_id: UUID) -> bool:
    """Insert an app that has yet to be confirmed, in place of another one.

    Returns whether; not if the user has a confirmed one.
    """
    parameters = {"owner_id": user_id, "new_secret": secret_id}
    return (await connection.execute(PUT_PENDING, parameters)).first() is not None


FIND = (
    select(
        totp.c.secret_id,
        totp.c.confirmed_at,
        sealed_secret.c.purpose,
        sealed_secret.c.key_id,
        sealed_secret.c.ciphertext,
        func.extract("epoch", func.clock_timestamp()).label("now"),
    )
    .select_from(totp.outerjoin(sealed_secret, sealed_secret.c.id == totp.c.secret_id))
    .where(totp.c.user_id == bindparam("owner_id"))
)


async def find_totp(connection: AsyncConnection, user_id: UUID) -> TOTP | None:
    """Find the app of a user, confirmed or not, with the time by the database's clock."""
    row = (await connection.execute(FIND, {"owner_id": user_id})).one_or_none()
    if row is None:
        return None
    sealed = None
    if row.ciphertext is not None:
        sealed = SealedSecret(
            id=row.secret_id,
            purpose=row.purpose,
            sealed=Sealed(key_id=row.key_id, ciphertext=row.ciphertext),
        )
    return TOTP(
        secret_id=row.secret_id,
        sealed=sealed,
        confirmed_at=row.confirmed_at,
        now=float(row.now),
    )


# A step is used once, and none before it afterwards (RFC 6238, section 5.2). After a restore,
# ``last_step`` is that of the backup.
USE_STEP = (
    update(totp)
    .where(
        totp.c.user_id == bindparam("owner_id"),
        totp.c.last_step < bindparam("step"),
        bindparam("step", type_=totp.c.last_step.type) > last_step_before_restore(STEP_SECONDS),
    )
    .values(last_step=bindparam("step"), last_used_at=func.clock_timestamp())
)


async def use_step(connection: AsyncConnection, user_id: UUID, step: int) -> bool:
    """Use the code of a time step up, in the transaction of what it allows. Returns whether."""
    result = await connection.execute(USE_STEP, {"owner_id": user_id, "step": step})
    return result.rowcount == 1


CONFIRM = (
    update(totp)
    .where(totp.c.user_id == bindparam("owner_id"), totp.c.confirmed_at.is_(None))
    .values(confirmed_at=func.clock_timestamp())
)


async def confirm_totp(connection: AsyncConnection, user_id: UUID) -> None:
    """Make the app of a user a factor."""
    await connection.execute(CONFIRM, {"owner_id": user_id})


# An unconfirmed app has no `confirmed_at`, and a comparison with NULL selects no row.
REMOVE = delete(totp).where(
    totp.c.user_id == bindparam("owner_id"),
    totp.c.confirmed_at
    >= func.coalesce(
        bindparam("since", type_=totp.c.confirmed_at.type), literal_column("'-infinity'")
    ),
)


async def remove_totp(
    connection: AsyncConnection, user_id: UUID, *, since: datetime | None = None
) -> bool:
    """Delete the confirmed app of a user, if it is not older than ``since``. Returns whether."""
    parameters = {"owner_id": user_id, "since": since}
    return (await connection.execute(REMOVE, parameters)).rowcount == 1


REMOVE_SECRETS = delete(sealed_secret).where(
    sealed_secret.c.user_id == bindparam("owner_id"), sealed_secret.c.purpose == bindparam("kind")
)


async def remove_secrets(connection: AsyncConnection, user_id: UUID, purpose: str) -> None:
    """Delete the sealed secrets of a user for a purpose."""
    await connection.execute(REMOVE_SECRETS, {"owner_id": user_id, "kind": purpose})


FIND_KNOWN_DEVICE = select(
    select(device.c.hash)
    .where(
        device.c.user_id == bindparam("owner_id"),
        device.c.hash == bindparam("presented", type_=device.c.hash.type),
    )
    .scalar_subquery()
)


async def known_device(
    connection: AsyncConnection, user_id: UUID, presented: DeviceHash | None
) -> DeviceHash | None:
    """Return the hash of a device, if the user is known on it."""
    if presented is None:
        return None
    parameters = {"owner_id": user_id, "presented": presented}
    found = (await connection.execute(FIND_KNOWN_DEVICE, parameters)).scalar_one()
    return None if found is None else DeviceHash(found)


ADD_FAILURE = insert(totp_failure)


async def add_failure(
    connection: AsyncConnection, user_id: UUID, device_hash: DeviceHash | None
) -> None:
    """Insert a wrong code, on a known device or elsewhere."""
    await connection.execute(ADD_FAILURE, {"user_id": user_id, "device_hash": device_hash})


# Until the oldest of as many as a period admits is older than it.
FIND_WAIT = (
    select(
        func.extract(
            "epoch",
            totp_failure.c.failed_at + bindparam("period", type_=Interval) - func.clock_timestamp(),
        )
    )
    .where(
        totp_failure.c.user_id == bindparam("owner_id"),
        totp_failure.c.device_hash.is_not_distinct_from(
            bindparam("on_device", type_=totp_failure.c.device_hash.type)
        ),
        totp_failure.c.failed_at > func.clock_timestamp() - bindparam("period", type_=Interval),
    )
    .order_by(totp_failure.c.failed_at.desc())
    .offset(bindparam("older"))
    .limit(literal_column("1"))
)


async def seconds_to_wait(
    connection: AsyncConnection,
    user_id: UUID,
    device_hash: DeviceHash | None,
    *,
    failures: int,
    period: float,
) -> float:
    """Return for how long no code is checked: after so many failures in a period of seconds."""
    parameters = {
        "owner_id": user_id,
        "on_device": device_hash,
        "period": timedelta(seconds=period),
        "older": failures - 1,
    }
    found = (await connection.execute(FIND_WAIT, parameters)).scalar_one_or_none()
    return 0.0 if found is None else float(found)


DELETE_OLD_FAILURES = text(
    """
    DELETE FROM totp_failure WHERE id = ANY (ARRAY(
        SELECT id FROM totp_failure WHERE failed_at <= now() - CAST(:period AS interval)
        ORDER BY id LIMIT :max_rows
    ))
    """
).bindparams(bindparam("period", type_=Interval))


async def delete_old_failures(connection: AsyncConnection, period: float, max_rows: int) -> int:
    """Delete up to ``max_rows`` failures that no limit counts any more. Returns how many."""
    parameters = {"period": timedelta(seconds=period), "max_rows": max_rows}
    return (await connection.execute(DELETE_OLD_FAILURES, parameters)).rowcount
