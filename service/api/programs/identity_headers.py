"""The headers by which an application learns who sends a request: all of them, always.

A header that is left out would let that of the client through. Text of users is percent-encoded
(RFC 3986, section 2.1), in UTF-8: headers are ASCII.
"""

from __future__ import annotations

from urllib.parse import quote

from service.auth.sessions import LiveSession

Headers = list[tuple[bytes, bytes]]


def identity_headers(live: LiveSession, cookie: bytes) -> Headers:
    """Return the headers for the user of a session.

    ``cookie`` has the cookies that the application may see. It is in ``Cookie`` as well, for
    proxies that can pass a header on under its own name only, like Traefik.
    """
    user, session = live.user, live.session
    user_id = str(user.id).encode()
    return [
        (b"x-ostiary-user-id", user_id),
        (b"x-ostiary-username", _encoded(user.username)),
        (b"x-ostiary-email", _encoded(user.email if user.email_verified_at else None)),
        (b"x-ostiary-roles", ",".join(sorted(user.roles)).encode()),
        (b"x-ostiary-session-id", str(session.id).encode()),
        (b"x-ostiary-methods", ",".join(sorted(session.methods)).encode()),
        (b"remote-user", user_id),
        (b"x-ostiary-cookie", cookie),
        (b"cookie", cookie),
    ]


def _encoded(text: str | None) -> bytes:
    """Return a text, percent-encoded but for unreserved characters and ``@``."""
    if text is None:
        return b""
    if text.isascii() and text.isalnum():
        return text.encode()
    return quote(text, safe="@").encode()
