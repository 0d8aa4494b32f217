"""The cookies that a request carries (RFC 6265, section 5.4)."""

from __future__ import annotations

from collections.abc import Iterator

from litestar.types import Scope


def cookie_pairs(scope: Scope) -> Iterator[bytes]:
    """Return the cookies of a request, ``name=value``, without the white space around them.

    There may be several ``Cookie`` headers: HTTP/2 clients split them (RFC 9113, section 8.2.3).
    """
    for name, header in scope["headers"]:
        if name == b"cookie":
            yield from (pair.strip() for pair in header.split(b";"))
