"""Names that move in from elsewhere: taken as they are, even if sign-up would refuse them."""

from __future__ import annotations

from msgspec import Struct

from service.auth.email_addresses import EmailAddress
from service.auth.errors import InvalidField
from service.auth.usernames import imported_name
from service.model.users import Provider
from service.transfer.rejections import RowRejected

# An index of the database holds a provider and a name, and has no room for much more.
MAX_KEY_LENGTH = 320


class ImportedName(Struct, frozen=True, kw_only=True):
    """The form by which a name is compared, the one that is shown, and why sign-up refuses it."""

    name: str
    display_name: str
    refusal: str | None = None


def name_of(provider: str, text: str) -> ImportedName:
    """Return the forms of a name. Raises `RowRejected` for one that no log-in can have."""
    if len(provider) + 1 + len(text) > MAX_KEY_LENGTH:
        raise RowRejected(f"its name is longer than {MAX_KEY_LENGTH} characters")
    try:
        if provider == Provider.EMAIL:
            address = EmailAddress.parse(text, smtputf8=True)
            return ImportedName(name=address.name, display_name=address.display_name)
        if provider != Provider.USERNAME:
            return ImportedName(name=text, display_name=text)
        username = imported_name(text)
    except InvalidField as error:
        raise RowRejected(error.message) from error
    refusal = username.refusal
    return ImportedName(
        name=username.name,
        display_name=username.display_name,
        refusal=None if refusal is None else refusal.message,
    )
