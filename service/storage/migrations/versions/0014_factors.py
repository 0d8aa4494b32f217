"""Factors: authenticator apps, passkeys, and the recovery codes beside them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("user", sa.Column("security_changed_at", MOMENT))
    op.add_column("user", sa.Column("passkey_handle", sa.LargeBinary))
    op.add_column("sealed_secret", sa.Column("user_id", sa.Uuid))
    op.create_foreign_key(
        "sealed_secret_user_id_fkey",
        "sealed_secret",
        "user",
        ["user_id"],
        ["id"],
        ondelete="CASCADE",
    )
    op.create_index("sealed_secret_user_id_idx", "sealed_secret", ["user_id"])
    op.create_table(
        "totp",
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("secret_id", sa.Uuid, nullable=False),
        sa.Column("last_step", sa.BigInteger, server_default="0", nullable=False),
        sa.Column("created_at", MOMENT, server_default=sa.func.now(), nullable=False),
        sa.Column("confirmed_at", MOMENT),
        sa.Column("last_used_at", MOMENT),
        sa.PrimaryKeyConstraint("user_id", name="totp_pkey"),
        _of_user("totp"),
    )
    op.create_table(
        "totp_failure",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("device_hash", sa.LargeBinary),
        sa.Column("failed_at", MOMENT, server_default=sa.func.clock_timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="totp_failure_pkey"),
        _of_user("totp_failure"),
    )
    op.create_index("totp_failure_user_id_failed_at_idx", "totp_failure", ["user_id", "failed_at"])
    op.create_index("totp_failure_failed_at_idx", "totp_failure", ["failed_at"])
    op.create_table(
        "recovery_code",
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("created_at", MOMENT, server_default=sa.func.clock_timestamp(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "hash", name="recovery_code_pkey"),
        _of_user("recovery_code"),
    )
    op.create_table(
        "passkey",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("user_id", sa.Uuid, nullable=False),
        sa.Column("credential_id", sa.LargeBinary, nullable=False),
        sa.Column("public_key", sa.LargeBinary, nullable=False),
        sa.Column("sign_count", sa.BigInteger, nullable=False),
        sa.Column("rp_id", sa.Text, nullable=False),
        sa.Column("transports", JSONB, server_default="[]", nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("aaguid", sa.Uuid),
        sa.Column("is_backup_eligible", sa.Boolean, nullable=False),
        sa.Column("is_backed_up", sa.Boolean, nullable=False),
        sa.Column("created_at", MOMENT, server_default=sa.func.clock_timestamp(), nullable=False),
        sa.Column("last_used_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="passkey_pkey"),
        sa.UniqueConstraint("credential_id", name="passkey_credential_id_key"),
        _of_user("passkey"),
    )
    op.create_index("passkey_user_id_idx", "passkey", ["user_id"])
    op.create_table(
        "claimed_nonce",
        sa.Column("nonce", sa.LargeBinary, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("nonce", name="claimed_nonce_pkey"),
    )
    op.create_index("claimed_nonce_expires_at_idx", "claimed_nonce", ["expires_at"])


def downgrade() -> None:
    for table in ("claimed_nonce", "passkey", "recovery_code", "totp_failure", "totp"):
        op.drop_table(table)
    op.drop_index("sealed_secret_user_id_idx", "sealed_secret")
    op.drop_constraint("sealed_secret_user_id_fkey", "sealed_secret")
    op.drop_column("sealed_secret", "user_id")
    op.drop_column("user", "passkey_handle")
    op.drop_column("user", "security_changed_at")


def _of_user(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["user_id"], ["user.id"], name=f"{table}_user_id_fkey", ondelete="CASCADE"
    )
