"""Keys that were accounts at a provider, imported from Lucia, become identities.

Those of the providers whose issuer is certain. A migration of its own: that of the table locks the
one of users, which is not to wait for many rows. A later import knows the identities as it knew the
keys, by the ids in ``imported``.
"""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

ISSUERS = """
(VALUES ('google', 'https://accounts.google.com'), ('github', 'https://github.com'),
        ('apple', 'https://appleid.apple.com')) AS known (provider, issuer)
"""

# What is longer, not of ASCII, or no number at GitHub, is the subject of no account.
ADD_IDENTITIES = f"""
INSERT INTO identity (id, user_id, issuer, subject, created_at)
SELECT gen_random_uuid(), user_id, issuer, name, created_at
FROM key JOIN {ISSUERS} USING (provider)
WHERE password_hash IS NULL AND name ~ '^[ -~]{{1,255}}$'
  AND (provider <> 'github' OR name ~ '^[1-9][0-9]*$')
ON CONFLICT DO NOTHING
"""  # noqa: S608

REMOVE_KEYS = f"""
DELETE FROM key USING identity JOIN {ISSUERS} USING (issuer)
WHERE key.provider = known.provider AND key.name = subject AND key.user_id = identity.user_id
  AND key.password_hash IS NULL
"""  # noqa: S608

ADD_KEYS = f"""
INSERT INTO key (provider, name, user_id, display_name, created_at)
SELECT provider, subject, user_id, subject, created_at
FROM identity JOIN {ISSUERS} USING (issuer)
ON CONFLICT DO NOTHING
"""  # noqa: S608

REMOVE_IDENTITIES = f"""
DELETE FROM identity USING key JOIN {ISSUERS} USING (provider)
WHERE identity.issuer = known.issuer AND subject = name AND key.user_id = identity.user_id
"""  # noqa: S608


def upgrade() -> None:
    op.execute(ADD_IDENTITIES)
    op.execute(REMOVE_KEYS)


def downgrade() -> None:
    op.execute(ADD_KEYS)
    op.execute(REMOVE_IDENTITIES)
