"""Names that clients give to their devices, so that users recognise their sessions."""

from __future__ import annotations

from typing import Self
from unicodedata import category, normalize

from service.auth.errors import FieldCode, InvalidField

MAX_LENGTH = 64

# Control characters, line and paragraph separators. Format characters are allowed, for emoji and
# some scripts need them, but not those that change the direction of the text that follows.
_CONTROL_CATEGORIES = frozenset({"Cc", "Zl", "Zp"})
_DIRECTIONS = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class DeviceName(str):
    """A name such as ``Jane's phone``; empty if there is none."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a name: composed (Unicode NFC), without surrounding space.

        Raises `InvalidField` if it is too long or has control characters.
        """
        name = normalize("NFC", text.strip())
        if len(name) > MAX_LENGTH:
            raise InvalidField(
                FieldCode.TOO_LONG, f"Device name must be at most {MAX_LENGTH} characters long."
            )
        if has_control_characters(name):
            raise InvalidField(
                FieldCode.NOT_ALLOWED, "Device name must not contain control characters."
            )
        return cls(name)


def has_control_characters(name: str) -> bool:
    """Return whether a name has characters that control what is shown around it."""
    return any(each in _DIRECTIONS or category(each) in _CONTROL_CATEGORIES for each in name)
