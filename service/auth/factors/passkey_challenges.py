"""Challenges of passkeys, of which nothing is stored before they are answered.

A challenge is an HMAC-SHA256 under a key of its own (see `secret_keys`), over a random nonce, the
time of issue and all that the challenge is for. Its token holds the nonce, the time and the HMAC:
so the bytes that the authenticator must have signed are known from the token, and are never taken
from what the client says that it signed.

Whoever reads a challenge has still to check, by the database's clock, that it has not expired, and
to claim its nonce.
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest, digest
from uuid import UUID

import structlog
from msgspec import Struct

from service.auth import base64url
from service.auth.errors import InvalidChallenge, SecretKeyMissing
from service.auth.secret_keys import KeyPurpose, Keyring
from service.settings.relying_party import RelyingPartyId

# How long a challenge can be answered, in seconds.
LIFETIME = 600

NONCE_BYTES = 16

_KIND = b"ostiary passkey challenge 1"
_TIME_BYTES = 8
_MAC_BYTES = 32
_FIXED_BYTES = NONCE_BYTES + _TIME_BYTES + _MAC_BYTES
_KEY_ID = re.compile(rb"[a-z0-9-]{1,32}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LIFETIME = timedelta(seconds=LIFETIME)

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class PasskeyPurpose(StrEnum):
    """What a passkey is used for."""

    LOG_IN = "log_in"
    REGISTER = "register"
    REAUTHENTICATE = "reauthenticate"


class IssuedChallenge(Struct, frozen=True, kw_only=True):
    """A new challenge, and the token with which it comes back; its ``repr`` hides both."""

    token: str
    challenge: bytes
    expires_at: datetime

    def __repr__(self) -> str:
        return "IssuedChallenge(…)"


class ReadChallenge(Struct, frozen=True, kw_only=True):
    """A challenge that came back, and its nonce, which is what is claimed; hidden in its repr."""

    nonce: bytes
    challenge: bytes
    issued_at: datetime
    expires_at: datetime

    def __repr__(self) -> str:
        return "ReadChallenge(…)"


class PasskeyChallenges:
    """The challenges of a relying party, by the keys of ``keyring``."""

    def __init__(self, keyring: Keyring, rp_id: RelyingPartyId) -> None:
        self._keyring = keyring
        self._rp_id = rp_id

    def issue(
        self,
        purpose: PasskeyPurpose,
        now: datetime,
        *,
        user_id: UUID | None = None,
        session_id: UUID | None = None,
    ) -> IssuedChallenge:
        """Return a challenge for a purpose, a user and a session."""
        key_id = self._keyring.current_id.encode()
        time = ((now - _EPOCH) // _MICROSECOND).to_bytes(_TIME_BYTES)
        head = key_id + secrets.token_bytes(NONCE_BYTES) + time
        challenge = self._mac(key_id, head, purpose, user_id, session_id)
        return IssuedChallenge(
            token=base64url.encode(head + challenge),
            challenge=challenge,
            expires_at=now + _LIFETIME,
        )

    def read(
        self,
        purpose: PasskeyPurpose,
        token: str,
        *,
        user_id: UUID | None = None,
        session_id: UUID | None = None,
    ) -> ReadChallenge:
        """Return the challenge of a token, which may have expired, or been answered before.

        Raises `InvalidChallenge` for any other text, also for a token for another purpose, user,
        session or relying party.
        """
        try:
            raw = base64url.decode(token)
        except ValueError:
            raise InvalidChallenge from None
        key_id, head, mac = raw[:-_FIXED_BYTES], raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        if _KEY_ID.fullmatch(key_id) is None:
            raise InvalidChallenge
        if not compare_digest(self._mac(key_id, head, purpose, user_id, session_id), mac):
            raise InvalidChallenge
        issued_at = _EPOCH + int.from_bytes(head[-_TIME_BYTES:]) * _MICROSECOND
        nonce = head[len(key_id) : -_TIME_BYTES]
        return ReadChallenge(
            nonce=nonce, challenge=mac, issued_at=issued_at, expires_at=issued_at + _LIFETIME
        )

    def _mac(
        self,
        key_id: bytes,
        head: bytes,
        purpose: PasskeyPurpose,
        user_id: UUID | None,
        session_id: UUID | None,
    ) -> bytes:
        """Return the challenge. Raises `InvalidChallenge` if its key was removed too early."""
        try:
            key = self._keyring.derive(KeyPurpose.PASSKEY_CHALLENGE, key_id.decode())
        except SecretKeyMissing as error:
            log.warning("secret_key_missing", key_id=error.key_id)
            raise InvalidChallenge from error
        ids = [each.bytes if each else b"" for each in (user_id, session_id)]
        fields = [_KIND, key_id, head[len(key_id) :], self._rp_id.encode(), purpose.encode(), *ids]
        # With its length before it, no field can be taken for a part of another.
        return digest(key, b"".join(len(each).to_bytes(2) + each for each in fields), sha256)
