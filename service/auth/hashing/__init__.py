"""Password hashing: Argon2id (RFC 9106), and the legacy hashes of other systems."""
