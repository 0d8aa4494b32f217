"""The guard of routes of access tokens."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.handlers import BaseRouteHandler

from service.api.http.state import state_of
from service.auth.programs.access_tokens import AccessTokens


async def require_access_tokens(
    connection: ASGIConnection[Any, Any, Any, State], _: BaseRouteHandler
) -> None:
    """Raise `NotFoundException` if no access tokens are issued: there is no such route."""
    access_tokens_of(connection)


def access_tokens_of(connection: ASGIConnection[Any, Any, Any, State]) -> AccessTokens:
    """Return what issues access tokens. Raises `NotFoundException` if nothing does."""
    access_tokens = state_of(connection).services.access_tokens
    if access_tokens is None:
        raise NotFoundException
    return access_tokens
