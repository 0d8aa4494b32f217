"""The composition root: the services that the application and the command line work with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from msgspec import Struct
from msgspec.structs import replace

from service.auth.accounts import Accounts
from service.auth.challenges import Challenges
from service.auth.email_sign_ups import EmailSignUps
from service.auth.emails import Emails
from service.auth.first_passwords import FirstPasswords
from service.auth.hashing.hasher import Hasher
from service.auth.keys import Keys
from service.auth.mail_limits import MailLimits
from service.auth.notices import Notices
from service.auth.outbox import Outbox
from service.auth.password_resets import PasswordResets
from service.auth.rate_limits import RateLimiter
from service.auth.readiness import Readiness
from service.auth.reauthentication import Reauthentication
from service.auth.sealed_secrets import SealedSecrets
from service.auth.secret_keys import Keyring
from service.auth.sessions import Sessions
from service.auth.step_up import StepUp
from service.auth.undo import Undo
from service.auth.user_admin import UserAdmin
from service.auth.username_holds import UsernameHolds
from service.settings import Settings
from service.settings.secret_key_file import development_secret_keys
from service.storage.database import Database
from service.storage.session_lookups import SessionLookups


class Services(Struct, frozen=True, kw_only=True):
    """The services of one process."""

    database: Database
    hasher: Hasher
    accounts: Accounts
    sessions: Sessions
    step_up: StepUp
    reauthentication: Reauthentication
    first_passwords: FirstPasswords
    emails: Emails
    email_sign_ups: EmailSignUps
    password_resets: PasswordResets
    undo: Undo
    keys: Keys
    user_admin: UserAdmin
    readiness: Readiness
    keyring: Keyring
    sealed_secrets: SealedSecrets
    challenges: Challenges
    outbox: Outbox


def never() -> bool:
    """Return false: what does not serve does not drain."""
    return False


@asynccontextmanager
async def open_services(
    settings: Settings, database_url: str, is_draining: Callable[[], bool] = never
) -> AsyncIterator[Services]:
    """Build the services on the database at ``database_url``, and close them in the end.

    They connect, and start hash processes, when they are first used.
    """
    keyring = Keyring(settings.secret_keys or development_secret_keys(settings.data_dir))
    database = Database(database_url, settings.database)
    lookups = SessionLookups(database_url, settings.database)
    probes = Database(database_url, replace(settings.database, pool_size=1))
    hasher = Hasher(settings.argon2, settings.hashing, processes=settings.hash_processes)
    sessions = Sessions(database, lookups, settings.sessions, settings.sessions_per_user)
    challenges = Challenges(database, keyring)
    is_mail_available = settings.is_mail_available
    outbox = Outbox(database, settings.mail.mail_language, is_available=is_mail_available)
    notices = Notices(database, outbox, challenges)
    mail_limits = MailLimits(settings.mail.mails_per_recipient)
    step_up = StepUp(
        database, settings.reauthentication_period, is_mail_available=is_mail_available
    )
    rate_limiter = RateLimiter(
        database,
        hasher,
        settings.rate_limits,
        timeout=settings.hashing.queue_timeout,
        device_lifetime=settings.devices.lifetime,
    )
    username_holds = UsernameHolds(settings.usernames.username_hold)
    try:
        yield Services(
            database=database,
            hasher=hasher,
            accounts=Accounts(
                database, hasher, sessions, rate_limiter, username_holds, challenges, notices
            ),
            sessions=sessions,
            step_up=step_up,
            reauthentication=Reauthentication(
                database, sessions, step_up, challenges, outbox, rate_limiter, mail_limits
            ),
            first_passwords=FirstPasswords(
                database, hasher, sessions, step_up, challenges, notices
            ),
            emails=Emails(database, challenges, outbox, notices, rate_limiter, mail_limits),
            email_sign_ups=EmailSignUps(
                *(database, hasher, sessions, challenges, outbox, rate_limiter, mail_limits),
                username_holds,
            ),
            password_resets=PasswordResets(
                *(database, hasher, sessions, challenges, outbox, notices, rate_limiter),
                mail_limits,
            ),
            undo=Undo(database, challenges, outbox, notices),
            keys=Keys(database),
            user_admin=UserAdmin(database, hasher, challenges, notices),
            readiness=Readiness(probes, hasher, is_draining),
            keyring=keyring,
            sealed_secrets=SealedSecrets(database, keyring),
            challenges=challenges,
            outbox=outbox,
        )
    finally:
        await hasher.close()
        await lookups.close()
        await database.close()
        await probes.close()
