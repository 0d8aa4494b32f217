"""Sign-up by e-mail: the address is verified first, and only then is there a user.

The response to a request is the same whether a user has the address or not. A code is mailed, or,
if a user has it, that there is an account already.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.accounts import requester_of
from service.auth.admissions import Admissions, record_sign_up
from service.auth.audit import Event, record
from service.auth.challenges import Challenges, Made
from service.auth.codes import Code
from service.auth.devices import DeviceToken
from service.auth.email_addresses import EmailAddress
from service.auth.emails import address_of
from service.auth.errors import EmailTaken
from service.auth.first_usernames import give_first_username
from service.auth.hashing.hasher import Hasher
from service.auth.mail_limits import MailLimits
from service.auth.outbox import Outbox
from service.auth.passwords import NewPassword
from service.auth.rate_limits import RateLimiter
from service.auth.sessions import OpenedSession, Sessions
from service.auth.tokens import Token
from service.auth.username_holds import UsernameHolds
from service.auth.usernames import Username
from service.model.admissions import Admission
from service.model.challenges import Purpose, Subject
from service.model.mail import Mail, MailKind
from service.model.proofs import Proof
from service.model.request_context import RequestContext
from service.model.users import Key, PasswordHash, Provider
from service.storage import emails as storage
from service.storage import keys as key_storage
from service.storage import users as user_storage
from service.storage.database import Database


class EmailSignUps:
    """Sign-up by e-mail for the users in ``database``."""

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        database: Database,
        hasher: Hasher,
        sessions: Sessions,
        admissions: Admissions,
        challenges: Challenges,
        outbox: Outbox,
        rate_limiter: RateLimiter,
        mail_limits: MailLimits,
        username_holds: UsernameHolds,
    ) -> None:
        self._database = database
        self._hasher = hasher
        self._sessions = sessions
        self._admissions = admissions
        self._challenges = challenges
        self._outbox = outbox
        self._rate_limiter = rate_limiter
        self._mail_limits = mail_limits
        self._username_holds = username_holds

    async def request(
        self,
        address: EmailAddress,
        *,
        context: RequestContext,
        invitation: str = "",
        carried: Sequence[Token] = (),
        device: DeviceToken | None = None,
    ) -> Made:
        """Mail a code to an address, or, if a user has it, that there is an account.

        The token of an ``invitation`` is only checked: it is sent again with the code. Raises
        `SignUpClosed`, `AlreadyAuthenticated` if one of the tokens ``carried`` opens a live
        session, `RateLimited` and `InvalidInvitation`.
        """
        self._admissions.require_not_closed()
        await self._sessions.require_none(carried)
        await self._rate_limiter.admit_mail_request(context, device=device)
        await self._admissions.check(invitation, address.name)
        async with self._database.transaction() as connection:
            owned = await storage.find_owned_address(connection, address.name)
            kind = MailKind.ACCOUNT_EXISTS if owned else MailKind.SIGN_UP_CODE
            is_sent = await self._mail_limits.admits(connection, kind, address.name)
            made = await self._challenges.make(
                connection,
                Purpose.SIGN_UP,
                Subject(address=address.name, display_address=address.display_name),
                is_decoy=owned is not None or not is_sent,
            )
            if is_sent:
                mail = Mail(
                    kind=kind,
                    recipient=owned.display_name if owned else address.display_name,
                    challenge_id=None if owned else made.id,
                )
                await self._outbox.put(connection, mail)
        record(Event.SIGN_UP_REQUESTED, context)
        return made

    async def verify(  # noqa: PLR0913
        self,
        token: str,
        code: Code,
        password: NewPassword,
        username: Username | None,
        *,
        context: RequestContext,
        invitation: str = "",
        carried: Sequence[Token] = (),
        device: DeviceToken | None = None,
    ) -> OpenedSession:
        """Create a user with the address that a code has verified, and log them in.

        Raises `SignUpClosed`, `AlreadyAuthenticated`, `InvalidCode`, `InvalidChallenge`,
        `InvalidInvitation`, `EmailTaken`, `UsernameTaken`, `RateLimited` and `Overloaded`. The code
        and the ``invitation`` are used up only if all is well.
        """
        self._admissions.require_not_closed()
        await self._sessions.require_none(carried)
        checked = await self._challenges.check_code(Purpose.SIGN_UP, token, code)
        address = address_of(checked.subject)
        requester = requester_of(context, address.name)
        async with self._rate_limiter.sign_up_attempt(context):
            invited = await self._admissions.check(invitation, address.name)
            password_hash = await self._hasher.hash(password, requester)
        async with self._database.transaction() as connection:
            await self._challenges.claim(connection, checked)
            admission = await self._admissions.admit(connection, invited, address.name)
            key = await self._add_user(connection, admission, address, password_hash, username)
            opened, _ = await self._sessions.open(
                connection, Proof.by_password(key), context, presented=device
            )
        session_id = opened.session.id
        record_sign_up(admission, context, user_id=key.user.id, session_id=session_id)
        return opened

    async def _add_user(
        self,
        connection: AsyncConnection,
        admission: Admission,
        address: storage.Address,
        password_hash: PasswordHash,
        username: Username | None,
    ) -> Key:
        """Create a user with an address, and perhaps a user name. Returns the key of the address.

        Raises `EmailTaken` and `UsernameTaken`.
        """
        await storage.take_unverified_address(connection, address.name)
        try:
            key = await user_storage.add_user(
                connection,
                admission,
                provider=Provider.EMAIL,
                name=address.name,
                display_name=address.display_name,
                password_hash=password_hash,
                is_verified=True,
            )
        except key_storage.KeyExists as error:
            raise EmailTaken from error
        if username is None:
            return key
        user = await give_first_username(
            connection, self._username_holds, key.user, username, password_hash
        )
        return replace(key, user=user)
