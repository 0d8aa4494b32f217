"""The endpoints of log-in with a second factor, and by passkey."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, post
from litestar.datastructures import State
from litestar.params import JSONBody

from service.api.devices import presented_device
from service.api.factors.schemas import (
    PasskeyChallenge,
    PasskeyLogInRequest,
    SecondFactorRequest,
    passkey_challenge,
)
from service.api.http.json_body import StrictJSON, require_json_body
from service.api.http.problem_types import (
    ACCOUNT_DISABLED,
    DATABASE_UNAVAILABLE,
    INVALID_CHALLENGE,
    INVALID_CODE,
    INVALID_CREDENTIALS,
    NOT_FOUND,
    ORIGIN_REJECTED,
    OVERLOADED,
    RATE_LIMITED,
    UNKNOWN_PASSKEY,
)
from service.api.http.request_context import ProvidedContext
from service.api.http.responses import BODY_PROBLEMS, SETS_COOKIE, problem_responses
from service.api.http.state import state_of
from service.api.schemas import Authenticated
from service.api.security.cross_origin import reject_cross_origin
from service.api.security.passkeys import passkeys_of, require_passkeys
from service.api.tokens import carried_tokens, issue_token
from service.auth.factors.answers import PasskeyAnswer


class FactorLogInController(Controller):
    """Log-in with a second factor, and by passkey."""

    path = "/login"
    tags = ("Account",)

    @post(
        "/second-factor",
        status_code=200,
        guards=[reject_cross_origin],
        before_request=require_json_body,
        dto=StrictJSON[SecondFactorRequest],
        return_dto=None,
        operation_id="completeLogIn",
        summary="Complete a log-in with a second factor",
        response_headers=[SETS_COOKIE],
        response_description="The user is logged in.",
        responses=problem_responses(
            *BODY_PROBLEMS,
            INVALID_CODE,
            INVALID_CHALLENGE,
            INVALID_CREDENTIALS,
            ACCOUNT_DISABLED,
            UNKNOWN_PASSKEY,
            RATE_LIMITED,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def complete_log_in(
        self,
        request: Request[Any, Any, State],
        data: JSONBody[SecondFactorRequest],
        context: ProvidedContext,
    ) -> Authenticated:
        """Open the session of a log-in, or of the reset of a password, by a second factor.

        It answers the problem `second_factor_required`. The `transport` and the device are those of
        the first request. The live sessions that this request carries end. Five wrong answers end
        the challenge.
        """
        completed = await state_of(request).services.second_factors.complete(
            data.challenge_token,
            data.answer,
            context=context,
            carried=carried_tokens(request),
            device=presented_device(request, ""),
        )
        return issue_token(request, completed.opened, completed.transport)

    @post(
        "/passkey/options",
        status_code=200,
        guards=[reject_cross_origin, require_passkeys],
        operation_id="passkeyLogInOptions",
        summary="Begin a log-in by passkey",
        response_description="Options for `navigator.credentials.get`.",
        responses=problem_responses(ORIGIN_REJECTED, NOT_FOUND, DATABASE_UNAVAILABLE),
    )
    async def passkey_options(self, request: Request[Any, Any, State]) -> PasskeyChallenge:
        """Return options for a log-in by any passkey of the site, which the user chooses."""
        return passkey_challenge(await passkeys_of(request).questions.for_log_in())

    @post(
        "/passkey",
        status_code=200,
        guards=[reject_cross_origin, require_passkeys],
        before_request=require_json_body,
        dto=StrictJSON[PasskeyLogInRequest],
        return_dto=None,
        operation_id="logInByPasskey",
        summary="Log in by passkey",
        response_headers=[SETS_COOKIE],
        response_description="The user is logged in.",
        responses=problem_responses(
            *BODY_PROBLEMS,
            INVALID_CHALLENGE,
            INVALID_CREDENTIALS,
            ACCOUNT_DISABLED,
            UNKNOWN_PASSKEY,
            NOT_FOUND,
            RATE_LIMITED,
            OVERLOADED,
            DATABASE_UNAVAILABLE,
        ),
    )
    async def log_in_by_passkey(
        self,
        request: Request[Any, Any, State],
        data: JSONBody[PasskeyLogInRequest],
        context: ProvidedContext,
    ) -> Authenticated:
        """Open a session for the user of a passkey, without a name or a further factor.

        The live sessions that the request carries end.
        """
        opened = await passkeys_of(request).log_ins.log_in(
            data.challenge_token,
            PasskeyAnswer(data.credential),
            context=context.with_device_name(data.device_name),
            carried=carried_tokens(request),
            device=presented_device(request, data.device_token),
        )
        return issue_token(request, opened, data.transport)
