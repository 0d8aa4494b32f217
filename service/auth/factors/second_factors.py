"""Second factors: a log-in whose first proof was right waits for the answer, without a session.

Whatever the first proof was, a password or the link of a reset, it goes on here.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.audit import Event, record
from service.auth.challenges import Challenges
from service.auth.devices import DeviceToken
from service.auth.errors import (
    AuthError,
    InvalidChallenge,
    InvalidCredentials,
    RateLimited,
    SecondFactorRequired,
)
from service.auth.factors.answers import Answer, method_of
from service.auth.factors.ceremonies import Ceremonies
from service.auth.factors.existing import Factors
from service.auth.factors.proofs import FactorProofs
from service.auth.log_in_records import LogInRecords
from service.auth.password_changes import PasswordChanges
from service.auth.sessions import OpenedSession, Sessions
from service.auth.tokens import Token
from service.model.challenges import Challenge, Purpose, Subject
from service.model.devices import DeviceHash
from service.model.log_ins import PendingLogIn
from service.model.proofs import Proof
from service.model.request_context import RequestContext
from service.model.sessions import Method, Transport
from service.model.users import Key, PasswordHash
from service.storage import users as user_storage
from service.storage.database import Database
from service.storage.factors import passkeys as passkey_storage


class CompletedLogIn(Struct, frozen=True, kw_only=True):
    """A session that a second factor has opened, and how the first request wanted its token."""

    opened: OpenedSession
    transport: Transport


class SecondFactors:
    """Second factors of the users in ``database``."""

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        database: Database,
        sessions: Sessions,
        challenges: Challenges,
        factors: Factors,
        proofs: FactorProofs,
        records: LogInRecords,
        password_changes: PasswordChanges,
        ceremonies: Ceremonies | None,
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._challenges = challenges
        self._factors = factors
        self._proofs = proofs
        self._records = records
        self._password_changes = password_changes
        self._ceremonies = ceremonies

    async def ask_after_password(
        self,
        key: Key,
        transport: Transport,
        context: RequestContext,
        *,
        device: DeviceToken | None,
        is_known_device: bool,
    ) -> SecondFactorRequired:
        """Ask for a factor of a user whose password was verified. Returns what to raise.

        Raises `InvalidCredentials` if what protects the user was changed meanwhile.
        """
        pending = pending_log_in(
            Method.PASSWORD, transport, context, device, is_known_device=is_known_device
        )
        async with self._database.transaction() as connection:
            version = await user_storage.lock_security_version(connection, key.user.id)
            if version != key.security_version:
                raise InvalidCredentials
            question = await self.ask(connection, key.user.id, version, pending)
        record(Event.SECOND_FACTOR_REQUIRED, context, user_id=key.user.id)
        return question

    async def ask(
        self, connection: AsyncConnection, user_id: UUID, version: int, pending: PendingLogIn
    ) -> SecondFactorRequired:
        """Ask for a factor of a user who is locked, and has this security version.

        Returns what to raise once the transaction is committed.
        """
        found = await self._factors.find(connection, user_id)
        methods = self._factors.methods_of(found)
        subject = Subject(user_id=user_id, security_version=version, data=pending.as_json())
        made = await self._challenges.make(connection, Purpose.SECOND_FACTOR, subject)
        options = None
        if self._ceremonies is not None and Method.PASSKEY in methods:
            passkeys = await passkey_storage.list_passkeys(connection, user_id)
            options = self._ceremonies.request_options(
                self._challenges.passkey_challenge_of(made.id),
                allow=[each for each in passkeys if each.rp_id == self._ceremonies.rp_id],
            )
        return SecondFactorRequired(
            challenge_token=made.token,
            methods=methods,
            passkey_options=options,
            expires_at=made.expires_at,
        )

    async def complete(
        self,
        token: str,
        answer: Answer,
        *,
        context: RequestContext,
        carried: Sequence[Token] = (),
        device: DeviceToken | None = None,
    ) -> CompletedLogIn:
        """Open a session for the user of a log-in that waits; those of ``carried`` end.

        Raises `InvalidChallenge`, `InvalidCode` for a wrong code, `UnknownPasskey` and
        `InvalidCredentials` for a passkey that does not prove the user, `ValidationFailed` for what
        is no passkey's answer, and `RateLimited`, when other methods still work.
        """
        checked = await self._challenges.check_token(Purpose.SECOND_FACTOR, token)
        user_id, pending = checked.subject.user_id, PendingLogIn.of_json(checked.subject.data)
        if user_id is None:
            raise InvalidChallenge
        context = context.with_device_name(pending.device_name or "")
        try:
            async with self._database.transaction() as connection:
                await user_storage.lock_user(connection, user_id)
                await self._challenges.require_answerable(connection, checked)
                refusal = await self._refusal_of(connection, user_id, checked, answer, context)
                if refusal is None:
                    await self._challenges.claim(connection, checked)
                    proof, ended = await self._proof(connection, checked, pending, answer, context)
                    opened, inserted = await self._sessions.open(
                        connection,
                        proof,
                        context,
                        presented=as_presented(device, pending),
                        presented_hash=hash_presented(pending),
                        carried=carried,
                    )
                    codes_left = await self._proofs.codes_left(connection, user_id, answer)
        except RateLimited:
            record(Event.SECOND_FACTOR_THROTTLED, context, user_id=user_id)
            raise
        if refusal is not None:
            record(Event.SECOND_FACTOR_FAILED, context, user_id=user_id)
            raise refusal
        await self._records.complete(
            opened,
            inserted,
            context,
            is_known_device=pending.is_known_device,
            ended_by_reset=ended if pending.new_hash is not None else None,
        )
        return CompletedLogIn(
            opened=replace(opened, recovery_codes_left=codes_left), transport=pending.transport
        )

    async def _refusal_of(
        self,
        connection: AsyncConnection,
        user_id: UUID,
        checked: Challenge,
        answer: Answer,
        context: RequestContext,
    ) -> AuthError | None:
        """Return ``None`` for the right answer, and else what to raise; a wrong one is counted."""
        refusal = await self._proofs.refusal_of(
            connection,
            user_id,
            answer,
            context,
            device=hash_presented(PendingLogIn.of_json(checked.subject.data)),
            passkey_challenge=self._challenges.passkey_challenge_of(checked.id, checked.key_id),
        )
        if refusal is None:
            return None
        is_try_left = await self._challenges.count_failure(connection, checked)
        return refusal if is_try_left else InvalidChallenge()

    async def _proof(
        self,
        connection: AsyncConnection,
        checked: Challenge,
        pending: PendingLogIn,
        answer: Answer,
        context: RequestContext,
    ) -> tuple[Proof, int]:
        """Return what has proven the user; the password of a reset is set first.

        Also returns the number of sessions that ended with that.
        """
        user_id, version = checked.subject.user_id, checked.subject.security_version
        method, earlier = method_of(answer), {pending.method: self._challenges.made_at(checked)}
        if user_id is None or version is None:
            raise InvalidChallenge
        if pending.new_hash is not None:
            key, ended = await self._password_changes.reset(
                connection, user_id, pending.new_hash, context
            )
            proof = Proof(
                user=key.user,
                security_version=key.security_version,
                method=method,
                earlier=earlier,
                key=key,
            )
            return proof, ended
        user = await user_storage.find_user(connection, user_id)
        if user is None:
            raise InvalidChallenge
        return Proof(user=user, security_version=version, method=method, earlier=earlier), 0


def pending_log_in(  # noqa: PLR0913
    method: str,
    transport: Transport,
    context: RequestContext,
    device: DeviceToken | None,
    *,
    is_known_device: bool = False,
    new_hash: PasswordHash | None = None,
) -> PendingLogIn:
    """Return a log-in that waits for its second factor, from the request that began it."""
    address, name = context.device.address, context.device.name
    # msgspec does not encode subclasses of `str` and `bytes`.
    return PendingLogIn(
        method=method,
        transport=transport,
        device_name=None if name is None else str(name),
        device_hash=None if device is None else bytes(device.hash),
        is_known_device=is_known_device,
        address=None if address is None else str(address),
        new_hash=new_hash,
    )


def hash_presented(pending: PendingLogIn) -> DeviceHash | None:
    """Return the hash of the device token that the first request presented."""
    return None if pending.device_hash is None else DeviceHash(pending.device_hash)


def as_presented(device: DeviceToken | None, pending: PendingLogIn) -> DeviceToken | None:
    """Return the device token of this request, if it is that of the first one."""
    return device if device is not None and device.hash == pending.device_hash else None
