"""``ostiary cleanup``."""

from __future__ import annotations

import asyncio

import click

from service.cli.context import load_settings, provide_database, reporting_errors


@click.command()
def cleanup() -> None:
    """Delete expired sessions, devices and rate limits, as `ostiary serve` does periodically."""
    from service.auth.cleanup import (
        delete_expired_devices,
        delete_expired_rate_limits,
        delete_expired_sessions,
    )
    from service.bootstrap import open_services

    async def run(url: str) -> int:
        async with open_services(settings, url) as services:
            await delete_expired_rate_limits(services.database)
            await delete_expired_devices(services.database, settings.devices.lifetime)
            return await delete_expired_sessions(services.database)

    settings = load_settings()
    with provide_database(settings) as (url, _), reporting_errors():
        deleted = asyncio.run(run(url))
    click.echo(f"{deleted} expired sessions were deleted.")
