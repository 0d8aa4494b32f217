"""Keys of a Lucia v2 site: names stay keys, accounts at providers become identities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from service.lucia.rows import ImportedKey, key_of, text_of
from service.model.users import Provider
from service.storage.bulk_load import BulkLoad, Loaded

Row: TypeAlias = tuple[Any, ...]
NumberedKey: TypeAlias = tuple[int, ImportedKey]


class KeyImport:
    """Imports keys into ``target``; those of the providers in ``issuers`` become identities.

    ``kept`` counts those that become neither, by provider: nobody logs in with them.
    """

    def __init__(
        self, target: BulkLoad, issuers: Mapping[str, str], *, emails_verified: bool
    ) -> None:
        self.kept: Counter[str] = Counter()
        self._target = target
        self._issuers = issuers
        self._emails_verified = emails_verified

    def convert(self, number: int, row: Row) -> tuple[NumberedKey, list[str]]:
        """Convert a row of the source, and say what is to be told of it. Raises `RowRejected`."""
        key_id, hashed_password, lucia_user_id = row
        key = key_of(
            text_of(key_id, "id"),
            None if hashed_password is None else text_of(hashed_password, "password hash"),
            text_of(lucia_user_id, "user"),
            self._issuers,
        )
        return (number, key), [] if key.remark is None else [key.remark]

    async def load(self, rows: Sequence[NumberedKey]) -> Loaded:
        """Load keys and identities, in a transaction each."""
        keys = [_key_row(number, key) for number, key in rows if key.issuer is None]
        identities = [_identity_row(number, key) for number, key in rows if key.issuer is not None]
        with_name = await self._target.keys(keys, emails_verified=self._emails_verified)
        at_provider = await self._target.identities(identities)
        rejected = with_name.rejected + at_provider.rejected
        self._count_kept(rows, {number for number, _ in rejected})
        return Loaded(with_name.new + at_provider.new, rejected)

    def _count_kept(self, rows: Sequence[NumberedKey], rejected: set[int]) -> None:
        self.kept.update(
            key.provider
            for number, key in rows
            if key.issuer is None
            and key.provider not in {Provider.USERNAME, Provider.EMAIL}
            and number not in rejected
        )


def _key_row(number: int, key: ImportedKey) -> Row:
    password_hash = key.password_hash
    return (
        number,
        key.id,
        key.provider,
        key.name,
        key.user_id,
        key.display_name,
        None if password_hash is None else password_hash.text,
        None if password_hash is None else password_hash.scheme,
    )


def _identity_row(number: int, key: ImportedKey) -> Row:
    return (number, key.id, key.provider, key.issuer, key.name, key.user_id)
