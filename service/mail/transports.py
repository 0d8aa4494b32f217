"""Transports: how a message leaves the service, and what is told apart when it does not."""

from __future__ import annotations

import asyncio
import os
import ssl
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol

import aiosmtplib
import structlog

from service.mail.messages import Outgoing
from service.settings.smtp_url import Security, SMTPServer

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# The time limit of one step of SMTP, in seconds; `sender.TIME_LIMIT` is that of the whole.
STEP_TIMEOUT = 15.0

# Replies that refuse for good (RFC 5321, section 4.2.1).
PERMANENT = range(500, 600)


class Refused(Exception):
    """The server refused this mail, for good if ``is_permanent``."""

    def __init__(self, reason: str, *, is_permanent: bool) -> None:
        super().__init__(reason)
        self.is_permanent = is_permanent


class ServerFailed(Exception):
    """The server takes no mail from us at present, whoever it is for."""


class Transport(Protocol):
    """A way for messages to leave the service."""

    async def deliver(self, outgoing: Outgoing) -> None:
        """Hand a message over. Raises `Refused` and `ServerFailed`."""


class SMTPTransport:
    """Hands messages to an SMTP server, over a connection each."""

    def __init__(self, server: SMTPServer, *, own_name: str) -> None:
        self._server = server
        self._own_name = own_name
        self._tls = None if server.security is Security.NONE else ssl.create_default_context()

    async def deliver(self, outgoing: Outgoing) -> None:
        """Hand a message over, for its one recipient. Raises `Refused` and `ServerFailed`."""
        client = self._client()
        try:
            await self._connect(client)
            try:
                await _send(client, outgoing)
            finally:
                await _leave(client)
        finally:
            client.close()

    def _client(self) -> aiosmtplib.SMTP:
        server = self._server
        # `start_tls=None`, the default, would go on without TLS where the server offers none.
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.username,
            password=server.password,
            local_hostname=self._own_name,
            timeout=STEP_TIMEOUT,
            use_tls=server.security is Security.TLS,
            start_tls=server.security is Security.STARTTLS,
            tls_context=self._tls,
        )

    async def _connect(self, client: aiosmtplib.SMTP) -> None:
        """Connect, encrypt and log in: none of it depends on the mail. Raises `ServerFailed`."""
        try:
            await client.connect()
        except aiosmtplib.SMTPAuthenticationError as error:
            # The server may repeat what it was sent.
            raise ServerFailed(f"the server refused user name and password: {error.code}") from None
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise ServerFailed(reason_of(error)) from error


async def _send(client: aiosmtplib.SMTP, outgoing: Outgoing) -> None:
    """Send a message. Raises `Refused` and `ServerFailed`."""
    try:
        await client.send_message(
            outgoing.message, sender=outgoing.return_path, recipients=[outgoing.recipient]
        )
    except aiosmtplib.SMTPRecipientsRefused as error:
        refusal = error.recipients[0]
        raise Refused(reason_of(refusal), is_permanent=refusal.code in PERMANENT) from error
    except aiosmtplib.SMTPSenderRefused as error:
        # Of this sender it would take no other mail either.
        raise ServerFailed(reason_of(error)) from error
    except aiosmtplib.SMTPResponseException as error:
        raise Refused(reason_of(error), is_permanent=error.code in PERMANENT) from error
    except aiosmtplib.SMTPNotSupported as error:
        raise Refused(reason_of(error), is_permanent=True) from error
    except (aiosmtplib.SMTPException, OSError) as error:
        raise Refused(reason_of(error), is_permanent=False) from error


async def _leave(client: aiosmtplib.SMTP) -> None:
    """Say goodbye. The mail was taken or refused before: a failure changes nothing."""
    try:
        await client.quit(timeout=1)
    except (aiosmtplib.SMTPException, OSError) as error:
        log.debug("smtp_goodbye_failed", reason=reason_of(error))


class FileTransport:
    """Writes messages into a directory, in development."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def deliver(self, outgoing: Outgoing) -> None:
        """Write a message into a file of its own."""
        path = await asyncio.to_thread(self._write, outgoing.message)
        log.info("mail_written", file=str(path), subject=str(outgoing.message["Subject"]))

    def _write(self, message: EmailMessage) -> Path:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        sent_at = message["Date"].datetime
        name = str(message["Message-ID"]).strip("<>").partition("@")[0]
        path = self._directory / f"{sent_at:%Y%m%d-%H%M%S}-{name}.eml"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(file, "wb") as opened:
            opened.write(message.as_bytes())
        return path


def reason_of(error: BaseException) -> str:
    """Return what went wrong in one line of at most 200 characters."""
    if isinstance(error, aiosmtplib.SMTPResponseException):
        reason = f"{error.code} {error.message}"
    else:
        reason = str(error) or type(error).__name__
    return "".join(each if each.isprintable() else " " for each in reason)[:200]
