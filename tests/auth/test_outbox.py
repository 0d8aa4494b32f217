"""The outbox: a mail is there exactly if the change is that it is about."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from sqlalchemy import text

from service.auth.cleanup import clean_up
from service.auth.mail_limits import MailLimits
from service.auth.outbox import Outbox
from service.model.mail import ASKED_FOR, WITH_CODE, WITH_LINK, Language, Mail, MailKind
from service.settings.values import Rate
from service.storage.database import Database
from tests.databases import execute, fetch_value

NOTICE = Mail(kind=MailKind.PASSWORD_CHANGED, recipient="a@example.org")


def outbox(database: Database, *, is_available: bool = True) -> Outbox:
    return Outbox(database, Language.ENGLISH, is_available=is_available)


async def count(database_url: str) -> object:
    return await asyncio.to_thread(fetch_value, database_url, "SELECT count(*) FROM mail")


async def test_a_mail_is_written_with_the_change_that_it_is_about(
    database: Database, database_url: str
) -> None:
    box = outbox(database)
    async with database.transaction() as connection:
        await box.put(connection, NOTICE)
        assert await count(database_url) == 0
    assert await count(database_url) == 1
    with pytest.raises(LookupError):
        async with database.transaction() as connection:
            await box.put(connection, NOTICE)
            raise LookupError
    assert await count(database_url) == 1


async def test_the_sender_is_woken_when_a_mail_is_committed_and_not_before(
    database: Database,
) -> None:
    box = outbox(database)
    woken = asyncio.create_task(box.wait(60))
    with pytest.raises(LookupError):
        async with database.transaction() as connection:
            await box.put(connection, NOTICE)
            raise LookupError
    async with database.transaction() as connection:
        await connection.execute(text("SELECT 1"))
    assert not woken.done()
    async with database.transaction() as connection:
        await box.put(connection, NOTICE)
        assert not woken.done()
    async with asyncio.timeout(30):
        await woken


async def test_the_sender_is_woken_once_for_what_was_written(database: Database) -> None:
    box = outbox(database)
    async with database.transaction() as connection:
        await box.put(connection, NOTICE)
    async with asyncio.timeout(30):
        await box.wait(60)
    again = asyncio.create_task(box.wait(60))
    async with database.transaction() as connection:
        await connection.execute(text("SELECT 1"))
    assert not again.done()
    again.cancel()


async def test_the_sender_goes_on_after_its_time_though_nothing_was_written(
    database: Database,
) -> None:
    await outbox(database).wait(0)


async def test_without_mail_nothing_is_written(database: Database, database_url: str) -> None:
    async with database.transaction() as connection:
        await outbox(database, is_available=False).put(connection, NOTICE)
    assert await count(database_url) == 0


@pytest.mark.parametrize("kind", sorted(WITH_CODE | WITH_LINK))
async def test_a_code_or_link_needs_a_challenge(database: Database, kind: MailKind) -> None:
    async with database.transaction() as connection:
        with pytest.raises(ValueError, match="needs a challenge"):
            await outbox(database).put(connection, Mail(kind=kind, recipient="a@example.org"))


async def test_dead_letters_are_deleted_after_a_fortnight(
    database: Database, database_url: str
) -> None:
    async with database.transaction() as connection:
        for _ in range(3):
            await outbox(database).put(connection, NOTICE)
    age = """
        UPDATE mail SET failed_at = now() - interval '{}'
        WHERE id = (SELECT {}(id::text)::uuid FROM mail)
    """
    for interval, which in (("15 days", "min"), ("13 days", "max")):
        await asyncio.to_thread(execute, database_url, age.format(interval, which))
    await clean_up(database, 1, 1, 1)
    assert await count(database_url) == 2


async def admits(database: Database, limits: MailLimits, kind: MailKind, address: str) -> bool:
    async with database.transaction() as connection:
        return await limits.admits(connection, kind, address)


async def test_a_recipient_gets_so_many_mails_of_a_kind_and_the_rest_silently_not(
    database: Database,
) -> None:
    limits = MailLimits(Rate.parse("5/1h"))
    address = "a@example.org"
    admitted = await asyncio.gather(
        *(admits(database, limits, MailKind.SIGN_UP_CODE, address) for _ in range(20))
    )
    assert Counter(admitted) == {True: 5, False: 15}
    assert not await admits(database, limits, MailKind.ACCOUNT_EXISTS, address)
    assert await admits(database, limits, MailKind.RESET_LINK, address)
    assert await admits(database, limits, MailKind.SIGN_UP_CODE, "b@example.org")


async def test_notices_are_never_limited(database: Database) -> None:
    limits = MailLimits(Rate.parse("1/1h"))
    for kind in set(MailKind) - ASKED_FOR:
        assert kind.is_notice
        for _ in range(3):
            assert await admits(database, limits, kind, "a@example.org")
