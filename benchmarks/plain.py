"""The plain way to look a session up: one SQLAlchemy query for each request, on the default pool.

Runs the same service otherwise: ``python benchmarks/plain.py serve``.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import create_async_engine

from service import bootstrap
from service.cli.main import main
from service.model.sessions import FoundSession
from service.settings.database import DatabaseOptions
from service.storage.session_lookups import FIND_LIVE_SESSION, found_session


class PlainLookups:
    """Takes the place of `service.storage.session_lookups.SessionLookups`."""

    def __init__(self, url: str, _: DatabaseOptions) -> None:
        self._engine = create_async_engine(url.replace("postgresql:", "postgresql+asyncpg:", 1))

    async def find(self, session_id: UUID) -> FoundSession | None:
        async with self._engine.connect() as connection:
            result = await connection.execute(FIND_LIVE_SESSION, {"session_id": session_id})
            row: Any = result.one_or_none()
        return None if row is None else found_session(row)

    async def close(self) -> None:
        await self._engine.dispose()


if __name__ == "__main__":
    bootstrap.SessionLookups = PlainLookups  # type: ignore[assignment,attr-defined]
    main()
