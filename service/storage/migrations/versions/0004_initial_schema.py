"""The tables of the first release; revisions before this one were never released.

Each later migration can run while the version before it serves: it only adds, and holds no lock
that stops requests while it reads or rewrites a table. `tests/storage/test_schema.py` checks it.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import INET

revision = "0004"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "user",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("created_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="user_pkey", postgresql_include=["created_at"]),
    )
    op.create_table(
        "key",
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("display_name", sa.Text, nullable=False),
        sa.Column("password_hash", sa.Text),
        sa.Column("created_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.Column("password_scheme", sa.Text),
        sa.PrimaryKeyConstraint("provider", "name", name="key_pkey"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name="key_user_id_fkey", ondelete="CASCADE"
        ),
        sa.CheckConstraint(
            "(password_hash IS NULL) = (password_scheme IS NULL)", name="key_password_scheme_check"
        ),
    )
    op.create_index(
        "key_user_id_provider_created_at_name_idx",
        "key",
        ["user_id", "provider", "created_at", "name"],
        postgresql_include=["display_name"],
    )
    op.create_index(
        "key_password_scheme_idx",
        "key",
        ["password_scheme"],
        postgresql_where=sa.text("password_scheme IS NOT NULL"),
    )
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
    op.create_table(
        "rate_limit",
        sa.Column("bucket", sa.LargeBinary, nullable=False),
        sa.Column("tat", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("bucket", name="rate_limit_pkey"),
        prefixes=["UNLOGGED"],
    )


def downgrade() -> None:
    op.drop_table("rate_limit")
    op.drop_table("session")
    op.drop_table("key")
    op.drop_table("user")
