"""What is fetched from a provider: its configuration and its keys, and within which limits."""

from __future__ import annotations

import asyncio
import ssl
from functools import partial
from itertools import count
from threading import Event
from typing import Any

import msgspec
import pytest

from service.auth.errors import AccountNotProven, ProviderUnavailable
from service.auth.oidc import cached, failures, fetching
from service.auth.oidc.cached import Cached
from service.auth.oidc.client import ProviderClient
from service.auth.oidc.failures import FetchFailed
from service.auth.oidc.fetching import MAX_CONNECTIONS, MAX_SIZE, Fetcher
from service.auth.oidc.providers import Providers
from service.settings.variables import read_settings
from tests.oidc.conftest import (
    FLOW,
    Connect,
    Events,
    Pass,
    assert_refused,
    assert_unavailable,
    log_in,
)
from tests.oidc.stub_provider import (
    DISCOVERY,
    GITHUB_TOKEN,
    KEYS,
    TOKEN,
    StubProvider,
    public,
    rsa_key,
)
from tests.oidc.stub_server import Answer
from tests.services import PATIENCE, UNUSED_TLS, wait_for


async def test_nothing_is_fetched_before_somebody_logs_in(
    stub: StubProvider, client: ProviderClient
) -> None:
    assert client.provider.issuer == stub.issuer
    assert stub.requests == []


async def test_documents_are_fetched_once(stub: StubProvider, client: ProviderClient) -> None:
    for _ in range(3):
        await client.authorization_url(FLOW)
        await log_in(client, stub)
    assert (stub.count(DISCOVERY), stub.count(KEYS), stub.count(TOKEN)) == (1, 1, 3)


async def test_all_who_need_a_document_wait_for_one_fetch(
    stub: StubProvider, client: ProviderClient
) -> None:
    """Also if the one that began it gives up."""
    held = Event()
    stub.answers[DISCOVERY] = Answer(document=stub.metadata, held_until=held)
    first, *others = [asyncio.create_task(client.authorization_url(FLOW)) for _ in range(50)]
    await asyncio.to_thread(wait_for, lambda: stub.requests, "the request has come")
    first.cancel()
    held.set()
    assert len({*await asyncio.gather(*others)}) == 1
    assert stub.count(DISCOVERY) == 1


@pytest.mark.parametrize("path", [DISCOVERY, KEYS])
async def test_an_old_document_is_fetched_anew(
    stub: StubProvider, client: ProviderClient, pass_time: Pass, path: str
) -> None:
    await log_in(client, stub)
    pass_time(cached.LIFETIME)
    await log_in(client, stub)
    assert stub.count(path) == 2


async def test_a_newer_document_serves_all_who_ask_for_one() -> None:
    """Also who has begun to ask before it was there, and is told so after the minute has begun."""
    numbers = count()

    async def fetch() -> list[int]:
        return [next(numbers)]

    document = Cached("stub", fetch)
    old = await document.get()
    newer = await document.newer_than(old)
    assert (old, newer) == ([0], [1])
    assert await document.newer_than(old) is newer
    assert await document.newer_than(newer) is newer
    assert await document.get() is newer


async def test_a_key_that_is_withdrawn_stops_counting(
    stub: StubProvider, client: ProviderClient, pass_time: Pass
) -> None:
    await log_in(client, stub)
    stub.key_set = [public(rsa_key("second"), kid="second")]
    pass_time(cached.LIFETIME)
    await assert_refused(log_in(client, stub))


@pytest.mark.parametrize(
    "answer",
    [Answer(status=500), Answer(document={}), Answer(document={"issuer": "https://a.example"})],
    ids=["status", "document", "issuer"],
)
async def test_an_old_document_serves_if_it_cannot_be_fetched_anew(
    stub: StubProvider,
    client: ProviderClient,
    pass_time: Pass,
    answer: Answer,
) -> None:
    await client.authorization_url(FLOW)
    pass_time(cached.LIFETIME)
    stub.answers[DISCOVERY] = answer
    for _ in range(3):
        await client.authorization_url(FLOW)
    assert stub.count(DISCOVERY) == 2


async def test_an_old_document_serves_the_request_that_waits_for_a_new_one(
    stub: StubProvider, client: ProviderClient, monkeypatch: pytest.MonkeyPatch, pass_time: Pass
) -> None:
    await client.authorization_url(FLOW)
    pass_time(cached.LIFETIME)
    monkeypatch.setattr(cached, "REFRESH_LIMIT", 0.1)
    monkeypatch.setattr(failures, "TIME_LIMIT", 5)
    stub.answers[DISCOVERY] = Answer(drips=True)
    await client.authorization_url(FLOW)


