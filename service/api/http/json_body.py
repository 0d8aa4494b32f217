"""Request bodies: strict JSON, converted field by field.

msgspec stops at the first invalid field (msgspec/msgspec#1158, 0.22), while a form shows all of
them at once. So each field is converted by itself; the struct describes the body in OpenAPI.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from functools import cache
from time import monotonic
from typing import Any, Generic, NoReturn, TypeVar, get_args

import msgspec
from litestar import Request
from litestar.dto import AbstractDTO
from litestar.openapi.spec import Reference, Schema
from litestar.typing import FieldDefinition
from msgspec import Struct, UnsetType
from msgspec.structs import FieldInfo

from service.api.http.errors import (
    BodyTimeout,
    InvalidRequest,
    MalformedJSON,
    UnsupportedMediaType,
)
from service.api.http.litestar_workarounds import receive_body
from service.api.http.state import FieldParsers, state_of
from service.auth.errors import FieldCode, FieldError, InvalidField, ValidationFailed
from service.model.deadline import postpone_deadline
from service.settings.permitted import permitted

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"

# Digits of an integer that are converted. Python's own limit is 4,300; it can be configured.
MAX_DIGITS = 640

# The fields of a struct never change, and are needed for every body.
fields_of = cache(msgspec.structs.fields)


class Body(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base class of request bodies."""

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> list[FieldError]:  # noqa: ARG003
        """Return the errors of fields that are valid by themselves, but not together.

        ``values`` holds the valid fields.
        """
        return []

    def __repr__(self) -> str:
        """Hide what was sent: most bodies have a secret in them."""
        return f"{type(self).__name__}(…)"


class OpenBody(Body, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """Base class of bodies with members from elsewhere: those that are unknown are ignored."""


BodyT = TypeVar("BodyT", bound=Body)


class StrictJSON(AbstractDTO[BodyT], Generic[BodyT]):
    """Litestar's interface to a body reader."""

    def decode_bytes(self, value: bytes) -> BodyT:
        """Read a body. Raises `MalformedJSON` and `ValidationFailed`."""
        parsers = state_of(self.asgi_connection).field_parsers
        return read_body(value, self.model_type, parsers)

    @classmethod
    def create_for_field_definition(cls, *_: Any, **__: Any) -> None:
        """Do nothing: the struct is the model."""

    @classmethod
    def create_openapi_schema(
        cls,
        field_definition: FieldDefinition,
        handler_id: str,  # noqa: ARG003
        schema_creator: Any,
    ) -> Reference | Schema:
        """Return the schema of the struct."""
        schema: Reference | Schema = schema_creator.for_field_definition(field_definition)
        return schema


async def require_json_body(request: Request[Any, Any, Any]) -> None:
    """Receive the body; Litestar's ``before_request`` hook.

    Raises `UnsupportedMediaType`, `MalformedJSON`, `BodyTimeout` and `InvalidRequest`.
    """
    require_json_type(request)
    if not await receive_in_time(request):
        raise MalformedJSON("The body is empty.")


async def require_merge_patch(request: Request[Any, Any, Any]) -> None:
    """Receive a body that may be declared as a merge patch (RFC 7396), as `require_json_body`."""
    require_media_type(request, JSON, MERGE_PATCH)
    if not await receive_in_time(request):
        raise MalformedJSON("The body is empty.")


async def receive_optional_json_body(request: Request[Any, Any, Any]) -> None:
    """Receive the body, if there is one; Litestar's ``before_request`` hook.

    Raises what `require_json_body` raises.
    """
    if "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0":
        await require_json_body(request)


async def receive_in_time(request: Request[Any, Any, Any]) -> bytes:
    """Receive the body. Raises `BodyTimeout` and `InvalidRequest`."""
    started = monotonic()
    try:
        # Granian limits the time of headers only, by decision (emmett-framework/granian#728).
        async with asyncio.timeout(state_of(request).body_timeout):
            body = await receive_body(request)
    except TimeoutError as error:
        raise BodyTimeout from error
    postpone_deadline(monotonic() - started)
    return body


def require_json_type(request: Request[Any, Any, Any]) -> None:
    """Check the headers of a body. Raises `UnsupportedMediaType` and `InvalidRequest`."""
    require_media_type(request, JSON)


def require_media_type(request: Request[Any, Any, Any], *accepted: str) -> str:
    """Return which of these media types a body has.

    A ``charset`` is ignored: JSON is UTF-8, and has no such parameter (RFC 8259, section 11).
    Raises `UnsupportedMediaType` for another one or a content coding, `InvalidRequest` for several.
    """
    media_types = request.headers.getall("content-type", [])
    if len(media_types) > 1:
        # Which one counts would depend on who reads them: the service, or a proxy before it.
        raise InvalidRequest("The request has several `Content-Type` headers.")
    media_type = media_types[0].partition(";")[0].strip().lower() if media_types else ""
    codings = {coding.lower() for coding in request.headers.getall("content-encoding", [])}
    if media_type not in accepted or codings - {"identity"}:
        message = f"The body must be {' or '.join(accepted)}, without a content coding."
        raise UnsupportedMediaType(message)
    return media_type


def read_body(raw: bytes, model: type[BodyT], parsers: FieldParsers) -> BodyT:
    """Convert JSON to a ``model``.

    Raises `MalformedJSON`, and `ValidationFailed` with all errors.
    """
    members = parse_json_object(raw)
    values: dict[str, Any] = {}
    errors: list[FieldError] = []
    fields = fields_of(model)
    for field in fields:
        try:
            values[field.name] = _convert_field(field, members, parsers)
        except InvalidField as error:
            errors.append(error.of(field.name))
    if model.__struct_config__.forbid_unknown_fields:
        errors += [
            FieldError(field=name, code=FieldCode.UNKNOWN_FIELD, message="Unknown field.")
            for name in sorted(members.keys() - {field.name for field in fields})
        ]
    errors += model.check(values)
    if errors:
        raise ValidationFailed(errors)
    return model(**values)


def parse_json_object(raw: bytes) -> dict[str, Any]:
    """Parse a JSON object, more strictly than most parsers. Raises `MalformedJSON`.

    msgspec accepts a member twice (msgspec/msgspec#648, 0.22), so the parser is Python's.
    """
    try:
        document = _DECODER.decode(raw.decode())
        if b"\\u" in raw:
            _ENCODER.encode(document).encode()
    except RecursionError as error:
        raise MalformedJSON("The body is nested too deeply.") from error
    except UnicodeDecodeError as error:
        raise MalformedJSON("The body is not UTF-8.") from error
    except UnicodeEncodeError as error:
        raise MalformedJSON("The body contains an unpaired surrogate.") from error
    except ValueError as error:
        raise MalformedJSON("The body is not a JSON document.") from error
    if not isinstance(document, dict):
        raise MalformedJSON("The body is not a JSON object.")
    return document


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise MalformedJSON("The body contains duplicate members.")
    return members


def _parse_integer(digits: str) -> int | float:
    """Return an integer; infinity for one that is too long for Python (CVE-2020-10735).

    It is a number nevertheless, and no field takes one of that size.
    """
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)


