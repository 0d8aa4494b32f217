"""Rows of a Lucia v2 site, converted to those of Ostiary.

Lucia has three tables: users (``id``), keys (``id`` = provider:name, ``hashed_password``,
``user_id``) and sessions (``id``, ``user_id``, ``active_expires`` and ``idle_expires`` in
milliseconds since 1970).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from msgspec import Struct

from service.auth.hashing.schemes import is_verifiable, parse_password_hash
from service.auth.tokens import Token
from service.auth.usernames import NOT_STORABLE
from service.model.sessions import SecretHash
from service.model.users import PasswordHash
from service.transfer.issuers import ISSUERS, require_subject
from service.transfer.names import name_of
from service.transfer.rejections import RowRejected
from service.transfer.user_ids import key_id_of, user_id_of

# The end of the year 9999, the last that both Python and PostgreSQL have.
MAX_TIME = 253_402_300_799_000


class ImportedKey(Struct, frozen=True, kw_only=True):
    """A key that was read from Lucia.

    With an ``issuer`` it becomes an identity, whose subject is its name. ``remark`` says why
    sign-up would refuse its name, or why it is no identity.
    """

    id: UUID
    provider: str
    name: str
    display_name: str
    user_id: UUID
    password_hash: PasswordHash | None
    issuer: str | None
    remark: str | None


class ImportedSession(Struct, frozen=True, kw_only=True):
    """A session that was read from Lucia. Times are in milliseconds since 1970."""

    id: UUID
    secret_hash: SecretHash
    user_id: UUID
    active_expires: int
    idle_expires: int


def text_of(value: Any, column: str) -> str:
    """Return the text of a column; SQLite has values of any type in it. Raises `RowRejected`."""
    if value is None:
        raise RowRejected(f"its {column} is missing")
    if isinstance(value, bytes):
        raise RowRejected(f"its {column} is not text")
    text = str(value)
    if NOT_STORABLE.search(text):
        raise RowRejected(f"its {column} has a character that PostgreSQL cannot store")
    return text


def time_of(value: Any, column: str) -> int:
    """Return a time in milliseconds since 1970, within what is possible. Raises `RowRejected`."""
    try:
        return min(max(int(value), 0), MAX_TIME)
    except (TypeError, ValueError, OverflowError) as error:
        raise RowRejected(f"its {column} is not a number") from error


def key_of(
    key_id: str,
    hashed_password: str | None,
    lucia_user_id: str,
    issuers: Mapping[str, str] = ISSUERS,
) -> ImportedKey:
    """Convert a key. Names may be such that sign-up refuses them. Raises `RowRejected`.

    Those of the providers in ``issuers`` become identities.
    """
    provider, colon, text = key_id.partition(":")
    if not (provider and colon and text):
        raise RowRejected("its id is not of the form provider:name")
    name = name_of(provider, text)
    if hashed_password is not None and not is_verifiable(hashed_password):
        raise RowRejected("its password hash has an unknown form, or costs too much to verify")
    issuer, remark = issuers.get(provider), name.refusal
    if issuer is not None:
        remark = _refusal_of_identity(issuer, text, hashed_password)
    return ImportedKey(
        id=key_id_of(provider, text),
        provider=provider,
        name=name.name,
        display_name=name.display_name,
        user_id=user_id_of(lucia_user_id),
        password_hash=None if hashed_password is None else parse_password_hash(hashed_password),
        issuer=issuer if remark is None else None,
        remark=remark,
    )


def _refusal_of_identity(issuer: str, subject: str, hashed_password: str | None) -> str | None:
    """Return why a key cannot become an identity, and stays a key."""
    if hashed_password is not None:
        return "it has a password, so it is a key and no identity"
    try:
        require_subject(issuer, subject)
    except RowRejected as error:
        return f"{error}, so it is a key and no identity"
    return None


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
