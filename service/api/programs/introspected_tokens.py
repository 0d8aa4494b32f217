"""The parameter ``token`` of a request to introspect: in a form or in JSON."""

from __future__ import annotations

import asyncio
from time import monotonic
from urllib.parse import unquote_plus

from litestar.exceptions.http_exceptions import RequestEntityTooLarge
from litestar.types import Receive, Scope
from msgspec import Struct

from service.api.http.errors import BodyTimeout, InvalidRequest, UnsupportedMediaType
from service.api.http.json_body import parse_json_object
from service.auth.errors import FieldCode, InvalidField, ValidationFailed
from service.auth.tokens import TEXT_LENGTH
from service.model.deadline import postpone_deadline

FORM, JSON = "application/x-www-form-urlencoded", "application/json"

# Programs pass on whatever they were sent as a token, and its length is no reason to fail.
MAX_BODY_SIZE = 2 * 1024 * 1024
MAX_PARAMETERS = 100

# What is longer, with each character percent-encoded, is neither a token nor the name of one. Users
# choose it: to decode all of a body would keep a process from its other requests.
MAX_ENCODED_LENGTH = 3 * TEXT_LENGTH


class Parameters(Struct, frozen=True):
    """The body of a request: a form, or JSON."""

    body: bytes
    is_form: bool


async def receive_parameters(scope: Scope, receive: Receive, seconds: float) -> Parameters:
    """Return the body of a request, which has to arrive in so many seconds.

    Raises `BodyTimeout`, `InvalidRequest`, `RequestEntityTooLarge` and `UnsupportedMediaType`.
    """
    is_form = _media_type_of(scope) == FORM
    started = monotonic()
    try:
        async with asyncio.timeout(seconds):
            body = await _received(receive)
    except TimeoutError as error:
        raise BodyTimeout from error
    postpone_deadline(monotonic() - started)
    return Parameters(body, is_form)


def token_in(parameters: Parameters) -> str:
    """Return the parameter ``token``. Raises `ValidationFailed` and `MalformedJSON`."""
    try:
        if parameters.is_form:
            return token_in_form(parameters.body)
        return token_in_json(parameters.body)
    except InvalidField as error:
        raise ValidationFailed([error.of("token")]) from error


def _media_type_of(scope: Scope) -> str:
    """Return the media type of a body: `FORM` or `JSON`.

    Raises `UnsupportedMediaType` for another one or a content coding, `InvalidRequest` for several.
    """
    media_types, is_coded = [], False
    for name, value in scope["headers"]:
        if name == b"content-type":
            media_types.append(value)
        elif name == b"content-encoding":
            is_coded = is_coded or value.lower() != b"identity"
    if len(media_types) > 1:
        raise InvalidRequest("The request has several `Content-Type` headers.")
    media_type = b"".join(media_types).partition(b";")[0].strip().lower().decode("latin-1")
    if is_coded or media_type not in {FORM, JSON}:
        raise UnsupportedMediaType(f"The body must be {FORM} or {JSON}, without a content coding.")
    return media_type


async def _received(receive: Receive) -> bytes:
    """Return a body. Raises `InvalidRequest` and `RequestEntityTooLarge`."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise InvalidRequest("The body ended early, or its chunked encoding is invalid.")
        parts.append(message["body"])
        size += len(message["body"])
        if size > MAX_BODY_SIZE:
            raise RequestEntityTooLarge
        if not message.get("more_body", False):
            return b"".join(parts)


def token_in_form(body: bytes) -> str:
    """Return the token in a form (URL standard, section 5.1). Raises `InvalidField`.

    For what is not UTF-8, and what is longer than any token, some text is returned that is none.
    """
    parameters = [each.partition(b"=") for each in body.split(b"&", MAX_PARAMETERS)]
    if len(parameters) > MAX_PARAMETERS:
        message = f"There must be at most {MAX_PARAMETERS} parameters."
        raise InvalidField(FieldCode.NOT_ALLOWED, message)
    tokens = [value for name, _, value in parameters if _decoded(name) == "token"]
    if not tokens:
        raise InvalidField(FieldCode.REQUIRED, "Token is required.")
    if len(tokens) > 1:
        raise InvalidField(FieldCode.NOT_ALLOWED, "There must be one token.")
    return _decoded(tokens[0])


def _decoded(part: bytes) -> str:
    if len(part) > MAX_ENCODED_LENGTH:
        return ""
    return unquote_plus(part.decode("latin-1"))


def token_in_json(body: bytes) -> str:
    """Return the token in a JSON object. Raises `InvalidField` and `MalformedJSON`."""
    parameters = parse_json_object(body)
    if "token" not in parameters:
        raise InvalidField(FieldCode.REQUIRED, "Token is required.")
    token = parameters["token"]
    if not isinstance(token, str):
        raise InvalidField(FieldCode.WRONG_TYPE, "Token must be a string.")
    return token
