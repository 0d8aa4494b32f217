"""A real SMTP server for tests, with TLS and authentication, and with bad habits on demand."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from ipaddress import IPv4Address
from pathlib import Path
from threading import Thread
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.asyncio_workarounds import stop_accepting

USER, PASSWORD = "ostiary@example.com", "open: sesame/%"


class Received:
    """A mail that the server took."""

    def __init__(self, envelope: Envelope) -> None:
        self.sender = envelope.mail_from
        self.recipients = list(envelope.rcpt_tos)
        self.raw = envelope.content if isinstance(envelope.content, bytes) else b""
        parsed = message_from_bytes(self.raw, policy=SMTP_POLICY)
        assert isinstance(parsed, EmailMessage)
        self.message = parsed

    @property
    def id(self) -> str:
        """The id in the outbox."""
        return str(self.message["Message-ID"]).strip("<>").partition("@")[0]

    def part(self, subtype: str) -> str:
        """Return the text of a part."""
        (found,) = [
            each for each in self.message.iter_parts() if each.get_content_subtype() == subtype
        ]
        assert isinstance(found, EmailMessage)
        content: str = found.get_content()
        return content


class Silence(asyncio.Protocol):
    """A connection on which the server says nothing."""

    transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport


class SMTPServer:
    """A server on a free port of this machine.

    The first replies to RCPT and to the end of DATA are taken from ``rcpt_replies`` and
    ``data_replies``, before it takes everything. ``commands`` has what clients said.
    """

    def __init__(self, **options: Any) -> None:
        self.mails: list[Received] = []
        self.commands: list[str] = []
        self.rcpt_replies: list[str] = []
        self.data_replies: list[str] = []
        self.on_data: Callable[[], object] = lambda: None
        self.is_silent = False
        self.port = 0
        self._options = options
        self._implicit_tls: ssl.SSLContext | None = self._options.pop("implicit_tls", None)
        self._connections: list[SMTP | Silence] = []

    def mails_to(self, recipient: str) -> list[Received]:
        return [each for each in self.mails if each.recipients == [recipient]]

    # What aiosmtpd calls.
    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: object, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.commands.append(f"RCPT {address}")
        reply = self.rcpt_replies.pop(0) if self.rcpt_replies else "250 OK"
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: object, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.commands.append(f"MAIL {address}")
        envelope.mail_from = address
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: object, envelope: Envelope) -> str:  # noqa: N802
        reply = self.data_replies.pop(0) if self.data_replies else "250 OK"
        if reply.startswith("250"):
            self.mails.append(Received(envelope))
        self.on_data()
        return reply

    def authenticate(
        self, server: SMTP, session: object, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        self.commands.append("AUTH")
        assert isinstance(data, LoginPassword)
        is_right = data == LoginPassword(USER.encode(), PASSWORD.encode())
        return AuthResult(success=is_right, handled=False)

    def protocol(self) -> asyncio.Protocol:
        connection = (
            Silence()
            if self.is_silent
            else SMTP(self, authenticator=self.authenticate, **self._options)
        )
        self._connections.append(connection)
        return connection

    def abort(self) -> None:
        """Close all connections; a socket that nobody closes is found by the next test."""
        for each in self._connections:
            if isinstance(each.transport, asyncio.WriteTransport):
                each.transport.abort()

    async def listen(self) -> asyncio.Server:
        server = await asyncio.get_running_loop().create_server(
            self.protocol, "127.0.0.1", self.port, ssl=self._implicit_tls
        )
        self.port = server.sockets[0].getsockname()[1]
        return server


@contextmanager
def serving(smtp: SMTPServer) -> Iterator[SMTPServer]:
    """Run a server in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(smtp.listen(), loop).result(60)

    async def stop() -> None:
        await stop_accepting(server)
        smtp.abort()
        # The sockets are closed in the next round of the loop.
        await asyncio.sleep(0)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    try:
        yield smtp
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()


def write_certificate(directory: Path) -> tuple[Path, Path]:
    """Write a self-signed certificate of 127.0.0.1 and its key; return the paths of both."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(key, SHA256())
    )
    paths = directory / "certificate.pem", directory / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return paths


def server_tls(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
