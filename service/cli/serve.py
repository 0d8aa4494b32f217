"""``ostiary serve``."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import click
import structlog

from service.cli.context import load_settings, provide_database, require_schema
from service.cli.failures import fail
from service.cli.waiting import wait_for_database, wait_option
from service.settings import Settings
from service.settings.values import Duration
from service.storage.connection import may_be_intercepted

log: structlog.stdlib.BoundLogger = structlog.get_logger()


@click.command()
@click.option("--host", help="Address to listen on, or a name. OSTIARY_HOST.")
@click.option("--port", help="Port to listen on. OSTIARY_PORT.")
@click.option("--workers", help="Processes that serve requests. OSTIARY_WORKERS.")
@wait_option
def serve(wait: Duration | None, **options: str | None) -> None:
    """Serve requests until stopped.

    An option takes precedence over its variable. All other settings are environment variables:
    `ostiary settings` lists them, and docs/settings.md says what they mean.
    """
    from service.server.service_manager import ServiceManager
    from service.server.stop_signals import stopping_once
    from service.server.supervisor import CannotServe, require_resources
    from service.server.supervisor import serve as run_server

    manager = ServiceManager.of_process()
    settings = load_settings(options)
    _check_mail(settings)
    if not settings.are_passkeys_available:
        log.warning("passkeys_unavailable", remedy="set OSTIARY_PASSKEY_RP_ID")
    try:
        # Before a data directory is made, or a database changed.
        require_resources(settings)
        _warn_of_interception(settings)
        with stopping_once(), provide_database(settings) as (url, data_location):
            wait_for_database(url, settings, wait)
            require_schema(settings, url)
            asyncio.run(_require_secret_keys(settings, url))

            def announce() -> None:
                _announce(settings, data_location)
                manager.tell_ready(settings.server.url)

            run_server(settings, url, announce, manager.tell_stopping)
    except CannotServe as error:
        fail(str(error))


def _check_mail(settings: Settings) -> None:
    """Check the templates, and say if there is no mail."""
    from service.mail.rendering import Templates, TemplatesUnusable

    try:
        Templates(settings.mail.mail_templates).check()
    except TemplatesUnusable as error:
        fail(str(error))
    if not settings.is_mail_available:
        log.warning("mail_unavailable", remedy="set OSTIARY_SMTP_URL")


async def _require_secret_keys(settings: Settings, url: str) -> None:
    """Check that all sealed secrets can be opened. Raises `SecretKeyMissing`."""
    from service.bootstrap import open_services

    async with open_services(settings, url) as services:
        await services.sealed_secrets.require_keys()


def _warn_of_interception(settings: Settings) -> None:
    url = settings.database_url
    if settings.is_production and url is not None and may_be_intercepted(url):
        log.warning("database_tls_unverified", remedy="add ?sslmode=verify-full to DATABASE_URL")


def _announce(settings: Settings, data_location: str) -> None:
    address = settings.server.url
    # The reader of standard output may have ended.
    with suppress(OSError):
        click.echo(
            f"Ostiary listens on {address} · documentation {address}/docs · data in {data_location}"
        )
