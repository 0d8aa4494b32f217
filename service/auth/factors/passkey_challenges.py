"""Challenges of passkeys, of which nothing is stored before they are answered.

A challenge is an HMAC (see `unstored_challenges`) under a key of its own (see `secret_keys`). Its
token holds the nonce, the time and the HMAC: so the bytes that the authenticator must have signed
are known from the token, and are never taken from what the client says that it signed.
"""

from __future__ import annotations

import re
import secrets
from datetime import datetime
from enum import StrEnum
from hmac import compare_digest
from uuid import UUID

from msgspec import Struct

from service.auth import base64url
from service.auth.challenges import reporting_missing_keys
from service.auth.errors import InvalidChallenge
from service.auth.secret_keys import KeyPurpose, Keyring
from service.auth.unstored_challenges import (
    MAC_BYTES,
    NONCE_BYTES,
    TIME_BYTES,
    decoded_time,
    encoded_time,
    expiry_of,
    mac_of,
)
from service.settings.relying_party import RelyingPartyId

_KIND = b"ostiary passkey challenge 1"
_FIXED_BYTES = NONCE_BYTES + TIME_BYTES + MAC_BYTES
_KEY_ID = re.compile(rb"[a-z0-9-]{1,32}")


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
        head = key_id + secrets.token_bytes(NONCE_BYTES) + encoded_time(now)
        challenge = self._mac(key_id, head, purpose, user_id, session_id)
        return IssuedChallenge(
            token=base64url.encode(head + challenge),
            challenge=challenge,
            expires_at=expiry_of(now),
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
        key_id, head, mac = raw[:-_FIXED_BYTES], raw[:-MAC_BYTES], raw[-MAC_BYTES:]
        if _KEY_ID.fullmatch(key_id) is None:
            raise InvalidChallenge
        if not compare_digest(self._mac(key_id, head, purpose, user_id, session_id), mac):
            raise InvalidChallenge
        issued_at = decoded_time(head[-TIME_BYTES:])
        nonce = head[len(key_id) : -TIME_BYTES]
        return ReadChallenge(
            nonce=nonce, challenge=mac, issued_at=issued_at, expires_at=expiry_of(issued_at)
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
        with reporting_missing_keys():
            key = self._keyring.derive(KeyPurpose.PASSKEY_CHALLENGE, key_id.decode())
        ids = [each.bytes if each else b"" for each in (user_id, session_id)]
        fields = [_KIND, key_id, head[len(key_id) :], self._rp_id.encode(), purpose.encode(), *ids]
        return mac_of(key, fields)
