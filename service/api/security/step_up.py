"""The guard of routes that need a recent proof of the user, beside a session."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler

from service.api.http.state import state_of


async def require_step_up(
    connection: ASGIConnection[Any, Any, Any, State], _: BaseRouteHandler
) -> None:
    """Raise `ReauthenticationRequired` unless the user was proven recently.

    It stands after `require_session`, which sets ``auth``.
    """
    await state_of(connection).services.step_up.require(connection.scope["auth"].live)
