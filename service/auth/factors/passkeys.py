"""Passkeys: added to an account, named and removed."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from service.auth.errors import (
    AlreadySetUp,
    FieldCode,
    FieldError,
    NoSuchPasskey,
    ValidationFailed,
)
from service.auth.factors.answers import PasskeyAnswer
from service.auth.factors.ceremonies import Ceremonies
from service.auth.factors.changes import FactorChanges
from service.auth.factors.passkey_challenges import PasskeyPurpose
from service.auth.factors.passkey_names import PasskeyName
from service.auth.factors.passkey_questions import PasskeyQuestions
from service.auth.factors.recovery_codes import RecoveryCode
from service.auth.sessions import LiveSession, lock_user_of
from service.auth.ways_in import WaysIn
from service.model.passkeys import Passkey
from service.model.request_context import RequestContext
from service.model.sessions import Method
from service.storage.database import Database
from service.storage.factors import passkeys as storage

# All of them are in the options of each log-in, and in each list.
MAX_PASSKEYS = 100

TOO_MANY = FieldError(
    field="credential",
    code=FieldCode.NOT_ALLOWED,
    message=f"A user has at most {MAX_PASSKEYS} passkeys: remove one first.",
)


class PasskeyList(Struct, frozen=True, kw_only=True):
    """The passkeys of a user, and the handle by which authenticators know the user, if they do."""

    passkeys: list[Passkey]
    handle: bytes | None


class AddedPasskey(Struct, frozen=True, kw_only=True):
    """A new passkey; the recovery codes if it is the first factor; and all there are now."""

    passkey: Passkey
    recovery_codes: list[RecoveryCode] | None
    listed: PasskeyList


class Passkeys:
    """The passkeys of the users in ``database``."""

    def __init__(
        self,
        database: Database,
        ceremonies: Ceremonies,
        questions: PasskeyQuestions,
        changes: FactorChanges,
        ways_in: WaysIn,
    ) -> None:
        self._database = database
        self._ceremonies = ceremonies
        self._questions = questions
        self._changes = changes
        self._ways_in = ways_in

    async def list(self, user_id: UUID) -> PasskeyList:
        """Return the passkeys of a user, oldest first."""
        async with self._database.transaction() as connection:
            return PasskeyList(
                passkeys=await storage.list_passkeys(connection, user_id),
                handle=await storage.find_handle(connection, user_id),
            )

    async def add(
        self,
        live: LiveSession,
        token: str,
        answer: PasskeyAnswer,
        name: PasskeyName,
        context: RequestContext,
    ) -> AddedPasskey:
        """Add the passkey that an authenticator has made for the user of a session.

        Raises `InvalidChallenge`, `ValidationFailed` for what is no good passkey, or one too many,
        `AlreadySetUp` if there is such a passkey, and `NotAuthenticated` if the session ended
        meanwhile.
        """
        asked = self._questions.read(PasskeyPurpose.REGISTER, token, live)
        new = self._ceremonies.verify_registration(answer.credential, asked.challenge)
        user_id = live.user.id
        async with self._database.transaction() as connection:
            await lock_user_of(connection, live)
            await self._questions.claim(connection, user_id, asked)
            if await storage.count_passkeys(connection, user_id) >= MAX_PASSKEYS:
                raise ValidationFailed([TOO_MANY])
            addition = await self._changes.begin_addition(connection, live, Method.PASSKEY, context)
            added = await storage.add_passkey(
                connection, user_id, self._ceremonies.rp_id, name, new
            )
            if added is None:
                raise AlreadySetUp
            codes = await self._changes.complete_addition(connection, addition)
            listed = PasskeyList(
                passkeys=await storage.list_passkeys(connection, user_id),
                handle=await storage.find_handle(connection, user_id),
            )
        return AddedPasskey(passkey=added, recovery_codes=codes, listed=listed)

    async def rename(self, live: LiveSession, passkey_id: UUID, name: PasskeyName) -> Passkey:
        """Change the name of a passkey. Returns it.

        Raises `NoSuchPasskey`, and `NotAuthenticated` if the session ended meanwhile.
        """
        async with self._database.transaction() as connection:
            await lock_user_of(connection, live)
            renamed = await storage.rename_passkey(connection, live.user.id, passkey_id, name)
        if renamed is None:
            raise NoSuchPasskey
        return renamed

    async def remove(self, live: LiveSession, passkey_id: UUID, context: RequestContext) -> None:
        """Remove a passkey of a user.

        Raises `NoSuchPasskey`, `LastWayIn` if the user could not log in without it, and
        `NotAuthenticated` if the session ended meanwhile.
        """
        user_id = live.user.id
        async with self._database.transaction() as connection:
            await lock_user_of(connection, live)
            if not await storage.remove_passkey(connection, user_id, passkey_id):
                raise NoSuchPasskey
            await self._ways_in.require_one(connection, user_id)
            await self._changes.complete_removal(
                connection, user_id, Method.PASSKEY, context, kept_session=live.session.id
            )
