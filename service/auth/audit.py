"""The audit trail: who did what with which account, as events in the log.

Each has the user's and the session's id where there is one, the address and the request's id, and
never what somebody typed: a password may stand in the wrong field.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from uuid import UUID

import structlog

from service.auth.errors import InvalidCredentials, RateLimited
from service.model import Caller

LOGGER = "audit"

log: structlog.stdlib.BoundLogger = structlog.get_logger(LOGGER)


class Event(StrEnum):
    """What happened. The names are stable."""

    SIGNED_UP = "signed_up"
    SIGN_UP_THROTTLED = "sign_up_throttled"
    LOGGED_IN = "logged_in"
    LOG_IN_FAILED = "log_in_failed"
    LOG_IN_THROTTLED = "log_in_throttled"
    PASSWORD_REFUSED = "password_refused"  # noqa: S105
    PASSWORD_THROTTLED = "password_throttled"  # noqa: S105
    LOGGED_OUT = "logged_out"
    SESSION_REVOKED = "session_revoked"
    OTHER_SESSIONS_REVOKED = "other_sessions_revoked"
    ALL_SESSIONS_REVOKED = "all_sessions_revoked"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105
    USER_DELETED = "user_deleted"


# What the person on call did, by the command.
OPERATOR = Caller()


def record(
    event: Event,
    caller: Caller,
    *,
    user_id: UUID | None = None,
    session_id: UUID | None = None,
    **details: int,
) -> None:
    """Write an event down."""
    address = caller.device.address
    log.info(
        event.value,
        user_id=None if user_id is None else str(user_id),
        session_id=None if session_id is None else str(session_id),
        address=None if address is None else str(address),
        request_id=caller.request_id,
        by="operator" if caller is OPERATOR else "caller",
        **details,
    )


@contextmanager
def throttling_recorded(
    event: Event, caller: Caller, *, user_id: UUID | None = None
) -> Iterator[None]:
    """Write `RateLimited` down."""
    try:
        yield
    except RateLimited:
        record(event, caller, user_id=user_id)
        raise


@contextmanager
def refusals_recorded(
    failed: Event, throttled: Event, caller: Caller, *, user_id: UUID | None = None
) -> Iterator[None]:
    """Write `InvalidCredentials` down as ``failed``, and `RateLimited` as ``throttled``."""
    with throttling_recorded(throttled, caller, user_id=user_id):
        try:
            yield
        except InvalidCredentials:
            record(failed, caller, user_id=user_id)
            raise
