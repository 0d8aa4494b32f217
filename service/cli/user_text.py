"""Users as commands show them."""

from __future__ import annotations

from typing import Any

from service.cli.terminal import printable
from service.model.identities import Identity
from service.model.sessions import ListedSession
from service.model.user_records import UserRecord
from service.model.users import KeyInfo, User


def name_of(user: User | UserRecord) -> str:
    """Return the user name, else the address, else the id."""
    return printable(user.username or user.email or str(user.id))


def _address_of(user: User | UserRecord) -> str:
    if user.email is None:
        return "-"
    if user.email_verified_at is None:
        return f"{printable(user.email)}, not verified"
    return f"{printable(user.email)}, verified {user.email_verified_at:%Y-%m-%d %H:%M:%S} UTC"


def _state_of(user: UserRecord) -> str:
    if user.disabled_at is None:
        return "enabled"
    reason = "" if user.disabled_reason is None else f": {printable(user.disabled_reason)}"
    return f"disabled since {user.disabled_at:%Y-%m-%d %H:%M:%S} UTC{reason}"


def shown_identity(identity: Identity) -> dict[str, Any]:
    """Return an account at a provider, without the user whose it is."""
    return {
        "id": identity.id,
        "issuer": identity.issuer,
        "subject": identity.subject,
        "created_at": identity.created_at,
        "last_used_at": identity.last_used_at,
    }


def description(
    found: UserRecord, keys: list[KeyInfo], identities: list[Identity], sessions: int
) -> str:
    """Return what is known of a user, in lines."""
    lines = [
        f"id             {found.id}",
        f"username       {printable(found.username or '-')}",
        f"email          {_address_of(found)}",
        f"created        {found.created_at:%Y-%m-%d %H:%M:%S} UTC",
        f"state          {_state_of(found)}",
        f"roles          {' '.join(found.roles) or '-'}",
        f"live sessions  {sessions}",
    ]
    for key in keys:
        password = "with a password" if key.has_password else "without a password"
        lines.append(f"key            {printable(f'{key.provider}:{key.name}')}, {password}")
    for identity in identities:
        account = printable(f"{identity.subject} at {identity.issuer}")
        lines.append(f"identity       {account}, {_use_of(identity)}")
    return "\n".join(lines)


def _use_of(identity: Identity) -> str:
    if identity.last_used_at is None:
        return "never used"
    return f"last used {identity.last_used_at:%Y-%m-%d %H:%M:%S} UTC"


def session_line(listed: ListedSession) -> str:
    """Return a session in a line."""
    session, device = listed.session, listed.device
    return (
        f"{session.id}  {listed.state}  {session.created_at:%Y-%m-%d %H:%M:%S} UTC  "
        f"{device.address or '-'}  {printable(device.name or '-')}  "
        f"{printable(device.user_agent or '-')}"
    )
