"""The endpoints of the user's e-mail address."""

from __future__ import annotations

from litestar import Controller, Response, delete, post, put
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody

from service.api.http.json_body import StrictJSON, require_json_body
from service.api.http.litestar_workarounds import options_response
from service.api.http.problem_types import (
    DATABASE_UNAVAILABLE,
    EMAIL_TAKEN,
    INVALID_CHALLENGE,
    INVALID_CODE,
    LAST_WAY_IN,
    NOT_AUTHENTICATED,
    NOT_FOUND,
    ORIGIN_REJECTED,
    RATE_LIMITED,
    REAUTHENTICATION_REQUIRED,
)
from service.api.http.request_context import ProvidedContext
from service.api.http.responses import (
    BODY_PROBLEMS,
    RENEWS_COOKIE,
    SESSION_SECURITY,
    problem_responses,
)
from service.api.http.state import state_of
from service.api.schemas import (
    Authenticated,
    ChallengeSent,
    ChangeEmailRequest,
    VerifyEmailRequest,
    authenticated,
    challenge_sent,
)
from service.api.security.cross_origin import reject_cross_origin
from service.api.security.guard import AuthenticatedRequest, require_session
from service.api.security.mail import require_mail
from service.api.security.step_up import require_step_up


class EmailController(Controller):
    """The address of the user."""

    path = "/me/email"
    tags = ("Account",)
    security = SESSION_SECURITY

    @HTTPRouteHandler("", http_method=HttpMethod.OPTIONS, status_code=204, include_in_schema=False)
    # The name has to sort first: see `options_response`.
    async def a_list_of_methods(self) -> Response[None]:
        """Answer OPTIONS /me/email."""
        return options_response("DELETE", "PUT")

    @put(
        "",
        status_code=202,
        guards=[reject_cross_origin, require_mail, require_session, require_step_up],
        before_request=require_json_body,
        dto=StrictJSON[ChangeEmailRequest],
        return_dto=None,
        operation_id="changeEmail",
        summary="Set or change the e-mail address",
        response_headers=[RENEWS_COOKIE],
        response_description="A code was mailed to the new address; the former one stays until "
        "the code comes back.",
        responses=problem_responses(
            *BODY_PROBLEMS,
            NOT_AUTHENTICATED,
            REAUTHENTICATION_REQUIRED,
            NOT_FOUND,
            RATE_LIMITED,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def change_email(
        self,
        request: AuthenticatedRequest,
        data: JSONBody[ChangeEmailRequest],
        context: ProvidedContext,
    ) -> ChallengeSent:
        """Mail a code to the address that the user wants, and a notice to the present one.

        The response does not tell whether another user has the address. Needs step-up.
        """
        emails = state_of(request).services.emails
        return challenge_sent(await emails.request(request.auth.live, data.email, context))

    @post(
        "/verify",
        status_code=200,
        guards=[reject_cross_origin, require_mail, require_session],
        before_request=require_json_body,
        dto=StrictJSON[VerifyEmailRequest],
        return_dto=None,
        operation_id="verifyEmail",
        summary="Verify the e-mail address",
        response_headers=[RENEWS_COOKIE],
        response_description="The user has the address.",
        responses=problem_responses(
            *BODY_PROBLEMS,
            INVALID_CODE,
            INVALID_CHALLENGE,
            NOT_AUTHENTICATED,
            EMAIL_TAKEN,
            NOT_FOUND,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def verify_email(
        self,
        request: AuthenticatedRequest,
        data: JSONBody[VerifyEmailRequest],
        context: ProvidedContext,
    ) -> Authenticated:
        """Give the user the address to which the code was mailed, in the session that requested it.

        A notice is mailed to the former address. Five wrong codes end the challenge.
        """
        live, emails = request.auth.live, state_of(request).services.emails
        user = await emails.verify(live, data.challenge_token, data.code, context)
        return authenticated(user, live.session, fresh=live.renewed)

    @delete(
        "",
        guards=[reject_cross_origin, require_session, require_step_up],
        operation_id="removeEmail",
        summary="Remove the e-mail address",
        response_headers=[RENEWS_COOKIE],
        response_description="The user has no address.",
        responses=problem_responses(
            ORIGIN_REJECTED,
            NOT_AUTHENTICATED,
            REAUTHENTICATION_REQUIRED,
            LAST_WAY_IN,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def remove_email(self, request: AuthenticatedRequest, context: ProvidedContext) -> None:
        """Remove the address of the user, and mail a notice to it.

        Another way to log in must be left: a user name with a password, a passkey or a linked
        account. Needs step-up.
        """
        await state_of(request).services.emails.remove(request.auth.live, context)
