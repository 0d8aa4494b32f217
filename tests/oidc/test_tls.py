"""A provider is who its certificate says it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.auth.oidc.providers import Providers
from service.settings.variables import read_settings
from tests.certificates import Authority
from tests.oidc.conftest import Events, assert_unavailable, log_in
from tests.oidc.stub_provider import running_stub


@pytest.fixture(autouse=True)
def no_authorities() -> None:
    """Load them: this is about them."""


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_a_provider_has_a_certificate_of_an_authority_that_is_trusted(
    tmp_path: Path, events: Events, monkeypatch: pytest.MonkeyPatch, *, is_trusted: bool
) -> None:
    authority = Authority(tmp_path, "authority")
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    with running_stub(authority.server_context("localhost")) as stub:
        settings = read_settings(stub.environment())
        providers = Providers(settings.oidc, is_production=True)
        client = providers.get("stub")
        if is_trusted:
            assert (await log_in(client, stub)).subject == "7"
        else:
            await assert_unavailable(log_in(client, stub))
            assert "CERTIFICATE_VERIFY_FAILED" in events[0]["reason"]
            assert stub.requests == []
        await providers.close()
