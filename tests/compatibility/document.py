"""An OpenAPI 3.1 document whose references are resolved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TypeAlias

Object: TypeAlias = dict[str, Any]

# They tell people something, and programs nothing.
TEXTS = {"title", "summary", "description", "example", "examples", "externalDocs"}
TEXTS |= {"deprecated", "$comment"}

ABSENT = "absent"
TYPES = {"string", "number", "integer", "boolean", "null", "array", "object"}


class Document:
    """An OpenAPI document."""

    def __init__(self, document: Object) -> None:
        self.content = document

    @property
    def components(self) -> Object:
        """The components of the document."""
        components: Object = self.content.get("components", {})
        return components

    def resolved(self, value: Object) -> Object:
        """Return an object; for a reference what it refers to, with the members beside it."""
        if "$ref" not in value:
            return value
        target: Any = self.content
        for name in value["$ref"].removeprefix("#/").split("/"):
            target = target[name.replace("~1", "/").replace("~0", "~")]
        beside = {name: member for name, member in value.items() if name != "$ref"}
        return self.resolved(target) | beside

    def schema(self, schema: Object) -> Object:
        """Return a schema without references and without a union of one member (``allOf``)."""
        found = self.resolved(schema)
        if len(found.get("allOf", ())) != 1:
            return found
        beside = {name: member for name, member in found.items() if name != "allOf"}
        return self.schema(found["allOf"][0]) | beside

    def expanded(self, value: Any, within: tuple[str, ...] = ()) -> Any:
        """Return a value with all references in it resolved; a recursive one is left."""
        if isinstance(value, list):
            return [self.expanded(member, within) for member in value]
        if not isinstance(value, dict) or value.get("$ref") in within:
            return value
        within = (*within, value["$ref"]) if "$ref" in value else within
        members = self.resolved(value).items()
        return {name: self.expanded(member, within) for name, member in members}

    def known_values(self, schema: Object) -> set[str]:
        """Return the values that a schema, or an alternative of it, names; in JSON."""
        found = self.schema(schema)
        named = permitted_values(found) or set()
        return named.union(*(self.known_values(each) for each in found.get("anyOf", ())))


def alternatives(schema: Object) -> list[Object]:
    """Return the alternatives of a schema (``anyOf``), each with the keywords beside them."""
    beside = {name: each for name, each in schema.items() if name not in {"anyOf", *TEXTS}}
    return [beside | each for each in schema.get("anyOf", [{}])]


def permitted_values(schema: Object) -> set[str] | None:
    """Return the values that a schema permits, in JSON; None if it names none."""
    if "const" in schema:
        return {json.dumps(schema["const"])}
    if "enum" in schema:
        return {json.dumps(value) for value in schema["enum"]}
    return None


def permitted_types(schema: Object) -> set[str]:
    """Return the types of the values that a schema permits. An integer is a number as well."""
    types = schema.get("type", list(TYPES))
    permitted = {types} if isinstance(types, str) else set(types)
    return permitted | {"integer"} if "number" in permitted else permitted


def changed_members(old: Object, new: Object, place: str, compared: set[str]) -> Iterator[str]:
    """Return which members differ, besides texts and those that are ``compared`` elsewhere."""
    for name in sorted((old.keys() | new.keys()) - compared - TEXTS):
        before, after = old.get(name, ABSENT), new.get(name, ABSENT)
        if before != after:
            yield f"{place}: {name} was {before} and is {after}"
