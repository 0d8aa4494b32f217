"""Identities of users of a file, converted to rows of the table."""

from __future__ import annotations

from uuid import UUID

from service.storage.transfer.rows import LoadedIdentity
from service.transfer.format import IdentityRow
from service.transfer.issuers import ISSUERS, require_issuer, require_subject
from service.transfer.rejections import RowRejected
from service.transfer.user_ids import key_id_of

_PROVIDERS = {issuer: provider for provider, issuer in ISSUERS.items()}


def identity_rows(rows: list[IdentityRow]) -> list[LoadedIdentity]:
    """Return identities. Raises `RowRejected`."""
    identities = [_identity_row(each) for each in rows]
    if len({(each.issuer, each.subject) for each in identities}) < len(identities):
        raise RowRejected("it has an identity twice")
    return identities


def _identity_row(row: IdentityRow) -> LoadedIdentity:
    require_issuer(row.issuer)
    require_subject(row.issuer, row.subject)
    return LoadedIdentity(
        key_id=_key_id(row),
        issuer=row.issuer,
        subject=row.subject,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
    )


def _key_id(row: IdentityRow) -> UUID | None:
    provider = _PROVIDERS.get(row.issuer)
    return None if provider is None else key_id_of(provider, row.subject)
