"""Indexes that hold what a look-up wants of a user, so that it visits no other page."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

REFERRING = ("key", "session")


def upgrade() -> None:
    replace_primary_key_of_user("PRIMARY KEY (id) INCLUDE (created_at)")
    op.create_index(
        "key_user_id_provider_created_at_name_idx",
        "key",
        ["user_id", "provider", "created_at", "name"],
        postgresql_include=["display_name"],
    )
    op.drop_index("key_user_id_idx", "key")


def downgrade() -> None:
    op.create_index("key_user_id_idx", "key", ["user_id"])
    op.drop_index("key_user_id_provider_created_at_name_idx", "key")
    replace_primary_key_of_user("PRIMARY KEY (id)")


def replace_primary_key_of_user(definition: str) -> None:
    for table in REFERRING:
        op.drop_constraint(f"{table}_user_id_fkey", table)
    op.drop_constraint("user_pkey", "user")
    op.execute(f'ALTER TABLE "user" ADD CONSTRAINT user_pkey {definition}')
    for table in REFERRING:
        op.create_foreign_key(
            f"{table}_user_id_fkey", table, "user", ["user_id"], ["id"], ondelete="CASCADE"
        )
