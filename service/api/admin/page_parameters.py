"""The query of the list of users: which page of them, and in which order."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from datetime import datetime
from typing import Self, TypeVar
from uuid import UUID

from msgspec import Struct

from service.api.http.cursors import cursor_after, invalid_cursor, parse_cursor
from service.api.security.service_token import ProgramRequest
from service.auth.admin.pages import UserPages, address_prefix, username_prefix
from service.auth.errors import FieldCode, FieldError, InvalidField, ValidationFailed
from service.model.request_context import RequestContext
from service.model.user_records import UserRecord
from service.storage.admin.pages import NamePrefix

T = TypeVar("T")

MAX_LIMIT = 500
DEFAULT_LIMIT = 100

PARAMETERS = ("limit", "cursor", "username", "email")

# Cursors in the order of names are told from those in the order of time by it.
NAME_MARK = b"n:"


class PageParameters(Struct, frozen=True, kw_only=True):
    """A page of at most ``limit`` users."""

    limit: int
    sought: NamePrefix | None = None
    older_than: tuple[datetime, UUID] | None = None
    after: str | None = None

    @classmethod
    def parse(
        cls,
        request: ProgramRequest,
        *,
        limit: str | None,
        cursor: str | None,
        username: str | None,
        email: str | None,
    ) -> Self:
        """Parse the query. Raises `ValidationFailed`."""
        errors = [
            FieldError(field=name, code=FieldCode.NOT_ALLOWED, message="There must be one.")
            for name in PARAMETERS
            if len(request.query_params.getall(name, [])) > 1
        ]
        if username is not None and email is not None:
            message = "Users are sought by user name or by address."
            errors.append(FieldError(field="email", code=FieldCode.NOT_ALLOWED, message=message))
        if errors:
            raise ValidationFailed(errors)
        number = DEFAULT_LIMIT if limit is None else _field("limit", _parse_limit, limit)
        if username is not None:
            sought = _field("username", username_prefix, username)
        elif email is not None:
            sought = _field("email", address_prefix, email)
        else:
            older_than = None if cursor is None else parse_cursor(cursor)
            return cls(limit=number, older_than=older_than)
        after = None if cursor is None else parse_name_cursor(cursor)
        return cls(limit=number, sought=sought, after=after)

    async def page(
        self, pages: UserPages, context: RequestContext
    ) -> tuple[list[UserRecord], str | None]:
        """Return the page, and the cursor of the next one, if there is one."""
        if self.sought is None:
            page, is_followed = await pages.newest(self.limit, self.older_than, context)
            following = cursor_after(page[-1].created_at, page[-1].id) if is_followed else None
            return page, following
        names, is_followed = await pages.by_name(self.sought, self.limit, self.after, context)
        following = name_cursor_after(names[-1].name) if is_followed else None
        return [each.record for each in names if each.is_first], following


def name_cursor_after(name: str) -> str:
    """Return the cursor of the page after a name."""
    return urlsafe_b64encode(NAME_MARK + name.encode()).decode()


def parse_name_cursor(text: str) -> str:
    """Return the name in a cursor. Raises `ValidationFailed`."""
    try:
        raw = urlsafe_b64decode(text.encode("ascii"))
        name = raw.removeprefix(NAME_MARK).decode()
    except ValueError as error:
        raise invalid_cursor() from error
    if not raw.startswith(NAME_MARK) or "\0" in name:
        raise invalid_cursor()
    return name


def _parse_limit(text: str) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_LIMIT))
    if not is_number or not 1 <= int(text) <= MAX_LIMIT:
        raise InvalidField(FieldCode.NOT_ALLOWED, f"Limit must be 1 to {MAX_LIMIT}.")
    return int(text)


def _field(name: str, parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except InvalidField as error:
        raise ValidationFailed([error.of(name)]) from error
