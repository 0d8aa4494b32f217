"""What every change of a password has in common, whoever makes it."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.challenges import Challenges
from service.auth.errors import InvalidChallenge
from service.auth.notices import Notices
from service.model.challenges import Purpose
from service.model.mail import MailKind
from service.model.request_context import RequestContext
from service.model.users import Key, PasswordHash
from service.storage import keys as key_storage
from service.storage import session_endings
from service.storage import users as storage


class PasswordChanges:
    """Changes of passwords, each in a transaction of the caller, who has locked the user."""

    def __init__(self, challenges: Challenges, notices: Notices) -> None:
        self._challenges = challenges
        self._notices = notices

    async def complete(
        self,
        connection: AsyncConnection,
        user_id: UUID,
        context: RequestContext,
        kind: MailKind = MailKind.PASSWORD_CHANGED,
    ) -> None:
        """Void what the former password protects, and notify the user.

        The security version moves, and links to reset the password end. The sessions are the
        caller's.
        """
        await storage.move_security_version(connection, user_id)
        await self._challenges.end_all_of(connection, user_id, [Purpose.PASSWORD_RESET])
        await self._notices.put(connection, kind, user_id, context)

    async def reset(
        self,
        connection: AsyncConnection,
        user_id: UUID,
        password_hash: PasswordHash,
        context: RequestContext,
    ) -> tuple[Key, int]:
        """Set the password of a user who has answered a link; all their sessions end.

        Returns the key with the password, and the number of sessions that ended. Raises
        `InvalidChallenge` if no password could log the user in.
        """
        await key_storage.set_password_hash(connection, user_id, password_hash)
        await self.complete(connection, user_id, context)
        ended = await session_endings.end_all_sessions(connection, user_id)
        key = await key_storage.find_password_key(connection, user_id)
        if key is None:
            raise InvalidChallenge
        return key, ended
