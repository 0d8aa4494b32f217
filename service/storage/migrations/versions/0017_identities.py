"""Identities: accounts of users at OpenID providers."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "identity",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("issuer", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, server_default=sa.func.clock_timestamp(), nullable=False),
        sa.Column("last_used_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="identity_pkey"),
        sa.UniqueConstraint("issuer", "subject", name="identity_issuer_subject_key"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name="identity_user_id_fkey", ondelete="CASCADE"
        ),
    )
    op.create_index("identity_user_id_idx", "identity", ["user_id"])


def downgrade() -> None:
    op.drop_table("identity")
