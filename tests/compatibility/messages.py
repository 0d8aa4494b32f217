"""Whether changed requests and responses still serve the clients of the old ones."""

from __future__ import annotations

from collections.abc import Iterator

from tests.compatibility.change import Change, Sender
from tests.compatibility.document import Document, Object, changed_members
from tests.compatibility.schemas import SchemaComparison


class MessageComparison:
    """Compares parameters, bodies and headers of two documents."""

    def __init__(self, old: Document, new: Document) -> None:
        self._old = old
        self._new = new
        self._schemas = SchemaComparison(old, new)

    def faults(self, old: Object, new: Object, place: str) -> Iterator[str]:
        """Return what is incompatible in the messages of an operation."""
        yield from self._parameters(old, new, place)
        yield from self._request_body(old, new, f"{place} request")
        yield from self._responses(old["responses"], new["responses"], place)

    def _parameters(self, old: Object, new: Object, place: str) -> Iterator[str]:
        olds, news = parameters(old, self._old), parameters(new, self._new)
        for key in sorted(olds.keys() | news.keys()):
            at = f"{place} {' '.join(key)}"
            if key not in news:
                yield f"{at} was removed"
                continue
            if news[key].get("required") and not olds.get(key, {}).get("required"):
                yield f"{at} is required"
            if key in olds:
                yield from self._value(olds[key], news[key], at, Sender.CLIENT)

    def _request_body(self, old: Object, new: Object, place: str) -> Iterator[str]:
        olds = self._old.resolved(old.get("requestBody", {}))
        news = self._new.resolved(new.get("requestBody", {}))
        if news.get("required") and not olds.get("required"):
            yield f"{place} is required"
        yield from changed_members(olds, news, place, {"required", "content"})
        yield from self._content(olds, news, place, Sender.CLIENT)

    def _responses(self, olds: Object, news: Object, place: str) -> Iterator[str]:
        for status in sorted(news.keys() - olds.keys()):
            if status < "4":
                yield f"{place} {status}: another success"
        for status, response in olds.items():
            at = f"{place} {status}"
            if status not in news:
                yield f"{at} was removed"
                continue
            old, new = self._old.resolved(response), self._new.resolved(news[status])
            yield from changed_members(old, new, at, {"content", "headers"})
            yield from self._content(old, new, at, Sender.SERVICE)
            yield from self._headers(old, new, at)

    def _content(self, old: Object, new: Object, place: str, sender: Sender) -> Iterator[str]:
        olds, news = old.get("content", {}), new.get("content", {})
        for media_type, content in olds.items():
            if media_type in news:
                yield from self._value(content, news[media_type], place, sender)
            else:
                yield f"{place}: {media_type} was removed"

    def _headers(self, old: Object, new: Object, place: str) -> Iterator[str]:
        olds, news = old.get("headers", {}), new.get("headers", {})
        for name, header in olds.items():
            at = f"{place} header {name}"
            if name not in news:
                yield f"{at} was removed"
                continue
            before, after = self._old.resolved(header), self._new.resolved(news[name])
            if before.get("required") and not after.get("required"):
                yield f"{at} is not always there"
            yield from self._value(before, after, at, Sender.SERVICE)

    def _value(self, old: Object, new: Object, place: str, sender: Sender) -> Iterator[str]:
        """Compare two objects with a schema."""
        yield from changed_members(old, new, place, {"required", "schema"})
        change = Change(old.get("schema", {}), new.get("schema", {}), place, sender)
        yield from self._schemas.faults(change)


def parameters(operation: Object, document: Document) -> dict[tuple[str, str], Object]:
    """Return the parameters of an operation by place and name."""
    found = [document.resolved(each) for each in operation.get("parameters", ())]
    return {(each["in"], each["name"]): each for each in found}
