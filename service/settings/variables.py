"""The environment variables that the settings are read from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any

import msgspec
from msgspec import Struct

from service.settings import Settings
from service.settings.database_url import mistake_in, unreadable_file_in
from service.settings.oidc import OIDCSettings
from service.settings.oidc_reading import read_providers
from service.settings.oidc_variable_names import (
    has_no_provider_name,
    meant_provider_names,
    provider_secret_names,
    provider_variables,
)
from service.settings.oidc_variables import OIDC_PREFIX, PLACEHOLDER
from service.settings.secret_files import SUFFIX, with_secret_files
from service.settings.service_links import service_links
from service.settings.sign_up import SignUpMode
from service.settings.values import Duration, Rate, SameSite
from service.settings.variable import PREFIX, Variable, parse, variable_of

# PostgreSQL counts time limits in milliseconds, in an integer of 32 bits.
MAX_STATEMENT_TIMEOUT = Duration.parse("7d")

# Whatever waits for a service to stop gives up before.
MAX_DRAIN_PERIOD = Duration.parse("1h")


class InvalidSettings(Exception):
    """The environment holds wrong settings; ``errors`` has a line for each mistake."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


@cache
def variables() -> tuple[Variable, ...]:
    """Return all variables but those of providers, in the order in which they are documented.

    They are found once: evaluating the annotations of all settings takes longer than the rest of
    reading them.
    """
    return tuple(_variables())


def _variables() -> Iterator[Variable]:
    for field in msgspec.structs.fields(Settings):
        if isinstance(field.default, OIDCSettings):
            continue
        if isinstance(field.default, Struct) and not isinstance(field.default, Rate):
            yield from _section(field.name, field.default)
        else:
            name = "DATABASE_URL" if field.name == "database_url" else PREFIX + field.name.upper()
            yield variable_of(name, None, field)


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings from environment variables; an empty variable counts as not set.

    Variables of Kubernetes are ignored. Raises `InvalidSettings` with every mistake: wrong values,
    contradictions, and variables with the prefix ``OSTIARY_`` that set nothing.
    """
    links = service_links(environment)
    environment = {name: text for name, text in environment.items() if name not in links}
    names = [*secret_names(), *provider_secret_names(environment)]
    environment, unreadable = with_secret_files(environment, names)
    settings, errors = _convert(environment)
    oidc, mistakes = read_providers(environment, is_production=settings.is_production)
    settings = msgspec.structs.replace(settings, oidc=oidc)
    # A secret whose file cannot be read is not missing.
    covered = {name.removesuffix(SUFFIX) for name in unreadable}
    errors = {
        name: mistake
        for name, mistake in [*_contradictions(settings), *mistakes.items()]
        if name not in covered
    } | errors
    errors |= unreadable | _unknown(environment)
    if errors:
        raise InvalidSettings([f"{name}: {mistake}" for name, mistake in errors.items()])
    return settings


def secret_names() -> list[str]:
    """Return the names of the variables that hold a secret, but those of providers."""
    return [each.name for each in variables() if each.is_secret]


def settings_table() -> str:
    """Return the settings as a Markdown table."""
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for each in [*variables(), *provider_variables()]:
        default = f"`{each.default_text}`" if each.default_text else ""
        file = f", `{each.name}{SUFFIX}`" if each.is_secret else ""
        rows.append(f"| `{each.name}`{file} | {default} | {each.description} |")
    return "\n".join(rows)


def _section(name: str, defaults: Struct) -> Iterator[Variable]:
    prefix: str = defaults.prefix  # type: ignore[attr-defined]
    for field in msgspec.structs.fields(defaults):
        yield variable_of(f"{PREFIX}{prefix}{field.name.upper()}", name, field)


def _convert(environment: Mapping[str, str]) -> tuple[Settings, dict[str, str]]:
    """Return the settings that can be read, and the mistakes in the others by variable."""
    top: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {}
    errors: dict[str, str] = {}
    for each in variables():
        if text := environment.get(each.name):
            try:
                value = parse(each.type, text)
            except ValueError as error:
                errors[each.name] = str(error)
            else:
                values = top if each.section is None else sections.setdefault(each.section, {})
                values[each.field] = value
    for name, values in sections.items():
        top[name] = msgspec.structs.replace(getattr(Settings(), name), **values)
    return Settings(**top), errors


def _unknown(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that set nothing, and what may have been meant."""
    possible = [*variables()]
    for provider in meant_provider_names(environment):
        possible += provider_variables(provider)
    known = {each.name.removeprefix(PREFIX): each.name for each in possible}
    mistakes = {}
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known.values():
            close = get_close_matches(name.removeprefix(PREFIX), known, n=1)
            hint = f"; did you mean {known[close[0]]}?" if close else ""
            if has_no_provider_name(name):
                hint = (
                    "; a provider's name has capitals and digits only, and begins with a letter: "
                    f"{OIDC_PREFIX}{PLACEHOLDER}_…"
                )
            mistakes[name] = f"there is no such setting{hint}"
    return mistakes


