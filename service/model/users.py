"""Users and the keys by which they log in."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Struct


class Provider(StrEnum):
    """What kind of name a key has."""

    USERNAME = "username"
    EMAIL = "email"


class PasswordHash(Struct, frozen=True):
    """A password hash in its text form, and its scheme. Its ``repr`` hides both.

    All hashes of one scheme (algorithm and cost) take equally long to verify.
    """

    text: str
    scheme: str

    def __repr__(self) -> str:
        return "PasswordHash(…)"


class User(Struct, frozen=True, kw_only=True):
    """A person. ``username`` and ``email`` are the display forms of their keys."""

    id: Annotated[UUID, Meta(description="The user's id. It never changes.")]
    username: Annotated[
        str | None, Meta(description="The user name as it is displayed; null if there is none.")
    ]
    email: Annotated[
        str | None,
        Meta(description="The e-mail address as it is displayed; null if there is none."),
    ]
    email_verified_at: Annotated[
        datetime | None,
        Meta(
            description="When the user verified the address; null if never: it was imported, and "
            "the user only logs in with it."
        ),
    ]
    roles: Annotated[
        list[str], Meta(description="What the application lets the user do; the operator sets it.")
    ] = []
    metadata: Annotated[
        dict[str, Any], Meta(description="What the application keeps of the user: a JSON object.")
    ] = {}
    created_at: Annotated[datetime, Meta(description="When the user signed up.")]


class Key(Struct, frozen=True, kw_only=True):
    """A name by which a user logs in; by password only if it has a password hash.

    ``security_version`` is the user's when the key was read: what is proven with it is worth
    nothing once that has moved. With ``has_factor`` the password alone opens nothing.
    """

    provider: str
    name: str
    user: User
    security_version: int
    has_factor: bool
    password_hash: PasswordHash | None


class KeyInfo(Struct, frozen=True):
    """A key as it is shown to operators."""

    provider: str
    name: str
    display_name: str
    has_password: bool
    verified_at: datetime | None
