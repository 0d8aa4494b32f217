"""The warnings of openapi-generator 7.26 that are known, and no fault of the document."""

from __future__ import annotations

import re

KNOWN_WARNINGS = (
    # Of every document of that version.
    "OpenAPI 3.1 support is still in beta.",
    # Of every union with a member that is no schema with a name: `ProblemCode`, `FieldCode`.
    "Failed to get the schema name: null",
    # Of every example of a request body that is an object: for Java it writes none of these down.
    "Ignoring complex example on request body",
    # Of the response to a request for a password reset, which has no members.
    "Codegen property is null (e.g. map/dict of undefined type).",
)

# openapi-generator lists all files that it writes, one a line, and some are named after errors.
WARNING = re.compile(
    r"^(?!\[[\w-]+\] INFO ).*\b(?:warn|warnings?|errors?)\b.*$", re.IGNORECASE | re.MULTILINE
)


def unknown_warnings(output: str) -> list[str]:
    """Return the lines of a generator's output that warn of anything else."""
    lines = WARNING.findall(output)
    return [line for line in lines if not any(known in line for known in KNOWN_WARNINGS)]
