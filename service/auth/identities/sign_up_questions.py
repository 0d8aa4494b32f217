"""The question whether a person whose account at a provider nobody has linked wants to sign up."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.admissions import Admissions
from service.auth.challenges import Challenges
from service.auth.errors import SignUpNeeded
from service.auth.identities.flows import Completed
from service.auth.identities.pending_sign_ups import PendingSignUp
from service.model.challenges import Purpose, Subject


class SignUpQuestions:
    """Asks after a log-in, where ``admissions`` let anybody sign up."""

    def __init__(self, admissions: Admissions, challenges: Challenges) -> None:
        self._admissions = admissions
        self._challenges = challenges

    async def ask(self, connection: AsyncConnection, completed: Completed) -> SignUpNeeded:
        """Ask whether to sign up with an account, and return what to raise after the commit.

        It has what the provider suggests for a form. Raises `SignUpClosed`.
        """
        self._admissions.require_not_closed()
        identity = completed.identity
        pending = PendingSignUp(
            provider=completed.client.provider.name,
            issuer=identity.issuer,
            subject=identity.subject,
        )
        subject = Subject(data=pending.as_json())
        made = await self._challenges.make(connection, Purpose.OIDC_SIGN_UP, subject)
        return SignUpNeeded(
            challenge_token=made.token,
            email=identity.email,
            name=identity.name,
            expires_at=made.expires_at,
        )
