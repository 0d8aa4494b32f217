"""``ostiary cleanup``."""

from __future__ import annotations

import click

from service.auth.cleanup import (
    delete_expired_challenges,
    delete_expired_devices,
    delete_expired_holds,
    delete_expired_nonces,
    delete_expired_rate_limits,
    delete_expired_sessions,
    delete_old_code_failures,
)
from service.auth.outbox import delete_old_dead_letters
from service.auth.programs.key_rotation import delete_old_signing_keys
from service.bootstrap import Services
from service.cli.context import load_settings, provide_services


@click.command()
def cleanup() -> None:
    """Delete expired sessions, devices, challenges, rate limits and holds.

    Old dead letters and signing keys, too.

    `ostiary serve` does so every OSTIARY_CLEANUP_INTERVAL.
    """
    settings = load_settings()

    async def clean_up(services: Services) -> int:
        await delete_expired_rate_limits(services.database)
        await delete_expired_challenges(services.database)
        await delete_old_dead_letters(services.database)
        await delete_expired_devices(services.database, settings.devices.lifetime)
        await delete_expired_holds(services.database, settings.usernames.username_hold)
        await delete_expired_nonces(services.database)
        await delete_old_code_failures(services.database, settings.totp.longest_period)
        await delete_old_signing_keys(services.database)
        await services.abandoned_log_ins.notify()
        return await delete_expired_sessions(services.database)

    with provide_services(settings) as run:
        deleted = run(clean_up)
    click.echo(f"{deleted} expired sessions were deleted.")
