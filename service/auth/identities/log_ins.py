"""Log-ins by accounts at OpenID providers.

Whose an account is, issuer and subject tell, and nothing else (OpenID Connect Core, section 5.7):
no user is ever found by an address that a provider names.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.admissions import Admissions
from service.auth.audit import Event, record
from service.auth.challenges import Challenges
from service.auth.devices import DeviceToken
from service.auth.errors import InvalidCredentials, SecondFactorRequired, SignUpNeeded
from service.auth.factors.second_factors import SecondFactors, pending_log_in
from service.auth.identities.flow_secrets import FlowSecret
from service.auth.identities.flow_states import FlowPurpose
from service.auth.identities.flows import Callback, Completed, Flows, ReturnedToken
from service.auth.identities.pending_sign_ups import PendingSignUp
from service.auth.log_in_records import LogInRecords
from service.auth.rate_limits import RateLimiter
from service.auth.sessions import OpenedSession, Sessions
from service.auth.step_up import StepUp
from service.auth.tokens import Token
from service.model.challenges import Purpose, Subject
from service.model.identities import Identity, oidc_method
from service.model.proofs import Proof
from service.model.request_context import RequestContext
from service.model.sessions import InsertedSession, Transport
from service.storage import identities as storage
from service.storage import users as user_storage
from service.storage.database import Database
from service.storage.factors.existing import user_has_factor
from service.storage.factors.totp import known_device

# A proof of this time renews no step-up.
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class IdentityLogIns:
    """Log-ins by the identities in ``database``."""

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        database: Database,
        flows: Flows,
        sessions: Sessions,
        admissions: Admissions,
        challenges: Challenges,
        second_factors: SecondFactors,
        step_up: StepUp,
        rate_limiter: RateLimiter,
        records: LogInRecords,
    ) -> None:
        self._database = database
        self._flows = flows
        self._sessions = sessions
        self._admissions = admissions
        self._challenges = challenges
        self._second_factors = second_factors
        self._step_up = step_up
        self._rate_limiter = rate_limiter
        self._records = records

    async def log_in(  # noqa: PLR0913
        self,
        provider: str,
        answer: Callback | ReturnedToken,
        *,
        held: Sequence[FlowSecret],
        transport: Transport,
        context: RequestContext,
        carried: Sequence[Token] = (),
        device: DeviceToken | None = None,
    ) -> OpenedSession:
        """Open a session for the user who has linked the account that a provider proves.

        The sessions of ``carried`` end. Raises what `Flows.complete` raises, `RateLimited`,
        `SignUpNeeded` for an account that nobody has linked, `SignUpClosed` if nobody can then,
        `SecondFactorRequired`, and `AccountDisabled`.
        """
        async with self._rate_limiter.provider_attempt(context):
            purpose = FlowPurpose.LOG_IN
            completed = await self._flows.complete(provider, purpose, answer, held)
            outcome = await self._open(completed, transport, context, carried, device)
        if isinstance(outcome, SecondFactorRequired | SignUpNeeded):
            raise outcome
        opened, inserted, is_known = outcome
        await self._records.complete(opened, inserted, context, is_known_device=is_known)
        return opened

    async def _open(
        self,
        completed: Completed,
        transport: Transport,
        context: RequestContext,
        carried: Sequence[Token],
        device: DeviceToken | None,
    ) -> tuple[OpenedSession, InsertedSession, bool] | SecondFactorRequired | SignUpNeeded:
        """Return the session, what its opening found and whether the device was known.

        Or what to raise once the transaction, in which the question was written, is committed.
        """
        issuer, subject = completed.identity.issuer, completed.identity.subject
        provider = completed.client.provider
        method = oidc_method(provider.name)
        async with self._database.transaction() as connection:
            identity = await storage.find_identity(connection, issuer, subject)
            if identity is None:
                return await self._sign_up_question(connection, completed)
            version = await user_storage.lock_security_version(connection, identity.user_id)
            user = await user_storage.find_user(connection, identity.user_id)
            found = await storage.find_identity(connection, issuer, subject)
            # Another log-in by it may have moved the time of its use.
            if found is None or found.id != identity.id or version is None or user is None:
                raise InvalidCredentials
            await storage.use_identity(connection, identity.id)
            presented = None if device is None else device.hash
            is_known = await known_device(connection, user.id, presented) is not None
            has_factor = await user_has_factor(connection, user.id)
            if has_factor and not provider.trusted_as_second_factor:
                pending = pending_log_in(
                    method, transport, context, device, is_known_device=is_known
                )
                question = await self._second_factors.ask(connection, user.id, version, pending)
                record(Event.SECOND_FACTOR_REQUIRED, context, user_id=user.id)
                return question
            proof = Proof(
                user=user,
                security_version=version,
                method=method,
                counts_as_factor=has_factor,
                proven_at=await self._proven_at(connection, identity, completed),
            )
            opened, inserted = await self._sessions.open(
                connection, proof, context, presented=device, carried=carried
            )
        return opened, inserted, is_known

    async def _proven_at(
        self, connection: AsyncConnection, identity: Identity, completed: Completed
    ) -> datetime | None:
        """Return when the log-in has proven the user for step-up; ``None`` for now.

        The provider may have asked for nothing: then its session counts from when it began. If one
        that tells has not told, that may be long ago. Of others, the log-in counts only for a user
        whom nothing else proves better.
        """
        if completed.identity.auth_time is not None:
            is_factor_needed = await user_has_factor(connection, identity.user_id)
            return LONG_AGO if is_factor_needed else completed.identity.auth_time
        if completed.client.provider.gives_auth_time:
            return LONG_AGO
        methods = await self._step_up.methods_in(connection, identity.user_id)
        return None if oidc_method(completed.client.provider.name) in methods else LONG_AGO

    async def _sign_up_question(
        self, connection: AsyncConnection, completed: Completed
    ) -> SignUpNeeded:
        """Return the question whether to sign up, with what the provider suggests.

        Raises `SignUpClosed`.
        """
        self._admissions.require_not_closed()
        identity = completed.identity
        pending = PendingSignUp(
            provider=completed.client.provider.name,
            issuer=identity.issuer,
            subject=identity.subject,
        )
        subject = Subject(data=pending.as_json())
        made = await self._challenges.make(connection, Purpose.OIDC_SIGN_UP, subject)
        return SignUpNeeded(
            challenge_token=made.token,
            email=identity.email,
            name=identity.name,
            expires_at=made.expires_at,
        )
