"""The address of the client, which forged headers do not change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.http.client_address import ClientAddresses
from service.settings.http import HTTPSettings
from service.settings.values import ForwardedHeader, Networks
from tests.factories import sessions_in, sign_up
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
        ("2001:db8::1", "2a00:1450::7", "2a00:1450::7"),
        ("::ffff:10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
    ],
)
def test_the_last_untrusted_address_is_that_of_the_client(
    peer: str, value: str, expected: str
) -> None:
    assert address(peer, x(value)) == expected


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
        ("proto=https", "10.0.0.1"),
    ],
)
def test_the_forwarded_header_is_read_if_configured(value: str, expected: str) -> None:
    found = address("10.0.0.1", ("forwarded", value), header=ForwardedHeader.FORWARDED)
    assert found == expected


def test_the_header_that_is_not_configured_is_ignored() -> None:
    forged = ("forwarded", "for=6.6.6.6")
    assert address("10.0.0.1", forged, x("203.0.113.7")) == "203.0.113.7"


@given(st.lists(st.text(), max_size=5))
def test_without_trusted_proxies_headers_are_ignored(values: list[str]) -> None:
    headers = [x(value.encode("utf-8", "replace").decode("latin-1")) for value in values]
    assert address("203.0.113.9", *headers, trusted=Networks()) == "203.0.113.9"


@given(st.text())
def test_addresses_forged_by_the_client_are_ignored(forged: str) -> None:
    value = forged.encode("utf-8", "replace").decode("latin-1") + ", 203.0.113.7"
    assert address("10.0.0.1", x(value)) == "203.0.113.7"


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
