"""The endpoints by which a forgotten password is reset."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, post
from litestar.datastructures import State
from litestar.params import JSONBody

from service.api.devices import presented_device
from service.api.http.json_body import StrictJSON, require_json_body
from service.api.http.problem_types import (
    ACCOUNT_DISABLED,
    DATABASE_UNAVAILABLE,
    INVALID_CHALLENGE,
    NOT_FOUND,
    OVERLOADED,
    RATE_LIMITED,
    SECOND_FACTOR_REQUIRED,
)
from service.api.http.request_context import ProvidedContext
from service.api.http.responses import BODY_PROBLEMS, SETS_COOKIE, problem_responses
from service.api.http.state import state_of
from service.api.schemas import (
    Authenticated,
    ConfirmPasswordResetRequest,
    Requested,
    RequestPasswordResetRequest,
)
from service.api.security.cross_origin import reject_cross_origin
from service.api.security.mail import require_mail
from service.api.tokens import carried_tokens, issue_token


class PasswordResetController(Controller):
    """Reset of a forgotten password."""

    path = "/password-reset"
    tags = ("Account",)

    @post(
        "",
        status_code=202,
        guards=[reject_cross_origin, require_mail],
        before_request=require_json_body,
        dto=StrictJSON[RequestPasswordResetRequest],
        return_dto=None,
        operation_id="requestPasswordReset",
        summary="Request a password reset",
        response_description="A link was mailed, if there is such a user and they have verified an "
        "address.",
        responses=problem_responses(*BODY_PROBLEMS, NOT_FOUND, RATE_LIMITED, DATABASE_UNAVAILABLE),
    )
    async def request_password_reset(
        self,
        request: Request[Any, Any, State],
        data: JSONBody[RequestPasswordResetRequest],
        context: ProvidedContext,
    ) -> Requested:
        """Mail a link to the verified address of a user.

        The response is the same whether there is such a user or not.
        """
        device = presented_device(request, data.device_token)
        resets = state_of(request).services.password_resets
        await resets.request(data.identifier, context, device=device)
        return Requested()

    @post(
        "/confirm",
        status_code=200,
        guards=[reject_cross_origin],
        before_request=require_json_body,
        dto=StrictJSON[ConfirmPasswordResetRequest],
        return_dto=None,
        operation_id="confirmPasswordReset",
        summary="Reset the password",
        response_headers=[SETS_COOKIE],
        response_description="The password is set, all former sessions have ended, and the user "
        "is logged in.",
        responses=problem_responses(
            *BODY_PROBLEMS,
            INVALID_CHALLENGE,
            SECOND_FACTOR_REQUIRED,
            ACCOUNT_DISABLED,
            OVERLOADED,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def confirm_password_reset(
        self,
        request: Request[Any, Any, State],
        data: JSONBody[ConfirmPasswordResetRequest],
        context: ProvidedContext,
    ) -> Authenticated:
        """Set the password of the user of a link, and log them in.

        All their former sessions end, and their other reset links are void. A password that is
        refused does not use the link up. For a user with a factor nothing is changed yet: `POST
        /login/second-factor` does it.
        """
        opened = await state_of(request).services.password_resets.confirm(
            data.token,
            data.new_password,
            context=context.with_device_name(data.device_name),
            transport=data.transport,
            carried=carried_tokens(request),
            device=presented_device(request, data.device_token),
        )
        return issue_token(request, opened, data.transport)
