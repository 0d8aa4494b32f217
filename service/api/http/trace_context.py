"""The trace that a request belongs to, in the log (W3C Trace Context, section 3.2).

It links log events and traces in both directions. The ids are the client's word; nothing else
depends on them.
"""

from __future__ import annotations

import re

from litestar.types import Scope
from structlog.contextvars import bind_contextvars

HEADER = b"traceparent"

# Versions after 00 may have more after the flags. An id of zeros, and version ff, are invalid.
_TRACEPARENT = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?"
)


def bind_trace(scope: Scope) -> None:
    """Add ``trace_id``, and ``parent_id`` of the caller's span, to all that a request logs.

    A header that is invalid, or not the only one, is ignored.
    """
    values = [value for name, value in scope["headers"] if name == HEADER]
    match = _TRACEPARENT.fullmatch(values[0]) if len(values) == 1 else None
    if match and (match[3] is None or not values[0].startswith(b"00")):
        bind_contextvars(trace_id=match[1].decode(), parent_id=match[2].decode())
