"""Whether a changed JSON schema (2020-12) still serves the clients of the old one.

What a request was permitted to hold must be permitted still, and what a response may hold now must
have been permitted before. Generated clients need more: each field stays, and keeps its format.
A keyword that is not known here must not change.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from operator import ge, le

from tests.compatibility.change import Change, Sender
from tests.compatibility.document import (
    ABSENT,
    TEXTS,
    Document,
    Object,
    alternatives,
    permitted_types,
    permitted_values,
)

LOWER_BOUNDS = ("minLength", "minimum", "exclusiveMinimum", "minItems", "minProperties")
UPPER_BOUNDS = ("maxLength", "maximum", "exclusiveMaximum", "maxItems", "maxProperties")
COMPARED = {"type", "enum", "const", "anyOf", "properties", "required", "items"}
COMPARED |= {"additionalProperties", *LOWER_BOUNDS, *UPPER_BOUNDS}


class SchemaComparison:
    """Compares schemas of two documents."""

    def __init__(self, old: Document, new: Document) -> None:
        self._old = old
        self._new = new
        self._compared: list[tuple[Object, Object, Sender]] = []

    def faults(self, change: Change) -> Iterator[str]:
        """Return what is incompatible; what references refer to is compared once."""
        compared = (change.old, change.new, change.sender)
        if compared in self._compared:
            return
        if "$ref" in change.old:
            self._compared.append(compared)
        change = replace(change, old=self._old.schema(change.old), new=self._new.schema(change.new))
        yield from self._lost_values(change)
        yield from self._changed_keywords(change)
        if "anyOf" in change.old or "anyOf" in change.new:
            yield from self._unknown_alternatives(change)
        else:
            yield from unknown_values(change)
            yield from exceeded_bounds(change)
            yield from self._changed_members(change)

    def _lost_values(self, change: Change) -> Iterator[str]:
        """Return the values that the service named and names no longer."""
        lost = self._old.known_values(change.old) - self._new.known_values(change.new)
        for value in sorted(lost) if change.sender is Sender.SERVICE else ():
            yield f"{change.place}: {value} was removed"

    def _changed_keywords(self, change: Change) -> Iterator[str]:
        may_change = COMPARED | TEXTS
        if change.sender is Sender.SERVICE:
            may_change |= {"default"}
        for name in sorted((change.old.keys() | change.new.keys()) - may_change):
            old = self._old.expanded(change.old.get(name, ABSENT))
            new = self._new.expanded(change.new.get(name, ABSENT))
            if old != new:
                yield f"{change.place}: {name} was {old} and is {new}"

    def _unknown_alternatives(self, change: Change) -> Iterator[str]:
        for narrow in alternatives(change.narrow):
            pairs = (change.of(narrow, wide) for wide in alternatives(change.wide))
            if not any(self._is_compatible(pair) for pair in pairs):
                yield f"{change.place}: the alternative {narrow} is {change.what_is_wrong}"

    def _is_compatible(self, change: Change) -> bool:
        comparison = SchemaComparison(self._old, self._new)
        return next(comparison.faults(change), None) is None

    def _changed_members(self, change: Change) -> Iterator[str]:
        old, new = change.old.get("properties", {}), change.new.get("properties", {})
        narrow, wide = (each.get("properties", {}) for each in (change.narrow, change.wide))
        yield from (f"{change.place}.{name} was removed" for name in old if name not in new)
        for name in (name for name in old if name in new):
            yield from self.faults(change.of(narrow[name], wide[name], f".{name}"))
        needed = set(change.wide.get("required", ())) - set(change.narrow.get("required", ()))
        for name in sorted(needed):
            fault = "required" if change.sender is Sender.CLIENT else "not always there"
            yield f"{change.place}.{name} is {fault}"
        if "items" in change.wide:
            items = change.of(change.narrow.get("items", {}), change.wide["items"], "[]")
            yield from self.faults(items)
        others = [each.get("additionalProperties", True) for each in (change.wide, change.narrow)]
        if others[0] is not True and others[0] != others[1]:
            yield f"{change.place}: other members are {change.what_is_wrong}"


def unknown_values(change: Change) -> Iterator[str]:
    """Return types and values that the receiver does not know."""
    for name in sorted(permitted_types(change.narrow) - permitted_types(change.wide)):
        yield f"{change.place}: the type {name} is {change.what_is_wrong}"
    wide, narrow = permitted_values(change.wide), permitted_values(change.narrow)
    if wide is not None and narrow is None:
        yield f"{change.place}: other values are {change.what_is_wrong}"
    elif wide is not None and narrow is not None:
        for value in sorted(narrow - wide):
            yield f"{change.place}: {value} is {change.what_is_wrong}"


def exceeded_bounds(change: Change) -> Iterator[str]:
    """Return the bounds that the receiver sets and the sender does not keep."""
    for bounds, is_within in ((LOWER_BOUNDS, ge), (UPPER_BOUNDS, le)):
        for name in bounds:
            limit, kept = change.wide.get(name), change.narrow.get(name)
            if limit is not None and (kept is None or not is_within(kept, limit)):
                old, new = change.old.get(name, ABSENT), change.new.get(name, ABSENT)
                yield f"{change.place}: {name} was {old} and is {new}"
