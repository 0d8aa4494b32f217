"""``ostiary cleanup``."""

from __future__ import annotations

import click

from service.auth.cleanup import clean_up
from service.bootstrap import Services
from service.cli.context import load_settings, provide_services


@click.command()
def cleanup() -> None:
    """Delete expired sessions, devices, challenges, invitations, rate limits and holds.

    Old dead letters and signing keys, too.

    `ostiary serve` does so every OSTIARY_CLEANUP_INTERVAL.
    """
    settings = load_settings()

    async def clean_up_and_notify(services: Services) -> int:
        deleted = await clean_up(
            services.database,
            settings.devices.lifetime,
            settings.usernames.username_hold,
            settings.totp.longest_period,
        )
        await services.abandoned_log_ins.notify()
        return deleted

    with provide_services(settings) as run:
        deleted = run(clean_up_and_notify)
    click.echo(f"{deleted} expired sessions were deleted.")
