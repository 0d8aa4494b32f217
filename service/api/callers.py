"""Who asks: the device and the request, as the rules and the audit trail want to know them."""

from __future__ import annotations

from typing import Any, TypeAlias

from litestar import Request
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from service.api.client_address import ClientAddresses
from service.api.response_headers import request_id_of
from service.model import Caller, Device

LONGEST_USER_AGENT = 512

# What endpoints write. It is made here; there is nothing to validate.
GivenCaller: TypeAlias = NamedDependency[SkipValidation[Caller]]


async def caller_of(
    request: Request[Any, Any, Any], client_addresses: NamedDependency[ClientAddresses]
) -> Caller:
    """Litestar's dependency ``caller``."""
    user_agent = request.headers.get("user-agent")
    device = Device(
        user_agent=user_agent and user_agent.replace("\0", "")[:LONGEST_USER_AGENT],
        address=client_addresses.of(request.scope),
    )
    return Caller(device=device, request_id=request_id_of(request.scope))
