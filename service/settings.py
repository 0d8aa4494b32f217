"""Settings: what they are called, mean, and may be. The README's table is made from this file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from re import compile as regular_expression
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

PREFIX = "OSTIARY_"

_DURATION = regular_expression(r"([1-9][0-9]{0,8})(s|m|h|d)")
_RATE = regular_expression(r"([1-9][0-9]{0,5})/([0-9]+[a-z])")
# As browsers write it: in lower case, without a path, and without the port that goes by itself.
_ORIGIN = regular_expression(
    r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?"
)

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
# Beyond this, PostgreSQL and its connections want a word with whoever sets it up.
MOST_WORKERS_BY_DEFAULT = 8

_DATABASE_SCHEMES = {"postgresql", "postgres"}


class Duration(float):
    """A length of time in seconds, written ``90s``, ``15m``, ``12h`` or ``30d``."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        match = _DURATION.fullmatch(text)
        if match is None:
            raise ValueError("must look like 90s, 15m, 12h or 30d")
        return cls(int(match[1]) * _SECONDS[match[2]])

    def __str__(self) -> str:
        whole = (unit for unit in reversed(_SECONDS) if self % _SECONDS[unit] == 0)
        unit = next(whole)
        return f"{self / _SECONDS[unit]:.0f}{unit}"


class Rate:
    """So many times in a length of time, written ``10/15m``; ``0`` is no limit."""

    __slots__ = ("attempts", "period")

    def __init__(self, attempts: int, period: float) -> None:
        self.attempts = attempts
        self.period = period

    @classmethod
    def parse(cls, text: str) -> Self:
        if text == "0":
            return cls(0, 0.0)
        match = _RATE.fullmatch(text)
        if match is None:
            raise ValueError("must look like 10/15m, or be 0 for no limit")
        return cls(int(match[1]), Duration.parse(match[2]))

    def __str__(self) -> str:
        return f"{self.attempts}/{self.period}" if self.attempts else "0"


class Origins(frozenset[str]):
    """Origins of web pages, written with commas between them."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        origins = [origin.strip() for origin in text.split(",")]
        for origin in origins:
            if _ORIGIN.fullmatch(origin) is None:
                raise ValueError(f"must look like https://app.example.com, and {origin!r} does not")
        return cls(origins)

    def __str__(self) -> str:
        return ",".join(sorted(self))


class Networks(tuple[IPv4Network | IPv6Network, ...]):
    """Addresses and networks, written with commas between them."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        return cls(ip_network(part.strip()) for part in text.split(","))

    def __str__(self) -> str:
        return ",".join(map(str, self))


class ForwardedHeader(StrEnum):
    X_FORWARDED_FOR = "x-forwarded-for"
    FORWARDED = "forwarded"


