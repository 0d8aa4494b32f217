"""One client's requests: how long each took, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from tests.factories import bearer

# A request without an answer is given up after this many seconds, long after the bound.
GIVEN_UP = 15.0

# What a request came to that was not answered: nobody accepted the connection, it was cut before
# the answer, or the time was over. The first was not received; of the others nobody knows.
REFUSED, CUT, SILENT = "connection refused", "connection cut", "no answer"

# Problems by which the service says that nothing was changed.
UNCHANGED = {"overloaded"}


class Answer(Struct, frozen=True, kw_only=True):
    """What a request came to, with its times by `time.monotonic`."""

    outcome: str
    method: str
    began: float
    ended: float
    status: int = 0
    body: Mapping[str, Any] = {}

    @property
    def has_failed(self) -> bool:
        """Whether the service, or the network, did not do its part."""
        return self.status == 0 or self.status >= 500

    @property
    def acknowledges_write(self) -> bool:
        """Whether the service promised that a change will last."""
        return self.method != "GET" and 200 <= self.status < 300

    @property
    def may_have_changed(self) -> bool:
        """Whether a write that failed may have taken effect all the same."""
        is_certain = self.outcome == REFUSED or self.body.get("code") in UNCHANGED
        return self.has_failed and not is_certain


class Requests:
    """Sends requests one after the other, on one connection as long as it lasts."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self._connection = HTTPConnection(parts.hostname, parts.port, timeout=GIVEN_UP)
        self.answers: list[Answer] = []

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        token: str | None = None,
    ) -> Answer:
        """Send a request, as a bearer client does; return what became of it."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if token is not None:
            headers |= bearer(token)
        content = None if body is None else json.dumps(body)
        began, status, received = monotonic(), 0, b""
        try:
            self._connection.request(method, path, content, headers)
            response = self._connection.getresponse()
            received = response.read()
            status, outcome = response.status, str(response.status)
        except ConnectionRefusedError:
            outcome = REFUSED
        except TimeoutError:
            outcome = SILENT
        except (OSError, HTTPException):
            outcome = CUT
        if status == 0:
            self.close()
        answer = _answer(method, outcome, began, status, received)
        self.answers.append(answer)
        return answer

    def close(self) -> None:
        """Close the connection; the next request opens another one."""
        self._connection.close()


def _answer(method: str, outcome: str, began: float, status: int, received: bytes) -> Answer:
    body: dict[str, Any] = {}
    with suppress(ValueError):
        body = json.loads(received) if received else {}
    if status >= 400:
        outcome = f"{status} {body.get('code', 'without a problem')}"
    return Answer(
        outcome=outcome,
        method=method,
        began=began,
        ended=monotonic(),
        status=status,
        body=body,
    )
