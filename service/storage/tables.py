"""The tables, for SQLAlchemy. The migrations create them; a test compares the two."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Interval,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, INET, JSONB

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)

TIMESTAMP = DateTime(timezone=True)

# The index of key covers what a session look-up reads of a user name: with millions of users, each
# page that it need not visit counts. It visits one for the roles and the metadata, which are too
# large for an index, and one for ``verified_at``, of a user with an address: a migration that
# rebuilt the index of key would stop sign-ups meanwhile.
# ``security_version`` moves with every change of what protects a user: what was begun before such a
# change is void.
user = Table(
    "user",
    metadata,
    Column("id", Uuid, nullable=False),
    Column("created_at", TIMESTAMP, nullable=False, server_default=func.now()),
    Column("security_version", BigInteger, nullable=False, server_default="0"),
    # Empty until it moves for the first time.
    Column("security_changed_at", TIMESTAMP),
    # By which authenticators know the user; it outlives their passkeys.
    Column("passkey_handle", LargeBinary),
    Column("roles", ARRAY(Text), nullable=False, server_default="{}"),
    Column("metadata", JSONB, nullable=False, server_default="{}"),
    Column("disabled_at", TIMESTAMP),
    Column("disabled_reason", Text),
    # It moves with every change of what the admin API shows, for optimistic locking.
    Column("version", BigInteger, nullable=False, server_default="0"),
    PrimaryKeyConstraint("id", postgresql_include=["created_at"]),
    Index(None, "created_at", "id"),
)

key = Table(
    "key",
    metadata,
    Column("provider", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("user_id", Uuid, ForeignKey("user.id", ondelete="CASCADE"), nullable=False),
    Column("display_name", Text, nullable=False),
    Column("password_hash", Text),
    Column("password_scheme", Text),
    # When the user proved to receive mail at an address; empty for user names, and for addresses
    # that moved in from elsewhere.
    Column("verified_at", TIMESTAMP),
    Column("created_at", TIMESTAMP, nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("provider", "name"),
    CheckConstraint(
        "(password_hash IS NULL) = (password_scheme IS NULL)", name="key_password_scheme_check"
    ),
    Index(None, "user_id", "provider", "created_at", "name", postgresql_include=["display_name"]),
    Index(None, "password_scheme", postgresql_where=text("password_scheme IS NOT NULL")),
    # For prefixes of names, which are no ranges in the order of most collations. Alembic 1.20 finds
    # no collation in the database, and would take one that is given in another way for a change.
    Index("key_provider_name_c_idx", "provider", "name", postgresql_ops={"name": 'COLLATE "C"'}),
)

# The fill factor leaves room on every page for renewals, which change no indexed column: they stay
# on their page and write no index entry (heap-only tuples).
session = Table(
    "session",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("user_id", Uuid, ForeignKey("user.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", TIMESTAMP, nullable=False, server_default=func.now()),
    Column("renewed_at", TIMESTAMP, nullable=False, server_default=func.now()),
    Column("active_expires_at", TIMESTAMP, nullable=False),
    Column("idle_expires_at", TIMESTAMP, nullable=False),
    Column("absolute_expires_at", TIMESTAMP, nullable=False),
    Column("user_agent", Text),
    Column("address", INET),
    Column("device_name", Text),
    # True for sessions of earlier versions, which insert no value, and for imported ones.
    Column("legacy_cookie", Boolean, nullable=False, server_default=true()),
    Column("device_hash", LargeBinary),
    # Empty for sessions of earlier versions, which insert no value: they were proven when created.
    Column("authenticated_at", TIMESTAMP),
    # The time at which each method last proved the user, by the name of the method.
    Column("methods", JSONB, nullable=False, server_default="{}"),
    Index(None, "user_id", "created_at", "id"),
    postgresql_with={"fillfactor": 85},
)

# A user logged in on a device with this token. Several users of one browser share the token. The
# fill factor is for ``last_seen``, which every log-in changes.
device = Table(
    "device",
    metadata,
    Column("hash", LargeBinary, nullable=False),
    Column("user_id", Uuid, ForeignKey("user.id", ondelete="CASCADE"), nullable=False),
    Column("last_seen", TIMESTAMP, nullable=False, server_default=func.now()),
    PrimaryKeyConstraint("hash", "user_id"),
    Index(None, "user_id"),
    postgresql_with={"fillfactor": 85},
)

# User names that were given up, by a new name or with their user: for a while nobody else has them.
# The user who may take one back is empty once deleted.
username_hold = Table(
    "username_hold",
    metadata,
    Column("name_hash", LargeBinary, primary_key=True),
    Column("user_id", Uuid, ForeignKey("user.id", ondelete="SET NULL")),
    Column("freed_at", TIMESTAMP, nullable=False, server_default=func.now()),
    Index(None, "user_id"),
)

# ``tat`` is the theoretical arrival time of GCRA. ``reserved`` is the part of it that attempts in
# flight may get back, until ``reserved_until`` at the latest. Unlogged: the limits need not survive
# a crash, and no attempt waits for a disk.
rate_limit = Table(
    "rate_limit",
    metadata,
    Column("bucket", LargeBinary, primary_key=True),
    Column("tat", TIMESTAMP, nullable=False),
    Column("reserved", Interval, nullable=False, server_default="0"),
    Column("reserved_until", TIMESTAMP, nullable=False, server_default=text("'-infinity'")),
    prefixes=["UNLOGGED"],
)

# What was imported, by ids that are always derived in the same way. The id of a user, whose
# ``user_id`` is empty, remains when the user is deleted; those of keys and sessions do not.
imported = Table(
    "imported",
    metadata,
    Column("kind", Text, nullable=False),
    Column("id", Uuid, nullable=False),
    Column("user_id", Uuid, ForeignKey("user.id", ondelete="CASCADE")),
    PrimaryKeyConstraint("kind", "id"),
    Index(None, "user_id"),
)

# The secrets of the service at rest: encrypted by the secret key with ``key_id``. ``ciphertext``
# begins with the nonce. Those of a user end with the user.
sealed_secret = Table(
    "sealed_secret",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("created_at", TIMESTAMP, nullable=False, server_default=func.now()),
    Column("user_id", Uuid, ForeignKey("user.id", ondelete="CASCADE")),
    Index(None, "key_id"),
    Index(None, "user_id"),
)

# The authenticator app of a user; a factor once confirmed, for good: the row stays when the secret
# is lost. ``last_step`` is the time step of the last code that was used (RFC 6238).
totp = Table(
    "totp",
    metadata,
    Column("user_id", Uuid, ForeignKey("user.id", ondelete="CASCADE"), primary_key=True),
    Column("secret_id", Uuid, nullable=False),
    Column("last_step", BigInteger, nullable=False, server_default="0"),
    Column("created_at", TIMESTAMP, nullable=False, server_default=func.now()),
    Column("confirmed_at", TIMESTAMP),
    Column("last_used_at", TIMESTAMP),
)

# Wrong codes of authenticator apps, by the known device on which they were tried, if it was one.
# Logged, unlike `rate_limit`: a crash gives nobody who knows the password further guesses.
totp_failure = Table(
    "totp_failure",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("user_id", Uuid, ForeignKey("user.id", ondelete="CASCADE"), nullable=False),
    Column("device_hash", LargeBinary),
    Column("failed_at", TIMESTAMP, nullable=False, server_default=func.clock_timestamp()),
    Index(None, "user_id", "failed_at"),
    Index(None, "failed_at"),
)

# Recovery codes that were not used yet.
recovery_code = Table(
    "recovery_code",
    metadata,
    Column("user_id", Uuid, ForeignKey("user.id", ondelete="CASCADE"), nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("created_at", TIMESTAMP, nullable=False, server_default=func.clock_timestamp()),
    PrimaryKeyConstraint("user_id", "hash"),
)

# Passkeys (WebAuthn credentials). Each is bound to the relying party of when it was made.
passkey = Table(
    "passkey",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("user.id", ondelete="CASCADE"), nullable=False),
    Column("credential_id", LargeBinary, nullable=False),
    Column("public_key", LargeBinary, nullable=False),
    Column("sign_count", BigInteger, nullable=False),
    Column("rp_id", Text, nullable=False),
    Column("transports", JSONB, nullable=False, server_default="[]"),
    Column("name", Text, nullable=False),
    Column("aaguid", Uuid),
    Column("is_backup_eligible", Boolean, nullable=False),
    Column("is_backed_up", Boolean, nullable=False),
    Column("created_at", TIMESTAMP, nullable=False, server_default=func.clock_timestamp()),
    Column("last_used_at", TIMESTAMP),
    UniqueConstraint("credential_id", name="passkey_credential_id_key"),
    Index(None, "user_id"),
)

# The nonces of passkey challenges that were answered; each can be answered once.
claimed_nonce = Table(
    "claimed_nonce",
    metadata,
    Column("nonce", LargeBinary, primary_key=True),
    Column("expires_at", TIMESTAMP, nullable=False),
    Index(None, "expires_at"),
)

# Accounts of users at OpenID providers: nothing but issuer and subject tells whose an account is
# (OpenID Connect Core, section 5.7).
identity = Table(
    "identity",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid, ForeignKey("user.id", ondelete="CASCADE"), nullable=False),
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("created_at", TIMESTAMP, nullable=False, server_default=func.clock_timestamp()),
    Column("last_used_at", TIMESTAMP),
    UniqueConstraint("issuer", "subject", name="identity_issuer_subject_key"),
    Index(None, "user_id"),
)

# Questions that wait for their answers. A decoy has no ``key_id``: there is no code of it. A link
# has no ``secret_hash``: nobody was given a token.
challenge = Table(
    "challenge",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("secret_hash", LargeBinary),
    Column("user_id", Uuid, ForeignKey("user.id", ondelete="CASCADE")),
    Column("security_version", BigInteger),
    Column("session_id", Uuid, ForeignKey("session.id", ondelete="CASCADE")),
    Column("address", Text),
    Column("display_address", Text),
    Column("key_id", Text),
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("created_at", TIMESTAMP, nullable=False, server_default=func.now()),
    Column("expires_at", TIMESTAMP, nullable=False),
    Column("data", JSONB, nullable=False, server_default="{}"),
    CheckConstraint(
        "user_id IS NOT NULL OR security_version IS NULL", name="challenge_security_version_check"
    ),
    Index(None, "user_id"),
    Index(None, "session_id"),
)

# Requests for a link to reset a password. Whoever is meant, a request writes one row; the user is
# looked up in the background.
reset_request = Table(
    "reset_request",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("username", Text),
    Column("address", Text),
    Column("created_at", TIMESTAMP, nullable=False, server_default=func.now()),
)

# The outbox. ``next_attempt_at`` is also the end of the lease of whoever sends the mail now;
# ``attempts`` tells whose lease it is. With ``failed_at`` it is a dead letter. No foreign key leads
# to the challenge: the mail is dropped when that is gone. The recipient is kept as it was: the
# notice of a deletion outlives its user.
mail = Table(
    "mail",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("challenge_id", Uuid),
    Column("data", JSONB, nullable=False, server_default="{}"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("error", Text),
    Column("created_at", TIMESTAMP, nullable=False, server_default=func.now()),
    Column("expires_at", TIMESTAMP, nullable=False),
    Column("next_attempt_at", TIMESTAMP, nullable=False, server_default=func.now()),
    Column("failed_at", TIMESTAMP),
    Index(None, "next_attempt_at", postgresql_where=text("failed_at IS NULL")),
)

# What other programs hold. ``secret_hash`` is the SHA-256 of the secret. A suspended one waits to
# be confirmed: the database was restored, perhaps to before it was revoked.
service_token = Table(
    "service_token",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("created_at", TIMESTAMP, nullable=False, server_default=func.now()),
    Column("expires_at", TIMESTAMP, nullable=False),
    Column("last_used_at", TIMESTAMP),
    Column("suspended_at", TIMESTAMP),
    UniqueConstraint("name", name="service_token_name_key"),
)

# Invitations that nobody has signed up with yet; the address, if it is bound to one, in both forms.
# ``service_token_id`` tells who made it, even when that token is gone.
invitation = Table(
    "invitation",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("address", Text),
    Column("display_address", Text),
    Column("roles", ARRAY(Text), nullable=False, server_default="{}"),
    Column("service_token_id", Uuid),
    Column("created_at", TIMESTAMP, nullable=False, server_default=func.now()),
    Column("expires_at", TIMESTAMP, nullable=False),
    Index(None, "created_at", "id"),
    Index(None, "expires_at"),
)

# The keys that sign JWTs; the private one is the sealed secret. A key is published from its
# creation until its last token has expired, and signs from ``signs_from`` to ``signs_until``.
signing_key = Table(
    "signing_key",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("secret_id", Uuid, nullable=False),
    Column("public_key", JSONB, nullable=False),
    Column("created_at", TIMESTAMP, nullable=False, server_default=func.now()),
    Column("signs_from", TIMESTAMP, nullable=False),
    Column("signs_until", TIMESTAMP),
    Column("revoked_at", TIMESTAMP),
)

# When the database was restored from a backup.
restore = Table(
    "restore",
    metadata,
    Column("id", BigInteger, Identity(), primary_key=True),
    Column("restored_at", TIMESTAMP, nullable=False, server_default=func.now()),
)
