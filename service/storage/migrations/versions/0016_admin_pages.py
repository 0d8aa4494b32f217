"""Pages of users by the time of their creation, and by prefixes of names and addresses.

The indexes are built concurrently: sign-ups and log-ins go on meanwhile.
"""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

# `storage.schema` builds them before the migration itself, which is no more than a mark.
CONCURRENT_INDEXES = {
    "user_created_at_id_idx": '"user" (created_at, id)',
    "key_provider_name_c_idx": 'key (provider, name COLLATE "C")',
}


def upgrade() -> None:
    pass


def downgrade() -> None:
    for name in CONCURRENT_INDEXES:
        op.drop_index(name)
