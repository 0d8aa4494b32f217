"""The endpoints of invitations, for other programs."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, Response, delete, get, post
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, PathParameter, QueryParameter

from service.api.admin.invitation_schemas import (
    CreatedInvitation,
    CreateInvitationRequest,
    InvitationPage,
    created_invitation,
    invitation_info,
)
from service.api.http.cursors import cursor_after, parse_cursor, require_one_cursor
from service.api.http.ids import parse_id
from service.api.http.json_body import StrictJSON, require_json_body
from service.api.http.json_response import JSONResponse
from service.api.http.litestar_workarounds import documented_header, options_response
from service.api.http.problem_types import (
    NOT_FOUND,
    RATE_LIMITED,
    TOO_MANY_INVITATIONS,
    VALIDATION_FAILED,
)
from service.api.http.request_context import ProvidedContext
from service.api.http.responses import (
    BODY_PROBLEMS,
    PROGRAM_PROBLEMS,
    PROGRAM_SECURITY,
    problem_responses,
)
from service.api.http.state import state_of
from service.api.security.service_token import ProgramRequest, require_further_scope, require_scope
from service.auth.errors import NoSuchInvitation
from service.model.service_tokens import Scope

PAGE_LENGTH = 100

PATH = "/admin/invitations"

require_invitations_write = require_scope(Scope.INVITATIONS_WRITE)


class InvitationController(Controller):
    """Make invitations, list those that are outstanding, and withdraw one."""

    path = PATH
    tags = ("Programs",)
    security = PROGRAM_SECURITY

    @HTTPRouteHandler("/", http_method=HttpMethod.OPTIONS, status_code=204, include_in_schema=False)
    # The name has to sort first: see `options_response`.
    async def a_list_of_methods(self) -> Response[None]:
        """Answer OPTIONS /admin/invitations."""
        return options_response("GET", "POST")

    @post(
        guards=[require_invitations_write],
        before_request=require_json_body,
        dto=StrictJSON[CreateInvitationRequest],
        return_dto=None,
        operation_id="createInvitation",
        summary="Invite somebody",
        response_headers=[documented_header("Location", "The path of the invitation.")],
        response_description="The invitation is made, and mailed if it has an address.",
        responses=problem_responses(
            *BODY_PROBLEMS, *PROGRAM_PROBLEMS, TOO_MANY_INVITATIONS, RATE_LIMITED
        ),
    )
    async def create_invitation(
        self,
        request: ProgramRequest,
        data: JSONBody[CreateInvitationRequest],
        context: ProvidedContext,
    ) -> Response[CreatedInvitation]:
        """Make an invitation, with which one user can sign up, in any mode but `closed`.

        With an address it is mailed, and only that address can sign up with it. Otherwise, and
        where the service does not know the page that takes it, the response has the token, for
        whoever passes it on. Needs the scope `invitations:write`, and for roles `roles:write`.
        """
        new = data.invitation
        if new.roles:
            require_further_scope(request, Scope.ROLES_WRITE)
        made = await state_of(request).services.invitations.create(new, context, by=request.auth)
        location = f"{PATH}/{made.invitation.id}"
        return JSONResponse(
            created_invitation(made), status_code=201, headers={"Location": location}
        )

    @get(
        guards=[require_invitations_write],
        operation_id="listInvitations",
        summary="List invitations",
        response_description="The outstanding invitations, newest first.",
        responses=problem_responses(VALIDATION_FAILED, *PROGRAM_PROBLEMS),
    )
    async def list_invitations(
        self,
        request: ProgramRequest,
        context: ProvidedContext,
        cursor: Annotated[
            str | None, QueryParameter(description="`next` of the page before this one.")
        ] = None,
    ) -> InvitationPage:
        """List the outstanding invitations, newest first, a hundred on a page.

        Those that were accepted or withdrawn, or have expired, are gone. An id opens nothing.
        """
        require_one_cursor(request)
        older_than = None if cursor is None else parse_cursor(cursor)
        invitations = state_of(request).services.invitations
        page, is_followed = await invitations.read(PAGE_LENGTH, older_than, context)
        last = page[-1] if is_followed else None
        return InvitationPage(
            invitations=[invitation_info(each) for each in page],
            next=None if last is None else cursor_after(last.created_at, last.id),
        )

    @delete(
        "/{invitation_id:str}",
        guards=[require_invitations_write],
        operation_id="withdrawInvitation",
        summary="Withdraw an invitation",
        response_description="Nobody can sign up with the invitation any more.",
        responses=problem_responses(*PROGRAM_PROBLEMS, NOT_FOUND),
    )
    async def withdraw_invitation(
        self,
        request: ProgramRequest,
        invitation_id: Annotated[
            str, PathParameter(description="The `id` of the invitation, from the list.")
        ],
        context: ProvidedContext,
    ) -> None:
        """Withdraw an invitation. One that was accepted is gone: its user stays."""
        withdrawn = parse_id(invitation_id, NoSuchInvitation)
        await state_of(request).services.invitations.withdraw(withdrawn, context)
