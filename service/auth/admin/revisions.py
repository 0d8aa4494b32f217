"""Revisions of users: by which a program tells that a user was changed since it read them."""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256

import msgspec

from service.auth.errors import PreconditionFailed
from service.model.user_records import UserRecord

DIGEST_LENGTH = 16


def revision_of(record: UserRecord) -> str:
    """Return the revision of a user: another one after each change of what is shown of them.

    The version counts what operators change, and changes of the user name, so that one that was
    taken back is a change too. The digest tells the rest: an address is verified or removed, or
    moves in from elsewhere.
    """
    digest = sha256(msgspec.json.encode(record)).hexdigest()
    return f"{record.version}-{digest[:DIGEST_LENGTH]}"


def require_revision(record: UserRecord, expected: Collection[str] | None) -> None:
    """Raise `PreconditionFailed` if a user has none of the ``expected`` revisions.

    ``None`` expects nothing.
    """
    if expected is not None and revision_of(record) not in expected:
        raise PreconditionFailed
