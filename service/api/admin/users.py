"""The endpoints of users, for other programs."""

from __future__ import annotations

from typing import Annotated

from litestar import Controller, Response, delete, get, patch, post
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter

from service.api.admin.page_parameters import PageParameters
from service.api.admin.user_requests import ChangeUserRequest, CreateUserRequest
from service.api.admin.user_schemas import AdministeredUser, UserPage, administered_user
from service.api.http.etags import etag_of, expected_revisions, is_known_to_client
from service.api.http.ids import parse_id
from service.api.http.json_body import StrictJSON, require_json_body, require_merge_patch
from service.api.http.json_response import JSONResponse
from service.api.http.litestar_workarounds import documented_header, options_response
from service.api.http.problem_types import (
    EMAIL_TAKEN,
    NOT_FOUND,
    OVERLOADED,
    PRECONDITION_FAILED,
    USERNAME_TAKEN,
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
from service.auth.admin.revisions import revision_of
from service.auth.errors import NoSuchUser
from service.model.service_tokens import Scope
from service.model.user_records import UserRecord

PATH = "/admin/users"

ETAG = documented_header("ETag", "The revision of the user, for `If-Match`. It is opaque.")

UserId = Annotated[str, PathParameter(description="The user's `id`.")]
IfMatch = Annotated[
    str | None,
    HeaderParameter(
        name="If-Match",
        description="Only if the user still has the revision of this `ETag`, or one of several.",
    ),
]
IfNoneMatch = Annotated[
    str | None,
    HeaderParameter(
        name="If-None-Match",
        description="Only if the user no longer has the revision of this `ETag`, or one of "
        "several; else the response is 304.",
    ),
]


class UserController(Controller):
    """List users, create, read, change and delete one."""

    path = PATH
    tags = ("Programs",)
    security = PROGRAM_SECURITY

    @HTTPRouteHandler("/", http_method=HttpMethod.OPTIONS, status_code=204, include_in_schema=False)
    # The names have to sort first: see `options_response`.
    async def a_list_of_methods(self) -> Response[None]:
        """Answer OPTIONS /admin/users."""
        return options_response("GET", "POST")

    @HTTPRouteHandler(
        "/{user_id:str}", http_method=HttpMethod.OPTIONS, status_code=204, include_in_schema=False
    )
    async def a_list_of_methods_of_one(self, user_id: UserId) -> Response[None]:
        """Answer OPTIONS /admin/users/{id}."""
        return options_response("DELETE", "GET", "PATCH")

    @get(
        guards=[require_scope(Scope.USERS_READ)],
        operation_id="listUsers",
        summary="List users",
        response_description="A page of users.",
        responses=problem_responses(VALIDATION_FAILED, *PROGRAM_PROBLEMS),
    )
    async def list_users(  # noqa: PLR0913, PLR0917
        self,
        request: ProgramRequest,
        context: ProvidedContext,
        limit: Annotated[
            str | None,
            QueryParameter(description="How many users a page has: 1 to 500, 100 by default."),
        ] = None,
        cursor: Annotated[
            str | None, QueryParameter(description="`next` of the page before this one.")
        ] = None,
        username: Annotated[
            str | None,
            QueryParameter(description="Only users whose user name begins like this, in any case."),
        ] = None,
        email: Annotated[
            str | None,
            QueryParameter(description="Only users whose address begins like this, in any case."),
        ] = None,
    ) -> UserPage:
        """List the users, newest first; with `username` or `email` in the order of these.

        Needs the scope `users:read`.
        """
        asked = PageParameters.parse(
            request, limit=limit, cursor=cursor, username=username, email=email
        )
        page, following = await asked.page(state_of(request).services.user_pages, context)
        return UserPage(users=[administered_user(each) for each in page], next=following)

    @post(
        guards=[require_scope(Scope.USERS_WRITE)],
        before_request=require_json_body,
        dto=StrictJSON[CreateUserRequest],
        return_dto=None,
        operation_id="createUser",
        summary="Create a user",
        response_headers=[documented_header("Location", "The path of the user."), ETAG],
        response_description="The user was created, without a session.",
        responses=problem_responses(
            *BODY_PROBLEMS, *PROGRAM_PROBLEMS, USERNAME_TAKEN, EMAIL_TAKEN, OVERLOADED
        ),
    )
    async def create_user(
        self,
        request: ProgramRequest,
        data: JSONBody[CreateUserRequest],
        context: ProvidedContext,
    ) -> Response[AdministeredUser]:
        """Create a user, in whatever mode sign-up is. The user name may be a reserved one.

        Needs the scope `users:write`, and for roles `roles:write`.
        """
        new = data.new_user
        if new.roles:
            require_further_scope(request, Scope.ROLES_WRITE)
        created = await state_of(request).services.new_users.create(new, context)
        location = {"Location": f"{PATH}/{created.id}"}
        return user_response(created, status_code=201, headers=location)

    @get(
        "/{user_id:str}",
        guards=[require_scope(Scope.USERS_READ)],
        operation_id="getUser",
        summary="Get a user",
        response_headers=[ETAG],
        response_description="The user.",
        responses=problem_responses(*PROGRAM_PROBLEMS, NOT_FOUND),
    )
    async def get_user(
        self,
        request: ProgramRequest,
        user_id: UserId,
        context: ProvidedContext,
        if_none_match: IfNoneMatch = None,
    ) -> Response[AdministeredUser]:
        """Return a user.

        Needs the scope `users:read`.
        """
        admin = state_of(request).services.user_admin
        found = await admin.read(parse_id(user_id, NoSuchUser), context)
        if is_known_to_client(request, revision_of(found)):
            headers = {"ETag": etag_of(revision_of(found))}
            return Response(None, status_code=304, headers=headers)  # type: ignore[arg-type]
        return user_response(found)

    @patch(
        "/{user_id:str}",
        guards=[require_scope(Scope.USERS_WRITE)],
        before_request=require_merge_patch,
        dto=StrictJSON[ChangeUserRequest],
        return_dto=None,
        operation_id="changeUser",
        summary="Change a user",
        response_headers=[ETAG],
        response_description="The user as changed.",
        responses=problem_responses(
            *BODY_PROBLEMS, *PROGRAM_PROBLEMS, NOT_FOUND, USERNAME_TAKEN, PRECONDITION_FAILED
        ),
    )
    async def change_user(
        self,
        request: ProgramRequest,
        user_id: UserId,
        data: JSONBody[ChangeUserRequest],
        context: ProvidedContext,
        if_match: IfMatch = None,
    ) -> Response[AdministeredUser]:
        """Change a user by a merge patch (RFC 7396), as `application/merge-patch+json` too.

        What is left out stays. A user who is disabled has no session from then on, and opens none.
        Needs the scope `users:write`, and for roles `roles:write`.
        """
        wanted = data.patch
        if data.has_roles:
            require_further_scope(request, Scope.ROLES_WRITE)
        changed = await state_of(request).services.user_changes.apply(
            parse_id(user_id, NoSuchUser), wanted, context, expected=expected_revisions(request)
        )
        return user_response(changed)

    @delete(
        "/{user_id:str}",
        guards=[require_scope(Scope.USERS_WRITE)],
        operation_id="deleteUser",
        summary="Delete a user",
        response_description="The user is deleted, with all keys and sessions.",
        responses=problem_responses(*PROGRAM_PROBLEMS, NOT_FOUND, PRECONDITION_FAILED),
    )
    async def delete_user(
        self,
        request: ProgramRequest,
        user_id: UserId,
        context: ProvidedContext,
        if_match: IfMatch = None,
    ) -> None:
        """Delete a user. Needs the scope `users:write`."""
        await state_of(request).services.user_admin.delete(
            parse_id(user_id, NoSuchUser), context, expected=expected_revisions(request)
        )


def user_response(
    found: UserRecord, *, status_code: int = 200, headers: dict[str, str] | None = None
) -> Response[AdministeredUser]:
    """Return the response with a user, and the entity tag of their revision."""
    return JSONResponse(
        administered_user(found),
        status_code=status_code,
        headers={"ETag": etag_of(revision_of(found)), **(headers or {})},
    )
