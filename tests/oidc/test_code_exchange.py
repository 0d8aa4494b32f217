"""A code is redeemed at the token endpoint (RFC 6749, sections 4.1.3 and 5)."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import pytest

from service.auth.errors import InvalidChallenge
from service.auth.oidc.client import ProviderClient
from service.auth.oidc.flow import Flow
from tests.oidc.conftest import (
    FLOW,
    NONCE,
    Connect,
    Events,
    assert_refused,
    assert_unavailable,
    log_in,
)
from tests.oidc.stub_provider import CLIENT_SECRET, DISCOVERY, FORM, TOKEN, StubProvider
from tests.oidc.stub_server import Answer

BASIC, POST = "client_secret_basic", "client_secret_post"


async def test_a_code_is_redeemed_by_the_flow_that_it_was_given_to(
    stub: StubProvider, client: ProviderClient
) -> None:
    answer = stub.log_in(await client.authorization_url(FLOW), sub="7")
    assert answer["state"] == FLOW.state
    assert (await client.redeem(answer["code"], FLOW)).subject == "7"
    assert stub.token_requests == [
        {
            "grant_type": "authorization_code",
            "code": answer["code"],
            "redirect_uri": FLOW.redirect_uri,
            "code_verifier": FLOW.verifier,
        }
    ]


@pytest.mark.parametrize("field", ["verifier", "redirect_uri"])
async def test_a_code_of_another_flow_is_refused(
    stub: StubProvider, client: ProviderClient, field: str
) -> None:
    fields = {name: getattr(FLOW, name) for name in ("state", "nonce", "verifier", "redirect_uri")}
    other = Flow(**{**fields, field: "https://app.example/other"})
    answer = stub.log_in(await client.authorization_url(other), sub="7")
    await assert_refused(client.redeem(answer["code"], FLOW))


async def test_a_code_is_redeemed_once(stub: StubProvider, client: ProviderClient) -> None:
    code = stub.code_for(nonce=NONCE)
    assert (await client.redeem(code, FLOW)).subject == "7"
    await assert_refused(client.redeem(code, FLOW))


@pytest.mark.parametrize("secret", [CLIENT_SECRET, "é:+&= %", "a" * 300])
@pytest.mark.parametrize("methods", [None, [BASIC], [BASIC, POST], ["private_key_jwt", POST]])
async def test_the_client_authenticates_by_a_method_that_the_provider_has(
    stub: StubProvider, connect: Connect, secret: str, methods: list[str] | None
) -> None:
    stub.client_secret = secret
    if methods is not None:
        stub.metadata["token_endpoint_auth_methods_supported"] = methods
    assert (await log_in(connect(), stub)).subject == "7"
    assert ("client_secret" in stub.token_requests[0]) == (POST in (methods or []))


async def test_client_id_and_secret_are_encoded_in_a_header(
    stub: StubProvider, connect: Connect
) -> None:
    """RFC 6749, section 2.3.1: a colon in either one is no separator."""
    stub.client_secret = "a:b"
    await assert_unavailable(log_in(connect(client_ids="a:b+c"), stub))
    (request,) = [each for each in stub.requests if each.path == TOKEN]
    encoded = request.headers["authorization"].removeprefix("Basic ")
    assert b64decode(encoded) == b"a%3Ab%2Bc:a%3Ab"


async def test_a_provider_without_a_method_of_ours_gets_no_secret(
    stub: StubProvider, client: ProviderClient, events: Events
) -> None:
    stub.metadata["token_endpoint_auth_methods_supported"] = ["private_key_jwt"]
    await assert_unavailable(log_in(client, stub))
    assert stub.token_requests == []
    assert events[0]["event"] == "oidc_client_refused"


async def test_a_public_client_names_itself(stub: StubProvider, connect: Connect) -> None:
    stub.client_secret = ""
    assert (await log_in(connect(), stub)).subject == "7"
    assert stub.token_requests[0]["client_id"] == "web"
    assert "authorization" not in stub.requests[-2].headers


@pytest.mark.parametrize("status", [200, 400, 401])
@pytest.mark.parametrize(
    "error", ["invalid_grant", "invalid_request", "access_denied", "bad_verification_code"]
)
async def test_a_refused_code_proves_nothing(
    stub: StubProvider, client: ProviderClient, events: Events, status: int, error: str
) -> None:
    """Whatever comes with the error; some providers send it with status 200."""
    document = {"error": error, "error_description": "\x1b[31m", "id_token": stub.id_token(NONCE)}
    stub.answers[TOKEN] = Answer(document=document, status=status)
    await assert_refused(client.redeem("code", FLOW))
    (event,) = events
    assert (event["event"], event["log_level"]) == ("oidc_proof_refused", "info")
    assert error in event["reason"]
    assert "\x1b" not in str(event)


@pytest.mark.parametrize(
    "error", ["invalid_client", "unauthorized_client", "redirect_uri_mismatch", "\x1b[31m\nno"]
)
async def test_a_refused_client_is_the_mistake_of_the_operator(
    stub: StubProvider, client: ProviderClient, events: Events, error: str
) -> None:
    document = {"error": error, "error_description": "AADSTS7000215: \x1b[31m\n" + "a" * 1000}
    stub.answers[TOKEN] = Answer(document=document, status=401)
    await assert_unavailable(client.redeem("code", FLOW))
    (event,) = events
    assert (event["event"], event["log_level"]) == ("oidc_client_refused", "error")
    assert event["description"].startswith("AADSTS7000215: ")
    for text in (event["error"], event["description"]):
        assert text.isprintable()
        assert len(text) <= 300


@pytest.mark.parametrize(
    "answer",
    [
        Answer(document={}, status=500),
        Answer(document={"id_token": "a.b.c"}, status=500),
        Answer(document={"access_token": "a"}),
        Answer(document={"id_token": None}),
        Answer(document={"id_token": ""}),
        Answer(document={"id_token": ["a.b.c"]}),
        Answer(document=["a.b.c"]),
        Answer(text="<html>", headers={"Content-Type": "text/html"}),
        Answer(text="id_token=", headers={"Content-Type": FORM}),
        Answer(text=b"id_token=\xff", headers={"Content-Type": FORM}),
        Answer(text="error=invalid_grant" + "&a=1" * 100, headers={"Content-Type": FORM}),
    ],
    ids=lambda answer: str((answer.status, answer.body[:30])),
)
async def test_an_answer_without_an_id_token_is_the_fault_of_the_provider(
    stub: StubProvider, client: ProviderClient, answer: Answer
) -> None:
    stub.answers[TOKEN] = answer
    await assert_unavailable(client.redeem("code", FLOW))


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("error", ["server_error", "temporarily_unavailable", "slow_down"])
async def test_a_failure_of_the_provider_is_no_mistake_of_the_operator(
    stub: StubProvider, client: ProviderClient, events: Events, status: int, error: str
) -> None:
    stub.answers[TOKEN] = Answer(document={"error": error}, status=status)
    await assert_unavailable(client.redeem("code", FLOW))
    (event,) = events
    assert (event["event"], event["log_level"]) == ("oidc_provider_failed", "warning")
    assert error in event["reason"]


@pytest.mark.parametrize("error", [None, "", 7, ["invalid_grant"]], ids=str)
async def test_an_error_without_a_name_is_none(
    stub: StubProvider, client: ProviderClient, error: object
) -> None:
    stub.answers[TOKEN] = Answer(document={"error": error, "id_token": stub.id_token(NONCE)})
    assert (await client.redeem("code", FLOW)).subject == "7"


@pytest.mark.parametrize("media_type", [FORM, FORM.upper(), f"{FORM} ; charset=utf-8"])
async def test_an_error_may_be_a_form(
    stub: StubProvider, client: ProviderClient, media_type: str
) -> None:
    headers = {"Content-Type": media_type}
    stub.answers[TOKEN] = Answer(text="error=invalid_grant", headers=headers)
    await assert_refused(client.redeem("code", FLOW))


async def test_the_log_tells_of_a_form_that_cannot_be_read(
    stub: StubProvider, client: ProviderClient, events: Events
) -> None:
    stub.answers[TOKEN] = Answer(text=b"id_token=\xff", headers={"Content-Type": FORM})
    await assert_unavailable(client.redeem("code", FLOW))
    assert [each["reason"] for each in events] == ["the answer of the token endpoint is no form"]


@pytest.mark.parametrize("code", ["a b&c=d", "a" * 10_000])
async def test_an_unknown_code_is_refused(client: ProviderClient, code: str) -> None:
    await assert_refused(client.redeem(code, FLOW))


@pytest.mark.parametrize("code", ["", "é", "a\0", "a\n", "\ud800"])
async def test_a_text_that_is_no_code_is_refused_without_the_provider(
    stub: StubProvider, client: ProviderClient, code: str
) -> None:
    await assert_refused(client.redeem(code, FLOW))
    assert stub.token_requests == []


async def test_no_secret_is_logged_or_shown(
    stub: StubProvider, client: ProviderClient, events: Events
) -> None:
    code = stub.code_for(nonce="another")
    token = stub.id_token("another")
    await assert_refused(client.redeem(code, FLOW))
    await assert_refused(client.read_id_token(token, NONCE))
    stub.answers[TOKEN] = Answer(status=500)
    await assert_unavailable(client.redeem(code, FLOW))
    shown = f"{events} {FLOW} {client.provider} {client.__dict__}"
    secrets = (code, token, CLIENT_SECRET, FLOW.state, FLOW.nonce, FLOW.verifier)
    assert [each for each in secrets if each in shown] == []


@pytest.mark.parametrize("is_announced", [True, False, None])
async def test_the_issuer_of_an_answer(
    stub: StubProvider, client: ProviderClient, *, is_announced: bool | None
) -> None:
    """RFC 9207, section 2.4."""
    if is_announced is not None:
        stub.metadata["authorization_response_iss_parameter_supported"] = is_announced
    await client.require_issuer(stub.issuer)
    for other in (f"{stub.issuer}/", stub.issuer.upper(), "https://other.example", ""):
        await assert_not_from(client, other)
    if is_announced:
        await assert_not_from(client, None)
    else:
        await client.require_issuer(None)


async def test_a_provider_of_which_the_settings_say_that_it_names_itself(
    stub: StubProvider, connect: Connect
) -> None:
    client = connect(sends_iss="true")
    await assert_not_from(client, None)
    await client.require_issuer(stub.issuer)
    assert stub.requests == []


async def test_whether_an_answer_names_its_issuer_may_not_be_known(
    stub: StubProvider, client: ProviderClient
) -> None:
    stub.answers[DISCOVERY] = Answer(status=500)
    await assert_unavailable(client.require_issuer(None))


async def assert_not_from(client: ProviderClient, iss: Any) -> None:
    with pytest.raises(InvalidChallenge):
        await client.require_issuer(iss)
