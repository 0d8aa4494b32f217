"""What every request passes before it is routed: HEAD, the spelling of paths, ``Host``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from service.api.http.entrance import without_body
from service.api.http.hosts import AllowedHosts, loggable_host
from service.settings.hosts import HostNames
from tests.api.test_http import CLOSE, send, statuses
from tests.factories import sign_up
from tests.service_pool import ServicePool
from tests.services import Service

DOCUMENT = json.loads(
    (Path(__file__).parents[2] / "openapi" / "openapi.json").read_text(encoding="utf-8")
)
PAGES = (
    *("/openapi.json", "/docs", "/docs/page.js", "/docs/page.css", "/docs/swagger-ui.css"),
    *("/docs/callback", "/docs/callback.js"),
)
GET_PATHS = [*(path for path, each in DOCUMENT["paths"].items() if "get" in each), *PAGES]

# Differ from one response to the next.
VARYING = {"date", "x-request-id"}


def headers_of(response: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name not in VARYING}


@pytest.mark.parametrize("path", [*GET_PATHS, "/nothing", "/login", "//me", "/sessions?cursor=x"])
@pytest.mark.parametrize("logged_in", [True, False])
def test_head_is_answered_as_get_without_the_body(
    client: httpx.Client, path: str, *, logged_in: bool
) -> None:
    if logged_in:
        sign_up(client)
    got, head = client.get(path), client.head(path)
    assert head.status_code == got.status_code
    assert headers_of(head) == headers_of(got)
    assert "content-length" in got.headers or "transfer-encoding" in got.headers
    assert head.content == b""


@pytest.mark.parametrize("path", [b"/healthz", b"/docs", b"/docs/swagger-ui.css", b"/me", b"/x"])
def test_no_byte_follows_the_head(service: Service, path: bytes) -> None:
    head = b"HEAD " + path + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answers = send(service, head + head.replace(b"\r\n\r\n", b"\r\n" + CLOSE + b"\r\n"))
    assert len(statuses(answers)) == 2
    assert re.findall(rb"\r\n\r\n(.?)", answers, re.DOTALL) == [b"H", b""]


async def test_the_server_is_given_the_head_only() -> None:
    """HTTP/1.1 servers drop the body themselves; nothing is read for it."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    head_only = without_body(send)
    await head_only({"type": "http.response.start", "status": 200, "headers": []})
    await head_only({"type": "http.response.body", "body": b"a", "more_body": True})
    await head_only({"type": "http.response.body", "body": b"b", "more_body": False})
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert (sent[1]["body"], sent[1]["more_body"]) == (b"", False)


# With `/verify` any method asks for another request.
@pytest.mark.parametrize("path", [path for path in GET_PATHS if not path.startswith("/verify")])
def test_allow_lists_head_with_get(client: httpx.Client, path: str) -> None:
    path = path.format(user_id=UUID(int=0))
    for response in (client.options(path), client.request("PROPFIND", path)):
        allowed = response.headers["allow"].split(", ")
        assert {"GET", "HEAD", "OPTIONS"} <= set(allowed)
        assert allowed == sorted(set(allowed))
    assert "HEAD" not in client.options("/login").headers["allow"]


