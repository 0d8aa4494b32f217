"""Log-ins by passkey: no name is typed, and a second factor is not asked for.

A passkey is two factors: the authenticator, and the PIN or the biometrics by which it has verified
the user (NIST SP 800-63B-4, section 3.1.7).
"""

from __future__ import annotations

from collections.abc import Sequence

from service.auth.devices import DeviceToken
from service.auth.errors import InvalidCredentials
from service.auth.factors.answers import PasskeyAnswer
from service.auth.factors.passkey_answers import PasskeyAnswers
from service.auth.factors.passkey_challenges import PasskeyPurpose, ReadChallenge
from service.auth.factors.passkey_questions import PasskeyQuestions
from service.auth.log_in_records import LogInRecords
from service.auth.rate_limits import RateLimiter
from service.auth.sessions import OpenedSession, Sessions
from service.auth.tokens import Token
from service.model.proofs import Proof
from service.model.request_context import RequestContext
from service.model.sessions import InsertedSession, Method
from service.storage import users as user_storage
from service.storage.database import Database
from service.storage.factors.totp import known_device


class PasskeyLogIns:
    """Log-ins by passkey of the users in ``database``."""

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        database: Database,
        sessions: Sessions,
        questions: PasskeyQuestions,
        answers: PasskeyAnswers,
        rate_limiter: RateLimiter,
        records: LogInRecords,
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._questions = questions
        self._answers = answers
        self._rate_limiter = rate_limiter
        self._records = records

    async def log_in(
        self,
        token: str,
        answer: PasskeyAnswer,
        *,
        context: RequestContext,
        carried: Sequence[Token] = (),
        device: DeviceToken | None = None,
    ) -> OpenedSession:
        """Open a session for the user whose passkey has answered; those of ``carried`` end.

        Raises `InvalidChallenge`, `UnknownPasskey`, `InvalidCredentials` for a passkey that does
        not prove the user, `ValidationFailed` for what is no passkey's answer, and `RateLimited`.
        """
        asked = self._questions.read(PasskeyPurpose.LOG_IN, token)
        async with self._rate_limiter.passkey_attempt(context):
            opened, inserted, is_known = await self._open(asked, answer, context, carried, device)
        await self._records.complete(opened, inserted, context, is_known_device=is_known)
        return opened

    async def _open(
        self,
        asked: ReadChallenge,
        answer: PasskeyAnswer,
        context: RequestContext,
        carried: Sequence[Token],
        device: DeviceToken | None,
    ) -> tuple[OpenedSession, InsertedSession, bool]:
        """Return the session, what its opening found, and whether the device was known."""
        async with self._database.transaction() as connection:
            passkey = await self._answers.find(connection, answer)
            user_id = passkey.user_id
            version = await user_storage.lock_security_version(connection, user_id)
            refusal = await self._answers.refusal_of(
                connection,
                user_id,
                answer,
                context,
                challenge=asked.challenge,
                is_handle_required=True,
            )
            if refusal is not None:
                raise refusal
            user = await user_storage.find_user(connection, user_id)
            if user is None or version is None:
                raise InvalidCredentials
            await self._questions.claim(connection, user_id, asked)
            presented = None if device is None else device.hash
            is_known = await known_device(connection, user_id, presented) is not None
            proof = Proof(user=user, security_version=version, method=Method.PASSKEY)
            opened, inserted = await self._sessions.open(
                connection, proof, context, presented=device, carried=carried
            )
        return opened, inserted, is_known
