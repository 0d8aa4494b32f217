"""The composition root: the services that the application and the command line work with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from msgspec import Struct
from msgspec.structs import replace

from service.auth.accounts import Accounts
from service.auth.admin.changes import UserChanges
from service.auth.admin.factors import FactorAdmin
from service.auth.admin.invitations import Invitations
from service.auth.admin.new_users import NewUsers
from service.auth.admin.pages import UserPages
from service.auth.admin.reset_links import ResetLinks
from service.auth.admin.sessions import SessionAdmin
from service.auth.admin.users import UserAdmin
from service.auth.admissions import Admissions
from service.auth.challenges import Challenges
from service.auth.email_sign_ups import EmailSignUps
from service.auth.emails import Emails
from service.auth.factors.abandoned_log_ins import AbandonedLogIns
from service.auth.factors.authenticator_apps import AuthenticatorApps
from service.auth.factors.ceremonies import Ceremonies
from service.auth.factors.changes import FactorChanges
from service.auth.factors.existing import Factors
from service.auth.factors.passkey_answers import PasskeyAnswers
from service.auth.factors.passkey_challenges import PasskeyChallenges
from service.auth.factors.passkey_log_ins import PasskeyLogIns
from service.auth.factors.passkey_questions import PasskeyQuestions
from service.auth.factors.passkeys import Passkeys
from service.auth.factors.proofs import FactorProofs
from service.auth.factors.renewals import RecoveryCodeRenewals
from service.auth.factors.second_factors import SecondFactors
from service.auth.first_passwords import FirstPasswords
from service.auth.hashing.hasher import Hasher
from service.auth.identities.flow_states import FlowStates
from service.auth.identities.flows import Flows
from service.auth.identities.links import IdentityLinks
from service.auth.identities.log_ins import IdentityLogIns
from service.auth.identities.reauthentication import IdentityReauthentication
from service.auth.identities.sign_up_questions import SignUpQuestions
from service.auth.identities.sign_ups import IdentitySignUps
from service.auth.keys import Keys
from service.auth.log_in_records import LogInRecords
from service.auth.mail_limits import MailLimits
from service.auth.notices import Notices
from service.auth.oidc.providers import Providers
from service.auth.outbox import Outbox
from service.auth.password_changes import PasswordChanges
from service.auth.password_removals import PasswordRemovals
from service.auth.password_resets import PasswordResets
from service.auth.programs.access_tokens import AccessTokens
from service.auth.programs.key_rotation import KeyRotation
from service.auth.programs.service_token_admin import ServiceTokenAdmin
from service.auth.programs.service_tokens import ServiceTokens
from service.auth.programs.signing_keys import SigningKeys
from service.auth.programs.verification import Verification
from service.auth.rate_limits import RateLimiter
from service.auth.readiness import Readiness
from service.auth.reauthentication import Reauthentication
from service.auth.restores import Restores
from service.auth.sealed_secrets import SealedSecrets
from service.auth.secret_keys import Keyring
from service.auth.sessions import Sessions
from service.auth.step_up import StepUp
from service.auth.undo import Undo
from service.auth.username_holds import UsernameHolds
from service.auth.ways_in import WaysIn
from service.settings import Settings
from service.settings.secret_key_file import development_secret_keys
from service.storage.database import Database
from service.storage.programs.service_token_lookups import ServiceTokenLookups
from service.storage.session_lookups import SessionLookups


class PasskeyServices(Struct, frozen=True, kw_only=True):
    """The services of passkeys, of a relying party."""

    rp_id: str
    questions: PasskeyQuestions
    registry: Passkeys
    log_ins: PasskeyLogIns


class IdentityServices(Struct, frozen=True, kw_only=True):
    """The services of identities, at the providers in the settings."""

    providers: Providers
    flows: Flows
    log_ins: IdentityLogIns
    sign_ups: IdentitySignUps
    links: IdentityLinks
    reauthentication: IdentityReauthentication


class Services(Struct, frozen=True, kw_only=True):
    """The services of one process."""

    database: Database
    hasher: Hasher
    accounts: Accounts
    sessions: Sessions
    step_up: StepUp
    reauthentication: Reauthentication
    first_passwords: FirstPasswords
    password_removals: PasswordRemovals
    factors: Factors
    factor_admin: FactorAdmin
    second_factors: SecondFactors
    abandoned_log_ins: AbandonedLogIns
    authenticator_apps: AuthenticatorApps
    recovery_code_renewals: RecoveryCodeRenewals
    passkeys: PasskeyServices | None
    identities: IdentityServices
    emails: Emails
    email_sign_ups: EmailSignUps
    password_resets: PasswordResets
    undo: Undo
    keys: Keys
    user_admin: UserAdmin
    user_changes: UserChanges
    user_pages: UserPages
    new_users: NewUsers
    session_admin: SessionAdmin
    reset_links: ResetLinks
    invitations: Invitations
    readiness: Readiness
    keyring: Keyring
    sealed_secrets: SealedSecrets
    signing_keys: SigningKeys
    key_rotation: KeyRotation
    access_tokens: AccessTokens | None
    challenges: Challenges
    outbox: Outbox
    service_tokens: ServiceTokens
    service_token_admin: ServiceTokenAdmin
    restores: Restores
    verification: Verification


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
    service_token_lookups = ServiceTokenLookups(database_url, settings.database)
    probes = Database(database_url, replace(settings.database, pool_size=1))
    hasher = Hasher(settings.argon2, settings.hashing, processes=settings.hash_processes)
    sessions = Sessions(database, lookups, settings.sessions, settings.sessions_per_user)
    challenges = Challenges(database, keyring)
    relying_party = settings.passkey_rp
    rp_id = None if relying_party is None else relying_party.id
    factors = Factors(database, keyring, rp_id)
    is_mail_available = settings.is_mail_available
    outbox = Outbox(database, settings.mail.mail_language, is_available=is_mail_available)
    notices = Notices(database, outbox, challenges)
    mail_limits = MailLimits(settings.mail.mails_per_recipient)
    rate_limiter = RateLimiter(
        database,
        hasher,
        settings.rate_limits,
        timeout=settings.hashing.queue_timeout,
        device_lifetime=settings.devices.lifetime,
    )
    admissions = Admissions(database, settings.sign_ups.sign_up)
    username_holds = UsernameHolds(settings.usernames.username_hold)
    step_up = StepUp(
        *(database, factors, settings.oidc.providers, settings.reauthentication_period),
        is_mail_available=is_mail_available,
    )
    password_changes = PasswordChanges(challenges, notices)
    factor_changes = FactorChanges(notices)
    ways_in = WaysIn(rp_id, settings.oidc.providers, is_mail_available=is_mail_available)
    records = LogInRecords(sessions, notices)
    ceremonies = None if relying_party is None else Ceremonies(relying_party)
    passkey_answers = PasskeyAnswers(ceremonies)
    proofs = FactorProofs(keyring, settings.totp, passkey_answers, notices)
    second_factors = SecondFactors(
        *(database, sessions, challenges, factors, proofs, records, password_changes, ceremonies)
    )
    signing_keys, issuer = SigningKeys(database, keyring), settings.jwt.issuer
    passkeys = questions = None
    if relying_party is not None and ceremonies is not None:
        questions = PasskeyQuestions(
            database, ceremonies, PasskeyChallenges(keyring, relying_party.id)
        )
        passkeys = PasskeyServices(
            rp_id=str(relying_party.id),
            questions=questions,
            registry=Passkeys(database, ceremonies, questions, factor_changes, ways_in),
            log_ins=PasskeyLogIns(
                *(database, sessions, questions, passkey_answers, rate_limiter, records)
            ),
        )
    providers = Providers(settings.oidc, is_production=settings.is_production)
    flows = Flows(database, providers, FlowStates(keyring))
    identities = IdentityServices(
        providers=providers,
        flows=flows,
        log_ins=IdentityLogIns(
            *(database, flows, sessions, SignUpQuestions(admissions, challenges)),
            *(second_factors, step_up, rate_limiter, records),
        ),
        sign_ups=IdentitySignUps(
            *(database, providers, sessions, admissions, challenges, rate_limiter),
            username_holds,
        ),
        links=IdentityLinks(database, flows, providers, ways_in, rate_limiter, notices),
        reauthentication=IdentityReauthentication(database, flows, sessions, step_up, rate_limiter),
    )
    session_admin = SessionAdmin(database, sessions)
    try:
        yield Services(
            database=database,
            hasher=hasher,
            accounts=Accounts(
                *(database, hasher, sessions, admissions, rate_limiter, username_holds),
                *(password_changes, second_factors, notices),
            ),
            sessions=sessions,
            step_up=step_up,
            reauthentication=Reauthentication(
                *(database, sessions, step_up, proofs, questions),
                *(challenges, outbox),
                *(rate_limiter, mail_limits),
            ),
            first_passwords=FirstPasswords(database, hasher, sessions, step_up, password_changes),
            password_removals=PasswordRemovals(database, password_changes, ways_in),
            factors=factors,
            factor_admin=FactorAdmin(database, factors, factor_changes),
            second_factors=second_factors,
            abandoned_log_ins=AbandonedLogIns(database, notices),
            authenticator_apps=AuthenticatorApps(
                database, keyring, proofs, factor_changes, settings.totp.issuer
            ),
            recovery_code_renewals=RecoveryCodeRenewals(database, factor_changes, notices),
            passkeys=passkeys,
            identities=identities,
            emails=Emails(
                *(database, challenges, outbox, notices, rate_limiter, mail_limits, ways_in)
            ),
            email_sign_ups=EmailSignUps(
                *(database, hasher, sessions, admissions, challenges, outbox, rate_limiter),
                *(mail_limits, username_holds),
            ),
            password_resets=PasswordResets(
                *(database, hasher, sessions, challenges, outbox, password_changes),
                *(second_factors, rate_limiter, mail_limits),
            ),
            undo=Undo(database, challenges, outbox, notices),
            keys=Keys(database),
            user_admin=UserAdmin(database, hasher, password_changes, notices),
            user_changes=UserChanges(database, challenges, username_holds, notices),
            user_pages=UserPages(database),
            new_users=NewUsers(database, hasher, settings.argon2),
            session_admin=session_admin,
            reset_links=ResetLinks(database, challenges, outbox, notices),
            invitations=Invitations(
                *(database, keyring, outbox, mail_limits, settings.invitation_url)
            ),
            readiness=Readiness(probes, hasher, is_draining),
            keyring=keyring,
            sealed_secrets=SealedSecrets(database, keyring),
            signing_keys=signing_keys,
            key_rotation=KeyRotation(database, keyring),
            access_tokens=None if issuer is None else AccessTokens(signing_keys, issuer),
            challenges=challenges,
            outbox=outbox,
            service_tokens=ServiceTokens(database, service_token_lookups),
            service_token_admin=ServiceTokenAdmin(database),
            restores=Restores(database, session_admin),
            verification=Verification(sessions, step_up),
        )
    finally:
        await providers.close()
        await hasher.close()
        await rate_limiter.close()
        await lookups.close()
        await service_token_lookups.close()
        await database.close()
        await probes.close()
