"""The sender, as the settings configure it."""

from __future__ import annotations

from service.auth.secret_keys import Keyring
from service.mail.messages import MessageWriter
from service.mail.rendering import Templates
from service.mail.sender import Sender
from service.mail.transports import FileTransport, SMTPTransport, Transport
from service.model.challenges import Purpose
from service.settings import Settings
from service.settings.link_url import LinkURL
from service.settings.mailbox import Mailbox
from service.storage.database import Database

# In development, where nothing need be set.
SENDER = Mailbox("Ostiary", "no-reply", "localhost")
RESET_URL = LinkURL("http://localhost/reset#token={token}")
UNDO_URL = LinkURL("http://localhost/undo#token={token}")

DIRECTORY = "mail"


def reset_url_of(settings: Settings) -> LinkURL | None:
    """Return the URL of the page on which a password is reset; ``None`` if nobody has said."""
    return settings.mail.reset_url or (None if settings.is_production else RESET_URL)


def mail_sender(database: Database, keyring: Keyring, settings: Settings) -> Sender | None:
    """Return the sender of a process; ``None`` if there is no mail."""
    mail = settings.mail
    if not settings.is_mail_available:
        return None
    sender = mail.mail_from or SENDER
    transport: Transport
    if mail.smtp_url is None:
        transport = FileTransport(settings.data_dir / DIRECTORY)
    else:
        transport = SMTPTransport(mail.smtp_url, own_name=sender.domain)
    writer = MessageWriter(
        keyring,
        Templates(mail.mail_templates),
        sender=sender,
        return_path=mail.mail_return_path or sender,
        link_urls={
            Purpose.PASSWORD_RESET: mail.reset_url or RESET_URL,
            Purpose.UNDO: mail.undo_url or UNDO_URL,
        },
        invitation_url=settings.invitation_url,
    )
    return Sender(database, writer, transport)
