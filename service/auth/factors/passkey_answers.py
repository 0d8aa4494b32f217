"""Answers by a passkey: whose it is, and whether it has signed what was asked."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.audit import Event, record
from service.auth.errors import AuthError, InvalidCredentials, UnknownPasskey
from service.auth.factors.answers import PasskeyAnswer
from service.auth.factors.ceremonies import Ceremonies
from service.model.passkeys import Passkey
from service.model.request_context import RequestContext
from service.storage.database import on_commit
from service.storage.factors import passkeys as storage
from service.storage.restores import was_restored_lately


class PasskeyAnswers:
    """Checks what passkeys have signed; without ``ceremonies`` there are none."""

    def __init__(self, ceremonies: Ceremonies | None) -> None:
        self._ceremonies = ceremonies

    async def find(self, connection: AsyncConnection, answer: PasskeyAnswer) -> Passkey:
        """Return the passkey that answers. Raises `UnknownPasskey` and `ValidationFailed`.

        For a month after a restore it raises `InvalidCredentials` instead of `UnknownPasskey`: apps
        delete a passkey of which they are told that it is unknown, and it may be younger than the
        backup.
        """
        if self._ceremonies is None:
            raise UnknownPasskey
        credential_id = self._ceremonies.credential_id_of(answer.credential)
        found = await storage.find_passkey(connection, credential_id, self._ceremonies.rp_id)
        if found is None:
            if await was_restored_lately(connection):
                raise InvalidCredentials
            raise UnknownPasskey
        return found

    async def refusal_of(  # noqa: PLR0913
        self,
        connection: AsyncConnection,
        user_id: UUID,
        answer: PasskeyAnswer,
        context: RequestContext,
        *,
        challenge: bytes | None,
        is_handle_required: bool = False,
    ) -> AuthError | None:
        """Return ``None`` if a passkey of the user has signed a challenge, and else what to raise.

        The caller has locked the user. The use is recorded in the transaction. Without a challenge,
        no passkey was asked for. Raises `ValidationFailed` for what is no credential.
        """
        try:
            passkey = await self.find(connection, answer)
        except (UnknownPasskey, InvalidCredentials) as error:
            return error
        if self._ceremonies is None or challenge is None or passkey.user_id != user_id:
            return InvalidCredentials()
        handle = await storage.find_handle(connection, user_id)
        try:
            assertion = self._ceremonies.verify_assertion(
                answer.credential,
                challenge,
                passkey,
                user_handle=handle or b"",
                is_handle_required=is_handle_required,
            )
        except InvalidCredentials as error:
            return error
        await storage.use_passkey(
            connection,
            passkey.id,
            sign_count=assertion.sign_count,
            is_backed_up=assertion.is_backed_up,
        )
        if assertion.has_count_gone_back:
            event = Event.PASSKEY_COUNT_WENT_BACK
            on_commit(connection, partial(record, event, context, user_id=user_id))
        return None
