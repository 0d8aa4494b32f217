"""A provider that is down is no reason for anything else to fail."""

from __future__ import annotations

from tests.factories import log_in, sign_up
from tests.identities.conftest import CALLBACK, LOG_IN, NEEDED, App, environment_for, problem
from tests.oidc.stub_provider import DISCOVERY, StubProvider
from tests.oidc.stub_server import Answer
from tests.service_pool import ServicePool
from tests.services import NO_LIMITS, wait_for

DOWN = (503, "provider_unavailable")


def test_the_service_starts_without_the_provider_and_finds_it_when_it_is_there(
    services: ServicePool, provider: StubProvider
) -> None:
    provider.answers[DISCOVERY] = Answer(text="<html>", status=502)
    environment = environment_for(provider, "LATE", redirect_uris=CALLBACK)
    service = services.service({**NO_LIMITS, **environment})
    with service.client() as client:
        path = LOG_IN.replace("stub", "late")
        begun = client.post(path, json={"redirect_uri": CALLBACK})
        assert problem(begun) == DOWN
        assert "Retry-After" in begun.headers
        assert client.get("/readyz").status_code == 200
        assert sign_up(client).status_code == 201
        assert log_in(client).status_code == 200
        del provider.answers[DISCOVERY]

        def is_there() -> bool:
            return client.post(path, json={"redirect_uri": CALLBACK}).status_code == 200

        # A failure is remembered for some seconds, so that nobody waits for a provider in vain.
        wait_for(is_there, "the provider is found")
        client.cookies.clear()
        app = App(client=client, provider=provider)
        answered = client.post(f"{path}/callback", json=app.answer(app.begin(path)))
        assert problem(answered) == NEEDED
