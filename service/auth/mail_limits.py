"""Limits on what a recipient is mailed at the request of others. To people they are silent.

What exceeds one is not sent, and the response is the same: a limit that shows would tell whose
address it is. Notices have none: nobody can use a limit up to suppress them.
"""

from __future__ import annotations

from math import ceil

from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.buckets import bucket_of
from service.auth.errors import RateLimited
from service.model.mail import MailKind
from service.settings.values import Rate
from service.storage import rate_limits as storage


class MailLimits:
    """Limits the mails of a kind to an address, to ``per_recipient``."""

    def __init__(self, per_recipient: Rate) -> None:
        self._per_recipient = per_recipient

    async def admits(self, connection: AsyncConnection, kind: MailKind, address: str) -> bool:
        """Count a mail to an address in prepared form; return whether it is to be sent.

        That an account exists counts as a sign-up code: either may follow the same request. A
        challenge whose mail is not sent has to be a decoy.
        """
        if kind.is_notice:
            return True
        counted = MailKind.SIGN_UP_CODE if kind is MailKind.ACCOUNT_EXISTS else kind
        return (await self._consume(connection, counted, address)).is_allowed

    async def require(self, connection: AsyncConnection, kind: MailKind, address: str) -> None:
        """Count a mail that an operator or another program wants sent. Raises `RateLimited`."""
        consumed = await self._consume(connection, kind, address)
        if not consumed.is_allowed:
            raise RateLimited(ceil(consumed.blocked_for))

    async def _consume(
        self, connection: AsyncConnection, kind: MailKind, address: str
    ) -> storage.Consumption:
        bucket = bucket_of(self._per_recipient, "mail to", kind, address)
        return await storage.consume(connection, [bucket], reserved_for=0)
