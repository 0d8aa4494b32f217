"""The session cookie by itself: names, attributes, dates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from service.api.http.session_cookie import SessionCookie
from service.settings.cookies import CookieDomain, CookieSettings
from service.settings.values import SameSite
from tests.databases import fetch_value
from tests.factories import (
    PASSWORD,
    age_sessions,
    bearer,
    cookie,
    log_in,
    moment,
    sign_up,
)
from tests.services import Service

DOMAIN = CookieDomain("example.com")


@pytest.mark.parametrize(
    ("settings", "secure", "name"),
    [
        (CookieSettings(), True, "__Host-auth_session"),
        (CookieSettings(domain=DOMAIN), True, "__Secure-auth_session"),
        (CookieSettings(host_prefix=False), True, "auth_session"),
        (CookieSettings(domain=DOMAIN, host_prefix=False), True, "auth_session"),
        (CookieSettings(), False, "auth_session"),
        (CookieSettings(domain=DOMAIN), False, "auth_session"),
    ],
)
def test_the_cookie_has_the_strongest_prefix_that_browsers_accept(
    settings: CookieSettings, secure: bool, name: str
) -> None:
    assert SessionCookie(settings, secure=secure).name == name


def test_a_cookie_that_other_sites_may_use_is_not_reported_as_lost() -> None:
    session_cookie = SessionCookie(CookieSettings(samesite=SameSite.NONE), secure=True)
    request: Any = {"headers": [(b"sec-fetch-site", b"cross-site")]}
    with capture_logs() as logs:
        session_cookie.warn_if_cross_site(request)
    assert logs == []


def assert_it_expires_with_its_session(
    service: Service, send: Callable[[], httpx.Response]
) -> None:
    before = fetch_value(service.database_url, "SELECT now()")
    response = send()
    after = fetch_value(service.database_url, "SELECT now()")
    (header,) = (
        each for each in response.headers.get_list("set-cookie") if each.startswith("auth_session=")
    )
    attributes = dict(part.strip().partition("=")[::2] for part in header.split(";"))
    expires = moment(response.json()["session"]["idle_expires_at"])
    assert attributes["Expires"] == f"{expires:%a, %d %b %Y %H:%M:%S} GMT"
    remaining = timedelta(seconds=int(attributes["Max-Age"]))
    assert expires - after - timedelta(seconds=1) < remaining <= expires - before


def test_the_cookie_expires_with_its_session_in_both_attributes(
    service: Service, client: httpx.Client
) -> None:
    assert_it_expires_with_its_session(service, lambda: sign_up(client))
    assert_it_expires_with_its_session(service, lambda: log_in(client))
    age_sessions(service.database_url, days=3)
    assert_it_expires_with_its_session(service, lambda: client.get("/me"))


def test_the_cookie_does_not_outlive_its_session_after_a_password_change(
    service: Service, client: httpx.Client
) -> None:
    sign_up(client)
    age_sessions(service.database_url, days=0.9)
    change = {"current_password": PASSWORD, "new_password": "an entirely different one"}
    assert_it_expires_with_its_session(service, lambda: client.put("/me/password", json=change))


@pytest.mark.parametrize(
    ("header", "is_cleared"),
    [
        ({"Cookie": "auth_session="}, True),
        ({"Cookie": "theme=dark; auth_session=something"}, True),
        ({"Cookie": "theme=auth_session=something"}, False),
        ({"Referer": "auth_session=something"}, False),
    ],
)
def test_log_out_by_a_bearer_token_clears_whatever_session_cookie_there_is(
    client: httpx.Client, header: dict[str, str], *, is_cleared: bool
) -> None:
    token = sign_up(client, transport="bearer").json()["session"]["token"]
    response = client.post("/logout", headers={**bearer(token), **header})
    assert response.status_code == 204
    assert ("set-cookie" in response.headers) is is_cleared


def test_a_cleared_cookie_is_expired_in_both_attributes(client: httpx.Client) -> None:
    token = sign_up(client).cookies["auth_session"]
    header = client.post("/logout", headers=cookie(token)).headers["set-cookie"]
    assert "; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Path=/" in header
