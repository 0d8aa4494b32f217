"""Refusals of passkeys: the reasons are in the log, and not in the response."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from service.auth.errors import FieldCode, FieldError, InvalidCredentials, ValidationFailed

# Characters of a reason in the log, some of which a client may have chosen.
MAX_REASON_LENGTH = 200

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@contextmanager
def refusing(refusal: ValidationFailed | InvalidCredentials) -> Iterator[None]:
    """Raise the refusal instead of any exception, and log the reason."""
    try:
        yield
    except Exception as error:
        log.info("passkey_refused", reason=repr(error)[:MAX_REASON_LENGTH])
        raise refusal from error


def not_allowed() -> ValidationFailed:
    """Return the refusal of a credential that is malformed, or cannot be registered."""
    message = "It is malformed, or was not made by a passkey for this request."
    return ValidationFailed(
        [FieldError(field="credential", code=FieldCode.NOT_ALLOWED, message=message)]
    )
