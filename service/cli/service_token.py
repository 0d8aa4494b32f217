"""``ostiary service-token``: the tokens of other programs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click

from service.auth.errors import InvalidField
from service.auth.programs.service_token_admin import (
    LIFETIME_DAYS,
    MAX_LIFETIME_DAYS,
    ServiceTokenName,
)
from service.cli.context import load_settings, provide_services
from service.cli.terminal import print_result, printable
from service.cli.waiting import DurationType
from service.model.service_tokens import Scope, ServiceToken
from service.settings.values import Duration

as_json = click.option("--json", "json", is_flag=True, help="Print JSON, for scripts.")
token_argument = click.argument("name_or_id", metavar="NAME|ID")


@click.group(name="service-token")
def service_token() -> None:
    """Manage the tokens by which other programs use the API.

    docs/service-tokens.md says what each scope permits.
    """


@service_token.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="What the token permits; may be repeated.",
)
@click.option(
    "--expires-in",
    "lifetime",
    type=DurationType(),
    default=f"{LIFETIME_DAYS}d",
    show_default=True,
    help=f"How long the token is valid: at most {MAX_LIFETIME_DAYS}d.",
)
@as_json
def create(name: str, *, scopes: tuple[str, ...], lifetime: Duration, json: bool) -> None:
    """Create a token and print it, this once: only its hash is stored.

    What else there is to know goes to standard error, so that a script can take the output.
    """
    accepted = _name(name)
    granted = [Scope(scope) for scope in scopes]
    if lifetime > timedelta(days=MAX_LIFETIME_DAYS).total_seconds():
        raise click.BadParameter(
            f"must be at most {MAX_LIFETIME_DAYS}d", param_hint="'--expires-in'"
        )
    with provide_services(load_settings()) as run:
        issued = run(
            lambda services: services.service_token_admin.create(
                accepted, granted, timedelta(seconds=lifetime)
            )
        )
    token = issued.token
    print_result({**_shown(token), "token": issued.text}, issued.text, json=json)
    if not json:
        remark = (
            f"{token.name} has the id {token.id} and expires "
            f"{token.expires_at:%Y-%m-%d %H:%M:%S} UTC. The token is not shown again."
        )
        click.echo(remark, err=True)


@service_token.command(name="list")
@as_json
def list_command(*, json: bool) -> None:
    """List the tokens, oldest first, one on each line: those that have expired too."""
    with provide_services(load_settings()) as run:
        listed = run(lambda services: services.service_token_admin.list())
    for token, is_expired in listed:
        state = "expired" if is_expired else "suspended" if token.suspended_at else "valid"
        print_result({**_shown(token), "state": state}, _line(token, state), json=json)


@service_token.command()
@token_argument
@as_json
def revoke(name_or_id: str, *, json: bool) -> None:
    """Delete a token: the next request with it is refused."""
    with provide_services(load_settings()) as run:
        token = run(lambda services: services.service_token_admin.revoke(name_or_id))
    print_result({"revoked": _shown(token)}, f"{printable(token.name)} was revoked.", json=json)


@service_token.command()
@click.argument("name_or_id", metavar="[NAME|ID]", required=False)
@click.option("--all", "confirms_all", is_flag=True, help="Confirm all that are suspended.")
@as_json
def confirm(name_or_id: str | None, *, confirms_all: bool, json: bool) -> None:
    """Let a token be used again that a restored backup has suspended.

    A token that was revoked after the backup is there again: revoke it instead.
    """
    if (name_or_id is None) is not confirms_all:
        raise click.UsageError("Name one token, or give --all.")
    with provide_services(load_settings()) as run:
        if name_or_id is None:
            tokens = run(lambda services: services.service_token_admin.confirm_all())
        else:
            tokens = [run(lambda services: services.service_token_admin.confirm(name_or_id))]
    names = ", ".join(printable(token.name) for token in tokens) or "none"
    print_result({"confirmed": [*map(_shown, tokens)]}, f"Confirmed: {names}.", json=json)


def _name(text: str) -> ServiceTokenName:
    try:
        return ServiceTokenName.parse(text)
    except InvalidField as error:
        raise click.BadParameter(error.message, param_hint="'NAME'") from error


def _shown(token: ServiceToken) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "scopes": sorted(token.scopes),
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "last_used_at": token.last_used_at,
        "suspended_at": token.suspended_at,
    }


def _line(token: ServiceToken, state: str) -> str:
    used = f"{token.last_used_at:%Y-%m-%d %H:%M:%S} UTC" if token.last_used_at else "never"
    return (
        f"{token.id}  {state:9}  {printable(token.name)}  {' '.join(sorted(token.scopes))}  "
        f"expires {token.expires_at:%Y-%m-%d}  used {used}"
    )
