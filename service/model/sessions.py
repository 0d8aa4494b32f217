"""Sessions, and the devices on which they were opened."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from service.model.devices import DeviceHash
from service.model.request_context import Device
from service.model.users import User


class SessionState(StrEnum):
    """The state of a live session. A dead one is indistinguishable from one that never existed."""

    ACTIVE = "active"
    IDLE = "idle"


class Method(StrEnum):
    """How the user of a session authenticated, unless a provider did (see `identities`)."""

    PASSWORD = "password"  # noqa: S105
    EMAIL_CODE = "email_code"
    RESET = "reset"
    TOTP = "totp"
    PASSKEY = "passkey"
    RECOVERY_CODE = "recovery_code"


# What proves a user who has a factor. From the first one on, no other method is enough.
FACTOR_METHODS = frozenset({Method.TOTP, Method.PASSKEY, Method.RECOVERY_CODE})


class Transport(StrEnum):
    """How a token travels."""

    COOKIE = "cookie"
    BEARER = "bearer"


class ProvenMethod(Struct, frozen=True, kw_only=True):
    """How the user of a session authenticated, and when for the last time."""

    method: Annotated[
        str,
        Meta(
            description="`password`, `totp`, `passkey`, `recovery_code`, `email_code`, `reset`: a "
            "link to reset the password, or `oidc:` and the name of a provider. Later versions may "
            "know further methods."
        ),
    ]
    at: Annotated[datetime, Meta(description="When the user last authenticated by it.")]


class SecretHash(bytes):
    """The SHA-256 of a session's secret. Its ``repr`` hides it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "SecretHash(…)"


class Session(Struct, frozen=True, kw_only=True):
    """One log-in on one device. All times are the database's.

    ``methods`` has the time at which each method last proved the user; a later version of the
    service may know more of them. ``authenticated_at`` is when everything that the account asks for
    was last proven.
    """

    id: UUID
    user_id: UUID
    created_at: datetime
    renewed_at: datetime
    active_expires_at: datetime
    idle_expires_at: datetime
    absolute_expires_at: datetime
    authenticated_at: datetime
    methods: dict[str, datetime]

    @property
    def proven_methods(self) -> list[ProvenMethod]:
        """What proved the user, as it is shown."""
        return proven_methods(self.methods)


def proven_methods(methods: dict[str, datetime]) -> list[ProvenMethod]:
    """Return methods, with the times at which they last proved the user, as they are shown."""
    return [ProvenMethod(method=method, at=at) for method, at in methods.items()]


class EndedSession(Struct, frozen=True):
    """A session that was live until it was ended."""

    id: UUID
    user_id: UUID


class InsertedSession(Struct, frozen=True, kw_only=True):
    """A new session, and what its log-in found.

    ``device_hash`` is that by which its device is known. ``replaced`` are the sessions that ended
    with it. ``earlier`` is the number of live sessions that the user had before, those included.
    """

    session: Session
    device_hash: DeviceHash
    replaced: list[EndedSession]
    earlier: int


class FoundSession(Struct, frozen=True, kw_only=True):
    """A live session that was looked up by its id; its secret has yet to be compared.

    ``legacy_cookie`` is true if its cookie may have a name without a prefix: the session was opened
    by a version before 0005, or imported. ``found_at`` is the database's time.
    """

    session: Session
    user: User
    state: SessionState
    found_at: datetime
    secret_hash: SecretHash
    legacy_cookie: bool


class ListedSession(Struct, frozen=True, kw_only=True):
    """A session in the list of its user's sessions."""

    session: Session
    state: SessionState
    device: Device
