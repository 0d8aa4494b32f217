"""The endpoints that the document describes, and what they are handed."""

from __future__ import annotations

from litestar.di import Provide
from msgspec import Struct

from service.api.accounts import AccountController
from service.api.callers import caller_of
from service.api.client_address import ClientAddresses
from service.api.credentials import SessionCookie
from service.api.health import HealthController
from service.api.sessions import SessionController
from service.auth.accounts import Accounts
from service.auth.readiness import Readiness
from service.auth.sessions import Sessions

CONTROLLERS = (AccountController, SessionController, HealthController)


class Parts(Struct, frozen=True, kw_only=True):
    """What endpoints ask for, each by its name here."""

    accounts: Accounts
    sessions: Sessions
    readiness: Readiness
    session_cookie: SessionCookie
    client_addresses: ClientAddresses


def dependencies(parts: Parts | None = None) -> dict[str, Provide]:
    """Hand the parts to Litestar. Without parts the endpoints can be described, not called."""
    handed = {name: _provide(parts, name) for name in Parts.__struct_fields__}
    return {**handed, "caller": Provide(caller_of)}


def _provide(parts: Parts | None, name: str) -> Provide:
    async def part() -> object:
        return getattr(parts, name)

    return Provide(part)
