"""What the rules can answer instead of a result, each with a stable code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct

from service.storage.database import DatabaseUnavailable

__all__ = [
    "AlreadyAuthenticated",
    "AuthError",
    "DatabaseUnavailable",
    "FieldError",
    "InvalidCredentials",
    "InvalidField",
    "KeyTaken",
    "LastKey",
    "NoSuchKey",
    "NoSuchSession",
    "NoSuchUser",
    "NotAuthenticated",
    "Overloaded",
    "RateLimited",
    "SchemaBehind",
    "UsernameTaken",
    "ValidationFailed",
]


class FieldError(Struct, frozen=True, kw_only=True):
    """What is wrong with one field: for programs (``code``) and for people (``message``)."""

    field: str
    code: str
    message: str


class InvalidField(ValueError):
    """One value breaks a rule. Who knows the field's name makes a `FieldError` of it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def of(self, field: str) -> FieldError:
        return FieldError(field=field, code=self.code, message=self.message)


class AuthError(Exception):
    """The root of all that follows."""

    code: ClassVar[str]


class ValidationFailed(AuthError):
    """Fields are wrong; all of them are listed."""

    code = "validation_failed"

    def __init__(self, errors: Sequence[FieldError]) -> None:
        super().__init__(", ".join(f"{error.field}: {error.code}" for error in errors))
        self.errors = list(errors)


class InvalidCredentials(AuthError):
    """The user name or the password is wrong; which of the two is not told."""

    code = "invalid_credentials"


class NotAuthenticated(AuthError):
    """The request carries no token of a live session."""

    code = "not_authenticated"


class AlreadyAuthenticated(AuthError):
    """Who is logged in cannot sign up."""

    code = "already_authenticated"


class UsernameTaken(AuthError):
    """Somebody has that user name, in this or another spelling."""

    code = "username_taken"


class Overloaded(AuthError):
    """More passwords wait to be hashed than will be hashed soon; nothing was done."""

    code = "overloaded"


class RateLimited(AuthError):
    """Too many attempts; ``retry_after`` is the number of seconds until the next one."""

    code = "rate_limited"

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"the next attempt is in {retry_after} s")
        self.retry_after = retry_after


class NoSuchSession(AuthError):
    """The user has no live session of that id; whether somebody else has is not told."""

    code = "not_found"


class NoSuchKey(AuthError):
    """The user has no key of that provider and name."""

    code = "no_such_key"


class KeyTaken(AuthError):
    """Somebody has a key of that provider and name."""

    code = "key_taken"


class LastKey(AuthError):
    """Without this key, nobody could log in as its user any more."""

    code = "last_key"


class NoSuchUser(AuthError):
    """There is no user of that name or id."""

    code = "no_such_user"


class SchemaBehind(AuthError):
    """The database lacks migrations that this version of the service stands on."""

    code = "schema_behind"
