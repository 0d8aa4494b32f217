"""Log-in with an account at a provider: whose it is, and which sessions it opens."""

from __future__ import annotations

import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.databases import execute, fetch_value, held, wait_for_lock_waiters
from tests.factories import COOKIE, moment, sign_up
from tests.flows.test_nothing_usable_at_rest import dump, forms_of
from tests.identities.conftest import (
    CALLBACK,
    CHALLENGE,
    LOG_IN,
    NATIVE_CALLBACK,
    NEEDED,
    App,
    environment_for,
    exchanges,
    methods_of,
    problem,
    session_of,
    url_of,
)
from tests.oidc.stub_provider import (
    ACCESS_TOKEN,
    CLIENT_SECRET,
    REFRESH_TOKEN,
    StubProvider,
    running_stub,
)
from tests.service_pool import ServicePool
from tests.services import NO_LIMITS, Service

COUNT_USERS = 'SELECT count(*) FROM "user"'
COUNT_KEYS = "SELECT count(*) FROM key"
COUNT_IDENTITIES = "SELECT count(*) FROM identity"


def test_a_linked_account_logs_its_user_in(app: App) -> None:
    user = app.sign_up(username="Alice").json()["user"]
    response = app.log_in()
    assert response.status_code == 200
    assert response.json()["user"] == user
    assert methods_of(response) == ["oidc:stub"]


def test_the_session_comes_in_a_cookie_unless_asked_otherwise(app: App) -> None:
    app.sign_up()
    answer = app.answer(app.begin())
    del answer["transport"]
    response = app.post(answer)
    assert COOKIE in response.cookies
    assert "token" not in response.json()["session"]
    assert app.client.get("/me").status_code == 200


def test_the_url_asks_for_what_the_flow_needs(app: App, provider: StubProvider) -> None:
    response = app.client.post(LOG_IN, json={"redirect_uri": CALLBACK})
    url, begun = url_of(response), response.json()
    asked = dict(url.params)
    assert str(url).startswith(provider.issuer)
    assert asked["response_type"] == "code"
    assert asked["client_id"] == "web"
    assert asked["redirect_uri"] == CALLBACK
    assert asked["state"] == begun["state"]
    assert asked["nonce"] == begun["nonce"]
    assert asked["code_challenge_method"] == "S256"
    assert "openid" in asked["scope"].split()


def test_the_code_is_exchanged_with_the_verifier_and_the_redirect_uri_of_the_flow(
    app: App, provider: StubProvider
) -> None:
    app.sign_up()
    provider.requests.clear()
    response = app.client.post(LOG_IN, json={"redirect_uri": CALLBACK})
    app.post(app.answer(response.json()))
    (sent,) = exchanges(provider)
    challenge = dict(url_of(response).params)["code_challenge"]
    digest = hashlib.sha256(sent["code_verifier"].encode()).digest()
    assert base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == challenge
    assert sent["redirect_uri"] == CALLBACK


def test_the_redirect_uri_of_the_callback_does_not_count(app: App, provider: StubProvider) -> None:
    app.sign_up()
    provider.requests.clear()
    answer = app.answer(app.begin()) | {"redirect_uri": "https://evil.example/callback"}
    assert app.post(answer).status_code == 200
    assert exchanges(provider)[0]["redirect_uri"] == CALLBACK


@pytest.mark.parametrize(
    "uri",
    [
        f"{CALLBACK}/",
        f"{CALLBACK}?x=1",
        f"{CALLBACK}#f",
        "https://app.example.com.evil.example/callback",
        "http://localhost:51234/callback",
        "javascript:alert(1)",
        "",
    ],
)
def test_another_redirect_uri_is_refused(app: App, uri: str) -> None:
    response = app.client.post(LOG_IN, json={"redirect_uri": uri})
    assert problem(response) == (400, "validation_failed")
    assert response.json()["errors"][0]["field"] == "redirect_uri"


@pytest.mark.parametrize("uri", [NATIVE_CALLBACK, "http://127.0.0.1:51234/callback"])
def test_apps_may_use_their_scheme_and_any_port_of_the_device(app: App, uri: str) -> None:
    response = app.client.post(LOG_IN, json={"redirect_uri": uri, "client": "native"})
    assert response.status_code == 200


def test_an_unknown_provider_is_404(app: App) -> None:
    begun = app.client.post("/login/oidc/other", json={"redirect_uri": CALLBACK})
    assert begun.status_code == 404
    body = {"state": "x", "code": "y"}
    assert app.client.post("/login/oidc/other/callback", json=body).status_code == 404


def test_without_providers_there_are_no_such_log_ins(services: ServicePool) -> None:
    with services.service().client() as client:
        assert client.post(LOG_IN, json={"redirect_uri": CALLBACK}).status_code == 404


def test_parameters_that_providers_add_are_ignored(app: App) -> None:
    app.sign_up()
    added = {"scope": "openid", "authuser": "0", "hd": "example.com", "session_state": {"a": [1]}}
    assert app.post(app.answer(app.begin()) | added).status_code == 200


