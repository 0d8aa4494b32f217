"""Store the name of a device, and whether a session's cookie may have a name without a prefix."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Neither rewrites the table: the default is a constant.
    op.add_column("session", sa.Column("device_name", sa.Text))
    op.add_column(
        "session",
        sa.Column("legacy_cookie", sa.Boolean, nullable=False, server_default=sa.true()),
    )


def downgrade() -> None:
    op.drop_column("session", "legacy_cookie")
    op.drop_column("session", "device_name")
