"""The recipes of `docs/protect-your-app.md` with real proxies: ``make test-proxies``."""

from __future__ import annotations

from itertools import product
from urllib.parse import unquote

import pytest

from tests.databases import execute
from tests.factories import age_sessions
from tests.proxies.application import OWN_COOKIE
from tests.proxies.proxied import COOKIE, FOREIGN, ORIGIN, Headers, Proxied

FORM = ("Content-Type", "application/x-www-form-urlencoded")
TRUSTED = (
    *("X-Ostiary-User-Id", "X-Ostiary-Username", "X-Ostiary-Email", "X-Ostiary-Roles"),
    *("X-Ostiary-Session-Id", "X-Ostiary-Methods", "X-Ostiary-Cookie", "Remote-User"),
)


def spellings(name: str) -> list[str]:
    """Return a name with each of its hyphens as a hyphen, an underscore or a dot, and its case."""
    first, *rest = name.split("-")
    separated = ["".join(pair) for pair in product("-_.", ["{}"])]
    found = [first]
    for part in rest:
        found = [start + each.format(part) for start in found for each in separated]
    return [*found, name.lower(), name.upper()]


FORGED: Headers = [(name, "forged") for header in TRUSTED for name in spellings(header)]


def test_the_application_learns_who_the_user_is(proxied: Proxied) -> None:
    cookie = proxied.session()
    assert proxied.get(cookie).status_code == 200
    seen = proxied.seen()
    user_id = proxied.user_id(cookie)
    assert seen.values("X-Ostiary-User-Id") == seen.values("Remote-User") == [user_id]
    assert seen.values("X-Ostiary-Username") == ["Alice"]
    assert seen.values("X-Ostiary-Methods") == ["password"]


def test_without_a_session_nothing_reaches_the_application(proxied: Proxied) -> None:
    for headers in ([], FORGED[:40], [("Cookie", f"{COOKIE}={'A' * 64}")]):
        assert proxied.send("GET", "/", headers).status_code == 401
    assert proxied.has_seen_nothing()


def test_a_session_that_ended_is_refused_at_once(proxied: Proxied) -> None:
    cookie = proxied.session()
    assert proxied.get(cookie).status_code == 200
    execute(proxied.service.database_url, "DELETE FROM session")
    assert proxied.get(cookie).status_code == 401


@pytest.mark.parametrize("header", TRUSTED)
def test_no_spelling_of_a_header_passes(proxied: Proxied, header: str) -> None:
    """Of a user who has neither roles nor an address: those headers are empty or left out."""
    cookie = proxied.session()
    forged = [(name, "forged") for name in spellings(header)]
    assert proxied.send("GET", "/", [*forged, cookie, *forged]).status_code in {200, 400}
    for seen in proxied.application.seen:
        assert "forged" not in str(seen.headers)
        assert seen.values("X-Ostiary-User-Id") == [proxied.user_id(cookie)]


def test_names_outside_ascii_arrive(proxied: Proxied) -> None:
    assert proxied.get(proxied.session("김철수영")).status_code == 200
    (name,) = proxied.seen().values("X-Ostiary-Username")
    assert unquote(name) == "김철수영"


@pytest.mark.parametrize(
    ("cookies", "others"),
    [
        ("a=1; {own}; b=2", ["a=1; b=2"]),
        ("{own}", []),
        ("{own}; auth_session=x; __Host-auth_device=d; auth_flow=f; a=1", ["a=1"]),
        ('a="1; {own}; b=2"', ['a="1; b=2"']),
        ("{own}; a=" + "x" * 6000, ["a=" + "x" * 6000]),
    ],
)
def test_the_application_sees_its_own_cookies_only(
    proxied: Proxied, cookies: str, others: list[str]
) -> None:
    own = proxied.session()[1]
    assert proxied.get(("Cookie", cookies.format(own=own))).status_code == 200
    seen = proxied.seen()
    assert seen.values("Cookie") == others
    assert own.partition("=")[2] not in str(seen.headers)


def test_of_several_cookie_headers_none_shows_the_token(proxied: Proxied) -> None:
    """Browsers send one (RFC 6265, section 5.4)."""
    own = proxied.session()
    assert proxied.get(("Cookie", "a=1"), own, ("Cookie", "b=2")).status_code in {200, 400, 401}
    for seen in proxied.application.seen:
        assert own[1].partition("=")[2] not in str(seen.headers)


def test_authorization_of_the_application_arrives(proxied: Proxied) -> None:
    authorization = ("Authorization", "Basic dTpw")
    assert proxied.get(proxied.session(), authorization).status_code == 200
    assert proxied.seen().values("Authorization") == ["Basic dTpw"]


def test_a_bearer_token_of_ours_opens_nothing(proxied: Proxied) -> None:
    """So the application never gets one in a request that passes for it."""
    proxied.session()
    token = proxied.bearer_token()
    assert proxied.get(("Authorization", f"Bearer {token}")).status_code == 401
    assert proxied.has_seen_nothing()


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_page_of_another_site_sends_nothing_unsafe(proxied: Proxied, method: str) -> None:
    cookie = proxied.session()
    for origin in ([("Origin", FOREIGN)], [("Origin", "null")], []):
        for site in ([("Sec-Fetch-Site", "cross-site")], []):
            answer = proxied.send(method, "/form", [cookie, FORM, *origin, *site], b"a=1")
            assert answer.status_code == 403
    assert proxied.has_seen_nothing()


