"""User names: which are valid, and which are the same (RFC 8265, section 3)."""

from __future__ import annotations

import re
from typing import Self

from msgspec import Struct
from precis_i18n import get_profile
from precis_i18n.profile import Profile

from service.auth.errors import InvalidField

MIN_LENGTH = 4
MAX_LENGTH = 31

# Preparation can shorten a text; beyond this length it is not attempted.
MAX_UNPREPARED_LENGTH = 255

_CASE_MAPPED = get_profile("UsernameCaseMapped")
_CASE_PRESERVED = get_profile("UsernameCasePreserved")

# PostgreSQL can store neither U+0000 nor half of a surrogate pair.
_NOT_STORABLE = re.compile("[\0\ud800-\udfff]")

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
    """A user name that was typed to log in: also one that sign-up would refuse.

    Text that cannot be a user name is treated as an unknown user, not as a validation error: its
    ``name`` is ``None``.
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
        return cls(None if _NOT_STORABLE.search(text) else comparison_form(text))


class ImportedUsername(Struct, frozen=True, kw_only=True):
    """A user name that was taken from another system as it is.

    ``name`` is what `ClaimedUsername.parse` finds it by, ``display_name`` is shown, and
    ``refusal`` is why sign-up would refuse the name, if it would.
    """

    name: str
    display_name: str
    refusal: InvalidField | None


def imported_name(text: str) -> ImportedUsername:
    """Take a user name over from another system, even if sign-up would refuse it.

    Raises `InvalidField` if it is empty, longer than a log-in allows, or cannot be stored.
    """
    if _NOT_STORABLE.search(text):
        raise InvalidField(
            "not_allowed", "Username must not contain U+0000 or half of a surrogate pair."
        )
    name = ClaimedUsername.parse(text).name
    try:
        username = Username.parse(text)
    except InvalidField as error:
        return ImportedUsername(name=str(name), display_name=_display_or(text), refusal=error)
    return ImportedUsername(name=username.name, display_name=username.display_name, refusal=None)


def comparison_form(text: str) -> str:
    """Return the form by which names are compared: two names with the same form are the same.

    It is UsernameCaseMapped without its checks: widths and case are mapped, then NFC. A name that
    RFC 8265 does not allow therefore never has the form of one that it allows, and equals only
    those that differ in width, case or composition.
    """
    mapped = _CASE_MAPPED.case_mapping_rule(_CASE_MAPPED.width_mapping_rule(text))
    return str(_CASE_MAPPED.normalization_rule(mapped))


def prepare(text: str) -> str:
    """Return the comparison form of a name that RFC 8265 allows. Raises `InvalidField`."""
    return _enforced(_CASE_MAPPED, text)


def display(text: str) -> str:
    """Return the display form. Raises `InvalidField`.

    A name can have a prepared form and no display form: a letter in title case, such as U+1F98, is
    allowed in lower case only.
    """
    return _enforced(_CASE_PRESERVED, text)


def _display_or(text: str) -> str:
    try:
        return display(text)
    except InvalidField:
        return text


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
