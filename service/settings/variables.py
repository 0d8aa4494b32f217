"""The environment variables that the settings are read from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from service.settings import Settings
from service.settings.values import Duration, Networks, Origins, Rate, SameSite

PREFIX = "OSTIARY_"

_DATABASE_SCHEMES = {"postgresql", "postgres"}
_PARSED_TYPES = {Duration, Networks, Origins, Rate}
_EMPTY_DEFAULTS = (None, Origins(), Networks())


class InvalidSettings(Exception):
    """The environment holds wrong settings; ``errors`` has a line for each mistake."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


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
    def default_text(self) -> str:
        """The default as it would be written in the variable; empty where there is none."""
        if self.default in _EMPTY_DEFAULTS:
            return ""
        return str(self.default).lower() if isinstance(self.default, bool) else str(self.default)


def variables() -> Iterator[Variable]:
    """Return all variables, in the order in which they are documented."""
    for field in msgspec.structs.fields(Settings):
        if isinstance(field.default, Struct) and not isinstance(field.default, Rate):
            yield from _section(field.name, field.default)
        else:
            name = "DATABASE_URL" if field.name == "database_url" else PREFIX + field.name.upper()
            yield _variable(name, None, field)


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings from environment variables; an empty variable counts as not set.

    Raises `InvalidSettings` with every mistake: wrong values, contradictions, and variables with
    the prefix ``OSTIARY_`` that set nothing.
    """
    settings, errors = _convert(environment)
    errors |= {
        name: "there is no such setting"
        for name in sorted(environment.keys() - {each.name for each in variables()})
        if name.startswith(PREFIX)
    }
    errors = dict(_contradictions(settings)) | errors
    if errors:
        raise InvalidSettings([f"{name}: {mistake}" for name, mistake in errors.items()])
    return settings


def settings_table() -> str:
    """Return the settings as a Markdown table."""
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for each in variables():
        default = f"`{each.default_text}`" if each.default_text else ""
        rows.append(f"| `{each.name}` | {default} | {each.description} |")
    return "\n".join(rows)


def _section(name: str, defaults: Struct) -> Iterator[Variable]:
    prefix: str = defaults.prefix  # type: ignore[attr-defined]
    for field in msgspec.structs.fields(defaults):
        yield _variable(f"{PREFIX}{prefix}{field.name.upper()}", name, field)


def _variable(name: str, section: str | None, field: msgspec.structs.FieldInfo) -> Variable:
    return Variable(
        name=name, section=section, field=field.name, type=field.type, default=field.default
    )


def _convert(environment: Mapping[str, str]) -> tuple[Settings, dict[str, str]]:
    """Return the settings that can be read, and the mistakes in the others by variable."""
    top: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {}
    errors: dict[str, str] = {}
    for each in variables():
        if text := environment.get(each.name):
            try:
                value = _parse(each.type, text)
            except ValueError as error:
                errors[each.name] = str(error)
            else:
                values = top if each.section is None else sections.setdefault(each.section, {})
                values[each.field] = value
    for name, values in sections.items():
        top[name] = msgspec.structs.replace(getattr(Settings(), name), **values)
    return Settings(**top), errors


def _parse(annotated: Any, text: str) -> object:
    """Read a value of an annotated type. Raises `ValueError`, as `msgspec.ValidationError` is."""
    for kind in get_args(annotated.__origin__) or (annotated.__origin__,):
        if kind in _PARSED_TYPES:
            return kind.parse(text)
    return msgspec.convert(text, annotated, strict=False, dec_hook=lambda kind, text: kind(text))


def _contradictions(settings: Settings) -> Iterator[tuple[str, str]]:
    """Find settings that are each valid but not together; named after one of them."""
    if settings.database_url is None and settings.is_production:
        yield "DATABASE_URL", "required in production"
    if settings.database_url is not None and not _is_database_url(settings.database_url):
        yield "DATABASE_URL", "must look like postgresql://user:password@host:port/database"
    if settings.sessions.active_period > settings.sessions.max_lifetime:
        yield "OSTIARY_SESSION_ACTIVE_PERIOD", "longer than OSTIARY_SESSION_MAX_LIFETIME"
    if settings.cookies.samesite is SameSite.NONE and not settings.is_production:
        message = "`none` needs a Secure cookie, which is only set in production"
        yield "OSTIARY_COOKIE_SAMESITE", message
    if settings.argon2.memory_kib < 8 * settings.argon2.parallelism:
        yield "OSTIARY_ARGON2_MEMORY_KIB", "must be at least 8 for each lane"


def _is_database_url(text: str) -> bool:
    try:
        return urlsplit(text).scheme in _DATABASE_SCHEMES
    except ValueError:
        return False
