"""The audit trail: security events, as a logger of its own.

An event has the ids of the user and the session where they are known, the address and the request
id. It never has what was typed: a password may have been typed into the wrong field.
"""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

import structlog

from service.metrics import AUDIT_EVENTS, SESSIONS_ENDED, SESSIONS_OPENED
from service.model.request_context import RequestContext

LOGGER = "audit"

log: structlog.stdlib.BoundLogger = structlog.get_logger(LOGGER)


class Event(StrEnum):
    """What happened. The names are stable."""

    SIGNED_UP = "signed_up"
    SIGN_UP_REQUESTED = "sign_up_requested"
    SIGN_UP_THROTTLED = "sign_up_throttled"
    LOGGED_IN = "logged_in"
    LOG_IN_FAILED = "log_in_failed"
    LOG_IN_THROTTLED = "log_in_throttled"
    PASSWORD_REFUSED = "password_refused"  # noqa: S105
    PASSWORD_THROTTLED = "password_throttled"  # noqa: S105
    SECOND_FACTOR_REQUIRED = "second_factor_required"
    SECOND_FACTOR_FAILED = "second_factor_failed"
    SECOND_FACTOR_THROTTLED = "second_factor_throttled"
    SECOND_FACTOR_ABANDONED = "second_factor_abandoned"
    PASSKEY_COUNT_WENT_BACK = "passkey_count_went_back"
    LOGGED_OUT = "logged_out"
    SESSION_REPLACED = "session_replaced"
    SESSION_LIMIT_EXCEEDED = "session_limit_exceeded"
    SESSION_REVOKED = "session_revoked"
    OTHER_SESSIONS_REVOKED = "other_sessions_revoked"
    ALL_SESSIONS_REVOKED = "all_sessions_revoked"
    REAUTHENTICATED = "reauthenticated"
    USERNAME_CHANGED = "username_changed"
    ACCOUNT_EXPORTED = "account_exported"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    PASSWORD_REMOVED = "password_removed"  # noqa: S105
    FACTOR_ADDED = "factor_added"
    FACTOR_REMOVED = "factor_removed"
    IDENTITY_LINKED = "identity_linked"
    IDENTITY_UNLINKED = "identity_unlinked"
    RECOVERY_CODE_USED = "recovery_code_used"
    RECOVERY_CODES_RENEWED = "recovery_codes_renewed"
    PASSWORD_RESET_REQUESTED = "password_reset_requested"  # noqa: S105
    PASSWORD_RESET = "password_reset"  # noqa: S105
    EMAIL_REQUESTED = "email_requested"
    EMAIL_CHANGED = "email_changed"
    EMAIL_REMOVED = "email_removed"
    CHANGE_UNDONE = "change_undone"
    MAIL_REQUEST_THROTTLED = "mail_request_throttled"
    RESET_LINK_MADE = "reset_link_made"
    USER_CREATED = "user_created"
    USER_READ = "user_read"
    USERS_LISTED = "users_listed"
    SESSIONS_READ = "sessions_read"
    FACTORS_READ = "factors_read"
    ROLES_CHANGED = "roles_changed"
    METADATA_CHANGED = "metadata_changed"
    USER_DISABLED = "user_disabled"
    USER_ENABLED = "user_enabled"
    DISABLED_USER_REFUSED = "disabled_user_refused"
    USER_DELETED = "user_deleted"
    SCOPE_REFUSED = "scope_refused"
    SERVICE_TOKEN_CREATED = "service_token_created"  # noqa: S105
    SERVICE_TOKEN_REVOKED = "service_token_revoked"  # noqa: S105
    SERVICE_TOKEN_CONFIRMED = "service_token_confirmed"  # noqa: S105
    SIGNING_KEY_ROTATED = "signing_key_rotated"
    DATABASE_RESTORED = "database_restored"
    USERS_EXPORTED = "users_exported"
    USERS_IMPORTED = "users_imported"
    INVITATIONS_LISTED = "invitations_listed"
    INVITATION_CREATED = "invitation_created"
    INVITATION_WITHDRAWN = "invitation_withdrawn"
    INVITATION_ACCEPTED = "invitation_accepted"


OPENING = {Event.SIGNED_UP, Event.LOGGED_IN, Event.PASSWORD_RESET}
ENDING = {
    *(Event.LOGGED_OUT, Event.SESSION_REPLACED, Event.SESSION_LIMIT_EXCEEDED),
    *(Event.SESSION_REVOKED, Event.OTHER_SESSIONS_REVOKED, Event.ALL_SESSIONS_REVOKED),
    *(Event.PASSWORD_CHANGED, Event.PASSWORD_RESET, Event.CHANGE_UNDONE),
    *(Event.PASSWORD_REMOVED, Event.FACTOR_ADDED, Event.FACTOR_REMOVED, Event.USER_DISABLED),
    Event.IDENTITY_UNLINKED,
}

# The context of what an operator does on the command line.
OPERATOR = RequestContext()


def record(
    event: Event,
    context: RequestContext,
    *,
    user_id: UUID | None = None,
    session_id: UUID | None = None,
    **details: int | str,
) -> None:
    """Log an event, and count it; ``ended`` is the number of sessions that it ended, if not one."""
    AUDIT_EVENTS.add(event.value)
    if event in OPENING:
        SESSIONS_OPENED.add(event.value)
    if event in ENDING:
        SESSIONS_ENDED.add(event.value, number=int(details.get("ended", 1)))
    address = context.device.address
    if context.service_token_id is not None:
        details["service_token_id"] = str(context.service_token_id)
    log.info(
        event.value,
        user_id=None if user_id is None else str(user_id),
        session_id=None if session_id is None else str(session_id),
        address=None if address is None else str(address),
        request_id=context.request_id,
        by=_actor(context),
        **details,
    )


def _actor(context: RequestContext) -> str:
    if context is OPERATOR:
        return "operator"
    return "user" if context.service_token_id is None else "program"
