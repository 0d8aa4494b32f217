"""Pages of users, for other programs: the newest first, or by the beginning of a name."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from unicodedata import normalize
from uuid import UUID

from service.auth.audit import Event, record
from service.auth.email_addresses import LOWER_CASE, name_of_address
from service.auth.errors import FieldCode, InvalidField
from service.auth.usernames import MAX_UNPREPARED_LENGTH, NOT_STORABLE, comparison_form
from service.model.request_context import RequestContext
from service.model.user_records import UserRecord
from service.model.users import Provider
from service.storage.admin import pages as storage
from service.storage.admin.pages import FoundByName, NamePrefix
from service.storage.database import Database

PAGE_LENGTH = 1000


class UserPages:
    """Pages of the users in ``database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(
        self,
        limit: int,
        older_than: tuple[datetime, UUID] | None,
        context: RequestContext,
    ) -> tuple[list[UserRecord], bool]:
        """Return a page of users, newest first, and whether another one follows. It is recorded.

        ``older_than`` is the creation time and id of the last user of the page before.
        """
        found = await self._database.with_retry(storage.list_newest, limit + 1, older_than)
        page = found[:limit]
        record(Event.USERS_LISTED, context, number=len(page))
        return page, len(found) > limit

    async def by_name(
        self, sought: NamePrefix, limit: int, after: str | None, context: RequestContext
    ) -> tuple[list[FoundByName], bool]:
        """Return a page of names that begin alike, with their users, and whether one follows.

        ``after`` is the last name of the page before. It is recorded.
        """
        found = await self._database.with_retry(storage.list_by_name, sought, limit + 1, after)
        page = found[:limit]
        record(Event.USERS_LISTED, context, number=sum(each.is_first for each in page))
        return page, len(found) > limit

    async def iterate(self, sought: NamePrefix) -> AsyncIterator[UserRecord]:
        """Iterate over the users whose names begin alike, in their order, a page at a time."""
        after = None
        while True:
            listed = storage.list_by_name
            page = await self._database.with_retry(listed, sought, PAGE_LENGTH, after)
            for each in page:
                if each.is_first:
                    yield each.record
            if len(page) < PAGE_LENGTH:
                return
            after = page[-1].name


def username_prefix(text: str) -> NamePrefix:
    """Prepare the beginning of a user name, as a log-in prepares a whole one.

    Raises `InvalidField`.
    """
    _require_storable(text)
    return NamePrefix(provider=Provider.USERNAME, prefix=comparison_form(text))


def address_prefix(text: str) -> NamePrefix:
    """Prepare the beginning of an address. Only a whole domain has A-labels.

    Raises `InvalidField`.
    """
    _require_storable(text)
    prefix = name_of_address(text) or normalize("NFC", text).translate(LOWER_CASE)
    return NamePrefix(provider=Provider.EMAIL, prefix=prefix)


def _require_storable(text: str) -> None:
    if len(text) > MAX_UNPREPARED_LENGTH:
        raise InvalidField(
            FieldCode.TOO_LONG, f"It must be at most {MAX_UNPREPARED_LENGTH} characters long."
        )
    if NOT_STORABLE.search(text):
        raise InvalidField(FieldCode.NOT_ALLOWED, "It must not contain U+0000.")