async def test_a_provider_that_is_down_costs_nobody_any_time_and_comes_back(
    stub: StubProvider,
    client: ProviderClient,
    events: Events,
    pass_time: Pass,
) -> None:
    stub.answers[DISCOVERY] = Answer(status=503)
    for _ in range(5):
        await assert_unavailable(client.authorization_url(FLOW))
    assert stub.count(DISCOVERY) == 1
    (event,) = events
    assert event["event"] == "oidc_provider_failed"
    assert event["reason"] == f"{stub.issuer}{DISCOVERY} has status 503"
    del stub.answers[DISCOVERY]
    pass_time(cached.FAILURE_LIFETIME)
    assert await client.authorization_url(FLOW)


async def test_the_failure_of_a_document_that_another_needs_is_logged_once(
    stub: StubProvider, client: ProviderClient, events: Events
) -> None:
    stub.answers[DISCOVERY] = Answer(status=503)
    await assert_unavailable(client.read_id_token(stub.id_token(FLOW.nonce), FLOW.nonce))
    assert [each["event"] for each in events] == ["oidc_provider_failed"]


async def test_a_fetch_without_an_answer_in_time_is_logged_and_remembered(
    events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetches = count()

    async def fetch() -> None:
        next(fetches)
        await asyncio.Event().wait()

    monkeypatch.setattr(cached, "TIME_LIMIT", 0)
    document = Cached("stub", fetch)
    for _ in range(3):
        with pytest.raises(FetchFailed, match="no answer in time"):
            await document.get()
    assert next(fetches) == 1
    assert [each["reason"] for each in events] == ["no answer in time"]


@pytest.mark.parametrize("path", [DISCOVERY, KEYS, TOKEN])
@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=302, headers={"Location": "/elsewhere"}),
        Answer(status=307, headers={"Location": "/elsewhere"}),
        Answer(text="null"),
        Answer(text='{"a":' + "[" * 100_000),
        Answer(text=b"\xff"),
        Answer(text=b'{"issuer":"\xff","keys":[{"kty":"\xff"}]}'),
        Answer(text=""),
    ],
    ids=["302", "307", "null", "deep", "no UTF-8", "no UTF-8 in a text", "empty"],
)
async def test_an_answer_that_cannot_be_used(
    stub: StubProvider, client: ProviderClient, path: str, answer: Answer
) -> None:
    stub.answers[path] = answer
    stub.answers["/elsewhere"] = Answer(document=stub.metadata)
    await assert_unavailable(log_in(client, stub))
    assert stub.count("/elsewhere") == 0


