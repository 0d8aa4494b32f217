"""Admissions: who may sign up, whatever the way. There is no other rule about it.

Every way to sign up begins with `Admissions.check`, before anything that costs, and ends with
`Admissions.admit`, in the transaction that creates the user: `storage.users.add_user` demands what
it returns. An invitation is used up by that, so that a sign-up which fails leaves it as it was.
"""

from __future__ import annotations

from hashlib import sha256
from hmac import compare_digest
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.audit import Event, record
from service.auth.errors import InvalidInvitation, SignUpClosed
from service.auth.tokens import decoded
from service.model.admissions import Admission
from service.model.invitations import Invitation
from service.model.request_context import RequestContext
from service.settings.sign_up import SignUpMode
from service.storage import admissions as storage
from service.storage.database import Database


class Admissions:
    """Admits whoever signs up, as the ``mode`` says; the invitations are in ``database``."""

    def __init__(self, database: Database, mode: SignUpMode) -> None:
        self._database = database
        self._mode = mode

    def require_not_closed(self) -> None:
        """Raise `SignUpClosed` if nobody can sign up: the first thing that a sign-up asks."""
        if self._mode is SignUpMode.CLOSED:
            raise SignUpClosed

    async def check(self, token: str, address: str | None = None) -> Invitation | None:
        """Return the invitation with which somebody signs up, to be claimed; ``None`` without.

        ``token`` is empty if none was sent, and ``address`` the prepared form of that which the
        user will have. Raises `SignUpClosed`, and `InvalidInvitation`, for all reasons alike.
        """
        self.require_not_closed()
        if not token:
            self._require_open()
            return None
        invitation_id, secret = decoded(token) or (None, b"")
        if invitation_id is None:
            raise InvalidInvitation
        async with self._database.connect() as connection:
            found = await storage.find_invitation(connection, invitation_id)
        if found is None or not compare_digest(found.secret_hash, sha256(secret).digest()):
            raise InvalidInvitation
        if found.address not in {None, address}:
            raise InvalidInvitation
        return found

    async def admit(
        self, connection: AsyncConnection, checked: Invitation | None, address: str | None = None
    ) -> Admission:
        """Return the right to create a user, in the transaction that does; claim the invitation.

        Raises `SignUpClosed`, and `InvalidInvitation` if the invitation that was checked has been
        claimed or withdrawn, or has expired since, or is for another address.
        """
        self.require_not_closed()
        if checked is None:
            self._require_open()
            return Admission()
        claimed = await storage.claim_invitation(connection, checked.id, address)
        if claimed is None:
            raise InvalidInvitation
        return Admission(roles=tuple(claimed.roles), invitation_id=claimed.id)

    def _require_open(self) -> None:
        if self._mode is not SignUpMode.OPEN:
            raise InvalidInvitation


def record_sign_up(
    admission: Admission, context: RequestContext, *, user_id: UUID, session_id: UUID
) -> None:
    """Record that a user was created, and which invitation admitted them, once it is committed."""
    record(Event.SIGNED_UP, context, user_id=user_id, session_id=session_id)
    if admission.invitation_id is not None:
        record(
            Event.INVITATION_ACCEPTED,
            context,
            user_id=user_id,
            invitation_id=str(admission.invitation_id),
        )
