"""Log-ins by accounts at OpenID providers.

Issuer and subject tell whose an account is, and nothing else does (OpenID Connect Core, section
5.7): no user is ever found by an address that a provider names.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.audit import Event, record
from service.auth.devices import DeviceToken
from service.auth.errors import AccountNotProven, SecondFactorRequired, SignUpNeeded
from service.auth.factors.second_factors import SecondFactors, pending_log_in
from service.auth.identities.flow_secrets import FlowSecret
from service.auth.identities.flow_states import FlowPurpose
from service.auth.identities.flows import Callback, Completed, Flows, ReturnedToken
from service.auth.identities.sign_up_questions import SignUpQuestions
from service.auth.log_in_records import LogInRecords
from service.auth.rate_limits import RateLimiter
from service.auth.sessions import OpenedSession, Sessions
from service.auth.step_up import StepUp
from service.auth.tokens import Token
from service.model.identities import Identity, oidc_method
from service.model.proofs import Proof
from service.model.request_context import RequestContext
from service.model.sessions import InsertedSession, Transport
from service.model.users import User
from service.storage import identities as storage
from service.storage import users as user_storage
from service.storage.database import Database, on_commit
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
        sign_up_questions: SignUpQuestions,
        second_factors: SecondFactors,
        step_up: StepUp,
        rate_limiter: RateLimiter,
        records: LogInRecords,
    ) -> None:
        self._database = database
        self._flows = flows
        self._sessions = sessions
        self._sign_up_questions = sign_up_questions
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
                return await self._sign_up_questions.ask(connection, completed)
            user, version = await lock_user_with(connection, identity)
            await storage.use_identity(connection, identity.id)
            presented = None if device is None else device.hash
            is_known = await known_device(connection, user.id, presented) is not None
            has_factor = await user_has_factor(connection, user.id)
            if has_factor and not provider.trusted_as_second_factor:
                pending = pending_log_in(
                    method, transport, context, device, is_known_device=is_known
                )
                question = await self._second_factors.ask(connection, user.id, version, pending)
                asked = partial(record, Event.SECOND_FACTOR_REQUIRED, context, user_id=user.id)
                on_commit(connection, asked)
                return question
            proof = Proof(
                user=user,
                security_version=version,
                method=method,
                counts_as_factor=has_factor,
                proven_at=await self._proven_at(connection, completed, user, has_factor=has_factor),
            )
            opened, inserted = await self._sessions.open(
                connection, proof, context, presented=device, carried=carried
            )
        return opened, inserted, is_known

    async def _proven_at(
        self, connection: AsyncConnection, completed: Completed, user: User, *, has_factor: bool
    ) -> datetime | None:
        """Return when the log-in has proven the user for step-up; ``None`` for now.

        A provider that still knew its user has asked them for nothing: the proof is of the time at
        which it did. If one that tells has not told, that may be long ago. Of others the log-in is
        a proof of now, but only for users who can reauthenticate by nothing better. Nothing but a
        factor proves who has one.
        """
        auth_time = completed.identity.auth_time
        if auth_time is not None:
            return LONG_AGO if has_factor else auth_time
        if completed.client.provider.gives_auth_time:
            return LONG_AGO
        methods = await self._step_up.methods_in(connection, user.id)
        return None if oidc_method(completed.client.provider.name) in methods else LONG_AGO


async def lock_user_with(connection: AsyncConnection, identity: Identity) -> tuple[User, int]:
    """Return the user of an identity, who is locked, and their security version.

    Raises `AccountNotProven` if the identity was removed before the lock was taken.
    """
    version = await user_storage.lock_security_version(connection, identity.user_id)
    user = await user_storage.find_user(connection, identity.user_id)
    found = await storage.find_identity(connection, identity.issuer, identity.subject)
    # Another log-in by it may have been its last use meanwhile: only the id has to be the same.
    if version is None or user is None or found is None or found.id != identity.id:
        raise AccountNotProven
    return user, version
