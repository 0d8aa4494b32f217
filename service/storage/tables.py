"""The tables, as SQLAlchemy sees them. The migrations make them; a test compares the two."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    DateTime,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import INET

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)

MOMENT = DateTime(timezone=True)

# What a look-up wants of a user stands in the indexes by which it goes: among millions of users,
# each page that it need not visit counts.
user = Table(
    "user",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("id", postgresql_include=["created_at"]),
)

key = Table(
    "key",
    metadata,
    Column("provider", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("user_id", Uuid, ForeignKey("user.id", ondelete="CASCADE"), nullable=False),
    Column("display_name", Text, nullable=False),
    Column("password_hash", Text),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("provider", "name"),
    Index(None, "user_id", "provider", "created_at", "name", postgresql_include=["display_name"]),
)

# Who made a hash, and with which cost: all hashes of a kind take equally long to verify. There is
# an index on it, ``key_hash_kind_idx``, which the migrations alone know.
HASH_KIND = """
    CASE
        WHEN password_hash LIKE '$argon2%'
            THEN substring(password_hash FROM '^.[^$]+.[^$]+.[^$]+')
        WHEN password_hash LIKE '$2%' THEN left(password_hash, 7)
        WHEN password_hash ~ '^(s2|[0-9a-f]{32}):' THEN 'scrypt r=16'
        ELSE 'scrypt r=8'
    END
"""

# Room is left on every page so that a renewal, which touches no indexed column, stays on its page
# and writes no index entry (a heap-only update).
session = Table(
    "session",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("user_id", Uuid, ForeignKey("user.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    Column("renewed_at", MOMENT, nullable=False, server_default=func.now()),
    Column("active_expires_at", MOMENT, nullable=False),
    Column("idle_expires_at", MOMENT, nullable=False),
    Column("absolute_expires_at", MOMENT, nullable=False),
    Column("user_agent", Text),
    Column("address", INET),
    Index(None, "user_id", "created_at", "id"),
    postgresql_with={"fillfactor": 85},
)

# ``free_at`` is when all that a subject has spent has come back. Nothing here has to survive a
# power cut, and so nobody waits for a disk.
attempt = Table(
    "attempt",
    metadata,
    Column("subject", LargeBinary, primary_key=True),
    Column("free_at", MOMENT, nullable=False),
    prefixes=["UNLOGGED"],
)