def _reject_constant(constant: str) -> NoReturn:
    raise MalformedJSON(f"{constant} is not JSON.")


# `json.loads` and `json.dumps` would make one for each body.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique_members, parse_constant=_reject_constant, parse_int=_parse_integer
)
_ENCODER = json.JSONEncoder(ensure_ascii=False)


def _convert_field(field: FieldInfo, members: dict[str, Any], parsers: FieldParsers) -> Any:
    """Return the value of a field. Raises `InvalidField`."""
    if field.name not in members:
        if field.required:
            raise InvalidField(FieldCode.REQUIRED, f"{_label(field)} is required.")
        return field.default
    value = members[field.name]
    parse = parsers.get(_given_type(field.type))
    if parse is None:
        return _convert(value, field)
    if not isinstance(value, str):
        raise InvalidField(FieldCode.WRONG_TYPE, f"{_label(field)} must be a string.")
    return parse(value)


@cache
def _given_type(annotation: Any) -> Any:
    """Return the type of a field that may be left out; that of any other field as it is."""
    given = [each for each in get_args(annotation) if each is not UnsetType]
    return given[0] if UnsetType in get_args(annotation) and len(given) == 1 else annotation


def _convert(value: Any, field: FieldInfo) -> Any:
    try:
        return msgspec.convert(value, field.type)
    except msgspec.ValidationError as error:
        is_of_another_type = not isinstance(value, str) and ", got `" in str(error)
        code = FieldCode.WRONG_TYPE if is_of_another_type else FieldCode.NOT_ALLOWED
        rule = permitted(field.type)
        message = f"{_label(field)}: {error}." if rule is None else f"{_label(field)} {rule}."
        raise InvalidField(code, message) from error


def _label(field: FieldInfo) -> str:
    return field.name.replace("_", " ").capitalize()
