"""User, key and session: the three tables of the service."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import INET

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "user",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("created_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="user_pkey"),
    )
    op.create_table(
        "key",
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("password_hash", sa.Text),
        sa.Column("created_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("provider", "name", name="key_pkey"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name="key_user_id_fkey", ondelete="CASCADE"
        ),
    )
    op.create_index("key_user_id_idx", "key", ["user_id"])
    op.create_table(
        "session",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("created_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.Column("renewed_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.Column("active_expires_at", MOMENT, nullable=False),
        sa.Column("idle_expires_at", MOMENT, nullable=False),
        sa.Column("absolute_expires_at", MOMENT, nullable=False),
        sa.Column("user_agent", sa.Text),
        sa.Column("address", INET),
        sa.PrimaryKeyConstraint("id", name="session_pkey"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name="session_user_id_fkey", ondelete="CASCADE"
        ),
        postgresql_with={"fillfactor": 85},
    )
    op.create_index("session_user_id_created_at_id_idx", "session", ["user_id", "created_at", "id"])


def downgrade() -> None:
    op.drop_table("session")
    op.drop_table("key")
    op.drop_table("user")
