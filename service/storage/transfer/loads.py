"""Loading whole users.

A user is loaded with everything or not at all. Users that exist stay as they are, and those that
were loaded before and deleted since stay deleted.
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from service.storage.bulk_load import Loaded
from service.storage.errors import translating_errors
from service.storage.transfer.additions import add_copied
from service.storage.transfer.loaded_tables import copy_users
from service.storage.transfer.rows import LoadedUser

# What keeps users out, whatever else is in their batch.
FIND_REFUSED = """
WITH missing AS (
    SELECT number, id FROM loaded_user
    WHERE NOT EXISTS (SELECT FROM "user" WHERE "user".id = loaded_user.id)
)
SELECT number, 'was deleted since it was imported' AS reason
FROM missing JOIN imported ON kind = 'user' AND imported.id = missing.id
UNION ALL
SELECT number, concat('another user has its ',
                      CASE provider WHEN 'email' THEN 'address' ELSE 'name' END,
                      ', as ', key.display_name)
FROM missing JOIN loaded_key USING (number) JOIN key USING (provider, name)
UNION ALL
SELECT number, concat('another user has its identity at ', issuer)
FROM missing JOIN loaded_identity USING (number) JOIN identity USING (issuer, subject)
UNION ALL
SELECT number, 'another user has its passkey'
FROM missing JOIN loaded_passkey USING (number) JOIN passkey
  ON passkey.credential_id = loaded_passkey.credential_id OR passkey.id = loaded_passkey.id
ORDER BY number
"""


async def load_users(
    connection: asyncpg.Connection[asyncpg.Record], users: Sequence[tuple[int, LoadedUser]]
) -> Loaded:
    """Load users, with their positions in a batch, in one transaction.

    Of several who want one name, the first has it; unless that one is kept out by another name of
    theirs: then the others are tried again.
    """
    new, refused, left = 0, dict[int, str](), list(users)
    with translating_errors():
        async with connection.transaction():
            while left:
                await copy_users(connection, left)
                for number, reason in await connection.fetch(FIND_REFUSED):
                    refused.setdefault(number, reason)
                added, incomplete = await add_copied(connection, [*refused])
                new += added
                left = [each for each in left if each[0] in incomplete]
            await _refuse_the_missing(connection, users, refused)
    return Loaded(new, [*refused.items()])


FIND_EXISTING = 'SELECT id FROM "user" WHERE id = ANY ($1::uuid[])'


async def _refuse_the_missing(
    connection: asyncpg.Connection[asyncpg.Record],
    users: Sequence[tuple[int, LoadedUser]],
    refused: dict[int, str],
) -> None:
    """Add to ``refused`` who is neither there nor refused: a second row of a user who was."""
    found = await connection.fetch(FIND_EXISTING, [user.id for _, user in users])
    existing = {row["id"] for row in found}
    for number, user in users:
        if user.id not in existing:
            refused.setdefault(number, "an earlier row with its id was rejected")
