"""What the rows of a Lucia v2 site become here.

Lucia has three tables: users (``id``), keys (``id`` = provider:name, ``hashed_password``,
``user_id``) and sessions (``id``, ``user_id``, ``active_expires`` and ``idle_expires`` in
milliseconds since 1970).
"""

from __future__ import annotations

from uuid import UUID, uuid5

from msgspec import Struct

from service.auth.errors import InvalidField
from service.auth.foreign_hashes import is_foreign
from service.auth.tokens import Token
from service.auth.usernames import display, prepare
from service.model import PasswordHash, Provider, SecretHash

# A user's id here is made from the one there, always in the same way: a site can make the same
# ids in its own tables, and an import that is run again finds the users it has moved.
USER_NAMESPACE = UUID("6f737469-6172-5900-8000-6c7563696132")


class NotTaken(Exception):
    """A row that cannot become anything here; the text says why."""


class ImportedKey(Struct, frozen=True, kw_only=True):
    """A key that was Lucia's."""

    provider: str
    name: str
    display_name: str
    user_id: UUID
    password_hash: PasswordHash | None


class ImportedSession(Struct, frozen=True, kw_only=True):
    """A session that was Lucia's. Times in milliseconds since 1970."""

    id: UUID
    secret_hash: SecretHash
    user_id: UUID
    active_expires: int
    idle_expires: int


def user_id_of(lucia_id: str) -> UUID:
    """The id of a user who moves here: the same if it is a UUID, else a UUID made from it."""
    try:
        return UUID(lucia_id)
    except ValueError:
        return uuid5(USER_NAMESPACE, lucia_id)


def key_of(key_id: str, hashed_password: str | None, lucia_user_id: str) -> ImportedKey:
    """Raises `NotTaken`. Names may be shorter and longer than those that are given here."""
    provider, colon, text = key_id.partition(":")
    if not (provider and colon and text):
        raise NotTaken("its id is not of the form provider:name")
    if hashed_password is not None and not is_known_hash(hashed_password):
        raise NotTaken("nobody knows how to verify its password hash")
    name, display_name = _name_forms(provider, text)
    return ImportedKey(
        provider=provider,
        name=name,
        display_name=display_name,
        user_id=user_id_of(lucia_user_id),
        password_hash=None if hashed_password is None else PasswordHash(hashed_password),
    )


def session_of(
    session_id: str, lucia_user_id: str, active_expires: int, idle_expires: int
) -> ImportedSession:
    """Raises `NotTaken`. Lucia's id is the token; it stays good."""
    token = Token.parse_lucia(session_id)
    if token is None:
        raise NotTaken("its id is not one that Lucia makes")
    return ImportedSession(
        id=token.session_id,
        secret_hash=token.secret_hash,
        user_id=user_id_of(lucia_user_id),
        active_expires=active_expires,
        idle_expires=idle_expires,
    )


def is_known_hash(password_hash: str) -> bool:
    """Tell whether a log-in can verify the hash."""
    return is_foreign(password_hash) or password_hash.startswith("$argon2id$")


def _name_forms(provider: str, text: str) -> tuple[str, str]:
    """The name in its form to compare and its form to show."""
    if provider != Provider.USERNAME:
        return text, text
    try:
        return prepare(text), display(text)
    except InvalidField as error:
        raise NotTaken(error.message) from error
