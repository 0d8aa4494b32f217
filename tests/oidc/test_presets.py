"""Providers that differ from others: Google, Microsoft, Apple and GitHub."""

from __future__ import annotations

import time
from typing import Any

import httpx
import msgspec
import pytest
from joserfc import jwt

from service.auth.errors import InvalidChallenge
from service.auth.oidc import client_authentication, fetching
from service.auth.oidc.client import ProviderClient
from tests.oidc.conftest import (
    FLOW,
    NONCE,
    Connect,
    Events,
    assert_refused,
    assert_unavailable,
    log_in,
)
from tests.oidc.stub_provider import (
    ACCESS_TOKEN,
    DISCOVERY,
    FORM,
    GITHUB_TOKEN,
    GITHUB_USER,
    StubProvider,
    ec_key,
    public,
)
from tests.oidc.stub_server import Answer

TENANT = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
OTHER_TENANT = "11111111-2222-3333-4444-555555555555"

MONTHS = 7 * 30 * 24 * 3600


async def test_googles_issuer_may_lack_its_scheme(stub: StubProvider, connect: Connect) -> None:
    bare = stub.issuer.removeprefix("http://")
    stub.metadata["issuer"] = stub.issuer
    client = connect(preset="google")
    assert (await log_in(client, stub, iss=stub.issuer)).issuer == stub.issuer
    assert (await log_in(client, stub, iss=bare)).issuer == stub.issuer


@pytest.mark.parametrize("issuer", ["https://other.example", "other.example", ""])
async def test_another_issuer_is_not_google(
    stub: StubProvider, connect: Connect, issuer: str
) -> None:
    await assert_refused(log_in(connect(preset="google"), stub, iss=issuer))


@pytest.fixture
def microsoft(stub: StubProvider) -> dict[str, str]:
    """Return the settings of a Microsoft, whose issuer has the tenant in it."""
    template = f"{stub.url}/{{tenantid}}/v2.0"
    stub.metadata["issuer"] = template
    return {"preset": "microsoft", "issuer": template}


def issuer_of(stub: StubProvider, tenant: str) -> str:
    return f"{stub.url}/{tenant}/v2.0"


async def test_a_user_of_microsoft_is_of_the_issuer_of_the_tenant(
    stub: StubProvider, connect: Connect, microsoft: dict[str, str]
) -> None:
    client = connect(**microsoft)
    identity = await log_in(client, stub, iss=issuer_of(stub, TENANT), tid=TENANT)
    assert identity.issuer == issuer_of(stub, TENANT)
    assert client.provider.issues(identity.issuer)
    assert stub.requests[0].path == f"/common/v2.0{DISCOVERY}"


@pytest.mark.parametrize(
    "tenants",
    [
        (TENANT, OTHER_TENANT),
        (TENANT, ...),
        (TENANT, None),
        (TENANT, 7),
        (TENANT, TENANT.upper()),
        (TENANT.upper(), TENANT.upper()),
        ("common", "common"),
        ("", ""),
        (f"{TENANT}/../{OTHER_TENANT}", f"{TENANT}/../{OTHER_TENANT}"),
        (f"{TENANT}\n", f"{TENANT}\n"),
        ("{tenantid}", "{tenantid}"),
        ("None", None),
    ],
    ids=str,
)
async def test_the_tenant_is_that_of_the_issuer(
    stub: StubProvider, connect: Connect, microsoft: dict[str, str], tenants: tuple[str, object]
) -> None:
    issuer = issuer_of(stub, tenants[0])
    await assert_refused(log_in(connect(**microsoft), stub, iss=issuer, tid=tenants[1]))


@pytest.mark.parametrize(
    ("tenant", "is_allowed"),
    [
        ("{tenantid}", True),
        (TENANT, True),
        (OTHER_TENANT, False),
        ("{tenant}", False),
        ("", False),
    ],
)
async def test_a_key_of_one_tenant_signs_for_no_other(
    stub: StubProvider,
    connect: Connect,
    microsoft: dict[str, str],
    tenant: str,
    *,
    is_allowed: bool,
) -> None:
    stub.key_set = [public(stub.key, kid="first", issuer=issuer_of(stub, tenant))]
    attempt = log_in(connect(**microsoft), stub, iss=issuer_of(stub, TENANT), tid=TENANT)
    if is_allowed:
        assert (await attempt).issuer == issuer_of(stub, TENANT)
    else:
        await assert_refused(attempt)


@pytest.mark.parametrize(
    ("issuer", "is_allowed"), [(None, True), (..., True), (7, False), ([], False)], ids=str
)
async def test_a_key_of_microsoft_may_have_no_issuer(
    stub: StubProvider,
    connect: Connect,
    microsoft: dict[str, str],
    issuer: object,
    *,
    is_allowed: bool,
) -> None:
    member = {} if issuer is ... else {"issuer": issuer}
    stub.key_set = [public(stub.key, kid="first", **member)]
    attempt = log_in(connect(**microsoft), stub, iss=issuer_of(stub, TENANT), tid=TENANT)
    if is_allowed:
        assert (await attempt).subject == "7"
    else:
        await assert_refused(attempt)


