"""An environment variable: the setting that it sets, and how its text is read."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
from msgspec import Struct

from service.settings.hosts import HostNames
from service.settings.jwt import Audiences, Issuer
from service.settings.link_url import LinkURL
from service.settings.mailbox import Mailbox
from service.settings.oidc_values import (
    ClientIds,
    ProviderIssuer,
    Scopes,
    SignatureAlgorithms,
    Tenants,
)
from service.settings.origins import Origins
from service.settings.permitted import permitted
from service.settings.redirect_uris import RedirectURIs
from service.settings.relying_party import PasskeyOrigins
from service.settings.secret_keys import SecretKeys
from service.settings.smtp_url import SMTPServer
from service.settings.values import Delay, Duration, HeaderNames, Networks, Rate, Words
from service.settings.verify_policies import VerifyPolicies

PREFIX = "OSTIARY_"

_PARSED_TYPES = {
    *(Delay, Duration, HeaderNames, HostNames, LinkURL, Mailbox, Networks, Origins, Rate),
    *(PasskeyOrigins, SecretKeys, SMTPServer, VerifyPolicies, Words, Issuer, Audiences),
    *(ClientIds, ProviderIssuer, RedirectURIs, Scopes, SignatureAlgorithms, Tenants),
}
_EMPTY_DEFAULTS = (None, HostNames(), Origins(), Networks())


class Variable(Struct, frozen=True, kw_only=True):
    """An environment variable and the field that it sets, in a section or in none."""

    name: str
    section: str | None
    field: str
    type: Any
    default: Any

    @property
    def description(self) -> str:
        """What the variable means, in Markdown."""
        text: str = self.type.__metadata__[0].description
        return text

    @property
    def is_secret(self) -> bool:
        """Whether the value must not be shown; it can be in a file, too."""
        return bool((self.type.__metadata__[0].extra or {}).get("secret"))

    @property
    def default_text(self) -> str:
        """The default as it would be written in the variable; empty where there is none."""
        return text_of(self.default)


def text_of(value: object) -> str:
    """Return a value as it would be written in a variable; empty where there is none."""
    if value in _EMPTY_DEFAULTS:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def variable_of(name: str, section: str | None, field: msgspec.structs.FieldInfo) -> Variable:
    """Return the variable that sets a field of a section."""
    return Variable(
        name=name, section=section, field=field.name, type=field.type, default=field.default
    )


def parse(annotated: Any, text: str) -> object:
    """Read a value of an annotated type. Raises `ValueError`, as `msgspec.ValidationError` is."""
    for kind in get_args(annotated.__origin__) or (annotated.__origin__,):
        if kind in _PARSED_TYPES:
            return kind.parse(text)
    try:
        return msgspec.convert(
            text, annotated, strict=False, dec_hook=lambda kind, text: kind(text)
        )
    except msgspec.ValidationError as error:
        raise ValueError(permitted(annotated) or str(error)) from error
