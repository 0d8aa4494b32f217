"""What the OpenAPI document says of `/introspect`, which is no route of Litestar's."""

from __future__ import annotations

from dataclasses import dataclass

from litestar import Controller, post
from litestar.openapi.spec import OpenAPIMediaType, Operation, RequestBody, Schema
from litestar.openapi.spec.enums import OpenAPIType

from service.api.http.problem_types import (
    MALFORMED_JSON,
    PAYLOAD_TOO_LARGE,
    REQUEST_TIMEOUT,
    UNSUPPORTED_MEDIA_TYPE,
    VALIDATION_FAILED,
)
from service.api.http.responses import PROGRAM_PROBLEMS, PROGRAM_SECURITY, problem_responses
from service.api.programs.introspected_tokens import JSON
from service.api.programs.introspection import INACTIVE, PATH, Introspection

_PARAMETERS = Schema(
    title="IntrospectRequest",
    type=OpenAPIType.OBJECT,
    required=["token"],
    description="Other parameters are ignored, `token_type_hint` among them.",
    properties={"token": Schema(type=OpenAPIType.STRING, description="The token of a session.")},
)
_EXAMPLE = {"token": "Pyu4wZ1KTm-Ke1wdLj9KW0Xw9cQ3b7sVtWv0cSxZ1i8dN2kqT5uYpHrLgQmEaBfC"}


@dataclass
class IntrospectOperation(Operation):
    """The operation, with its body: Litestar describes one that a handler takes as ``data``."""

    def __post_init__(self) -> None:
        """Describe the body in JSON.

        From a choice of a form and JSON, openapi-python-client (0.29) generates modules that cannot
        be imported, and openapi-generator (7.26) Java that needs one more library.
        """
        body = OpenAPIMediaType(schema=_PARAMETERS, example=_EXAMPLE)
        self.request_body = RequestBody(content={JSON: body}, required=True)


class IntrospectionDocument(Controller):
    """`/introspect`, for the document only."""

    path = PATH
    tags = ("Programs",)

    @post(
        status_code=200,
        security=PROGRAM_SECURITY,
        operation_class=IntrospectOperation,
        operation_id="introspectToken",
        summary="Introspect the token of a session",
        response_description="Whether the token opens a live session, and whose.",
        responses=problem_responses(
            *PROGRAM_PROBLEMS,
            MALFORMED_JSON,
            VALIDATION_FAILED,
            REQUEST_TIMEOUT,
            PAYLOAD_TOO_LARGE,
            UNSUPPORTED_MEDIA_TYPE,
        ),
    )
    async def introspect(self) -> Introspection:
        """Return whose session a token opens, for a program that was sent it (RFC 7662).

        Needs the scope `introspect`. The session is not renewed: that is left to requests of the
        user. A form (`application/x-www-form-urlencoded`) is accepted as well as JSON.
        """
        return INACTIVE
