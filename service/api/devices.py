"""Device tokens in requests and responses."""

from __future__ import annotations

from typing import Any

from litestar import Request

from service.api.http.state import state_of
from service.auth.devices import DeviceToken


def presented_device(request: Request[Any, Any, Any], in_body: str) -> DeviceToken | None:
    """Return the device token that a request carries, in its body or else in its cookie."""
    return DeviceToken.parse(in_body) or state_of(request).device_cookie.of(request.scope)


def is_in_cookie(request: Request[Any, Any, Any], device: DeviceToken) -> bool:
    """Return whether a device token is that of the request's cookie."""
    presented = state_of(request).device_cookie.of(request.scope)
    return presented is not None and presented.text == device.text