@pytest.mark.parametrize("path", [DISCOVERY, KEYS, TOKEN])
@pytest.mark.parametrize(
    ("answer", "is_usable"),
    [
        (Answer(), True),
        (Answer(text=" " * (MAX_SIZE // 2)), True),
        (Answer(text=" " * MAX_SIZE), False),
        (Answer(headers={"Content-Encoding": "Identity"}), True),
        (Answer(headers={"Content-Encoding": "gzip"}), False),
        (Answer(status=404), False),
    ],
    ids=["usual", "long", "too long", "not compressed", "compressed", "status"],
)
async def test_a_document_that_would_be_right(
    stub: StubProvider, client: ProviderClient, path: str, answer: Answer, *, is_usable: bool
) -> None:
    """Whatever it says, it is short, not compressed, and has status 200."""
    token = stub.id_token(FLOW.nonce)
    document = {"keys": stub.key_set, "id_token": token, **stub.metadata}
    body = msgspec.json.encode(document) + str(answer.text or "").encode()
    stub.answers[path] = Answer(text=body, status=answer.status, headers=answer.headers)
    if is_usable:
        assert (await log_in(client, stub)).subject == "7"
    else:
        await assert_unavailable(log_in(client, stub))


@pytest.mark.usefixtures("hurry")
@pytest.mark.parametrize("path", [DISCOVERY, KEYS, TOKEN])
async def test_a_provider_that_drips_has_its_time(
    stub: StubProvider, client: ProviderClient, events: Events, path: str
) -> None:
    stub.answers[path] = Answer(drips=True)
    await assert_unavailable(log_in(client, stub))
    assert [each["reason"] for each in events] == ["no answer in time"]


@pytest.mark.usefixtures("hurry")
async def test_requests_to_a_provider_have_their_time_together(
    stub: StubProvider, client: ProviderClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three slow answers each alone would be in time."""
    monkeypatch.setattr(cached, "TIME_LIMIT", 60)
    for path in (DISCOVERY, KEYS):
        stub.answers[path] = Answer(document={"keys": stub.key_set} | stub.metadata, delay=0.15)
    stub.answers[TOKEN] = Answer(document={"id_token": stub.id_token(FLOW.nonce)}, delay=0.15)
    await assert_unavailable(client.redeem("code", FLOW))


async def test_a_provider_that_is_not_there_is_unavailable(
    stub: StubProvider, connect: Connect, events: Events
) -> None:
    await assert_unavailable(connect(issuer="http://127.0.0.1:1").authorization_url(FLOW))
    assert events[0]["reason"].startswith(f"http://127.0.0.1:1{DISCOVERY}: ConnectError")


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "https://other.example"},
        {"issuer": None},
        {"issuer": "{issuer}/"},
        {"issuer": "{issuer}/{tenantid}"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": "http://other.example/authorize"},
        {"authorization_endpoint": "https://other.example/authorize#fragment"},
        {"token_endpoint": "http://10.0.0.1/token"},
        {"token_endpoint": "file:///etc/passwd"},
        {"token_endpoint": "/token"},
        {"token_endpoint": "https://user:password@other.example/token"},
        {"token_endpoint": "https:///token"},
        {"token_endpoint": "https://other.example:port/token"},
        {"jwks_uri": "http://other.example/keys"},
        {"jwks_uri": ["https://other.example/keys"]},
        {"jwks_uri": None},
    ],
    ids=str,
)
async def test_a_configuration_that_cannot_be_right(
    stub: StubProvider, client: ProviderClient, events: Events, change: dict[str, Any]
) -> None:
    for name, text in change.items():
        stub.metadata[name] = (
            text.replace("{issuer}", stub.issuer) if isinstance(text, str) else text
        )
    await assert_unavailable(log_in(client, stub))
    assert stub.count(TOKEN) == 0
    assert events[0]["event"] == "oidc_provider_failed"


@pytest.mark.parametrize("endpoint", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
async def test_production_needs_tls_before_a_secret_is_sent(
    stub: StubProvider, connect: Connect, endpoint: str
) -> None:
    secure = {
        name: text.replace("http:", "https:")
        for name, text in stub.metadata.items()
        if name != "issuer"
    }
    insecure = stub.metadata[endpoint]
    stub.metadata |= secure
    assert await connect(is_production=True).authorization_url(FLOW)
    stub.metadata[endpoint] = insecure
    await assert_unavailable(log_in(connect(is_production=True), stub))
    assert stub.count(TOKEN) == 0


async def test_members_that_are_null_count_as_missing(
    stub: StubProvider, client: ProviderClient
) -> None:
    stub.metadata["token_endpoint_auth_methods_supported"] = None
    stub.metadata["authorization_response_iss_parameter_supported"] = None
    await client.require_issuer(None)
    assert (await log_in(client, stub)).subject == "7"


async def test_a_configuration_is_below_an_issuer_with_a_slash(
    stub: StubProvider, connect: Connect
) -> None:
    stub.metadata["issuer"] = f"{stub.issuer}/realm/"
    client = connect(issuer=f"{stub.issuer}/realm/")
    await client.authorization_url(FLOW)
    assert [each.path for each in stub.requests] == [f"/realm{DISCOVERY}"]


async def test_nothing_is_kept_between_requests(
    stub: StubProvider, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    cookie = {"Set-Cookie": "session=1; Path=/"}
    stub.answers[DISCOVERY] = Answer(document=stub.metadata, headers=cookie)
    await log_in(connect(), stub)
    names = {name for request in stub.requests for name in request.headers}
    assert {"cookie", "traceparent", "referer"} & names == set()
    assert {each.headers["accept-encoding"] for each in stub.requests} == {"identity"}
    assert {each.headers["connection"] for each in stub.requests} == {"close"}


@pytest.mark.parametrize("path", [DISCOVERY, KEYS])
async def test_a_fetch_does_not_outlive_its_client(
    stub: StubProvider, client: ProviderClient, path: str
) -> None:
    stub.answers[path] = Answer(drips=True)
    waiting = asyncio.create_task(client.read_id_token(stub.id_token(FLOW.nonce), FLOW.nonce))
    await asyncio.to_thread(wait_for, lambda: stub.count(path), "the request has come")
    waiting.cancel()
    with pytest.raises((asyncio.CancelledError, ProviderUnavailable)):
        await waiting
    fetches = [each for each in asyncio.all_tasks() if "_fetch_once" in repr(each)]
    async with asyncio.timeout(PATIENCE / 2):
        await client.close()
    assert fetches
    assert all(each.cancelled() for each in fetches)


async def test_a_connection_does_not_outlive_its_client(
    stub: StubProvider, client: ProviderClient
) -> None:
    stub.answers[TOKEN] = Answer(drips=True)
    waiting = asyncio.create_task(client.redeem("code", FLOW))
    await asyncio.to_thread(wait_for, lambda: stub.count(TOKEN), "the request has come")
    await client.close()
    async with asyncio.timeout(PATIENCE / 2):
        await assert_unavailable(waiting)


async def test_the_connections_to_all_providers_end_with_the_service(stub: StubProvider) -> None:
    second = stub.environment("SECOND", preset="github", redirect_uris="https://app.example/second")
    settings = read_settings(stub.environment() | second)
    providers = Providers(settings.oidc, is_production=False)
    stub.answers = {path: Answer(drips=True) for path in (TOKEN, GITHUB_TOKEN)}
    waiting = [
        asyncio.create_task(providers.get(name).redeem("code", FLOW)) for name in providers.names
    ]
    for path in stub.answers:
        await asyncio.to_thread(wait_for, partial(stub.count, path), "the request has come")
    await providers.close()
    async with asyncio.timeout(PATIENCE / 2):
        for each in waiting:
            await assert_unavailable(each)


async def test_an_answer_that_is_not_read_gives_its_connection_back(
    stub: StubProvider, client: ProviderClient, monkeypatch: pytest.MonkeyPatch, pass_time: Pass
) -> None:
    monkeypatch.setattr(fetching, "MAX_CONNECTIONS", 1)
    stub.answers[DISCOVERY] = Answer(headers={"Content-Encoding": "gzip"})
    await assert_unavailable(client.authorization_url(FLOW))
    del stub.answers[DISCOVERY]
    pass_time(cached.FAILURE_LIFETIME)
    async with asyncio.timeout(PATIENCE / 2):
        assert await client.authorization_url(FLOW)


async def test_authorities_are_loaded_once_for_requests_at_the_same_time(
    stub: StubProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = count()

    def load() -> ssl.SSLContext:
        next(loads)
        return UNUSED_TLS

    monkeypatch.setattr("ssl.create_default_context", load)
    fetcher = Fetcher()
    await asyncio.gather(*(fetcher.get(stub.url + KEYS) for _ in range(2)))
    await fetcher.close()
    assert next(loads) == 1


async def test_a_provider_that_hangs_has_a_number_of_connections_of_its_own(
    stub: StubProvider, connect: Connect
) -> None:
    held, client = Event(), connect()
    await log_in(client, stub)
    stub.answers[TOKEN] = Answer(status=500, held_until=held)
    waiting = [asyncio.create_task(client.redeem("code", FLOW)) for _ in range(MAX_CONNECTIONS + 5)]
    sent = partial(stub.count, TOKEN)
    await asyncio.to_thread(wait_for, lambda: sent() > MAX_CONNECTIONS, "they have come")
    del stub.answers[TOKEN]
    assert (await log_in(connect(), stub)).subject == "7"
    assert sent() == MAX_CONNECTIONS + 2
    held.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(each) for each in results} == {ProviderUnavailable, AccountNotProven}


@pytest.mark.parametrize("host", ["xn--", "xn--a", "xn--ls8h.example", "1.2.3.999"])
async def test_a_host_that_no_name_can_be_is_not_asked(
    stub: StubProvider, client: ProviderClient, host: str
) -> None:
    stub.metadata["jwks_uri"] = f"https://{host}/keys"
    await assert_unavailable(log_in(client, stub))


async def test_an_answer_in_many_pieces_keeps_nobody_waiting(
    stub: StubProvider, client: ProviderClient
) -> None:
    """Each piece takes time, and all may be there at once."""
    pieces = 10_000
    stub.answers[KEYS] = Answer(
        text=b"1\r\n \r\n" * pieces + b"0\r\n\r\n", headers={"Transfer-Encoding": "chunked"}
    )
    turns = count()

    async def take_turns() -> None:
        while True:
            next(turns)
            await asyncio.sleep(0)

    other = asyncio.create_task(take_turns())
    await assert_unavailable(log_in(client, stub))
    other.cancel()
    assert next(turns) > pieces
