"""An endpoint that is down: who comes next does not wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from time import monotonic

from service.auth.oidc.cached import FAILURE_LIFETIME
from service.auth.oidc.failures import FetchFailed
from service.auth.oidc.fetching import Answer


class Outage:
    """That an endpoint has failed, which is remembered until it answers, or for a while."""

    def __init__(self) -> None:
        self._until = 0.0

    def require_over(self) -> None:
        """Raise `FetchFailed` if the endpoint has just failed."""
        if monotonic() < self._until:
            raise FetchFailed("the endpoint has just failed", is_logged=True)

    async def answer(self, request: Awaitable[Answer], limit: asyncio.Timeout) -> Answer:
        """Return the answer to a request, whose time ``limit`` ends. Raises `FetchFailed`.

        It is a failure if there is none, or none in time. A client that goes away fails nobody, and
        any status is an answer: whoever sends an odd code could cause a 500.
        """
        try:
            answer = await request
        except FetchFailed:
            self._begin()
            raise
        except asyncio.CancelledError:
            if limit.expired():
                self._begin()
            raise
        self._until = 0.0
        return answer

    def _begin(self) -> None:
        self._until = monotonic() + FAILURE_LIFETIME
