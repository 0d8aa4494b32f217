"""The endpoints of the authenticator app, the recovery codes, and all factors of a user."""

from __future__ import annotations

from litestar import Controller, Response, delete, get, post
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody

from service.api.factors.schemas import (
    ConfirmTOTPRequest,
    Factors,
    NewRecoveryCodes,
    TOTPConfirmed,
    TOTPSecret,
    factors,
    recovery_codes_if_any,
    shown_codes,
    totp_secret,
)
from service.api.http.json_body import StrictJSON, require_json_body
from service.api.http.litestar_workarounds import options_response
from service.api.http.problem_types import (
    ALREADY_SET_UP,
    DATABASE_UNAVAILABLE,
    INVALID_CODE,
    NO_FACTOR,
    NOT_AUTHENTICATED,
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
from service.api.security.cross_origin import reject_cross_origin
from service.api.security.guard import AuthenticatedRequest, require_session
from service.api.security.step_up import require_step_up


class FactorController(Controller):
    """The factors of the user of the session."""

    path = "/me"
    tags = ("Factors",)
    security = SESSION_SECURITY

    @HTTPRouteHandler(
        "/totp", http_method=HttpMethod.OPTIONS, status_code=204, include_in_schema=False
    )
    # The name has to sort first: see `options_response`.
    async def a_list_of_methods(self) -> Response[None]:
        """Answer OPTIONS /me/totp."""
        return options_response("DELETE", "POST")

    @get(
        "/factors",
        guards=[require_session],
        operation_id="getFactors",
        summary="Get the factors",
        response_headers=[RENEWS_COOKIE],
        response_description="The factors of the user.",
        responses=problem_responses(NOT_AUTHENTICATED, DATABASE_UNAVAILABLE),
    )
    async def get_factors(self, request: AuthenticatedRequest) -> Factors:
        """Return which factors the user has, and by which methods they can reauthenticate."""
        services, user_id = state_of(request).services, request.auth.live.user.id
        overview = await services.factors.overview(user_id)
        return factors(overview, await services.step_up.methods_of(user_id))

    @post(
        "/totp",
        status_code=201,
        guards=[reject_cross_origin, require_session, require_step_up],
        operation_id="setUpTOTP",
        summary="Set up an authenticator app",
        response_headers=[RENEWS_COOKIE],
        response_description="The secret for the app, which a first code has to confirm.",
        responses=problem_responses(
            ORIGIN_REJECTED,
            NOT_AUTHENTICATED,
            REAUTHENTICATION_REQUIRED,
            ALREADY_SET_UP,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def set_up_totp(self, request: AuthenticatedRequest) -> TOTPSecret:
        """Create a secret for an authenticator app (TOTP, RFC 6238).

        It is no factor until a code of it was sent to `POST /me/totp/confirm`; an earlier secret
        that was not confirmed is void. Needs step-up.
        """
        apps = state_of(request).services.authenticator_apps
        return totp_secret(await apps.set_up(request.auth.live))

    @post(
        "/totp/confirm",
        status_code=200,
        guards=[reject_cross_origin, require_session, require_step_up],
        before_request=require_json_body,
        dto=StrictJSON[ConfirmTOTPRequest],
        return_dto=None,
        operation_id="confirmTOTP",
        summary="Confirm the authenticator app",
        response_headers=[RENEWS_COOKIE],
        response_description="The app is a factor.",
        responses=problem_responses(
            *BODY_PROBLEMS,
            INVALID_CODE,
            NOT_AUTHENTICATED,
            REAUTHENTICATION_REQUIRED,
            NO_FACTOR,
            RATE_LIMITED,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def confirm_totp(
        self,
        request: AuthenticatedRequest,
        data: JSONBody[ConfirmTOTPRequest],
        context: ProvidedContext,
    ) -> TOTPConfirmed:
        """Make the authenticator app a factor, by a code that it shows.

        With the first factor all other sessions end, and recovery codes are made. Needs step-up.
        """
        apps = state_of(request).services.authenticator_apps
        codes = await apps.confirm(request.auth.live, data.code, context)
        return TOTPConfirmed(recovery_codes=recovery_codes_if_any(codes))

    @delete(
        "/totp",
        guards=[reject_cross_origin, require_session, require_step_up],
        operation_id="removeTOTP",
        summary="Remove the authenticator app",
        response_headers=[RENEWS_COOKIE],
        response_description="The app is removed.",
        responses=problem_responses(
            ORIGIN_REJECTED,
            NOT_AUTHENTICATED,
            REAUTHENTICATION_REQUIRED,
            NO_FACTOR,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def remove_totp(self, request: AuthenticatedRequest, context: ProvidedContext) -> None:
        """Remove the authenticator app; other sessions that it has proven end.

        With the last factor the recovery codes go. Needs step-up.
        """
        await state_of(request).services.authenticator_apps.remove(request.auth.live, context)

    @post(
        "/recovery-codes",
        status_code=201,
        guards=[reject_cross_origin, require_session, require_step_up],
        operation_id="renewRecoveryCodes",
        summary="Make new recovery codes",
        response_headers=[RENEWS_COOKIE],
        response_description="The new codes; the old ones are void.",
        responses=problem_responses(
            ORIGIN_REJECTED,
            NOT_AUTHENTICATED,
            REAUTHENTICATION_REQUIRED,
            NO_FACTOR,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def renew_recovery_codes(
        self, request: AuthenticatedRequest, context: ProvidedContext
    ) -> NewRecoveryCodes:
        """Make ten recovery codes in place of those that are left. Needs step-up and a factor."""
        renewals = state_of(request).services.recovery_code_renewals
        codes = await renewals.renew(request.auth.live, context)
        return NewRecoveryCodes(recovery_codes=shown_codes(codes))
