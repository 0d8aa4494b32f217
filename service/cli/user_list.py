"""``ostiary user list``."""

from __future__ import annotations

import click

from service.auth.admin.pages import address_prefix, username_prefix
from service.auth.errors import InvalidField, ValidationFailed
from service.bootstrap import Services
from service.cli.context import load_settings, provide_services
from service.cli.terminal import print_result, printable
from service.cli.user import as_json
from service.model.user_records import UserRecord
from service.model.users import User
from service.storage.admin.pages import NamePrefix


@click.command(name="list")
@click.option(
    "--username-prefix", "username", metavar="TEXT", help="Users whose user name begins like this."
)
@click.option(
    "--email-prefix", "email", metavar="TEXT", help="Users whose address begins like this."
)
@as_json
def list_command(*, username: str | None, email: str | None, json: bool) -> None:
    """List all users, or those whose name begins alike, one on each line."""
    sought = _sought(username, email)

    async def print_all(services: Services) -> None:
        if sought is None:
            async for user in services.user_admin.iter_users():
                _print(user, json=json)
        else:
            async for found in services.user_pages.iterate(sought):
                _print(found, json=json)

    with provide_services(load_settings()) as run:
        run(print_all)


def _sought(username: str | None, email: str | None) -> NamePrefix | None:
    """Return what is sought, if anything. Raises `ValidationFailed`."""
    if username is not None and email is not None:
        raise click.UsageError("--username-prefix and --email-prefix exclude each other.")
    try:
        if username is not None:
            return username_prefix(username)
        return None if email is None else address_prefix(email)
    except InvalidField as error:
        raise ValidationFailed([error.of("username" if email is None else "email")]) from error


def _print(each: User | UserRecord, *, json: bool) -> None:
    text = f"{each.id}  {printable(each.username or '-')}  {printable(each.email or '-')}"
    print_result(each, text, json=json)
