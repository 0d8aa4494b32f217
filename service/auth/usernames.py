"""User names: which are valid, and which are the same (RFC 8265, section 3).

`comparison_form` decides which names are the same, for every text. Which texts can become new names
is decided apart from it, by `Username.parse`: what sign-up refuses, and what it will refuse in the
future, can still be a name that was imported or created before.
"""

from __future__ import annotations

import re
from typing import Self
from unicodedata import category

from msgspec import Struct
from precis_i18n import get_profile
from precis_i18n.profile import Profile

from service.auth.errors import FieldCode, InvalidField
from service.auth.scripts import has_one_script

MIN_LENGTH = 4
MAX_LENGTH = 31

# Preparation can shorten a text; beyond this length it is not attempted.
MAX_UNPREPARED_LENGTH = 255

_CASE_MAPPED = get_profile("UsernameCaseMapped")
_CASE_PRESERVED = get_profile("UsernameCasePreserved")

# An entry of PostgreSQL's index has at most 2,704 bytes.
MAX_STORED_BYTES = 2000
# PostgreSQL can store neither U+0000 nor half of a surrogate pair.
NOT_STORABLE = re.compile("[\0\ud800-\udfff]")

# Accents and their like, which go with any letter; the marks of a script stand more freely.
_ACCENTS = "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
_STACKED_ACCENTS = re.compile(f"[{_ACCENTS}]{{2}}")

# Words of South and South-East Asia have up to four marks in a row (UTS 39, section 5.4).
MAX_MARKS = 4

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
        display_name = display(text)
        _check_appearance(name)
        return cls(name, display_name)


class GivenUsername(Username):
    """A user name that an operator or another program gives: it may be reserved."""

    __slots__ = ()


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
            raise InvalidField(FieldCode.TOO_SHORT, "Username must not be empty.")
        if len(text) > MAX_UNPREPARED_LENGTH:
            raise InvalidField(
                FieldCode.TOO_LONG,
                f"Username must be at most {MAX_UNPREPARED_LENGTH} characters long.",
            )
        return cls(None if NOT_STORABLE.search(text) else comparison_form(text))


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
    if NOT_STORABLE.search(text):
        raise InvalidField(
            FieldCode.NOT_ALLOWED, "Username must not contain U+0000 or half of a surrogate pair."
        )
    name = str(ClaimedUsername.parse(text).name)
    if len(name.encode()) > MAX_STORED_BYTES:
        raise InvalidField(FieldCode.TOO_LONG, "Username is too long to be stored.")
    try:
        username = Username.parse(text)
    except InvalidField as error:
        return ImportedUsername(name=name, display_name=_display_or(text), refusal=error)
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


def _check_appearance(name: str) -> None:
    """Raise `InvalidField` if a name looks like something that it is not."""
    if "@" in name:
        raise InvalidField(
            FieldCode.NOT_ALLOWED, 'Username must not contain "@", like an e-mail address.'
        )
    marks = "".join("m" if category(character)[0] == "M" else " " for character in name)
    if marks.startswith("m"):
        raise InvalidField(FieldCode.NOT_ALLOWED, "Username must not begin with a combining mark.")
    if "m" * (MAX_MARKS + 1) in marks or _STACKED_ACCENTS.search(name):
        raise InvalidField(
            FieldCode.NOT_ALLOWED, "Username must not contain so many combining marks in a row."
        )
    if not has_one_script(name):
        raise InvalidField(
            FieldCode.MIXED_SCRIPTS,
            "Username must not mix scripts that are not usually mixed, such as Latin and Cyrillic.",
        )


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
        raise InvalidField(FieldCode.NOT_ALLOWED, message) from error


def _too_short() -> InvalidField:
    return InvalidField(
        FieldCode.TOO_SHORT, f"Username must be at least {MIN_LENGTH} characters long."
    )


def _too_long() -> InvalidField:
    return InvalidField(
        FieldCode.TOO_LONG, f"Username must be at most {MAX_LENGTH} characters long."
    )
