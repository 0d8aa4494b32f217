"""The guard of routes that need mail."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.handlers import BaseRouteHandler

from service.api.http.state import state_of


async def require_mail(
    connection: ASGIConnection[Any, Any, Any, State], _: BaseRouteHandler
) -> None:
    """Raise `NotFoundException` in production without an SMTP server: there is no such route."""
    if not state_of(connection).services.outbox.is_available:
        raise NotFoundException
