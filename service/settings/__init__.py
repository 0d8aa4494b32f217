"""Settings: their names, meanings, defaults and bounds, one section for each part of the service.

Most parts are built with their section as it is. The table in `docs/settings.md` is made from them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from service.settings.cookies import CookieSettings
from service.settings.database import DatabaseOptions
from service.settings.devices import DeviceSettings
from service.settings.http import HTTPSettings
from service.settings.jwt import JWTSettings
from service.settings.link_url import LinkURL
from service.settings.logs import LogSettings
from service.settings.mail import MailSettings
from service.settings.metrics import MetricsSettings
from service.settings.oidc import OIDCSettings
from service.settings.passkeys import PasskeySettings
from service.settings.passwords import Argon2Cost, HashingSettings, PasswordSettings
from service.settings.rate_limits import RateLimitSettings
from service.settings.relying_party import LOCALHOST, RelyingParty, RelyingPartyId
from service.settings.secret_keys import SecretKeys
from service.settings.server import ServerSettings, cores
from service.settings.sessions import SessionSettings
from service.settings.sign_up import INVITATION_URL, SignUpSettings
from service.settings.totp import TOTPSettings
from service.settings.usernames import UsernameSettings
from service.settings.values import Duration, Environment, LogFormat
from service.settings.verify import VerifySettings


class Settings(Struct, frozen=True, kw_only=True):
    """All settings. The ``repr`` hides them, for the database's password is among them."""

    database_url: Annotated[
        str | None,
        Meta(
            description="The PostgreSQL to use, `postgresql://user:password@host:port/database`. "
            "Without it an embedded server is started (not in production).",
            extra={"secret": True},
        ),
    ] = None
    env: Annotated[
        Environment,
        Meta(
            description="`development` or `production`. In production cookies are `Secure`, "
            "`Strict-Transport-Security` is sent, `DATABASE_URL` and `OSTIARY_SECRET_KEYS` are "
            "required, and migrations are applied by `ostiary migrate` only."
        ),
    ] = Environment.DEVELOPMENT
    data_dir: Annotated[
        Path,
        Meta(
            description="Directory of the embedded PostgreSQL, and of what else is kept in "
            "development."
        ),
    ] = Path(".ostiary")
    lucia_source: Annotated[
        str | None,
        Meta(
            description="The database of a Lucia site, for `ostiary import-lucia`: "
            "`postgresql://…` or `sqlite:///path`.",
            extra={"secret": True},
        ),
    ] = None
    secret_keys: Annotated[
        SecretKeys | None,
        Meta(
            description="Secret keys, `id:base64 of 32 bytes`, separated by commas, newest first; "
            "`ostiary secret-key new` makes one. Required in production. Without them, in "
            "development, one is generated into the file `secret_keys` of `OSTIARY_DATA_DIR`.",
            extra={"secret": True},
        ),
    ] = None
    server: ServerSettings = ServerSettings()
    http: HTTPSettings = HTTPSettings()
    cookies: CookieSettings = CookieSettings()
    sessions: SessionSettings = SessionSettings()
    sessions_per_user: Annotated[
        int,
        Meta(
            description="Live sessions that a user can have: a log-in beyond that ends the oldest "
            "one. `0`: no limit.",
            ge=0,
            le=1_000_000,
        ),
    ] = 1000
    reauthentication_period: Annotated[
        Duration,
        Meta(
            description="How long ago the user may have logged in or reauthenticated, for requests "
            "that need step-up."
        ),
    ] = Duration.parse("10m")
    devices: DeviceSettings = DeviceSettings()
    cleanup_interval: Annotated[
        Duration,
        Meta(
            description="The interval at which expired sessions, devices, challenges, invitations, "
            "rate limits and holds on user names, old dead letters and signing keys are deleted; "
            "users are notified of log-ins that no second factor has completed; and the time of "
            "verifying a password is measured."
        ),
    ] = Duration.parse("10m")
    sign_ups: SignUpSettings = SignUpSettings()
    usernames: UsernameSettings = UsernameSettings()
    passwords: PasswordSettings = PasswordSettings()
    argon2: Argon2Cost = Argon2Cost()
    hashing: HashingSettings = HashingSettings()
    rate_limits: RateLimitSettings = RateLimitSettings()
    totp: TOTPSettings = TOTPSettings()
    passkeys: PasskeySettings = PasskeySettings()
    oidc: OIDCSettings = OIDCSettings()
    mail: MailSettings = MailSettings()
    jwt: JWTSettings = JWTSettings()
    verify: VerifySettings = VerifySettings()
    database: DatabaseOptions = DatabaseOptions()
    log: LogSettings = LogSettings()
    metrics: MetricsSettings = MetricsSettings()

    @property
    def is_production(self) -> bool:
        """Whether the service runs in production."""
        return self.env is Environment.PRODUCTION

    @property
    def is_mail_available(self) -> bool:
        """Whether mails are sent, or in development written into files."""
        return self.mail.smtp_url is not None or not self.is_production

    @property
    def invitation_url(self) -> LinkURL | None:
        """The page that takes an invitation; in development, where none is set, a likely one."""
        default = None if self.is_production or self.mail.smtp_url else INVITATION_URL
        return self.sign_ups.invitation_url or default

    @property
    def passkey_rp(self) -> RelyingParty | None:
        """The relying party of passkeys, with the defaults filled in; ``None`` without passkeys."""
        return self.passkeys.relying_party(
            default_id=None if self.is_production else RelyingPartyId(LOCALHOST),
            allowed=self.http.allowed_origins,
            own=None if self.is_production else f"http://{LOCALHOST}:{self.server.port}",
        )

    @property
    def are_passkeys_available(self) -> bool:
        """Whether users can have passkeys: always in development."""
        return self.passkey_rp is not None

    @property
    def log_format(self) -> LogFormat:
        """The log format, with the default filled in."""
        return self.log.format or (LogFormat.JSON if self.is_production else LogFormat.TEXT)

    @property
    def hash_processes(self) -> int:
        """The number of hash processes of each worker, with the default filled in."""
        return self.hashing.processes or max(1, cores() // self.server.effective_workers)

    def __repr__(self) -> str:
        return "Settings(…)"
