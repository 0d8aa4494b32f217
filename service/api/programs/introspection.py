"""Token introspection (RFC 7662): another program asks whose session a token opens.

Programs ask it for requests of their own, perhaps for every one; so it is an ASGI application
beside that of Litestar, whose route for a body costs more than all the rest of it.
"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from litestar.exceptions import MethodNotAllowedException
from litestar.types import Receive, Scope, Send
from msgspec import UNSET, Meta, Struct, UnsetType

from service.api.http.entrance import INTROSPECTION_PATH
from service.api.http.litestar_workarounds import JSONBody
from service.api.http.problems import send_problem
from service.api.http.state import APIState
from service.api.http.unread_bodies import UnreadBody
from service.api.programs.introspected_tokens import Parameters, receive_parameters, token_in
from service.api.security.service_token import authorise
from service.auth.programs.amr import amr_of
from service.auth.tokens import Token
from service.model import service_tokens
from service.model.sessions import FoundSession

PATH = INTROSPECTION_PATH.decode()
ALLOWED = "OPTIONS, POST"


class Introspection(Struct, frozen=True, kw_only=True):
    """Whether a token opens a live session and, if it does, whose."""

    active: Annotated[
        bool,
        Meta(description="Whether the token opens a live session. If not, nothing else is said."),
    ]
    sub: Annotated[UUID | UnsetType, Meta(description="The user's id.")] = UNSET
    username: Annotated[
        str | UnsetType, Meta(description="The user name, if the user has one. It can change.")
    ] = UNSET
    sid: Annotated[UUID | UnsetType, Meta(description="The session's id.")] = UNSET
    iat: Annotated[
        int | UnsetType, Meta(description="When the user logged in, in seconds since 1970.")
    ] = UNSET
    exp: Annotated[
        int | UnsetType,
        Meta(
            description="When the session ends, unless a request of the user renews it before, in "
            "seconds since 1970. Introspection does not renew it."
        ),
    ] = UNSET
    amr: Annotated[
        list[str] | UnsetType,
        Meta(
            description="How the user was proven (RFC 8176): `pwd`, `otp`, `pop` for a passkey, "
            "`email`, `oidc:NAME` for a provider; `mfa` is added for `pop`, and for `otp` with "
            "`pwd` or `oidc:NAME`."
        ),
    ] = UNSET
    auth_time: Annotated[
        int | UnsetType,
        Meta(description="When the user was last proven, in seconds since 1970."),
    ] = UNSET
    roles: Annotated[list[str] | UnsetType, Meta(description="The user's roles.")] = UNSET


INACTIVE = Introspection(active=False)


async def introspect(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request: the ASGI application of `/introspect`."""
    scope["path_template"] = PATH
    if scope["method"] == "OPTIONS":  # type: ignore[typeddict-item]
        headers = [(b"allow", ALLOWED.encode()), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return
    state: APIState = scope["app"].state.api
    try:
        body = await _body_of_program(scope, receive, state)
    except Exception as error:  # noqa: BLE001
        unread = UnreadBody(scope, receive, send)
        await send_problem(error, scope, unread.receive, unread.send)
        return
    try:
        answer = JSONBody(await _introspection(body, state))
    except Exception as error:  # noqa: BLE001
        await send_problem(error, scope, receive, send)
    else:
        await answer(scope, receive, send)


async def _body_of_program(scope: Scope, receive: Receive, state: APIState) -> Parameters:
    """Return the body of a request of a program that may introspect. Raises what is wrong."""
    method = scope["method"]  # type: ignore[typeddict-item]
    if method != "POST":
        raise MethodNotAllowedException(headers={"allow": ALLOWED})
    await authorise(scope, state, service_tokens.Scope.INTROSPECT)
    return await receive_parameters(scope, receive, state.body_timeout)


async def _introspection(body: Parameters, state: APIState) -> Introspection:
    """Return whose session the token in a body opens. Raises what is wrong with the body."""
    token = Token.parse(token_in(body))
    found = None if token is None else await state.services.sessions.find(token)
    return INACTIVE if found is None else introspection_of(found)


def introspection_of(found: FoundSession) -> Introspection:
    """Return what is said of a live session."""
    session, user = found.session, found.user
    return Introspection(
        active=True,
        sub=user.id,
        username=user.username or UNSET,
        sid=session.id,
        iat=int(session.created_at.timestamp()),
        exp=int(session.idle_expires_at.timestamp()),
        amr=amr_of(session.methods),
        auth_time=int(session.authenticated_at.timestamp()),
        roles=user.roles,
    )
