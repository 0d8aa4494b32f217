"""A flow is completed once, by the browser, the app or the session that began it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from typing import Any

import httpx
import pytest

from service.api.http.flow_cookie import FlowCookie
from service.auth.identities.flow_secrets import FlowClient, FlowSecret
from service.auth.identities.flow_states import FlowPurpose, FlowStates, FlowSubject
from service.auth.secret_keys import Keyring
from service.settings.secret_keys import SecretKeys
from service.settings.values import SameSite
from service.settings.variables import read_settings
from tests.databases import execute
from tests.factories import COOKIE, DAY, codes, sign_up
from tests.identities.conftest import (
    CALLBACK,
    CHALLENGE,
    CREDENTIALS,
    LINK,
    LOG_IN,
    REAUTHENTICATE,
    App,
    environment_for,
    exchanges,
    problem,
    session_of,
)
from tests.oidc.stub_provider import StubProvider
from tests.service_pool import ServicePool
from tests.services import NO_LIMITS, SECRET_KEYS, Service

FLOW_COOKIE = "auth_flow_"


@pytest.fixture
def stranger(service: Service, provider: StubProvider) -> Iterator[App]:
    """Return an app in another browser."""
    with service.client() as browser:
        yield App(client=browser, provider=provider)


def test_another_browser_cannot_complete_a_flow_and_burns_nothing(
    app: App, stranger: App, provider: StubProvider
) -> None:
    app.sign_up()
    answer = app.answer(app.begin())
    provider.requests.clear()
    assert problem(stranger.post(answer)) == CHALLENGE
    stranger.begin()
    refused = stranger.post(answer)
    assert problem(refused) == CHALLENGE
    assert COOKIE not in refused.cookies
    assert exchanges(provider) == []
    assert app.post(answer).status_code == 200


def test_an_error_from_another_browser_ends_no_flow(app: App, stranger: App) -> None:
    app.sign_up()
    begun = app.begin()
    stranger.begin()
    refused = stranger.post({"state": begun["state"], "error": "access_denied"})
    assert problem(refused) == CHALLENGE
    assert app.post(app.answer(begun)).status_code == 200


@pytest.mark.parametrize("transport", [{}, {"transport": "cookie"}])
def test_a_link_to_the_page_of_an_answer_logs_nobody_in_as_somebody_else(
    app: App, stranger: App, transport: dict[str, str]
) -> None:
    """A page posts the query of its address, all of which a stranger can write."""
    app.sign_up("666")
    app.client.cookies.clear()
    native = App(client=stranger.client, provider=app.provider, is_native=True)
    query = native.answer(native.begin(), "666")
    del query["transport"]
    refused = app.post(query | transport)
    assert COOKIE not in refused.cookies
    assert problem(refused) == (400, "validation_failed")
    assert codes(refused) == {"transport": "not_allowed"}


def test_an_id_token_with_a_flow_secret_sets_no_cookie(app: App) -> None:
    native = App(client=app.client, provider=app.provider, is_native=True)
    begun = native.begin()
    token = app.provider.id_token(nonce=begun["nonce"])
    body = {"id_token": token, "state": begun["state"], "flow_secret": begun["flow_secret"]}
    refused = app.client.post(f"{LOG_IN}/id-token", json=body)
    assert codes(refused) == {"transport": "not_allowed"}


def test_a_cookie_in_the_body_completes_no_flow(app: App) -> None:
    app.sign_up()
    answer = app.answer(app.begin())
    (secret,) = app.client.cookies.values()
    app.client.cookies.clear()
    assert problem(app.post(answer | {"flow_secret": secret})) == CHALLENGE


def test_the_secret_of_an_app_in_a_cookie_completes_no_flow(app: App) -> None:
    app.sign_up()
    native = App(client=app.client, provider=app.provider, is_native=True)
    answer = native.answer(native.begin())
    app.client.cookies.clear()
    planted = {"Cookie": f"{FLOW_COOKIE}x={answer.pop('flow_secret')}"}
    response = app.client.post(f"{LOG_IN}/callback", json=answer, headers=planted)
    assert problem(response) == CHALLENGE


def test_two_tabs_complete_their_flows(app: App) -> None:
    app.sign_up()
    first = app.begin()
    second = app.begin()
    assert app.post(app.answer(first)).status_code == 200
    assert app.post(app.answer(second)).status_code == 200


def test_two_tabs_that_begin_at_once_complete_their_flows(app: App) -> None:
    app.sign_up()
    app.client.cookies.clear()
    sent = [app.client.build_request("POST", LOG_IN, json=app.beginning) for _ in range(2)]
    responses = [app.client.send(request) for request in sent]
    for response in responses:
        assert app.post(app.answer(response.json())).status_code == 200


def test_a_browser_keeps_one_secret_for_all_flows(app: App) -> None:
    app.begin()
    (name,) = app.client.cookies
    secret = app.client.cookies[name]
    app.begin()
    assert dict(app.client.cookies) == {name: secret}


def test_of_many_cookies_the_first_eight_count(app: App) -> None:
    app.sign_up()
    answer = app.answer(app.begin())
    ((name, secret),) = app.client.cookies.items()
    others = "; ".join(
        f"{FLOW_COOKIE}{number}={FlowSecret.issue(FlowClient.BROWSER).text}" for number in range(8)
    )
    app.client.cookies.clear()
    late = {"Cookie": f"{others}; {name}={secret}"}
    assert problem(app.client.post(f"{LOG_IN}/callback", json=answer, headers=late)) == CHALLENGE
    early = {"Cookie": f"{name}={secret}; {others}"}
    assert app.client.post(f"{LOG_IN}/callback", json=answer, headers=early).status_code == 200


def test_other_cookies_of_the_browser_do_not_count(app: App) -> None:
    app.sign_up()
    answer = app.answer(app.begin())
    ((name, secret),) = app.client.cookies.items()
    app.client.cookies.clear()
    others = "; ".join(f"other{number}={number}" for number in range(20))
    broken = "; ".join(f"{FLOW_COOKIE}_{text}={text}" for text in ("", "x", "A" * 43 + "="))
    cookies = {"Cookie": f"{others}; {broken}; {name}={secret}"}
    assert app.client.post(f"{LOG_IN}/callback", json=answer, headers=cookies).status_code == 200


@pytest.mark.parametrize("form", ['"{}"', " {} ", ' "{}" '])
def test_a_cookie_may_be_in_quotes_and_have_spaces_around(app: App, form: str) -> None:
    """RFC 6265, section 4.1.1, and what proxies make of it."""
    app.sign_up()
    answer = app.answer(app.begin())
    ((name, secret),) = app.client.cookies.items()
    app.client.cookies.clear()
    cookies = {"Cookie": f"{name}={form.format(secret)}; x=y"}
    assert app.client.post(f"{LOG_IN}/callback", json=answer, headers=cookies).status_code == 200


def test_the_cookie_is_for_this_host_and_no_script(app: App) -> None:
    response = app.client.post(LOG_IN, json={"redirect_uri": CALLBACK})
    (cookie,) = SimpleCookie(response.headers["Set-Cookie"]).values()
    assert cookie.key.startswith(FLOW_COOKIE)
    assert cookie["httponly"]
    assert (cookie["path"], cookie["samesite"], cookie["domain"]) == ("/", "Lax", "")
    assert int(cookie["max-age"]) > 365 * DAY


def test_with_tls_the_cookie_is_bound_to_the_host() -> None:
    scope: Any = {"headers": [], "state": {}}
    FlowCookie(samesite=SameSite.LAX, secure=True).secret_for(scope)
    ((name, cookie),) = scope["state"]["set_cookies"].items()
    assert name.startswith("__Host-auth_flow_")
    assert cookie.endswith("; Secure")


def test_an_answer_that_is_posted_twice_counts_once(app: App, provider: StubProvider) -> None:
    app.sign_up()
    answer = app.answer(app.begin())
    del answer["transport"]
    provider.requests.clear()
    with ThreadPoolExecutor(2) as pool:
        posted = list(pool.map(lambda _: app.post(answer), range(2)))
    won, lost = sorted(posted, key=lambda response: response.status_code)
    assert won.status_code == 200
    assert problem(lost) == CHALLENGE
    assert "Set-Cookie" not in lost.headers
    assert len(exchanges(provider)) == 1
    assert problem(app.post(answer)) == CHALLENGE
    assert app.client.get("/me").status_code == 200


@pytest.mark.parametrize(("age", "outcome"), [(590, CREDENTIALS), (610, CHALLENGE)])
def test_a_flow_expires_after_ten_minutes(app: App, age: int, outcome: tuple[int, str]) -> None:
    app.begin()
    (text,) = app.client.cookies.values()
    providers = read_settings(environment_for(app.provider)).oidc.providers
    subject = FlowSubject(provider=providers["stub"], purpose=FlowPurpose.LOG_IN)
    states = FlowStates(Keyring(SecretKeys.parse(SECRET_KEYS)))
    begun_at = datetime.now(UTC) - timedelta(seconds=age)
    flow = states.issue(subject, CALLBACK, FlowSecret(text, FlowClient.BROWSER), begun_at).flow
    assert problem(app.post({"state": flow.state, "code": "no code"})) == outcome


@pytest.mark.parametrize("position", [0, 40, -1])
def test_a_state_that_was_changed_is_refused(app: App, position: int) -> None:
    answer = app.answer(app.begin())
    state = answer["state"]
    index = position % len(state)
    changed = state[:index] + ("A" if state[index] != "A" else "B") + state[index + 1 :]
    assert problem(app.post(answer | {"state": changed})) == CHALLENGE


@pytest.mark.parametrize("state", ["", "x", "é", "A" * 5000, "AAAA", "\u0000", "a.b.c"])
def test_what_is_no_state_is_refused(app: App, state: str) -> None:
    assert problem(app.post({"state": state, "code": "c"})) == CHALLENGE


def test_the_state_of_one_purpose_is_of_no_use_for_another(app: App) -> None:
    session = session_of(sign_up(app.client, transport="bearer"))
    link = app.answer(app.begin(LINK, session))
    assert problem(app.post(link)) == CHALLENGE
    assert problem(app.post(link, REAUTHENTICATE, session)) == CHALLENGE
    log_in = app.answer(app.begin())
    assert problem(app.post(log_in, LINK, session)) == CHALLENGE
    assert problem(app.post(log_in, REAUTHENTICATE, session)) == CHALLENGE


def test_the_state_of_one_provider_is_of_no_use_at_another(
    provider: StubProvider, services: ServicePool
) -> None:
    second = {
        name.replace("STUB", "SECOND"): value for name, value in environment_for(provider).items()
    }
    second["OSTIARY_OIDC_SECOND_REDIRECT_URIS"] = "https://second.example.com/callback"
    service = services.service({**NO_LIMITS, **environment_for(provider), **second})
    with service.client() as client:
        app = App(client=client, provider=provider)
        answer = app.answer(app.begin())
        response = client.post("/login/oidc/second/callback", json=answer)
        assert problem(response) == CHALLENGE


def test_a_flow_whose_key_was_removed_is_refused_and_that_is_logged(
    app: App, provider: StubProvider, services: ServicePool
) -> None:
    app.sign_up()
    native = App(client=app.client, provider=provider, is_native=True)
    answer = native.answer(native.begin())
    keys = {"OSTIARY_SECRET_KEYS": f"newer:{'B' * 43}="}
    service = services.service({**NO_LIMITS, **environment_for(provider), **keys})
    with service.client() as client:
        assert problem(App(client=client, provider=provider).post(answer)) == CHALLENGE
    assert "secret_key_missing" in service.logged()
    assert native.post(answer).status_code == 200


def test_linking_is_completed_in_the_session_that_began_it(app: App, stranger: App) -> None:
    """An attacker's account must not be linked to the user in whose browser it is posted."""
    attacker = session_of(sign_up(stranger.client, "Mallory", transport="bearer"))
    victim = session_of(sign_up(app.client, "Alice", transport="bearer"))
    stranger.client.cookies.clear()
    begun = stranger.begin(LINK, attacker)
    answer = stranger.answer(begun, "666")
    assert problem(app.post(answer, LINK, victim)) == CHALLENGE
    app.client.cookies.update(stranger.client.cookies)
    assert problem(app.post(answer, LINK, victim)) == CHALLENGE
    assert app.identities(victim) == []
    assert stranger.post(answer, LINK, attacker).status_code == 200


