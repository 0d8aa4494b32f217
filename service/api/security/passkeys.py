"""The guard of routes that need passkeys."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.handlers import BaseRouteHandler

from service.api.http.state import state_of
from service.bootstrap import PasskeyServices


async def require_passkeys(
    connection: ASGIConnection[Any, Any, Any, State], _: BaseRouteHandler
) -> None:
    """Raise `NotFoundException` in production without an RP ID: there is no such route."""
    passkeys_of(connection)


def passkeys_of(connection: ASGIConnection[Any, Any, Any, State]) -> PasskeyServices:
    """Return the services of passkeys. Raises `NotFoundException` without them."""
    passkeys = state_of(connection).services.passkeys
    if passkeys is None:
        raise NotFoundException
    return passkeys