def test_a_callback_without_a_code_is_400(app: App) -> None:
    response = app.post({"state": app.begin()["state"]})
    assert problem(response) == (400, "validation_failed")


def test_the_error_of_a_provider_is_named_and_ends_the_flow(
    app: App, provider: StubProvider
) -> None:
    app.sign_up()
    begun = app.begin()
    refused = {"state": begun["state"], "error": "access_denied", "error_description": "<b>no"}
    response = app.post(refused)
    assert problem(response) == (400, "provider_refused")
    assert response.json()["error"] == "access_denied"
    assert "<b>" not in response.text
    provider.requests.clear()
    assert problem(app.post(app.answer(begun))) == CHALLENGE
    assert exchanges(provider) == []


def test_an_error_that_is_no_name_is_not_repeated(app: App, service: Service) -> None:
    text = "<script>alert(1)</script>"
    response = app.post({"state": app.begin()["state"], "error": text})
    assert response.json()["error"] == "unknown_error"
    assert "<script>" not in response.text + service.logged()


def test_an_answer_that_names_another_issuer_is_refused_and_burns_nothing(
    app: App, provider: StubProvider
) -> None:
    """RFC 9207: a code that was mixed up is never sent to the wrong provider."""
    app.sign_up()
    answer = app.answer(app.begin())
    provider.requests.clear()
    for issuer in ("https://evil.example", f"{provider.issuer}/", provider.issuer.upper()):
        assert problem(app.post(answer | {"iss": issuer})) == CHALLENGE
    assert exchanges(provider) == []
    assert app.post(answer | {"iss": provider.issuer}).status_code == 200


def test_an_account_is_known_by_issuer_and_subject(app: App, services: ServicePool) -> None:
    first = app.sign_up().json()["user"]["id"]
    with running_stub() as another:
        moved = services.service({**NO_LIMITS, **environment_for(another)})
        with moved.client() as client:
            app = App(client=client, provider=another)
            response = app.log_in()
            assert problem(response) == NEEDED
            assert app.sign_up().json()["user"]["id"] != first


def test_two_providers_with_one_issuer_have_the_same_accounts(
    provider: StubProvider, services: ServicePool
) -> None:
    environment = environment_for(provider) | {
        name.replace("STUB", "SECOND"): value for name, value in environment_for(provider).items()
    }
    for name in environment:
        if name.endswith("REDIRECT_URIS"):
            environment[name] = f"https://{name.split('_')[2].lower()}.example.com/callback"
    service = services.service({**NO_LIMITS, **environment})
    with service.client() as client:
        app = App(client=client, provider=provider)
        begun = app.begin(redirect_uri="https://stub.example.com/callback")
        needed = app.post(app.answer(begun)).json()
        body = {"challenge_token": needed["challenge_token"], "transport": "bearer"}
        user = client.post("/signup/oidc", json=body).json()["user"]
        path = "/login/oidc/second"
        begun = app.begin(path, redirect_uri="https://second.example.com/callback")
        response = client.post(f"{path}/callback", json=app.answer(begun))
        assert response.json()["user"] == user
        assert methods_of(response) == ["oidc:second"]


def test_a_log_in_replaces_the_session_that_the_request_carries(app: App) -> None:
    app.sign_up()
    former = session_of(app.log_in())
    answer = app.answer(app.begin())
    app.client.post(f"{LOG_IN}/callback", json=answer, headers=former)
    assert app.client.get("/me", headers=former).status_code == 401


