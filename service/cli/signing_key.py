"""``ostiary signing-key``: the keys that sign access tokens."""

from __future__ import annotations

import click

from service.auth.programs.key_rotation import ListedKey
from service.cli.context import load_settings, provide_services
from service.cli.terminal import print_result

REVOKED = (
    "All others are revoked. Whoever verifies tokens accepts theirs until they fetch the keys "
    "again: for five minutes."
)

as_json = click.option("--json", "json", is_flag=True, help="Print JSON, for scripts.")


@click.group(name="signing-key")
def signing_key() -> None:
    """Rotate and list the keys that sign access tokens (JWTs).

    The service makes the first one itself. docs/jwt.md says more.
    """


@signing_key.command(name="list")
@as_json
def list_keys(*, json: bool) -> None:
    """List the keys, in the order in which they sign, with the state of each.

    `next` is published, and signs later; `signing` signs now; `published` signs no more, but some
    token of it may still be valid; `retired` and `revoked` verify nothing.
    """
    with provide_services(load_settings()) as run:
        listed = run(lambda services: services.key_rotation.list_all())
    print_result(
        [_shown(each) for each in listed], "\n".join(_line(each) for each in listed), json=json
    )


@signing_key.command()
@click.option("--now", "at_once", is_flag=True, help="Revoke all keys: one has leaked.")
@click.option("--yes", is_flag=True, help="With --now: do not ask for confirmation.")
@as_json
def rotate(*, at_once: bool, yes: bool, json: bool) -> None:
    """Make a new key, which is published at once and signs in an hour.

    The old one signs until then, and stays published until its last token has expired.

    With --now the new key signs at once, and all others are revoked and no longer published.
    Whoever verifies tokens refuses those of a revoked key once they fetch the keys again: after
    five minutes.
    """
    with provide_services(load_settings()) as run:
        if at_once and not yes:
            click.confirm("Revoke all signing keys?", abort=True, err=True)
        key = run(lambda services: services.key_rotation.rotate(at_once=at_once))
    shown = {"id": key.id, "signs_from": key.signs_from}
    text = f"The key {key.id} signs from {key.signs_from:%Y-%m-%d %H:%M:%S} UTC on."
    print_result(shown, f"{text}\n{REVOKED}" if at_once else text, json=json)


def _shown(listed: ListedKey) -> dict[str, object]:
    key = listed.key
    return {
        "id": key.id,
        "state": listed.state,
        "created_at": key.created_at,
        "signs_from": key.signs_from,
        "signs_until": key.signs_until,
        "revoked_at": key.revoked_at,
    }


def _line(listed: ListedKey) -> str:
    key = listed.key
    until = "-" if key.signs_until is None else f"{key.signs_until:%Y-%m-%d %H:%M:%S} UTC"
    return f"{key.id}  {listed.state:9}  {key.signs_from:%Y-%m-%d %H:%M:%S} UTC  until {until}"
