"""A small OpenAPI document, and changes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from tests.compatibility.document import Object
from tests.compatibility.operations import METHODS

ChangeOfDocument: TypeAlias = Callable[[Object], None]

TEXT = {"type": "string"}
CODE = {"anyOf": [{"$ref": "#/components/schemas/Code"}, TEXT], "maxLength": 9}

DOCUMENT: Object = {
    "openapi": "3.1.0",
    "info": {"title": "Doors", "version": "1"},
    "tags": [{"name": "Doors"}],
    "servers": [{"url": "/"}],
    "security": [{"bearer": []}],
    "paths": {
        "/doors": {
            "summary": "All doors",
            "get": {
                "operationId": "listDoors",
                "tags": ["Doors"],
                "parameters": [
                    {"name": "cursor", "in": "query", "schema": TEXT},
                    {"name": "house", "in": "query", "schema": TEXT, "required": True},
                ],
                "security": [],
                "responses": {
                    "200": {
                        "headers": {
                            "Age": {"schema": TEXT},
                            "Link": {"schema": TEXT, "required": True},
                        },
                        "content": {
                            "application/json": {
                                "schema": {
                                    "type": "array",
                                    "items": {"$ref": "#/components/schemas/Door"},
                                }
                            }
                        },
                    },
                },
            },
            "put": {
                "operationId": "paintDoor",
                "requestBody": {"required": True, "content": {"text/plain": {"schema": TEXT}}},
                "responses": {},
            },
            "post": {
                "operationId": "openDoor",
                "tags": ["Doors"],
                "security": [{"bearer": []}, {"cookie": []}],
                "requestBody": {
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Request"}}
                    }
                },
                "responses": {
                    "200": {
                        "content": {
                            "application/json": {"schema": {"$ref": "#/components/schemas/Door"}}
                        }
                    },
                    "409": {
                        "content": {
                            "application/problem+json": {
                                "schema": {"$ref": "#/components/schemas/Problem"}
                            }
                        }
                    },
                },
            },
        }
    },
    "components": {
        "securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer"},
            "cookie": {"type": "apiKey", "in": "cookie", "name": "session"},
        },
        "schemas": {
            "Request": {
                "type": "object",
                "additionalProperties": False,
                "required": ["name"],
                "properties": {
                    "name": {**TEXT, "minLength": 4, "maxLength": 31},
                    "note": {"type": ["string", "null"], "default": ""},
                    "way": {"allOf": [{"$ref": "#/components/schemas/Way"}], "default": "in"},
                    "back": {"$ref": "#/components/schemas/Way", "default": "out"},
                },
            },
            "Way": {"type": "string", "enum": ["in", "out"]},
            "Door": {
                "type": "object",
                "required": ["id", "state"],
                "properties": {
                    "id": {**TEXT, "format": "uuid"},
                    "state": {"$ref": "#/components/schemas/State"},
                    "note": {"type": ["string", "null"], "maxLength": 64},
                    "kind": {"const": "door"},
                    "width": {"type": "integer"},
                    "weight": {"type": "number"},
                    "place": {"type": "object", "additionalProperties": False},
                    "more": {},
                    "size": {"oneOf": [{"$ref": "#/components/schemas/Size"}]},
                },
            },
            "Size": {"items": {"$ref": "#/components/schemas/Size"}},
            "State": {"type": "string", "enum": ["open", "shut"]},
            "Problem": {"type": "object", "required": ["code"], "properties": {"code": CODE}},
            "Code": {"type": "string", "enum": ["locked", "jammed"]},
        },
    },
}


def at(document: Object, *names: str | int) -> Any:
    """Return a part of a document; schemas, and operations by their method, can be named alone."""
    found: Any = document
    if METHODS.intersection(names[:1]):
        found = document["paths"]["/doors"]
    elif names and names[0] in document["components"]["schemas"]:
        found = document["components"]["schemas"]
    for name in names:
        found = found[name]
    return found


def put(*names: Any) -> ChangeOfDocument:
    """Return a change that sets a member: its place, and its value."""
    *place, name, value = names
    return lambda document: at(document, *place).__setitem__(name, value)


def remove(*names: Any) -> ChangeOfDocument:
    *place, name = names
    return lambda document: at(document, *place).__delitem__(name)


def add(*names: Any) -> ChangeOfDocument:
    """Return a change that appends to a list: its place, and the value."""
    *place, value = names
    return lambda document: at(document, *place).append(value)


def rename_code(document: Object) -> None:
    schemas = document["components"]["schemas"]
    schemas["Reason"] = schemas.pop("Code")
    schemas["Problem"]["properties"]["code"]["anyOf"][0] = {"$ref": "#/components/schemas/Reason"}


def changed(document: Object, change: ChangeOfDocument) -> Object:
    copy: Object = msgspec.json.decode(msgspec.json.encode(document))
    change(copy)
    return copy
