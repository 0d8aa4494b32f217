"""``ostiary invitation``: invitations to sign up."""

from __future__ import annotations

from uuid import UUID

import click

from service.api.admin.invitation_schemas import created_invitation, invitation_info
from service.auth.admin.invitations import (
    LIFETIME,
    MAX_LIFETIME,
    MIN_LIFETIME,
    MadeInvitation,
    NewInvitation,
)
from service.auth.audit import OPERATOR
from service.auth.email_addresses import EmailAddress
from service.auth.errors import InvalidField
from service.auth.roles import parse_roles
from service.bootstrap import Services
from service.cli.context import load_settings, provide_services
from service.cli.terminal import print_result, printable
from service.cli.waiting import DurationType
from service.model.invitations import Invitation
from service.settings.values import Duration

as_json = click.option("--json", "json", is_flag=True, help="Print JSON, for scripts.")


@click.group()
def invitation() -> None:
    """Invite people to sign up, see which invitations are outstanding, and withdraw one."""


@invitation.command()
@click.option("--email", "address", help="Mail it there; only this address can sign up with it.")
@click.option("--role", "roles", multiple=True, help="A role of the user; may be repeated.")
@click.option(
    "--expires-in",
    "lifetime",
    type=DurationType(),
    default=str(Duration(LIFETIME)),
    show_default=True,
    help=f"How long it is valid: at most {Duration(MAX_LIFETIME)}.",
)
@as_json
def create(address: str | None, *, roles: tuple[str, ...], lifetime: Duration, json: bool) -> None:
    """Invite one person to sign up.

    With an address the invitation is mailed; otherwise it is printed, as the link of
    OSTIARY_INVITATION_URL, if that is set, or as a token. It is not shown again.
    """
    if not MIN_LIFETIME <= lifetime <= MAX_LIFETIME:
        limits = f"{Duration(MIN_LIFETIME)} to {Duration(MAX_LIFETIME)}"
        raise click.BadParameter(f"must be {limits}", param_hint="'--expires-in'")
    new = NewInvitation(address=_address(address), roles=_roles(roles), lifetime=lifetime)
    with provide_services(load_settings()) as run:
        made = run(lambda services: services.invitations.create(new, OPERATOR))
    print_result(created_invitation(made), _text(made), json=json)


@invitation.command(name="list")
@as_json
def list_command(*, json: bool) -> None:
    """List the outstanding invitations, newest first, one on each line."""

    async def print_all(services: Services) -> None:
        async for each in services.invitations.iter_all():
            print_result(invitation_info(each), _line(each), json=json)

    with provide_services(load_settings()) as run:
        run(print_all)


@invitation.command()
@click.argument("invitation_id", metavar="ID", type=click.UUID)
@as_json
def withdraw(invitation_id: UUID, *, json: bool) -> None:
    """Withdraw an invitation: it becomes invalid."""
    with provide_services(load_settings()) as run:
        run(lambda services: services.invitations.withdraw(invitation_id, OPERATOR))
    print_result({"withdrawn": invitation_id}, f"{invitation_id} was withdrawn.", json=json)


def _address(text: str | None) -> EmailAddress | None:
    try:
        return None if text is None else EmailAddress.parse(text)
    except InvalidField as error:
        raise click.BadParameter(error.message, param_hint="'--email'") from error


def _roles(texts: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return parse_roles(texts)
    except InvalidField as error:
        raise click.BadParameter(error.message, param_hint="'--role'") from error


def _text(made: MadeInvitation) -> str:
    given = made.link or made.token
    first = given or f"It is mailed to {printable(made.invitation.display_address or '')}."
    expires_at = made.invitation.expires_at
    return (
        f"{first}\nValid until {expires_at:%Y-%m-%d %H:%M} UTC, with the id {made.invitation.id}."
    )


def _line(invitation: Invitation) -> str:
    return (
        f"{invitation.id}  {printable(invitation.display_address or '-')}  "
        f"{','.join(invitation.roles) or '-'}  {invitation.created_at:%Y-%m-%d %H:%M:%S} UTC  "
        f"expires {invitation.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    )
