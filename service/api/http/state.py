"""What handlers, guards and body readers work with: one struct for each application."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from litestar.connection import ASGIConnection
from msgspec import Struct

from service.api.http.client_address import ClientAddresses
from service.api.http.device_cookie import DeviceCookie
from service.api.http.flow_cookie import FlowCookie
from service.api.http.own_cookies import OwnCookies
from service.api.http.refusals import Refusals
from service.api.http.session_cookie import SessionCookie
from service.bootstrap import Services
from service.settings.link_url import LinkURL

# How a field of a request body is read, by its type. A parser raises `InvalidField`.
FieldParsers = Mapping[type, Callable[[str], object]]


class APIState(Struct, frozen=True, kw_only=True):
    """The services, and what the settings say about HTTP."""

    services: Services
    session_cookie: SessionCookie
    device_cookie: DeviceCookie
    flow_cookie: FlowCookie
    own_cookies: OwnCookies
    client_addresses: ClientAddresses
    field_parsers: FieldParsers
    allowed_origins: frozenset[str]
    body_timeout: float
    openapi_document: Callable[[], dict[str, Any]]
    refusals: Refusals
    reset_url: LinkURL | None


def state_of(connection: ASGIConnection[Any, Any, Any, Any]) -> APIState:
    """Return the state of the application that serves a connection."""
    state: APIState = connection.app.state.api
    return state
