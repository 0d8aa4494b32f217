"""The URL at which a flow begins."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import sha256
from urllib.parse import parse_qsl, urlsplit

import pytest

from service.auth.oidc.client import ProviderClient
from service.auth.oidc.flow import Flow
from tests.oidc.conftest import FLOW, Connect
from tests.oidc.stub_provider import StubProvider

REAUTHENTICATION = Flow(
    state="s-2",
    nonce="n-2",
    verifier="v-2",
    redirect_uri="https://app.example/callback",
    reauthenticates=True,
)


async def query_of(client: ProviderClient, flow: Flow = FLOW) -> dict[str, str]:
    """Return the parameters of the URL, of which none may be there twice."""
    pairs = parse_qsl(urlsplit(await client.authorization_url(flow)).query, strict_parsing=True)
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


async def test_a_flow_has_state_nonce_and_pkce(stub: StubProvider, client: ProviderClient) -> None:
    url = await client.authorization_url(FLOW)
    assert url.startswith(f"{stub.url}/authorize?")
    digest = sha256(FLOW.verifier.encode()).digest()
    assert await query_of(client) == {
        "response_type": "code",
        "client_id": "web",
        "redirect_uri": FLOW.redirect_uri,
        "scope": "openid email profile",
        "state": FLOW.state,
        "nonce": FLOW.nonce,
        "code_challenge": urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }


async def test_an_endpoint_may_have_a_query(stub: StubProvider, client: ProviderClient) -> None:
    stub.metadata["authorization_endpoint"] += "?policy=sign%20in"
    query = await query_of(client)
    assert (query["policy"], query["state"]) == ("sign in", FLOW.state)


async def test_scopes_are_those_of_the_settings(connect: Connect) -> None:
    assert (await query_of(connect(scopes="openid groups")))["scope"] == "openid groups"


async def test_the_first_client_id_begins_flows(connect: Connect) -> None:
    assert (await query_of(connect(client_ids="web, ios")))["client_id"] == "web"


@pytest.mark.parametrize(
    ("preset", "asked"),
    [
        ("", {"max_age": "0", "prompt": "login"}),
        ("gitlab", {"max_age": "0", "prompt": "login"}),
        ("microsoft", {"prompt": "login"}),
        ("google", {"prompt": "select_account"}),
        ("github", {"prompt": "select_account"}),
    ],
)
async def test_the_user_is_asked_anew_as_the_provider_can(
    connect: Connect, preset: str, asked: dict[str, str]
) -> None:
    client = connect(preset=preset)
    usual, anew = await query_of(client), await query_of(client, REAUTHENTICATION)
    assert {name: anew[name] for name in anew.keys() - usual.keys()} == asked
    assert client.provider.gives_auth_time == ("max_age" in asked)
