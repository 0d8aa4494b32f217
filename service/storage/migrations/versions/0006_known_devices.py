"""Known devices, and attempts in flight."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "device",
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column(
            "last_seen", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()
        ),
        sa.PrimaryKeyConstraint("hash", "user_id", name="device_pkey"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name="device_user_id_fkey", ondelete="CASCADE"
        ),
        postgresql_with={"fillfactor": 85},
    )
    op.create_index("device_user_id_idx", "device", ["user_id"])
    op.add_column("session", sa.Column("device_hash", sa.LargeBinary))
    op.add_column(
        "rate_limit", sa.Column("reserved", sa.Interval, nullable=False, server_default="0")
    )
    op.add_column(
        "rate_limit",
        sa.Column(
            "reserved_until",
            sa.DateTime(timezone=True),
            nullable=False,
            server_default=sa.text("'-infinity'"),
        ),
    )


def downgrade() -> None:
    op.drop_column("rate_limit", "reserved_until")
    op.drop_column("rate_limit", "reserved")
    op.drop_column("session", "device_hash")
    op.drop_table("device")
