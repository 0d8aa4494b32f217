"""Links: the accounts at OpenID providers with which a user logs in."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.audit import Event, record
from service.auth.errors import (
    FieldCode,
    FieldError,
    IdentityTaken,
    NoSuchIdentity,
    ValidationFailed,
)
from service.auth.identities.flow_secrets import FlowSecret
from service.auth.identities.flow_states import FlowPurpose
from service.auth.identities.flows import Callback, Flows
from service.auth.notices import Notices
from service.auth.oidc.providers import Providers
from service.auth.rate_limits import RateLimiter
from service.auth.sessions import LiveSession, lock_user_of
from service.auth.ways_in import WaysIn
from service.model.identities import Identity, oidc_method
from service.model.mail import MailKind
from service.model.request_context import RequestContext
from service.storage import identities as storage
from service.storage import session_endings
from service.storage import users as user_storage
from service.storage.database import Database

MAX_IDENTITIES = 20

TOO_MANY = FieldError(
    field="state",
    code=FieldCode.NOT_ALLOWED,
    message=f"A user has at most {MAX_IDENTITIES} identities: unlink one first.",
)


class IdentityLinks:
    """The identities of the users in ``database``."""

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        database: Database,
        flows: Flows,
        providers: Providers,
        ways_in: WaysIn,
        rate_limiter: RateLimiter,
        notices: Notices,
    ) -> None:
        self._database = database
        self._flows = flows
        self._providers = providers
        self._ways_in = ways_in
        self._rate_limiter = rate_limiter
        self._notices = notices

    async def list(self, user_id: UUID) -> list[Identity]:
        """Return the identities of a user, oldest first."""
        return await self._database.with_retry(storage.list_identities, user_id)

    async def link(
        self,
        provider: str,
        callback: Callback,
        *,
        live: LiveSession,
        held: Sequence[FlowSecret],
        context: RequestContext,
    ) -> Identity:
        """Link the account that a provider proves to the user of the session that began it.

        Returns the identity, also if it is theirs already. Raises what `Flows.complete` raises,
        `RateLimited`, `IdentityTaken` if it is another user's, `ValidationFailed` if the user has
        too many, and `NotAuthenticated` if the session ended meanwhile.
        """
        purpose = FlowPurpose.LINK
        async with self._rate_limiter.provider_attempt(context, live.session):
            completed = await self._flows.complete(provider, purpose, callback, held, live)
        proven, user_id = completed.identity, live.user.id
        async with self._database.transaction() as connection:
            await lock_user_of(connection, live)
            found = await storage.find_identity(connection, proven.issuer, proven.subject)
            if found is not None and found.user_id == user_id:
                return found
            if len(await storage.list_identities(connection, user_id)) >= MAX_IDENTITIES:
                raise ValidationFailed([TOO_MANY])
            # The link that takes it back is made first: it takes back what is later than itself.
            kind = MailKind.IDENTITY_ADDED
            await self._notices.put_with_undo(connection, kind, user_id, context)
            added = await storage.add_identity(connection, user_id, proven.issuer, proven.subject)
            if added is None:
                raise IdentityTaken
        session_id = live.session.id
        event = Event.IDENTITY_LINKED
        record(event, context, user_id=user_id, session_id=session_id, issuer=proven.issuer)
        return added

    async def unlink(self, live: LiveSession, identity_id: UUID, context: RequestContext) -> None:
        """Remove an identity of a user; the other sessions that its provider has proven end.

        Raises `NoSuchIdentity`, `LastWayIn` if the user could not log in without it, and
        `NotAuthenticated` if the session ended meanwhile.
        """
        user_id, session_id = live.user.id, live.session.id
        async with self._database.transaction() as connection:
            await lock_user_of(connection, live)
            removed = await storage.remove_identity(connection, user_id, identity_id)
            if removed is None:
                raise NoSuchIdentity
            await self._ways_in.require_one(connection, user_id)
            # A log-in by it that waits for its second factor is void.
            await user_storage.move_security_version(connection, user_id)
            ended = await self._end_sessions(connection, live, removed.issuer)
            kind = MailKind.IDENTITY_REMOVED
            await self._notices.put(connection, kind, user_id, context)
        record(
            Event.IDENTITY_UNLINKED,
            context,
            user_id=user_id,
            session_id=session_id,
            ended=ended,
            issuer=removed.issuer,
        )

    async def _end_sessions(
        self, connection: AsyncConnection, live: LiveSession, issuer: str
    ) -> int:
        """End the other sessions that an issuer has proven, by whatever name. Returns how many.

        A session has the name that the provider had then: those of names that are no longer in the
        settings end as well.
        """
        names = {*self._providers.names} - {*self._providers.names_of(issuer)}
        return await session_endings.end_sessions_of_other_providers(
            connection, live.user.id, [*map(oidc_method, names)], live.session.id
        )