class InvalidSettings(Exception):
    """The environment makes no sense; ``errors`` has a line for everything that is wrong."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


class Environment(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class SameSite(StrEnum):
    LAX = "lax"
    STRICT = "strict"
    NONE = "none"


class LogFormat(StrEnum):
    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Settings(Struct, frozen=True, kw_only=True):
    """Everything that can be set."""

    database_url: Annotated[
        str | None,
        Meta(
            description="The PostgreSQL to use, `postgresql://user:password@host:port/database`. "
            "Without it the embedded server is started (not in production)."
        ),
    ] = None
    env: Annotated[
        Environment,
        Meta(
            description="`development` or `production`. In production cookies are `Secure`, "
            "`DATABASE_URL` is needed, and nothing migrates by itself."
        ),
    ] = Environment.DEVELOPMENT
    data_dir: Annotated[Path, Meta(description="Where the embedded PostgreSQL keeps its data.")] = (
        Path(".ostiary")
    )
    host: Annotated[str, Meta(description="The address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(description="The port to listen on.", ge=1, le=65535)] = 8000
    client_timeout: Annotated[
        Duration,
        Meta(
            description="How long a client may take to send a request's head, and as long again "
            "for its body; and how long a connection may lie idle."
        ),
    ] = Duration.parse("30s")
    trusted_proxies: Annotated[
        Networks,
        Meta(
            description="Addresses and networks of proxies that say truly whom they speak for, "
            "`10.0.0.0/8,2001:db8::1`. Without them nobody's word is taken."
        ),
    ] = Networks()
    forwarded_header: Annotated[
        ForwardedHeader,
        Meta(
            description="Where they say it, `x-forwarded-for` or `forwarded`. They must set "
            "this one; the other is ignored, for a client may have sent it."
        ),
    ] = ForwardedHeader.X_FORWARDED_FOR
    workers: Annotated[
        Annotated[int, Meta(ge=1, le=64)] | None,
        Meta(description="Processes that answer requests. Default: the cores, at most 8."),
    ] = None
    allowed_origins: Annotated[
        Origins,
        Meta(
            description="Origins of pages that may use the service from a browser, "
            "`https://app.example.com,https://…`. Its own is always allowed."
        ),
    ] = Origins()
    cookie_name: Annotated[
        str,
        Meta(
            description="The cookie's name. In production, without a cookie domain, "
            "it is prefixed with `__Host-`.",
            pattern=r"^[A-Za-z0-9_-]{1,64}$",
        ),
    ] = "auth_session"
    cookie_host_prefix: Annotated[
        bool,
        Meta(
            description="`false` leaves the prefix away: for a site that moves in from Lucia "
            "with live sessions, whose cookies have none."
        ),
    ] = True
    cookie_domain: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9.-]{1,253}$")] | None,
        Meta(description="Share the cookie with all hosts of this domain. Better not to."),
    ] = None
    cookie_samesite: Annotated[
        SameSite, Meta(description="`lax`, `strict` or `none` (production only).")
    ] = SameSite.LAX
    session_active_period: Annotated[
        Duration, Meta(description="How long a session is active.")
    ] = Duration.parse("1d")
    session_idle_period: Annotated[
        Duration, Meta(description="How long it can be renewed after that.")
    ] = Duration.parse("14d")
    session_max_lifetime: Annotated[
        Duration, Meta(description="How long after the log-in it ends in any case.")
    ] = Duration.parse("30d")
    sweep_interval: Annotated[
        Duration,
        Meta(
            description="How often dead sessions are deleted, and the time of hashing is learned."
        ),
    ] = Duration.parse("10m")
    password_min_length: Annotated[
        int, Meta(description="The fewest characters of a new password.", ge=8, le=64)
    ] = 8
    argon2_time_cost: Annotated[
        int, Meta(description="Passes of Argon2id over its memory.", ge=1, le=100)
    ] = 2
    argon2_memory_kib: Annotated[
        int, Meta(description="Memory for one hash, in KiB.", ge=64, le=4194304)
    ] = 19456
    argon2_parallelism: Annotated[int, Meta(description="Lanes of one hash.", ge=1, le=16)] = 1
    hash_processes: Annotated[
        Annotated[int, Meta(ge=1, le=64)] | None,
        Meta(
            description="Processes that hash, for each worker. Default: the cores, "
            "shared out among the workers."
        ),
    ] = None
    hash_queue_length: Annotated[
        int,
        Meta(
            description="Passwords that may wait to be hashed, in each worker; the next gets 503.",
            ge=0,
            le=10000,
        ),
    ] = 32
    hash_queue_patience: Annotated[
        Duration,
        Meta(description="How long one may wait and be hashed, all in all, until it gets 503."),
    ] = Duration.parse("4s")
    log_in_failures_per_name: Annotated[
        Rate,
        Meta(
            description="How often logging in with one user name may fail; they come back one by "
            "one. Then only an address that has not failed with it in that time has an attempt. "
            "`0`: no limit."
        ),
    ] = Rate.parse("10/15m")
    log_in_failures_per_address: Annotated[
        Rate,
        Meta(
            description="How often logging in may fail from one address (of IPv6: one /64). "
            "`0`: no limit."
        ),
    ] = Rate.parse("50/15m")
    sign_ups_per_address: Annotated[
        Rate,
        Meta(description="How often one address (of IPv6: one /64) may sign up. `0`: no limit."),
    ] = Rate.parse("20/1h")
    database_pool_size: Annotated[
        int, Meta(description="Connections to PostgreSQL, for each worker.", ge=1, le=200)
    ] = 8
    database_pool_wait: Annotated[
        Duration, Meta(description="How long a request waits for a free connection.")
    ] = Duration.parse("2s")
    database_connect_timeout: Annotated[
        Duration, Meta(description="How long connecting may take.")
    ] = Duration.parse("5s")
    database_statement_timeout: Annotated[
        Duration, Meta(description="How long a statement may take.")
    ] = Duration.parse("5s")
    database_pgbouncer: Annotated[
        bool,
        Meta(
            description="`true` if `DATABASE_URL` is a PgBouncer in transaction mode. Slower: "
            "everything is in a transaction, and nothing is prepared."
        ),
    ] = False
    log_format: Annotated[
        LogFormat | None,
        Meta(description="`text` or `json`. Default: `json` in production, else `text`."),
    ] = None
    log_level: Annotated[LogLevel, Meta(description="`debug`, `info`, `warning` or `error`.")] = (
        LogLevel.INFO
    )

    @property
    def is_production(self) -> bool:
        return self.env is Environment.PRODUCTION

    @property
    def url(self) -> str:
        """Where the service listens, as a browser is told."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def log_format_in_use(self) -> LogFormat:
        return self.log_format or (LogFormat.JSON if self.is_production else LogFormat.TEXT)

    @property
    def workers_in_use(self) -> int:
        return self.workers or min(_cores(), MOST_WORKERS_BY_DEFAULT)

    @property
    def hash_processes_of_a_worker(self) -> int:
        return self.hash_processes or max(1, _cores() // self.workers_in_use)

    def __repr__(self) -> str:
        return "Settings(…)"  # the database's password is among them


def variable(name: str) -> str:
    """The environment variable that sets ``name``."""
    return "DATABASE_URL" if name == "database_url" else PREFIX + name.upper()


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Make settings of environment variables; an empty one counts as not set.

    Raises `InvalidSettings` with all that is wrong: values, combinations, and variables that bear
    our prefix and set nothing.
    """
    values: dict[str, Any] = {}
    errors: list[str] = []
    fields = msgspec.structs.fields(Settings)
    for each in fields:
        if text := environment.get(variable(each.name)):
            try:
                values[each.name] = msgspec.convert(text, each.type, strict=False, dec_hook=_parse)
            except msgspec.ValidationError as error:
                errors.append(f"{variable(each.name)}: {error}")
    known = {variable(each.name) for each in fields}
    errors += [
        f"{name}: there is no such setting"
        for name in sorted(environment)
        if name.startswith(PREFIX) and name not in known
    ]
    settings = Settings(**values)
    errors += [
        f"{variable(name)}: {what}"
        for name, what in _contradictions(settings)
        if not any(error.startswith(variable(name)) for error in errors)
    ]
    if errors:
        raise InvalidSettings(errors)
    return settings


NOTHING = (None, Origins(), Networks())


def settings_table() -> str:
    """The settings as a Markdown table, for the README."""
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for each in msgspec.structs.fields(Settings):
        default = "" if each.default in NOTHING else f"`{each.default}`"
        default = default.lower() if isinstance(each.default, bool) else default
        description = each.type.__metadata__[0].description
        rows.append(f"| `{variable(each.name)}` | {default} | {description} |")
    return "\n".join(rows)


def _parse(kind: Any, text: str) -> object:
    return kind.parse(text) if kind in {Duration, Networks, Origins, Rate} else kind(text)


def _contradictions(settings: Settings) -> Iterator[tuple[str, str]]:
    """What is wrong with settings that are each right, under the name of one of them."""
    if settings.database_url is None and settings.is_production:
        yield "database_url", "needed in production"
    if settings.database_url is not None and not _is_database_url(settings.database_url):
        yield "database_url", "must look like postgresql://user:password@host:port/database"
    if settings.session_active_period > settings.session_max_lifetime:
        yield "session_active_period", f"longer than {variable('session_max_lifetime')}"
    if settings.cookie_samesite is SameSite.NONE and not settings.is_production:
        yield "cookie_samesite", "`none` needs a Secure cookie, which only production sets"
    if settings.argon2_memory_kib < 8 * settings.argon2_parallelism:
        yield "argon2_memory_kib", "must be at least 8 for each lane"


def _is_database_url(text: str) -> bool:
    try:
        return urlsplit(text).scheme in _DATABASE_SCHEMES
    except ValueError:
        return False
