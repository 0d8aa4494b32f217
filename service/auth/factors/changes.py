"""Changes of factors: what the addition and the removal of each have in common.

The caller has locked the user, in the transaction of the change.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from uuid import UUID

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.audit import Event, record
from service.auth.errors import NotAuthenticated
from service.auth.factors.recovery_codes import RecoveryCode, issue_codes
from service.auth.notices import Notices
from service.auth.secret_keys import KeyPurpose
from service.auth.sessions import LiveSession
from service.model.mail import MailKind
from service.model.request_context import RequestContext
from service.model.sessions import Method
from service.storage import session_endings
from service.storage import sessions as session_storage
from service.storage import users as user_storage
from service.storage.database import on_commit
from service.storage.factors import passkeys as passkey_storage
from service.storage.factors import recovery_codes as storage
from service.storage.factors import totp as totp_storage
from service.storage.factors.existing import user_has_factor


class Addition(Struct, frozen=True, kw_only=True):
    """The addition of a factor that is under way; the first one has further effects."""

    live: LiveSession
    method: Method
    context: RequestContext
    is_first: bool


class FactorChanges:
    """Changes of factors, of which ``notices`` notifies the users."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices

    async def begin_addition(
        self,
        connection: AsyncConnection,
        live: LiveSession,
        method: Method,
        context: RequestContext,
    ) -> Addition:
        """Begin the addition of a factor: notify the user, with a link that takes it back.

        The link is made first: it takes back what is later than itself.
        """
        user_id = live.user.id
        is_first = not await user_has_factor(connection, user_id)
        await self._notices.put_with_undo(connection, MailKind.FACTOR_ADDED, user_id, context)
        return Addition(live=live, method=method, context=context, is_first=is_first)

    async def complete_addition(
        self, connection: AsyncConnection, addition: Addition
    ) -> list[RecoveryCode] | None:
        """Complete the addition of a factor, which has proven the user of the session as well.

        The security version moves. With the first one all other sessions end, and recovery codes
        are made: they are returned, once. Raises `NotAuthenticated` if the session ended meanwhile.
        """
        live, user_id = addition.live, addition.live.user.id
        await user_storage.move_security_version(connection, user_id)
        codes, ended = None, 0
        if addition.is_first:
            session_id = live.session.id
            ended = await session_endings.end_other_sessions(connection, user_id, session_id)
            codes = await self.replace_recovery_codes(connection, user_id)
        if not await session_storage.add_factor_method(
            connection, live.session.id, addition.method
        ):
            raise NotAuthenticated
        added = partial(
            record,
            Event.FACTOR_ADDED,
            addition.context,
            user_id=user_id,
            session_id=live.session.id,
            ended=ended,
            factor=addition.method.value,
        )
        on_commit(connection, added)
        return codes

    async def complete_removal(  # noqa: PLR0913
        self,
        connection: AsyncConnection,
        user_id: UUID,
        method: Method,
        context: RequestContext,
        *,
        kept_session: UUID | None,
        is_method_gone: bool = True,
    ) -> None:
        """Complete the removal of a factor, and notify the user.

        The security version moves. If the method is gone, the other sessions that it has proven
        end, and the one that is kept no longer has it. With the last factor the recovery codes go.
        """
        await user_storage.move_security_version(connection, user_id)
        ended = 0
        if is_method_gone:
            ended = await session_endings.end_sessions_proven_by(
                connection, user_id, method, kept_session
            )
            await session_storage.remove_method(connection, user_id, method)
        if not await user_has_factor(connection, user_id):
            await storage.delete_recovery_codes(connection, user_id)
        await self._notices.put(connection, MailKind.FACTOR_REMOVED, user_id, context)
        removed = partial(
            record,
            Event.FACTOR_REMOVED,
            context,
            user_id=user_id,
            session_id=kept_session,
            ended=ended,
            factor=method.value,
        )
        on_commit(connection, removed)

    @staticmethod
    async def replace_recovery_codes(
        connection: AsyncConnection, user_id: UUID
    ) -> list[RecoveryCode]:
        """Make new recovery codes for a user; the old ones are void."""
        codes = issue_codes()
        await storage.replace_recovery_codes(connection, user_id, [each.hash for each in codes])
        return codes


async def remove_factors_since(connection: AsyncConnection, user_id: UUID, since: datetime) -> None:
    """Remove the factors and recovery codes of a user that are not older than ``since``.

    The person who added them may not be the user. With the last factor all recovery codes are
    removed.
    """
    if await totp_storage.remove_totp(connection, user_id, since=since):
        await totp_storage.remove_secrets(connection, user_id, KeyPurpose.TOTP_SECRET)
    await passkey_storage.remove_passkeys_since(connection, user_id, since)
    is_left = await user_has_factor(connection, user_id)
    await storage.delete_recovery_codes(connection, user_id, since=since if is_left else None)
