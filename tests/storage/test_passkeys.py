"""The passkeys of a user, as far as only the database shows them."""

from __future__ import annotations

from uuid import UUID

from service.storage.database import Database
from service.storage.factors import passkeys as storage
from tests.databases import execute

ADD_PASSKEY = """
INSERT INTO passkey (
    id, user_id, credential_id, public_key, sign_count, rp_id, name,
    is_backup_eligible, is_backed_up, created_at
)
VALUES (
    $1, $2, uuid_send($1), '', 0, 'example.com', '',
    true, true, '2026-01-01'::timestamptz + $3 * interval '1 day'
)
"""


async def test_passkeys_are_listed_by_age_then_id(
    database: Database, database_url: str, alice: UUID
) -> None:
    for number, day in ((4, 2), (3, 2), (1, 3), (2, 1)):
        execute(database_url, ADD_PASSKEY, UUID(int=number), alice, float(day))
    async with database.connect() as connection:
        listed = await storage.list_passkeys(connection, alice)
    assert [each.id.int for each in listed] == [2, 3, 4, 1]
