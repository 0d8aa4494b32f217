"""Invitations: they are made for people whom an operator, or another program, wants as users.

The token is derived from the id, as those of links are, so that neither the invitation nor the
mail holds it; its SHA-256 is kept beside the id. An invitation stays valid without the secret key.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from hashlib import sha256
from uuid import UUID, uuid4

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection

from service.auth.audit import Event, record
from service.auth.codes import invitation_token_of
from service.auth.email_addresses import EmailAddress
from service.auth.errors import (
    FieldCode,
    InvalidField,
    NoSuchInvitation,
    TooManyInvitations,
    ValidationFailed,
)
from service.auth.mail_limits import MailLimits
from service.auth.outbox import Outbox
from service.auth.secret_keys import Keyring
from service.auth.tokens import decoded
from service.model.invitations import Invitation
from service.model.mail import Mail, MailKind
from service.model.request_context import RequestContext
from service.model.service_tokens import ServiceToken
from service.model.sessions import SecretHash
from service.settings.link_url import LinkURL
from service.storage.admin import invitations as storage
from service.storage.database import Database

MAX_INVITATIONS = 10_000

# How long an invitation is valid, in seconds.
LIFETIME = 7 * 86400
MIN_LIFETIME = 60
MAX_LIFETIME = 90 * 86400

PAGE_LENGTH = 1000


class NewInvitation(Struct, frozen=True, kw_only=True):
    """An invitation to be made, valid for ``lifetime`` seconds; the roles are parsed."""

    address: EmailAddress | None = None
    roles: Sequence[str] = ()
    lifetime: float = LIFETIME


class MadeInvitation(Struct, frozen=True, kw_only=True):
    """A new invitation. Unless it was mailed, with its token, for whoever passes that on.

    Without `OSTIARY_INVITATION_URL` there is no link. Neither is in the ``repr``.
    """

    invitation: Invitation
    token: str | None
    link: str | None

    def __repr__(self) -> str:
        return f"MadeInvitation({self.invitation.id})"


class Invitations:
    """The invitations in ``database``, whose links lead to ``url``."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        outbox: Outbox,
        mail_limits: MailLimits,
        url: LinkURL | None,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._outbox = outbox
        self._mail_limits = mail_limits
        self._url = url

    async def create(
        self, new: NewInvitation, context: RequestContext, *, by: ServiceToken | None = None
    ) -> MadeInvitation:
        """Make an invitation; mail it, if it has an address and there is a page that takes it.

        ``by`` is the service token of the program that asks for it. Raises `ValidationFailed` for
        an address where there is no mail, `RateLimited` if the address was mailed too many, and
        `TooManyInvitations`.
        """
        if new.address is not None and not self._outbox.is_available:
            raise ValidationFailed([_unusable_address().of("email")])
        invitation_id, key_id = uuid4(), self._keyring.current_id
        token = invitation_token_of(self._keyring, key_id, invitation_id)
        async with self._database.transaction() as connection:
            if await storage.count_invitations(connection) >= MAX_INVITATIONS:
                raise TooManyInvitations
            made = await storage.add_invitation(
                connection,
                invitation_id=invitation_id,
                secret_hash=_secret_hash(token),
                address=None if new.address is None else new.address.name,
                display_address=None if new.address is None else new.address.display_name,
                roles=[*new.roles],
                service_token_id=None if by is None else by.id,
                lifetime=new.lifetime,
            )
            mailed_to = None if self._url is None else new.address
            if mailed_to is not None:
                await self._mail(connection, mailed_to, made.id, key_id)
        roles = " ".join(made.roles)
        record(Event.INVITATION_CREATED, context, invitation_id=str(made.id), roles=roles)
        if mailed_to is not None:
            return MadeInvitation(invitation=made, token=None, link=None)
        link = None if self._url is None else self._url.with_token(token)
        return MadeInvitation(invitation=made, token=token, link=link)

    async def list(
        self, max_rows: int, older_than: tuple[datetime, UUID] | None = None
    ) -> list[Invitation]:
        """Return a page of the outstanding invitations, newest first.

        ``older_than`` is the creation time and id of the last one of the page before.
        """
        async with self._database.connect() as connection:
            return await storage.list_invitations(connection, max_rows, older_than)

    async def read(
        self,
        limit: int,
        older_than: tuple[datetime, UUID] | None,
        context: RequestContext,
    ) -> tuple[Sequence[Invitation], bool]:
        """Return a page to a program, and whether another one follows. It is recorded."""
        found = await self.list(limit + 1, older_than)
        page = found[:limit]
        record(Event.INVITATIONS_LISTED, context, number=len(page))
        return page, len(found) > limit

    async def iter_all(self) -> AsyncIterator[Invitation]:
        """Iterate over the outstanding invitations, newest first, a page at a time."""
        older_than = None
        while page := await self.list(PAGE_LENGTH, older_than):
            for each in page:
                yield each
            older_than = page[-1].created_at, page[-1].id

    async def withdraw(self, invitation_id: UUID, context: RequestContext) -> None:
        """Delete an invitation: nobody can sign up with it any more. Raises `NoSuchInvitation`."""
        async with self._database.connect() as connection:
            if not await storage.delete_invitation(connection, invitation_id):
                raise NoSuchInvitation
        record(Event.INVITATION_WITHDRAWN, context, invitation_id=str(invitation_id))

    async def _mail(
        self, connection: AsyncConnection, address: EmailAddress, invitation_id: UUID, key_id: str
    ) -> None:
        """Put the mail into the outbox; its link is derived when it is sent."""
        await self._mail_limits.require(connection, MailKind.INVITATION, address.name)
        data = {"invitation_id": str(invitation_id), "key_id": key_id}
        mail = Mail(kind=MailKind.INVITATION, recipient=address.display_name, data=data)
        await self._outbox.put(connection, mail)


def _secret_hash(token: str) -> SecretHash:
    _, secret = decoded(token) or (None, b"")
    return SecretHash(sha256(secret).digest())


def _unusable_address() -> InvalidField:
    return InvalidField(
        FieldCode.NOT_ALLOWED, "Without mail nobody signs up with an address: leave it out."
    )
