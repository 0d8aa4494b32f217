"""W3C Trace Context: what a request logs names the trace that it belongs to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.contextvars import bound_contextvars, clear_contextvars, get_contextvars

from service.api.http.trace_context import bind_trace
from tests.factories import sign_up
from tests.service_pool import ServicePool
from tests.services import Service, wait_for

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
BOUND = {"trace_id": TRACE, "parent_id": PARENT}


def bound_by(*values: bytes) -> dict[str, Any]:
    """Return what headers with these values add to the log."""
    clear_contextvars()
    scope: Any = {"headers": [(b"traceparent", value) for value in values]}
    with bound_contextvars():
        bind_trace(scope)
        bound = get_contextvars()
    clear_contextvars()
    return bound


@pytest.mark.parametrize(
    "value",
    [
        TRACEPARENT,
        f"00-{TRACE}-{PARENT}-00",
        f"01-{TRACE}-{PARENT}-01",
        f"cc-{TRACE}-{PARENT}-01-what-a-later-version-has",
    ],
)
def test_a_valid_header_is_logged(value: str) -> None:
    assert bound_by(value.encode()) == BOUND


@pytest.mark.parametrize(
    "value",
    [
        "",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-01\n",
        f" {TRACEPARENT}",
        f"01-{TRACE}-{PARENT}-01more",
    ],
)
def test_an_invalid_header_is_ignored(value: str) -> None:
    assert bound_by(value.encode()) == {}


def test_two_headers_are_ignored() -> None:
    assert bound_by(TRACEPARENT.encode(), TRACEPARENT.encode()) == {}


@given(st.binary(max_size=80))
def test_whatever_a_client_sends_only_ids_are_logged(value: bytes) -> None:
    assert set("".join(bound_by(value).values())) <= set("0123456789abcdef")


def audit_events(service: Service, number: int) -> list[dict[str, Any]]:
    def events() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in service.logged().splitlines()]
        return [line for line in lines if line["logger"] == "audit"]

    wait_for(lambda: len(events()) >= number, f"{number} events are logged")
    return events()


def test_the_events_of_a_request_have_its_trace_and_those_of_the_next_one_do_not(
    services: ServicePool,
) -> None:
    service = services.service({"OSTIARY_LOG_FORMAT": "json"})
    with service.client() as client:
        client.headers["traceparent"] = TRACEPARENT
        sign_up(client, "Alice")
        del client.headers["traceparent"]
        client.cookies.clear()
        sign_up(client, "Robert")
    first, second = audit_events(service, 2)
    assert {name: first[name] for name in BOUND} == BOUND
    assert not BOUND.keys() & second.keys()
