"""The deadline of a request: by when it must be answered, whatever it waits for.

Every wait of a request ends at its deadline: for a connection, for a statement, for a batch of
look-ups, for a hash process. The deadline is a context variable, so each request's task has its
own. Where none was started, as in background tasks and commands, waits have their own limits only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf
from time import monotonic

_deadline: ContextVar[float] = ContextVar("deadline", default=inf)


def start_deadline(seconds: float) -> None:
    """Let the request of the current task have so many seconds from now."""
    _deadline.set(monotonic() + seconds)


def postpone_deadline(seconds: float) -> None:
    """Give back time for which the service waited for the client."""
    _deadline.set(_deadline.get() + seconds)


def deadline() -> float:
    """Return the deadline, by `time.monotonic`; infinite where there is none."""
    return _deadline.get()


def time_limit(seconds: float = inf) -> asyncio.Timeout:
    """Limit an ``async with`` block to ``seconds``, and to the deadline.

    The block raises `TimeoutError`, as does this function if no time is left.
    """
    left = min(seconds, _deadline.get() - monotonic())
    if left <= 0:
        raise TimeoutError("no time is left for this request")
    return asyncio.timeout(None if left == inf else left)


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Let all that the body waits for end in so many seconds, and give that time back after it."""
    started = monotonic()
    token = _deadline.set(min(_deadline.get(), started + seconds))
    try:
        yield
    finally:
        _deadline.reset(token)
        postpone_deadline(monotonic() - started)


@contextmanager
def at_least(seconds: float) -> Iterator[None]:
    """Grant the body at least so many seconds: for what must be undone when time is over."""
    token = _deadline.set(max(_deadline.get(), monotonic() + seconds))
    try:
        yield
    finally:
        _deadline.reset(token)
