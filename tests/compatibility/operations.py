"""Whether a changed OpenAPI document still serves the clients of the old one.

Generated clients name their methods, classes and types after operation ids, tags and schemas. What
is not known here must not change.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.compatibility.document import Document, Object, changed_members
from tests.compatibility.messages import MessageComparison

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}


def incompatibilities(old: Object, new: Object) -> list[str]:
    """Return the changes that break clients of the old document, a line each."""
    return list(DocumentComparison(Document(old), Document(new)).faults())


def is_compatible(old: Object, new: Object) -> bool:
    """Return whether no change breaks clients of the old document; stops at the first that does."""
    return next(DocumentComparison(Document(old), Document(new)).faults(), None) is None


class DocumentComparison:
    """Compares two documents."""

    def __init__(self, old: Document, new: Document) -> None:
        self._old = old
        self._new = new
        self._messages = MessageComparison(old, new)

    def faults(self) -> Iterator[str]:
        """Return what is incompatible."""
        old, new = self._old.content, self._new.content
        may_change = {"openapi", "info", "tags", "paths", "components", "security"}
        yield from changed_members(old, new, "the document", may_change)
        yield from self._components()
        for path, operations in old["paths"].items():
            yield from self._path(operations, new["paths"].get(path, {}), path)

    def _components(self) -> Iterator[str]:
        for kind in ("schemas", "securitySchemes"):
            old, new = (each.components.get(kind, {}) for each in (self._old, self._new))
            yield from (f"{kind} {name} was removed" for name in old if name not in new)
        old, new = (each.components.get("securitySchemes", {}) for each in (self._old, self._new))
        for name in (name for name in old if name in new):
            yield from changed_members(old[name], new[name], f"securitySchemes {name}", set())

    def _path(self, old: Object, new: Object, path: str) -> Iterator[str]:
        yield from changed_members(old, new, path, METHODS)
        for method in sorted(old.keys() & METHODS):
            place = f"{method.upper()} {path}"
            if method not in new:
                yield f"{place} was removed"
                continue
            messages = {"parameters", "requestBody", "responses"}
            yield from changed_members(old[method], new[method], place, messages | {"security"})
            yield from self._security(old[method], new[method], place)
            yield from self._messages.faults(old[method], new[method], place)

    def _security(self, old: Object, new: Object, place: str) -> Iterator[str]:
        required = requirements(new, self._new)
        for alternative in requirements(old, self._old):
            if not any(each.items() <= alternative.items() for each in required):
                yield f"{place}: {' and '.join(alternative) or 'no credential'} is not enough"


def requirements(operation: Object, document: Document) -> list[Object]:
    """Return the alternatives by which a client is admitted; an empty one needs no credential."""
    found = operation.get("security", document.content.get("security"))
    return found or [{}]
