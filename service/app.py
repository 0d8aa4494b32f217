"""The ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from litestar import Litestar
from litestar.config.cors import CORSConfig

from service.api.docs import DocsController
from service.api.http.client_address import ClientAddresses
from service.api.http.device_cookie import DeviceCookie
from service.api.http.problem_types import MAX_BODY_SIZE
from service.api.http.problems import problem_response
from service.api.http.request_context import DEPENDENCIES
from service.api.http.response_headers import response_headers
from service.api.http.session_cookie import SessionCookie
from service.api.http.state import APIState, FieldParsers
from service.api.routes import CONTROLLERS
from service.auth.cleanup import clean_up
from service.auth.passwords import NewPassword, Password, PasswordPolicy
from service.auth.uniform_timing import measure_verify_times
from service.auth.usernames import ClaimedUsername, Username
from service.background import cancel_and_wait, run_periodically
from service.bootstrap import Services, open_services
from service.settings import Settings
from service.settings.http import HTTPSettings
from service.settings.passwords import PasswordSettings


def create_app(settings: Settings, database_url: str) -> Litestar:
    """Return the application of one process. It connects when it is started."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with (
            open_services(settings, database_url) as services,
            running_background_tasks(services, settings),
        ):
            app.state.api = api_state(settings, services)
            yield

    return Litestar(
        [*CONTROLLERS, DocsController],
        dependencies=DEPENDENCIES,
        cors_config=cors_config(settings.http),
        exception_handlers={Exception: problem_response},
        before_send=[response_headers(over_tls=settings.is_production)],
        lifespan=[lifespan],
        request_max_body_size=MAX_BODY_SIZE,
        openapi_config=None,
        logging_config=None,
    )


@asynccontextmanager
async def running_background_tasks(services: Services, settings: Settings) -> AsyncIterator[None]:
    """Run the background tasks in the body of the context, every cleanup interval."""
    tasks = {
        "cleanup": partial(clean_up, services.database, settings.devices.lifetime),
        "measure_verify_times": partial(measure_verify_times, services.database, services.hasher),
    }
    running = [
        asyncio.create_task(run_periodically(name, task, settings.cleanup_interval))
        for name, task in tasks.items()
    ]
    try:
        yield
    finally:
        await cancel_and_wait(running)


def api_state(settings: Settings, services: Services) -> APIState:
    """Return what the handlers, guards and body readers work with."""
    return APIState(
        services=services,
        session_cookie=SessionCookie(settings.cookies, secure=settings.is_production),
        device_cookie=DeviceCookie(
            settings.devices, samesite=settings.cookies.samesite, secure=settings.is_production
        ),
        client_addresses=ClientAddresses(settings.http),
        field_parsers=field_parsers(settings.passwords),
        allowed_origins=settings.http.allowed_origins,
        body_timeout=settings.server.client_timeout,
    )


def field_parsers(settings: PasswordSettings) -> FieldParsers:
    """Return the parsers of the fields of request bodies, by type."""
    return {
        Username: Username.parse,
        ClaimedUsername: ClaimedUsername.parse,
        Password: Password.parse,
        NewPassword: PasswordPolicy(settings.min_length).accept,
    }


def cors_config(settings: HTTPSettings) -> CORSConfig | None:
    """Let pages of the allowed origins read responses, with cookies; ``None`` if there are none."""
    if not settings.allowed_origins:
        return None
    return CORSConfig(
        allow_origins=sorted(settings.allowed_origins),
        allow_methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=["Authorization", "Content-Type"],
        allow_credentials=True,
        expose_headers=["Location", "Retry-After", "X-Request-ID"],
    )
