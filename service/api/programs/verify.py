"""Forward auth: a reverse proxy asks whether a request to an application may pass, and whose it is.

It is asked for every request to every application, with any method and any path after the policy's
name; so it is an ASGI application beside that of Litestar, which `Entrance` passes requests to.
"""

from __future__ import annotations

import re
from typing import Any

from litestar import Request
from litestar.exceptions import NotFoundException
from litestar.types import Message, Receive, Scope, Send
from msgspec import Struct

from service.api.http.entrance import VERIFY_PATH
from service.api.http.problems import problem_response
from service.api.http.state import APIState
from service.api.programs.identity_headers import Headers, identity_headers
from service.api.security.credentials import credential_of
from service.api.security.forwarded_requests import ForwardedRequests
from service.api.security.guard import Authentication
from service.model.sessions import Transport
from service.settings.verify import VerifySettings
from service.settings.verify_policies import FROM_REQUEST, VerifyPolicy

# The name of a policy, and what proxies append: the path of the request that they ask about.
_APPENDED = re.compile(rb"(/verify/[a-z0-9_-]+)/.*", re.DOTALL)
# Another program on the way might read such a path as that of another policy: it decodes `%2f`, or
# leaves out the parameters of a dot segment (`..;x`).
_AMBIGUOUS = re.compile(rb"(?i)(?:/|%2f)\.\.?(?=/|%2f|;|\Z)|%2e|%5c|\\")

_EMPTY: Headers = [(b"content-length", b"0")]
_CLOSE = (b"connection", b"close")


class _Route(Struct, frozen=True, kw_only=True):
    """A path, and what holds for requests to it. ``transport`` is ``None`` where both count."""

    template: str
    policy: VerifyPolicy
    transport: Transport | None
    forwarded: ForwardedRequests
    status: int
    headers: Headers


class Verify:
    """The ASGI application of `/verify`."""

    def __init__(self, settings: VerifySettings) -> None:
        policies = settings.policies_file.by_name if settings.policies_file else {}
        self._routes = {VERIFY_PATH: _route("/verify", VerifyPolicy(), None)}
        for name, policy in policies.items():
            route = _route("/verify/{policy}", policy, policy.transport)
            self._routes[b"%b/%b" % (VERIFY_PATH, name.encode())] = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, without reading its body."""
        if announces_body(scope):
            # The proxy does not send it.
            send = closing(send)
        try:
            headers, route = await self._verify(scope)
        except Exception as error:  # noqa: BLE001
            request: Request[Any, Any, Any] = Request(scope, receive, send)
            answer = problem_response(request, error)
            await answer.to_asgi_response(app=None, request=request)(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": route.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _verify(self, scope: Scope) -> tuple[Headers, _Route]:
        """Return the headers of a request that may pass. Raises what makes it a problem."""
        route = self._route_of(scope["raw_path"])
        scope["path_template"] = route.template
        state: APIState = scope["app"].state.api
        credential = credential_of(scope, state.session_cookie, route.transport)
        is_cookie = credential.transport is Transport.COOKIE
        if is_cookie and credential.tokens:
            route.forwarded.check(scope, state.client_addresses)
        live = await state.services.verification.verify(credential.tokens, route.policy)
        scope["auth"] = Authentication(live, credential.transport)
        if live.renewed and is_cookie:
            state.session_cookie.set(scope, live.token, live.session, live.session.renewed_at)
        others = state.own_cookies.others_in(scope["headers"])
        return identity_headers(live, others) + route.headers, route

    def _route_of(self, path: bytes) -> _Route:
        """Return the route of a raw path. Raises `NotFoundException`, also for an ambiguous one."""
        route = self._routes.get(path)
        if route is None:
            appended = _APPENDED.fullmatch(path)
            if appended is None or _AMBIGUOUS.search(path):
                raise NotFoundException
            route = self._routes.get(appended[1])
            if route is None:
                raise NotFoundException
        return route


def _route(template: str, policy: VerifyPolicy, transport: Transport | None) -> _Route:
    # Envoy, which sends the method of the request itself, takes nothing but 200 for a yes.
    is_envoy = policy.method_from == FROM_REQUEST
    return _Route(
        template=template,
        policy=policy,
        transport=transport,
        forwarded=ForwardedRequests(policy),
        status=200 if is_envoy else 204,
        headers=_EMPTY if is_envoy else [],
    )


def announces_body(scope: Scope) -> bool:
    """Return whether a body follows the head, or should: proxies send the head alone."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


def closing(send: Send) -> Send:
    """Return a ``send`` that closes the connection with the response."""

    async def send_and_close(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], _CLOSE]
        await send(message)

    return send_and_close
