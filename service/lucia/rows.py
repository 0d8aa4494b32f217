"""Rows of a Lucia v2 site, converted to those of Ostiary.

Lucia has three tables: users (``id``), keys (``id`` = provider:name, ``hashed_password``,
``user_id``) and sessions (``id``, ``user_id``, ``active_expires`` and ``idle_expires`` in
milliseconds since 1970).
"""

from __future__ import annotations

from uuid import UUID, uuid5

from msgspec import Struct

from service.auth.errors import InvalidField
from service.auth.hashing.schemes import is_verifiable, parse_password_hash
from service.auth.tokens import Token
from service.auth.usernames import display, prepare
from service.model.sessions import SecretHash
from service.model.users import PasswordHash, Provider

# User ids are derived from Lucia's, always in the same way: a site can derive the same ids for its
# own tables, and an import that is run again finds the users that exist.
USER_NAMESPACE = UUID("6f737469-6172-5900-8000-6c7563696132")


class RowRejected(Exception):
    """A row cannot be imported; the message says why."""


class ImportedKey(Struct, frozen=True, kw_only=True):
    """A key that was read from Lucia."""

    provider: str
    name: str
    display_name: str
    user_id: UUID
    password_hash: PasswordHash | None


class ImportedSession(Struct, frozen=True, kw_only=True):
    """A session that was read from Lucia. Times are in milliseconds since 1970."""

    id: UUID
    secret_hash: SecretHash
    user_id: UUID
    active_expires: int
    idle_expires: int


def user_id_of(lucia_id: str) -> UUID:
    """Return the id of an imported user: the same if it is a UUID, else a UUID derived from it."""
    try:
        return UUID(lucia_id)
    except ValueError:
        return uuid5(USER_NAMESPACE, lucia_id)


def key_of(key_id: str, hashed_password: str | None, lucia_user_id: str) -> ImportedKey:
    """Convert a key. Names may be shorter or longer than sign-up allows. Raises `RowRejected`."""
    provider, colon, text = key_id.partition(":")
    if not (provider and colon and text):
        raise RowRejected("its id is not of the form provider:name")
    if hashed_password is not None and not is_verifiable(hashed_password):
        raise RowRejected("its password hash has an unknown form, or costs too much to verify")
    name, display_name = _name_forms(provider, text)
    return ImportedKey(
        provider=provider,
        name=name,
        display_name=display_name,
        user_id=user_id_of(lucia_user_id),
        password_hash=None if hashed_password is None else parse_password_hash(hashed_password),
    )


def session_of(
    session_id: str, lucia_user_id: str, active_expires: int, idle_expires: int
) -> ImportedSession:
    """Convert a session. Its id is the token, which stays valid. Raises `RowRejected`."""
    token = Token.parse_lucia(session_id)
    if token is None:
        raise RowRejected("its id does not have the form of Lucia's ids")
    return ImportedSession(
        id=token.session_id,
        secret_hash=token.secret_hash,
        user_id=user_id_of(lucia_user_id),
        active_expires=active_expires,
        idle_expires=idle_expires,
    )


def _name_forms(provider: str, text: str) -> tuple[str, str]:
    """Return the prepared form and the display form of a name. Raises `RowRejected`."""
    if provider != Provider.USERNAME:
        return text, text
    try:
        return prepare(text), display(text)
    except InvalidField as error:
        raise RowRejected(error.message) from error
