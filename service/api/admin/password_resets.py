"""The endpoint at which a program has a link made to reset the password of a user."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from litestar import Controller, post
from litestar.params import JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType

from service.api.admin.users import PATH, UserId
from service.api.http.ids import parse_id
from service.api.http.json_body import Body, StrictJSON, require_json_body
from service.api.http.problem_types import NO_KEY_FOR_PASSWORD, NOT_FOUND
from service.api.http.request_context import ProvidedContext
from service.api.http.responses import (
    BODY_PROBLEMS,
    PROGRAM_PROBLEMS,
    PROGRAM_SECURITY,
    problem_responses,
)
from service.api.http.state import state_of
from service.api.security.service_token import ProgramRequest, require_scope
from service.auth.admin.reset_links import Delivery
from service.auth.errors import NoSuchUser
from service.model.service_tokens import Scope


class ResetUserPasswordRequest(Body, frozen=True, kw_only=True):
    """Request body of POST /admin/users/{id}/password-reset."""

    deliver: Annotated[
        Delivery,
        Meta(
            description="`mail`: to the verified address of the user. `return`: in the response, "
            "for whoever passes it on; the user gets a notice."
        ),
    ] = Delivery.MAIL


class ResetLink(Struct, frozen=True, kw_only=True):
    """A link to reset a password."""

    expires_at: Annotated[datetime, Meta(description="When the link expires.")]
    token: Annotated[
        str | UnsetType,
        Meta(description="With `return`: what `POST /password-reset/confirm` needs."),
    ] = UNSET
    link: Annotated[
        str | UnsetType,
        Meta(description="With `return`: the link itself, if `OSTIARY_RESET_URL` is set."),
    ] = UNSET


class UserPasswordResetController(Controller):
    """Have a link made."""

    path = f"{PATH}/{{user_id:str}}/password-reset"
    tags = ("Programs",)
    security = PROGRAM_SECURITY

    @post(
        status_code=200,
        guards=[require_scope(Scope.USERS_RECOVER)],
        before_request=require_json_body,
        dto=StrictJSON[ResetUserPasswordRequest],
        return_dto=None,
        operation_id="resetUserPassword",
        summary="Make a link to reset a password",
        response_description="The link was made.",
        responses=problem_responses(
            *BODY_PROBLEMS, *PROGRAM_PROBLEMS, NOT_FOUND, NO_KEY_FOR_PASSWORD
        ),
    )
    async def reset_password(
        self,
        request: ProgramRequest,
        user_id: UserId,
        data: JSONBody[ResetUserPasswordRequest],
        context: ProvidedContext,
    ) -> ResetLink:
        """Make a link by which a user sets a new password: valid for an hour, and once.

        It asks for a factor, if the user has one. Needs the scope `users:recover`.
        """
        state = state_of(request)
        made = await state.services.reset_links.make(
            parse_id(user_id, NoSuchUser), data.deliver, context
        )
        if data.deliver is Delivery.MAIL:
            return ResetLink(expires_at=made.expires_at)
        url = state.reset_url
        return ResetLink(
            expires_at=made.expires_at,
            token=made.token,
            link=UNSET if url is None else url.with_token(made.token),
        )
