"""Factors of users of a file, converted to rows of the tables."""

from __future__ import annotations

import binascii
import json
from base64 import b32decode
from datetime import datetime
from uuid import UUID, uuid4

from service.auth import base64url
from service.auth.errors import InvalidField
from service.auth.factors.cose_keys import check_public_key
from service.auth.factors.passkey_names import PasskeyName
from service.auth.factors.passkeys import MAX_PASSKEYS
from service.auth.factors.totp import PERIOD
from service.auth.secret_keys import KeyPurpose, Keyring
from service.auth.usernames import NOT_STORABLE
from service.storage.transfer.rows import LoadedPasskey, LoadedRecoveryCode, LoadedTOTP
from service.transfer.format import PasskeyRow, RecoveryCodeRow, TOTPRow, UserRow
from service.transfer.rejections import RowRejected

# Bytes: apps have secrets of 80 bits and more; RFC 2104 hashes what is longer than a block.
MIN_SECRET, MAX_SECRET = 10, 64

# Bytes (Web Authentication, sections 4 and 5.4.3).
MAX_CREDENTIAL_ID = 1023
MAX_HANDLE = 64


def totp_row(row: TOTPRow, keyring: Keyring, latest: datetime) -> LoadedTOTP:
    """Return an app with its secret sealed. Raises `RowRejected`."""
    if row.last_step > latest.timestamp() // PERIOD:
        raise RowRejected("the last_step of its app is in the future")
    secret_id = uuid4()
    sealed = None
    if isinstance(row.secret, str):
        sealed = keyring.seal(KeyPurpose.TOTP_SECRET, secret_id, _secret_of(row.secret))
    return LoadedTOTP(
        secret_id=secret_id,
        key_id=None if sealed is None else sealed.key_id,
        ciphertext=None if sealed is None else sealed.ciphertext,
        last_step=row.last_step,
        created_at=row.created_at,
        confirmed_at=row.confirmed_at,
        last_used_at=row.last_used_at,
    )


def _secret_of(text: str) -> bytes:
    try:
        secret = b32decode(text + "=" * (-len(text) % 8))
    except (binascii.Error, ValueError) as error:
        raise RowRejected("the secret of its app is not base32") from error
    if not MIN_SECRET <= len(secret) <= MAX_SECRET:
        raise RowRejected(f"the secret of its app has not {MIN_SECRET} to {MAX_SECRET} bytes")
    return secret


def handle_of(row: UserRow) -> bytes | None:
    """Return the handle by which authenticators know a user. Raises `RowRejected`."""
    if row.passkey_handle is None:
        if row.passkeys:
            raise RowRejected("it has passkeys without a passkey_handle: none could log in")
        return None
    return _bytes_of(row.passkey_handle, "passkey_handle", MAX_HANDLE)


def passkey_rows(rows: list[PasskeyRow]) -> list[LoadedPasskey]:
    """Return passkeys whose public keys can verify signatures. Raises `RowRejected`."""
    if len(rows) > MAX_PASSKEYS:
        raise RowRejected(f"it has more than {MAX_PASSKEYS} passkeys")
    passkeys = [_passkey_row(each) for each in rows]
    if len({each.credential_id for each in passkeys}) < len(passkeys):
        raise RowRejected("it has a passkey twice")
    if len({each.id for each in passkeys}) < len(passkeys):
        raise RowRejected("two of its passkeys have one id")
    return passkeys


def _passkey_row(row: PasskeyRow) -> LoadedPasskey:
    if NOT_STORABLE.search("".join((row.name, row.rp_id, *row.transports))):
        raise RowRejected("a passkey has a character that PostgreSQL cannot store")
    public_key = _bytes_of(row.public_key, "public_key", MAX_CREDENTIAL_ID * 2)
    try:
        name = PasskeyName.parse(row.name)
        check_public_key(public_key)
    except InvalidField as error:
        raise RowRejected(error.message) from error
    except Exception as error:
        raise RowRejected("the public_key of a passkey is none that is accepted") from error
    return LoadedPasskey(
        id=_uuid_of(row.id, "id"),
        credential_id=_bytes_of(row.credential_id, "credential_id", MAX_CREDENTIAL_ID),
        public_key=public_key,
        sign_count=row.sign_count,
        rp_id=row.rp_id,
        transports=json.dumps(row.transports),
        name=name,
        aaguid=None if row.aaguid is None else _uuid_of(row.aaguid, "aaguid"),
        is_backup_eligible=row.backup_eligible,
        is_backed_up=row.backed_up,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
    )


def recovery_code_rows(rows: list[RecoveryCodeRow]) -> list[LoadedRecoveryCode]:
    """Return recovery codes. Raises `RowRejected`."""
    if len({each.hash for each in rows}) < len(rows):
        raise RowRejected("it has a recovery code twice")
    return [
        LoadedRecoveryCode(hash=bytes.fromhex(each.hash), created_at=each.created_at)
        for each in rows
    ]


def _bytes_of(text: str, member: str, most: int) -> bytes:
    try:
        decoded = base64url.decode(text)
    except (ValueError, UnicodeEncodeError) as error:
        raise RowRejected(f"its {member} is not base64url without padding") from error
    if not 1 <= len(decoded) <= most:
        raise RowRejected(f"its {member} has not 1 to {most} bytes")
    return decoded


def _uuid_of(text: str, member: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise RowRejected(f"the {member} of a passkey is not a UUID") from error
