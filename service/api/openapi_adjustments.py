"""What Litestar 2.25 leaves out of its OpenAPI document, or says in a way that generators choke on.

Each function changes a part of the document in place. They can go when Litestar's schemas of
msgspec structs know ``forbid_unknown_fields``, union types without ``oneOf``, headers of error
responses and examples of request bodies, and when handlers and headers keep their order; no
upstream issues are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from service.api.http.json_body import Body
from service.api.http.problem_types import PROBLEM_TYPES
from service.auth.errors import FieldCode

Document = dict[str, Any]

REQUEST_ID_HEADER = "X-Request-ID"
RETRY_STATUSES = {"429", "503"}


def adjust(document: Document, examples: dict[str, Document], operation_ids: list[str]) -> None:
    """Make all adjustments.

    ``examples`` has, by the name of its schema, what shows a body: ``example`` or ``examples``. The
    paths are put into the order of their first operation in ``operation_ids``.
    """
    schemas = document["components"]["schemas"]
    _describe_request_bodies(schemas)
    _describe_invitations(schemas)
    _enumerate_problem_codes(schemas)
    for schema in _schemas_in(document):
        _flatten_union(schema)
    for operation in _operations(document):
        operation.setdefault("security", [])
        _let_body_be_optional(operation)
        _add_examples(operation.get("requestBody", {}), examples)
        for status, response in operation["responses"].items():
            headers = response.get("headers", {}) | _headers_of(status)
            response["headers"] = dict(sorted(headers.items()))
            _add_examples(response, examples)
    document["paths"] = _in_order(document["paths"], operation_ids)


def _describe_request_bodies(schemas: Document) -> None:
    """Forbid unknown members, where they are, and omit defaults that say nothing.

    openapi-typescript 7.13 takes members that have a default for members that are always there.
    """
    for model in _bodies(Body):
        if model.__name__ in schemas:
            if model.__struct_config__.forbid_unknown_fields:
                schemas[model.__name__]["additionalProperties"] = False
            for member in schemas[model.__name__]["properties"].values():
                if member.get("default") == "":
                    del member["default"]


def _bodies(base: type[Body]) -> Iterator[type[Body]]:
    for model in base.__subclasses__():
        yield model
        yield from _bodies(model)


def _describe_invitations(schemas: Document) -> None:
    """Describe an invitation in one place: Litestar does it where it meets the first, by chance."""
    reference = {"$ref": "#/components/schemas/InvitationInfo"}
    schemas["InvitationInfo"]["description"] = "The invitation."
    schemas["CreatedInvitation"]["properties"]["invitation"] = reference
    schemas["InvitationPage"]["properties"]["invitations"]["items"] = reference


def _enumerate_problem_codes(schemas: Document) -> None:
    """Name the codes there are, and keep the set open: a later version may have more.

    The union has a name of its own. A generator that has to make one up for a union in the property
    `code` of `Problem` takes `ProblemCode` (openapi-generator 7.26).
    """
    codes = sorted({each.code for each in PROBLEM_TYPES})
    meanings = "; ".join(f"`{each.value}`: {each.meaning}" for each in FieldCode)
    _open_enumeration(schemas, "ProblemCode", codes)
    _open_enumeration(schemas, "FieldCode", [each.value for each in FieldCode], f" {meanings}")
    schemas["Problem"]["properties"]["code"] = {"$ref": "#/components/schemas/ProblemCode"}
    schemas["FieldError"]["properties"]["code"] = {"$ref": "#/components/schemas/FieldCode"}


def _open_enumeration(schemas: Document, name: str, codes: list[str], meanings: str = "") -> None:
    schemas[f"Known{name}"] = {
        "title": f"Known{name}",
        "description": f"The codes of this version.{meanings}",
        "type": "string",
        "enum": codes,
    }
    schemas[name] = {
        "title": name,
        "description": "What went wrong, for programs. Later versions may have further codes: "
        "treat an unknown one by its status.",
        "anyOf": [{"$ref": f"#/components/schemas/Known{name}"}, {"type": "string"}],
    }


def _flatten_union(schema: Document) -> None:
    """Turn a union of one schema into that schema, and one with null into a list of types.

    That of an object without a name of its own has no type: openapi-python-client (0.29) would make
    up a name for it.
    """
    members = schema.get("oneOf")
    if members is None:
        return
    if len(members) == 1:
        del schema["oneOf"]
        schema.update(members[0] | schema)
    elif len(members) == 2 and {"type": "null"} in members:  # noqa: PLR2004
        (other,) = (each for each in members if each != {"type": "null"})
        if other.get("type") == "object":
            del schema["oneOf"]
        elif "type" in other:
            del schema["oneOf"]
            schema.update(other | schema | {"type": [other["type"], "null"]})


def _let_body_be_optional(operation: Document) -> None:
    """Describe a body that may be left out, which Litestar takes for one that may be null."""
    body = operation.get("requestBody", {})
    for content in body.get("content", {}).values():
        members = content["schema"].get("oneOf", [])
        if {"type": "null"} in members:
            (content["schema"],) = (each for each in members if each != {"type": "null"})
            body["required"] = False


def _headers_of(status: str) -> Document:
    """Return the headers that every response with this status has."""
    headers = {REQUEST_ID_HEADER: _header("The id of the request, which the log has as well.")}
    if status == "401":
        headers["WWW-Authenticate"] = _header(
            "`Bearer`; with the code `reauthentication_required` "
            '`Bearer error="insufficient_user_authentication", max_age="600"` (RFC 9470).'
        )
    if status in RETRY_STATUSES:
        headers["Retry-After"] = _header("In how many seconds to try again.")
    return headers


def _header(description: str) -> Document:
    return {"description": description, "schema": {"type": "string"}}


def _add_examples(body: Document, examples: dict[str, Document]) -> None:
    for content in body.get("content", {}).values():
        name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
        content.update(examples.get(name, {}))


def _in_order(paths: Document, operation_ids: list[str]) -> Document:
    def place(path: tuple[str, Document]) -> int:
        return min(operation_ids.index(each["operationId"]) for each in path[1].values())

    return dict(sorted(paths.items(), key=place))


def _operations(document: Document) -> Iterator[Document]:
    for operations in document["paths"].values():
        yield from operations.values()


def _schemas_in(value: Any) -> Iterator[Document]:
    """Return all objects of the document, of which schemas are some; the innermost come first."""
    members: Iterable[Any] = ()
    if isinstance(value, dict):
        members = list(value.values())
    elif isinstance(value, list):
        members = value
    for member in members:
        yield from _schemas_in(member)
    if isinstance(value, dict):
        yield value
