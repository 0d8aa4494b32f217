"""An SMTP server, and senders that hand mails to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from uuid import UUID

import pytest

from service.auth.admin.invitations import Invitations, NewInvitation
from service.auth.audit import OPERATOR
from service.auth.challenges import Challenges
from service.auth.email_addresses import EmailAddress
from service.auth.mail_limits import MailLimits
from service.auth.outbox import Outbox
from service.auth.secret_keys import Keyring
from service.mail.configured import mail_sender
from service.mail.sender import Sender
from service.model.challenges import Purpose, Subject
from service.model.mail import Language, Mail, MailKind
from service.settings.link_url import LinkURL
from service.settings.secret_keys import SecretKeys
from service.settings.values import Rate
from service.settings.variables import read_settings
from service.storage.database import Database
from tests.databases import execute
from tests.services import SECRET_KEYS
from tests.smtp_server import SMTPServer, serving

RING = Keyring(SecretKeys.parse(SECRET_KEYS))
RECIPIENT = "Alice@example.org"

MakeSender = Callable[..., Sender]


def mail_environment(smtp_url: str, **more: str) -> dict[str, str]:
    return {
        "OSTIARY_SMTP_URL": smtp_url,
        "OSTIARY_MAIL_FROM": "Example <no-reply@example.com>",
        "OSTIARY_RESET_URL": "https://app.example.com/reset#token={token}",
        "OSTIARY_UNDO_URL": "https://app.example.com/undo#token={token}",
        "OSTIARY_INVITATION_URL": "https://app.example.com/join#token={token}",
        "OSTIARY_SECRET_KEYS": SECRET_KEYS,
        **more,
    }


def plain_url(smtp: SMTPServer) -> str:
    return f"smtp+plain://127.0.0.1:{smtp.port}"


@pytest.fixture
def smtp() -> Iterator[SMTPServer]:
    with serving(SMTPServer()) as server:
        yield server


@pytest.fixture
async def make_sender(database: Database, smtp: SMTPServer) -> AsyncIterator[MakeSender]:
    """Return a function that makes senders."""
    senders = []

    def make(smtp_url: str | None = None, **more: str) -> Sender:
        settings = read_settings(mail_environment(smtp_url or plain_url(smtp), **more))
        sender = mail_sender(database, RING, settings)
        assert sender is not None
        senders.append(sender)
        return sender

    yield make
    for each in senders:
        await each.close()


@pytest.fixture
async def sender(make_sender: MakeSender) -> Sender:
    return make_sender()


async def put(
    database: Database,
    kind: MailKind = MailKind.PASSWORD_CHANGED,
    recipient: str = RECIPIENT,
    *,
    language: Language = Language.ENGLISH,
    **data: str,
) -> UUID | None:
    """Put a mail into the outbox, with its challenge or invitation; return that one's id."""
    outbox = Outbox(database, language, is_available=True)
    purposes = {
        MailKind.SIGN_UP_CODE: Purpose.SIGN_UP,
        MailKind.VERIFY_EMAIL_CODE: Purpose.EMAIL,
        MailKind.REAUTHENTICATE_CODE: Purpose.REAUTHENTICATION,
        MailKind.RESET_LINK: Purpose.PASSWORD_RESET,
        MailKind.UNDO_RESET_LINK: Purpose.PASSWORD_RESET,
    }
    challenge_id = None
    if kind is MailKind.INVITATION:
        return await put_invitation(database, recipient, language)
    async with database.transaction() as connection:
        if kind in purposes:
            challenges = Challenges(database, RING)
            made = await challenges.make(connection, purposes[kind], Subject(address=recipient))
            challenge_id = made.id
        await outbox.put(
            connection,
            Mail(kind=kind, recipient=recipient, challenge_id=challenge_id, data=data),
        )
    return challenge_id


async def put_invitation(database: Database, recipient: str, language: Language) -> UUID:
    outbox = Outbox(database, language, is_available=True)
    url = LinkURL("https://app.example.com/join#token={token}")
    invitations = Invitations(database, RING, outbox, MailLimits(Rate.parse("0")), url)
    new = NewInvitation(address=EmailAddress.parse(recipient))
    return (await invitations.create(new, OPERATOR)).invitation.id


async def send_all(sender: Sender) -> None:
    """Send what is due, and wait for the outcome."""
    await sender.send_due()
    while sender._sending:
        await asyncio.wait(sender._sending, timeout=60)


async def make_due(database_url: str) -> None:
    """Let the mails that wait for another attempt, or for a lease to end, be due."""
    await asyncio.to_thread(execute, database_url, "UPDATE mail SET next_attempt_at = now()")
