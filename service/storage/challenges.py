"""Challenges: the statements on the table."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Interval,
    Row,
    Select,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.challenges import MAX_FAILURES, Challenge, Purpose, Subject
from service.model.sessions import SecretHash
from service.storage.tables import challenge, user

NOW = func.now()

# The lock on a user decides which of two changes is the later one, and not when their transactions
# began, so neither does that decide which of two challenges expires later.
ADD = (
    insert(challenge)
    .values(expires_at=func.clock_timestamp() + bindparam("lifetime", type_=Interval))
    .returning(challenge.c.expires_at)
)


async def add_challenge(  # noqa: PLR0913
    connection: AsyncConnection,
    *,
    challenge_id: UUID,
    purpose: Purpose,
    subject: Subject,
    secret_hash: SecretHash | None,
    key_id: str | None,
    lifetime: float,
) -> datetime:
    """Insert a challenge that expires in ``lifetime`` seconds. Returns when that is."""
    values = {
        "id": challenge_id,
        "purpose": purpose,
        "secret_hash": secret_hash,
        "user_id": subject.user_id,
        "security_version": subject.security_version,
        "session_id": subject.session_id,
        "address": subject.address,
        "display_address": subject.display_address,
        "key_id": key_id,
        "lifetime": timedelta(seconds=lifetime),
        "data": subject.data,
    }
    expires_at: datetime = (await connection.execute(ADD, values)).scalar_one()
    return expires_at


PRESENT_VERSION = (
    select(user.c.security_version).where(user.c.id == challenge.c.user_id).correlate(challenge)
)


def _answerable(present_version: Select[tuple[int]]) -> list[ColumnElement[bool]]:
    """Return the conditions on which a challenge can be answered, in this session or in none."""
    return [
        challenge.c.id == bindparam("challenge_id"),
        challenge.c.purpose == bindparam("purpose"),
        challenge.c.session_id.is_not_distinct_from(
            bindparam("session_id", type_=challenge.c.session_id.type)
        ),
        challenge.c.failures < MAX_FAILURES,
        challenge.c.expires_at > NOW,
        or_(
            challenge.c.security_version.is_(None),
            challenge.c.security_version == present_version.scalar_subquery(),
        ),
    ]


FIND = select(challenge).where(*_answerable(PRESENT_VERSION))


async def find_challenge(
    connection: AsyncConnection, challenge_id: UUID, purpose: Purpose, session_id: UUID | None
) -> Challenge | None:
    """Find a challenge that can be answered, in this session or in none."""
    parameters = {"challenge_id": challenge_id, "purpose": purpose, "session_id": session_id}
    row = (await connection.execute(FIND, parameters)).one_or_none()
    return None if row is None else _challenge(row)


# One answer after another: each waits for the row, and sees what the one before it has made of it.
COUNT_FAILURE = (
    update(challenge)
    .where(
        challenge.c.id == bindparam("challenge_id"),
        challenge.c.failures < MAX_FAILURES,
        challenge.c.expires_at > NOW,
    )
    .values(failures=challenge.c.failures + 1)
    .returning(challenge.c.failures)
)


async def count_failure(connection: AsyncConnection, challenge_id: UUID) -> int:
    """Count a wrong answer. Returns how many more there may be; 0 if it was one too many."""
    result = await connection.execute(COUNT_FAILURE, {"challenge_id": challenge_id})
    failures = result.scalar_one_or_none()
    return 0 if failures is None else MAX_FAILURES - failures


# The user is locked first: a change of the security version under way is waited for. An exclusive
# lock, since a claim is often followed by such a change; of two shared ones, neither could change.
CLAIM = (
    delete(challenge)
    .where(
        *_answerable(PRESENT_VERSION.with_for_update(key_share=True)),
        challenge.c.secret_hash.is_not_distinct_from(
            bindparam("secret_hash", type_=challenge.c.secret_hash.type)
        ),
        challenge.c.key_id.is_not(None),
    )
    .returning(*challenge.c)
)


async def claim_challenge(connection: AsyncConnection, checked: Challenge) -> Challenge | None:
    """Delete a challenge, in the transaction of what its answer allows.

    Returns ``None`` if it can no longer be answered.
    """
    parameters = {
        "challenge_id": checked.id,
        "purpose": checked.purpose,
        "session_id": checked.subject.session_id,
        "secret_hash": checked.secret_hash,
    }
    row = (await connection.execute(CLAIM, parameters)).one_or_none()
    return None if row is None else _challenge(row)


END_OF_USER = delete(challenge).where(
    challenge.c.user_id == bindparam("of_user"),
    challenge.c.purpose.in_(bindparam("purposes", expanding=True)),
)


async def delete_challenges_of(
    connection: AsyncConnection, user_id: UUID, purposes: list[Purpose]
) -> int:
    """Delete the challenges of a user for these purposes. Returns how many."""
    parameters = {"of_user": user_id, "purposes": purposes}
    return (await connection.execute(END_OF_USER, parameters)).rowcount


# Whoever has made the later change has got the token that undoes it.
END_LATER_UNDOS = delete(challenge).where(
    challenge.c.user_id == bindparam("of_user"),
    challenge.c.purpose == Purpose.UNDO,
    challenge.c.expires_at >= bindparam("later_than", type_=challenge.c.expires_at.type),
)


async def end_later_undos(connection: AsyncConnection, user_id: UUID, later_than: datetime) -> None:
    """Delete the challenges by which changes of a user can be undone that were made later."""
    parameters = {"of_user": user_id, "later_than": later_than}
    await connection.execute(END_LATER_UNDOS, parameters)


LATEST_EXPIRY = (
    select(challenge.c.key_id, func.max(challenge.c.expires_at))
    .where(challenge.c.key_id.is_not(None), challenge.c.expires_at > NOW)
    .group_by(challenge.c.key_id)
)


async def latest_expiry_by_key(connection: AsyncConnection) -> dict[str, datetime]:
    """Return when the last challenge of each secret key expires, by the key's id."""
    return {row[0]: row[1] for row in await connection.execute(LATEST_EXPIRY)}


DELETE_EXPIRED = text(
    """
    DELETE FROM challenge WHERE id = ANY (ARRAY(
        SELECT id FROM challenge WHERE expires_at <= now() AND purpose <> 'second_factor'
        LIMIT :max_rows FOR UPDATE SKIP LOCKED
    ))
    """
)


async def delete_expired_challenges(connection: AsyncConnection, max_rows: int) -> int:
    """Delete up to ``max_rows`` expired challenges. Returns how many.

    Not those of log-ins that were abandoned: their users are told (see `abandoned_log_ins`).
    """
    return (await connection.execute(DELETE_EXPIRED, {"max_rows": max_rows})).rowcount


def _challenge(row: Row[Any]) -> Challenge:
    return Challenge(
        id=row.id,
        purpose=Purpose(row.purpose),
        subject=Subject(
            user_id=row.user_id,
            security_version=row.security_version,
            session_id=row.session_id,
            address=row.address,
            display_address=row.display_address,
            data=row.data,
        ),
        key_id=row.key_id,
        secret_hash=None if row.secret_hash is None else SecretHash(row.secret_hash),
        expires_at=row.expires_at,
    )
