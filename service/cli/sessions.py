"""``ostiary sessions``: the sessions of all users."""

from __future__ import annotations

import click

from service.cli.context import load_settings, provide_services
from service.cli.terminal import print_result


@click.group()
def sessions() -> None:
    """End the sessions of all users.

    `ostiary user sessions` lists and ends those of one user.
    """


@sessions.command(name="end-all")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--json", "json", is_flag=True, help="Print JSON, for scripts.")
def end_all(*, yes: bool, json: bool) -> None:
    """End all sessions of all users, who have to log in again.

    After a database was restored, `ostiary after-restore` does this and more.
    """
    with provide_services(load_settings()) as run:
        if not yes:
            click.confirm("End all sessions of all users?", abort=True, err=True)
        ended = run(lambda services: services.session_admin.end_those_of_all())
    print_result({"ended": ended}, f"{ended} sessions ended.", json=json)
