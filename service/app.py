"""The ASGI application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache, partial

from litestar import Litestar

from service.api.docs import DocsController
from service.api.factors.answers import CodeText
from service.api.http.client_address import ClientAddresses
from service.api.http.device_cookie import DeviceCookie
from service.api.http.entrance import Entrance
from service.api.http.flow_cookie import FlowCookie
from service.api.http.instrumentation import Instrumentation
from service.api.http.json_response import JSONResponse
from service.api.http.own_cookies import OwnCookies
from service.api.http.problem_types import MAX_BODY_SIZE
from service.api.http.problems import problem_response
from service.api.http.refusals import Refusals
from service.api.http.request_context import DEPENDENCIES
from service.api.http.response_headers import ResponseHeaders
from service.api.http.session_cookie import SessionCookie
from service.api.http.state import APIState, FieldParsers
from service.api.openapi import openapi_document
from service.api.programs.introspection import introspect
from service.api.programs.verify import Verify
from service.api.routes import CONTROLLERS
from service.auth.cleanup import clean_up
from service.auth.codes import Code
from service.auth.device_names import DeviceName
from service.auth.email_addresses import EmailAddress
from service.auth.factors.passkey_names import PasskeyName
from service.auth.factors.totp import TOTPCode
from service.auth.identifiers import Identifier
from service.auth.passwords import NewPassword, Password, PasswordPolicy
from service.auth.programs.access_tokens import Audience, AudiencePolicy
from service.auth.programs.service_tokens import ServiceTokens
from service.auth.reserved_usernames import UsernamePolicy
from service.auth.uniform_timing import measure_verify_times
from service.auth.usernames import GivenUsername, Username
from service.background import cancel_and_wait, run_periodically
from service.bootstrap import Services, never, open_services
from service.mail.configured import mail_sender, reset_url_of
from service.settings import Settings
from service.settings.http import HSTS_OFF

MINUTE = 60.0


def create_app(
    settings: Settings, database_url: str, is_draining: Callable[[], bool] = never
) -> Litestar:
    """Return the application of one process. It connects when it is started."""

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with (
            open_services(settings, database_url, is_draining) as services,
            running_background_tasks(services, settings),
        ):
            app.state.api = api_state(settings, services)
            yield

    app = Litestar(
        [*CONTROLLERS, DocsController],
        dependencies=DEPENDENCIES,
        response_class=JSONResponse,
        exception_handlers={Exception: problem_response},
        lifespan=[lifespan],
        request_max_body_size=MAX_BODY_SIZE,
        openapi_config=None,
        logging_config=None,
    )
    headers = ResponseHeaders(
        hsts=hsts_of(settings),
        varies=bool(settings.http.allowed_origins),
        is_draining=is_draining,
    )
    entrance = Entrance(
        app, settings, headers, verify=Verify(settings.verify), introspect=introspect
    )
    app.asgi_handler = entrance
    if settings.metrics.port is not None or settings.log.requests:
        app.asgi_handler = Instrumentation(entrance, logs_requests=settings.log.requests)
    return app


@asynccontextmanager
async def running_background_tasks(services: Services, settings: Settings) -> AsyncIterator[None]:
    """Run the background tasks in the body of the context."""
    tasks: dict[str, Callable[[], Awaitable[object]]] = {
        "cleanup": partial(
            clean_up,
            services.database,
            settings.devices.lifetime,
            settings.usernames.username_hold,
            settings.totp.longest_period,
        ),
        "notify_abandoned_log_ins": services.abandoned_log_ins.notify,
        "measure_verify_times": partial(measure_verify_times, services.database, services.hasher),
    }
    running = [
        asyncio.create_task(run_periodically(name, task, settings.cleanup_interval))
        for name, task in tasks.items()
    ]
    running.append(asyncio.create_task(answering_resets(services, settings)))
    running.append(asyncio.create_task(recording_uses(services.service_tokens)))
    sender = mail_sender(services.database, services.keyring, settings)
    if sender is not None:
        interval = settings.mail.mail_poll_interval
        sending = run_periodically("send_mail", sender.send_due, interval, services.outbox.wait)
        running.append(asyncio.create_task(sending))
    try:
        yield
    finally:
        await cancel_and_wait(running)
        if sender is not None:
            await sender.close()


async def answering_resets(services: Services, settings: Settings) -> None:
    """Mail the links to reset passwords that are requested, until cancelled."""
    resets, interval = services.password_resets, settings.mail.mail_poll_interval
    await run_periodically("mail_reset_links", resets.answer_requests, interval, resets.wait)


async def recording_uses(tokens: ServiceTokens) -> None:
    """Record when service tokens were used, until cancelled."""
    await run_periodically("record_service_token_uses", tokens.record_uses, MINUTE, tokens.wait)


def api_state(settings: Settings, services: Services) -> APIState:
    """Return what the handlers, guards and body readers work with."""
    return APIState(
        services=services,
        session_cookie=SessionCookie(settings.cookies, secure=settings.is_production),
        device_cookie=DeviceCookie(
            settings.devices, samesite=settings.cookies.samesite, secure=settings.is_production
        ),
        flow_cookie=FlowCookie(samesite=settings.cookies.samesite, secure=settings.is_production),
        own_cookies=OwnCookies([settings.cookies.name, settings.devices.cookie_name]),
        client_addresses=ClientAddresses(settings.http),
        field_parsers=field_parsers(settings),
        allowed_origins=settings.http.allowed_origins,
        body_timeout=settings.server.client_timeout,
        # Made when it is first asked for: that takes longer than the start of a worker.
        openapi_document=cache(partial(openapi_document, settings)),
        refusals=Refusals(),
        reset_url=reset_url_of(settings),
    )


def field_parsers(settings: Settings) -> FieldParsers:
    """Return the parsers of the fields of request bodies, by type."""
    return {
        Username: UsernamePolicy(settings.usernames.reserved_usernames).accept,
        GivenUsername: GivenUsername.parse,
        Identifier: Identifier.parse,
        Password: Password.parse,
        NewPassword: PasswordPolicy(settings.passwords).accept,
        DeviceName: DeviceName.parse,
        Code: Code.parse,
        CodeText: CodeText.parse,
        TOTPCode: TOTPCode.parse,
        PasskeyName: PasskeyName.parse,
        EmailAddress: EmailAddress.parse,
        Audience: AudiencePolicy(settings.jwt.audiences).accept,
    }


def hsts_of(settings: Settings) -> str | None:
    """Return the value of ``Strict-Transport-Security``; ``None`` if it is not sent."""
    is_sent = settings.is_production and settings.http.hsts != HSTS_OFF
    return settings.http.hsts if is_sent else None
