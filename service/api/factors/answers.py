"""Answers in request bodies: codes of three kinds, and credentials of passkeys."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Self

from msgspec import UNSET, Meta, UnsetType

from service.auth.codes import Code
from service.auth.errors import FieldCode, FieldError, InvalidField
from service.auth.factors.answers import Answer, PasskeyAnswer
from service.auth.factors.recovery_codes import RecoveryCode
from service.auth.factors.totp import TOTPCode
from service.model.sessions import Method

MAX_LENGTH = 64


class CodeText(str):
    """A code as it was typed, of whichever kind. Its ``repr`` hides it."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a code. Raises `InvalidField` for a text that is longer than any code."""
        if len(text) > MAX_LENGTH:
            raise InvalidField(
                FieldCode.TOO_LONG, f"Code must be at most {MAX_LENGTH} characters long."
            )
        return cls(text)

    def __repr__(self) -> str:
        return "CodeText(…)"


class FactorMethod(StrEnum):
    """By which factor a log-in is completed."""

    TOTP = Method.TOTP.value
    RECOVERY_CODE = Method.RECOVERY_CODE.value
    PASSKEY = Method.PASSKEY.value


PARSERS = {
    Method.TOTP: TOTPCode.parse,
    Method.RECOVERY_CODE: RecoveryCode.parse,
    Method.EMAIL_CODE: Code.parse,
}

Credential = Annotated[
    dict[str, Any],
    Meta(
        description="What `toJSON()` of the `PublicKeyCredential` returns, unchanged. Unknown "
        "members are ignored."
    ),
]


def missing(values: Mapping[str, Any], *names: str) -> list[FieldError]:
    """Return an error for each of these fields that is missing or empty.

    A field that could not be read has its error already, and is not in ``values``.
    """
    return [
        FieldError(field=name, code=FieldCode.REQUIRED, message="It is required.")
        for name in names
        if name in values and (values[name] is UNSET or values[name] == "")
    ]


def errors_of_code(method: Method, code: object) -> list[FieldError]:
    """Return an error if a code that is there cannot be one for the method."""
    if not isinstance(code, CodeText) or method not in PARSERS:
        return []
    try:
        PARSERS[method](code)
    except InvalidField as error:
        return [error.of("code")]
    return []


def factor_answer(
    method: Method, code: CodeText | UnsetType, credential: dict[str, Any] | UnsetType
) -> Answer | None:
    """Return the answer by a factor, from fields that were checked; ``None`` for other methods."""
    if method is Method.PASSKEY and credential is not UNSET:
        return PasskeyAnswer(credential)
    if method is Method.TOTP and code is not UNSET:
        return TOTPCode.parse(code)
    if method is Method.RECOVERY_CODE and code is not UNSET:
        return RecoveryCode.parse(code)
    return None
