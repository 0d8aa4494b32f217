"""Users whom an operator or another program creates, in whatever mode sign-up is."""

from __future__ import annotations

from typing import Any

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.accounts import requester_of
from service.auth.admin.records import require_record
from service.auth.audit import Event, record
from service.auth.email_addresses import EmailAddress
from service.auth.errors import (
    EmailTaken,
    FieldCode,
    FieldError,
    UsernameTaken,
    ValidationFailed,
)
from service.auth.hashing.hasher import Hasher
from service.auth.hashing.schemes import is_verifiable, parse_password_hash
from service.auth.passwords import NewPassword, username_in_password
from service.auth.usernames import Username
from service.model.admissions import by_operator
from service.model.request_context import RequestContext
from service.model.user_records import UserRecord
from service.model.users import Key, PasswordHash, Provider
from service.settings.passwords import Argon2Cost
from service.storage import emails as email_storage
from service.storage import keys as key_storage
from service.storage import users as user_storage
from service.storage.admin import users as storage
from service.storage.database import Database

NOT_VERIFIABLE = FieldError(
    field="password_hash",
    code=FieldCode.NOT_ALLOWED,
    message="No password matches this hash: its scheme is unknown, or its cost out of bounds.",
)


class NewUser(Struct, frozen=True, kw_only=True):
    """A user to be created, with a user name, an address or both.

    The password, if there is one, is given itself or as a hash that another system made.
    """

    username: Username | None = None
    address: EmailAddress | None = None
    is_address_verified: bool = False
    password: NewPassword | None = None
    password_hash: str | None = None
    roles: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}
    is_disabled: bool = False
    disabled_reason: str | None = None


class NewUsers:
    """Creates users in ``database``. Hashes of the current ``cost`` are always verified."""

    def __init__(self, database: Database, hasher: Hasher, cost: Argon2Cost) -> None:
        self._database = database
        self._hasher = hasher
        self._cost = cost

    async def create(self, new: NewUser, context: RequestContext) -> UserRecord:
        """Create a user without a session. The user name may be reserved, or held.

        A verified address is taken away from whoever has not verified it. Raises `UsernameTaken`,
        `EmailTaken`, `ValidationFailed` and `Overloaded`.
        """
        password_hash = await self._hash_of(new, context)
        async with self._database.transaction() as connection:
            key = await self._add(connection, new, password_hash)
            if new.is_disabled:
                await storage.change_user(
                    connection,
                    key.user.id,
                    roles=[*new.roles],
                    metadata=new.metadata,
                    is_disabled=True,
                    disabled_reason=new.disabled_reason,
                )
            created = await require_record(connection, key.user.id)
        record(Event.USER_CREATED, context, user_id=created.id, roles=" ".join(created.roles))
        return created

    async def _hash_of(self, new: NewUser, context: RequestContext) -> PasswordHash | None:
        if new.password is not None:
            name = None if new.username is None else new.username.name
            if errors := username_in_password(name, new.password):
                raise ValidationFailed(errors)
            requester = requester_of(context, str(context.service_token_id or ""))
            return await self._hasher.hash(new.password, requester)
        if new.password_hash is None:
            return None
        parsed = parse_password_hash(new.password_hash)
        if not is_verifiable(parsed.text, self._cost):
            raise ValidationFailed([NOT_VERIFIABLE])
        return parsed

    async def _add(
        self, connection: AsyncConnection, new: NewUser, password_hash: PasswordHash | None
    ) -> Key:
        """Insert a user with their names. Raises `UsernameTaken` and `EmailTaken`."""
        names = names_of(new)
        if new.address is not None and new.is_address_verified:
            await email_storage.take_unverified_address(connection, new.address.name)
        provider = Provider.EMAIL
        try:
            provider, name, display_name = names[0]
            key = await user_storage.add_user(
                connection,
                by_operator(new.roles),
                provider=provider,
                name=name,
                display_name=display_name,
                password_hash=password_hash,
                is_verified=new.is_address_verified,
                metadata=new.metadata,
            )
            for provider, name, display_name in names[1:]:
                await key_storage.add_key(
                    connection,
                    user_id=key.user.id,
                    provider=provider,
                    name=name,
                    display_name=display_name,
                    password_hash=password_hash,
                )
        except key_storage.KeyExists as error:
            raise (EmailTaken if provider is Provider.EMAIL else UsernameTaken) from error
        return key


def names_of(new: NewUser) -> list[tuple[Provider, str, str]]:
    """Return the keys of a new user: providers, prepared names and names as they are shown."""
    names = []
    if new.address is not None:
        names.append((Provider.EMAIL, new.address.name, new.address.display_name))
    if new.username is not None:
        names.append((Provider.USERNAME, new.username.name, new.username.display_name))
    return names