async def test_the_keys_of_other_providers_have_no_issuer(
    stub: StubProvider, client: ProviderClient
) -> None:
    """Or a member of that name means something else there."""
    stub.key_set = [public(stub.key, kid="first", issuer="https://other.example")]
    assert (await log_in(client, stub)).subject == "7"


async def test_users_may_be_of_some_tenants_only(
    stub: StubProvider, connect: Connect, microsoft: dict[str, str]
) -> None:
    third = "99999999-2222-3333-4444-555555555555"
    client = connect(**microsoft, tenants=f"{TENANT},{third.upper()}")
    for tenant in (TENANT, third):
        identity = await log_in(client, stub, iss=issuer_of(stub, tenant), tid=tenant)
        assert identity.issuer == issuer_of(stub, tenant)
    other = {"iss": issuer_of(stub, OTHER_TENANT), "tid": OTHER_TENANT}
    await assert_refused(log_in(client, stub, **other))
    assert not client.provider.issues(other["iss"])


async def test_one_tenant_has_its_own_configuration(
    stub: StubProvider, connect: Connect, microsoft: dict[str, str]
) -> None:
    stub.metadata["issuer"] = issuer_of(stub, TENANT)
    client = connect(**microsoft, tenants=TENANT)
    assert (await log_in(client, stub, iss=issuer_of(stub, TENANT), tid=TENANT)).subject == "7"
    other = {"iss": issuer_of(stub, OTHER_TENANT), "tid": OTHER_TENANT}
    await assert_refused(log_in(client, stub, **other))
    assert stub.requests[0].path == f"/{TENANT}/v2.0{DISCOVERY}"


@pytest.fixture
def apple(stub: StubProvider) -> dict[str, str]:
    """Return the settings of an Apple."""
    stub.client_secret = ""
    stub.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
    pem = ec_key("of Apple").as_pem(private=True).decode()
    return {"preset": "apple", "team_id": "TEAM", "key_id": "KEY", "private_key": pem}


async def test_apple_gets_a_client_secret_made_for_each_exchange(
    stub: StubProvider,
    connect: Connect,
    apple: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = connect(**apple)
    for now in (time.time(), time.time() + MONTHS):
        monkeypatch.setattr(client_authentication, "time", lambda now=now: now)
        stub.answers["/token"] = Answer(document={"id_token": stub.id_token(NONCE)})
        await client.redeem("code", FLOW)
        secret = jwt.decode(stub.token_requests[-1]["client_secret"], ec_key("of Apple"))
        assert secret.header == {"typ": "JWT", "alg": "ES256", "kid": "KEY"}
        assert secret.claims == {
            "iss": "TEAM",
            "sub": "web",
            "aud": stub.issuer,
            "iat": int(now),
            "exp": int(now) + 300,
        }


async def test_apple_answers_without_a_form(
    stub: StubProvider, connect: Connect, apple: dict[str, str]
) -> None:
    url = await connect(**apple).authorization_url(FLOW)
    assert "scope=openid&" in url
    assert "response_mode" not in url


async def test_apple_writes_a_boolean_as_a_text(
    stub: StubProvider, connect: Connect, apple: dict[str, str]
) -> None:
    client = connect(**apple)
    for text, is_verified in (("true", True), ("false", False)):
        claims = {"email": "a@example.com", "email_verified": text}
        stub.answers["/token"] = Answer(document={"id_token": stub.id_token(NONCE, **claims)})
        assert (await client.redeem("code", FLOW)).is_email_verified is is_verified


@pytest.fixture
def github(connect: Connect) -> ProviderClient:
    return connect(preset="github")


async def test_a_user_of_github_is_known_by_a_number(
    stub: StubProvider, github: ProviderClient
) -> None:
    account = {"id": 12, "login": "octocat", "name": None, "email": "o@example.com", "x": [1]}
    answer = stub.log_in(await github.authorization_url(FLOW), **account)
    identity = await github.redeem(answer["code"], FLOW)
    assert (identity.issuer, identity.subject) == (stub.issuer, "12")
    assert (identity.email, identity.name) == ("o@example.com", "octocat")
    assert not identity.is_email_verified
    renamed = await github.redeem(stub.code_for_account(id=12, login="other"), FLOW)
    assert renamed.subject == "12"
    namesake = await github.redeem(stub.code_for_account(id=99, login="octocat"), FLOW)
    assert namesake.subject == "99"


async def test_the_name_of_a_github_user_is_suggested_rather_than_the_login(
    stub: StubProvider, github: ProviderClient
) -> None:
    account = {"id": 12, "login": "octocat", "name": "The Octocat"}
    identity = await github.redeem(stub.code_for_account(**account), FLOW)
    assert identity.name == "The Octocat"


@pytest.mark.parametrize(
    ("issuer", "url"),
    [
        ("https://github.com", "https://api.github.com/user"),
        ("https://octocorp.ghe.com", "https://api.octocorp.ghe.com/user"),
        ("https://github.example.com", "https://github.example.com/api/v3/user"),
        ("https://code.example.com/", "https://code.example.com/api/v3/user"),
    ],
)
async def test_each_kind_of_github_returns_the_user_at_its_own_url(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, issuer: str, url: str
) -> None:
    asked = []
    body = msgspec.json.encode({"access_token": ACCESS_TOKEN, "id": 12})

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, stream=httpx.ByteStream(body))

    transport = httpx.MockTransport(answer)
    monkeypatch.setattr(fetching, "_client", lambda _: httpx.AsyncClient(transport=transport))
    await connect(preset="github", issuer=issuer).redeem("code", FLOW)
    assert asked == [f"{issuer.removesuffix('/')}/login/oauth/access_token", url]


