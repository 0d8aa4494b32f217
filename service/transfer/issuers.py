"""Issuers of identities that move in from elsewhere, and what their subjects look like."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from service.transfer.rejections import RowRejected

GITHUB = "https://github.com"

# The providers of Lucia v2 that have one issuer, whoever uses them. GitLab may be anybody's own
# server, and Microsoft's issuer is that of a tenant.
ISSUERS = {
    "google": "https://accounts.google.com",
    "github": GITHUB,
    "apple": "https://appleid.apple.com",
}

# Characters (OpenID Connect Core, section 2).
MAX_SUBJECT = 255
# Characters: an index holds issuer and subject.
MAX_ISSUER = 1024

LOOPBACK = {"localhost", "127.0.0.1", "::1"}

# What a URL has (RFC 3986, section 2), but for a query and a fragment.
_PLAIN_URL = re.compile(r"https?://[\w.~:/\[\]@!$&'()*+,;=%-]+\Z", re.ASCII)
_SUBJECT = re.compile(rf"[\x20-\x7e]{{1,{MAX_SUBJECT}}}\Z")
_GITHUB_ID = re.compile(r"[1-9][0-9]*\Z")


def require_issuer(issuer: str) -> None:
    """Raise `RowRejected` for what is no issuer (OpenID Connect Core, section 2)."""
    if mistake := mistake_in_issuer(issuer):
        raise RowRejected(f"its issuer {mistake}")


def mistake_in_issuer(issuer: str) -> str | None:
    """Return why a text is no issuer, to follow the word; ``None`` if it is one."""
    if len(issuer) > MAX_ISSUER:
        return f"is longer than {MAX_ISSUER} characters"
    if not _is_issuer(issuer):
        return "is not an https URL without user, query and fragment (http: loopback only)"
    return None


def _is_issuer(issuer: str) -> bool:
    if not _PLAIN_URL.match(issuer):
        return False
    try:
        parts = urlsplit(issuer)
        # The port is read to see that it is one.
        is_plain = bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        return False
    return is_plain and (parts.scheme == "https" or parts.hostname in LOOPBACK)


def require_subject(issuer: str, subject: str) -> None:
    """Raise `RowRejected` for what no account of an issuer has for its subject."""
    if not _SUBJECT.match(subject):
        raise RowRejected(f"its subject has not 1 to {MAX_SUBJECT} printable ASCII characters")
    if issuer == GITHUB and not _GITHUB_ID.match(subject):
        raise RowRejected("its subject is not the number of an account at GitHub")
