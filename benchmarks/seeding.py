"""Users with a session each, by the hundred thousand, whose tokens a load generator can show."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg

from service.auth.tokens import Token

BATCH = 50_000


def seed(url: str, sessions: int, tokens: Path, kept_tokens: int = 10_000) -> None:
    """Make users, keys and sessions by COPY; write some of the tokens to a file, one on a line."""
    asyncio.run(_seed(url, sessions, tokens, kept_tokens))


async def _seed(url: str, sessions: int, tokens: Path, kept_tokens: int) -> None:
    connection = await asyncpg.connect(url)
    step = max(1, sessions // kept_tokens)
    with tokens.open("w") as lines:
        for first in range(0, sessions, BATCH):
            batch = [Token.issue() for _ in range(min(BATCH, sessions - first))]
            await _copy(connection, first, batch)
            lines.writelines(f"{token.text}\n" for token in batch[::step])
    await connection.execute("VACUUM (ANALYZE, FREEZE)")
    await connection.execute("CHECKPOINT")
    await connection.close()


async def _copy(
    connection: asyncpg.Connection[asyncpg.Record], first: int, tokens: list[Token]
) -> None:
    users = [uuid4() for _ in tokens]
    now = datetime.now(UTC)
    times = (now + timedelta(days=1), now + timedelta(days=15), now + timedelta(days=30))
    await connection.copy_records_to_table(
        "user", records=[(user,) for user in users], columns=["id"]
    )
    await connection.copy_records_to_table(
        "key",
        records=[
            ("username", f"user{first + n}", user, f"User{first + n}", "not a hash", "none")
            for n, user in enumerate(users)
        ],
        columns=["provider", "name", "user_id", "display_name", "password_hash", "password_scheme"],
    )
    await connection.copy_records_to_table(
        "session",
        records=[
            (token.session_id, token.secret_hash, user, *times)
            for token, user in zip(tokens, users, strict=True)
        ],
        columns=[
            *("id", "secret_hash", "user_id"),
            *("active_expires_at", "idle_expires_at", "absolute_expires_at"),
        ],
    )