@pytest.mark.parametrize(
    "path",
    [
        *("//me", "/me/", "/me//", "///me", "/me%2f", "/%2fme", "/%6de", "/m%65", "/./me", "/me/."),
        *("/x/../me", "/me/..", "/../me", "/%2e/me", "/x/%2e%2e/me", "/me;a=1", "/me;", "/;a/me"),
        *("/me%00", "/me%20", "/me%3Fx", "/me%23", "/me%", "/me%zz", "/ME", "/me\\", "/\\me", ""),
        *("*", "me", "/sessions/", "//sessions", "/sessions//", "/docs/", "//docs", "/docs%2f"),
        *("/docs//page.js", "/docs/%70age.js", "/docs/./page.js", "/healthz/", "/openapi%2ejson"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_path_has_one_spelling(service: Service, method: str, path: str) -> None:
    sent = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n".encode() + CLOSE + b"\r\n"
    answer = send(service, sent)
    assert statuses(answer) in ([404], [400])
    # The server itself refuses what is no request target.
    assert b'"not_found"' in answer or method == "HEAD" or b"content-length: 0" in answer


@pytest.mark.parametrize(
    "path",
    ["//sessions/{}", "/sessions/{}/", "/sessions//{}", "/sessions/%2e/{}", "/sessions/{}%20"],
)
def test_a_path_with_a_parameter_has_one_spelling(client: httpx.Client, path: str) -> None:
    session_id = sign_up(client).json()["session"]["id"]
    assert client.delete(path.format(session_id)).status_code == 404
    assert client.get("/me").status_code == 200
    assert client.delete(f"/sessions/{session_id}").status_code == 204


def status_with(service: Service, *hosts: bytes, version: bytes = b"1.1") -> int:
    lines = b"".join(b"Host: " + host + b"\r\n" for host in hosts)
    sent = b"GET /healthz HTTP/" + version + b"\r\n" + lines + CLOSE + b"\r\n"
    answer = send(service, sent)
    (status,) = statuses(answer)
    code = b"host_rejected" if set(hosts) & {b"evil.example"} else b"bad_request"
    assert status == 200 or b'"%s"' % code in answer
    return status


def test_http_1_1_needs_exactly_one_host(service: Service) -> None:
    assert status_with(service, b"localhost") == 200
    assert status_with(service) == 400
    assert status_with(service, b"") == 400
    assert status_with(service, b"localhost", b"localhost") == 400
    assert status_with(service, b"localhost", b"127.0.0.1") == 400
    assert status_with(service, b"localhost", b"") == 400


def test_http_1_0_needs_no_host(service: Service) -> None:
    assert status_with(service, version=b"1.0") == 200
    assert status_with(service, b"localhost", version=b"1.0") == 200
    assert status_with(service, b"localhost", b"localhost", version=b"1.0") == 400
    assert status_with(service, b"evil.example", version=b"1.0") == 400


def allows(host: str, names: str = "", *, is_production: bool = False) -> bool:
    rule = AllowedHosts(HostNames.parse(names), is_production=is_production)
    return rule.allow(host.encode("latin-1"))


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "localhost:8000", "LOCALHOST", "localhost.", "app.localhost:5173"),
        *("127.0.0.1", "127.0.0.1:8000", "192.168.1.20:80", "[::1]", "[::1]:8000", "0.0.0.0:1"),
    ],
)
def test_loopback_names_and_addresses_are_always_allowed(host: str) -> None:
    assert allows(host)
    assert allows(host, is_production=True)
    assert allows(host, "auth.example.com", is_production=True)


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example"),
        *("evillocalhost", "127.1", "0x7f000001", "::1", "[::1", "[evil.example]", "localhost:x"),
        *("", ":8000", "a b", "user@localhost", "localhost/x", "localhost,evil.example", "\x9b"),
    ],
)
def test_other_names_are_refused_in_development(host: str) -> None:
    assert not allows(host)


def test_a_host_longer_than_a_name_can_be_is_neither_allowed_nor_remembered() -> None:
    rule = AllowedHosts(HostNames(), is_production=True)
    assert rule.allow(b"a" * 253 + b".:65535")
    assert not rule.allow(b"a" * 261)
    assert rule._allow.cache_info().currsize == 1


def test_production_allows_any_name_unless_told_otherwise() -> None:
    assert allows("anything.example:443", is_production=True)
    assert not allows("anything.example", "auth.example.com", is_production=True)
    for name in ("auth.example.com", "AUTH.example.com.:443"):
        assert allows(name, "auth.example.com, other.example", is_production=True)
        assert allows(name, "Auth.Example.com")
    assert allows("x.example.com", "*.example.com")
    assert allows("y.x.example.com", "*.example.com")
    assert not allows("example.com", "*.example.com")
    assert not allows("evilexample.com", "*.example.com")
    assert allows("anything.example", "*")


@pytest.mark.parametrize(
    "names", ["https://auth.example.com", "auth.example.com:443", "*example.com", "a b", "a/b", "ü"]
)
def test_what_is_no_host_name_is_no_setting(names: str) -> None:
    with pytest.raises(ValueError, match="is not a host name"):
        HostNames.parse(names)


def test_a_rebound_name_signs_nobody_up(service: Service, client: httpx.Client) -> None:
    """A page at evil.example whose name resolves to 127.0.0.1 is of the same origin."""
    client.headers.update(
        {
            "Host": "evil.example:8000",
            "Origin": "http://evil.example:8000",
            "Sec-Fetch-Site": "same-origin",
        }
    )
    response = sign_up(client)
    assert (response.status_code, response.json()["code"]) == (400, "host_rejected")
    assert "OSTIARY_ALLOWED_HOSTS" in response.json()["detail"]
    (line,) = [line for line in service.logged().splitlines() if "host_rejected" in line]
    assert "evil.example:8000" in line


def test_the_allowed_hosts_are_a_setting(services: ServicePool) -> None:
    environment = {"OSTIARY_ENV": "production", "OSTIARY_ALLOWED_HOSTS": "auth.example.com"}
    service = services.service(environment)
    assert status_with(service, b"auth.example.com") == 200
    assert status_with(service, b"evil.example") == 400
    assert status_with(service, b"127.0.0.1:8000") == 200
    assert status_with(services.service({"OSTIARY_ENV": "production"}), b"evil.example") == 200


@pytest.mark.parametrize(
    ("raw", "logged"),
    [
        (b"evil.example", "evil.example"),
        (b"ostiary:8000", "ostiary:8000"),
        (b"secret", None),
        (b"evil.example\x9b2J", None),
        (b"user:secret@evil.example", None),
    ],
)
def test_a_host_is_logged_only_in_the_form_of_one(raw: bytes, logged: str | None) -> None:
    assert loggable_host(raw) == logged
