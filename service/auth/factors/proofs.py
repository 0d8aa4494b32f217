"""Proofs by a factor: each answer is checked here, whatever it is to allow.

The caller has locked the user, so that the answers of one user are checked one after another: a
code that two requests bring is right in one of them, and wrong ones are counted before the next.
"""

from __future__ import annotations

from functools import partial
from math import ceil
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.audit import Event, record
from service.auth.errors import (
    AuthError,
    InvalidCode,
    RateLimited,
    SecretKeyMissing,
    SecretUnreadable,
)
from service.auth.factors.answers import Answer, PasskeyAnswer
from service.auth.factors.passkey_answers import PasskeyAnswers
from service.auth.factors.recovery_codes import RecoveryCode
from service.auth.factors.totp import TOTPCode, step_of
from service.auth.notices import Notices
from service.auth.secret_keys import KeyPurpose, Keyring
from service.model.devices import DeviceHash
from service.model.factors import TOTP
from service.model.mail import MailKind
from service.model.request_context import RequestContext
from service.settings.totp import TOTPSettings
from service.storage.database import on_commit
from service.storage.factors import recovery_codes as recovery_code_storage
from service.storage.factors import totp as storage

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class FactorProofs:
    """Checks answers by the factors of users."""

    def __init__(
        self,
        keyring: Keyring,
        limits: TOTPSettings,
        passkeys: PasskeyAnswers,
        notices: Notices,
    ) -> None:
        self._keyring = keyring
        self._limits = limits
        self._passkeys = passkeys
        self._notices = notices

    async def refusal_of(  # noqa: PLR0913
        self,
        connection: AsyncConnection,
        user_id: UUID,
        answer: Answer,
        context: RequestContext,
        *,
        device: DeviceHash | None,
        passkey_challenge: bytes | None = None,
    ) -> AuthError | None:
        """Return ``None`` if an answer proves the user, and else what to raise.

        What it uses up or counts is written in the transaction, which has to be committed in both
        cases. ``device`` is what was presented: a known one has wrong codes of its own. Raises
        `RateLimited` if no further code of an app is checked for now.
        """
        match answer:
            case TOTPCode():
                return await self._refusal_of_code(connection, user_id, answer, device)
            case RecoveryCode():
                return await self._refusal_of_recovery_code(connection, user_id, answer, context)
            case PasskeyAnswer():
                return await self._passkeys.refusal_of(
                    connection, user_id, answer, context, challenge=passkey_challenge
                )

    @staticmethod
    async def codes_left(connection: AsyncConnection, user_id: UUID, answer: Answer) -> int | None:
        """Return how many recovery codes are left after one has answered; ``None`` for others."""
        if not isinstance(answer, RecoveryCode):
            return None
        return await recovery_code_storage.count_recovery_codes(connection, user_id)

    async def _refusal_of_code(
        self,
        connection: AsyncConnection,
        user_id: UUID,
        code: TOTPCode,
        device: DeviceHash | None,
    ) -> AuthError | None:
        found = await storage.find_totp(connection, user_id)
        if found is None or found.confirmed_at is None:
            return InvalidCode()
        is_right = await self.uses_code(connection, user_id, found, code, device)
        return None if is_right else InvalidCode()

    async def uses_code(
        self,
        connection: AsyncConnection,
        user_id: UUID,
        found: TOTP,
        code: TOTPCode,
        device: DeviceHash | None,
    ) -> bool:
        """Return whether a code of an app is right and was not used before.

        Then it is used up; any other one is counted. ``device`` is what was presented. Raises
        `RateLimited`.
        """
        known = await storage.known_device(connection, user_id, device)
        await self._require_tries(connection, user_id, known)
        secret = self._secret_of(found)
        step = None if secret is None else step_of(secret, code, found.now)
        if step is not None and await storage.use_step(connection, user_id, step):
            return True
        await storage.add_failure(connection, user_id, known)
        return False

    async def _require_tries(
        self, connection: AsyncConnection, user_id: UUID, device: DeviceHash | None
    ) -> None:
        """Raise `RateLimited` if no wrong code is allowed at the moment."""
        for limit in (self._limits.failures, self._limits.failures_long_term):
            if limit.attempts:
                seconds = await storage.seconds_to_wait(
                    connection, user_id, device, failures=limit.attempts, period=limit.period
                )
                if seconds > 0:
                    raise RateLimited(max(1, ceil(seconds)))

    def _secret_of(self, found: TOTP) -> bytes | None:
        """Return the secret of an app; ``None``, with a warning, if it cannot be opened."""
        if found.sealed is None:
            return None
        try:
            return self._keyring.open(KeyPurpose.TOTP_SECRET, found.secret_id, found.sealed.sealed)
        except SecretKeyMissing as error:
            log.warning("secret_key_missing", key_id=error.key_id)
        except SecretUnreadable as error:
            log.warning("secret_unreadable", reason=str(error))
        return None

    async def _refusal_of_recovery_code(
        self,
        connection: AsyncConnection,
        user_id: UUID,
        code: RecoveryCode,
        context: RequestContext,
    ) -> AuthError | None:
        if not await recovery_code_storage.claim_recovery_code(connection, user_id, code.hash):
            return InvalidCode()
        await self._notices.put(connection, MailKind.RECOVERY_CODE_USED, user_id, context)
        used = partial(record, Event.RECOVERY_CODE_USED, context, user_id=user_id)
        on_commit(connection, used)
        return None
