"""The endpoints of the factors of a user, for other programs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from litestar import Controller, delete, get
from litestar.params import PathParameter
from msgspec import UNSET, Meta, Struct, UnsetType

from service.api.admin.users import PATH, UserId
from service.api.factors.schemas import TOTPInfo
from service.api.http.ids import parse_id
from service.api.http.problem_types import NOT_FOUND
from service.api.http.request_context import ProvidedContext
from service.api.http.responses import PROGRAM_PROBLEMS, PROGRAM_SECURITY, problem_responses
from service.api.http.state import state_of
from service.api.security.service_token import ProgramRequest, require_scope
from service.auth.errors import NoSuchFactor, NoSuchUser
from service.auth.factors.existing import FactorOverview
from service.model.service_tokens import Scope

APP = "totp"


class UserPasskey(Struct, frozen=True, kw_only=True):
    """A passkey of a user, without what belongs to the authenticator."""

    id: Annotated[UUID, Meta(description="The passkey's id.")]
    name: Annotated[str, Meta(description="The user's name for it.")]
    rp_id: Annotated[str, Meta(description="The domain that it belongs to.")]
    backed_up: Annotated[
        bool, Meta(description="Whether it is on more than one device, or in a backup.")
    ]
    created_at: Annotated[datetime, Meta(description="When it was added.")]
    last_used_at: Annotated[
        datetime | None, Meta(description="When it proved the user for the last time.")
    ]


class UserFactors(Struct, frozen=True, kw_only=True):
    """The factors of a user."""

    totp: Annotated[
        TOTPInfo | UnsetType, Meta(description="The authenticator app, if there is one.")
    ] = UNSET
    passkeys: Annotated[list[UserPasskey], Meta(description="The passkeys, oldest first.")]
    recovery_codes_left: Annotated[int, Meta(description="How many recovery codes are left.")]
    methods: Annotated[
        list[str],
        Meta(
            description="The factors by which the user can log in today. Later versions may know "
            "further methods."
        ),
    ]


class UserFactorController(Controller):
    """List the factors of a user, and remove one that was lost."""

    path = f"{PATH}/{{user_id:str}}/factors"
    tags = ("Programs",)
    security = PROGRAM_SECURITY

    @get(
        guards=[require_scope(Scope.USERS_READ)],
        operation_id="getUserFactors",
        summary="Get the factors of a user",
        response_description="The factors of the user.",
        responses=problem_responses(*PROGRAM_PROBLEMS, NOT_FOUND),
    )
    async def get_factors(
        self, request: ProgramRequest, user_id: UserId, context: ProvidedContext
    ) -> UserFactors:
        """Return which factors a user has. Needs the scope `users:read`."""
        factors = state_of(request).services.factor_admin
        return user_factors(await factors.read(parse_id(user_id, NoSuchUser), context))

    @delete(
        "/{factor_id:str}",
        guards=[require_scope(Scope.USERS_RECOVER)],
        operation_id="removeUserFactor",
        summary="Remove a factor of a user",
        response_description="The factor is removed, and the user told.",
        responses=problem_responses(*PROGRAM_PROBLEMS, NOT_FOUND),
    )
    async def remove_factor(
        self,
        request: ProgramRequest,
        user_id: UserId,
        factor_id: Annotated[
            str, PathParameter(description="`totp` for the app, or the `id` of a passkey.")
        ],
        context: ProvidedContext,
    ) -> None:
        """Remove a factor that was lost; the sessions that it has proven end.

        With the last one the recovery codes go, and the password alone logs in again. Needs the
        scope `users:recover`.
        """
        factors, owner_id = state_of(request).services.factor_admin, parse_id(user_id, NoSuchUser)
        if factor_id == APP:
            await factors.remove_totp(owner_id, context)
        else:
            await factors.remove_passkey(owner_id, parse_id(factor_id, NoSuchFactor), context)


def user_factors(overview: FactorOverview) -> UserFactors:
    """Return the factors of a user as they are shown to a program."""
    app = overview.totp
    return UserFactors(
        totp=UNSET
        if app is None
        else TOTPInfo(confirmed_at=app.confirmed_at, last_used_at=app.last_used_at),
        passkeys=[
            UserPasskey(
                id=each.id,
                name=each.name,
                rp_id=each.rp_id,
                backed_up=each.is_backed_up,
                created_at=each.created_at,
                last_used_at=each.last_used_at,
            )
            for each in overview.passkeys
        ],
        recovery_codes_left=overview.recovery_codes,
        methods=[each.value for each in overview.methods],
    )
