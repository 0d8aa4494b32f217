"""Codes of authenticator apps: TOTP (RFC 6238), SHA-1, six digits, 30 seconds.

A code counts for the step of the present time, for the one before, and for the one after: the clock
is the phone's, which may be fast as well as slow. Each step is used once, and none before it
afterwards.
"""

from __future__ import annotations

import secrets
from base64 import b32encode
from hmac import compare_digest
from typing import Self

import pyotp

from service.auth.codes import digits_of

DIGITS = 6
PERIOD = 30

# 160 bits, as long as the hash (RFC 4226, section 4, R6).
SECRET_BYTES = 20

# Steps from the present one.
ACCEPTED = (0, -1, 1)


class TOTPCode(str):
    """A code as it was typed, without spaces and hyphens. Its ``repr`` hides it."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a code. Raises `InvalidField` for what cannot be one: that spends no try."""
        return cls(digits_of(text, DIGITS))

    def __repr__(self) -> str:
        return "TOTPCode(…)"


def new_secret() -> bytes:
    """Return a secret for an authenticator app."""
    return secrets.token_bytes(SECRET_BYTES)


def generator_of(secret: bytes) -> pyotp.TOTP:
    """Return the generator of the codes of a secret."""
    return pyotp.TOTP(base32_of(secret), digits=DIGITS, interval=PERIOD)


def base32_of(secret: bytes) -> str:
    """Return a secret as authenticator apps take it, in base32 without padding (RFC 4648)."""
    return b32encode(secret).decode()


def step_of(secret: bytes, code: TOTPCode, now: float) -> int | None:
    """Return the time step whose code it is, among those accepted; ``None`` if it is wrong.

    ``now`` is in seconds since 1970. Each accepted step is compared, whichever matches.
    """
    generator, present = generator_of(secret), int(now) // PERIOD
    steps = [present + each for each in ACCEPTED]
    matching = [step for step in steps if compare_digest(generator.generate_otp(step), code)]
    return matching[0] if matching else None
