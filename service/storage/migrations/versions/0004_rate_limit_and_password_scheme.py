"""Rename the table of attempts, and store the scheme of a password hash beside it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# The expression of the index that migration 0003 created.
SCHEME = """
    CASE
        WHEN password_hash LIKE '$argon2%'
            THEN substring(password_hash FROM '^.[^$]+.[^$]+.[^$]+')
        WHEN password_hash LIKE '$2%' THEN left(password_hash, 7)
        WHEN password_hash ~ '^(s2|[0-9a-f]{32}):' THEN 'scrypt r=16'
        ELSE 'scrypt r=8'
    END
"""


def upgrade() -> None:
    op.rename_table("attempt", "rate_limit")
    op.alter_column("rate_limit", "subject", new_column_name="bucket")
    op.alter_column("rate_limit", "free_at", new_column_name="tat")
    op.execute("ALTER INDEX attempt_pkey RENAME TO rate_limit_pkey")
    op.drop_index("key_hash_kind_idx", "key")
    op.add_column("key", sa.Column("password_scheme", sa.Text))
    op.execute(f"UPDATE key SET password_scheme = {SCHEME} WHERE password_hash IS NOT NULL")  # noqa: S608
    op.create_check_constraint(
        "key_password_scheme_check", "key", "(password_hash IS NULL) = (password_scheme IS NULL)"
    )
    op.create_index(
        "key_password_scheme_idx",
        "key",
        ["password_scheme"],
        postgresql_where=sa.text("password_scheme IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("key_password_scheme_idx", "key")
    op.drop_column("key", "password_scheme")
    op.execute(
        f"CREATE INDEX key_hash_kind_idx ON key (({SCHEME})) WHERE password_hash IS NOT NULL"
    )
    op.execute("ALTER INDEX rate_limit_pkey RENAME TO attempt_pkey")
    op.alter_column("rate_limit", "tat", new_column_name="free_at")
    op.alter_column("rate_limit", "bucket", new_column_name="subject")
    op.rename_table("rate_limit", "attempt")
