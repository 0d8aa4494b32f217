"""Challenges: everything that asks a question and waits for the answer goes through here.

An answer is first checked, then claimed in the transaction of what it allows. Wrong answers are
counted by a statement that commits by itself, whatever becomes of the caller's transaction. Of
simultaneous answers each waits for the row: the right one counts only if it is among the first
`MAX_FAILURES`, as if they had come one after another.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from enum import Enum
from hashlib import sha256
from hmac import compare_digest, digest
from uuid import UUID, uuid4

import structlog
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.codes import Code, code_of, link_token_of
from service.auth.errors import InvalidChallenge, InvalidCode, SecretKeyMissing
from service.auth.secret_keys import KeyPurpose, Keyring
from service.auth.tokens import SECRET_BYTES, decoded
from service.model.challenges import Challenge, Purpose, Subject
from service.model.sessions import SecretHash
from service.storage import challenges as storage
from service.storage.database import Database

log: structlog.stdlib.BoundLogger = structlog.get_logger()


class Form(Enum):
    """The form of an answer; the token of the challenge is one by itself."""

    CODE = "code"
    LINK = "link"
    FACTOR = "factor"
    TOKEN = "token"  # noqa: S105


class Kind(Struct, frozen=True):
    """How the challenges for a purpose are answered, and for how long, in seconds."""

    form: Form
    lifetime: float


KINDS = {
    Purpose.SIGN_UP: Kind(Form.CODE, 600),
    Purpose.EMAIL: Kind(Form.CODE, 600),
    Purpose.REAUTHENTICATION: Kind(Form.CODE, 600),
    Purpose.PASSWORD_RESET: Kind(Form.LINK, 3600),
    Purpose.UNDO: Kind(Form.LINK, 72 * 3600),
    Purpose.SECOND_FACTOR: Kind(Form.FACTOR, 600),
    Purpose.OIDC_SIGN_UP: Kind(Form.TOKEN, 600),
}


class Made(Struct, frozen=True, kw_only=True):
    """A new challenge. Whoever answers by code needs the token; its ``repr`` hides it."""

    id: UUID
    token: str
    expires_at: datetime

    def __repr__(self) -> str:
        return f"Made({self.id})"


class Link(Struct, frozen=True, kw_only=True):
    """The token of a link, for whoever passes it on by another way than mail; not in its repr."""

    token: str
    expires_at: datetime

    def __repr__(self) -> str:
        return "Link(…)"


class Challenges:
    """The challenges in ``database``, whose codes and links derive from the keys of ``keyring``."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    async def make(
        self,
        connection: AsyncConnection,
        purpose: Purpose,
        subject: Subject,
        *,
        is_decoy: bool = False,
    ) -> Made:
        """Insert a challenge, in the transaction that puts its mail into the outbox.

        The token is needed to answer by a code or a factor, but not by a link. A decoy looks like
        any other challenge, but no code answers it: for an address that is taken, and for a mail
        that was not sent because its recipient had too many.
        """
        kind = KINDS[purpose]
        challenge_id, secret = uuid4(), secrets.token_bytes(SECRET_BYTES)
        expires_at = await storage.add_challenge(
            connection,
            challenge_id=challenge_id,
            purpose=purpose,
            subject=subject,
            secret_hash=None if kind.form is Form.LINK else _hash(secret),
            key_id=None if is_decoy else self._keyring.current_id,
            lifetime=kind.lifetime,
        )
        token = urlsafe_b64encode(challenge_id.bytes + secret).decode()
        return Made(id=challenge_id, token=token, expires_at=expires_at)

    def link_of(self, purpose: Purpose, made: Made) -> Link:
        """Return the link that answers a challenge that was made just now."""
        key_id = self._keyring.current_id
        token = link_token_of(self._keyring, key_id, made.id, purpose)
        return Link(token=token, expires_at=made.expires_at)

    async def check_code(
        self, purpose: Purpose, token: str, code: Code, *, session_id: UUID | None = None
    ) -> Challenge:
        """Return the challenge that a code answers, to be claimed; a wrong code is counted.

        Raises `InvalidCode`, and `InvalidChallenge` if there is no such challenge for this purpose
        and session, or no try is left.
        """
        found = await self.check_token(purpose, token, session_id=session_id)
        if not compare_digest(self._code_of(found), code):
            async with self._database.connect() as connection:
                tries_left = await storage.count_failure(connection, found.id)
            raise InvalidCode if tries_left else InvalidChallenge
        return found

    async def check_token(
        self, purpose: Purpose, token: str, *, session_id: UUID | None = None
    ) -> Challenge:
        """Return the challenge with a token; its answer is yet to be checked.

        Raises `InvalidChallenge` if there is none for this purpose and session, or no try is left.
        """
        challenge_id, secret = decoded(token) or (None, b"")
        async with self._database.connect() as connection:
            found = await self._find(connection, challenge_id, purpose, session_id)
        if found.secret_hash is None or not compare_digest(found.secret_hash, _hash(secret)):
            raise InvalidChallenge
        return found

    async def require_answerable(self, connection: AsyncConnection, checked: Challenge) -> None:
        """Raise `InvalidChallenge` if a challenge can no longer be answered.

        For answers that are checked one after another, in transactions that have locked the user.
        """
        session_id = checked.subject.session_id
        await self._find(connection, checked.id, checked.purpose, session_id)

    @staticmethod
    async def count_failure(connection: AsyncConnection, checked: Challenge) -> bool:
        """Count a wrong answer to a challenge. Returns whether a try is left."""
        return bool(await storage.count_failure(connection, checked.id))

    def passkey_challenge_of(self, challenge_id: UUID, key_id: str | None = None) -> bytes:
        """Return what a passkey signs to answer a challenge: 32 bytes, derived as codes are.

        A challenge that is being made has no key id yet: the current one counts. Raises
        `InvalidChallenge` if the key was removed.
        """
        with reporting_missing_keys():
            key = self._keyring.derive(
                KeyPurpose.PASSKEY_CHALLENGE, key_id or self._keyring.current_id
            )
        return digest(key, Purpose.SECOND_FACTOR.encode() + b"\0" + challenge_id.bytes, sha256)

    @staticmethod
    def made_at(challenge: Challenge) -> datetime:
        """Return when a challenge was made, by the clock of the database."""
        return challenge.expires_at - timedelta(seconds=KINDS[challenge.purpose].lifetime)

    async def check_link(self, purpose: Purpose, token: str) -> Challenge:
        """Return the challenge that the token of a link answers, to be claimed.

        Raises `InvalidChallenge`. Wrong tokens are not counted: nobody guesses 256 bits.
        """
        challenge_id, _ = decoded(token) or (None, b"")
        async with self._database.connect() as connection:
            found = await self._find(connection, challenge_id, purpose, None)
        if found.secret_hash is not None or not compare_digest(self._link_token_of(found), token):
            raise InvalidChallenge
        return found

    async def claim(self, connection: AsyncConnection, checked: Challenge) -> Challenge:
        """Use a challenge up, in the transaction of what its answer allows.

        Raises `InvalidChallenge` if it was claimed, voided or ended, or expired, since it was
        checked. A user whose security version it depends on is locked.
        """
        claimed = await storage.claim_challenge(connection, checked)
        if claimed is None:
            raise InvalidChallenge
        return claimed

    async def end_all_of(
        self, connection: AsyncConnection, user_id: UUID, purposes: list[Purpose]
    ) -> None:
        """End the challenges of a user for these purposes, such as reset links."""
        await storage.delete_challenges_of(connection, user_id, purposes)

    async def end_later_undos(self, connection: AsyncConnection, claimed: Challenge) -> None:
        """End the links that take back what was changed after that which ``claimed`` takes back."""
        if claimed.subject.user_id is not None:
            user_id, expires_at = claimed.subject.user_id, claimed.expires_at
            await storage.end_later_undos(connection, user_id, expires_at)

    @staticmethod
    async def _find(
        connection: AsyncConnection,
        challenge_id: UUID | None,
        purpose: Purpose,
        session_id: UUID | None,
    ) -> Challenge:
        """Find a challenge that can be answered. Raises `InvalidChallenge`."""
        if challenge_id is None:
            raise InvalidChallenge
        found = await storage.find_challenge(connection, challenge_id, purpose, session_id)
        if found is None:
            raise InvalidChallenge
        return found

    def _code_of(self, challenge: Challenge) -> str:
        """Return the code of a challenge; that of a decoy is none. Raises `InvalidChallenge`."""
        if challenge.key_id is None:
            return ""
        with reporting_missing_keys():
            return code_of(self._keyring, challenge.key_id, challenge.id, challenge.purpose)

    def _link_token_of(self, challenge: Challenge) -> str:
        """Return the link's token; that of a decoy is none. Raises `InvalidChallenge`."""
        if challenge.key_id is None:
            return ""
        with reporting_missing_keys():
            return link_token_of(self._keyring, challenge.key_id, challenge.id, challenge.purpose)


@contextmanager
def reporting_missing_keys() -> Iterator[None]:
    """Log that a key was taken away too early: what was derived from it cannot be checked.

    Raises `InvalidChallenge` in its place.
    """
    try:
        yield
    except SecretKeyMissing as error:
        log.warning("secret_key_missing", key_id=error.key_id)
        raise InvalidChallenge from error


def _hash(secret: bytes) -> SecretHash:
    return SecretHash(sha256(secret).digest())
