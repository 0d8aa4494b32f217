"""The endpoint by which a change of the e-mail address is taken back."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, post
from litestar.datastructures import State
from litestar.params import JSONBody

from service.api.http.json_body import StrictJSON, require_json_body
from service.api.http.problem_types import (
    DATABASE_UNAVAILABLE,
    EMAIL_TAKEN,
    INVALID_CHALLENGE,
    NOT_FOUND,
)
from service.api.http.request_context import ProvidedContext
from service.api.http.responses import BODY_PROBLEMS, problem_responses
from service.api.http.state import state_of
from service.api.schemas import UndoRequest
from service.api.security.cross_origin import reject_cross_origin
from service.api.security.mail import require_mail


class UndoController(Controller):
    """Taking back a change of the address, a new factor or a newly linked account."""

    path = "/undo"
    tags = ("Account",)

    @post(
        "",
        status_code=204,
        guards=[reject_cross_origin, require_mail],
        before_request=require_json_body,
        dto=StrictJSON[UndoRequest],
        return_dto=None,
        operation_id="undo",
        summary="Take back a change of the address, a new factor or a newly linked account",
        response_description="The user has the former address again, and no factor or linked "
        "account that is later than the link; all sessions have ended, and a link to reset the "
        "password was mailed.",
        responses=problem_responses(
            *BODY_PROBLEMS, INVALID_CHALLENGE, EMAIL_TAKEN, NOT_FOUND, DATABASE_UNAVAILABLE
        ),
    )
    async def undo(
        self,
        request: Request[Any, Any, State],
        data: JSONBody[UndoRequest],
        context: ProvidedContext,
    ) -> None:
        """Give the user the address back to which the link was mailed.

        Factors and linked accounts that are later than the link are removed. The present password
        is void: a link to set a new one is mailed.
        """
        await state_of(request).services.undo.undo(data.token, context)