async def test_github_needs_no_configuration_and_no_scope(
    stub: StubProvider, github: ProviderClient
) -> None:
    url = await github.authorization_url(FLOW)
    assert url.startswith(f"{stub.url}/login/oauth/authorize?")
    assert "nonce" not in url
    assert "scope" not in url
    assert "code_challenge=" in url
    assert stub.requests == []


@pytest.mark.parametrize(
    "number", [..., None, "12", True, 12.0, 0, -1, 10**20, 10**400, [12]], ids=str
)
async def test_an_account_without_a_number_is_none(
    stub: StubProvider, github: ProviderClient, number: object
) -> None:
    account: dict[str, Any] = {"login": "octocat"} | ({} if number is ... else {"id": number})
    await assert_refused(github.redeem(stub.code_for_account(**account), FLOW))


async def test_a_number_in_another_spelling_is_none(
    stub: StubProvider, github: ProviderClient
) -> None:
    stub.answers[GITHUB_USER] = Answer(text='{"id": 1.2e1}')
    await assert_refused(github.redeem(stub.code_for_account(id=12), FLOW))


@pytest.mark.parametrize(
    "answer",
    [
        Answer(document={"error": "bad_verification_code"}),
        Answer(document={"error": "bad_verification_code", "access_token": "a"}),
        Answer(text="error=bad_verification_code", headers={"Content-Type": FORM}),
    ],
)
async def test_github_refuses_a_code_with_status_200(
    stub: StubProvider, github: ProviderClient, answer: Answer
) -> None:
    stub.answers[GITHUB_TOKEN] = answer
    await assert_refused(github.redeem("code", FLOW))
    assert stub.count(GITHUB_USER) == 0


@pytest.mark.parametrize(
    "token", ["gho_secret\u00e9", "gho_secret\n", "gho_secret\r\nX-A: b", "\u0000"]
)
async def test_what_no_access_token_can_be_is_neither_sent_nor_logged(
    stub: StubProvider, github: ProviderClient, events: Events, token: str
) -> None:
    """RFC 6749, appendix A.12."""
    stub.answers[GITHUB_TOKEN] = Answer(document={"access_token": token})
    await assert_unavailable(github.redeem(stub.code_for_account(id=12), FLOW))
    assert stub.count(GITHUB_USER) == 0
    assert "gho_secret" not in str(events)


@pytest.mark.parametrize("status", [302, 401, 403, 500])
async def test_github_may_not_tell_who_it_is(
    stub: StubProvider, github: ProviderClient, status: int
) -> None:
    stub.answers[GITHUB_USER] = Answer(document={"id": 12}, status=status)
    await assert_unavailable(github.redeem(stub.code_for_account(id=12), FLOW))


@pytest.mark.parametrize(
    "text",
    ["<html>", "[]", b'{"id":12,"name":"\xff"}', '{"id":12,"name":' + "[" * 100_000],
    ids=["no JSON", "no object", "no UTF-8", "deep"],
)
async def test_an_account_that_cannot_be_read_is_the_fault_of_github(
    stub: StubProvider, github: ProviderClient, text: str | bytes
) -> None:
    stub.answers[GITHUB_USER] = Answer(text=text)
    await assert_unavailable(github.redeem(stub.code_for_account(id=12), FLOW))


async def test_github_has_no_id_tokens(stub: StubProvider, github: ProviderClient) -> None:
    await assert_refused(github.read_id_token(stub.id_token(NONCE), NONCE))
    assert not github.provider.has_id_tokens


async def test_github_may_name_itself(stub: StubProvider, connect: Connect) -> None:
    client = connect(preset="github")
    for iss in (None, stub.issuer, f"{stub.issuer}/login/oauth"):
        await client.require_issuer(iss)
    for other in ("", "https://other.example", f"{stub.issuer}/"):
        with pytest.raises(InvalidChallenge):
            await client.require_issuer(other)


async def test_a_github_that_names_itself_by_the_settings_must_do_so(
    stub: StubProvider, connect: Connect
) -> None:
    client = connect(preset="github", sends_iss="true")
    with pytest.raises(InvalidChallenge):
        await client.require_issuer(None)
    await client.require_issuer(stub.issuer)
