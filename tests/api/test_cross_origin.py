"""Requests of pages of other origins, and which responses these can read."""

from __future__ import annotations

from uuid import UUID

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.api.security.cross_origin import is_trusted_origin, reject_cross_origin
from service.app import create_app
from service.settings import Settings
from tests.factories import PASSWORD, sign_up
from tests.service_pool import ServicePool
from tests.services import Service

LISTED = "https://app.example.com"
FOREIGN = "https://evil.example"
HOST = "auth.example.com"

ORIGINS = st.sampled_from(
    [
        *(None, f"https://{HOST}", f"http://{HOST}", f"https://{HOST}:444", LISTED, FOREIGN),
        *("null", "", "nonsense", "file://", "https://", f"{LISTED}/", f"https://user@{HOST}"),
        *(f"{LISTED}.evil.example", LISTED.upper(), f"{LISTED} {FOREIGN}", f"ftp://{HOST}"),
        "https://[",
    ]
)
SITES = st.sampled_from([None, "same-origin", "same-site", "cross-site", "none", "", "Same-Origin"])


def is_trusted(origins: list[str], sites: list[str]) -> bool:
    headers = [(b"host", HOST.encode())]
    headers += [(b"origin", origin.encode()) for origin in origins]
    headers += [(b"sec-fetch-site", site.encode()) for site in sites]
    return is_trusted_origin(headers, frozenset({LISTED}))


@given(ORIGINS, SITES)
@example(None, None)
@example(f"ftp://{HOST}", None)
@example("https://[", None)
def test_every_combination_of_headers_follows_the_rule(
    origin: str | None, site: str | None
) -> None:
    ours = {f"https://{HOST}", f"http://{HOST}"}
    if origin is not None and origin not in {*ours, LISTED, FOREIGN, f"https://{HOST}:444"} | {
        f"{LISTED}.evil.example"
    }:
        expected = False
    elif origin == LISTED:
        expected = True
    elif site is not None:
        expected = site in {"same-origin", "none"}
    else:
        expected = origin is None or origin in ours
    assert (
        is_trusted([] if origin is None else [origin], [] if site is None else [site]) is expected
    )


@given(st.text(max_size=40))
def test_no_unlisted_text_is_a_trusted_origin(text: str) -> None:
    raw = text.encode("utf-8", "replace").decode("latin-1")
    if raw not in {LISTED, f"https://{HOST}", f"http://{HOST}"}:
        assert not is_trusted([raw], [])


def test_repeated_headers_are_not_trusted() -> None:
    assert not is_trusted([LISTED, LISTED], [])
    assert not is_trusted([], ["same-origin", "same-origin"])


def test_no_origin_is_trusted_with_two_host_headers() -> None:
    headers = [(b"host", HOST.encode()), (b"host", b"evil.example")]
    for host in (HOST, "evil.example"):
        origin = (b"origin", f"https://{host}".encode())
        assert not is_trusted_origin([*headers, origin], frozenset())


@pytest.fixture
def service(services: ServicePool) -> Service:
    return services.service({"OSTIARY_ALLOWED_ORIGINS": LISTED})


UNSAFE = [
    ("POST", "/signup", {"username": "Bobby", "password": PASSWORD}),
    ("POST", "/login", {"username": "Alice", "password": PASSWORD}),
    ("POST", "/logout", None),
    ("DELETE", "/sessions", None),
    ("DELETE", "/sessions/00000000-0000-0000-0000-000000000000", None),
    ("PUT", "/me/password", {"current_password": PASSWORD, "new_password": "another one of them"}),
    ("DELETE", "/me", {"password": PASSWORD}),
]


def test_every_unsafe_route_has_the_origin_guard() -> None:
    app = create_app(Settings(), "postgresql://nobody@nowhere/nothing")
    unsafe = set()
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            methods = handler.http_methods - {"GET", "HEAD", "OPTIONS"}
            if methods:
                assert handler.resolve_guards()[0] is reject_cross_origin
                unsafe |= {(method, route.path_format) for method in methods}
    tried = {(method, path.replace(str(UUID(int=0)), "{session_id}")) for method, path, _ in UNSAFE}
    assert unsafe == tried


@pytest.mark.own_service
def test_a_refused_origin_is_logged(service: Service, client: httpx.Client) -> None:
    response = client.post("/logout", headers={"Origin": FOREIGN})
    assert response.headers["x-request-id"] in service.logged()


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


def test_a_preflight_from_a_listed_origin_is_accepted(client: httpx.Client) -> None:
    response = client.options(
        "/login",
        headers={
            "Origin": LISTED,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        },
    )
    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == LISTED
    assert response.headers["access-control-allow-credentials"] == "true"
    assert "POST" in response.headers["access-control-allow-methods"]
    assert "origin" in response.headers["vary"].lower()


def test_a_preflight_from_a_foreign_origin_is_refused(client: httpx.Client) -> None:
    response = client.options(
        "/login", headers={"Origin": FOREIGN, "Access-Control-Request-Method": "POST"}
    )
    assert response.status_code == 400
    assert "access-control-allow-origin" not in response.headers


def test_a_listed_origin_can_read_errors_and_their_headers(client: httpx.Client) -> None:
    response = client.get("/me", headers={"Origin": LISTED})
    assert response.status_code == 401
    assert response.headers["access-control-allow-origin"] == LISTED
    exposed = response.headers["access-control-expose-headers"].lower()
    assert "retry-after" in exposed
    assert "x-request-id" in exposed
