"""``ostiary user factors``: the factors of a user, for operators."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import click

from service.auth.audit import OPERATOR
from service.auth.factors.existing import FactorOverview
from service.bootstrap import Services
from service.cli.context import load_settings, provide_services
from service.cli.terminal import print_result, printable
from service.cli.user import as_json, user_argument
from service.model.passkeys import Passkey
from service.model.sessions import Method

APP = "totp"


@click.command()
@user_argument
@click.option(
    "--remove", "removed", metavar="totp|ID", help="Remove the app, or the passkey with this id."
)
@as_json
def factors(name_or_id: str, *, removed: str | None, json: bool) -> None:
    """List a user's factors, or remove one that was lost.

    The user is told by mail, and the sessions that it has proven end. With the last factor the
    recovery codes go, and the password alone logs in again.
    """
    passkey_id = None if removed in {None, APP} else _passkey_id(str(removed))

    async def work(services: Services) -> FactorOverview:
        found = await services.user_admin.find(name_or_id)
        if passkey_id is not None:
            await services.factor_admin.remove_passkey(found.id, passkey_id, OPERATOR)
        elif removed is not None:
            await services.factor_admin.remove_totp(found.id, OPERATOR)
        return await services.factor_admin.overview(found.id)

    with provide_services(load_settings()) as run:
        left = run(work)
    print_result(_shown(left), _description(left), json=json)


def _shown(overview: FactorOverview) -> dict[str, Any]:
    """Return the factors without what belongs to the user's authenticators."""
    app = overview.totp
    return {
        "totp": None
        if app is None
        else {
            "confirmed_at": app.confirmed_at,
            "last_used_at": app.last_used_at,
            "works": Method.TOTP in overview.methods,
        },
        "passkeys": [_shown_passkey(each) for each in overview.passkeys],
        "recovery_codes_left": overview.recovery_codes,
        "methods": overview.methods,
    }


def _shown_passkey(passkey: Passkey) -> dict[str, Any]:
    return {
        "id": passkey.id,
        "name": passkey.name,
        "rp_id": passkey.rp_id,
        "backed_up": passkey.is_backed_up,
        "created_at": passkey.created_at,
        "last_used_at": passkey.last_used_at,
    }


def _description(overview: FactorOverview) -> str:
    lines = []
    if overview.totp is not None:
        state = "" if Method.TOTP in overview.methods else ", but its secret cannot be opened"
        added = f"{overview.totp.confirmed_at:%Y-%m-%d %H:%M:%S} UTC"
        lines.append(f"totp  added {added}{state}")
    for each in overview.passkeys:
        added = f"{each.created_at:%Y-%m-%d %H:%M:%S} UTC"
        lines.append(f"{each.id}  added {added}  {each.rp_id}  {printable(each.name)}")
    lines.append(f"{overview.recovery_codes} recovery codes are left.")
    return "\n".join(lines)


def _passkey_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is neither `totp` nor the id of a passkey.") from None
