"""Which changes of the OpenAPI document break clients, and which do not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.compatibility.document import Object
from tests.compatibility.doors import (
    DOCUMENT,
    TEXT,
    ChangeOfDocument,
    add,
    changed,
    put,
    remove,
    rename_code,
)
from tests.compatibility.operations import incompatibilities, is_compatible

OPENAPI = Path(__file__).parents[2] / "openapi"
RELEASED = json.loads((OPENAPI / "released.json").read_text(encoding="utf-8"))
CURRENT = json.loads((OPENAPI / "openapi.json").read_text(encoding="utf-8"))

REQUEST = ("Request", "properties")
DOOR = ("Door", "properties")
BODY = ("post", "requestBody")
SIZE = DOCUMENT["components"]["schemas"]["Size"]
NAME = DOCUMENT["components"]["schemas"]["Request"]["properties"]["name"]

INCOMPATIBLE = {
    "a path is removed": (remove("paths", "/doors"), "GET /doors was removed"),
    "a method is removed": (remove("paths", "/doors", "get"), "GET /doors was removed"),
    "an operation id is renamed": (
        put("get", "operationId", "doors"),
        "GET /doors: operationId was listDoors and is doors",
    ),
    "a tag is renamed": (
        put("get", "tags", ["Gates"]),
        "GET /doors: tags was ['Doors'] and is ['Gates']",
    ),
    "a schema is renamed": (rename_code, "schemas Code was removed"),
    "the paths move": (
        put("servers", [{"url": "/v2"}]),
        "the document: servers was [{'url': '/'}] and is [{'url': '/v2'}]",
    ),
    "a callback is added": (
        put("post", "callbacks", {}),
        "POST /doors: callbacks was absent and is {}",
    ),
    "a parameter is removed": (
        remove("get", "parameters", 0),
        "GET /doors query cursor was removed",
    ),
    "a parameter is required": (
        put("get", "parameters", 0, "required", True),
        "GET /doors query cursor is required",
    ),
    "a required parameter is added": (
        add(*("get", "parameters"), {"name": "q", "in": "query", "required": True, "schema": TEXT}),
        "GET /doors query q is required",
    ),
    "a parameter has another type": (
        put("get", "parameters", 0, "schema", {"type": "integer"}),
        "GET /doors query cursor: the type string is no longer permitted",
    ),
    "the body is required": (put(*BODY, "required", True), "POST /doors request is required"),
    "the body is removed": (remove(*BODY), "POST /doors request: application/json was removed"),
    "a body is required where there was none": (
        put("get", "requestBody", {"required": True}),
        "GET /doors request is required",
    ),
    "a media type of the body is removed": (
        remove(*BODY, "content", "application/json"),
        "POST /doors request: application/json was removed",
    ),
    "a required field of the request is added": (
        add("Request", "required", "note"),
        "POST /doors request.note is required",
    ),
    "a field of the request is removed": (
        remove(*REQUEST, "note"),
        "POST /doors request.note was removed",
    ),
    "the type of a request field is narrowed": (
        put(*REQUEST, "note", "type", "string"),
        "POST /doors request.note: the type null is no longer permitted",
    ),
    "the type of a request field is changed": (
        put(*REQUEST, "name", "type", "integer"),
        "POST /doors request.name: the type string is no longer permitted",
    ),
    "a request field has a format": (
        put(*REQUEST, "name", "format", "email"),
        "POST /doors request.name: format was absent and is email",
    ),
    "a request field has a pattern": (
        put(*REQUEST, "name", "pattern", "^a"),
        "POST /doors request.name: pattern was absent and is ^a",
    ),
    "the default of a request field is changed": (
        put(*REQUEST, "way", "default", "out"),
        "POST /doors request.way: default was in and is out",
    ),
    "a value of a request is removed": (
        remove("Way", "enum", 1),
        'POST /doors request.way: "out" is no longer permitted',
    ),
    "a request field permits listed values only": (
        put(*REQUEST, "name", "enum", ["front"]),
        "POST /doors request.name: other values are no longer permitted",
    ),
    "a minimum of a request is raised": (
        put(*REQUEST, "name", "minLength", 5),
        "POST /doors request.name: minLength was 4 and is 5",
    ),
    "a maximum of a request is lowered": (
        put(*REQUEST, "name", "maxLength", 30),
        "POST /doors request.name: maxLength was 31 and is 30",
    ),
    "a maximum of a request is set": (
        put(*REQUEST, "note", "maxLength", 300),
        "POST /doors request.note: maxLength was absent and is 300",
    ),
    "a success is removed": (remove("post", "responses", "200"), "POST /doors 200 was removed"),
    "an error is removed": (remove("post", "responses", "409"), "POST /doors 409 was removed"),
    "another success is added": (
        put("post", "responses", "202", {}),
        "POST /doors 202: another success",
    ),
    "a media type of a response is removed": (
        remove(*("post", "responses", "409", "content", "application/problem+json")),
        "POST /doors 409: application/problem+json was removed",
    ),
    "a header is removed": (
        remove("get", "responses", "200", "headers", "Link"),
        "GET /doors 200 header Link was removed",
    ),
    "a header has another type": (
        put(*("get", "responses", "200", "headers", "Link", "schema"), {"type": "integer"}),
        "GET /doors 200 header Link: the type integer is new",
    ),
    "a field of a response is removed": (
        remove(*DOOR, "width"),
        "GET /doors 200[].width was removed",
    ),
    "a field of a response is not always there": (
        remove("Door", "required", 0),
        "GET /doors 200[].id is not always there",
    ),
    "a response field has another type": (
        put(*DOOR, "width", "type", "string"),
        "GET /doors 200[].width: the type string is new",
    ),
    "a response field is null as well": (
        put(*DOOR, "width", "type", ["integer", "null"]),
        "GET /doors 200[].width: the type null is new",
    ),
    "a response field loses its format": (
        remove(*DOOR, "id", "format"),
        "GET /doors 200[].id: format was uuid and is absent",
    ),
    "a response field may be longer": (
        put(*DOOR, "note", "maxLength", 65),
        "GET /doors 200[].note: maxLength was 64 and is 65",
    ),
    "a value is added to a response": (
        add("State", "enum", "ajar"),
        'GET /doors 200[].state: "ajar" is new',
    ),
    "a value of a response is removed": (
        remove("State", "enum", 0),
        'GET /doors 200[].state: "open" was removed',
    ),
    "a response holds any value": (
        remove("State", "enum"),
        'GET /doors 200[].state: "open" was removed',
    ),
    "a code is removed": (remove("Code", "enum", 0), 'POST /doors 409.code: "locked" was removed'),
    "a response's code is a number as well": (
        add(*("Problem", "properties", "code", "anyOf"), {"type": "integer"}),
        "POST /doors 409.code: the alternative {'maxLength': 9, 'type': 'integer'} is new",
    ),
    "what an unknown keyword refers to is changed": (
        put("components", "schemas", "Size", {}),
        f"GET /doors 200[].size: oneOf was {[SIZE]} and is [{{}}]",
    ),
    "what stands beside alternatives is changed": (
        put("Problem", "properties", "code", "maxLength", 10),
        "POST /doors 409.code: the alternative {'maxLength': 10, 'type': 'string'} is new",
    ),
    "what stands beside a reference is changed": (
        put(*REQUEST, "back", "default", "in"),
        "POST /doors request.back: default was out and is in",
    ),
    "a request field gets alternatives of other types": (
        put(*REQUEST, "name", {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        f"POST /doors request.name: the alternative {NAME} is no longer permitted",
    ),
    "a response's code is no alternative": (
        put("Problem", "properties", "code", {"type": "integer", "maxLength": 9}),
        "POST /doors 409.code: the alternative {'type': 'integer', 'maxLength': 9} is new",
    ),
    "a constant of a response is changed": (
        put(*DOOR, "kind", "const", "gate"),
        'GET /doors 200[].kind: "gate" is new',
    ),
    "a response holds other members": (
        remove(*DOOR, "place", "additionalProperties"),
        "GET /doors 200[].place: other members are new",
    ),
    "a header is not always there": (
        put("get", "responses", "200", "headers", "Link", "required", False),
        "GET /doors 200 header Link is not always there",
    ),
    "an unknown member of a path is added": (
        put("paths", "/doors", "parameters", []),
        "/doors: parameters was absent and is []",
    ),
    "an unknown member of a body is added": (
        put(*BODY, "x-signed", True),
        "POST /doors request: x-signed was absent and is True",
    ),
    "an unknown member of a response is added": (
        put("get", "responses", "200", "links", {}),
        "GET /doors 200: links was absent and is {}",
    ),
    "an unknown member of a media type is added": (
        put(*BODY, "content", "application/json", "encoding", {}),
        "POST /doors request: encoding was absent and is {}",
    ),
    "an unknown member of the document is removed": (
        remove("servers"),
        "the document: servers was [{'url': '/'}] and is absent",
    ),
    "the items of a list are changed": (
        put(
            *("get", "responses", "200", "content", "application/json", "schema", "items"),
            {"$ref": "#/components/schemas/Problem"},
        ),
        "GET /doors 200[].id was removed",
    ),
    "a security alternative is removed": (
        remove("post", "security", 1),
        "POST /doors: cookie is not enough",
    ),
    "a security alternative needs both": (
        put("post", "security", [{"bearer": [], "cookie": []}]),
        "POST /doors: bearer is not enough",
    ),
    "an open operation needs a credential": (
        put("get", "security", [{"bearer": []}]),
        "GET /doors: no credential is not enough",
    ),
    "an open operation needs the default": (
        remove("get", "security"),
        "GET /doors: no credential is not enough",
    ),
    "a security scheme is changed": (
        put("components", "securitySchemes", "cookie", "name", "sid"),
        "securitySchemes cookie: name was session and is sid",
    ),
    "a security scheme is removed": (
        remove("components", "securitySchemes", "cookie"),
        "securitySchemes cookie was removed",
    ),
}

COMPATIBLE = {
    "nothing is changed": lambda _: None,
    "texts are changed": put("post", "description", "Open a door."),
    "the version is changed": put("info", "version", "2"),
    "a path is added": put("paths", "/keys", {"get": {"operationId": "listKeys", "responses": {}}}),
    "a method is added": put("paths", "/doors", "patch", {"operationId": "p", "responses": {}}),
    "an optional parameter is added": add(
        *("get", "parameters"), {"name": "q", "in": "query", "schema": TEXT}
    ),
    "an optional field of the request is added": put(*REQUEST, "colour", TEXT),
    "a value of a request is added": put(
        *REQUEST, "way", {"enum": ["in", "out", "up"], "default": "in"}
    ),
    "a request field is optional": remove("Request", "required", 0),
    "a request field may be null": put(*REQUEST, "name", "type", ["string", "null"]),
    "a minimum of a request is lowered": put(*REQUEST, "name", "minLength", 1),
    "a maximum of a request is removed": remove(*REQUEST, "name", "maxLength"),
    "a request may hold other members": remove("Request", "additionalProperties"),
    "another error is added": put("get", "responses", "503", {}),
    "a header is added": put("post", "responses", "200", "headers", {"Age": {"schema": TEXT}}),
    "a field of a response is added": put(*DOOR, "colour", TEXT),
    "a field of a response is always there": add("Door", "required", "width"),
    "a response field is never null": put(*DOOR, "note", "type", "string"),
    "a response field is shorter": put(*DOOR, "note", "maxLength", 10),
    "a response field is an integer instead of a number": put(*DOOR, "weight", "type", "integer"),
    "any value of a response becomes a text": put(*DOOR, "more", TEXT),
    "a response field has listed values": put(
        *(*DOOR, "note"), {"type": "string", "enum": ["new"], "maxLength": 3}
    ),
    "a response field has a default": put(*DOOR, "width", "default", 1),
    "a response's code is a listed one": put(
        *("Problem", "properties", "code"), {"$ref": "#/components/schemas/Code", "maxLength": 9}
    ),
    "a request field may have another type": put(
        *(*REQUEST, "name"), {"anyOf": [{**TEXT, "maxLength": 31}, {"type": "integer"}]}
    ),
    "a code is added": add("Code", "enum", "frozen"),
    "a schema is moved into a definition": put(
        *(*BODY, "content", "application/json", "schema"),
        {"allOf": [{"$ref": "#/components/schemas/Request"}], "description": "A door."},
    ),
    "a security alternative is added": add("post", "security", {"basic": []}),
    "an operation becomes open": put("post", "security", []),
}


@pytest.mark.parametrize(("change", "fault"), INCOMPATIBLE.values(), ids=INCOMPATIBLE)
def test_a_change_that_breaks_clients_is_found(change: ChangeOfDocument, fault: str) -> None:
    assert fault in incompatibilities(DOCUMENT, changed(DOCUMENT, change))


@pytest.mark.parametrize("change", COMPATIBLE.values(), ids=COMPATIBLE)
def test_a_change_that_breaks_no_client_is_accepted(change: ChangeOfDocument) -> None:
    assert incompatibilities(DOCUMENT, changed(DOCUMENT, change)) == []


def test_a_schema_that_several_operations_use_is_named_once() -> None:
    without_width = changed(DOCUMENT, remove(*DOOR, "width"))
    assert incompatibilities(DOCUMENT, without_width) == ["GET /doors 200[].width was removed"]


def fields_and_values(document: Object) -> Iterator[list[Any]]:
    """Return the place of each field and each value that the schemas of a document name."""
    for name, schema in document["components"]["schemas"].items():
        place = ["components", "schemas", name]
        yield from ([*place, "properties", each] for each in schema.get("properties", {}))
        yield from ([*place, "enum", index] for index in range(len(schema.get("enum", ()))))


def test_no_field_and_no_value_of_the_document_can_be_removed_unnoticed() -> None:
    places = list(fields_and_values(CURRENT))
    assert len(places) > 80
    for place in places:
        assert not is_compatible(CURRENT, changed(CURRENT, remove(*place))), place


def test_the_document_serves_the_clients_of_the_last_release() -> None:
    assert incompatibilities(RELEASED, CURRENT) == []


def test_the_command_names_what_breaks_clients(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps(changed(CURRENT, remove("paths", "/login"))), encoding="utf-8")
    command = [sys.executable, "-m", "tests.compatibility"]
    result = subprocess.run(
        [*command, OPENAPI / "openapi.json", broken], capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "POST /login was removed",
        f"{broken} breaks clients of {OPENAPI / 'openapi.json'}.",
    ]
