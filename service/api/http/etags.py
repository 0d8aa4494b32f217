"""Entity tags (RFC 9110, section 8.8.3), and the conditions that requests make of them.

Those of the service are strong. A condition that is malformed is refused: to ignore it would let a
change pass that it was to prevent.
"""

from __future__ import annotations

import re
from typing import Any

from litestar import Request

from service.api.http.errors import InvalidRequest

ANY = "*"

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


def etag_of(revision: str) -> str:
    """Return the entity tag of a revision."""
    return f'"{revision}"'


def expected_revisions(request: Request[Any, Any, Any]) -> frozenset[str] | None:
    """Return the revisions of which ``If-Match`` expects one; ``None`` if any will do.

    A weak tag matches none (section 13.1.1). Raises `InvalidRequest`.
    """
    tags = _tags_in(request, "if-match")
    return None if tags is None else frozenset(tag for is_weak, tag in tags if not is_weak)


def is_known_to_client(request: Request[Any, Any, Any], revision: str) -> bool:
    """Return whether ``If-None-Match`` has this revision (section 13.1.2). Raises `InvalidRequest`.

    The comparison is weak: a proxy that compresses responses makes their tags weak.
    """
    if "if-none-match" not in request.headers:
        return False
    tags = _tags_in(request, "if-none-match")
    return tags is None or revision in {tag for _, tag in tags}


def _tags_in(request: Request[Any, Any, Any], name: str) -> list[tuple[bool, str]] | None:
    """Return the tags of a header, each with whether it is weak; ``None`` for any, or no header."""
    values = request.headers.getall(name, [])
    text = ",".join(values)
    if not values or text == ANY:
        return None
    tags = []
    for element in _elements(text):
        match = _TAG.fullmatch(element)
        if match is None:
            raise InvalidRequest(f"The request has a malformed `{name.title()}`.")
        tags.append((match[1] is not None, match[2]))
    return tags


def _elements(text: str) -> list[str]:
    """Return the elements of a list. Commas may stand within the quotes of a tag."""
    elements = re.findall(r'(?:[^,"]|"[^"]*"?)+', text)
    return [each.strip(" \t") for each in elements if each.strip(" \t")] or [text]
