"""Changes of users by operators and other programs: roles, metadata, user name, state."""

from __future__ import annotations

from collections.abc import Callable, Collection
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.accounts import set_username
from service.auth.admin.patches import UserPatch, is_disabled_by, patched
from service.auth.admin.records import require_record
from service.auth.admin.revisions import require_revision, revision_of
from service.auth.audit import Event, record
from service.auth.challenges import Challenges
from service.auth.errors import UsernameTaken
from service.auth.notices import Notices
from service.auth.username_holds import UsernameHolds
from service.auth.usernames import Username
from service.model.challenges import Purpose
from service.model.mail import MailKind
from service.model.request_context import RequestContext
from service.model.user_records import UserRecord
from service.storage import keys as key_storage
from service.storage import session_endings
from service.storage import users as user_storage
from service.storage.admin import users as storage
from service.storage.database import Database


class UserChanges:
    """Changes of the users in ``database``."""

    def __init__(
        self,
        database: Database,
        challenges: Challenges,
        username_holds: UsernameHolds,
        notices: Notices,
    ) -> None:
        self._database = database
        self._challenges = challenges
        self._username_holds = username_holds
        self._notices = notices

    async def apply(
        self,
        user_id: UUID,
        patch: UserPatch,
        context: RequestContext,
        *,
        expected: Collection[str] | None = None,
    ) -> UserRecord:
        """Change a user as `apply_to_present` does, whatever the user is at present."""
        return await self.apply_to_present(user_id, lambda _: patch, context, expected=expected)

    async def apply_to_present(
        self,
        user_id: UUID,
        patch_of: Callable[[UserRecord], UserPatch],
        context: RequestContext,
        *,
        expected: Collection[str] | None = None,
    ) -> UserRecord:
        """Change a user. Returns them, as before if nothing is to be changed.

        Whoever is disabled has no session when this returns, and opens none until enabled. Raises
        `NoSuchUser`, `PreconditionFailed` if the user has none of the ``expected`` revisions,
        `ValidationFailed` and `UsernameTaken`.
        """
        async with self._database.transaction() as connection:
            # By a statement of its own: the next one sees what was waited for.
            await user_storage.lock_user(connection, user_id)
            present = await require_record(connection, user_id)
            require_revision(present, expected)
            patch = patch_of(present)
            wanted = patched(present, patch)
            is_disabled = is_disabled_by(patch, present)
            is_shut_out = is_disabled and present.disabled_at is None
            # 1 and true are equal in Python, and different in JSON.
            is_same = revision_of(wanted) == revision_of(present)
            if is_same and is_disabled is (present.disabled_at is not None):
                return present
            if wanted.username != present.username and isinstance(patch.username, Username):
                await self._rename(connection, user_id, patch.username, context)
            await storage.change_user(
                connection,
                user_id,
                roles=wanted.roles,
                metadata=wanted.metadata,
                is_disabled=is_disabled,
                disabled_reason=wanted.disabled_reason,
            )
            ended = await self._shut_out(connection, user_id) if is_shut_out else 0
            changed = await require_record(connection, user_id)
        record_changes(present, changed, context, ended)
        return changed

    async def _rename(
        self,
        connection: AsyncConnection,
        user_id: UUID,
        username: Username,
        context: RequestContext,
    ) -> None:
        """Change a user name, also to one that is reserved, or held for another user."""
        await self._username_holds.give_up(connection, user_id)
        try:
            await set_username(connection, user_id, username)
        except key_storage.KeyExists as error:
            raise UsernameTaken from error
        await self._notices.put(connection, MailKind.USERNAME_CHANGED, user_id, context)

    async def _shut_out(self, connection: AsyncConnection, user_id: UUID) -> int:
        """Void what was begun, and end all sessions. Returns how many."""
        await user_storage.move_security_version(connection, user_id)
        ended = await session_endings.end_all_sessions(connection, user_id)
        await self._challenges.end_all_of(connection, user_id, [Purpose.PASSWORD_RESET])
        return ended


def record_changes(
    before: UserRecord, after: UserRecord, context: RequestContext, ended: int
) -> None:
    """Record each kind of change."""
    if before.username != after.username:
        record(Event.USERNAME_CHANGED, context, user_id=after.id)
    if before.roles != after.roles:
        record(Event.ROLES_CHANGED, context, user_id=after.id, roles=" ".join(after.roles))
    if msgspec.json.encode(before.metadata) != msgspec.json.encode(after.metadata):
        record(Event.METADATA_CHANGED, context, user_id=after.id)
    if after.disabled_at is None and before.disabled_at is not None:
        record(Event.USER_ENABLED, context, user_id=after.id)
    elif (before.disabled_at, before.disabled_reason) != (after.disabled_at, after.disabled_reason):
        record(Event.USER_DISABLED, context, user_id=after.id, ended=ended)
