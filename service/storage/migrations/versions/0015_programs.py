"""Roles, metadata and disabled users; service tokens, invitations, signing keys, restores."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
TEXTS = ARRAY(sa.Text)


def upgrade() -> None:
    op.add_column("user", sa.Column("roles", TEXTS, server_default="{}", nullable=False))
    op.add_column("user", sa.Column("metadata", JSONB, server_default="{}", nullable=False))
    op.add_column("user", sa.Column("disabled_at", MOMENT))
    op.add_column("user", sa.Column("disabled_reason", sa.Text))
    op.add_column("user", sa.Column("version", sa.BigInteger, server_default="0", nullable=False))
    op.create_table(
        "service_token",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False),
        sa.Column("scopes", TEXTS, nullable=False),
        sa.Column("created_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("last_used_at", MOMENT),
        sa.Column("suspended_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="service_token_pkey"),
        sa.UniqueConstraint("name", name="service_token_name_key"),
    )
    op.create_table(
        "invitation",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("secret_hash", sa.LargeBinary, nullable=False),
        sa.Column("address", sa.Text),
        sa.Column("display_address", sa.Text),
        sa.Column("roles", TEXTS, server_default="{}", nullable=False),
        sa.Column("service_token_id", sa.Uuid),
        sa.Column("created_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="invitation_pkey"),
    )
    op.create_index("invitation_created_at_id_idx", "invitation", ["created_at", "id"])
    op.create_index("invitation_expires_at_idx", "invitation", ["expires_at"])
    op.create_table(
        "signing_key",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("secret_id", sa.Uuid, nullable=False),
        sa.Column("public_key", JSONB, nullable=False),
        sa.Column("created_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.Column("signs_from", MOMENT, nullable=False),
        sa.Column("signs_until", MOMENT),
        sa.Column("revoked_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="signing_key_pkey"),
    )
    op.create_table(
        "restore",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("restored_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="restore_pkey"),
    )


def downgrade() -> None:
    for table in ("restore", "signing_key", "invitation", "service_token"):
        op.drop_table(table)
    for column in ("version", "disabled_reason", "disabled_at", "metadata", "roles"):
        op.drop_column("user", column)
