"""The outbox."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "mail",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("challenge_id", sa.Uuid),
        sa.Column("data", JSONB, server_default="{}", nullable=False),
        sa.Column("attempts", sa.Integer, server_default="0", nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("created_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("next_attempt_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.Column("failed_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="mail_pkey"),
    )
    op.create_index(
        "mail_next_attempt_at_idx",
        "mail",
        ["next_attempt_at"],
        postgresql_where=sa.text("failed_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_table("mail")
