"""``ostiary after-restore``: what has to be done once a backup was restored."""

from __future__ import annotations

import click

from service.auth.restores import Restored
from service.cli.context import load_settings, provide_services
from service.cli.terminal import print_result

QUESTION = (
    "End all sessions, void all codes, links, invitations and recovery codes, suspend all service "
    "tokens, and revoke all signing keys?"
)


@click.command(name="after-restore")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--json", "json", is_flag=True, help="Print JSON, for scripts.")
def after_restore(*, yes: bool, json: bool) -> None:
    """Make a restored database safe, before the service starts on it.

    What had ended since the backup lives again in it. This ends all sessions, voids challenges,
    outstanding mails with codes and links, invitations and recovery codes, suspends service tokens
    until `ostiary service-token confirm`, and revokes the keys that sign access tokens: the next
    token has a new one. It can be run again.
    """
    with provide_services(load_settings()) as run:
        if not yes:
            click.confirm(QUESTION, abort=True, err=True)
        restored = run(lambda services: services.restores.complete())
    print_result(restored, _description(restored), json=json)


def _description(restored: Restored) -> str:
    codes = f"{restored.recovery_codes} recovery codes were voided"
    return "\n".join(
        (
            f"{restored.sessions} sessions were ended.",
            f"{restored.challenges} challenges were voided.",
            f"{restored.mails} mails with codes or links were dropped.",
            f"{restored.reset_requests} requests for a link were dropped.",
            f"{restored.invitations} invitations were withdrawn.",
            f"{codes}: users with a factor can make new ones.",
            f"{restored.signing_keys} signing keys were revoked.",
            f"{restored.service_tokens} service tokens are suspended until they are confirmed.",
        )
    )
