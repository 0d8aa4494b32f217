"""By what each session was proven, and a version of what protects a user."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # None rewrites a table: the defaults are constants.
    op.add_column(
        "user",
        sa.Column("security_version", sa.BigInteger, nullable=False, server_default="0"),
    )
    op.add_column("session", sa.Column("authenticated_at", sa.DateTime(timezone=True)))
    op.add_column("session", sa.Column("methods", JSONB, nullable=False, server_default="{}"))


def downgrade() -> None:
    op.drop_column("session", "methods")
    op.drop_column("session", "authenticated_at")
    op.drop_column("user", "security_version")
