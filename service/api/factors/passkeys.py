"""The endpoints of the passkeys of a user."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, Response, delete, get, patch, post
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, PathParameter
from msgspec import UNSET

from service.api.factors.schemas import (
    AddPasskeyRequest,
    ListedPasskeys,
    PasskeyAdded,
    PasskeyChallenge,
    PasskeyInfo,
    RenamePasskeyRequest,
    passkey_added,
    passkey_challenge,
    passkey_info,
    passkeys,
)
from service.api.http.ids import parse_id
from service.api.http.json_body import StrictJSON, require_json_body
from service.api.http.litestar_workarounds import options_response
from service.api.http.problem_types import (
    ALREADY_SET_UP,
    DATABASE_UNAVAILABLE,
    INVALID_CHALLENGE,
    LAST_WAY_IN,
    NOT_AUTHENTICATED,
    NOT_FOUND,
    ORIGIN_REJECTED,
    REAUTHENTICATION_REQUIRED,
)
from service.api.http.request_context import ProvidedContext
from service.api.http.responses import (
    BODY_PROBLEMS,
    RENEWS_COOKIE,
    SESSION_SECURITY,
    problem_responses,
)
from service.api.security.cross_origin import reject_cross_origin
from service.api.security.guard import AuthenticatedRequest, require_session
from service.api.security.passkeys import passkeys_of, require_passkeys
from service.api.security.step_up import require_step_up
from service.auth.errors import NoSuchPasskey
from service.auth.factors.answers import PasskeyAnswer
from service.auth.factors.passkey_names import DEFAULT_NAME

PasskeyId = Annotated[str, PathParameter(format="uuid", description="The passkey's `id`.")]


class PasskeyController(Controller):
    """The passkeys of the user of the session."""

    path = "/me/passkeys"
    tags = ("Factors",)
    security = SESSION_SECURITY

    @HTTPRouteHandler("", http_method=HttpMethod.OPTIONS, status_code=204, include_in_schema=False)
    # The names have to sort first: see `options_response`.
    async def a_list_of_methods(self) -> Response[None]:
        """Answer OPTIONS /me/passkeys."""
        return options_response("GET", "POST")

    @HTTPRouteHandler(
        "/{passkey_id:str}",
        http_method=HttpMethod.OPTIONS,
        status_code=204,
        include_in_schema=False,
    )
    async def a_list_of_methods_of_one(self) -> Response[None]:
        """Answer OPTIONS of a passkey."""
        return options_response("DELETE", "PATCH")

    @get(
        "",
        guards=[require_passkeys, require_session],
        operation_id="listPasskeys",
        summary="List the passkeys",
        response_headers=[RENEWS_COOKIE],
        response_description="The passkeys of the user.",
        responses=problem_responses(NOT_AUTHENTICATED, NOT_FOUND, DATABASE_UNAVAILABLE),
    )
    async def list_passkeys(self, request: AuthenticatedRequest) -> ListedPasskeys:
        """Return the passkeys of the user, with what the signals to authenticators need."""
        services = passkeys_of(request)
        listed = await services.registry.list(request.auth.live.user.id)
        return passkeys(listed, services.rp_id)

    @post(
        "/options",
        status_code=200,
        guards=[reject_cross_origin, require_passkeys, require_session, require_step_up],
        operation_id="passkeyOptions",
        summary="Begin to add a passkey",
        response_headers=[RENEWS_COOKIE],
        response_description="Options for `navigator.credentials.create`.",
        responses=problem_responses(
            ORIGIN_REJECTED,
            NOT_AUTHENTICATED,
            REAUTHENTICATION_REQUIRED,
            NOT_FOUND,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def passkey_options(self, request: AuthenticatedRequest) -> PasskeyChallenge:
        """Return options for a new passkey, on an authenticator without one. Needs step-up."""
        questions = passkeys_of(request).questions
        return passkey_challenge(await questions.for_registration(request.auth.live))

    @post(
        "",
        status_code=201,
        guards=[reject_cross_origin, require_passkeys, require_session, require_step_up],
        before_request=require_json_body,
        dto=StrictJSON[AddPasskeyRequest],
        return_dto=None,
        operation_id="addPasskey",
        summary="Add a passkey",
        response_headers=[RENEWS_COOKIE],
        response_description="The passkey is a factor.",
        responses=problem_responses(
            *BODY_PROBLEMS,
            INVALID_CHALLENGE,
            NOT_AUTHENTICATED,
            REAUTHENTICATION_REQUIRED,
            ALREADY_SET_UP,
            NOT_FOUND,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def add_passkey(
        self,
        request: AuthenticatedRequest,
        data: JSONBody[AddPasskeyRequest],
        context: ProvidedContext,
    ) -> PasskeyAdded:
        """Add the passkey that an authenticator has made.

        With the first factor all other sessions end, and recovery codes are made. Needs step-up.
        """
        services, answer = passkeys_of(request), PasskeyAnswer(data.credential)
        name = DEFAULT_NAME if data.name is UNSET else data.name
        added = await services.registry.add(
            request.auth.live, data.challenge_token, answer, name, context
        )
        return passkey_added(added, services.rp_id)

    @patch(
        "/{passkey_id:str}",
        guards=[reject_cross_origin, require_passkeys, require_session, require_step_up],
        before_request=require_json_body,
        dto=StrictJSON[RenamePasskeyRequest],
        return_dto=None,
        operation_id="renamePasskey",
        summary="Rename a passkey",
        response_headers=[RENEWS_COOKIE],
        response_description="The passkey with its new name.",
        responses=problem_responses(
            *BODY_PROBLEMS,
            NOT_AUTHENTICATED,
            REAUTHENTICATION_REQUIRED,
            NOT_FOUND,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def rename_passkey(
        self,
        request: AuthenticatedRequest,
        passkey_id: PasskeyId,
        data: JSONBody[RenamePasskeyRequest],
    ) -> PasskeyInfo:
        """Change the name of a passkey. That of another user is not found. Needs step-up."""
        registry, renamed = passkeys_of(request).registry, parse_id(passkey_id, NoSuchPasskey)
        return passkey_info(await registry.rename(request.auth.live, renamed, data.name))

    @delete(
        "/{passkey_id:str}",
        guards=[reject_cross_origin, require_passkeys, require_session, require_step_up],
        operation_id="removePasskey",
        summary="Remove a passkey",
        response_headers=[RENEWS_COOKIE],
        response_description="The passkey is removed.",
        responses=problem_responses(
            ORIGIN_REJECTED,
            NOT_AUTHENTICATED,
            REAUTHENTICATION_REQUIRED,
            LAST_WAY_IN,
            NOT_FOUND,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def remove_passkey(
        self, request: AuthenticatedRequest, passkey_id: PasskeyId, context: ProvidedContext
    ) -> None:
        """Remove a passkey; other sessions that a passkey has proven end.

        That of another user is not found. With the last factor the recovery codes go. Needs
        step-up.
        """
        removed = parse_id(passkey_id, NoSuchPasskey)
        await passkeys_of(request).registry.remove(request.auth.live, removed, context)
