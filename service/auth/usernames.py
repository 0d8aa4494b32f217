"""User names: which are valid, and which are the same (RFC 8265, section 3)."""

from __future__ import annotations

from typing import Self

from precis_i18n import get_profile
from precis_i18n.profile import Profile

from service.auth.errors import InvalidField

MIN_LENGTH = 4
MAX_LENGTH = 31

# Preparation can shorten a text; beyond this length it is not attempted.
MAX_UNPREPARED_LENGTH = 255

_CASE_MAPPED = get_profile("UsernameCaseMapped")
_CASE_PRESERVED = get_profile("UsernameCasePreserved")

# The reasons that precis-i18n gives, as messages to users.
_REASONS = {
    "spaces": "Username must not contain spaces.",
    "controls": "Username must not contain control characters.",
    "symbols": "Username must not contain symbols.",
    "punctuation": "Username contains punctuation that is not permitted.",
    "has_compat": "Username must not contain compatibility characters, such as ligatures.",
    "precis_ignorable_properties": "Username must not contain invisible characters.",
    "bidi_rule": "Username must not mix left-to-right and right-to-left text in this way.",
}


class Username:
    """A user name: ``name`` is the prepared form, which is compared; ``display_name`` is shown.

    ``Alice``, ``alice`` and ``ＡＬＩＣＥ`` have the same ``name``, which only one user can have.
    """

    __slots__ = ("display_name", "name")

    def __init__(self, name: str, display_name: str) -> None:
        self.name = name
        self.display_name = display_name

    @classmethod
    def parse(cls, text: str) -> Self:
        """Validate a new user name. Raises `InvalidField`."""
        if len(text) > MAX_UNPREPARED_LENGTH:
            raise _too_long()
        if not text:
            raise _too_short()
        name = prepare(text)
        if len(name) < MIN_LENGTH:
            raise _too_short()
        if len(name) > MAX_LENGTH:
            raise _too_long()
        return cls(name, display(text))


class ClaimedUsername:
    """A user name that was typed to log in.

    ``name`` is the prepared form, or the text as it is if RFC 8265 does not allow it: a name that
    was imported may be such a text. Text that no name can be is treated as an unknown user, not as
    a validation error: its ``name`` is ``None``.
    """

    __slots__ = ("name",)

    def __init__(self, name: str | None) -> None:
        self.name = name

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a user name. Raises `InvalidField` if it is empty or too long."""
        if not text:
            raise InvalidField("too_short", "Username must not be empty.")
        if len(text) > MAX_UNPREPARED_LENGTH:
            raise InvalidField(
                "too_long", f"Username must be at most {MAX_UNPREPARED_LENGTH} characters long."
            )
        return cls(comparable(text))


def comparable(text: str) -> str | None:
    """Return the form by which a name is compared that RFC 8265 need not allow.

    No text that is returned as it is equals the prepared form of another one. ``None``: the
    database cannot store the text.
    """
    try:
        return prepare(text)
    except InvalidField:
        return text if is_storable(text) else None


def is_storable(text: str) -> bool:
    """Return whether PostgreSQL can store a text: no NUL, no unpaired surrogate."""
    return "\0" not in text and not any("\ud800" <= each <= "\udfff" for each in text)


def prepare(text: str) -> str:
    """Return the prepared form, by which names are compared. Raises `InvalidField`."""
    return _enforced(_CASE_MAPPED, text)


def display(text: str) -> str:
    """Return the display form. Raises `InvalidField`.

    A name can have a prepared form and no display form: a letter in title case, such as U+1F98, is
    allowed in lower case only.
    """
    return _enforced(_CASE_PRESERVED, text)


def _enforced(profile: Profile, text: str) -> str:
    try:
        return str(profile.enforce(text))
    except UnicodeEncodeError as error:
        reason = error.reason.rpartition("/")[2]
        message = _REASONS.get(reason, "Username must not contain this character.")
        raise InvalidField("not_allowed", message) from error


def _too_short() -> InvalidField:
    return InvalidField("too_short", f"Username must be at least {MIN_LENGTH} characters long.")


def _too_long() -> InvalidField:
    return InvalidField("too_long", f"Username must be at most {MAX_LENGTH} characters long.")
