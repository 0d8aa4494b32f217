"""Flows at providers: begun, and completed by what the provider proves, each once.

A flow is completed in this order, so that a stranger burns nothing, and a code is exchanged once:
its state is checked against the secret of the client, then the issuer that the answer names, then
the state is claimed, and only then does the provider see the code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from service.auth.errors import (
    FieldCode,
    FieldError,
    InvalidChallenge,
    ProviderRefused,
    ValidationFailed,
)
from service.auth.identities.flow_secrets import FlowSecret
from service.auth.identities.flow_states import (
    FlowPurpose,
    FlowStates,
    FlowSubject,
    IssuedFlow,
    ReadFlow,
)
from service.auth.oidc.client import ProviderClient
from service.auth.oidc.failures import TIME_LIMIT
from service.auth.oidc.providers import Providers
from service.auth.sessions import LiveSession
from service.model.deadline import at_most
from service.model.identities import ProvenIdentity
from service.storage.claimed_nonces import claim_nonce, read_clock
from service.storage.database import Database

# Names of errors as they are registered (RFC 6749, section 11.4); others are not repeated.
_ERROR = re.compile(r"[a-z][a-z0-9_.-]{0,63}")
UNNAMED_ERROR = "unknown_error"

OTHER_REDIRECT_URI = FieldError(
    field="redirect_uri",
    code=FieldCode.NOT_ALLOWED,
    message="The redirect URI is not one of the provider's in the settings, to the character.",
)


class Callback(Struct, frozen=True, kw_only=True):
    """What a provider has answered, in the redirect to the app: a code, or an error.

    Its ``repr`` hides it.
    """

    state: str
    code: str = ""
    iss: str | None = None
    error: str = ""

    def __repr__(self) -> str:
        return "Callback(…)"


class ReturnedToken(Struct, frozen=True, kw_only=True):
    """An ID token that the SDK of a provider has given to a native app. Its ``repr`` hides it."""

    state: str
    id_token: str

    def __repr__(self) -> str:
        return "ReturnedToken(…)"


class Completed(Struct, frozen=True, kw_only=True):
    """A flow that was completed: which account it has proven, at which provider."""

    client: ProviderClient
    flow: ReadFlow
    identity: ProvenIdentity


class Flows:
    """Flows at ``providers``; what was claimed is in ``database``."""

    def __init__(self, database: Database, providers: Providers, states: FlowStates) -> None:
        self._database = database
        self._providers = providers
        self._states = states

    def require_provider(self, provider: str) -> None:
        """Raise `NoSuchProvider` unless there is a provider with this name."""
        self._providers.get(provider)

    async def begin(
        self,
        provider: str,
        purpose: FlowPurpose,
        redirect_uri: str,
        secret: FlowSecret,
        live: LiveSession | None = None,
    ) -> tuple[IssuedFlow, str]:
        """Return a flow, and the URL at which it begins.

        Raises `NoSuchProvider`, `ValidationFailed` for another redirect URI than those of the
        settings, and `ProviderUnavailable`.
        """
        client = self._providers.get(provider)
        if not client.provider.redirect_uris.allows(redirect_uri):
            raise ValidationFailed([OTHER_REDIRECT_URI])
        now = await self._database.with_retry(read_clock)
        subject = _subject(client, purpose, live)
        issued = self._states.issue(subject, redirect_uri, secret, now)
        return issued, await client.authorization_url(issued.flow)

    async def complete(
        self,
        provider: str,
        purpose: FlowPurpose,
        answer: Callback | ReturnedToken,
        held: Sequence[FlowSecret],
        live: LiveSession | None = None,
    ) -> Completed:
        """Return which account the answer of a provider proves; no connection is held meanwhile.

        Raises `NoSuchProvider`, `InvalidChallenge` for an answer to no flow of this client, or to
        one that has been answered, `ProviderRefused`, `InvalidCredentials` for what proves no
        account, and `ProviderUnavailable`.
        """
        client = self._providers.get(provider)
        flow = self._states.read(_subject(client, purpose, live), answer.state, held)
        # What is left to do has the time that it would have had without the provider.
        with at_most(TIME_LIMIT):
            identity = await self._identity(client, flow, answer, live)
        return Completed(client=client, flow=flow, identity=identity)

    async def _identity(
        self,
        client: ProviderClient,
        flow: ReadFlow,
        answer: Callback | ReturnedToken,
        live: LiveSession | None,
    ) -> ProvenIdentity:
        """Return which account an answer proves, and use the flow up before."""
        if isinstance(answer, Callback):
            await client.require_issuer(answer.iss)
        await self._claim(flow, live)
        if isinstance(answer, ReturnedToken):
            return await client.read_id_token(answer.id_token, flow.flow.nonce)
        if answer.error:
            is_named = _ERROR.fullmatch(answer.error) is not None
            raise ProviderRefused(answer.error if is_named else UNNAMED_ERROR)
        return await client.redeem(answer.code, flow.flow)

    async def _claim(self, flow: ReadFlow, live: LiveSession | None) -> None:
        """Use a flow up. Raises `InvalidChallenge` if it was, has expired, or was voided."""
        async with self._database.transaction() as connection:
            is_claimed = await claim_nonce(
                connection,
                None if live is None else live.user.id,
                flow.claimed,
                issued_at=flow.issued_at,
                expires_at=flow.expires_at,
            )
        if not is_claimed:
            raise InvalidChallenge


def _subject(client: ProviderClient, purpose: FlowPurpose, live: LiveSession | None) -> FlowSubject:
    if live is None:
        return FlowSubject(provider=client.provider, purpose=purpose)
    return FlowSubject(
        provider=client.provider,
        purpose=purpose,
        user_id=live.user.id,
        session_id=live.session.id,
    )
