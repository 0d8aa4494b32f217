"""What an ID token must say (OpenID Connect Core, section 3.1.3.7)."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from service.auth.oidc.client import ProviderClient
from tests.oidc.conftest import NONCE, Connect, Events, assert_refused, log_in
from tests.oidc.stub_provider import StubProvider

MINUTE = 60


def now() -> int:
    return int(time.time())


async def test_an_id_token_proves_an_account(stub: StubProvider, client: ProviderClient) -> None:
    claims = {"email": "alice@example.com", "email_verified": True, "name": "Alice"}
    identity = await log_in(client, stub, sub="7", **claims, unknown={"a": [1]})
    assert (identity.issuer, identity.subject) == (stub.issuer, "7")
    assert (identity.email, identity.is_email_verified) == ("alice@example.com", True)
    assert identity.name == "Alice"
    assert identity.auth_time is None


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.example"},
        {"iss": ...},
        {"iss": None},
        {"sub": ...},
        {"sub": ""},
        {"sub": 7},
        {"sub": None},
        {"sub": "a" * 256},
        {"sub": "a\0"},
        {"sub": "a\n"},
        {"sub": "é"},
        {"aud": ...},
        {"aud": []},
        {"aud": [7]},
        {"aud": "other"},
        {"aud": ["web", "other"], "azp": "web"},
        {"azp": "other"},
        {"azp": 7},
        {"nonce": ...},
        {"nonce": None},
        {"nonce": ""},
        {"nonce": NONCE.lower()},
        {"nonce": [NONCE]},
        {"nbf": "1"},
        {"nbf": -1},
    ],
    ids=str,
)
async def test_what_an_id_token_must_not_say(
    stub: StubProvider, client: ProviderClient, events: Events, claims: dict[str, Any]
) -> None:
    await assert_refused(log_in(client, stub, **claims))
    (event,) = events
    assert event["event"] == "oidc_proof_refused"
    assert event["provider"] == "stub"
    assert NONCE not in str(event)


@pytest.mark.parametrize("slash", ["/", "/x"])
async def test_an_issuer_is_compared_to_the_character(
    stub: StubProvider, client: ProviderClient, slash: str
) -> None:
    await assert_refused(log_in(client, stub, iss=stub.issuer + slash))
    await assert_refused(log_in(client, stub, iss=stub.issuer.upper()))


async def test_a_subject_may_be_long(stub: StubProvider, client: ProviderClient) -> None:
    identity = await log_in(client, stub, sub="a" * 255)
    assert identity.subject == "a" * 255


@pytest.mark.parametrize(
    "times",
    [
        {"iat": 30},
        {"iat": -9 * MINUTE},
        {"exp": -30},
        {"nbf": 30},
        {"iat": -MINUTE, "nbf": -MINUTE},
    ],
    ids=str,
)
async def test_clocks_may_differ_a_little(
    stub: StubProvider, client: ProviderClient, times: dict[str, int]
) -> None:
    claims = {name: now() + offset for name, offset in times.items()}
    assert (await log_in(client, stub, **claims)).subject == "7"


@pytest.mark.parametrize(
    "times",
    [
        {"iat": 10 * MINUTE},
        {"iat": -11 * MINUTE},
        {"exp": -10 * MINUTE},
        {"nbf": 10 * MINUTE},
    ],
    ids=str,
)
async def test_a_token_of_another_time_is_refused(
    stub: StubProvider, client: ProviderClient, times: dict[str, int]
) -> None:
    claims = {name: now() + offset for name, offset in times.items()}
    await assert_refused(log_in(client, stub, **claims))


@pytest.mark.parametrize("claim", ["iat", "exp"])
@pytest.mark.parametrize(
    "value", [..., None, "1", 1.5, 1e20, 10**20, 10**400, -1, True, [1], {}, 1e400], ids=str
)
async def test_a_time_that_is_none_is_refused(
    stub: StubProvider, client: ProviderClient, claim: str, value: object
) -> None:
    await assert_refused(log_in(client, stub, **{claim: value}))


async def test_a_time_with_a_fraction_is_refused(
    stub: StubProvider, client: ProviderClient
) -> None:
    await assert_refused(log_in(client, stub, iat=now() + 0.5))
    await assert_refused(log_in(client, stub, exp=1e20))


async def test_the_time_of_authentication_is_known(
    stub: StubProvider, client: ProviderClient
) -> None:
    at = now() - 3600
    identity = await log_in(client, stub, auth_time=at)
    assert identity.auth_time == datetime.fromtimestamp(at, UTC)


async def test_the_user_was_authenticated_no_later_than_now(
    stub: StubProvider, client: ProviderClient
) -> None:
    identity = await log_in(client, stub, auth_time=now() + 30)
    assert identity.auth_time is not None
    assert identity.auth_time <= datetime.now(UTC)


@pytest.mark.parametrize("value", [None, "1", 1.5, True, -1, 10**20, [1]], ids=str)
async def test_an_odd_time_of_authentication_is_none(
    stub: StubProvider, client: ProviderClient, value: object
) -> None:
    assert (await log_in(client, stub, auth_time=value)).auth_time is None
    assert (await log_in(client, stub, auth_time=now() + 3600)).auth_time is None


@pytest.mark.parametrize("value", [7, None, "", "a\nb", "a" * 255, {"a": 1}], ids=str)
async def test_an_odd_suggestion_is_none(
    stub: StubProvider, client: ProviderClient, value: object
) -> None:
    identity = await log_in(client, stub, email=value, name=value, email_verified=value)
    assert (identity.email, identity.name, identity.is_email_verified) == (None, None, False)


@pytest.mark.parametrize(
    ("audience", "party"),
    [
        ("web", "android"),
        ("ios", "ios"),
        ("android", ...),
        (["ios"], ...),
        (["web", "ios"], "android"),
    ],
)
async def test_a_native_app_has_the_id_token_of_any_client(
    stub: StubProvider, connect: Connect, audience: object, party: object
) -> None:
    client = connect(client_ids="web,ios,android")
    identity = await client.read_id_token(stub.id_token(NONCE, aud=audience, azp=party), NONCE)
    assert identity.subject == "7"


@pytest.mark.parametrize(
    ("audience", "party"),
    [
        ("other", "other"),
        ("other", "ios"),
        (["web", "other"], "web"),
        (["web", "ios"], ...),
        ("web", "other"),
    ],
)
async def test_a_native_app_of_somebody_else_is_refused(
    stub: StubProvider, connect: Connect, audience: object, party: object
) -> None:
    client = connect(client_ids="web,ios,android")
    token = stub.id_token(NONCE, aud=audience, azp=party)
    await assert_refused(client.read_id_token(token, NONCE))


@pytest.mark.parametrize(("audience", "party"), [("ios", ...), ("web", "ios"), ("ios", "web")])
async def test_a_code_gives_an_id_token_of_the_first_client_only(
    stub: StubProvider, connect: Connect, audience: str, party: object
) -> None:
    client = connect(client_ids="web,ios")
    await assert_refused(log_in(client, stub, aud=audience, azp=party))
    assert (await log_in(client, stub, aud=["web", "ios"], azp="web")).subject == "7"


async def test_an_id_token_is_for_the_flow_of_its_nonce(
    stub: StubProvider, client: ProviderClient
) -> None:
    token = stub.id_token("of another flow")
    await assert_refused(client.read_id_token(token, NONCE))


async def test_google_may_leave_out_the_scheme_of_its_issuer(
    stub: StubProvider, connect: Connect
) -> None:
    bare = stub.issuer.removeprefix("http://")
    await assert_refused(log_in(connect(), stub, iss=bare))
