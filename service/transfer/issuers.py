"""Issuers of identities that move in from elsewhere, and what their subjects look like."""

from __future__ import annotations

import re

from service.settings.oidc_presets import PRESETS, Preset
from service.settings.oidc_values import TENANT_ID, ProviderIssuer
from service.transfer.rejections import RowRejected

# The providers of Lucia v2 that have one issuer, whoever uses them. GitLab may be anybody's own
# server, and Microsoft's issuer is that of a tenant.
ISSUERS: dict[str, str] = {
    each.value: PRESETS[each].issuer for each in (Preset.GOOGLE, Preset.GITHUB, Preset.APPLE)
}

# Characters: an index holds issuer and subject.
MAX_ISSUER = 1024

# OpenID Connect Core, section 2.
MAX_SUBJECT = 255
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
    if TENANT_ID in issuer:
        return f"has {TENANT_ID} in place of the id of a tenant"
    try:
        ProviderIssuer.parse(issuer)
    except ValueError:
        return "is not an https URL without user, query and fragment (http: loopback only)"
    return None


def require_subject(issuer: str, subject: str) -> None:
    """Raise `RowRejected` for what no account of an issuer has for its subject."""
    if not _SUBJECT.match(subject):
        raise RowRejected(f"its subject has not 1 to {MAX_SUBJECT} printable ASCII characters")
    if issuer == PRESETS[Preset.GITHUB].issuer and not _GITHUB_ID.match(subject):
        raise RowRejected("its subject is not the number of an account at GitHub")
