"""Requests of pages of other origins, and which responses these can read."""

from __future__ import annotations

import re
from uuid import UUID

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.api.security.cross_origin import (
    is_trusted_forwarded_origin,
    is_trusted_origin,
    reject_cross_origin,
)
from service.app import create_app
from service.settings import Settings
from tests.factories import PASSWORD, sign_up
from tests.programs.operations import OPERATIONS
from tests.service_pool import ServicePool
from tests.services import Service

LISTED = "https://app.example.com"
FOREIGN = "https://evil.example"
CREDENTIALS = {"username": "Alice", "password": PASSWORD}
HOST = "auth.example.com"

APP = "capacitor://localhost"

ORIGINS = st.sampled_from(
    [
        *(None, f"https://{HOST}", f"http://{HOST}", f"https://{HOST}:444", LISTED, FOREIGN, APP),
        *("null", "", "nonsense", "file://", "https://", f"{LISTED}/", f"https://user@{HOST}"),
        *(f"{LISTED}.evil.example", LISTED.upper(), f"{LISTED} {FOREIGN}", f"ftp://{HOST}"),
        *("https://[", f"capacitor://{HOST}", "capacitor://evil", f"https://{HOST}:443"),
        *(f"http://{HOST}:80", "chrome-extension://abc"),
    ]
)
SITES = st.sampled_from([None, "same-origin", "same-site", "cross-site", "none", "", "Same-Origin"])


def is_trusted(origins: list[str], sites: list[str], host: str = HOST) -> bool:
    headers = [(b"host", host.encode())]
    headers += [(b"origin", origin.encode()) for origin in origins]
    headers += [(b"sec-fetch-site", site.encode()) for site in sites]
    return is_trusted_origin(headers, frozenset({LISTED, APP}))


@given(ORIGINS, SITES)
@example(None, None)
@example(f"ftp://{HOST}", None)
@example("https://[", None)
@example("null", "same-origin")
@example("null", "none")
@example("null", "same-site")
@example(f"capacitor://{HOST}", None)
def test_every_combination_of_headers_follows_the_rule(
    origin: str | None, site: str | None
) -> None:
    ours = {f"https://{HOST}", f"http://{HOST}"}
    of_the_web = {
        *(None, *ours, LISTED, FOREIGN, f"https://{HOST}:444", f"{LISTED}.evil.example"),
        *(f"https://{HOST}:443", f"http://{HOST}:80"),
    }
    if origin in {LISTED, APP}:
        expected = True
    elif site == "same-origin":
        expected = origin in of_the_web or origin == "null"
    elif site is not None:
        expected = site == "none" and origin in of_the_web
    else:
        expected = origin is None or origin in ours
    assert (
        is_trusted([] if origin is None else [origin], [] if site is None else [site]) is expected
    )


@pytest.mark.parametrize(
    ("scheme", "host", "trusted"),
    [
        ("https", f"{HOST}:443", True),
        ("http", f"{HOST}:80", True),
        ("https", f"{HOST}:80", False),
        ("http", f"{HOST}:443", False),
        ("https", f"{HOST}:4430", False),
    ],
)
def test_a_default_port_that_a_proxy_adds_to_host_does_not_matter(
    scheme: str, host: str, *, trusted: bool
) -> None:
    assert is_trusted([f"{scheme}://{HOST}"], [], host) is trusted


@given(st.text(max_size=40))
def test_no_unlisted_text_is_a_trusted_origin(text: str) -> None:
    raw = text.encode("utf-8", "replace").decode("latin-1")
    if raw not in {LISTED, APP, f"https://{HOST}", f"http://{HOST}"}:
        assert not is_trusted([raw], [])


def test_repeated_headers_are_not_trusted() -> None:
    assert not is_trusted([LISTED, LISTED], [])
    assert not is_trusted([], ["same-origin", "same-origin"])


