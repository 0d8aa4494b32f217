"""docs/jwt.md: its example for Node verifies tokens, with jose."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.clients.commands import HERE, run
from tests.programs.test_verifiers import example
from tests.programs.verifying import ACCESS_TOKENS, FILES, issued, session_of, signing_key
from tests.service_pool import ServicePool
from tests.services import Service

VERIFY_ALL = """
import { claimsOf } from "./example.mjs";

const answers = [];
for (const token of process.argv.slice(2)) {
  answers.push(await claimsOf(token).catch((error) => error.code));
}
console.log(JSON.stringify(answers));
"""


@pytest.fixture
def service(services: ServicePool) -> Service:
    return services.service(ACCESS_TOKENS)


def verify(directory: Path, service: Service, *tokens: str) -> list[object]:
    """Return the claims of each token, or the code of the error."""
    if not (directory / "node_modules").exists():
        (directory / "node_modules").symlink_to(HERE / "node_modules")
    (directory / "example.mjs").write_text(example("js", service), encoding="utf-8")
    (directory / "verify.mjs").write_text(VERIFY_ALL, encoding="utf-8")
    answers: list[object] = json.loads(run(directory, "node", "verify.mjs", *tokens))
    return answers


def test_the_example_verifies_tokens_of_its_audience(
    client: httpx.Client, service: Service, tmp_path: Path
) -> None:
    alice = session_of(client)
    token = issued(client, alice)
    head, claims, signature = token.split(".")
    forged = f"{head}.{claims}.{signature[::-1]}"

    verified, of_another, refused = verify(
        tmp_path, service, token, issued(client, alice, FILES), forged
    )

    assert isinstance(verified, dict)
    assert verified["sub"] == client.get("/me", headers=alice).json()["user"]["id"]
    assert of_another == "ERR_JWT_CLAIM_VALIDATION_FAILED"
    assert refused == "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"


def test_the_example_refuses_what_a_revoked_key_has_signed(
    client: httpx.Client, service: Service, tmp_path: Path
) -> None:
    alice = session_of(client)
    old = issued(client, alice)
    signing_key(service, "rotate", "--now", "--yes")

    verified, refused = verify(tmp_path, service, issued(client, alice), old)

    assert isinstance(verified, dict)
    assert refused == "ERR_JWKS_NO_MATCHING_KEY"
