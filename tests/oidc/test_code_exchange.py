from __future__ import annotations
import pytest
from service.auth.errors import InvalidCredentials, ProviderUnavailable
from service.auth.oidc.client import ProviderClient
from tests.oidc.conftest import FLOW, NONCE
from tests.oidc.stub_provider import StubProvider


async def test_a_code_proves_an_account(stub: StubProvider, client: ProviderClient) -> None:
    url = await client.authorization_url(FLOW)
    answer = stub.log_in(url, sub="7", email="alice@example.com")
    identity = await client.redeem(answer["code"], FLOW)
    assert (identity.issuer, identity.subject) == (stub.issuer, "7")
    assert identity.email == "alice@example.com"
