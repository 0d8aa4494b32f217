"""The keyring: what the secret keys of the service seal, open and derive.

Each purpose has a key of its own, derived by HKDF (RFC 5869) with SHA-256. Sealing is AES-256-GCM
(NIST SP 800-38D) with a random nonce of 96 bits, which is safe for 2^32 messages of one key. The
purpose and the id of the row are authenticated with it: what was sealed for one row opens nowhere
else.
"""

from __future__ import annotations

import secrets
from enum import StrEnum
from functools import cache
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from service.auth.errors import SecretKeyMissing, SecretUnreadable
from service.model.sealed_secrets import Sealed
from service.settings.secret_keys import LENGTH, SecretKeys

NONCE_BYTES = 12


class KeyPurpose(StrEnum):
    """What a key is derived for. The names are stable: another name is another key."""

    CODE = "code"
    LINK = "link"
    TOTP_SECRET = "totp_secret"  # noqa: S105
    SIGNING_KEY = "signing_key"
    PASSKEY_CHALLENGE = "passkey_challenge"
    INVITATION = "invitation"
    OIDC_FLOW = "oidc_flow"


class Keyring:
    """The secret keys, newest first. Its ``repr`` hides them."""

    def __init__(self, keys: SecretKeys) -> None:
        self._secrets = {key.id: key.secret for key in keys}
        self.current_id = keys[0].id
        self.derive = cache(self._derive)

    def __repr__(self) -> str:
        return "Keyring(…)"

    @property
    def ids(self) -> list[str]:
        """The ids of the keys, newest first."""
        return list(self._secrets)

    def _derive(self, purpose: KeyPurpose, key_id: str) -> bytes:
        """Return the key of a purpose, 32 bytes. Raises `SecretKeyMissing`."""
        secret = self._secrets.get(key_id)
        if secret is None:
            raise SecretKeyMissing(key_id)
        return HKDF(SHA256(), LENGTH, salt=None, info=f"ostiary {purpose}".encode()).derive(secret)

    def seal(self, purpose: KeyPurpose, row_id: UUID, secret: bytes) -> Sealed:
        """Encrypt the secret of a row with the newest key."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        cipher = AESGCM(self.derive(purpose, self.current_id))
        return Sealed(
            key_id=self.current_id,
            ciphertext=nonce + cipher.encrypt(nonce, secret, _context(purpose, row_id)),
        )

    def open(self, purpose: KeyPurpose, row_id: UUID, sealed: Sealed) -> bytes:
        """Decrypt the secret of a row. Raises `SecretKeyMissing` and `SecretUnreadable`."""
        cipher = AESGCM(self.derive(purpose, sealed.key_id))
        nonce, ciphertext = sealed.ciphertext[:NONCE_BYTES], sealed.ciphertext[NONCE_BYTES:]
        try:
            return cipher.decrypt(nonce, ciphertext, _context(purpose, row_id))
        except (InvalidTag, ValueError):
            raise SecretUnreadable from None


def _context(purpose: KeyPurpose, row_id: UUID) -> bytes:
    """Return what is authenticated with a secret: its purpose and row."""
    return purpose.encode() + b"\0" + row_id.bytes
