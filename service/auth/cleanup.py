"""Cleanup: what has expired is deleted, in small batches."""

from __future__ import annotations

import structlog

from service.auth.outbox import delete_old_dead_letters
from service.auth.programs.key_rotation import delete_old_signing_keys
from service.metrics import SESSIONS_ENDED
from service.storage import challenges as challenge_storage
from service.storage import claimed_nonces as nonce_storage
from service.storage import cleanup as storage
from service.storage.admin import invitations as invitation_storage
from service.storage.database import Database
from service.storage.factors import totp as totp_storage

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Pages of a table in one batch: some ten thousand rows, a few milliseconds.
PAGES_PER_BATCH = 256

RATE_LIMITS_PER_BATCH = 10_000

CHALLENGES_PER_BATCH = 10_000

NONCES_PER_BATCH = 10_000

FAILURES_PER_BATCH = 10_000

INVITATIONS_PER_BATCH = 10_000


async def clean_up(
    database: Database, device_lifetime: float, username_hold: float, code_failure_period: float
) -> int:
    """Delete whatever has expired. Returns how many sessions were deleted.

    Raises `DatabaseUnavailable`.
    """
    if deleted := await delete_expired_sessions(database):
        log.info("expired_sessions_deleted", sessions=deleted)
        SESSIONS_ENDED.add("expired", number=deleted)
    await delete_expired_devices(database, device_lifetime)
    await delete_expired_holds(database, username_hold)
    await delete_old_signing_keys(database)
    await delete_expired_challenges(database)
    await delete_old_dead_letters(database)
    await delete_expired_rate_limits(database)
    await delete_expired_nonces(database)
    await delete_old_code_failures(database, code_failure_period)
    await delete_expired_invitations(database)
    return deleted


async def delete_expired_sessions(database: Database) -> int:
    """Delete all dead sessions, unless another process is doing so. Returns how many.

    Raises `DatabaseUnavailable`; batches that were deleted before stay deleted.
    """
    return await _delete_by_pages(database, storage.EXPIRED_SESSIONS)


async def delete_expired_devices(database: Database, lifetime: float) -> int:
    """Delete the devices without a log-in for ``lifetime`` seconds. Returns how many.

    Raises `DatabaseUnavailable`; batches that were deleted before stay deleted.
    """
    return await _delete_by_pages(database, storage.EXPIRED_DEVICES, lifetime)


async def delete_expired_holds(database: Database, hold: float) -> int:
    """Delete the holds on user names that were given up ``hold`` seconds ago. Returns how many.

    Raises `DatabaseUnavailable`; batches that were deleted before stay deleted.
    """
    return await _delete_by_pages(database, storage.EXPIRED_HOLDS, hold)


async def _delete_by_pages(
    database: Database, expired: storage.Expired, lifetime: float = 0
) -> int:
    async with database.connect() as connection:
        pages = await storage.count_pages(connection, expired)
    deleted = 0
    for first in range(0, pages, PAGES_PER_BATCH):
        async with database.transaction() as connection:
            batch = await storage.delete_expired(
                connection, expired, first, first + PAGES_PER_BATCH, lifetime
            )
        if batch is None:
            break
        deleted += batch
    return deleted


async def delete_expired_rate_limits(database: Database) -> None:
    """Delete the rate limits whose attempts are all restored. Raises `DatabaseUnavailable`."""
    deleted = RATE_LIMITS_PER_BATCH
    while deleted == RATE_LIMITS_PER_BATCH:
        async with database.connect() as connection:
            deleted = await storage.delete_expired_rate_limits(connection, RATE_LIMITS_PER_BATCH)


async def delete_expired_challenges(database: Database) -> None:
    """Delete the challenges whose time is over. Raises `DatabaseUnavailable`."""
    deleted = CHALLENGES_PER_BATCH
    while deleted == CHALLENGES_PER_BATCH:
        async with database.connect() as connection:
            deleted = await challenge_storage.delete_expired_challenges(
                connection, CHALLENGES_PER_BATCH
            )


async def delete_expired_nonces(database: Database) -> None:
    """Delete the nonces of passkey challenges that expired long ago.

    Raises `DatabaseUnavailable`.
    """
    deleted = NONCES_PER_BATCH
    while deleted == NONCES_PER_BATCH:
        async with database.connect() as connection:
            deleted = await nonce_storage.delete_expired_nonces(connection, NONCES_PER_BATCH)


async def delete_expired_invitations(database: Database) -> None:
    """Delete the invitations whose time is over. Raises `DatabaseUnavailable`."""
    deleted = INVITATIONS_PER_BATCH
    while deleted == INVITATIONS_PER_BATCH:
        async with database.connect() as connection:
            deleted = await invitation_storage.delete_expired_invitations(
                connection, INVITATIONS_PER_BATCH
            )


async def delete_old_code_failures(database: Database, period: float) -> None:
    """Delete the wrong codes of authenticator apps that are older than ``period`` seconds.

    Raises `DatabaseUnavailable`.
    """
    deleted = FAILURES_PER_BATCH
    while deleted == FAILURES_PER_BATCH:
        async with database.connect() as connection:
            deleted = await totp_storage.delete_old_failures(connection, period, FAILURES_PER_BATCH)
