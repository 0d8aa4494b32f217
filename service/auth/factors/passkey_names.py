"""Names of passkeys, by which their user tells them apart."""

from __future__ import annotations

from typing import Self
from unicodedata import normalize

from service.auth.device_names import has_control_characters
from service.auth.errors import FieldCode, InvalidField

MAX_LENGTH = 64


class PasskeyName(str):
    """The name of a passkey: 1 to 64 characters, without control characters."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a name: composed (Unicode NFC), without spaces around it. Raises `InvalidField`."""
        name = normalize("NFC", text.strip())
        if not name:
            raise InvalidField(FieldCode.TOO_SHORT, "Name must be at least 1 character long.")
        if len(name) > MAX_LENGTH:
            raise InvalidField(
                FieldCode.TOO_LONG, f"Name must be at most {MAX_LENGTH} characters long."
            )
        if has_control_characters(name):
            raise InvalidField(FieldCode.NOT_ALLOWED, "Name must not have control characters.")
        return cls(name)


DEFAULT_NAME = PasskeyName("Passkey")
