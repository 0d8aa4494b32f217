"""Service tokens, as the operator sees them: created, listed, revoked, confirmed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Self
from uuid import UUID

from msgspec import Struct

from service.auth.audit import OPERATOR, Event, record
from service.auth.errors import (
    FieldCode,
    InvalidField,
    NoSuchServiceToken,
    ServiceTokenNameTaken,
    TooManyServiceTokens,
)
from service.auth.programs.presented_tokens import PresentedToken
from service.model.service_tokens import NewServiceToken, Scope, ServiceToken
from service.storage.database import Database
from service.storage.programs import service_tokens as storage
from service.storage.programs.service_tokens import NameInUse, NameOrID

MAX_TOKENS = 1000

# How long a token is valid, in days.
LIFETIME_DAYS = 365
MAX_LIFETIME_DAYS = 5 * 365

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")


class ServiceTokenName(str):
    """The name of a service token: it tells operators which program holds it."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a name. Raises `InvalidField`."""
        if _NAME.fullmatch(text) is None or _id_in(text) is not None:
            raise InvalidField(
                FieldCode.NOT_ALLOWED,
                "Name must have at most 64 letters, digits, `.`, `_` and `-`, begin with a letter, "
                "and not be an id.",
            )
        return cls(text)


class IssuedServiceToken(Struct, frozen=True, kw_only=True):
    """A new service token, and the text that its program presents, which is stored nowhere."""

    token: ServiceToken
    text: str


class ServiceTokenAdmin:
    """Administers the service tokens in ``database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self, name: ServiceTokenName, scopes: Sequence[Scope], lifetime: timedelta
    ) -> IssuedServiceToken:
        """Create a service token. Raises `ServiceTokenNameTaken` and `TooManyServiceTokens`.

        ``lifetime`` is at most `MAX_LIFETIME_DAYS`: what is never replaced is lost sooner or later.
        Raises `ValueError` for a longer one, and without a scope.
        """
        if not scopes or not timedelta() < lifetime <= timedelta(days=MAX_LIFETIME_DAYS):
            raise ValueError("a service token has a scope, and a lifetime of at most 5 years")
        issued = PresentedToken.issue()
        new = NewServiceToken(
            id=issued.id,
            name=name,
            secret_hash=issued.secret_hash,
            scopes=frozenset(scopes),
            lifetime=lifetime,
        )
        try:
            async with self._database.connect() as connection:
                token = await storage.add_service_token(connection, new, MAX_TOKENS)
        except NameInUse as error:
            raise ServiceTokenNameTaken from error
        if token is None:
            raise TooManyServiceTokens
        _record(Event.SERVICE_TOKEN_CREATED, token)
        return IssuedServiceToken(token=token, text=issued.text)

    async def list(self) -> Sequence[tuple[ServiceToken, bool]]:
        """Return all service tokens, oldest first, each with whether it has expired."""
        async with self._database.connect() as connection:
            return await storage.list_service_tokens(connection)

    async def revoke(self, name_or_id: str) -> ServiceToken:
        """Delete a service token: it opens nothing from now on, in any process.

        Raises `NoSuchServiceToken`.
        """
        async with self._database.connect() as connection:
            token = await storage.delete_service_token(connection, _named(name_or_id))
        if token is None:
            raise NoSuchServiceToken
        _record(Event.SERVICE_TOKEN_REVOKED, token)
        return token

    async def confirm(self, name_or_id: str) -> ServiceToken:
        """Let a service token that was suspended be used again. Raises `NoSuchServiceToken`."""
        async with self._database.connect() as connection:
            token = await storage.confirm_service_token(connection, _named(name_or_id))
        if token is None:
            raise NoSuchServiceToken
        _record(Event.SERVICE_TOKEN_CONFIRMED, token)
        return token

    async def confirm_all(self) -> Sequence[ServiceToken]:
        """Let all service tokens that were suspended be used again; return them."""
        async with self._database.connect() as connection:
            tokens = await storage.confirm_service_tokens(connection)
        for token in tokens:
            _record(Event.SERVICE_TOKEN_CONFIRMED, token)
        return tokens


def _record(event: Event, token: ServiceToken) -> None:
    record(
        event,
        OPERATOR,
        service_token_id=str(token.id),
        name=token.name,
        scopes=" ".join(sorted(token.scopes)),
    )


def _named(name_or_id: str) -> NameOrID:
    token_id = _id_in(name_or_id)
    return NameOrID(id=token_id) if token_id else NameOrID(name=name_or_id)


def _id_in(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
