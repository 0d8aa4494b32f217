"""An endpoint that codes need is down: nobody waits for it whom the one before could warn."""

from __future__ import annotations

import asyncio
from threading import Event

import pytest

from service.auth.oidc import cached
from service.auth.oidc.client import ProviderClient
from tests.oidc.conftest import (
    FLOW,
    NONCE,
    Connect,
    Events,
    Pass,
    assert_refused,
    assert_unavailable,
    log_in,
)
from tests.oidc.stub_provider import GITHUB_TOKEN, GITHUB_USER, KEYS, TOKEN, StubProvider
from tests.oidc.stub_server import Answer
from tests.services import wait_for


@pytest.fixture
def github(connect: Connect) -> ProviderClient:
    return connect(preset="github")


async def fail(client: ProviderClient, stub: StubProvider, path: str = TOKEN) -> None:
    """Have an endpoint fail once; from then on it would answer."""
    stub.answers[path] = Answer(text="", headers={"Content-Encoding": "gzip"})
    await assert_unavailable(client.redeem(stub.code_for_account(id=7), FLOW))
    del stub.answers[path]


async def test_no_code_is_sent_to_a_token_endpoint_that_has_just_failed(
    stub: StubProvider, client: ProviderClient, events: Events
) -> None:
    await fail(client, stub)
    for _ in range(3):
        await assert_unavailable(log_in(client, stub))
    assert stub.count(TOKEN) == 1
    assert [each["event"] for each in events] == ["oidc_provider_failed"]


async def test_no_flow_begins_meanwhile(
    stub: StubProvider, client: ProviderClient, pass_time: Pass
) -> None:
    await fail(client, stub)
    await assert_unavailable(client.authorization_url(FLOW))
    pass_time(cached.FAILURE_LIFETIME)
    assert await client.authorization_url(FLOW)


async def test_a_token_endpoint_comes_back(
    stub: StubProvider, client: ProviderClient, pass_time: Pass
) -> None:
    await fail(client, stub)
    pass_time(cached.FAILURE_LIFETIME)
    assert (await log_in(client, stub)).subject == "7"


async def test_an_answer_ends_the_outage_at_once(
    stub: StubProvider, client: ProviderClient
) -> None:
    """Of a request that was sent before the failure."""
    held = Event()
    token = stub.id_token(NONCE)
    stub.answers[TOKEN] = Answer(document={"id_token": token}, held_until=held)
    waiting = asyncio.create_task(client.redeem("code", FLOW))
    await asyncio.to_thread(wait_for, lambda: stub.count(TOKEN), "the request has come")
    await fail(client, stub)
    await assert_unavailable(log_in(client, stub))
    held.set()
    assert (await waiting).subject == "7"
    assert (await log_in(client, stub)).subject == "7"


async def test_a_token_endpoint_that_is_not_there(
    stub: StubProvider, client: ProviderClient
) -> None:
    stub.metadata["token_endpoint"] = "http://127.0.0.1:1/token"
    await assert_unavailable(log_in(client, stub))
    await assert_unavailable(client.authorization_url(FLOW))


@pytest.mark.usefixtures("hurry")
async def test_a_token_endpoint_that_does_not_answer_in_time(
    stub: StubProvider, client: ProviderClient
) -> None:
    stub.answers[TOKEN] = Answer(drips=True)
    await assert_unavailable(client.redeem("code", FLOW))
    await assert_unavailable(client.redeem("code", FLOW))
    await assert_unavailable(client.authorization_url(FLOW))
    assert stub.count(TOKEN) == 1


@pytest.mark.parametrize(
    "answer",
    [
        Answer(document={"error": "temporarily_unavailable"}, status=400),
        Answer(document={"error": "invalid_client"}, status=401),
        Answer(text="<html>", status=404),
        Answer(text="<html>", status=429),
        Answer(text="<html>", status=500),
        Answer(document={"error": "server_error"}, status=503),
    ],
    ids=lambda answer: str(answer.status),
)
async def test_a_refusal_is_no_outage(
    stub: StubProvider, client: ProviderClient, answer: Answer
) -> None:
    """Whoever sends something else than a code could cause it."""
    stub.answers[TOKEN] = answer
    await assert_unavailable(client.redeem("code", FLOW))
    del stub.answers[TOKEN]
    await assert_refused(client.redeem("another", FLOW))
    assert (await log_in(client, stub)).subject == "7"


async def test_a_client_that_goes_away_is_no_outage(
    stub: StubProvider, client: ProviderClient
) -> None:
    held = Event()
    stub.answers[TOKEN] = Answer(status=500, held_until=held)
    waiting = asyncio.create_task(client.redeem("code", FLOW))
    await asyncio.to_thread(wait_for, lambda: stub.count(TOKEN), "the request has come")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    held.set()
    del stub.answers[TOKEN]
    assert (await log_in(client, stub)).subject == "7"


@pytest.mark.usefixtures("hurry")
async def test_keys_that_do_not_come_are_no_outage_of_the_token_endpoint(
    stub: StubProvider, client: ProviderClient
) -> None:
    stub.answers[KEYS] = Answer(drips=True)
    await assert_unavailable(log_in(client, stub))
    assert await client.authorization_url(FLOW)


async def test_id_tokens_of_native_apps_need_no_token_endpoint(
    stub: StubProvider, client: ProviderClient
) -> None:
    await fail(client, stub)
    assert (await client.read_id_token(stub.id_token(NONCE), NONCE)).subject == "7"


@pytest.mark.parametrize("path", [GITHUB_TOKEN, GITHUB_USER])
async def test_no_code_is_sent_to_a_github_that_has_just_failed(
    stub: StubProvider, github: ProviderClient, path: str, pass_time: Pass
) -> None:
    await fail(github, stub, path)
    await assert_unavailable(github.redeem(stub.code_for_account(id=7), FLOW))
    await assert_unavailable(github.authorization_url(FLOW))
    assert stub.count(GITHUB_TOKEN) == 1
    pass_time(cached.FAILURE_LIFETIME)
    assert await github.authorization_url(FLOW)
    assert (await github.redeem(stub.code_for_account(id=7), FLOW)).subject == "7"
