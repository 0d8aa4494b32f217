"""Reauthentication at an OpenID provider, for users whom nothing else proves better."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from service.auth.audit import Event, record
from service.auth.errors import AccountNotProven, ReauthenticationRequired
from service.auth.identities.flow_secrets import FlowSecret
from service.auth.identities.flow_states import FlowPurpose, IssuedFlow
from service.auth.identities.flows import Callback, Completed, Flows
from service.auth.oidc.failures import proof_refused
from service.auth.rate_limits import RateLimiter
from service.auth.sessions import LiveSession, OpenedSession, Sessions, lock_user_of
from service.auth.step_up import StepUp
from service.model.identities import oidc_method
from service.model.request_context import RequestContext
from service.storage import identities as storage
from service.storage.database import Database

# By how much the clock of a provider may be behind.
LEEWAY = timedelta(seconds=60)


class IdentityReauthentication:
    """Proofs of the users in ``database`` by their accounts at providers."""

    def __init__(
        self,
        database: Database,
        flows: Flows,
        sessions: Sessions,
        step_up: StepUp,
        rate_limiter: RateLimiter,
    ) -> None:
        self._database = database
        self._flows = flows
        self._sessions = sessions
        self._step_up = step_up
        self._rate_limiter = rate_limiter

    async def begin(
        self, provider: str, redirect_uri: str, secret: FlowSecret, live: LiveSession
    ) -> tuple[IssuedFlow, str]:
        """Return a flow in which the provider authenticates its user anew.

        Raises what `Flows.begin` raises, and `ReauthenticationRequired` if the user is to
        reauthenticate by other methods.
        """
        self._flows.require_provider(provider)
        methods = await self._step_up.methods_of(live.user.id)
        if oidc_method(provider) not in methods:
            raise ReauthenticationRequired(methods, None)
        purpose = FlowPurpose.REAUTHENTICATE
        return await self._flows.begin(provider, purpose, redirect_uri, secret, live)

    async def complete(
        self,
        provider: str,
        callback: Callback,
        *,
        live: LiveSession,
        held: Sequence[FlowSecret],
        context: RequestContext,
    ) -> OpenedSession:
        """Prove the user of the session that began the flow; the session gets a new token.

        Raises what `Flows.complete` raises, also `AccountNotProven` for an account that the user
        has not linked, or that the provider has not authenticated anew; `RateLimited`,
        `ReauthenticationRequired` if the user is to reauthenticate by other methods by now, and
        `NotAuthenticated` if the session ended meanwhile.
        """
        purpose = FlowPurpose.REAUTHENTICATE
        async with self._rate_limiter.provider_attempt(context, live.session):
            completed = await self._flows.complete(provider, purpose, callback, held, live)
            require_new_authentication(completed)
            opened = await self._prove_again(completed, live)
        session_id = live.session.id
        record(Event.REAUTHENTICATED, context, user_id=live.user.id, session_id=session_id)
        return opened

    async def _prove_again(self, completed: Completed, live: LiveSession) -> OpenedSession:
        """Remember that a provider has proven the user of a session."""
        proven, user_id = completed.identity, live.user.id
        method = oidc_method(completed.client.provider.name)
        async with self._database.transaction() as connection:
            await lock_user_of(connection, live)
            found = await storage.find_identity(connection, proven.issuer, proven.subject)
            if found is None or found.user_id != user_id:
                raise AccountNotProven
            methods = await self._step_up.methods_in(connection, user_id)
            if method not in methods:
                raise ReauthenticationRequired(methods, None)
            await storage.use_identity(connection, found.id)
            return await self._sessions.prove_again(connection, live, method, proven.auth_time)


def require_new_authentication(completed: Completed) -> None:
    """Raise `AccountNotProven` if the provider did not authenticate its user in this flow.

    Providers that never tell when are believed. The time of issue of the ID token (``iat``) says
    nothing: a provider issues one whenever it is asked, while it has a session of its user.
    """
    provider, auth_time = completed.client.provider, completed.identity.auth_time
    if not provider.gives_auth_time:
        return
    if auth_time is None:
        raise proof_refused(provider.name, "it does not tell when the user authenticated")
    if auth_time < completed.flow.issued_at - LEEWAY:
        raise proof_refused(provider.name, "the user authenticated before the flow began")
