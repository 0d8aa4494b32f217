"""Restores of the database from a backup: what had ended since then must not live again."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from service.auth.admin.sessions import SessionAdmin
from service.auth.audit import OPERATOR, Event, record
from service.auth.programs.key_rotation import revoke_signing_keys
from service.storage import restores as storage
from service.storage.database import Database
from service.storage.programs.service_tokens import suspend_service_tokens
from service.storage.programs.signing_keys import lock_signing_keys

# How many rows are deleted in a statement, for its time limit.
ROWS_PER_BATCH = 10_000


class Restored(Struct, frozen=True, kw_only=True):
    """What was ended, voided and suspended after a restore, and how many of each."""

    restored_at: datetime
    sessions: int
    challenges: int
    mails: int
    reset_requests: int
    invitations: int
    recovery_codes: int
    service_tokens: int
    signing_keys: int


class Restores:
    """Makes a restored ``database`` safe to use."""

    def __init__(self, database: Database, session_admin: SessionAdmin) -> None:
        self._database = database
        self._session_admin = session_admin

    async def complete(self) -> Restored:
        """End and void what the backup has revived. It can be run again.

        Signing keys are revoked, and service tokens suspended first, in the transaction that
        remembers the restore: from then on, in every process, an unknown passkey is not told from a
        wrong one, and no passkey challenge and no code of an authenticator app counts that is
        older.
        """
        async with self._database.transaction() as connection:
            await lock_signing_keys(connection)
            signing_keys = await revoke_signing_keys(connection)
            service_tokens = await suspend_service_tokens(connection)
            restored_at = await storage.add_restore(connection)
        sessions = await self._session_admin.end_those_of_all()
        counts = {name: await self._delete_older(name, restored_at) for name in storage.REVIVED}
        record(
            Event.DATABASE_RESTORED,
            OPERATOR,
            sessions=sessions,
            service_tokens=service_tokens,
            signing_keys=signing_keys,
            challenges=counts["challenges"],
            invitations=counts["invitations"],
            recovery_codes=counts["recovery_codes"],
        )
        return Restored(
            restored_at=restored_at,
            sessions=sessions,
            service_tokens=service_tokens,
            signing_keys=signing_keys,
            **counts,
        )

    async def _delete_older(self, name: str, than: datetime) -> int:
        deleted, batch = 0, ROWS_PER_BATCH
        while batch:
            async with self._database.connect() as connection:
                batch = await storage.delete_older(
                    connection, storage.REVIVED[name], than, ROWS_PER_BATCH
                )
            deleted += batch
        return deleted
