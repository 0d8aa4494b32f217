"""Reading a request's body: strict JSON, taken field by field.

msgspec stops at the first field that is wrong. Who fills in a form wants to hear of all of them, so
each field is converted by itself; the struct still tells OpenAPI what the body looks like.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Generic, NoReturn, TypeVar

import msgspec
from litestar import Request
from litestar.dto import AbstractDTO
from litestar.exceptions import InternalServerException
from litestar.openapi.spec import Reference, Schema
from litestar.typing import FieldDefinition
from msgspec import Struct
from msgspec.structs import FieldInfo

from service.api.problems import BodyCutShort, BodyTooSlow, MalformedJSON, UnsupportedMediaType
from service.auth.errors import FieldError, InvalidField, ValidationFailed

# They never change, and are asked for with every body.
fields_of = cache(msgspec.structs.fields)

FieldParsers = Mapping[type, Callable[[str], object]]


class Body(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The root of all request bodies."""

    @classmethod
    def errors_between(cls, values: Mapping[str, Any]) -> list[FieldError]:  # noqa: ARG003
        """What is wrong with fields that are each right; ``values`` holds those that are."""
        return []


BodyT = TypeVar("BodyT", bound=Body)


class StrictJSON(AbstractDTO[BodyT], Generic[BodyT]):
    """The way from bytes to a `Body`, as Litestar takes it."""

    def decode_bytes(self, value: bytes) -> BodyT:
        """Raises `MalformedJSON` and `ValidationFailed`."""
        parsers: FieldParsers = self.asgi_connection.app.state.field_parsers
        return read_body(value, self.model_type, parsers)

    @classmethod
    def create_for_field_definition(cls, *_: Any, **__: Any) -> None:
        """Nothing to prepare: the struct itself is what is read."""

    @classmethod
    def create_openapi_schema(
        cls,
        field_definition: FieldDefinition,
        handler_id: str,  # noqa: ARG003
        schema_creator: Any,
    ) -> Reference | Schema:
        schema: Reference | Schema = schema_creator.for_field_definition(field_definition)
        return schema


async def require_json_body(request: Request[Any, Any, Any]) -> None:
    """Litestar's ``before_request`` hook, which waits until the body is there.

    A ``charset`` changes nothing: JSON is UTF-8 (RFC 8259). Raises `UnsupportedMediaType`,
    `MalformedJSON`, `BodyTooSlow` and `BodyCutShort`.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0]
    if media_type.strip().lower() != "application/json":
        raise UnsupportedMediaType
    try:
        async with asyncio.timeout(request.app.state.client_timeout):
            body = await request.body()
    except TimeoutError as error:
        raise BodyTooSlow from error
    except InternalServerException as error:
        # How Litestar says that the client went away, or sent chunks that are none.
        raise BodyCutShort from error
    if not body:
        raise MalformedJSON("There is no body.")


def read_body(raw: bytes, model: type[BodyT], parsers: FieldParsers) -> BodyT:
    """Make a ``model`` of JSON. Raises `MalformedJSON`, and `ValidationFailed` with every error."""
    members = parse_json_object(raw)
    values: dict[str, Any] = {}
    errors: list[FieldError] = []
    fields = fields_of(model)
    for field in fields:
        try:
            values[field.name] = _value_of(field, members, parsers)
        except InvalidField as error:
            errors.append(error.of(field.name))
    errors += [
        FieldError(field=name, code="unknown_field", message="There is no such field.")
        for name in sorted(members.keys() - {field.name for field in fields})
    ]
    errors += model.errors_between(values)
    if errors:
        raise ValidationFailed(errors)
    return model(**values)


def parse_json_object(raw: bytes) -> dict[str, Any]:
    """Read a JSON object, without the leniency of most readers. Raises `MalformedJSON`."""
    try:
        document = json.loads(
            raw.decode(), object_pairs_hook=_without_repeated_names, parse_constant=_refuse
        )
        json.dumps(document, ensure_ascii=False).encode()
    except RecursionError as error:
        raise MalformedJSON("The body nests too deep.") from error
    except UnicodeDecodeError as error:
        raise MalformedJSON("The body is not UTF-8.") from error
    except UnicodeEncodeError as error:
        raise MalformedJSON("The body holds half of a surrogate pair.") from error
    except ValueError as error:
        raise MalformedJSON("The body is not a JSON document.") from error
    if not isinstance(document, dict):
        raise MalformedJSON("The body is not a JSON object.")
    return document


def _without_repeated_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise MalformedJSON("The body repeats a name.")
    return members


def _refuse(constant: str) -> NoReturn:
    raise MalformedJSON(f"{constant} is not JSON.")


def _value_of(field: FieldInfo, members: dict[str, Any], parsers: FieldParsers) -> Any:
    """Raises `InvalidField`."""
    if field.name not in members:
        if field.required:
            raise InvalidField("required", f"{_label(field)} is required.")
        return field.default
    value = members[field.name]
    parse = parsers.get(field.type)
    if parse is None:
        return _converted(value, field)
    if not isinstance(value, str):
        raise InvalidField("wrong_type", f"{_label(field)} must be a string.")
    return parse(value)


def _converted(value: Any, field: FieldInfo) -> Any:
    try:
        return msgspec.convert(value, field.type)
    except msgspec.ValidationError as error:
        code = "not_allowed" if isinstance(value, str) else "wrong_type"
        raise InvalidField(code, f"{_label(field)}: {error}.") from error


def _label(field: FieldInfo) -> str:
    return field.name.replace("_", " ").capitalize()
