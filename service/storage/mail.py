"""The outbox: the statements on the table."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Interval, Row, bindparam, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from service.model.challenges import Purpose
from service.model.mail import (
    Language,
    LeasedMail,
    Mail,
    MailCounts,
    MailedInvitation,
    MailInfo,
    MailKind,
)
from service.storage.tables import mail

ADD = insert(mail).values(expires_at=func.now() + bindparam("lifetime", type_=Interval))


async def add_mail(
    connection: AsyncConnection, new: Mail, language: Language, lifetime: float
) -> None:
    """Insert a mail, which may be sent for ``lifetime`` seconds."""
    values = {
        "id": uuid4(),
        "kind": new.kind,
        "recipient": new.recipient,
        "language": language,
        "challenge_id": new.challenge_id,
        "data": new.data,
        "lifetime": timedelta(seconds=lifetime),
    }
    await connection.execute(ADD, values)


def _one_of(values: type[StrEnum]) -> str:
    return ", ".join(f"'{each}'" for each in values)


# Of simultaneous statements each skips what another has locked, and after that finds it leased.
# What a later version has written, beside which this one runs during an upgrade, is left to that.
LEASE = (
    text(
        f"""
    WITH due AS (
        SELECT mail.id, challenge.purpose, challenge.key_id, invitation.id AS invitation_id,
               invitation.expires_at AS invitation_expires_at
        FROM mail LEFT JOIN challenge
          ON challenge.id = mail.challenge_id AND challenge.expires_at > now()
        LEFT JOIN invitation
          ON invitation.id = CAST(mail.data ->> 'invitation_id' AS uuid)
          AND invitation.expires_at > now()
        WHERE mail.next_attempt_at <= now() AND mail.failed_at IS NULL
          AND mail.kind IN ({_one_of(MailKind)}) AND mail.language IN ({_one_of(Language)})
          AND coalesce(challenge.purpose IN ({_one_of(Purpose)}), true)
        ORDER BY mail.next_attempt_at LIMIT 1
        FOR UPDATE OF mail SKIP LOCKED
    )
    UPDATE mail SET attempts = attempts + 1, next_attempt_at = now() + :lease
    FROM due WHERE mail.id = due.id
    RETURNING mail.id, mail.kind, mail.recipient, mail.language, mail.data, mail.attempts,
              mail.created_at, mail.expires_at <= now() AS is_expired, mail.challenge_id,
              due.purpose, due.key_id, due.invitation_id, due.invitation_expires_at
    """  # noqa: S608
    )
    .bindparams(bindparam("lease", type_=Interval))
    .columns(data=JSONB)
)


async def lease_mail(connection: AsyncConnection, seconds: float) -> LeasedMail | None:
    """Lease the mail that has been due for longest, if there is one, for so many seconds.

    If it is not settled by then, it is due again.
    """
    row = (await connection.execute(LEASE, {"lease": timedelta(seconds=seconds)})).one_or_none()
    return None if row is None else _leased(row)


_LEASED = (mail.c.id == bindparam("mail_id"), mail.c.attempts == bindparam("lease_number"))

REMOVE = delete(mail).where(*_LEASED)


async def remove_mail(connection: AsyncConnection, leased: LeasedMail) -> None:
    """Delete a mail that was sent or has expired, unless its lease has passed on."""
    await connection.execute(REMOVE, _lease_of(leased))


POSTPONE = (
    update(mail)
    .where(*_LEASED)
    .values(
        next_attempt_at=func.now() + bindparam("pause", type_=Interval),
        error=bindparam("reason"),
    )
)


async def postpone_mail(
    connection: AsyncConnection, leased: LeasedMail, seconds: float, error: str
) -> None:
    """Let a mail be due again in so many seconds, unless its lease has passed on."""
    parameters = {"pause": timedelta(seconds=seconds), "reason": error}
    await connection.execute(POSTPONE, {**_lease_of(leased), **parameters})


GIVE_UP = update(mail).where(*_LEASED).values(failed_at=func.now(), error=bindparam("reason"))


async def give_up_mail(connection: AsyncConnection, leased: LeasedMail, error: str) -> None:
    """Make a mail a dead letter, unless its lease has passed on."""
    await connection.execute(GIVE_UP, {**_lease_of(leased), "reason": error})


LIST = (
    select(
        *(mail.c.id, mail.c.kind, mail.c.recipient, mail.c.attempts, mail.c.error),
        *(mail.c.created_at, mail.c.next_attempt_at, mail.c.failed_at),
    )
    .where(mail.c.id > bindparam("after", type_=mail.c.id.type))
    .order_by(mail.c.id)
    .limit(bindparam("max_rows"))
)


async def list_mails(connection: AsyncConnection, max_rows: int, after: UUID) -> list[MailInfo]:
    """Return mails of the outbox in the order of their ids, those after an id."""
    rows = await connection.execute(LIST, {"max_rows": max_rows, "after": after})
    return [MailInfo(**row._mapping) for row in rows]  # noqa: SLF001


# A mail with a challenge has as much time as before: what its code would open is gone by then.
RETRY = text(
    """
    UPDATE mail SET failed_at = NULL, next_attempt_at = now(),
        expires_at = CASE WHEN challenge_id IS NULL
            THEN greatest(expires_at, now() + :lifetime) ELSE expires_at END
    WHERE failed_at IS NOT NULL AND id = coalesce(CAST(:mail_id AS uuid), id)
    """
).bindparams(bindparam("lifetime", type_=Interval))


async def retry_mails(connection: AsyncConnection, mail_id: UUID | None, lifetime: float) -> int:
    """Let a dead letter, or all of them, be due again. Returns how many."""
    parameters = {"mail_id": mail_id, "lifetime": timedelta(seconds=lifetime)}
    return (await connection.execute(RETRY, parameters)).rowcount


COUNT = select(
    func.count().filter(mail.c.failed_at.is_(None)).label("waiting"),
    func.count().filter(mail.c.failed_at.is_not(None)).label("dead"),
).select_from(mail)


async def count_mails(connection: AsyncConnection) -> MailCounts:
    """Return how many mails wait, and how many are dead letters."""
    row = (await connection.execute(COUNT)).one()
    return MailCounts(waiting=row.waiting, dead=row.dead)


DELETE_OLD = text(
    """
    DELETE FROM mail WHERE id = ANY (ARRAY(
        SELECT id FROM mail WHERE failed_at <= now() - :lifetime
        LIMIT :max_rows FOR UPDATE SKIP LOCKED
    ))
    """
).bindparams(bindparam("lifetime", type_=Interval))


async def delete_dead_letters(connection: AsyncConnection, lifetime: float, max_rows: int) -> int:
    """Delete up to ``max_rows`` mails that have been dead for ``lifetime`` seconds."""
    parameters = {"lifetime": timedelta(seconds=lifetime), "max_rows": max_rows}
    return (await connection.execute(DELETE_OLD, parameters)).rowcount


def _lease_of(leased: LeasedMail) -> dict[str, Any]:
    return {"mail_id": leased.id, "lease_number": leased.attempts}


def _leased(row: Row[Any]) -> LeasedMail:
    created_at: datetime = row.created_at
    return LeasedMail(
        id=row.id,
        kind=MailKind(row.kind),
        recipient=row.recipient,
        language=Language(row.language),
        data=row.data,
        attempts=row.attempts,
        created_at=created_at,
        is_expired=row.is_expired,
        challenge_id=row.challenge_id,
        purpose=None if row.purpose is None else Purpose(row.purpose),
        key_id=row.key_id,
        invitation=_invitation(row),
    )


def _invitation(row: Row[Any]) -> MailedInvitation | None:
    if row.invitation_id is None:
        return None
    return MailedInvitation(
        id=row.invitation_id,
        key_id=row.data["key_id"],
        expires_at=row.invitation_expires_at,
    )
