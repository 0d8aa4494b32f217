"""The outbox: mails are written with the change that they are about, and sent in the background.

A rule only puts a row into the outbox; `service.mail` sends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.errors import NoSuchMail
from service.model.mail import (
    ASKED_FOR,
    WITH_CODE,
    WITH_LINK,
    Language,
    Mail,
    MailInfo,
    MailKind,
)
from service.storage import mail as storage
from service.storage.database import Database, on_commit

# For how long a mail may be sent, in seconds. A code or a link is worth nothing after that; a
# notice or an invitation becomes a dead letter.
LIFETIMES = {
    **dict.fromkeys(ASKED_FOR, 600.0),
    **dict.fromkeys(WITH_LINK, 3600.0),
    MailKind.INVITATION: 3 * 86400.0,
}
NOTICE_LIFETIME = 3 * 86400.0

# How long dead letters are kept, in seconds.
DEAD_LETTER_LIFETIME = 14 * 86400.0
DEAD_LETTERS_PER_BATCH = 10_000

PAGE_LENGTH = 1000


class Outbox:
    """The outbox in ``database``. ``is_available``: mails are sent, so routes may need them."""

    def __init__(self, database: Database, language: Language, *, is_available: bool) -> None:
        self.is_available = is_available
        self._database = database
        self._language = language
        self._written = asyncio.Event()

    async def put(self, connection: AsyncConnection, mail: Mail) -> None:
        """Write a mail in the transaction of the change that it is about.

        Without mail nothing is written: notices have nowhere to go. Raises `ValueError` for a mail
        with a code or a link that names no challenge.
        """
        if mail.kind in WITH_CODE | WITH_LINK and mail.challenge_id is None:
            raise ValueError(f"{mail.kind} needs a challenge")
        if self.is_available:
            lifetime = LIFETIMES.get(mail.kind, NOTICE_LIFETIME)
            await storage.add_mail(connection, mail, self._language, lifetime)
            on_commit(connection, self._written.set)

    async def wait(self, seconds: float) -> None:
        """Wait until this process has written a mail, but no longer than so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._written.wait()
        self._written.clear()

    async def list(self) -> AsyncIterator[MailInfo]:
        """Iterate over the mails that wait and the dead letters, a page at a time."""
        after = UUID(int=0)
        while True:
            async with self._database.connect() as connection:
                page = await storage.list_mails(connection, PAGE_LENGTH, after)
            for each in page:
                yield each
            if len(page) < PAGE_LENGTH:
                return
            after = page[-1].id

    async def retry(self, mail_id: UUID | None = None) -> int:
        """Let a dead letter, or all of them, be sent again. Returns how many.

        Raises `NoSuchMail` if there is no dead letter with that id.
        """
        async with self._database.connect() as connection:
            retried = await storage.retry_mails(connection, mail_id, NOTICE_LIFETIME)
        if mail_id is not None and not retried:
            raise NoSuchMail
        return retried


async def delete_old_dead_letters(database: Database) -> None:
    """Delete the dead letters whose time is over. Raises `DatabaseUnavailable`."""
    deleted = DEAD_LETTERS_PER_BATCH
    while deleted == DEAD_LETTERS_PER_BATCH:
        async with database.connect() as connection:
            deleted = await storage.delete_dead_letters(
                connection, DEAD_LETTER_LIFETIME, DEAD_LETTERS_PER_BATCH
            )
