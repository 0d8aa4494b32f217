"""``ostiary mail``: the mails that wait, and those that could not be sent."""

from __future__ import annotations

from uuid import UUID

import click

from service.bootstrap import Services
from service.cli.context import load_settings, provide_services
from service.cli.terminal import print_result, printable
from service.model.mail import MailInfo

as_json = click.option("--json", "json", is_flag=True, help="Print JSON, for scripts.")


@click.group()
def mail() -> None:
    """See which mails wait or could not be sent, and send them again."""


@mail.command(name="list")
@as_json
def list_command(*, json: bool) -> None:
    """List the mails that wait and the dead letters, one on each line.

    Mails that were sent are deleted; dead letters after 14 days.
    """

    async def print_all(services: Services) -> None:
        async for each in services.outbox.list():
            print_result(each, _line(each), json=json)

    with provide_services(load_settings()) as run:
        run(print_all)


@mail.command()
@click.argument("mail_id", metavar="[ID]", type=click.UUID, required=False)
@as_json
def retry(mail_id: UUID | None, *, json: bool) -> None:
    """Send a dead letter, or all of them, again."""
    with provide_services(load_settings()) as run:
        retried = run(lambda services: services.outbox.retry(mail_id))
    print_result({"retried": retried}, f"{retried} mails will be sent again.", json=json)


def _line(mail: MailInfo) -> str:
    state = "waiting" if mail.failed_at is None else "dead   "
    return (
        f"{mail.id}  {state}  {mail.kind}  {printable(mail.recipient)}  "
        f"{mail.created_at:%Y-%m-%d %H:%M:%S} UTC  attempts {mail.attempts}  "
        f"{printable(mail.error or '-')}"
    )
