"""``ostiary secret-key``: the secret keys of the service."""

from __future__ import annotations

import click

from service.auth.errors import SecretKeyMissing
from service.bootstrap import Services
from service.cli.context import load_settings, provide_services
from service.cli.terminal import print_result, printable
from service.model.sealed_secrets import KeyUse

as_json = click.option("--json", "json", is_flag=True, help="Print JSON, for scripts.")


@click.group(name="secret-key")
def secret_key() -> None:
    """Make and rotate secret keys, and see what depends on them.

    docs/operations.md says in which order.
    """


@secret_key.command()
@click.argument("key_id", metavar="[ID]", required=False)
def new(key_id: str | None) -> None:
    """Print a new key, as an entry of OSTIARY_SECRET_KEYS.

    Its id is the day's date, unless another one is given.
    """
    import secrets
    from datetime import UTC, datetime

    from service.settings.secret_keys import LENGTH, SecretKey

    key = SecretKey(key_id or f"{datetime.now(UTC):%Y-%m-%d}", secrets.token_bytes(LENGTH))
    try:
        SecretKey.parse(key.write())
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="ID") from error
    click.echo(key.write())


@secret_key.command()
@as_json
def status(*, json: bool) -> None:
    """Show what depends on each key, newest first, and which keys are missing."""
    with provide_services(load_settings()) as run:
        uses, known = run(_status)
    print_result(uses, "\n".join(_line(each, known) for each in uses), json=json)


async def _status(services: Services) -> tuple[list[KeyUse], list[str]]:
    return await services.sealed_secrets.key_uses(), services.keyring.ids


def _line(use: KeyUse, known: list[str]) -> str:
    if use.key_id not in known:
        state = "missing"
    else:
        state = "newest" if use.key_id == known[0] else "older"
    until = f"{use.derived_until:%Y-%m-%d %H:%M:%S} UTC" if use.derived_until else "-"
    sealed = f"{use.sealed_secrets} sealed secrets"
    return f"{printable(use.key_id)}  {state}  {sealed}  codes and links until {until}"


@secret_key.command()
@as_json
def reseal(*, json: bool) -> None:
    """Seal all secrets with the newest key."""
    with provide_services(load_settings()) as run:
        resealed = run(lambda services: services.sealed_secrets.reseal())
        uses, known = run(_status)
    print_result({"resealed": resealed}, f"{resealed} secrets were sealed anew.", json=json)
    for each in uses:
        if each.sealed_secrets and each.key_id not in known:
            raise SecretKeyMissing(each.key_id, each.sealed_secrets)


@secret_key.command()
@click.argument("key_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@as_json
def forget(key_id: str, *, yes: bool, json: bool) -> None:
    """Delete what a missing key has sealed: nobody can open it any more.

    A factor whose secret is deleted is still asked for.
    """
    with provide_services(load_settings()) as run:
        uses, _ = run(_status)
        sealed = sum(each.sealed_secrets for each in uses if each.key_id == key_id)
        if not yes:
            question = f"Delete {sealed} secrets that the key {printable(key_id)} has sealed?"
            click.confirm(question, abort=True, err=True)
        deleted = run(lambda services: services.sealed_secrets.forget(key_id))
    print_result({"deleted": deleted}, f"{deleted} secrets were deleted.", json=json)
