"""Answers by a factor: a code of an app, a recovery code, or what a passkey has signed."""

from __future__ import annotations

from typing import Any, TypeAlias

from msgspec import Struct

from service.auth.factors.recovery_codes import RecoveryCode
from service.auth.factors.totp import TOTPCode
from service.model.sessions import Method


class PasskeyAnswer(Struct, frozen=True):
    """What a browser or app returned for a passkey: the JSON of a `PublicKeyCredential`."""

    credential: dict[str, Any]

    def __repr__(self) -> str:
        return "PasskeyAnswer(…)"


Answer: TypeAlias = TOTPCode | RecoveryCode | PasskeyAnswer


def method_of(answer: Answer) -> Method:
    """Return the method that an answer proves a user by."""
    match answer:
        case TOTPCode():
            return Method.TOTP
        case RecoveryCode():
            return Method.RECOVERY_CODE
        case PasskeyAnswer():
            return Method.PASSKEY
