"""Sign-up by accounts at OpenID providers: a person has proven one, and chooses to have a user.

The address that the provider names does not become the user's: whoever controls the provider could
take the address of another person, or keep it from them.
"""

from __future__ import annotations

from collections.abc import Sequence

from service.auth.admissions import Admissions, record_sign_up
from service.auth.challenges import Challenges
from service.auth.devices import DeviceToken
from service.auth.errors import IdentityTaken, InvalidChallenge
from service.auth.first_usernames import give_first_username
from service.auth.identities.pending_sign_ups import PendingSignUp
from service.auth.oidc.providers import Providers
from service.auth.rate_limits import RateLimiter
from service.auth.sessions import OpenedSession, Sessions
from service.auth.tokens import Token
from service.auth.username_holds import UsernameHolds
from service.auth.usernames import Username
from service.model.challenges import Purpose
from service.model.identities import oidc_method
from service.model.proofs import Proof
from service.model.request_context import RequestContext
from service.storage import identities as storage
from service.storage import users as user_storage
from service.storage.database import Database


class IdentitySignUps:
    """Sign-up by identities for the users in ``database``."""

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        database: Database,
        providers: Providers,
        sessions: Sessions,
        admissions: Admissions,
        challenges: Challenges,
        rate_limiter: RateLimiter,
        username_holds: UsernameHolds,
    ) -> None:
        self._database = database
        self._providers = providers
        self._sessions = sessions
        self._admissions = admissions
        self._challenges = challenges
        self._rate_limiter = rate_limiter
        self._username_holds = username_holds

    async def sign_up(  # noqa: PLR0913
        self,
        token: str,
        username: Username | None,
        *,
        context: RequestContext,
        invitation: str = "",
        carried: Sequence[Token] = (),
        device: DeviceToken | None = None,
    ) -> OpenedSession:
        """Create a user who logs in with the account that was proven, and log them in.

        Raises `SignUpClosed`, `AlreadyAuthenticated` if one of the tokens ``carried`` opens a live
        session, `InvalidChallenge`, `InvalidInvitation`, `IdentityTaken`, `UsernameTaken` and
        `RateLimited`. The challenge and the ``invitation`` are used up only if all is well.
        """
        self._admissions.require_not_closed()
        await self._sessions.require_none(carried)
        checked = await self._challenges.check_token(Purpose.OIDC_SIGN_UP, token)
        pending = PendingSignUp.of_json(checked.subject.data)
        if pending.provider not in self._providers.names:
            raise InvalidChallenge
        async with self._rate_limiter.sign_up_attempt(context):
            invited = await self._admissions.check(invitation)
        async with self._database.transaction() as connection:
            await self._challenges.claim(connection, checked)
            admission = await self._admissions.admit(connection, invited)
            user = await user_storage.add_nameless_user(connection, admission)
            identity = await storage.add_identity(
                connection, user.id, pending.issuer, pending.subject
            )
            if identity is None:
                raise IdentityTaken
            await storage.use_identity(connection, identity.id)
            if username is not None:
                user = await give_first_username(connection, self._username_holds, user, username)
            proof = Proof(user=user, security_version=0, method=oidc_method(pending.provider))
            opened, _ = await self._sessions.open(connection, proof, context, presented=device)
        record_sign_up(admission, context, user_id=user.id, session_id=opened.session.id)
        return opened
