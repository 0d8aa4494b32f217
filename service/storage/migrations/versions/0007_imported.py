"""Remember what was imported: a later import must not bring back what has ended since."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "imported",
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("user_id", sa.Uuid),
        sa.PrimaryKeyConstraint("kind", "id", name="imported_pkey"),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user.id"], name="imported_user_id_fkey", ondelete="CASCADE"
        ),
    )
    op.create_index("imported_user_id_idx", "imported", ["user_id"])


def downgrade() -> None:
    op.drop_table("imported")