def test_linking_is_not_completed_in_another_session_of_the_user(app: App) -> None:
    first = session_of(sign_up(app.client, transport="bearer"))
    body = {"username": "Alice", "password": "correct horse battery staple"}
    second = session_of(app.client.post("/login", json=body | {"transport": "bearer"}))
    answer = app.answer(app.begin(LINK, first))
    assert problem(app.post(answer, LINK, second)) == CHALLENGE
    assert app.post(answer, LINK, first).status_code == 200


def test_a_flow_is_void_after_a_restore(app: App, service: Service) -> None:
    app.sign_up()
    answer = app.answer(app.begin())
    execute(service.database_url, "INSERT INTO restore DEFAULT VALUES")
    assert problem(app.post(answer)) == CHALLENGE


def test_linking_is_void_after_a_change_of_what_protects_the_user(
    app: App, service: Service
) -> None:
    session = session_of(sign_up(app.client, transport="bearer"))
    answer = app.answer(app.begin(LINK, session))
    execute(
        service.database_url,
        'UPDATE "user" SET security_version = 1, security_changed_at = clock_timestamp()',
    )
    assert problem(app.post(answer, LINK, session)) == CHALLENGE


def test_requests_from_other_sites_are_refused(client: httpx.Client, app: App) -> None:
    evil = {"Origin": "https://evil.example"}
    for path in (LOG_IN, f"{LOG_IN}/callback", f"{LOG_IN}/id-token", "/signup/oidc"):
        response = client.post(path, json={}, headers=evil)
        assert problem(response) == (403, "origin_rejected")
