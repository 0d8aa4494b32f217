"""What every change of a password has in common, whoever makes it."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.challenges import Challenges
from service.auth.notices import Notices
from service.model.challenges import Purpose
from service.model.mail import MailKind
from service.model.request_context import RequestContext
from service.storage import users as storage


async def complete_password_change(
    connection: AsyncConnection,
    challenges: Challenges,
    notices: Notices,
    user_id: UUID,
    context: RequestContext,
) -> None:
    """Void what the former password protects, and notify the user, in the transaction.

    The security version moves, and links to reset the password end. The sessions are the caller's.
    """
    await storage.move_security_version(connection, user_id)
    await challenges.end_all_of(connection, user_id, [Purpose.PASSWORD_RESET])
    await notices.put(connection, MailKind.PASSWORD_CHANGED, user_id, context)
