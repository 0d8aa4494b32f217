"""The address of the client, which forged headers do not change."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from service.api.http.client_address import (
    MAX_WARNINGS,
    ClientAddresses,
    ForwardingWarning,
)
from service.settings.http import HTTPSettings
from service.settings.values import ForwardedHeader, Networks
from tests.factories import PASSWORD, sessions_in, sign_up
from tests.service_pool import ServicePool

PROXIES = Networks.parse("10.0.0.0/8, 2001:db8::/32")


def address(
    peer: str,
    *headers: tuple[str, str],
    trusted: Networks = PROXIES,
    header: ForwardedHeader = ForwardedHeader.X_FORWARDED_FOR,
) -> str:
    settings = HTTPSettings(trusted_proxies=trusted, forwarded_header=header)
    scope: Any = {
        "client": (peer, 4711),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
    }
    return str(ClientAddresses(settings).of(scope))


def x(value: str) -> tuple[str, str]:
    return ("x-forwarded-for", value)


@pytest.mark.parametrize(
    ("peer", "value", "expected"),
    [
        ("10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "203.0.113.7, 10.0.0.9", "203.0.113.7"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.7, 10.0.0.9, 10.1.2.3", "203.0.113.7"),
        ("10.0.0.1", "10.0.0.5", "10.0.0.5"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7, nonsense", "10.0.0.1"),
        ("10.0.0.1", "nonsense, 10.0.0.9", "10.0.0.9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7:5000", "203.0.113.7"),
        ("10.0.0.1", "203.0.113.7:", "203.0.113.7"),
        ("10.0.0.1", "[2a00:1450::7]:4711", "2a00:1450::7"),
        ("10.0.0.1", "[2a00:1450::7]", "2a00:1450::7"),
        ("10.0.0.1", "2A00:1450:0::7", "2a00:1450::7"),
        ("10.0.0.1", '"[2a00:1450::7]:4711"', "2a00:1450::7"),
        ("10.0.0.1", '"203.0.113.7"', "203.0.113.7"),
        ("10.0.0.1", "203.0.113.7,", "203.0.113.7"),
        ("10.0.0.1", "203.0.113.7, , 10.0.0.9,\t,", "203.0.113.7"),
        ("10.0.0.1", "  203.0.113.7\t", "203.0.113.7"),
        ("10.0.0.1", "::ffff:203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "[::ffff:203.0.113.7]:80", "203.0.113.7"),
        ("10.0.0.1", "fe80::1%eth0", "fe80::1"),
        ("10.0.0.1", "[fe80::1%any text\x9b2J]:80", "fe80::1"),
        ("10.0.0.1", "203.0.113.7, 2001:db8::9%zone", "203.0.113.7"),
        ("fe80::1%eth0", "203.0.113.7", "fe80::1"),
        ("2001:db8::1%eth0", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7, unknown", "10.0.0.1"),
        ("10.0.0.1", "_hidden", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7.5", "10.0.0.1"),
        ("10.0.0.1", "[203.0.113.7", "10.0.0.1"),
        ("10.0.0.1", "for=203.0.113.7", "10.0.0.1"),
        ("2001:db8::1", "2a00:1450::7", "2a00:1450::7"),
        ("::ffff:10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
    ],
)
def test_the_last_untrusted_address_is_that_of_the_client(
    peer: str, value: str, expected: str
) -> None:
    assert address(peer, x(value)) == expected


def test_the_peer_on_a_unix_socket_is_the_proxy() -> None:
    assert address("", x("203.0.113.7"), trusted=Networks()) == "203.0.113.7"
    assert address("") == "None"
    assert warned_of("") == []


def test_repeated_forwarded_headers_form_one_list() -> None:
    headers = (("forwarded", "for=6.6.6.6"), ("forwarded", "for=203.0.113.7"))
    assert address("10.0.0.1", *headers, header=ForwardedHeader.FORWARDED) == "203.0.113.7"


def test_empty_header_lines_are_ignored() -> None:
    assert address("10.0.0.1", x("203.0.113.7"), x("")) == "203.0.113.7"


def test_repeated_headers_form_one_list() -> None:
    assert address("10.0.0.1", x("6.6.6.6"), x("203.0.113.7")) == "203.0.113.7"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("for=203.0.113.7", "203.0.113.7"),
        ('for=6.6.6.6, For="203.0.113.7:47011";proto=https', "203.0.113.7"),
        ('by=10.0.0.2;for="[2a00:1450::7]:4711"', "2a00:1450::7"),
        ("for=unknown", "10.0.0.1"),
        ("for=_hidden", "10.0.0.1"),
        ("for=203.0.113.7,", "203.0.113.7"),
        ('for="203.0.113.7" , ,for=10.0.0.9', "203.0.113.7"),
        ("for=[2a00:1450::7]", "2a00:1450::7"),
        ('for="[fe80::1%any text]"', "fe80::1"),
        # What the client put into a quoted string, or left open, changes nothing.
        ('host="a, for=6.6.6.6";for=203.0.113.7', "203.0.113.7"),
        ('for=203.0.113.7;host="a, for=6.6.6.6"', "203.0.113.7"),
        ('host="a;for=6.6.6.6";for=203.0.113.7', "203.0.113.7"),
        (r'host="a\";for=6.6.6.6";for=203.0.113.7', "203.0.113.7"),
        ('for="6.6.6.6, for=203.0.113.7', "203.0.113.7"),
        ('for=6.6.6.6;a=", for="203.0.113.7:80"', "203.0.113.7"),
        ("xfor=6.6.6.6;for=203.0.113.7", "203.0.113.7"),
        ("for=203.0.113.7;proto=https;by=203.0.113.43", "203.0.113.7"),
        ('for=203.0.113.7;a="' + "b," * 5000 + '"', "10.0.0.1"),
        (f"for=203.0.113.7;a={'b' * 5000}", "10.0.0.1"),
        (f"for=203.0.113.7;a={'b' * 5000}, for=10.0.0.9", "10.0.0.9"),
        ("proto=https", "10.0.0.1"),
    ],
)
def test_the_forwarded_header_is_read_if_configured(value: str, expected: str) -> None:
    found = address("10.0.0.1", ("forwarded", value), header=ForwardedHeader.FORWARDED)
    assert found == expected


def test_the_header_that_is_not_configured_is_ignored() -> None:
    forged = ("forwarded", "for=6.6.6.6")
    assert address("10.0.0.1", forged, x("203.0.113.7")) == "203.0.113.7"


@given(st.lists(st.text() | st.ip_addresses().map(str), max_size=5))
def test_without_trusted_proxies_headers_are_ignored(values: list[str]) -> None:
    headers = [x(value.encode("utf-8", "replace").decode("latin-1")) for value in values]
    assert address("203.0.113.9", *headers, trusted=Networks()) == "203.0.113.9"


@given(st.text() | st.ip_addresses().map(str))
def test_addresses_forged_by_the_client_are_ignored(forged: str) -> None:
    value = forged.encode("utf-8", "replace").decode("latin-1") + ", 203.0.113.7"
    assert address("10.0.0.1", x(value)) == "203.0.113.7"


@given(st.text('fFor=;,"\\ 6.[]', max_size=40) | st.ip_addresses(v=4).map("for={}".format))
def test_elements_forged_by_the_client_are_ignored(forged: str) -> None:
    value = ("forwarded", f"{forged}, for=203.0.113.7")
    assert address("10.0.0.1", value, header=ForwardedHeader.FORWARDED) == "203.0.113.7"


def warned_of(*peers: str) -> list[str]:
    """Return the peers that are warned of when each sends a forwarding header."""
    warning = ForwardingWarning(ClientAddresses(HTTPSettings(trusted_proxies=PROXIES)))
    with capture_logs() as logged:
        for peer in peers:
            scope: Any = {"client": (peer, 4711), "headers": []}
            warning.check(scope)
    assert {line["event"] for line in logged} <= {"forwarding_header_ignored"}
    return [line["peer"] for line in logged]


def test_each_network_of_untrusted_peers_is_warned_of_once() -> None:
    peers = ("192.0.2.1", "192.0.2.9", "10.0.0.1", "198.51.100.1", "2a00::1", "2a00::2", "2a01::1")
    assert warned_of(*peers * 2) == ["192.0.2.1", "198.51.100.1", "2a00::1", "2a01::1"]


def test_the_number_of_warnings_is_bounded() -> None:
    assert len(warned_of(*(f"192.0.{n}.1" for n in range(200)))) == MAX_WARNINGS


@pytest.mark.parametrize(
    ("environment", "warnings"),
    [
        ({"OSTIARY_ENV": "production"}, 1),
        ({"OSTIARY_ENV": "production", "OSTIARY_TRUSTED_PROXIES": "127.0.0.1"}, 0),
        ({}, 0),
    ],
)
def test_production_warns_of_forwarding_headers_of_an_untrusted_peer(
    services: ServicePool, environment: dict[str, str], warnings: int
) -> None:
    service = services.service({"OSTIARY_LOG_FORMAT": "json", **environment})
    with service.client() as client:
        client.get("/healthz")
        assert "forwarding_header_ignored" not in service.logged()
        for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
            client.get("/healthz", headers={name: "203.0.113.7"})
    lines = [json.loads(line) for line in service.logged().splitlines()]
    found = [line for line in lines if line["event"] == "forwarding_header_ignored"]
    assert [line["peer"] for line in found] == ["127.0.0.1"] * warnings
    assert all("OSTIARY_TRUSTED_PROXIES" in line["remedy"] for line in found)


def test_a_zone_and_control_characters_do_not_reach_session_and_audit_trail(
    services: ServicePool,
) -> None:
    service = services.service({"OSTIARY_TRUSTED_PROXIES": "127.0.0.1"})
    with service.client() as client:
        headers = {
            b"X-Forwarded-For": b"fe80::1%any text\x9b",
            b"User-Agent": b"phone\x9b2J\xad",
        }
        body = {"username": "Alice", "password": PASSWORD}
        client.post("/signup", json=body, headers=headers).raise_for_status()
    (session,) = sessions_in(services.database_url)
    assert str(session["address"]).removesuffix("/128") == "fe80::1"
    assert session["user_agent"] == r"phone\x9b2J\xad"
    assert "fe80::1" in service.logged()
    assert "any text" not in service.logged()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, "127.0.0.1"), ({"OSTIARY_TRUSTED_PROXIES": "127.0.0.1"}, "203.0.113.7")],
)
def test_a_session_records_the_address_of_the_client(
    services: ServicePool, environment: dict[str, str], expected: str
) -> None:
    with services.service(environment).client() as client:
        client.headers["X-Forwarded-For"] = "203.0.113.7"
        sign_up(client)
    (session,) = sessions_in(services.database_url)
    assert str(session["address"]).removesuffix("/32") == expected
