"""The endpoints of sign-up by e-mail."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, Response, post
from litestar.datastructures import State
from litestar.params import JSONBody
from msgspec import UNSET

from service.api.devices import presented_device
from service.api.http.json_body import StrictJSON, require_json_body
from service.api.http.json_response import JSONResponse
from service.api.http.problem_types import (
    ALREADY_AUTHENTICATED,
    DATABASE_UNAVAILABLE,
    EMAIL_TAKEN,
    INVALID_CHALLENGE,
    INVALID_CODE,
    INVALID_INVITATION,
    NOT_FOUND,
    OVERLOADED,
    RATE_LIMITED,
    SIGN_UP_CLOSED,
    USERNAME_TAKEN,
)
from service.api.http.request_context import ProvidedContext
from service.api.http.responses import (
    BODY_PROBLEMS,
    LOCATION,
    SETS_COOKIE,
    problem_responses,
)
from service.api.http.state import state_of
from service.api.schemas import (
    Authenticated,
    ChallengeSent,
    SignUpByEmailRequest,
    VerifySignUpRequest,
    challenge_sent,
)
from service.api.security.cross_origin import reject_cross_origin
from service.api.security.mail import require_mail
from service.api.tokens import carried_tokens, issue_token


class EmailSignUpController(Controller):
    """Sign-up by e-mail."""

    path = "/signup/email"
    tags = ("Account",)

    @post(
        "",
        status_code=202,
        guards=[reject_cross_origin, require_mail],
        before_request=require_json_body,
        dto=StrictJSON[SignUpByEmailRequest],
        return_dto=None,
        operation_id="signUpByEmail",
        summary="Sign up by e-mail",
        response_description="A code was mailed, or, if a user has the address, that there is an "
        "account.",
        responses=problem_responses(
            *BODY_PROBLEMS,
            SIGN_UP_CLOSED,
            INVALID_INVITATION,
            ALREADY_AUTHENTICATED,
            NOT_FOUND,
            RATE_LIMITED,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def sign_up_by_email(
        self,
        request: Request[Any, Any, State],
        data: JSONBody[SignUpByEmailRequest],
        context: ProvidedContext,
    ) -> ChallengeSent:
        """Mail a code to an address. The response does not tell whether a user has it.

        An invitation is only checked here: `POST /signup/email/verify` takes it, too.
        """
        made = await state_of(request).services.email_sign_ups.request(
            data.email,
            context=context,
            invitation=data.invitation,
            carried=carried_tokens(request),
            device=presented_device(request, data.device_token),
        )
        return challenge_sent(made)

    @post(
        "/verify",
        guards=[reject_cross_origin, require_mail],
        before_request=require_json_body,
        dto=StrictJSON[VerifySignUpRequest],
        return_dto=None,
        operation_id="verifySignUp",
        summary="Complete a sign-up by e-mail",
        response_headers=[SETS_COOKIE, LOCATION],
        response_description="The user is created, with the address verified, and logged in.",
        responses=problem_responses(
            *BODY_PROBLEMS,
            SIGN_UP_CLOSED,
            INVALID_INVITATION,
            INVALID_CODE,
            INVALID_CHALLENGE,
            EMAIL_TAKEN,
            USERNAME_TAKEN,
            ALREADY_AUTHENTICATED,
            NOT_FOUND,
            RATE_LIMITED,
            OVERLOADED,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def verify_sign_up(
        self,
        request: Request[Any, Any, State],
        data: JSONBody[VerifySignUpRequest],
        context: ProvidedContext,
    ) -> Response[Authenticated]:
        """Create a user with the address to which the code was mailed, and log them in.

        Five wrong codes end the challenge.
        """
        opened = await state_of(request).services.email_sign_ups.verify(
            data.challenge_token,
            data.code,
            data.password,
            None if data.username is UNSET else data.username,
            context=context.with_device_name(data.device_name),
            invitation=data.invitation,
            carried=carried_tokens(request),
            device=presented_device(request, data.device_token),
        )
        body = issue_token(request, opened, data.transport)
        return JSONResponse(body, status_code=201, headers={"Location": "/me"})
