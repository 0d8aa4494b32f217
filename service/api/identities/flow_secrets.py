"""Flow secrets in requests and responses."""

from __future__ import annotations

from typing import Any

from litestar import Request

from service.api.http.state import state_of
from service.api.identities.schemas import BeginFlowRequest
from service.auth.identities.flow_secrets import FlowClient, FlowSecret


def secret_for(request: Request[Any, Any, Any], body: BeginFlowRequest) -> FlowSecret:
    """Return the secret of a flow. A browser gets it in a cookie, which scripts do not see."""
    if body.client is FlowClient.NATIVE:
        return FlowSecret.issue(FlowClient.NATIVE)
    return state_of(request).flow_cookie.secret_for(request.scope)


def held_secrets(request: Request[Any, Any, Any], in_body: str) -> list[FlowSecret]:
    """Return the flow secrets that a request carries: the one in its body, or those in cookies."""
    if in_body:
        secret = FlowSecret.parse(in_body, FlowClient.NATIVE)
        return [] if secret is None else [secret]
    return state_of(request).flow_cookie.secrets_in(request.scope)
