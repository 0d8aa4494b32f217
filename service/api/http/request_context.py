"""The context of a request: which device it comes from, and its id."""

from __future__ import annotations

from typing import Any, TypeAlias

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import Headers
from litestar.di import NamedDependency, Provide
from litestar.params import SkipValidation
from litestar.types import Scope

from service.api.http.printable import printable
from service.api.http.response_headers import request_id_of
from service.api.http.state import APIState, state_of
from service.model.request_context import Device, RequestContext
from service.model.service_tokens import ServiceToken

MAX_USER_AGENT_LENGTH = 512

# The annotation of a handler's parameter ``context``.
ProvidedContext: TypeAlias = NamedDependency[SkipValidation[RequestContext]]


async def provide_request_context(request: Request[Any, Any, Any]) -> RequestContext:
    """Return the context of a request, as Litestar's dependency ``context``."""
    return context_of(request)


def context_of(connection: ASGIConnection[Any, Any, Any, Any]) -> RequestContext:
    """Return the context of a request."""
    return request_context(connection.scope, state_of(connection))


def request_context(request: Scope, state: APIState) -> RequestContext:
    """Return the context of a request, with the service token that a guard has set."""
    user_agent = Headers.from_scope(request).get("user-agent")
    device = Device(
        user_agent=user_agent and printable(user_agent)[:MAX_USER_AGENT_LENGTH],
        address=state.client_addresses.of(request),
    )
    program: Any = request.get("auth")
    return RequestContext(
        device=device,
        request_id=request_id_of(request),
        service_token_id=program.id if isinstance(program, ServiceToken) else None,
    )


DEPENDENCIES = {"context": Provide(provide_request_context)}
