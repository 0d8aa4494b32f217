"""Against guessers: attempts are counted, and refusals take as long as the slowest hash."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "attempt",
        sa.Column("subject", sa.LargeBinary, nullable=False),
        sa.Column("free_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("subject", name="attempt_pkey"),
        prefixes=["UNLOGGED"],
    )
    op.execute(
        """
        CREATE INDEX key_hash_kind_idx ON key ((
            CASE
                WHEN password_hash LIKE '$argon2%'
                    THEN substring(password_hash FROM '^.[^$]+.[^$]+.[^$]+')
                WHEN password_hash LIKE '$2%' THEN left(password_hash, 7)
                WHEN password_hash ~ '^(s2|[0-9a-f]{32}):' THEN 'scrypt r=16'
                ELSE 'scrypt r=8'
            END
        )) WHERE password_hash IS NOT NULL
        """
    )


def downgrade() -> None:
    op.drop_index("key_hash_kind_idx", "key")
    op.drop_table("attempt")
