"""States of flows at providers, of which nothing is stored before they come back.

A ``state`` (RFC 6749, section 4.1.1) has the redirect URI in it, and an HMAC (see
`unstored_challenges`) of all that the flow is for: the provider and its issuer, the purpose, the
user, the session, and the flow secret of the client. The ``nonce`` of the ID token and the PKCE
verifier are derived from it, so neither is stored.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest, digest
from uuid import UUID

from msgspec import Struct

from service.auth import base64url
from service.auth.challenges import reporting_missing_keys
from service.auth.errors import InvalidChallenge
from service.auth.identities.flow_secrets import FlowSecret
from service.auth.oidc.flow import Flow
from service.auth.secret_keys import KeyPurpose, Keyring
from service.auth.unstored_challenges import (
    MAC_BYTES,
    NONCE_BYTES,
    decoded_time,
    encoded_time,
    expiry_of,
    mac_of,
)
from service.settings.oidc import OIDCProvider

# A provider's URL with a state in it stays shorter than what servers take.
MAX_LENGTH = 1024

_KIND = b"ostiary flow 1"
_HEAD = re.compile(rb"([a-z0-9-]{1,32})\0(.{16})(.{8})(.*)", re.DOTALL)


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
        nonce = secrets.token_bytes(NONCE_BYTES)
        head = key_id.encode() + b"\0" + nonce + encoded_time(now) + redirect_uri.encode()
        state = base64url.encode(head + self._mac(key_id, head, subject, secret))
        return IssuedFlow(
            flow=self._flow(key_id, state, redirect_uri, subject), expires_at=expiry_of(now)
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
        head, mac = raw[:-MAC_BYTES], raw[-MAC_BYTES:]
        parts = _HEAD.fullmatch(head)
        if parts is None:
            raise InvalidChallenge
        key_id = parts[1].decode()
        if not any(compare_digest(self._mac(key_id, head, subject, each), mac) for each in held):
            raise InvalidChallenge
        issued_at = decoded_time(parts[3])
        return ReadFlow(
            flow=self._flow(key_id, state, parts[4].decode(), subject),
            claimed=parts[2],
            issued_at=issued_at,
            expires_at=expiry_of(issued_at),
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
        return mac_of(self._key(key_id), [_KIND, head, *subject.fields, secret.hash])

    def _key(self, key_id: str) -> bytes:
        """Return the key of flows. Raises `InvalidChallenge` if it was removed too early."""
        with reporting_missing_keys():
            return self._keyring.derive(KeyPurpose.OIDC_FLOW, key_id)