def _contradictions(settings: Settings) -> Iterator[tuple[str, str]]:
    """Find settings that are each valid but not together; named after one of them."""
    yield from _contradictions_of_metrics(settings)
    if settings.database_url is None and settings.is_production:
        yield "DATABASE_URL", "required in production"
    if settings.secret_keys is None and settings.is_production:
        yield "OSTIARY_SECRET_KEYS", "required in production: `ostiary secret-key new` makes a key"
    if settings.database_url is not None:
        url = settings.database_url
        if mistake := mistake_in(url) or unreadable_file_in(url):
            yield "DATABASE_URL", mistake
    if settings.database.statement_timeout > MAX_STATEMENT_TIMEOUT:
        yield "OSTIARY_DATABASE_STATEMENT_TIMEOUT", f"must be at most {MAX_STATEMENT_TIMEOUT}"
    if settings.server.drain_period > MAX_DRAIN_PERIOD:
        yield "OSTIARY_DRAIN_PERIOD", f"must be at most {MAX_DRAIN_PERIOD}"
    if settings.sessions.active_period > settings.sessions.max_lifetime:
        yield "OSTIARY_SESSION_ACTIVE_PERIOD", "longer than OSTIARY_SESSION_MAX_LIFETIME"
    if settings.cookies.samesite is SameSite.NONE and not settings.is_production:
        message = (
            "`none` needs a Secure cookie, which is only set in production: use `lax`, and in "
            "development the same host name for the page and the service"
        )
        yield "OSTIARY_COOKIE_SAMESITE", message
    yield from _contradictions_of_mail(settings)
    yield from _contradictions_of_passkeys(settings)
    yield from _contradictions_of_jwt(settings)
    if settings.argon2.memory_kib < 8 * settings.argon2.parallelism:
        yield "OSTIARY_ARGON2_MEMORY_KIB", "must be at least 8 for each lane"


def _contradictions_of_metrics(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.metrics.host.startswith("unix:"):
        yield "OSTIARY_METRICS_HOST", "must be an address or a name"
    is_on_port = not settings.server.host.startswith("unix:")
    if is_on_port and settings.metrics.port == settings.server.port:
        # Both may bind it, and requests would be divided between them.
        yield "OSTIARY_METRICS_PORT", "must not be that of the service, OSTIARY_PORT"


def _contradictions_of_mail(settings: Settings) -> Iterator[tuple[str, str]]:
    mail = settings.mail
    if mail.smtp_url is not None and mail.mail_from is None:
        yield "OSTIARY_MAIL_FROM", "required with OSTIARY_SMTP_URL"
    invitation_url = settings.sign_ups.invitation_url
    if (
        mail.smtp_url is not None
        and invitation_url is None
        and settings.sign_ups.sign_up is SignUpMode.INVITED
    ):
        yield "OSTIARY_INVITATION_URL", "required with OSTIARY_SMTP_URL and OSTIARY_SIGN_UP=invited"
    for name, url in (("RESET_URL", mail.reset_url), ("UNDO_URL", mail.undo_url)):
        if mail.smtp_url is not None and url is None:
            yield f"OSTIARY_{name}", "required with OSTIARY_SMTP_URL"
    links = {"RESET": mail.reset_url, "UNDO": mail.undo_url, "INVITATION": invitation_url}
    for name, url in links.items():
        if url is not None and settings.is_production and not url.is_secure:
            yield f"OSTIARY_{name}_URL", "must begin with https:// in production"
    if mail.mail_templates is not None and not mail.mail_templates.is_dir():
        yield "OSTIARY_MAIL_TEMPLATES", "is not a directory"


def _contradictions_of_passkeys(settings: Settings) -> Iterator[tuple[str, str]]:
    rp, name = settings.passkey_rp, "OSTIARY_PASSKEY_ORIGINS"
    if rp is None:
        if settings.passkeys.origins:
            yield name, "has no effect without OSTIARY_PASSKEY_RP_ID"
    elif outside := rp.origins.outside(rp.id):
        yield (
            name,
            (
                f"{outside[0]} is neither on the domain {rp.id} of passkeys nor below it, see "
                "OSTIARY_PASSKEY_RP_ID"
            ),
        )


def _contradictions_of_jwt(settings: Settings) -> Iterator[tuple[str, str]]:
    issuer, audiences = settings.jwt.issuer, settings.jwt.audiences
    if issuer is None and audiences:
        yield "OSTIARY_JWT_ISSUER", "required with OSTIARY_JWT_AUDIENCES"
    if issuer is not None and not audiences:
        yield "OSTIARY_JWT_AUDIENCES", "required with OSTIARY_JWT_ISSUER"
    if issuer is not None and settings.is_production and not issuer.is_secure:
        yield "OSTIARY_JWT_ISSUER", "must begin with https:// in production"
