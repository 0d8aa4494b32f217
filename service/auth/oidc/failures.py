"""Why a provider cannot be asked, or its answer cannot be used; and what the caller is told."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from service.auth.errors import AccountNotProven, ProviderUnavailable
from service.model.deadline import time_limit

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds for all requests to a provider together that one request of a client needs.
TIME_LIMIT = 5

# What is shown of a provider's texts, which may have anything in them.
_MAX_SHOWN = 300
_NOT_SHOWN = re.compile(r"[^\x20-\x7e]+")


class FetchFailed(Exception):
    """The provider gave no answer that can be used; the message says why, without a secret.

    ``is_logged``: the log has it already.
    """

    def __init__(self, message: str, *, is_logged: bool = False) -> None:
        super().__init__(message)
        self.is_logged = is_logged


class ClientRefused(Exception):
    """The provider refuses the client, not the user: the settings or its configuration are wrong.

    ``error`` and ``description`` are texts of the provider (RFC 6749, section 5.2).
    """

    def __init__(self, error: str, description: str = "") -> None:
        super().__init__(error)
        self.error = error
        self.description = description


class ProofRefused(Exception):
    """A code or an ID token proves no account; the message says why, and shows none of it."""


@asynccontextmanager
async def provider_request(provider: str) -> AsyncIterator[asyncio.Timeout]:
    """Limit the time of a request's dealings with a provider, and tell how they end.

    Yields the limit.

    Raises `AccountNotProven` for what proves no account, and `ProviderUnavailable` for all else
    that fails; the log says why.
    """
    try:
        async with time_limit(TIME_LIMIT) as limit:
            yield limit
    except ProofRefused as refusal:
        raise proof_refused(provider, str(refusal)) from None
    except ClientRefused as refusal:
        _tell_operator(provider, refusal)
        raise ProviderUnavailable from None
    except FetchFailed as failure:
        if not failure.is_logged:
            log.warning("oidc_provider_failed", provider=provider, reason=shown(str(failure)))
        raise ProviderUnavailable from None
    except TimeoutError:
        log.warning("oidc_provider_failed", provider=provider, reason="no answer in time")
        raise ProviderUnavailable from None


def proof_refused(provider: str, reason: str) -> AccountNotProven:
    """Log why what a provider answered proves nobody, and return what to raise."""
    log.info("oidc_proof_refused", provider=provider, reason=shown(reason))
    return AccountNotProven()


def _tell_operator(provider: str, refusal: ClientRefused) -> None:
    log.error(
        "oidc_client_refused",
        provider=provider,
        error=shown(refusal.error),
        description=shown(refusal.description),
    )


def shown(text: str) -> str:
    """Return a text of a provider as it may be logged: short, and of printable ASCII only."""
    return _NOT_SHOWN.sub("?", text)[:_MAX_SHOWN]
