"""The sender: every worker sends what is due in the outbox, under a lease.

No transaction is open while SMTP is spoken. A mail is deleted when the server has taken it: if the
worker dies between the two, it is sent once more, with the same Message-ID, when the lease has
ended.
"""

from __future__ import annotations

import asyncio
import random
from time import monotonic

import structlog
from jinja2 import TemplateError

from service.auth.errors import DatabaseUnavailable, SecretKeyMissing
from service.background import cancel_and_wait
from service.mail.messages import ChallengeGone, MessageWriter, Outgoing
from service.mail.transports import Refused, ServerFailed, Transport, reason_of
from service.metrics import MAILS, MAILS_DEAD, MAILS_WAITING
from service.model.mail import LeasedMail
from service.storage import mail as storage
from service.storage.database import Database

# Maximum time to send one mail, and for how long nobody else does, in seconds.
TIME_LIMIT = 30.0
LEASE = 60.0

# How many mails each worker sends at a time.
CONCURRENCY = 4

# Until a refused mail is sent again, in seconds: after the first attempt, then twice as long after
# each, up to the longest. Greylisting asks for a minute or five (RFC 6647, section 4.5).
FIRST_PAUSE = 30.0
LONGEST_PAUSE = 900.0

# For how long a worker leaves alone a server that takes nothing.
FIRST_SERVER_PAUSE = 5.0
LONGEST_SERVER_PAUSE = 60.0

COUNT_INTERVAL = 30.0

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Sender:
    """Sends the mails in ``database``, one process's share of them."""

    def __init__(self, database: Database, writer: MessageWriter, transport: Transport) -> None:
        self._database = database
        self._writer = writer
        self._transport = transport
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._sending: set[asyncio.Task[None]] = set()
        self._server_failures = 0
        self._resume_at = 0.0
        self._count_at = 0.0

    async def send_due(self) -> None:
        """Begin to send all mails that are due; a background task. Raises `DatabaseUnavailable`."""
        await self._count()
        while monotonic() >= self._resume_at:
            await self._slots.acquire()
            try:
                async with self._database.connect() as connection:
                    mail = await storage.lease_mail(connection, LEASE)
            except BaseException:
                self._slots.release()
                raise
            if mail is None:
                self._slots.release()
                return
            task = asyncio.create_task(self._send(mail))
            self._sending.add(task)
            task.add_done_callback(self._sent)

    async def close(self) -> None:
        """Stop sending; what is under way is sent again when its lease has ended."""
        await cancel_and_wait(self._sending)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._slots.release()

    async def _send(self, mail: LeasedMail) -> None:
        """Send a mail, and settle it by the outcome."""
        try:
            if mail.is_expired:
                await self._drop_expired(mail)
            elif (outgoing := await self._write(mail)) is not None:
                await self._deliver(mail, outgoing)
        except DatabaseUnavailable as error:
            # Not settled: it is due again when the lease has ended.
            log.warning("mail_not_settled", mail_id=str(mail.id), reason=str(error))
        except Exception:
            log.exception("mail_not_settled", mail_id=str(mail.id))

    async def _write(self, mail: LeasedMail) -> Outgoing | None:
        """Return the message of a mail; ``None`` if there is none, which settles the mail."""
        try:
            return self._writer.write(mail)
        except ChallengeGone:
            await self._remove(mail, "expired")
        except SecretKeyMissing as error:
            log.warning("secret_key_missing", key_id=error.key_id)
            await self._give_up(mail, str(error))
        except (TemplateError, ValueError) as error:
            log.exception("mail_not_written", mail_id=str(mail.id), kind=mail.kind)
            await self._give_up(mail, f"no message could be made of it: {reason_of(error)}")
        return None

    async def _deliver(self, mail: LeasedMail, outgoing: Outgoing) -> None:
        try:
            async with asyncio.timeout(TIME_LIMIT):
                await self._transport.deliver(outgoing)
        except TimeoutError:
            await self._postpone(mail, f"not sent within {TIME_LIMIT:.0f} s")
        except ServerFailed as error:
            await self._wait_for_server(mail, str(error))
        except Refused as error:
            self._server_works()
            if error.is_permanent:
                await self._give_up(mail, str(error))
            else:
                await self._postpone(mail, str(error))
        else:
            self._server_works()
            await self._remove(mail, "sent")

    async def _drop_expired(self, mail: LeasedMail) -> None:
        """Drop a mail that is worth nothing any more; one that is kept becomes a dead letter."""
        if mail.kind.is_kept:
            await self._give_up(mail, "could not be sent in time")
        else:
            await self._remove(mail, "expired")

    async def _remove(self, mail: LeasedMail, result: str) -> None:
        async with self._database.connect() as connection:
            await storage.remove_mail(connection, mail)
        MAILS.add(mail.kind, result)

    async def _give_up(self, mail: LeasedMail, reason: str) -> None:
        async with self._database.connect() as connection:
            await storage.give_up_mail(connection, mail, reason)
        MAILS.add(mail.kind, "dead")
        log.warning("mail_dead", mail_id=str(mail.id), kind=mail.kind, attempts=mail.attempts)

    async def _postpone(self, mail: LeasedMail, reason: str) -> None:
        async with self._database.connect() as connection:
            await storage.postpone_mail(connection, mail, pause_after(mail.attempts), reason)
        MAILS.add(mail.kind, "postponed")

    async def _wait_for_server(self, mail: LeasedMail, reason: str) -> None:
        """Leave the server alone for a while, with this mail and all others."""
        pause = min(LONGEST_SERVER_PAUSE, FIRST_SERVER_PAUSE * 2.0**self._server_failures)
        if monotonic() >= self._resume_at:
            self._resume_at = monotonic() + pause
            if not self._server_failures:
                log.warning("mail_server_failed", reason=reason)
            self._server_failures = min(self._server_failures + 1, 10)
        async with self._database.connect() as connection:
            await storage.postpone_mail(connection, mail, pause, reason)
        MAILS.add(mail.kind, "postponed")

    def _server_works(self) -> None:
        if self._server_failures:
            log.warning("mail_server_works_again")
        self._server_failures = 0

    async def _count(self) -> None:
        if monotonic() >= self._count_at:
            self._count_at = monotonic() + COUNT_INTERVAL
            async with self._database.connect() as connection:
                counts = await storage.count_mails(connection)
            MAILS_WAITING.set(counts.waiting)
            MAILS_DEAD.set(counts.dead)


def pause_after(attempts: int) -> float:
    """Return for how many seconds a mail waits after so many attempts, 20 % more or less."""
    pause = FIRST_PAUSE * 2.0 ** min(attempts - 1, 20)
    return min(LONGEST_PAUSE, pause) * random.uniform(0.8, 1.2)  # noqa: S311
