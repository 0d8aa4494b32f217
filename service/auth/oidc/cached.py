"""A document of a provider: fetched when it is needed, once for all who need it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

import structlog

from service.auth.oidc.failures import TIME_LIMIT, FetchFailed, shown

log: structlog.stdlib.BoundLogger = structlog.get_logger()

# Seconds after which a document is fetched anew.
LIFETIME = 3600

# Seconds for which a failure is remembered: meanwhile nobody waits for a provider that is down.
FAILURE_LIFETIME = 5

# Seconds for which an old document is used on if it could not be fetched anew.
OLD_LIFETIME = 60

# Seconds that fetching may take while there is an old document: the request that waits for it still
# has time to go on with that.
REFRESH_LIMIT = 2

# Seconds between two fetches for requests that need a newer document, as for an unknown key.
MIN_AGE = 60

_T = TypeVar("_T")


class Cached(Generic[_T]):
    """A document of ``provider``, which ``fetch`` returns, or raises `FetchFailed`."""

    def __init__(self, provider: str, fetch: Callable[[], Awaitable[_T]]) -> None:
        self._provider = provider
        self._fetch = fetch
        self._document: _T | None = None
        self._failure = ""
        self._fresh_until = 0.0
        self._newer_from = 0.0
        self._fetching: asyncio.Task[None] | None = None

    async def get(self) -> _T:
        """Return the document, an old one where there is none newer. Raises `FetchFailed`."""
        if monotonic() >= self._fresh_until:
            await self._fetched()
        if self._document is None:
            raise FetchFailed(self._failure, is_logged=True)
        return self._document

    async def newer_than(self, document: _T) -> _T:
        """Return a document that was fetched since another one; that one if it is too early.

        Raises `FetchFailed`.
        """
        if self._document is document:
            if self._fetching is None:
                if monotonic() < self._newer_from:
                    return document
                self._newer_from = monotonic() + MIN_AGE
            await self._fetched()
        if self._document is None or self._document is document:
            raise FetchFailed(self._failure, is_logged=True)
        return self._document

    async def close(self) -> None:
        """Stop fetching."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    async def _fetched(self) -> None:
        """Wait for a fetch, which goes on for others if this request is cancelled."""
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._fetch_once())
            self._fetching.add_done_callback(self._end)
        await asyncio.shield(self._fetching)

    async def _fetch_once(self) -> None:
        try:
            async with asyncio.timeout(REFRESH_LIMIT if self._document else TIME_LIMIT):
                self._document = await self._fetch()
        except FetchFailed as failure:
            self._fail(str(failure), is_logged=failure.is_logged)
        except TimeoutError:
            self._fail("no answer in time")
        else:
            self._fresh_until = monotonic() + LIFETIME

    def _fail(self, reason: str, *, is_logged: bool = False) -> None:
        if not is_logged:
            log.warning("oidc_provider_failed", provider=self._provider, reason=shown(reason))
        self._failure = reason
        self._fresh_until = monotonic() + (OLD_LIFETIME if self._document else FAILURE_LIFETIME)

    def _end(self, _: asyncio.Task[None]) -> None:
        self._fetching = None
