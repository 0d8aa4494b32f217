"""Responses of flows as OpenAPI describes them."""

from __future__ import annotations

from service.api.http.litestar_workarounds import documented_header

SETS_FLOW_COOKIE = documented_header(
    "Set-Cookie", "For the client `browser`, the cookie by which it completes the flow."
)
