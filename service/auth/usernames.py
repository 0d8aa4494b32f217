"""User names: which there are, and which of them are one (RFC 8265, section 3)."""

from __future__ import annotations

from typing import Self

from precis_i18n import get_profile
from precis_i18n.profile import Profile

from service.auth.errors import InvalidField

MIN_LENGTH = 4
MAX_LENGTH = 31

# Preparation shortens no sane name by more; what is longer is not worth the work.
MAX_UNPREPARED_LENGTH = 255

_CASE_MAPPED = get_profile("UsernameCaseMapped")
_CASE_PRESERVED = get_profile("UsernameCasePreserved")

# precis-i18n's reasons, in the words of somebody who fills in a form.
_REASONS = {
    "spaces": "Username must not contain spaces.",
    "controls": "Username must not contain control characters.",
    "symbols": "Username must not contain symbols.",
    "punctuation": "Username must not contain this punctuation.",
    "has_compat": "Username must not contain compatibility characters, such as ligatures.",
    "precis_ignorable_properties": "Username must not contain invisible characters.",
    "bidi_rule": "Username must not mix directions of writing in this way.",
}


class Username:
    """A user name in both its forms: ``name`` recognises, ``display_name`` is shown.

    ``Alice``, ``alice`` and ``ＡＬＩＣＥ`` have one ``name``, and one user can have it.
    """

    __slots__ = ("display_name", "name")

    def __init__(self, name: str, display_name: str) -> None:
        self.name = name
        self.display_name = display_name

    @classmethod
    def parse(cls, text: str) -> Self:
        """Take a name that somebody wants to have. Raises `InvalidField`."""
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
    """What somebody types to log in. A text that can be nobody's name is nobody's, not an error."""

    __slots__ = ("name",)

    def __init__(self, name: str | None) -> None:
        self.name = name

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises `InvalidField` if there is no text, or too much to be a name."""
        if not text:
            raise InvalidField("too_short", "Username must not be empty.")
        if len(text) > MAX_UNPREPARED_LENGTH:
            raise InvalidField(
                "too_long", f"Username must be at most {MAX_UNPREPARED_LENGTH} characters long."
            )
        try:
            return cls(prepare(text))
        except InvalidField:
            return cls(None)


def prepare(text: str) -> str:
    """The form of a name that recognises its owner. Raises `InvalidField` for what has none."""
    return _enforced(_CASE_MAPPED, text)


def display(text: str) -> str:
    """The form of a name that is shown. Raises `InvalidField`, for a name that has only the other.

    As has one with a letter in title case (U+1F98), which is allowed in lower case alone.
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
