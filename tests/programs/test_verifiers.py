"""docs/jwt.md: its example in Python verifies tokens, and only those that it should."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.programs.verifying import (
    ACCESS_TOKENS,
    BILLING,
    FILES,
    ISSUER,
    KEYS,
    issued,
    kid_of,
    published,
    session_of,
    signing_key,
)
from tests.service_pool import ServicePool
from tests.services import Service

DOCUMENT = Path(__file__).parents[2] / "docs" / "jwt.md"
CLAIMS = {"iss": ISSUER, "aud": BILLING, "sub": "x"}


def example(language: str, service: Service) -> str:
    """Return the example of the document, with the keys of this service."""
    text = DOCUMENT.read_text(encoding="utf-8")
    code = text.partition(f"\n```{language}\n")[2].partition("\n```\n")[0]
    assert f"{ISSUER}{KEYS}" in code
    return code.replace(f"{ISSUER}{KEYS}", f"{service.url}{KEYS}")


@pytest.fixture
def service(services: ServicePool) -> Service:
    return services.service(ACCESS_TOKENS)


@pytest.fixture
def alice(client: httpx.Client) -> dict[str, str]:
    """Return the header with the token of a session."""
    return session_of(client)


@pytest.fixture
def names(service: Service) -> dict[str, Any]:
    """Return what the example of the document defines."""
    found: dict[str, Any] = {}
    exec(example("python", service), found)  # noqa: S102
    return found


@pytest.fixture
def claims_of(names: dict[str, Any]) -> Callable[[str], dict[str, Any]]:
    """Return the function of the document."""
    found: Callable[[str], dict[str, Any]] = names["claims_of"]
    return found


def test_the_example_verifies_a_token(
    client: httpx.Client, alice: dict[str, str], claims_of: Callable[[str], dict[str, Any]]
) -> None:
    me = client.get("/me", headers=alice).json()["user"]

    assert claims_of(issued(client, alice))["sub"] == me["id"]


def test_the_example_knows_a_new_key_without_a_restart(
    client: httpx.Client, service: Service, alice: dict[str, str], names: dict[str, Any]
) -> None:
    claims_of, old = names["claims_of"], issued(client, alice)
    assert claims_of(old)
    # As if it had fetched the keys for the last time half a minute ago.
    names["KEYS"].cooldown_duration = 0
    signing_key(service, "rotate", "--now", "--yes")

    new = issued(client, alice)

    assert kid_of(new) != kid_of(old)
    assert claims_of(new)
    with pytest.raises(jwt.PyJWTError):
        claims_of(old)


def test_the_example_refuses_tokens_of_others(
    client: httpx.Client, alice: dict[str, str], claims_of: Callable[[str], dict[str, Any]]
) -> None:
    kid = kid_of(issued(client, alice))
    public = published(client)["keys"][0]["x"]
    stranger = ec.generate_private_key(ec.SECP256R1())
    claims = CLAIMS | {"exp": int(time.time()) + 60}

    def signed(key: Any, algorithm: str, **header: str) -> str:
        return jwt.encode(claims, key, algorithm, headers={"typ": "at+jwt", "kid": kid} | header)

    for token in (
        issued(client, alice, FILES),
        signed(stranger, "ES256"),
        signed(stranger, "ES256", kid="unknown"),
        signed(public.ljust(64), "HS256"),
        signed(None, "none"),
        signed(stranger, "ES256", typ="JWT"),
    ):
        with pytest.raises(jwt.PyJWTError):
            claims_of(token)
