"""A provider is who its certificate says it is."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest

from service.auth.oidc.providers import Providers
from service.settings.variables import read_settings
from tests.certificates import Authority
from tests.oidc.conftest import FLOW, Events, assert_unavailable, log_in
from tests.oidc.stub_provider import CLIENT_ID, CLIENT_SECRET, running_stub
from tests.services import PATIENCE


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


@contextmanager
def refusing_server(context: ssl.SSLContext) -> Iterator[str]:
    """Return the URL of a server that refuses each client in TLS, and leaves the connection open.

    With TLS 1.3 the handshake of the client is over by then.
    """
    with socket.create_server(("localhost", 0)) as listening:

        def refuse() -> None:
            connection, _ = listening.accept()
            connection.settimeout(PATIENCE)
            with context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            ) as refused:
                with pytest.raises(ssl.SSLError, match="PEER_DID_NOT_RETURN_A_CERTIFICATE"):
                    refused.do_handshake()
                while socket.socket.recv(refused, 1000):
                    pass

        thread = Thread(target=refuse)
        thread.start()
        yield f"https://localhost:{listening.getsockname()[1]}"
        thread.join()


async def test_a_provider_that_refuses_the_connection_after_the_handshake_is_unavailable(
    tmp_path: Path, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path, "authority")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    with refusing_server(authority.server_context("localhost", wants_client=True)) as url:
        settings = read_settings(
            {
                "OSTIARY_OIDC_STUB_ISSUER": url,
                "OSTIARY_OIDC_STUB_CLIENT_IDS": CLIENT_ID,
                "OSTIARY_OIDC_STUB_CLIENT_SECRET": CLIENT_SECRET,
                "OSTIARY_OIDC_STUB_REDIRECT_URIS": "https://app.example/callback",
            }
        )
        providers = Providers(settings.oidc, is_production=True)
        for _ in range(2):
            await assert_unavailable(providers.get("stub").authorization_url(FLOW))
        await providers.close()
    assert [each["event"] for each in events] == ["oidc_provider_failed"]
    assert "CERTIFICATE_REQUIRED" in events[0]["reason"]
