"""The length of a body, as the client states it."""

from __future__ import annotations

from service.api.http.problem_types import MAX_BODY_SIZE

# As many digits of a length are converted: Python refuses thousands of them (CVE-2020-10735), zeros
# at the beginning included.
MAX_DIGITS = 9


def content_length(text: str) -> int:
    """Return a ``Content-Length`` in bytes; one of too many digits as more than is accepted.

    0 is returned for text that is no number: the server refuses such a request.
    """
    digits = text.strip().lstrip("0")
    if len(digits) > MAX_DIGITS:
        return MAX_BODY_SIZE + 1
    return int(digits) if digits.isascii() and digits.isdigit() else 0
