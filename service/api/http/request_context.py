"""The context of a request: which device it comes from, and its id."""

from __future__ import annotations

from typing import Any, TypeAlias

from litestar import Request
from litestar.di import NamedDependency, Provide
from litestar.params import SkipValidation

from service.api.http.printable import printable
from service.api.http.response_headers import request_id_of
from service.api.http.state import state_of
from service.model.request_context import Device, RequestContext
from service.model.service_tokens import ServiceToken

MAX_USER_AGENT_LENGTH = 512

# The annotation of a handler's parameter ``context``.
ProvidedContext: TypeAlias = NamedDependency[SkipValidation[RequestContext]]


async def provide_request_context(request: Request[Any, Any, Any]) -> RequestContext:
    """Return the context of a request, as Litestar's dependency ``context``."""
    user_agent = request.headers.get("user-agent")
    device = Device(
        user_agent=user_agent and printable(user_agent)[:MAX_USER_AGENT_LENGTH],
        address=state_of(request).client_addresses.of(request.scope),
    )
    # A guard has set it: guards run before dependencies are provided.
    program: Any = request.scope.get("auth")
    return RequestContext(
        device=device,
        request_id=request_id_of(request.scope),
        service_token_id=program.id if isinstance(program, ServiceToken) else None,
    )


DEPENDENCIES = {"context": Provide(provide_request_context)}
