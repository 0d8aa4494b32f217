"""Questions that wait for their answers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "challenge",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary),
        sa.Column("user_id", sa.Uuid),
        sa.Column("security_version", sa.BigInteger),
        sa.Column("session_id", sa.Uuid),
        sa.Column("address", sa.Text),
        sa.Column("display_address", sa.Text),
        sa.Column("key_id", sa.Text),
        sa.Column("failures", sa.Integer, server_default="0", nullable=False),
        sa.Column("created_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("data", JSONB, server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("id", name="challenge_pkey"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name="challenge_user_id_fkey", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name="challenge_session_id_fkey", ondelete="CASCADE"
        ),
        sa.CheckConstraint(
            "user_id IS NOT NULL OR security_version IS NULL",
            name="challenge_security_version_check",
        ),
    )
    op.create_index("challenge_user_id_idx", "challenge", ["user_id"])
    op.create_index("challenge_session_id_idx", "challenge", ["session_id"])


def downgrade() -> None:
    op.drop_table("challenge")
