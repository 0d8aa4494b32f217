"""``ostiary user``: the state, the roles and the metadata of a user, for operators."""

from __future__ import annotations

import click
import msgspec
from msgspec import UNSET

from service.auth.admin.patches import MAX_REASON_LENGTH, UserPatch
from service.auth.audit import OPERATOR
from service.auth.errors import InvalidField, ValidationFailed
from service.auth.roles import parse_roles
from service.auth.usernames import NOT_STORABLE
from service.bootstrap import Services
from service.cli.context import load_settings, provide_services
from service.cli.terminal import print_result
from service.cli.user import as_json, user_argument
from service.cli.user_text import name_of
from service.model.user_records import UserRecord


@click.command()
@user_argument
@click.option("--reason", metavar="TEXT", help="Why, for operators. The user does not see it.")
@as_json
def disable(name_or_id: str, *, reason: str | None, json: bool) -> None:
    """Shut a user out: all sessions end, and no log-in opens another until they are enabled."""
    if reason is not None and (NOT_STORABLE.search(reason) or not reason):
        raise click.BadParameter("it cannot be kept", param_hint="--reason")
    if reason is not None and len(reason) > MAX_REASON_LENGTH:
        message = f"it has more than {MAX_REASON_LENGTH} characters"
        raise click.BadParameter(message, param_hint="--reason")
    patch = UserPatch(disabled=True, disabled_reason=UNSET if reason is None else reason)
    changed = _change(name_or_id, patch)
    print_result(changed, f"{name_of(changed)} is disabled, without a session.", json=json)


@click.command()
@user_argument
@as_json
def enable(name_or_id: str, *, json: bool) -> None:
    """Let a user in again who was disabled. Sessions that ended remain so."""
    changed = _change(name_or_id, UserPatch(disabled=False))
    print_result(changed, f"{name_of(changed)} is enabled.", json=json)


@click.command()
@user_argument
@click.option("--add", "added", multiple=True, metavar="ROLE", help="Give this role.")
@click.option("--remove", "removed", multiple=True, metavar="ROLE", help="Take this role away.")
@click.option("--set", "chosen", multiple=True, metavar="ROLE", help="Have only these roles.")
@click.option("--clear", is_flag=True, help="Have no role.")
@as_json
def roles(  # noqa: PLR0913
    name_or_id: str,
    *,
    added: tuple[str, ...],
    removed: tuple[str, ...],
    chosen: tuple[str, ...],
    clear: bool,
    json: bool,
) -> None:
    """Show the roles of a user, or change them."""
    if sum(map(bool, (added or removed, chosen, clear))) > 1:
        raise click.UsageError("--set and --clear go with no other change of roles.")

    def changed_roles(present: UserRecord) -> UserPatch:
        kept = chosen if chosen or clear else {*present.roles, *added} - {*removed}
        try:
            return UserPatch(roles=parse_roles(kept))
        except InvalidField as error:
            raise ValidationFailed([error.of("roles")]) from error

    async def work(services: Services) -> UserRecord:
        found = await services.user_admin.find(name_or_id)
        return await services.user_changes.apply_to_present(found.id, changed_roles, OPERATOR)

    with provide_services(load_settings()) as run:
        left = run(work)
    print_result({"roles": left.roles}, " ".join(left.roles) or "no roles", json=json)


@click.command()
@user_argument
@click.option("--merge", metavar="JSON", help="Apply this merge patch (RFC 7396).")
def metadata(name_or_id: str, *, merge: str | None) -> None:
    """Show the metadata of a user as JSON, or change it."""
    changed = _change(name_or_id, UserPatch() if merge is None else _metadata_patch(merge))
    click.echo(msgspec.json.encode(changed.metadata).decode())


def _metadata_patch(text: str) -> UserPatch:
    try:
        patch = msgspec.json.decode(text.encode(), type=dict)
    except (UnicodeEncodeError, msgspec.MsgspecError, RecursionError):
        raise click.BadParameter("it is not a JSON object", param_hint="--merge") from None
    return UserPatch(metadata=patch)


def _change(name_or_id: str, patch: UserPatch) -> UserRecord:
    async def work(services: Services) -> UserRecord:
        found = await services.user_admin.find(name_or_id)
        return await services.user_changes.apply(found.id, patch, OPERATOR)

    with provide_services(load_settings()) as run:
        return run(work)