@pytest.mark.parametrize("name", [b"origin", b"sec-fetch-site"])
def test_repeated_headers_of_forwarded_requests_are_not_trusted(name: bytes) -> None:
    headers = {b"origin": LISTED.encode(), b"sec-fetch-site": b"same-origin"}
    once = list(headers.items())
    assert is_trusted_forwarded_origin(once, frozenset({LISTED}), None)
    twice = [*once, (name, headers[name])]
    assert not is_trusted_forwarded_origin(twice, frozenset({LISTED}), None)


@pytest.mark.parametrize("sites", [[], ["same-origin"], ["none"]])
def test_an_origin_without_a_host_is_none(sites: list[str]) -> None:
    assert not is_trusted(["https://"], sites, "")


def test_no_origin_is_trusted_with_two_host_headers() -> None:
    headers = [(b"host", HOST.encode()), (b"host", b"evil.example")]
    for host in (HOST, "evil.example"):
        origin = (b"origin", f"https://{host}".encode())
        assert not is_trusted_origin([*headers, origin], frozenset())


@pytest.fixture
def service(services: ServicePool) -> Service:
    return services.service({"OSTIARY_ALLOWED_ORIGINS": LISTED})


NOBODY = UUID(int=0)

UNSAFE = [
    ("POST", "/signup", {"username": "Bobby", "password": PASSWORD}),
    ("POST", "/login", {"username": "Alice", "password": PASSWORD}),
    ("POST", "/logout", None),
    ("DELETE", "/sessions", None),
    ("DELETE", "/sessions/00000000-0000-0000-0000-000000000000", None),
    ("PUT", "/me/password", {"current_password": PASSWORD, "new_password": "another one of them"}),
    ("DELETE", "/me", {"password": PASSWORD}),
    ("PUT", "/me/username", {"username": "Alicia"}),
    ("POST", "/me/reauthenticate/options", None),
    ("POST", "/me/reauthenticate", {"method": "password", "password": PASSWORD}),
    ("PUT", "/me/email", {"email": "alice@example.org"}),
    ("POST", "/me/email/verify", {"challenge_token": "A" * 64, "code": "12345678"}),
    ("DELETE", "/me/email", None),
    ("POST", "/signup/email", {"email": "alice@example.org"}),
    (
        "POST",
        "/signup/email/verify",
        {"challenge_token": "A" * 64, "code": "12345678", "password": PASSWORD},
    ),
    ("POST", "/password-reset", {"identifier": "Alice"}),
    ("POST", "/password-reset/confirm", {"token": "A" * 64, "new_password": PASSWORD}),
    ("POST", "/undo", {"token": "A" * 64}),
    (
        "POST",
        "/login/second-factor",
        {"challenge_token": "A" * 64, "method": "totp", "code": "123456"},
    ),
    ("POST", "/login/passkey/options", None),
    ("POST", "/login/passkey", {"challenge_token": "A" * 64, "credential": {}}),
    ("DELETE", "/me/password", None),
    ("POST", f"/login/oidc/{NOBODY}", {"redirect_uri": "https://app.example.com"}),
    ("POST", f"/login/oidc/{NOBODY}/callback", {"state": "A", "code": "B"}),
    ("POST", f"/login/oidc/{NOBODY}/id-token", {"state": "A", "id_token": "B"}),
    ("POST", "/signup/oidc", {"challenge_token": "A" * 64}),
    ("POST", f"/me/identities/{NOBODY}", {"redirect_uri": "https://app.example.com"}),
    ("POST", f"/me/identities/{NOBODY}/callback", {"state": "A", "code": "B"}),
    ("DELETE", f"/me/identities/{NOBODY}", None),
    ("POST", f"/me/reauthenticate/oidc/{NOBODY}", {"redirect_uri": "https://app.example.com"}),
    ("POST", f"/me/reauthenticate/oidc/{NOBODY}/callback", {"state": "A", "code": "B"}),
    ("POST", "/me/totp", None),
    ("POST", "/me/totp/confirm", {"code": "123456"}),
    ("DELETE", "/me/totp", None),
    ("POST", "/me/recovery-codes", None),
    ("POST", "/me/passkeys/options", None),
    ("POST", "/me/passkeys", {"challenge_token": "A" * 64, "credential": {}}),
    ("PATCH", f"/me/passkeys/{UUID(int=0)}", {"name": "A telephone"}),
    ("DELETE", f"/me/passkeys/{UUID(int=0)}", None),
    ("POST", "/me/token", {"audience": "billing"}),
]


