"""The audit trail, as a service with logs in JSON writes it."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.services import Service

# What all events of a request have alike.
COMMON = ("address", "by", "level", "logger", "request_id", "timestamp")


def trail(service: Service) -> list[dict[str, Any]]:
    """Return the events of this test."""
    lines = [json.loads(line) for line in service.logged().splitlines()]
    return [line for line in lines if line["logger"] == "audit"]


def events(service: Service, response: httpx.Response) -> list[dict[str, Any]]:
    """Return the events of a response, without what all events have alike."""
    request_id = response.headers["x-request-id"]
    found = [each for each in trail(service) if each["request_id"] == request_id]
    assert {(each["address"], each["by"]) for each in found} <= {("127.0.0.1", "user")}
    return [{name: each[name] for name in each if name not in COMMON} for each in found]
