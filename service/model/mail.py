"""Mails that the service sends, from the outbox to the recipient."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from msgspec import Struct

from service.model.challenges import Purpose


class Language(StrEnum):
    """The language of a mail."""

    ENGLISH = "en"
    KOREAN = "ko"


class MailKind(StrEnum):
    """What a mail says. Those after the first seven are notices."""

    SIGN_UP_CODE = "sign_up_code"
    ACCOUNT_EXISTS = "account_exists"
    VERIFY_EMAIL_CODE = "verify_email_code"
    REAUTHENTICATE_CODE = "reauthenticate_code"
    RESET_LINK = "reset_link"
    UNDO_RESET_LINK = "undo_reset_link"
    INVITATION = "invitation"

    EMAIL_REQUESTED = "email_requested"
    EMAIL_CHANGED = "email_changed"
    EMAIL_REMOVED = "email_removed"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    PASSWORD_REMOVED = "password_removed"  # noqa: S105
    USERNAME_CHANGED = "username_changed"
    NEW_DEVICE = "new_device"
    OPERATOR_RESET_LINK = "operator_reset_link"
    DATA_EXPORTED = "data_exported"
    ACCOUNT_DELETED = "account_deleted"
    FACTOR_ADDED = "factor_added"
    FACTOR_REMOVED = "factor_removed"
    RECOVERY_CODE_USED = "recovery_code_used"
    RECOVERY_CODES_RENEWED = "recovery_codes_renewed"
    IDENTITY_ADDED = "identity_added"
    IDENTITY_REMOVED = "identity_removed"
    SECOND_FACTOR_FAILED = "second_factor_failed"

    @property
    def is_notice(self) -> bool:
        """Whether it tells of something that was done: no limit applies to it."""
        return self not in ASKED_FOR

    @property
    def is_kept(self) -> bool:
        """Whether it becomes a dead letter if it cannot be sent in time: nobody asks for another.

        Who waits for a code or a link does.
        """
        return self.is_notice or self is MailKind.INVITATION


WITH_CODE = frozenset(
    {MailKind.SIGN_UP_CODE, MailKind.VERIFY_EMAIL_CODE, MailKind.REAUTHENTICATE_CODE}
)
WITH_LINK = frozenset({MailKind.RESET_LINK, MailKind.UNDO_RESET_LINK})
ASKED_FOR = WITH_CODE | WITH_LINK | {MailKind.ACCOUNT_EXISTS, MailKind.INVITATION}


class Mail(Struct, frozen=True, kw_only=True):
    """A mail for the outbox: the recipient as verified, and what the text needs, never a secret.

    A mail with a code or a link needs the challenge that it answers.
    """

    kind: MailKind
    recipient: str
    challenge_id: UUID | None = None
    data: dict[str, Any] = {}


class MailedInvitation(Struct, frozen=True, kw_only=True):
    """The invitation that a mail brings: its token derives from the id, by a secret key."""

    id: UUID
    key_id: str
    expires_at: datetime


class LeasedMail(Struct, frozen=True, kw_only=True):
    """A mail that this process may send until its lease ends; ``attempts`` identifies the lease.

    ``purpose`` and ``key_id`` are those of its challenge, if that is still there; so is the
    ``invitation``.
    """

    id: UUID
    kind: MailKind
    recipient: str
    language: Language
    data: dict[str, Any]
    attempts: int
    created_at: datetime
    is_expired: bool
    challenge_id: UUID | None
    purpose: Purpose | None
    key_id: str | None
    invitation: MailedInvitation | None = None


class MailInfo(Struct, frozen=True, kw_only=True):
    """A mail of the outbox as it is shown to operators. One with ``failed_at`` is a dead letter."""

    id: UUID
    kind: str
    recipient: str
    attempts: int
    error: str | None
    created_at: datetime
    next_attempt_at: datetime
    failed_at: datetime | None


class MailCounts(Struct, frozen=True, kw_only=True):
    """How many mails are in the outbox."""

    waiting: int
    dead: int