def test_every_unsafe_route_has_the_origin_guard() -> None:
    app = create_app(Settings(), "postgresql://nobody@nowhere/nothing")
    unsafe = set()
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            methods = handler.http_methods - {"GET", "HEAD", "OPTIONS"}
            # No browser sends a service token by itself.
            methods -= {method for method, path in OPERATIONS if path == route.path_format}
            if methods:
                assert handler.resolve_guards()[0] is reject_cross_origin
                unsafe |= {(method, route.path_format) for method in methods}
    ids = re.compile(r"\{[a-z_]+\}")
    tried = {(method, path) for method, path, _ in UNSAFE}
    assert {(method, ids.sub(str(UUID(int=0)), path)) for method, path in unsafe} == tried


# The service logs only a few refusals of each kind in a minute.
@pytest.mark.own_service
@pytest.mark.parametrize(
    ("headers", "logged"),
    [({"Origin": FOREIGN}, f"origin={FOREIGN}"), ({"Sec-Fetch-Site": "cross-site"}, "origin=None")],
    ids=["with an origin", "without"],
)
def test_a_refused_origin_is_logged(
    service: Service, client: httpx.Client, headers: dict[str, str], logged: str
) -> None:
    response = client.post("/logout", headers=headers)
    lines = service.logged().splitlines()
    (line,) = [line for line in lines if response.headers["x-request-id"] in line]
    assert "origin_rejected" in line
    assert logged in line


@pytest.mark.parametrize(("method", "path", "body"), UNSAFE)
def test_a_request_from_a_foreign_origin_is_refused(
    client: httpx.Client, method: str, path: str, body: dict[str, str] | None
) -> None:
    sign_up(client)
    response = client.request(method, path, json=body, headers={"Origin": FOREIGN})
    assert (response.status_code, response.json()["code"]) == (403, "origin_rejected")
    assert "access-control-allow-origin" not in response.headers
    assert client.get("/me").status_code == 200


@pytest.mark.parametrize(("method", "path", "body"), UNSAFE)
def test_a_request_from_a_listed_origin_is_accepted(
    client: httpx.Client, method: str, path: str, body: dict[str, str] | None
) -> None:
    sign_up(client)
    headers = {"Origin": LISTED, "Sec-Fetch-Site": "cross-site"}
    response = client.request(method, path, json=body, headers=headers)
    assert response.status_code != 403
    assert response.headers["access-control-allow-origin"] == LISTED
    assert response.headers["access-control-allow-credentials"] == "true"


def test_a_request_from_the_own_origin_is_accepted(service: Service, client: httpx.Client) -> None:
    headers = {"Origin": service.url, "Sec-Fetch-Site": "same-origin"}
    body = {"username": "Alice", "password": PASSWORD}
    assert client.post("/signup", json=body, headers=headers).status_code == 201


def test_a_listed_origin_can_read_errors_and_their_headers(client: httpx.Client) -> None:
    response = client.get("/me", headers={"Origin": LISTED})
    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == LISTED
    exposed = response.headers["access-control-expose-headers"].lower()
    assert "retry-after" in exposed
    assert "x-request-id" in exposed


def test_the_own_page_without_a_referrer_may_log_in(client: httpx.Client) -> None:
    """Firefox sends ``Origin: null`` from a page with the referrer policy ``no-referrer``."""
    headers = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/signup", json=CREDENTIALS, headers=headers).status_code == 201
    assert client.post("/login", json=CREDENTIALS, headers=headers).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", None])
def test_an_opaque_origin_that_is_not_our_own_page_may_not_log_in(
    client: httpx.Client, site: str | None
) -> None:
    sign_up(client)
    headers = {"Origin": "null"} | ({} if site is None else {"Sec-Fetch-Site": site})
    response = client.post("/login", json=CREDENTIALS, headers=headers)
    assert (response.status_code, response.json()["code"]) == (403, "origin_rejected")
