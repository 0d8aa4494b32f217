"""Refused requests in the log: bounded, whoever sends them."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from typing import Any

from structlog.testing import capture_logs

from service.api.http.refusals import MANY, MAX_CLIENTS, MAX_LINES, PERIOD, Refusals
from tests.service_pool import ServicePool


async def summary_of(*refused: tuple[str, str, int], logged: bool = False) -> list[Any]:
    """Return the summary after a number of refusals with a code, from an address."""
    refusals = Refusals()
    with capture_logs() as lines:
        for code, address, number in refused:
            for _ in range(number):
                refusals.record(code, ip_address(address), {} if logged else None)
        refusals.summarise()
    return [line for line in lines if line["event"] == "requests_refused"]


async def test_many_refusals_are_one_line_for_each_code() -> None:
    lines = await summary_of(
        ("not_authenticated", "192.0.2.1", MANY - 1),
        ("not_found", "192.0.2.1", MANY - 1),
        ("not_authenticated", "192.0.2.2", 1),
    )
    (line,) = lines
    assert line["log_level"] == "warning"
    assert (line["code"], line["requests"]) == ("not_authenticated", MANY)
    assert (line["most_from"], line["most"]) == ("192.0.2.1", MANY - 1)


async def test_the_addresses_of_an_ipv6_subnet_are_one_client() -> None:
    (line,) = await summary_of(
        ("not_found", "2001:db8::1", MANY), ("not_found", "2001:db8::ffff:2", 1)
    )
    assert (line["most_from"], line["most"]) == ("2001:db8::/64", MANY + 1)


async def test_a_period_begins_with_nothing() -> None:
    refusals = Refusals()
    with capture_logs() as lines:
        for _ in range(3):
            refusals.record("not_found", None)
            refusals.summarise()
    assert lines == []


async def test_only_so_many_requests_are_logged_one_by_one_and_the_rest_is_told() -> None:
    refusals = Refusals()
    with capture_logs() as lines:
        for n in range(50):
            refusals.record("origin_rejected", None, {"origin": str(n)})
        refusals.record("host_rejected", None, {"host": "evil.example"})
        refusals.summarise()
        refusals.record("origin_rejected", None, {"origin": "again"})
    events = [line["event"] for line in lines]
    assert events.count("origin_rejected") == MAX_LINES + 1
    assert events.count("host_rejected") == 1
    (summary,) = [line for line in lines if line["event"] == "requests_refused"]
    assert (summary["code"], summary["requests"]) == ("origin_rejected", 50)


async def test_the_memory_for_clients_is_bounded() -> None:
    refusals = Refusals()
    for n in range(MAX_CLIENTS + 100):
        refusals.record("not_found", ip_address(n))
    assert len(refusals._counts["not_found"].clients) == MAX_CLIENTS
    with capture_logs() as lines:
        refusals.summarise()
    assert lines[0]["requests"] == MAX_CLIENTS + 100


async def test_the_first_refusal_of_a_period_schedules_its_summary(monkeypatch: Any) -> None:
    scheduled: list[Any] = []
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "call_later", lambda *call: scheduled.append(call))
    refusals = Refusals()
    refusals.record("not_found", None)
    refusals.record("not_authenticated", None)
    assert scheduled == [(PERIOD, refusals.summarise)]


def test_the_lines_for_a_flood_of_foreign_origins_are_bounded(services: ServicePool) -> None:
    service = services.service({"OSTIARY_LOG_FORMAT": "json"})
    with service.client() as client:
        for n in range(3 * MAX_LINES):
            headers = {"Origin": f"https://evil{n}.example"}
            assert client.post("/logout", headers=headers).status_code == 403
    assert 0 < service.logged().count("origin_rejected") <= 2 * MAX_LINES
