"""When an address was verified, and user names that were given up."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("key", sa.Column("verified_at", sa.DateTime(timezone=True)))
    op.create_table(
        "username_hold",
        sa.Column("name_hash", sa.LargeBinary, nullable=False),
        sa.Column("user_id", sa.Uuid),
        sa.Column(
            "freed_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()
        ),
        sa.PrimaryKeyConstraint("name_hash", name="username_hold_pkey"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name="username_hold_user_id_fkey", ondelete="SET NULL"
        ),
    )
    op.create_index("username_hold_user_id_idx", "username_hold", ["user_id"])


def downgrade() -> None:
    op.drop_table("username_hold")
    op.drop_column("key", "verified_at")
