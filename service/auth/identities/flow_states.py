"""States of flows at providers, of which nothing is stored before they come back.

A ``state`` (RFC 6749, section 4.1.1) is a nonce, the time of issue, the redirect URI, and an
HMAC-SHA256 of these and of all that the flow is for: the provider and its issuer, the purpose, the
user, the session, and the flow secret of the client. The ``nonce`` of the ID token and the PKCE
verifier are derived from it, so neither is stored.

Whoever reads a state has still to check, by the database's clock, that it has not expired, and to
claim its nonce.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest, digest
from uuid import UUID

import structlog
from msgspec import Struct

from service.auth import base64url
from service.auth.errors import InvalidChallenge, SecretKeyMissing
from service.auth.identities.flow_secrets import FlowSecret
from service.auth.oidc.flow import Flow
from service.auth.secret_keys import KeyPurpose, Keyring
from service.settings.oidc import OIDCProvider

# How long a person may take at the provider, in seconds.
LIFETIME = 600

# A provider's URL with a state in it stays shorter than what servers take.
MAX_LENGTH = 1024

NONCE_BYTES = 16

_KIND = b"ostiary flow 1"
_TIME_BYTES = 8
_MAC_BYTES = 32
_HEAD = re.compile(rb"([a-z0-9-]{1,32})\0(.{16})(.{8})(.*)", re.DOTALL)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LIFETIME = timedelta(seconds=LIFETIME)

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class FlowPurpose(StrEnum):
    """What an account at a provider is to prove."""

    LOG_IN = "log_in"
    LINK = "link"
    REAUTHENTICATE = "reauthenticate"


class FlowSubject(Struct, frozen=True, kw_only=True):
    """What a flow is for: a provider, a purpose and, but for a log-in, a user in a session."""

    provider: OIDCProvider
    purpose: FlowPurpose
    user_id: UUID | None = None
    session_id: UUID | None = None

    @property
    def fields(self) -> list[bytes]:
        """What of it the state vouches for."""
        ids = [each.bytes if each else b"" for each in (self.user_id, self.session_id)]
        provider = self.provider
        return [provider.name.encode(), provider.issuer.encode(), self.purpose.encode(), *ids]


class IssuedFlow(Struct, frozen=True, kw_only=True):
    """A new flow, and until when it can be completed."""

    flow: Flow
    expires_at: datetime


class ReadFlow(Struct, frozen=True, kw_only=True):
    """A flow whose state came back; its nonce is what is claimed."""

    flow: Flow
    claimed: bytes
    issued_at: datetime
    expires_at: datetime

    def __repr__(self) -> str:
        return "ReadFlow(…)"


class FlowStates:
    """The states of flows, by the keys of ``keyring``."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def issue(
        self, subject: FlowSubject, redirect_uri: str, secret: FlowSecret, now: datetime
    ) -> IssuedFlow:
        """Return a flow for whoever holds the secret."""
        key_id = self._keyring.current_id
        time = ((now - _EPOCH) // _MICROSECOND).to_bytes(_TIME_BYTES)
        nonce = secrets.token_bytes(NONCE_BYTES)
        head = key_id.encode() + b"\0" + nonce + time + redirect_uri.encode()
        state = base64url.encode(head + self._mac(key_id, head, subject, secret))
        return IssuedFlow(
            flow=self._flow(key_id, state, redirect_uri, subject), expires_at=now + _LIFETIME
        )

    def read(self, subject: FlowSubject, state: str, held: Sequence[FlowSecret]) -> ReadFlow:
        """Return the flow of a state, which may have expired, or been completed before.

        ``held`` are the secrets of the client, of which one must be that of the flow. Raises
        `InvalidChallenge` for any other text, also for the state of another flow.
        """
        try:
            raw = base64url.decode(state) if len(state) <= MAX_LENGTH else b""
        except ValueError:
            raise InvalidChallenge from None
        head, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        parts = _HEAD.fullmatch(head)
        if parts is None:
            raise InvalidChallenge
        key_id = parts[1].decode()
        if not any(compare_digest(self._mac(key_id, head, subject, each), mac) for each in held):
            raise InvalidChallenge
        issued_at = _EPOCH + int.from_bytes(parts[3]) * _MICROSECOND
        return ReadFlow(
            flow=self._flow(key_id, state, parts[4].decode(), subject),
            claimed=parts[2],
            issued_at=issued_at,
            expires_at=issued_at + _LIFETIME,
        )

    def _flow(self, key_id: str, state: str, redirect_uri: str, subject: FlowSubject) -> Flow:
        return Flow(
            state=state,
            nonce=self._derived(key_id, b"nonce", state),
            verifier=self._derived(key_id, b"verifier", state),
            redirect_uri=redirect_uri,
            reauthenticates=subject.purpose is FlowPurpose.REAUTHENTICATE,
        )

    def _derived(self, key_id: str, what: bytes, state: str) -> str:
        """Return a value of a flow that the provider gets, and which only we can compute."""
        key = self._key(key_id)
        return base64url.encode(digest(key, what + b"\0" + state.encode(), sha256))

    def _mac(self, key_id: str, head: bytes, subject: FlowSubject, secret: FlowSecret) -> bytes:
        fields = [_KIND, head, *subject.fields, secret.hash]
        # With its length before it, no field can be taken for a part of another.
        message = b"".join(len(each).to_bytes(4) + each for each in fields)
        return digest(self._key(key_id), message, sha256)

    def _key(self, key_id: str) -> bytes:
        """Return the key of flows. Raises `InvalidChallenge` if it was removed too early."""
        try:
            return self._keyring.derive(KeyPurpose.OIDC_FLOW, key_id)
        except SecretKeyMissing as error:
            log.warning("secret_key_missing", key_id=error.key_id)
            raise InvalidChallenge from error
