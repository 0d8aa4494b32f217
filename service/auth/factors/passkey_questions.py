"""Questions to passkeys: the options for a browser or app, and the challenge that comes back.

Nothing of them is stored (see `passkey_challenges`). A challenge is used up, by its nonce, in the
transaction of what its answer allows.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.errors import InvalidChallenge
from service.auth.factors.ceremonies import Ceremonies
from service.auth.factors.passkey_challenges import (
    IssuedChallenge,
    PasskeyChallenges,
    PasskeyPurpose,
    ReadChallenge,
)
from service.auth.sessions import LiveSession, lock_user_of
from service.storage.claimed_nonces import claim_nonce, read_clock
from service.storage.database import Database
from service.storage.factors import passkeys as storage

# WebAuthn, section 14.6.1: random, and nothing that tells who the user is; 64 bytes at most.
HANDLE_BYTES = 32


class PasskeyOptions(Struct, frozen=True, kw_only=True):
    """Options for `navigator.credentials`, and the token that comes back with the answer."""

    challenge_token: str
    options: dict[str, Any]
    expires_at: datetime

    def __repr__(self) -> str:
        return "PasskeyOptions(…)"


class PasskeyQuestions:
    """Questions to the passkeys of the users in ``database``."""

    def __init__(
        self, database: Database, ceremonies: Ceremonies, challenges: PasskeyChallenges
    ) -> None:
        self._database = database
        self._ceremonies = ceremonies
        self._challenges = challenges

    async def for_log_in(self) -> PasskeyOptions:
        """Return options for a log-in by whichever passkey the user chooses."""
        async with self._database.connect() as connection:
            now = await read_clock(connection)
        issued = self._challenges.issue(PasskeyPurpose.LOG_IN, now)
        return _options(issued, self._ceremonies.request_options(issued.challenge))

    async def for_reauthentication(self, live: LiveSession) -> PasskeyOptions:
        """Return options for the user of a session, by one of their passkeys."""
        async with self._database.transaction() as connection:
            now = await read_clock(connection)
            passkeys = await storage.list_passkeys(connection, live.user.id)
        issued = self._issue(PasskeyPurpose.REAUTHENTICATE, now, live)
        allowed = [each for each in passkeys if each.rp_id == self._ceremonies.rp_id]
        return _options(issued, self._ceremonies.request_options(issued.challenge, allow=allowed))

    async def for_registration(self, live: LiveSession) -> PasskeyOptions:
        """Return options for a new passkey of the user of a session, on another authenticator.

        Raises `NotAuthenticated` if the session ended meanwhile.
        """
        user = live.user
        async with self._database.transaction() as connection:
            await lock_user_of(connection, live)
            new_handle = secrets.token_bytes(HANDLE_BYTES)
            handle = await storage.give_handle(connection, user.id, new_handle)
            passkeys = await storage.list_passkeys(connection, user.id)
            now = await read_clock(connection)
        issued = self._issue(PasskeyPurpose.REGISTER, now, live)
        options = self._ceremonies.creation_options(
            issued.challenge,
            user_handle=handle,
            username=user.username or user.email or str(user.id),
            exclude=passkeys,
        )
        return _options(issued, options)

    def read(
        self, purpose: PasskeyPurpose, token: str, live: LiveSession | None = None
    ) -> ReadChallenge:
        """Return the challenge of a token, for a purpose and a session.

        Raises `InvalidChallenge`.
        """
        if live is None:
            return self._challenges.read(purpose, token)
        user_id, session_id = live.user.id, live.session.id
        return self._challenges.read(purpose, token, user_id=user_id, session_id=session_id)

    @staticmethod
    async def claim(connection: AsyncConnection, user_id: UUID, asked: ReadChallenge) -> None:
        """Use a challenge up, in the transaction of what its answer allows.

        Raises `InvalidChallenge` if it was answered before, has expired, or was issued before the
        last change of what protects the user.
        """
        is_claimed = await claim_nonce(
            connection,
            user_id,
            asked.nonce,
            issued_at=asked.issued_at,
            expires_at=asked.expires_at,
        )
        if not is_claimed:
            raise InvalidChallenge

    def _issue(self, purpose: PasskeyPurpose, now: datetime, live: LiveSession) -> IssuedChallenge:
        user_id, session_id = live.user.id, live.session.id
        return self._challenges.issue(purpose, now, user_id=user_id, session_id=session_id)


def _options(issued: IssuedChallenge, options: dict[str, Any]) -> PasskeyOptions:
    return PasskeyOptions(
        challenge_token=issued.token, options=options, expires_at=issued.expires_at
    )