def test_two_log_ins_at_once_with_one_account_open_a_session_each(
    app: App, service: Service
) -> None:
    """Each one sees that the account was used meanwhile, which is no other account."""
    app.sign_up()
    answers = [app.answer(app.begin()) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        with held(service.database_url, 'SELECT FROM "user" FOR UPDATE'):
            posted = [pool.submit(app.post, answer) for answer in answers]
            wait_for_lock_waiters(service.database_url, 2)
        assert [each.result().status_code for each in posted] == [200, 200]


def test_a_disabled_user_is_told_after_the_proof(app: App, service: Service) -> None:
    app.sign_up()
    execute(service.database_url, 'UPDATE "user" SET disabled_at = now()')
    assert problem(app.log_in()) == (403, "account_disabled")
    assert fetch_value(service.database_url, "SELECT count(*) FROM session") == 1


def test_a_log_in_is_in_the_audit_trail(app: App, service: Service) -> None:
    app.sign_up()
    app.log_in()
    assert service.logged().count("logged_in") == 1


def test_neither_codes_nor_tokens_are_logged(app: App, service: Service) -> None:
    app.sign_up()
    begun = app.begin()
    answer = app.answer(begun)
    app.post(answer)
    app.post(answer)
    logged = service.logged()
    for secret in (answer["code"], begun["state"], begun["nonce"], CLIENT_SECRET):
        assert secret not in logged


def test_neither_codes_nor_tokens_of_a_provider_are_kept_or_passed_on(
    client: httpx.Client, app: App, service: Service
) -> None:
    """Neither in the end nor on the way: a sign-up waits for the user, a link is a change."""
    found = []

    def look(response: httpx.Response) -> None:
        found.append(f"{response.read().decode()}{response.headers!r}{dump(service.database_url)}")

    client.event_hooks["response"].append(look)
    signed_up = app.sign_up()
    assert app.link(session_of(signed_up), "8").status_code == 200
    assert app.log_in("8").status_code == 200
    native = App(client=client, provider=app.provider, is_native=True)
    body = id_token_body(native, native.begin())
    assert client.post(f"{LOG_IN}/id-token", json=body).status_code == 200
    client.event_hooks["response"].remove(look)

    assert app.provider.issuer in found[-1]
    codes = [sent["code"] for sent in exchanges(app.provider)]
    assert len(codes) == 3
    # "eyJ" begins every ID token.
    for secret in (*codes, ACCESS_TOKEN, REFRESH_TOKEN, CLIENT_SECRET, "eyJ"):
        for form in {secret} if secret == "eyJ" else {*forms_of(secret)}:
            assert not [each for each in found if form in each]


def test_a_native_app_logs_in_by_its_flow_secret(client: httpx.Client, app: App) -> None:
    app.sign_up()
    client.cookies.clear()
    native = App(client=client, provider=app.provider, is_native=True)
    begun = native.begin()
    assert len(client.cookies) == 0
    assert native.post(native.answer(begun)).status_code == 200


def test_the_flow_secret_of_another_flow_does_not_count(client: httpx.Client, app: App) -> None:
    app.sign_up()
    native = App(client=client, provider=app.provider, is_native=True)
    first, second = native.begin(), native.begin()
    stolen = native.answer(first) | {"flow_secret": second["flow_secret"]}
    assert problem(native.post(stolen)) == CHALLENGE
    del stolen["flow_secret"]
    assert problem(native.post(stolen)) == CHALLENGE
    assert native.post(native.answer(first)).status_code == 200


def id_token_body(app: App, begun: dict[str, Any], **claims: Any) -> dict[str, Any]:
    token = app.provider.id_token(nonce=begun["nonce"], **{"sub": "7", "aud": "ios"} | claims)
    body = {"id_token": token, "state": begun["state"], "transport": "bearer"}
    return body | ({"flow_secret": begun["flow_secret"]} if app.is_native else {})


def test_an_sdk_logs_in_by_its_id_token(client: httpx.Client, app: App) -> None:
    app.sign_up()
    native = App(client=client, provider=app.provider, is_native=True)
    body = id_token_body(native, native.begin())
    response = client.post(f"{LOG_IN}/id-token", json=body)
    assert methods_of(response) == ["oidc:stub"]


def test_an_id_token_counts_once(client: httpx.Client, app: App) -> None:
    app.sign_up()
    native = App(client=client, provider=app.provider, is_native=True)
    body = id_token_body(native, native.begin())
    assert client.post(f"{LOG_IN}/id-token", json=body).status_code == 200
    assert problem(client.post(f"{LOG_IN}/id-token", json=body)) == CHALLENGE


def test_an_id_token_with_a_nonce_of_another_flow_is_refused(
    client: httpx.Client, app: App
) -> None:
    app.sign_up()
    native = App(client=client, provider=app.provider, is_native=True)
    first, second = native.begin(), native.begin()
    body = id_token_body(native, second) | {
        "id_token": id_token_body(native, first)["id_token"],
    }
    response = client.post(f"{LOG_IN}/id-token", json=body)
    assert problem(response) == (401, "invalid_credentials")


def test_times_of_use_are_kept(app: App, service: Service) -> None:
    session = session_of(app.sign_up())
    execute(service.database_url, "UPDATE identity SET last_used_at = NULL")
    app.log_in()
    (identity,) = app.identities(session)
    assert moment(identity["last_used_at"]) > moment(identity["created_at"])


def test_the_time_of_use_is_that_of_one_account(app: App) -> None:
    first, second = (session_of(app.sign_up(subject)) for subject in ("1", "2"))
    (before,), (other,) = app.identities(first), app.identities(second)
    assert moment(before["last_used_at"]) >= moment(before["created_at"])
    app.log_in("2")
    assert app.identities(first) == [before]
    assert app.identities(second) != [other]


def test_nothing_is_made_for_an_account_that_nobody_has_linked(app: App, service: Service) -> None:
    sign_up(app.client)
    app.client.cookies.clear()
    assert problem(app.log_in()) == NEEDED
    assert fetch_value(service.database_url, COUNT_USERS) == 1
    assert fetch_value(service.database_url, COUNT_IDENTITIES) == 0
    assert fetch_value(service.database_url, COUNT_KEYS) == 1
