"""The sender: what becomes of a mail, whatever the SMTP server does."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from service.auth.codes import code_of
from service.auth.secret_keys import Keyring
from service.mail import sender as sender_module
from service.mail.configured import mail_sender
from service.mail.sender import CONCURRENCY, Sender, pause_after
from service.model.challenges import Purpose
from service.model.mail import MailKind
from service.settings.database import DatabaseOptions
from service.settings.secret_keys import SecretKey, SecretKeys
from service.settings.variables import read_settings
from service.storage import mail as storage
from service.storage.database import Database
from tests.databases import execute, fetch, fetch_value
from tests.mail.conftest import (
    RECIPIENT,
    RING,
    MakeSender,
    mail_environment,
    make_due,
    plain_url,
    put,
    send_all,
)
from tests.smtp_server import SMTPServer, serving


def raise_error() -> None:
    raise ConnectionResetError


async def rows(database_url: str) -> list[dict[str, Any]]:
    found = await asyncio.to_thread(fetch, database_url, "SELECT * FROM mail ORDER BY created_at")
    return [dict(row) for row in found]


async def seconds_until_due(database_url: str) -> float:
    query = "SELECT extract(epoch FROM next_attempt_at - now())::float FROM mail"
    seconds: float = await asyncio.to_thread(fetch_value, database_url, query)
    return seconds


async def age_mails(database_url: str, seconds: float) -> None:
    statement = "UPDATE mail SET expires_at = expires_at - make_interval(secs => $1)"
    await asyncio.to_thread(execute, database_url, statement, seconds)
    statement = statement.replace("UPDATE mail", "UPDATE challenge")
    await asyncio.to_thread(execute, database_url, statement, seconds)


async def test_a_mail_is_sent_once_and_then_gone(
    database: Database, database_url: str, sender: Sender, smtp: SMTPServer
) -> None:
    challenge_id = await put(database, MailKind.SIGN_UP_CODE)
    assert challenge_id is not None
    await send_all(sender)
    await send_all(sender)
    (mail,) = smtp.mails
    assert mail.recipients == [RECIPIENT]
    assert mail.sender == "no-reply@example.com"
    code = code_of(RING, "tests", challenge_id, Purpose.SIGN_UP)
    assert code in mail.part("plain")
    assert code in mail.part("html")
    assert await rows(database_url) == []


@pytest.mark.parametrize(
    "unknown",
    [
        "UPDATE mail SET kind = 'of_a_later_version'",
        "UPDATE mail SET language = 'of_a_later_version'",
        "UPDATE challenge SET purpose = 'of_a_later_version'",
    ],
)
async def test_a_mail_of_a_later_version_is_left_to_it_and_holds_up_nothing(
    database: Database, database_url: str, sender: Sender, smtp: SMTPServer, unknown: str
) -> None:
    await put(database, MailKind.SIGN_UP_CODE)
    await asyncio.to_thread(execute, database_url, unknown)
    await put(database)
    await send_all(sender)
    assert [mail.message["Subject"] for mail in smtp.mails] == [
        "Your password was changed at Example"
    ]
    (left,) = await rows(database_url)
    assert left["attempts"] == 0


async def test_the_outbox_holds_neither_code_nor_link(
    database: Database, database_url: str
) -> None:
    challenge_id = await put(database, MailKind.SIGN_UP_CODE)
    assert challenge_id is not None
    code = code_of(RING, "tests", challenge_id, Purpose.SIGN_UP)
    assert code not in str(await rows(database_url))


async def test_several_senders_send_each_mail_once(
    database_url: str, database: Database, smtp: SMTPServer
) -> None:
    recipients = [f"user{n}@example.org" for n in range(60)]
    for each in recipients:
        await put(database, recipient=each)
    settings = read_settings(mail_environment(plain_url(smtp)))
    databases = [Database(database_url, DatabaseOptions()) for _ in range(3)]
    senders = [mail_sender(each, RING, settings) for each in databases]
    await asyncio.gather(*(send_all(each) for each in senders if each is not None))
    for one in databases:
        await one.close()
    assert sorted(mail.recipients[0] for mail in smtp.mails) == sorted(recipients)


async def test_a_mail_that_is_leased_is_sent_by_nobody_else_until_the_lease_ends(
    database: Database, database_url: str, make_sender: MakeSender, smtp: SMTPServer
) -> None:
    await put(database)
    async with database.connect() as connection:
        await storage.lease_mail(connection, sender_module.LEASE)
    await send_all(make_sender())
    assert smtp.mails == []
    await make_due(database_url)
    await send_all(make_sender())
    assert len(smtp.mails) == 1


async def test_who_has_lost_the_lease_settles_nothing(
    database: Database, database_url: str
) -> None:
    await put(database)
    async with database.connect() as connection:
        late = await storage.lease_mail(connection, 60)
        await make_due(database_url)
        assert late is not None
        assert await storage.lease_mail(connection, 60) is not None
        await storage.give_up_mail(connection, late, "late")
        await storage.postpone_mail(connection, late, 0, "late")
        await storage.remove_mail(connection, late)
    (row,) = await rows(database_url)
    assert (row["attempts"], row["failed_at"], row["error"]) == (2, None, None)


async def test_a_temporary_refusal_is_tried_again_with_growing_gaps(
    database: Database, database_url: str, sender: Sender, smtp: SMTPServer
) -> None:
    """Greylisting."""
    smtp.rcpt_replies = ["450 4.7.1 come back later"] * 2
    await put(database)
    await send_all(sender)
    assert 20 < await seconds_until_due(database_url) <= 36
    await make_due(database_url)
    await send_all(sender)
    assert 40 < await seconds_until_due(database_url) <= 72
    (row,) = await rows(database_url)
    assert row["error"] == "450 4.7.1 come back later"
    assert row["failed_at"] is None
    await make_due(database_url)
    await send_all(sender)
    assert len(smtp.mails) == 1


def test_the_gaps_grow_up_to_a_quarter_of_an_hour() -> None:
    for attempts in range(1, 1000):
        longest = min(900, 30 * 2 ** (attempts - 1))
        assert 0.8 * longest <= pause_after(attempts) <= 1.2 * longest


@pytest.mark.parametrize(
    "replies",
    [{"rcpt_replies": ["550 5.1.1 no such user"]}, {"data_replies": ["554 5.7.1 not wanted"]}],
)
async def test_a_permanent_refusal_makes_a_dead_letter_at_once(
    database: Database,
    database_url: str,
    sender: Sender,
    smtp: SMTPServer,
    replies: dict[str, list[str]],
) -> None:
    for name, lines in replies.items():
        setattr(smtp, name, [*lines])
    await put(database)
    await send_all(sender)
    (row,) = await rows(database_url)
    assert row["failed_at"] is not None
    assert [[row["error"]]] == [*replies.values()]
    await make_due(database_url)
    await send_all(sender)
    assert smtp.mails == []


async def test_a_server_that_hangs_up_amid_a_mail_is_tried_again(
    database: Database, database_url: str, sender: Sender, smtp: SMTPServer
) -> None:
    smtp.data_replies = ["421 4.3.0 going down"]
    await put(database)
    await send_all(sender)
    (row,) = await rows(database_url)
    assert row["failed_at"] is None
    await make_due(database_url)
    await send_all(sender)
    assert len(smtp.mails) == 1


async def test_a_silent_server_holds_no_transaction_and_delays_nothing(
    database: Database,
    database_url: str,
    make_sender: MakeSender,
    smtp: SMTPServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    silent = SMTPServer()
    silent.is_silent = True
    await put(database)
    with serving(silent):
        sender = make_sender(plain_url(silent))
        await sender.send_due()
        assert len(sender._sending) == 1
        open_transactions = """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND xact_start IS NOT NULL
              AND pid <> pg_backend_pid()
        """
        connection = await asyncpg.connect(database_url)
        assert await connection.fetchval(open_transactions) == 0
        await connection.close()
        await sender.close()
    monkeypatch.setattr(sender_module, "TIME_LIMIT", 0.05)
    with serving(silent):
        await make_due(database_url)
        await send_all(make_sender(plain_url(silent)))
    (row,) = await rows(database_url)
    assert row["failed_at"] is None
    assert "not sent within" in row["error"]
    monkeypatch.undo()
    await make_due(database_url)
    await send_all(make_sender())
    assert len(smtp.mails) == 1


async def test_a_server_that_is_down_is_left_alone_for_a_while(
    database: Database,
    database_url: str,
    make_sender: MakeSender,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for _ in range(20):
        await put(database)
    sender = make_sender("smtp+plain://127.0.0.1:1")
    await send_all(sender)
    tried = [row for row in await rows(database_url) if row["attempts"]]
    assert 1 <= len(tried) <= CONCURRENCY
    await send_all(sender)
    assert len([row for row in await rows(database_url) if row["attempts"]]) == len(tried)
    assert all(row["failed_at"] is None for row in tried)
    assert capsys.readouterr().out.count("mail_server_failed") == 1


async def test_a_mail_of_which_no_message_can_be_made_stops_no_other(
    database: Database, database_url: str, sender: Sender, smtp: SMTPServer
) -> None:
    await put(database, recipient="not an address")
    await put(database, recipient="a@-.example")
    for n in range(10):
        await put(database, recipient=f"user{n}@example.org")
    await send_all(sender)
    assert len(smtp.mails) == 10
    dead = await rows(database_url)
    assert len(dead) == 2
    assert all(row["failed_at"] is not None for row in dead)


async def test_what_has_expired_is_never_sent_but_a_notice_is(
    database: Database, database_url: str, sender: Sender, smtp: SMTPServer
) -> None:
    await put(database, MailKind.SIGN_UP_CODE, "code@example.org")
    await put(database, MailKind.PASSWORD_CHANGED, "notice@example.org")
    await age_mails(database_url, 15 * 60)
    await send_all(sender)
    assert [mail.recipients for mail in smtp.mails] == [["notice@example.org"]]
    assert await rows(database_url) == []


@pytest.mark.parametrize("kind", [MailKind.PASSWORD_CHANGED, MailKind.INVITATION])
async def test_what_could_not_be_sent_for_days_becomes_a_dead_letter(
    database: Database, database_url: str, sender: Sender, smtp: SMTPServer, kind: MailKind
) -> None:
    await put(database, kind)
    await age_mails(database_url, 4 * 86400)
    await send_all(sender)
    assert smtp.mails == []
    (row,) = await rows(database_url)
    assert row["failed_at"] is not None


async def test_the_code_of_a_challenge_that_was_answered_is_not_sent(
    database: Database, database_url: str, sender: Sender, smtp: SMTPServer
) -> None:
    await put(database, MailKind.SIGN_UP_CODE)
    await asyncio.to_thread(execute, database_url, "DELETE FROM challenge")
    await send_all(sender)
    assert smtp.mails == []
    assert await rows(database_url) == []


@pytest.mark.parametrize(
    "change", ["DELETE FROM invitation", "UPDATE invitation SET expires_at = now()"]
)
async def test_an_invitation_that_was_withdrawn_or_has_expired_is_not_sent(
    database: Database, database_url: str, sender: Sender, smtp: SMTPServer, change: str
) -> None:
    await put(database, MailKind.INVITATION)
    await asyncio.to_thread(execute, database_url, change)
    await send_all(sender)
    assert smtp.mails == []
    assert await rows(database_url) == []


async def test_a_mail_whose_secret_key_is_missing_becomes_a_dead_letter(
    database: Database, database_url: str, smtp: SMTPServer
) -> None:
    await put(database, MailKind.SIGN_UP_CODE)
    settings = read_settings(mail_environment(plain_url(smtp)))
    other = Keyring(SecretKeys((SecretKey("k2", bytes(32)),)))
    sender = mail_sender(database, other, settings)
    assert sender is not None
    await send_all(sender)
    (row,) = await rows(database_url)
    assert "lacks the key tests" in row["error"]


async def test_a_mail_is_the_same_at_every_attempt(
    database: Database, database_url: str, sender: Sender, smtp: SMTPServer
) -> None:
    await put(database, MailKind.SIGN_UP_CODE)
    smtp.on_data = raise_error
    await send_all(sender)
    smtp.on_data = lambda: None
    await make_due(database_url)
    await send_all(sender)
    first, second = smtp.mails
    assert first.message["Message-ID"] == second.message["Message-ID"]
    assert first.part("plain") == second.part("plain")