LIES: list[Headers] = [
    [("X-Forwarded-Method", "GET")],
    [("X-Forwarded-Method", "GET"), ("X-Forwarded-Method", "GET")],
    [("X_Forwarded_Method", "GET")],
    [("X.Forwarded.Method", "GET")],
    [("X-HTTP-Method-Override", "GET")],
    [("X-Original-Method", "OPTIONS")],
    [("X-Forwarded-Host", "evil.example")],
    [("X_Forwarded_Host", "evil.example")],
    [("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Host", "evil.example")],
    [("X-Forwarded-Host", "evil.example"), ("X-Forwarded-Proto", "https")],
    [("Forwarded", "host=evil.example;proto=https")],
    [("X-Forwarded-Uri", "/verify/open"), ("X-Original-URL", "/")],
]


@pytest.mark.parametrize("lies", LIES)
def test_a_client_that_lies_to_the_proxy_is_refused_all_the_same(
    proxied: Proxied, lies: Headers
) -> None:
    headers = [proxied.session(), FORM, ("Origin", FOREIGN), *lies]
    assert proxied.send("POST", "/form", headers, b"a=1").status_code in {400, 403}
    assert proxied.has_seen_nothing()


@pytest.mark.parametrize("told", [[("Origin", ORIGIN)], [("Sec-Fetch-Site", "same-origin")]])
def test_the_application_s_own_page_sends_anything(proxied: Proxied, told: Headers) -> None:
    body = b"a=" + b"x" * 200_000
    answer = proxied.send("POST", "/form?q=1", [proxied.session(), FORM, *told], body)
    assert answer.status_code == 200
    seen = proxied.seen()
    assert (seen.method, seen.path, seen.body) == ("POST", "/form?q=1", body)


def test_links_from_other_sites_work(proxied: Proxied) -> None:
    answer = proxied.get(proxied.session(), ("Sec-Fetch-Site", "cross-site"))
    assert answer.status_code == 200


@pytest.mark.parametrize("origin", [FOREIGN, "null", None])
def test_a_page_of_another_site_opens_no_websocket(proxied: Proxied, origin: str | None) -> None:
    told = [] if origin is None else [("Origin", origin)]
    assert b" 403 " in proxied.open_websocket(proxied.session(), *told)
    assert proxied.has_seen_nothing()


def test_the_application_s_own_page_opens_websockets(proxied: Proxied) -> None:
    cookie = proxied.session()
    forged = ("X_Ostiary_User_Id", "forged")
    assert b" 101 " in proxied.open_websocket(cookie, ("Origin", ORIGIN), forged)
    seen = proxied.seen()
    assert seen.values("X-Ostiary-User-Id") == [proxied.user_id(cookie)]
    assert cookie[1].partition("=")[2] not in str(seen.headers)


@pytest.mark.parametrize(
    "protocols", [["h2c"], ["websocket, h2c"], ["h2c", "websocket"], ["websocket", "h2c"]], ids=str
)
def test_a_connection_changes_to_no_protocol_that_carries_other_requests(
    proxied: Proxied, protocols: list[str]
) -> None:
    """What follows on it would reach the application without being asked about."""
    asked = [("Upgrade", protocol) for protocol in protocols]
    settings = ("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA")
    assert proxied.upgrade(*asked, settings, proxied.session(), ("Origin", ORIGIN))
    for seen in proxied.application.seen:
        assert "h2c" not in ",".join(seen.values("Upgrade"))


def test_a_preflight_is_no_exemption(proxied: Proxied) -> None:
    asked = [("Origin", FOREIGN), ("Access-Control-Request-Method", "POST")]
    lie = ("X-Forwarded-Method", "OPTIONS")
    for method, headers in (("OPTIONS", asked), ("GET", [*asked, lie]), ("POST", [lie])):
        assert proxied.send(method, "/", headers).status_code == 401
    assert proxied.has_seen_nothing()


def test_the_browser_gets_the_renewal_beside_the_application_s_cookie(proxied: Proxied) -> None:
    cookie = proxied.session()
    age_sessions(proxied.service.database_url, days=2)
    renewed = proxied.get(cookie).headers.get_list("set-cookie")
    assert sorted(each.partition("=")[0] for each in renewed) == [COOKIE, "own"]
    assert f"{cookie[1]};" in "".join(renewed)
    assert proxied.get(cookie).headers.get_list("set-cookie") == [OWN_COOKIE]


def test_a_refusal_sets_no_cookie(proxied: Proxied) -> None:
    cookie = proxied.session()
    age_sessions(proxied.service.database_url, days=2)
    refused = proxied.send("POST", "/", [cookie, ("Origin", FOREIGN)])
    assert refused.status_code == 403
    assert "set-cookie" not in refused.headers
    assert "set-cookie" not in proxied.get().headers


@pytest.mark.parametrize("path", ["/a/../b", "/a%2F..%2Fb", "//a", "/verify/app", "/_ostiary"])
def test_no_path_passes_without_a_session(proxied: Proxied, path: str) -> None:
    assert proxied.send("GET", path).status_code in {301, 400, 401, 403, 404}
    assert proxied.has_seen_nothing()
