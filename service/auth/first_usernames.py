"""First user names, of users who have just signed up by another name, or at a provider."""

from __future__ import annotations

from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.errors import UsernameTaken
from service.auth.username_holds import UsernameHolds
from service.auth.usernames import Username
from service.model.users import PasswordHash, Provider, User
from service.storage import keys as storage


async def give_first_username(
    connection: AsyncConnection,
    holds: UsernameHolds,
    user: User,
    username: Username,
    password_hash: PasswordHash | None = None,
) -> User:
    """Return a user with a name, in the transaction that creates them. Raises `UsernameTaken`."""
    try:
        await storage.add_key(
            connection,
            user_id=user.id,
            provider=Provider.USERNAME,
            name=username.name,
            display_name=username.display_name,
            password_hash=password_hash,
        )
    except storage.KeyExists as error:
        raise UsernameTaken from error
    await holds.require_free(connection, username, user.id)
    return replace(user, username=username.display_name)
