"""Service token look-ups: the statement of every request of a program."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import ARRAY, Uuid, any_, bindparam, select

from service.metrics import SERVICE_TOKEN_LOOKUP_BATCH_SIZE, SERVICE_TOKEN_LOOKUP_SECONDS
from service.model.service_tokens import FoundServiceToken, ServiceToken, ServiceTokenHash
from service.settings.database import DatabaseOptions
from service.storage.direct import compiled
from service.storage.lookups import LookupQuery, Lookups
from service.storage.programs.service_tokens import NOW, SERVICE_TOKEN_COLUMNS, USED_LATELY
from service.storage.tables import service_token

_USABLE_TOKENS = select(
    *SERVICE_TOKEN_COLUMNS,
    service_token.c.secret_hash,
    USED_LATELY.label("is_use_recorded"),
).where(service_token.c.expires_at > NOW, service_token.c.suspended_at.is_(None))

FIND_ONE, _ = compiled(_USABLE_TOKENS.where(service_token.c.id == bindparam("token_id")))

FIND_MANY, _ = compiled(
    _USABLE_TOKENS.where(service_token.c.id == any_(bindparam("token_ids", type_=ARRAY(Uuid))))
)


def found_service_token(row: Iterable[Any]) -> FoundServiceToken:
    """Convert a row of the look-up."""
    (
        token_id,
        name,
        scopes,
        created_at,
        expires_at,
        last_used_at,
        suspended_at,
        secret_hash,
        is_use_recorded,
    ) = row
    return FoundServiceToken(
        token=ServiceToken(
            id=token_id,
            name=name,
            scopes=frozenset(scopes),
            created_at=created_at,
            expires_at=expires_at,
            last_used_at=last_used_at,
            suspended_at=suspended_at,
        ),
        secret_hash=ServiceTokenHash(secret_hash),
        is_use_recorded=is_use_recorded,
    )


class ServiceTokenLookups(Lookups[FoundServiceToken]):
    """Finds service tokens in the database at ``url``: no expired ones, and no suspended ones."""

    def __init__(self, url: str, options: DatabaseOptions) -> None:
        query = LookupQuery(
            find_one=FIND_ONE,
            find_many=FIND_MANY,
            convert=found_service_token,
            seconds=SERVICE_TOKEN_LOOKUP_SECONDS,
            batch_size=SERVICE_TOKEN_LOOKUP_BATCH_SIZE,
        )
        super().__init__(url, options, query)
