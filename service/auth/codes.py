"""Codes, links and invitations that are mailed: derived when they are needed, stored nowhere.

Each is an HMAC-SHA256 of the challenge's id and purpose, under a key of its own (see
`secret_keys`). A code is the 256 bits modulo 10^8: no code is likelier than another by more than
10^8 / 2^256, some 2^-229 of its share. A link's token is the challenge's id and all 256 bits.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from hashlib import sha256
from hmac import digest
from typing import Self
from uuid import UUID

from service.auth.errors import FieldCode, InvalidField
from service.auth.secret_keys import KeyPurpose, Keyring
from service.model.challenges import Purpose

DIGITS = 8

_SEPARATORS = re.compile(r"[ -]")


class Code(str):
    """A code as it was typed, without spaces and hyphens. Its ``repr`` hides it."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a code. Raises `InvalidField` for what cannot be one: that spends no try."""
        return cls(digits_of(text, DIGITS))

    def __repr__(self) -> str:
        return "Code(…)"


def digits_of(text: str, number: int) -> str:
    """Return the digits of a code as it was typed. Raises `InvalidField` unless there are so many.

    Only ASCII digits count.
    """
    digits = _SEPARATORS.sub("", text)
    if re.fullmatch(rf"[0-9]{{{number}}}", digits) is None:
        raise InvalidField(FieldCode.NOT_ALLOWED, f"A code has {number} digits.")
    return digits


def code_of(keyring: Keyring, key_id: str, challenge_id: UUID, purpose: Purpose) -> Code:
    """Return the code that answers a challenge. Raises `SecretKeyMissing`."""
    bits = _bits(keyring.derive(KeyPurpose.CODE, key_id), challenge_id, purpose)
    return Code(f"{int.from_bytes(bits) % 10**DIGITS:0{DIGITS}}")


def link_token_of(keyring: Keyring, key_id: str, challenge_id: UUID, purpose: Purpose) -> str:
    """Return the token of the link that answers a challenge. Raises `SecretKeyMissing`."""
    bits = _bits(keyring.derive(KeyPurpose.LINK, key_id), challenge_id, purpose)
    return urlsafe_b64encode(challenge_id.bytes + bits).decode()


def invitation_token_of(keyring: Keyring, key_id: str, invitation_id: UUID) -> str:
    """Return the token of an invitation, in the form of a link's. Raises `SecretKeyMissing`."""
    key = keyring.derive(KeyPurpose.INVITATION, key_id)
    return urlsafe_b64encode(
        invitation_id.bytes + digest(key, invitation_id.bytes, sha256)
    ).decode()


def _bits(key: bytes, challenge_id: UUID, purpose: Purpose) -> bytes:
    return digest(key, purpose.encode() + b"\0" + challenge_id.bytes, sha256)
